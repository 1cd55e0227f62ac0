"""Count the contents of log lines: requests, errors, LLM calls, and their course over time.

- `objects.py` reads the files; `facts.py` makes the relation `facts` of their lines, and `cache.py`
  keeps it for large files.
- `queries.py` has all queries and asks them for one window, `dialects.py` has the words in which
  DuckDB and ClickHouse differ. `duck.py` and `clickhouse.py` run them.
- `document.py`, with `failures.py` and `series.py`, makes the document of `report --json` of the
  answers; `windows.py` has the windows of time, `summary.py` the text.
- `traces.py` collects the stories behind the examples, for the page.
"""
