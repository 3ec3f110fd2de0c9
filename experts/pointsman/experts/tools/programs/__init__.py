"""Python functions and programs of this machine as tools, each call in a process of its own with limits.

registered.py  the YAML     jail.py     what a process gives up before it begins    running.py  one call of a process
calling.py     a Python function called in such a process       expert.py  calls
"""
