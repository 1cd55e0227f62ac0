"""The jobs of `make test-all` and of CI, each in an environment of its own."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import nox

SUPPORTED = ["3.11", "3.12", "3.13"]
LOWEST = "3.11"
# These two run every line and branch; measuring makes a job half as long again.
MEASURED = ((LOWEST, "none"), (LOWEST, "all"))
# One worker per module, so that its servers and databases are started once; in the order of
# tests/conftest.py.
PARALLEL = ("--numprocesses", "auto", "--dist", "loadfile", "--no-loadscope-reorder")

nox.options.default_venv_backend = "uv"
nox.options.error_on_missing_interpreters = False  # run with the Pythons that are installed
os.environ["UV_PYTHON_DOWNLOADS"] = "never"
# Where it is set, each of the hundreds of interpreters of a job would compile all that it imports.
os.environ.pop("PYTHONDONTWRITEBYTECODE", None)


def find_pythons() -> list[str]:
    """Put the supported Pythons that pyenv keeps on PATH; return the versions found.

    Each candidate is run, because pyenv's shims are on PATH for inactive versions too.
    """
    pyenv = Path(os.environ.get("PYENV_ROOT", Path.home() / ".pyenv"))
    found = []
    for version in SUPPORTED:
        candidates = [
            shutil.which(f"python{version}"),
            *pyenv.glob(f"versions/{version}.*/bin/python"),
        ]
        for candidate in filter(None, candidates):
            if (
                subprocess.run([candidate, "-c", ""], capture_output=True, check=False).returncode
                == 0
            ):
                os.environ["PATH"] = f"{Path(candidate).parent}{os.pathsep}{os.environ['PATH']}"
                found.append(version)
                break
    return found


PYTHONS = find_pythons()


@nox.session
def lint(session: nox.Session) -> None:
    """Check style and format with ruff."""
    session.install("--group", "lint")
    session.run("ruff", "check")
    session.run("ruff", "format", "--check")


@nox.session(python=PYTHONS)
def typing(session: nox.Session) -> None:
    """Check the types of the package and of its use with mypy and pyright."""
    # Some adapters and checks use packages that are no extra; their types come from these.
    session.install(".[all]", "--group", "lint", "--group", "test")
    version = f"{session.python}"
    session.run("mypy", "--python-version", version)
    session.run("pyright", "--pythonversion", version)


@nox.session(python=PYTHONS)
@nox.parametrize("extras", [nox.param(name, id=name) for name in ("none", "all", "lowest")])
def tests(session: nox.Session, extras: str) -> None:
    """Run the suite against the built package with no extras, all of them, or the lowest pins."""
    if extras == "lowest":
        pins = f"{session.create_tmp()}/lowest.txt"
        session.run_install(
            # Without what these need in turn: the tests' packages may need other versions of that.
            *("uv", "pip", "compile", "--quiet", "--no-deps", "--resolution=lowest-direct"),
            "--all-extras",
            *("--python", session.virtualenv.location, "--output-file", pins, "pyproject.toml"),
        )
        session.install("--constraint", pins, ".[all]", "--group", "test")
    else:
        session.install("." if extras == "none" else ".[all]", "--group", "test")
    measured = (session.python, extras) in MEASURED
    runner = ("coverage", "run", "-m", "pytest") if measured else ("pytest",)
    session.run(*runner, *PARALLEL, *session.posargs)


@nox.session
def coverage(session: nox.Session) -> None:
    """Combine the coverage of the measured jobs; fail below 100 %."""
    session.install("coverage")
    session.run("coverage", "combine")
    session.run("coverage", "report")
