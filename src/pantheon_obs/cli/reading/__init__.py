"""Read log lines from files, folders, globs and standard input.

- `files.py`: `find(names)` gives the `Source` of each file, rotated ones oldest first, with the
  service that it is named after.
- `blocks.py`: `blocks(source)` gives the bytes of a file in blocks of whole lines, unzipped.
- `wrappers.py`: `Unwrapper.feed(…)` takes off what Docker, the CRI, compose and syslog put around a
  line, and joins the parts of a line.
- `lines.py`: `Reader(sources).lines(needle)` gives each `Line` of ours, and counts in `Reader.read`
  what was looked through: files, lines, foreign and torn ones.
- `schema.py`: `kind_of(fields)` is the kind of unit or call, `typed(fields)` the fields without
  those of a wrong type, by `events.schema.json`.
"""
