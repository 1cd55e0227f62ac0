"""Start `doctor`'s examinations by fork, from a process that has imported what they all import.

A start of its own for each application costs more than the examination. What is imported is what
the application imports itself, so that nothing is found that would not be there.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from typing import IO, TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Sequence


class Warm:
    """A process that has imported some packages, and forks for each examination."""

    def __init__(self, packages: Sequence[str]) -> None:
        self._process = subprocess.Popen(
            [sys.executable, __file__, *packages],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )

    def run(self, command: Sequence[str], stdout: IO[bytes], **_: Any) -> None:
        """Examine an application, as `subprocess.run` would with this command."""
        assert self._process.stdin
        assert self._process.stdout
        case = {
            "arguments": ["-c", *command[3:]],
            "folder": os.getcwd(),  # noqa: PTH109
            "environ": dict(os.environ),
            "output": stdout.name,
        }
        self._process.stdin.write(json.dumps(case) + "\n")
        self._process.stdin.flush()
        assert self._process.stdout.readline()

    def close(self) -> None:
        """End it."""
        self._process.kill()
        self._process.communicate()


def main() -> None:
    """Fork for each line of standard input."""
    import importlib  # noqa: PLC0415

    from pantheon_obs.cli.doctor import application  # noqa: PLC0415

    for package in sys.argv[1:]:
        importlib.import_module(package)
    for line in sys.stdin:
        case = json.loads(line)
        child = os.fork()
        if not child:
            os.chdir(case["folder"])
            os.environ.clear()
            os.environ.update(case["environ"])
            sys.path[0] = case["folder"]
            sys.argv = case["arguments"]
            output = os.open(case["output"], os.O_WRONLY | os.O_APPEND)
            for descriptor in (1, 2):
                os.dup2(output, descriptor)
            os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
            application.main()
        os.waitpid(child, 0)
        sys.stdout.write("ended\n")
        sys.stdout.flush()


if __name__ == "__main__":
    main()
