"""Read log lines from files, folders, globs and standard input.

- `files.py`: `find(names)` gives the `Source` of each file, rotated ones oldest first, with the
  service that it is named after.
- `blocks.py`: `blocks(source)` gives the bytes of a file in blocks of whole lines, unzipped.
- `wrappers.py`: `Unwrapper.feed(…)` removes the wrapping of Docker, the CRI, compose and syslog,
  and joins the parts of a line.
- `lines.py`: `Reader(sources).lines(needle)` gives each `Line` of ours, and counts in `Reader.read`
  the files and lines that were read, and the foreign and torn lines.
- `schema.py`: `kind_of(fields)` is the kind of unit or call, `typed(fields)` the fields without
  fields of a wrong type, by `events.schema.json`.
"""
