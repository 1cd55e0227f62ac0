"""The built package is complete: it installs into an empty environment and works there."""

from __future__ import annotations

import json
import re
import subprocess
import sys
import tarfile
from importlib.metadata import version
from pathlib import Path
from zipfile import ZipFile

import pytest
from uv import find_uv_bin

import pantheon_obs

ROOT = Path(__file__).parents[1]

SERVE_ONE_REQUEST = """
import asyncio
from pantheon_obs import current_trace_id, instrument

async def app(scope, receive, send):
    headers = [(b"x-seen-inside", current_trace_id.get().encode())]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    await send({"type": "http.response.body", "body": b"hello"})

async def receive():
    return {"type": "http.request", "body": b"", "more_body": False}

async def send(message):
    for name, value in message.get("headers", ()):
        assert value == b"my-custom-id", (name, value)

headers = [(b"x-trace-id", b"my-custom-id")]
scope = {"type": "http", "method": "GET", "path": "/", "headers": headers}
asyncio.run(instrument(app, log_format="json")(scope, receive, send))
"""


def run(*command: str | Path, cwd: Path = ROOT) -> str:
    """Run a command; return its output."""
    done = subprocess.run(command, cwd=cwd, capture_output=True, text=True, check=False)
    assert 0 == done.returncode, done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Build the sdist from the checkout and the wheel from the sdist alone."""
    work = tmp_path_factory.mktemp("build")
    run(sys.executable, "-m", "hatchling", "build", "--target", "sdist", "--directory", work)
    [sdist] = work.glob("*.tar.gz")
    with tarfile.open(sdist) as archive:
        archive.extractall(work, filter="data")
    unpacked = work / sdist.name.removesuffix(".tar.gz")
    run(
        *(sys.executable, "-m", "hatchling", "build", "--target", "wheel", "--directory", work),
        cwd=unpacked,
    )
    [built] = work.glob("*.whl")
    return built


@pytest.fixture(scope="module")
def empty_environment(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Install the wheel where nothing else is; return the interpreter there."""
    environment = tmp_path_factory.mktemp("environment") / "venv"
    python = environment / "bin" / "python"
    run(find_uv_bin(), "venv", "--quiet", "--python", sys.executable, environment)
    run(find_uv_bin(), "pip", "install", "--quiet", "--python", python, wheel)
    return python


def test_the_wheel_carries_every_file_of_the_package(wheel: Path) -> None:
    """Modules, the type marker and the event schema are all in the wheel, and nothing else is."""
    source = ROOT / "src"
    expected = {
        path.relative_to(source).as_posix()
        for path in source.rglob("*")
        if path.is_file() and "__pycache__" not in path.parts
    }
    packed = {name for name in ZipFile(wheel).namelist() if ".dist-info/" not in name}

    assert expected == packed
    assert {"pantheon_obs/py.typed", "pantheon_obs/events.schema.json"} <= packed


def test_it_installs_with_its_three_dependencies_alone(empty_environment: Path) -> None:
    """Nothing but the core dependencies comes with the package."""
    listed = run(*(find_uv_bin(), "pip", "list", "--format", "json", "--python", empty_environment))

    assert {"asgiref", "orjson", "pantheon-obs", "structlog"} == {
        package["name"] for package in json.loads(listed)
    }


def test_it_serves_a_request_there(empty_environment: Path) -> None:
    """With no extra installed an instrumented application has its header and its line."""
    lines = run(empty_environment, "-I", "-W", "error", "-c", SERVE_ONE_REQUEST).splitlines()
    [finished] = [line for line in map(json.loads, lines) if line["event"] == "request_finished"]

    assert ("my-custom-id", 200) == (finished["trace_id"], finished["status_code"])


def test_the_version_is_the_same_everywhere() -> None:
    """The package, its metadata and the changelog have the same version."""
    changelog = (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")
    newest = re.search(r"^## \[(\d[^\]]*)\]", changelog, re.MULTILINE)

    assert newest is not None
    assert version("pantheon-obs") == pantheon_obs.__version__ == newest[1]
