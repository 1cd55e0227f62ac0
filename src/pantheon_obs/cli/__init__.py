"""The command line, `pantheon-obs` and `python -m pantheon_obs`: for a person with a log.

- `main.py` has the table of the commands, and turns errors into one line and an exit code. A
  command is a module with `configure(parser)` and `run(arguments) -> int`, and a row of the table.
- `terminal.py` has `CommandError`, output on stdout, notes on stderr, colours and progress.
- `inputs.py` has the options of a command that reads lines, and opens the `Reader` for them.
- `reading/` finds the files, unwraps the lines of container engines and syslog, and judges them.
- `stories/` computes the story of one trace from its lines: a dict, as `story --json` prints it.
"""
