"""Compute the story of one trace from its lines. Pure functions, without input or output.

- `trace_ids.py`: `canonical(id)` makes two forms of one id equal; `Wanted` is the id that was asked
  for.
- `items.py`: `Item` is a unit or call, with its start, end and times.
- `parents.py`: `find_parents(items)` says which item belongs to which; `Units` answers which unit
  of a service contains a time.
- `tracebacks.py`: `read(text)` gives the type, message and innermost own frame of a traceback.
- `errors.py`: `errors(…)` orders the errors, the cause first.
- `document.py`: `story(lines, read)` is the whole story; `Story.document` is the dict that
  `story --json` prints.
- `search.py`: `search(reader, wanted)` collects the lines of the trace that was asked for.
"""
