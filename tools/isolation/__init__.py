"""How `tools/sandbox.py` holds the code it runs.

`pool.py`, `client.py` and `paths.py` work in our process. `filters.py`, `kernel.py`, `runner.py` and `server.py` are the fork server, which
a bare interpreter with nothing but the standard library runs inside of the isolation.
"""
