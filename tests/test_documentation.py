"""Code blocks of README and docs and examples of docstrings run; docstrings begin plainly."""

from __future__ import annotations

import ast
import doctest
import importlib
import json
import pkgutil
import re
import subprocess
import sys
from pathlib import Path
from typing import NamedTuple

import pytest

import pantheon_obs
from tests.support.lines import validate_line

ROOT = Path(__file__).resolve().parents[1]
PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").glob("**/*.md"))]
PROSE = [*PAGES, ROOT / "CHANGELOG.md", ROOT / "SECURITY.md"]
PACKAGE = ROOT / "src" / "pantheon_obs"
EXAMPLES = {"llm/usage/vendors/acme.py"}  # files that a page tells its reader to write
WIDTH = 100
SECONDS = 150  # on a busy machine
# Those who read them have a checkout with all its tools.
OF_THE_CHECKOUT = {"CONTRIBUTING.md", "adapters.md", "llm-shapes.md"}
OF_A_PROJECT = {"settings.py", "urls.py"}  # the end of files that `startproject` makes
FILE = re.compile(r"`(\w+\.py)`[^`]*:\n\n\Z")
DOCUMENTED = ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef
RIDDLE = re.compile(r"(What|Which|That|Those|The same)\b")  # as the first words of a docstring
BLOCK = re.compile(r"^```(\w*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)

# The commands that shell blocks may contain; other tests run these commands for real.
COMMANDS = re.compile(
    r"(pip install|make |git clone|grep |curl |uvicorn |export |python -m |[A-Z_]+="
    r"|pantheon-obs |docker compose logs |kubectl logs |source )"
)


class Block(NamedTuple):
    """A fenced code block."""

    language: str
    text: str
    file: str  # the name that the sentence before it gives; empty without one


def blocks(page: Path, *languages: str) -> list[Block]:
    """Find the page's code blocks in these languages."""
    text = page.read_text()
    found = []
    for match in BLOCK.finditer(text):
        named = FILE.search(text, 0, match.start())
        found.append(Block(match[1], match[2], named[1] if named else ""))
    return [block for block in found if block.language in languages]


def program_of(page: Path) -> str:
    """Join the Python blocks of a page, without those for the end of files of a Django project."""
    shown = [block for block in blocks(page, "python") if block.file not in OF_A_PROJECT]
    return "\n\n".join(block.text for block in shown)


def pages_with(*languages: str) -> list[Path]:
    """Find the pages that have code blocks in these languages."""
    return [page for page in PAGES if blocks(page, *languages)]


@pytest.mark.usefixtures("unmeasured")
@pytest.mark.parametrize(
    "page",
    [page for page in pages_with("python") if page.name in OF_THE_CHECKOUT],
    ids=lambda page: page.name,
)
def test_python_blocks_run_in_the_order_of_their_page(page: Path, tmp_path: Path) -> None:
    """test_documentation_alone.py runs the other pages, with the packages that they install."""
    script = tmp_path / "page.py"
    script.write_text(program_of(page))

    run = subprocess.run(
        [sys.executable, script],
        capture_output=True,
        text=True,
        timeout=SECONDS,
        check=False,
        cwd=tmp_path,
    )

    assert (0, "") == (run.returncode, run.stderr)


@pytest.mark.parametrize("page", pages_with("json"), ids=lambda page: page.name)
def test_json_lines_in_the_pages_fit_the_schema(page: Path) -> None:
    """A JSON log line on a page is valid by the schema."""
    for block in blocks(page, "json"):
        for text in block.text.splitlines():
            validate_line(json.loads(text))


@pytest.mark.parametrize("page", pages_with("sh", "console"), ids=lambda page: page.name)
def test_shell_blocks_say_only_commands_that_exist(page: Path) -> None:
    """Shell blocks are short and use the project's own commands."""
    for block in blocks(page, "sh", "console"):
        for line in block.text.splitlines():
            assert not line or line.startswith(("#", " ")) or COMMANDS.match(line), line


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_no_block_is_left_unchecked(page: Path) -> None:
    """Each block names a language that one of these tests checks, or is plain output."""
    languages = {language for language, _ in BLOCK.findall(page.read_text())}

    assert languages <= {"python", "json", "sh", "console", "text"}


@pytest.mark.parametrize("page", PROSE, ids=lambda page: page.name)
def test_links_between_pages_lead_somewhere(page: Path) -> None:
    """A relative link names a file of the project, and a heading of that file."""
    links = re.findall(r"\]\((?!https?://)([^)#]*)(?:#([^)]+))?\)", page.read_text())

    for name, heading in links:
        target = page.parent / name if name else page
        assert target.exists(), name
        assert not heading or heading in anchors(target), f"{name}#{heading}"


def anchors(page: Path) -> set[str]:
    """Find the names of a page's headings, as GitHub makes them for links."""
    headings = re.findall(r"^#+ (.+)$", BLOCK.sub("", page.read_text()), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


@pytest.mark.parametrize("page", PROSE, ids=lambda page: page.name)
def test_prose_keeps_to_the_line_width_of_the_code(page: Path) -> None:
    """A line of prose has at most 100 characters; tables and code blocks may be longer."""
    lines = BLOCK.sub("", page.read_text()).splitlines()

    assert [] == [line for line in lines if len(line) > WIDTH and not line.startswith("|")]


@pytest.mark.parametrize("folder", ["src", "tests", "bench", "examples"])
def test_docstrings_say_what_their_object_does(folder: str) -> None:
    """No docstring begins with a pronoun or conjunction in the place of a subject."""
    found = [
        f"{path.relative_to(ROOT)}:{node.body[0].lineno}: {text}"
        for path in sorted((ROOT / folder).rglob("*.py"))
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, DOCUMENTED)
        if RIDDLE.match(text := ast.get_docstring(node) or "")
    ]

    assert [] == found


def test_the_tests_that_the_hand_off_names_exist() -> None:
    """Each of its proofs can be run; `::name` is another test of the file named before."""
    page = (ROOT / "docs" / "sprint_week24_handoff.md").read_text()
    named = re.findall(r"`(tests/[\w/]+\.py)?(?:::\w+)*::(test_\w+)`", page)

    assert named
    file = ""
    for other, name in named:
        file = other or file
        assert f"def {name}(" in (ROOT / file).read_text(), f"{file}::{name}"


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_source_files_that_a_page_names_exist(page: Path) -> None:
    """The path of a Python file leads to a file of the project or of the package."""
    named = re.findall(r"`([\w*]+/[\w*/]+\.py)`", BLOCK.sub("", page.read_text()))

    found = [name for top in (ROOT, PACKAGE) for name in named if any(top.glob(name))]
    assert [] == sorted(set(named) - set(found) - EXAMPLES)


class LenientChecker(doctest.OutputChecker):
    """Compares output only if an example shows some, because log lines may be printed."""

    def check_output(self, want: str, got: str, optionflags: int) -> bool:
        """Whether the output matches the example."""
        return not want or super().check_output(want, got, optionflags)


DJANGO = "pantheon_obs.adapters.django"
PROJECT = f"""
import doctest, importlib, pkgutil, sys
import django
from django.conf import settings
settings.configure(
    CACHES={{"default": {{"BACKEND": "django.core.cache.backends.locmem.LocMemCache"}}}},
    DATABASES={{"default": {{"ENGINE": "django.db.backends.sqlite3", "NAME": ":memory:"}}}},
    INSTALLED_APPS=["{DJANGO}"],
    MIDDLEWARE=["{DJANGO}.TraceIdMiddleware"],
)
django.setup()
package = importlib.import_module("{DJANGO}")
for info in [None, *pkgutil.iter_modules(package.__path__, "{DJANGO}.")]:
    module = importlib.import_module(info.name) if info else package
    results = doctest.testmod(module)
    assert not results.failed, module
"""


def test_docstring_examples_of_django_run() -> None:
    """The examples run in a Django project, because they need one."""
    pytest.importorskip("django")

    run = subprocess.run(
        [sys.executable, "-c", PROJECT],
        capture_output=True,
        text=True,
        timeout=SECONDS,
        check=False,
    )

    assert (0, "") == (run.returncode, run.stderr), run.stdout


def importable_modules() -> list[str]:
    """Find the modules of the package that can be imported; the others need an extra."""
    names = []
    for info in pkgutil.walk_packages(pantheon_obs.__path__, "pantheon_obs."):
        if info.name.startswith(DJANGO):
            continue
        try:
            importlib.import_module(info.name)
        except ImportError:
            continue
        names.append(info.name)
    return names


@pytest.mark.parametrize("name", importable_modules())
def test_docstring_examples_run(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    """The example in a docstring runs and prints the shown output."""
    runner = doctest.DocTestRunner(checker=LenientChecker(), verbose=False)
    for test in doctest.DocTestFinder().find(importlib.import_module(name)):
        if test.examples:
            runner.run(test)

    assert (0, "") == (runner.failures, capsys.readouterr().err)


@pytest.mark.parametrize("name", sorted(set(pantheon_obs.__all__) - {"__version__"}))
def test_every_public_name_has_a_docstring_with_an_example(name: str) -> None:
    """Each public name except the errors shows its use."""
    value = getattr(pantheon_obs, name)
    if isinstance(value, type) and issubclass(value, Exception):
        assert value.__doc__
    elif name != "current_trace_id":  # a ContextVar carries the standard library's docstring
        assert ">>>" in (value.__doc__ or "")
