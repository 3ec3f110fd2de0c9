"""Tools of MCP servers as capabilities (Model Context Protocol, 2026-07-28 and the handshake versions before it).

registered.py  the YAML of one server       offered.py     its tools as capabilities, from what was kept of them
connection.py  one session, kept and owned  guarded.py     streamable HTTP behind the guard of addresses
expert.py      calls                        results.py     what came of a call
"""
