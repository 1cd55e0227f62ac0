"""The rules of CONTRIBUTING about imports and modules, checked in the source itself."""

from __future__ import annotations

import ast
import re
import sys
from fnmatch import fnmatch
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import pytest

from pantheon_obs.llm.sdks import SDKS
from pantheon_obs.products import PRODUCTS

if TYPE_CHECKING:
    from collections.abc import Iterator

PACKAGE = "pantheon_obs"
SOURCE = Path(__file__).parents[1] / "src" / PACKAGE
LONGEST = 250  # lines of a module

BELOW = ("core", "products")
ROOMS = ("llm", "time", "health", "propagation")  # none of them imports another

# The one list of what may import what. Every part may import itself and nothing that is not named.
MAY_IMPORT: dict[str, tuple[str, ...]] = {
    "core": (),
    "products": (),
    "_version": (),
    **dict.fromkeys(ROOMS, BELOW),
    # Each sink is a part of its own; redaction is the one helper that they share.
    "sinks.*": (*BELOW, "sinks.redact"),
    "_setup": (*BELOW, *ROOMS, "sinks.*"),
    # Each adapter is a part of its own; frameworks build on the adapters of their protocols.
    "adapters.*": (*BELOW, *ROOMS, "_setup", "adapters.asgi", "adapters.wsgi", "adapters.routes"),
    "_instrument": (*BELOW, *ROOMS, "sinks.*", "_setup", "adapters.*"),
    "apps": ("adapters.django",),  # what Django finds where the package stands for its app
    "cli": (*BELOW, "_version"),
    "__main__": ("cli",),
    # It examines an application that `instrument` has set up.
    "cli.doctor": (
        *BELOW,
        *ROOMS,
        "sinks.*",
        "_setup",
        "adapters.*",
        "_instrument",
        "cli",
        "_version",
    ),
    "testing": ("*",),
    "__init__": ("*",),
    "_elsewhere": ("products",),
}
# The layers of `llm`, the lowest first: a file imports only from its own and those below.
LLM = (
    ("sdks", "replaced_code"),
    ("usage",),
    ("options", "hosts", "nesting", "cancellations"),
    ("cost",),
    ("progress", "report"),
    ("observe",),
    ("with_block", "call"),
    ("every_client", "one_client", "instrument", "__init__"),
)
HEIGHTS = {name: height for height, names in enumerate(LLM) for name in names}
# The packages that a part imports at the top of a module: those installed with the library, and for
# adapters that only an application with the framework imports the framework itself.
DEPENDENCIES = {"asgiref", "orjson", "structlog"}
OWN = {
    "core": set[str](),
    "products": set[str](),
    "apps": {"django"} | DEPENDENCIES,
    "adapters.celery": {"celery", "billiard"} | DEPENDENCIES,
    "adapters.django": {"django"} | DEPENDENCIES,
    "adapters.grpc": {"grpc"} | DEPENDENCIES,
    "adapters.gunicorn": {"gunicorn"} | DEPENDENCIES,
    "adapters.litestar": {"litestar"} | DEPENDENCIES,
    "adapters.quart": {"quart", "werkzeug"} | DEPENDENCIES,
    "adapters.starlette": {"starlette"} | DEPENDENCIES,
}
OTHERS = {"eventlet", "gevent", "opentelemetry", "sentry", "structlog"}
PRODUCT_NAMES = re.compile(
    r"(?i)\b({})\b".format(
        "|".join({row.name for row in PRODUCTS} | {row.package for row in SDKS} | OTHERS)
    )
)


class Import(NamedTuple):
    """A module, or a member of one, that an import statement names."""

    line: int
    name: str
    deferred: bool  # inside a function, or for type checkers only


def imports_in(node: ast.AST, *, deferred: bool = False) -> Iterator[Import]:
    """List every import below a node, wherever it stands."""
    in_function = isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
    for_types = isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING"
    for child in ast.iter_child_nodes(node):
        later = deferred or in_function or (for_types and child in node.body)
        if isinstance(child, ast.Import):
            for alias in child.names:
                yield Import(child.lineno, alias.name, later)
        elif isinstance(child, ast.ImportFrom):
            origin = "." * child.level + (child.module or "")
            for alias in child.names:
                yield Import(child.lineno, f"{origin}.{alias.name}", later)
        else:
            yield from imports_in(child, deferred=later)


def imports_of(path: Path) -> Iterator[Import]:
    """List the imports of a file."""
    return imports_in(ast.parse(path.read_text(encoding="utf-8")))


def part(module: tuple[str, ...]) -> str:
    """Name the part that a module belongs to: one adapter, one sink, or a room such as core.

    A part of several files has its name in front: `asgi_exchange` belongs to `asgi`.
    """
    if ".".join(module).startswith("cli.doctor"):
        return "cli.doctor"
    if module[0] in {"adapters", "sinks"}:
        return ".".join((module[0], *(name.partition("_")[0] for name in module[1:2])))
    return module[0]


def rule_of(name: str) -> tuple[str, ...]:
    """Look up a part in the list; an empty package belongs to its parts."""
    found = [allowed for pattern, allowed in MAY_IMPORT.items() if fnmatch(name, pattern)]
    return found[0] if found else ()


def may_import(importer: str, imported: str) -> bool:
    """Tell whether the list lets one part import another."""
    return imported == importer or any(fnmatch(imported, pattern) for pattern in rule_of(importer))


def height(module: tuple[str, ...], of_unknown: int) -> int:
    """Return the layer of a module of `llm`."""
    return HEIGHTS.get(module[1] if len(module) > 1 else "__init__", of_unknown)


def climbs(importer: tuple[str, ...], imported: tuple[str, ...]) -> bool:
    """Tell whether a file of `llm` imports a higher layer, or one of the two is in no layer."""
    in_room = importer[0] == "llm" == imported[0]
    return in_room and height(imported, len(LLM)) > height(importer, -1)


def violations(source: Path) -> list[str]:
    """Find the imports of a package that break the rules."""
    found = []
    for path in sorted(source.rglob("*.py")):
        module = path.relative_to(source).with_suffix("").parts
        importer = part(module)
        for line, name, deferred in imports_of(path):
            top, *rest = name.split(".")
            if top == PACKAGE:
                imported = tuple(rest or ["__init__"])
                is_allowed = may_import(importer, part(imported)) and not climbs(module, imported)
            else:
                known = OWN.get(importer, DEPENDENCIES) | sys.stdlib_module_names
                is_allowed = top in known or (deferred and importer not in BELOW)
            if not is_allowed:
                found.append(f"{path.relative_to(source)}:{line}: {name}")
    return found


def graph_of(source: Path) -> dict[str, set[str]]:
    """Map each file to the files that it imports, in functions and for type checkers, too.

    `from package import module` imports the package's `__init__` as well. The imports of the root
    package are left out: they are a table of names that are looked up when they are used.
    """
    files: dict[tuple[str, ...], str] = {
        (PACKAGE, *path.relative_to(source).with_suffix("").parts): str(path.relative_to(source))
        for path in source.rglob("*.py")
    }

    def imported_by(name: str) -> Iterator[str]:
        names = tuple(name.split("."))
        for length in range(max(1, len(names) - 1), len(names) + 1):
            for module in (names[:length], (*names[:length], "__init__")):
                if module in files:
                    yield files[module]

    return {
        file: {
            target
            for line, name, _ in imports_of(source / file)
            for target in imported_by(name)
            if file not in (target, "__init__.py")
        }
        for file in files.values()
    }


def cycles(graph: dict[str, set[str]]) -> list[list[str]]:
    """Find the groups of files that import one another, directly or through others."""

    def reachable(start: str) -> set[str]:
        found: set[str] = set()
        waiting = [start]
        while waiting:
            new = graph[waiting.pop()] - found
            found |= new
            waiting += new
        return found

    reach = {file: reachable(file) for file in graph}
    groups = {
        tuple(sorted(other for other in graph if file in reach[other] and other in reach[file]))
        for file in graph
    }
    return sorted([*group] for group in groups if group)


def products_named_in(source: Path) -> list[str]:
    """Find the lines of core that name a product."""
    return [
        f"{path.relative_to(source)}:{number}: {line.strip()}"
        for path in sorted((source / "core").rglob("*.py"))
        for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1)
        if PRODUCT_NAMES.search(line)
    ]


def facts_of_core(source: Path) -> set[str]:
    """Name the attributes of core's traces, exchanges and failures."""
    trees = [ast.parse(path.read_text(encoding="utf-8")) for path in source.glob("core/*.py")]
    classes = [node for tree in trees for node in ast.walk(tree) if isinstance(node, ast.ClassDef)]
    names = {"Trace", "Facts", "Failure"}
    for _ in classes:  # the longest way from a class to its first ancestor
        names |= {each.name for each in classes if names & set(map(ast.unparse, each.bases))}
    chosen = [each for each in classes if each.name in names]
    return {
        node.id
        for each in chosen
        for statement in each.body
        if isinstance(statement, ast.Assign | ast.AnnAssign)
        for node in ast.walk(statement)
        if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store)
    } | {name for each in chosen for _, name in assigned_in(each)}


def assigned_in(tree: ast.AST) -> list[tuple[int, str]]:
    """List the attributes that are assigned or deleted, with their lines."""
    return sorted(
        (node.lineno, node.attr)
        for node in ast.walk(tree)
        if isinstance(node, ast.Attribute) and not isinstance(node.ctx, ast.Load)
    )


def facts_set_by_adapters(source: Path) -> list[str]:
    """Find the places where an adapter sets a fact of core, in place of reporting it."""
    facts = facts_of_core(source)
    return [
        f"{path.relative_to(source)}:{line}: {name}"
        for path in sorted((source / "adapters").rglob("*.py"))
        for line, name in assigned_in(ast.parse(path.read_text(encoding="utf-8")))
        if name in facts
    ]


def plant(source: Path, module: str, text: str) -> None:
    """Write a module into an empty package."""
    planted = source / module
    planted.parent.mkdir(parents=True, exist_ok=True)
    planted.write_text(text, encoding="utf-8")


def test_dependencies_point_inwards() -> None:
    """Each module imports only modules that the list allows."""
    assert [] == violations(SOURCE)


def test_no_file_imports_itself_through_others() -> None:
    """The import graph of files has no cycle."""
    assert [] == cycles(graph_of(SOURCE))


def test_no_module_is_long() -> None:
    """Each module has at most 250 lines."""
    lengths = {
        str(path.relative_to(SOURCE)): len(path.read_text(encoding="utf-8").splitlines())
        for path in SOURCE.rglob("*.py")
    }

    assert {} == {module: length for module, length in lengths.items() if length > LONGEST}


def test_core_names_no_product() -> None:
    """Code, docstrings and comments of core name no framework, server, SDK or back-end."""
    assert [] == products_named_in(SOURCE)


def test_adapters_report_facts_and_set_none() -> None:
    """No adapter assigns an attribute of a trace, exchange or failure: core does."""
    assert [] == facts_set_by_adapters(SOURCE)


def test_the_checker_has_modules_to_read() -> None:
    """Each room that is written exists, so that the tests above have read it."""
    rooms = {path.relative_to(SOURCE).parts[0] for path in SOURCE.rglob("*.py")}

    named = {"adapters", "core", "health", "llm", "propagation", "sinks", "time"}
    assert named | {"_instrument.py", "_setup.py", "__init__.py", "products.py"} <= rooms


@pytest.mark.parametrize(
    ("module", "statement"),
    [
        pytest.param("core/context.py", "import structlog", id="core-imports-a-dependency"),
        pytest.param("core/context.py", "def f():\n    import orjson", id="core-imports-one-late"),
        pytest.param("core/context.py", "from pantheon_obs.sinks import redact", id="core-to-sink"),
        pytest.param("core/context.py", "from pantheon_obs import bind", id="core-to-root"),
        pytest.param("core/a.py", "from pantheon_obs.products import x", id="core-to-products"),
        pytest.param("core/context.py", "from ..sinks import redact", id="relative"),
        pytest.param("products.py", "from pantheon_obs.core import x", id="products-to-core"),
        pytest.param("llm/call.py", "import pantheon_obs", id="llm-to-root"),
        pytest.param("llm/call.py", "from pantheon_obs.sinks.logs import x", id="llm-to-sink"),
        pytest.param(
            "llm/call.py",
            "if TYPE_CHECKING:\n    from pantheon_obs.sinks.logs import x",
            id="llm-to-sink-for-types",
        ),
        pytest.param("llm/call.py", "from pantheon_obs.health import x", id="room-to-room"),
        pytest.param(
            "sinks/sentry/start.py", "from pantheon_obs.sinks.logs import x", id="sink-to-sink"
        ),
        pytest.param(
            "sinks/sentry/start.py", "import pantheon_obs.adapters.asgi", id="sink-to-adapter"
        ),
        pytest.param("sinks/sentry/start.py", "import sentry_sdk", id="extra-at-import-time"),
        pytest.param(
            "sinks/sentry/start.py", "class A:\n    import sentry_sdk", id="extra-in-a-class"
        ),
        pytest.param(
            "sinks/sentry/start.py",
            "if TYPE_CHECKING:\n    pass\nelse:\n    import sentry_sdk",
            id="extra-when-not-type-checking",
        ),
        pytest.param("_setup.py", "from pantheon_obs.adapters import x", id="setup-to-adapter"),
        pytest.param("adapters/a.py", "from pantheon_obs.sinks import redact", id="to-sink"),
        pytest.param("adapters/a.py", "from pantheon_obs import configure_logging", id="to-root"),
        pytest.param("adapters/asgi.py", "from pantheon_obs.adapters.flask import x", id="adapter"),
        pytest.param("adapters/flask.py", "import flask", id="framework-at-import-time"),
        pytest.param("adapters/quart.py", "import django", id="another's-framework"),
        pytest.param("adapters/asgi.py", "from pantheon_obs._instrument import x", id="to-the-top"),
        pytest.param("health/checks.py", "from pantheon_obs.adapters import x", id="to-adapter"),
        pytest.param("propagation/a.py", "from pantheon_obs.llm import x", id="propagation-to-llm"),
        pytest.param("propagation/a.py", "import httpx", id="client-library-at-import-time"),
        pytest.param("cli/story.py", "from pantheon_obs.sinks.logs import x", id="cli-to-sink"),
        pytest.param("llm/usage/a.py", "from pantheon_obs.llm.report import x", id="llm-upwards"),
        pytest.param("llm/cost/a.py", "from pantheon_obs.llm import observe", id="llm-to-room"),
        pytest.param("llm/call.py", "from pantheon_obs.llm import instrument_llm", id="llm-to-all"),
        pytest.param("llm/a.py", "from pantheon_obs.llm.sdks import x", id="llm-in-no-layer"),
        pytest.param("llm/call.py", "from pantheon_obs.llm.a import x", id="llm-to-no-layer"),
        pytest.param("new_room/a.py", "from pantheon_obs.core import x", id="not-in-the-list"),
    ],
)
def test_a_planted_violation_is_found(tmp_path: Path, module: str, statement: str) -> None:
    """The checker names the module that breaks a rule."""
    plant(tmp_path, module, statement)

    [violation] = violations(tmp_path)

    assert violation.startswith(f"{module}:")


@pytest.mark.parametrize(
    ("module", "statement"),
    [
        pytest.param("core/context.py", "from contextvars import ContextVar", id="core-to-stdlib"),
        pytest.param("core/context.py", "from pantheon_obs.core.guard import x", id="core-to-core"),
        pytest.param("products.py", "from typing import Any", id="products-to-stdlib"),
        pytest.param("sinks/logs/a.py", "from pantheon_obs.sinks.logs.b import x", id="same-sink"),
        pytest.param(
            "sinks/sentry/start.py", "from pantheon_obs.sinks.redact.redactor import x", id="redact"
        ),
        pytest.param("sinks/sentry/start.py", "from pantheon_obs.products import x", id="products"),
        pytest.param("sinks/logs/a.py", "import orjson", id="dependency"),
        pytest.param("sinks/sentry/start.py", "def f():\n    import sentry_sdk", id="extra-late"),
        pytest.param("sinks/a.py", "if TYPE_CHECKING:\n    import sentry_sdk", id="extra-types"),
        pytest.param("_setup.py", "from pantheon_obs.sinks.logs import x", id="setup-to-sink"),
        pytest.param("llm/call.py", "from pantheon_obs.llm.usage.sources import x", id="llm-down"),
        pytest.param("llm/cost/a.py", "from pantheon_obs.llm.cost.b import x", id="llm-layer"),
        pytest.param("adapters/asgi.py", "from pantheon_obs import _setup", id="adapter-to-setup"),
        pytest.param("adapters/a.py", "from pantheon_obs.adapters.a_http import x", id="same"),
        pytest.param("adapters/a.py", "from pantheon_obs.adapters.asgi import x", id="protocol"),
        pytest.param("adapters/a.py", "from pantheon_obs.health import x", id="adapter-to-health"),
        pytest.param("adapters/django/apps.py", "import django", id="own-framework"),
        pytest.param("_instrument.py", "from pantheon_obs.sinks import logs", id="instrument"),
        pytest.param("cli/doctor/command.py", "from pantheon_obs._setup import x", id="doctor"),
        pytest.param("__init__.py", "from pantheon_obs.llm.call import x", id="declarations"),
        pytest.param("testing.py", "from pantheon_obs.sinks.logs import x", id="testing"),
    ],
)
def test_an_allowed_import_is_not_reported(tmp_path: Path, module: str, statement: str) -> None:
    """The checker is silent about an import that the list allows."""
    plant(tmp_path, module, statement)

    assert [] == violations(tmp_path)


@pytest.mark.parametrize(
    "back",
    [
        pytest.param("from pantheon_obs.a import x", id="at-import-time"),
        pytest.param("def f():\n    import pantheon_obs.a", id="in-a-function"),
        pytest.param("if TYPE_CHECKING:\n    from pantheon_obs.a import x", id="for-types"),
        pytest.param("from pantheon_obs import a", id="module-of-a-package"),
    ],
)
def test_a_planted_cycle_is_found(tmp_path: Path, back: str) -> None:
    """The checker names all files of a cycle."""
    plant(tmp_path, "a.py", "from pantheon_obs.b import x")
    plant(tmp_path, "b.py", "from pantheon_obs.c import x")
    plant(tmp_path, "c.py", back)
    plant(tmp_path, "d.py", "from pantheon_obs.a import x")

    assert [["a.py", "b.py", "c.py"]] == cycles(graph_of(tmp_path))


def test_a_module_that_is_imported_from_its_package_imports_the_package(tmp_path: Path) -> None:
    """The package's `__init__` runs first, and must not import its importer."""
    plant(tmp_path, "room/__init__.py", "from pantheon_obs.room.a import x")
    plant(tmp_path, "room/a.py", "from pantheon_obs.room import b")
    plant(tmp_path, "room/b.py", "")

    assert [["room/__init__.py", "room/a.py"]] == cycles(graph_of(tmp_path))


def test_the_table_of_the_root_package_makes_no_cycle(tmp_path: Path) -> None:
    """Its names are looked up when they are used."""
    plant(tmp_path, "__init__.py", "if TYPE_CHECKING:\n    from pantheon_obs.a import x")
    plant(tmp_path, "a.py", "from pantheon_obs import b")
    plant(tmp_path, "b.py", "")

    assert [] == cycles(graph_of(tmp_path))


def test_a_product_that_core_names_is_found(tmp_path: Path) -> None:
    """A comment counts; the name of a setting does not."""
    plant(tmp_path, "core/a.py", "sentry_dsn = 1\n# as Django does\n")

    assert ["core/a.py:2: # as Django does"] == products_named_in(tmp_path)


def test_a_fact_that_an_adapter_sets_is_found(tmp_path: Path) -> None:
    """One that a class of core declares, or assigns in a method; others are the adapter's own."""
    plant(tmp_path, "core/a.py", "class Facts:\n    gone: bool = False\n    left = False")
    plant(tmp_path, "core/b.py", "class Both(Facts, A):\n    def f(self):\n        self.size = 1")
    plant(tmp_path, "core/c.py", "class Other:\n    own = 1")
    plant(
        tmp_path,
        "adapters/a.py",
        "x.gone = x.own = x.left\nx.y, x.left = 1, 2\nx.size += 1\ndel x.gone",
    )

    found = ["1: gone", "2: left", "3: size", "4: gone"]
    assert [f"adapters/a.py:{each}" for each in found] == facts_set_by_adapters(tmp_path)
