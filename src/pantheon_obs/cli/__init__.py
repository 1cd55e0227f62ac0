"""The command line, `pantheon-obs` and `python -m pantheon_obs`: for a person with a log.

- `main.py` has the table of the commands, and turns errors into one line and an exit code. A
  command is a row of the table, and a module with `configure(parser)`, `run(arguments) -> int` and
  `EXAMPLES`; `--help` prints its docstring.
- `terminal.py` has `CommandError`, output on stdout, notes on stderr, colours and progress.
- `inputs.py` has the options of a command that reads lines.
- `reading/` finds the files, unwraps the lines of container engines and syslog, and judges them.
- `stories/` computes the story of one trace from its lines: a dict, as `story --json` prints it.
"""
