"""Show the report live in a browser.

- `command.py` follows the files and standard input, in the main thread.
- `memory.py` remembers the newest lines, and makes the report and the stories of them.
- `server.py` answers browsers, each connection in a thread of its own.
"""
