"""The frameworks' own test suites: where they come from, what they need, how they are run."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import tarfile
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).resolve().parents[2]
CACHE = ROOT / ".nox" / "long"  # ignored by git, removed by `make clean`
PLUGINS = Path(__file__).parent / "plugins"
SECONDS = 3600  # of one run; on a loaded machine FastAPI's suite takes ten minutes


class Outcome(NamedTuple):
    """The end of a test: `passed`, `failed`, `skipped`, `xfailed` or `xpassed`; why it failed."""

    name: str
    message: str = ""


Outcomes = dict[str, Outcome]
"""The outcome of each test by its id."""


@dataclass(frozen=True)
class Suite:
    """The test suite in the source distribution of a framework.

    Attributes:
        name: The framework's name on the package index.
        groups: The dependency groups of its `pyproject.toml` that its tests need.
        extras: Those of its own extras that its tests need.
        besides: Packages to install at the version that this environment has.
        constraints: Versions that the tests need and the groups do not say.
        arguments: Arguments for pytest.
    """

    name: str
    groups: tuple[str, ...]
    extras: str = ""
    besides: tuple[str, ...] = ()
    constraints: tuple[str, ...] = ()
    arguments: tuple[str, ...] = ("tests",)

    @property
    def requirement(self) -> str:
        """The framework in the version that this environment has: the one that is supported."""
        return f"{self.name}=={version(self.name)}"


SUITES = (
    Suite("starlette", ("dev",), extras="[full]"),
    Suite(
        "fastapi",
        ("tests",),
        extras="[all]",
        besides=("starlette",),
        # Benchmarks measure time and memory. The suite allows a test 20 seconds, which a loaded
        # machine may exceed.
        arguments=(
            *("tests", "--ignore=tests/benchmarks", "--ignore=tests/memory_benchmarks"),
            "--timeout=0",
        ),
    ),
    # tests/test_cli.py imports a private name that pytest 9.1 has no more.
    Suite("flask", ("tests",), constraints=("pytest<9.1",)),
    Suite("djangorestframework", ("test", "optional"), besides=("django",)),
)


def download(suite: Suite) -> Path:
    """Download the suite's source distribution, unless it is in the cache.

    Raises:
        CalledProcessError: The package index has none.
    """
    folder = CACHE / "sources"
    archive = folder / f"{suite.requirement.replace('==', '-')}.tar.gz"
    if not archive.exists():
        options = ("--quiet", "--no-deps", "--no-binary", suite.name, "--dest", str(folder))
        _run(sys.executable, "-m", "pip", "download", *options, suite.requirement)
    return archive


def unpack(archive: Path, folder: Path) -> Path:
    """Unpack a source distribution, so that what its tests write is not there next time."""
    with tarfile.open(archive) as sources:
        sources.extractall(folder, filter="data")
    (unpacked,) = folder.iterdir()
    return unpacked


def make_environment(suite: Suite, source: Path) -> Path:
    """Make the environment of a suite, or bring it up to date; return its interpreter."""
    folder = CACHE / suite.name
    python = folder / "bin" / "python"
    uv = find_uv()
    if not python.exists():
        _run(uv, "venv", "--quiet", "--python", sys.executable, str(folder))
    framework, equals, number = suite.requirement.partition("==")
    _run(
        *(uv, "pip", "install", "--quiet", "--python", str(python)),
        *("--editable", str(ROOT), f"{framework}{suite.extras}{equals}{number}"),
        *(f"{name}=={version(name)}" for name in suite.besides),
        *suite.constraints,
        *(part for group in suite.groups for part in ("--group", f"pyproject.toml:{group}")),
        cwd=source,
    )
    return python


def find_uv() -> str:
    """Return the installer, that of this environment first."""
    uv = shutil.which("uv", path=f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}")
    assert uv is not None
    return uv


def start(
    suite: Suite, python: Path, source: Path, outcomes: Path, *, instrumented: bool
) -> subprocess.Popen[str]:
    """Start a run of the suite that writes the outcomes of its tests to a file.

    Args:
        suite: The suite.
        python: The interpreter of the suite's environment.
        source: The unpacked source distribution.
        outcomes: The file.
        instrumented: Whether each application is instrumented.
    """
    ours = ("COVERAGE_", "PANTHEON_OBS_", "PYTEST_", "SENTRY_")
    env = {name: value for name, value in os.environ.items() if not name.startswith(ours)}
    env |= {"PYTHONPATH": str(PLUGINS), "OUTCOMES": str(outcomes), "INSTRUMENTED": suite.name}
    plugins = ("outcomes", *(("everything_instrumented",) if instrumented else ()))
    command = (
        *(str(python), "-m", "pytest", "-q", "--tb=short", "-p", "no:cacheprovider"),
        *(part for plugin in plugins for part in ("-p", plugin)),
        *suite.arguments,
    )
    with outcomes.with_suffix(".log").open("w") as log:
        return subprocess.Popen(
            command, cwd=source, env=env, stdout=log, stderr=subprocess.STDOUT, text=True
        )


def finish(run: subprocess.Popen[str], outcomes: Path) -> Outcomes:
    """Wait for a run to end, and read what it has written.

    Raises:
        AssertionError: The tests could not be run.
    """
    status = run.wait(timeout=SECONDS)
    log = outcomes.with_suffix(".log").read_text()
    assert status in {0, 1}, log[-10_000:]  # 1: some tests failed
    written = json.loads(outcomes.read_text())
    return {test: Outcome(*outcome) for test, outcome in written.items()}


def requests_in(outcomes: Path) -> int:
    """Count the requests of an instrumented run that ended in a line of ours."""
    return int(outcomes.with_suffix(".requests").read_text())


def _run(*command: str, cwd: Path = ROOT) -> None:
    subprocess.run(command, cwd=cwd, check=True)
