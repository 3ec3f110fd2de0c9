"""Credentials of tools: where they are kept (sources.py), how they are put on a request (schemes.py, oauth.py), and
how what an API echoes of them is taken out again (scrubbing.py).

A credential is read when a call is made and is put on below the client that logs: it is in no plan, prompt, event,
slot, error or log.
"""
