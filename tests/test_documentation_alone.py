"""Each page works in an empty folder, with nothing installed but what the page says.

A reader installs what the page tells to install, saves its Python blocks one after the other in the
file that it names, and runs that file and the commands that it shows. uv makes the environments,
from its cache.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
import time
from typing import TYPE_CHECKING

import httpx
import pytest
import uv

from tests.support.server import free_port
from tests.test_documentation import (
    OF_A_PROJECT,
    OF_THE_CHECKOUT,
    PAGES,
    ROOT,
    blocks,
    pages_with,
    program_of,
)

if TYPE_CHECKING:
    from pathlib import Path

pytest.importorskip("fastapi")  # one job of each Python is enough

SECONDS_TO_WAIT = 300
INSTALL = re.compile(r"^pip install (.+)$", re.MULTILINE)
NOT_SET = ("VIRTUAL_ENV", "PYTHON", "DJANGO_", "PANTHEON_", "COVERAGE_", "SENTRY_")
ALONE = [page for page in pages_with("python") if page.name not in OF_THE_CHECKOUT]


def requirements(page: Path) -> list[str]:
    """List the packages that the shell blocks of a page install; without any, only ours."""
    shell = "\n".join(block.text for block in blocks(page, "sh"))
    named = [name.strip("'") for line in INSTALL.findall(shell) for name in line.split()]
    return named or ["pantheon-obs"]


def with_only(packages: list[str], *command: str) -> list[str]:
    """Make the command that runs another one where only these packages are installed."""
    options = ["--quiet", "--no-project", "--isolated", "--python", sys.executable]
    for package in packages:
        own = package.startswith("pantheon-obs")
        where = package.replace("pantheon-obs", str(ROOT)) if own else package
        options += ["--with-editable" if own else "--with", where]
    return [uv.find_uv_bin(), "run", *options, *command]


def environment() -> dict[str, str]:
    """Return the environment without the variables of our own suite."""
    return {name: value for name, value in os.environ.items() if not name.startswith(NOT_SET)}


def run(packages: list[str], *command: str, cwd: Path) -> str:
    """Run a command with only these packages, to its end; return its output."""
    done = subprocess.run(
        with_only(packages, *command),
        cwd=cwd,
        env=environment(),
        capture_output=True,
        text=True,
        timeout=SECONDS_TO_WAIT,
        check=False,
    )
    if "Failed to fetch" in done.stderr:
        pytest.skip(done.stderr)
    assert (0, "") == (done.returncode, done.stderr), done.stdout
    return done.stdout


@pytest.mark.parametrize("page", ALONE, ids=lambda page: page.name)
def test_a_page_works_with_what_it_tells_to_install(page: Path, tmp_path: Path) -> None:
    """The blocks run as the file that the page names, and nothing else is needed."""
    names = [block.file for block in blocks(page, "python") if block.file not in OF_A_PROJECT]
    name = next((name for name in names if name), "page.py")
    tmp_path.joinpath(name).write_text(program_of(page))

    run(requirements(page), "python", name, cwd=tmp_path)


@pytest.mark.parametrize("page", ALONE, ids=lambda page: page.name)
def test_a_page_says_what_its_verify_needs(page: Path) -> None:
    """It names packages to install, or says that none are needed."""
    _, found, rest = page.read_text().partition("\n## Verify\n")
    verify = rest.partition("\n## ")[0]

    assert not found or re.search(r"\bneeds?\b", verify)


README = PAGES[0]


@pytest.mark.parametrize("number", range(3))
def test_each_program_of_the_readme_runs_alone(number: int, tmp_path: Path) -> None:
    """A reader tries one of them, without those before it; each line that is printed is ours."""
    programs = [block for block in blocks(README, "python") if block.file not in OF_A_PROJECT]
    assert 3 == len(programs)
    tmp_path.joinpath("main.py").write_text(programs[number].text)

    lines = run(requirements(README), "python", "main.py", cwd=tmp_path).splitlines()

    assert [] == [line for line in lines if not line.startswith('{"timestamp":')]
    logs = "log." in programs[number].text
    assert logs == any('"event":"order_placed"' in line for line in lines)


def test_the_readmes_lines_for_django_work_in_a_new_project(tmp_path: Path) -> None:
    """They go to the end of the two files of `startproject`, and the project's checks pass."""
    packages = ["pantheon-obs[django]"]
    run(packages, "django-admin", "startproject", "shop", ".", cwd=tmp_path)
    added = [block for block in blocks(README, "python") if block.file in OF_A_PROJECT]
    assert OF_A_PROJECT == {block.file for block in added}
    for block in added:
        with tmp_path.joinpath("shop", block.file).open("a") as file:
            file.write(block.text)
    path = "/api/v1/health/live/"
    ask = f"from django.test import Client; print(Client().get('{path}', HTTP_HOST='localhost'))"

    checked = run(packages, "python", "manage.py", "check", cwd=tmp_path)
    asked = run(packages, "python", "manage.py", "shell", "-v", "0", "-c", ask, cwd=tmp_path)

    assert "System check identified no issues (0 silenced).\n" == checked
    assert '<HttpResponse status_code=200, "application/health+json">\n' == asked


def first_answer(url: str, process: subprocess.Popen[bytes]) -> httpx.Response:
    """Ask until the server listens; fail if it has ended."""
    while True:
        try:
            return httpx.get(url, trust_env=False, timeout=SECONDS_TO_WAIT)
        except httpx.ConnectError:
            assert process.poll() is None
            time.sleep(0.05)


@pytest.mark.parametrize(
    ("page", "status"),
    [("README.md", 404), ("docs/fastapi.md", 200), ("docs/health.md", 200)],
)
def test_the_server_that_a_page_starts_answers_the_request_that_it_shows(
    page: str, status: int, tmp_path: Path
) -> None:
    """The command finds the application in the file that the page names."""
    shell = "\n".join(block.text for block in blocks(ROOT / page, "sh"))
    [command] = re.findall(r"^uvicorn .*--port 8000$", shell, re.MULTILINE)
    [path] = re.findall(r"^curl -i http://127.0.0.1:8000(/.*)$", shell, re.MULTILINE)
    first = next(block for block in blocks(ROOT / page, "python") if block.file)
    module = re.findall(r"uvicorn (\w+):app", command)
    assert [f"{name}.py" for name in module] == [first.file]
    tmp_path.joinpath(first.file).write_text(first.text)
    port = free_port()

    serve = [*command.split()[:-1], f"{port}"]
    with subprocess.Popen(
        with_only(requirements(ROOT / page), *serve),
        cwd=tmp_path,
        env=environment(),
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    ) as process:
        try:
            answer = first_answer(f"http://127.0.0.1:{port}{path}", process)
        finally:
            process.terminate()

    assert status == answer.status_code
    assert answer.headers["x-trace-id"]
