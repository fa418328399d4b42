"""The step viewer: runs, batches and calls of a store as JSON over HTTP, and the page that shows them.

`library.py` opens the store in a thread of its own and keeps what was rebuilt. `records.py` and `steps.py` make a run's pages, `heads.py`
its line in a list, `calls.py` its calls, `batches.py` and `query.py` the tables with their filter, `turning.py` the points where an answer
was lost or won, `compared.py` two runs side by side, `bill.py` what a fork would buy, `live.py` what happens now, `export.py` one file.
None of them knows HTTP: that is `api.py` with `acts.py`, and `doors.py` before them. `join.py` and `static/` are the page.
"""
