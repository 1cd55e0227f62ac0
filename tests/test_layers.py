"""The rules of the house: who may import whom, read from the import statements themselves."""

from __future__ import annotations

import ast
import sys
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import pytest

if TYPE_CHECKING:
    from collections.abc import Iterator

PACKAGE = "pantheon_obs"
SOURCE = Path(__file__).parents[1] / "src" / PACKAGE

# `_instrument` puts the parts together and `testing` takes them apart again; `__init__` only says
# where the public names are.
SEES_ALL = {("__init__",), ("_instrument",), ("testing",)}
# What the others of its kind may use: the protocol a framework is served by, and redaction.
SHARED = {
    ("adapters", "asgi"),
    ("adapters", "routes"),
    ("adapters", "wsgi"),
    ("sinks", "redact"),
}
# Adapters that are imported by their framework or for an app of it, hence need not defer it.
OWN = {
    ("adapters", "celery"): {"celery"},
    ("adapters", "django"): {"django"},
    ("adapters", "gunicorn"): {"gunicorn"},
    ("adapters", "litestar"): {"litestar"},
    ("adapters", "quart"): {"quart", "werkzeug"},
}
# Those whose one line is no call of `instrument`: INSTALLED_APPS, gunicorn's --logger-class,
# instrument_celery().
SETS_UP = {
    ("adapters", "celery_install"),
    ("adapters", "django", "apps"),
    ("adapters", "gunicorn"),
}
PUBLIC = {("_instrument",), ("configure_logging",)}
# Django's own checks, and its views in front of them.
SHOW_HEALTH = {("adapters", "django", "health"), ("adapters", "django", "urls")}
# What is installed with the package. Whatever else isn't of the standard library is an extra.
DEPENDENCIES = {"asgiref", "orjson", "structlog"}


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


def unit(module: tuple[str, ...]) -> tuple[str, ...]:
    """Name the part a module belongs to: one adapter, one sink, or a room such as core.

    An adapter of several files has its name in front: `asgi_http` is part of `asgi`.
    """
    if module[0] in {"adapters", "sinks"}:
        return (module[0], *(name.partition("_")[0] for name in module[1:2]))
    return module[:1]


def may_import(importer: tuple[str, ...], imported: tuple[str, ...]) -> bool:
    """Tell whether the rules let one module of the package import another."""
    return (
        importer in SEES_ALL
        or imported[0] == "core"
        or unit(imported) == unit(importer)
        or (imported[0] == importer[0] and unit(imported) in SHARED)
        or (imported[0] == "health" and importer in SHOW_HEALTH)
        or (imported[:1] in PUBLIC and importer in SETS_UP)
    )


def violations(source: Path) -> list[str]:
    """Read a package's modules and say which imports break the rules."""
    found = []
    for path in sorted(source.rglob("*.py")):
        importer = path.relative_to(source).with_suffix("").parts
        for line, name, deferred in imports_in(ast.parse(path.read_text(encoding="utf-8"))):
            top, *rest = name.split(".")
            if top == PACKAGE:
                allowed = may_import(importer, tuple(rest or ["__init__"]))
            elif importer[0] == "core":
                allowed = top in sys.stdlib_module_names
            else:
                known = sys.stdlib_module_names | DEPENDENCIES | OWN.get(unit(importer), set())
                allowed = deferred or top in known
            if not allowed:
                found.append(f"{path.relative_to(source)}:{line}: {name}")
    return found


def test_dependencies_point_inwards() -> None:
    """No module of the package imports what its place in the house forbids."""
    assert [] == violations(SOURCE)


def test_the_checker_has_modules_to_read() -> None:
    """Each room named by the rules exists, so that none of them passes for want of modules."""
    rooms = {path.relative_to(SOURCE).parts[0] for path in SOURCE.rglob("*.py")}

    named = {"adapters", "core", "llm", "propagation", "sinks", "_instrument.py", "__init__.py"}
    assert named <= rooms


@pytest.mark.parametrize(
    ("module", "statement"),
    [
        pytest.param("core/context.py", "import structlog", id="core-imports-a-dependency"),
        pytest.param("core/context.py", "def f():\n    import orjson", id="core-imports-one-late"),
        pytest.param("core/context.py", "from pantheon_obs.sinks import redact", id="core-to-sink"),
        pytest.param("core/context.py", "from pantheon_obs import bind", id="core-to-root"),
        pytest.param("llm/call.py", "import pantheon_obs", id="llm-to-root"),
        pytest.param("core/context.py", "from ..sinks import redact", id="relative"),
        pytest.param("sinks/sentry.py", "from pantheon_obs.sinks.logs import x", id="sink-to-sink"),
        pytest.param("sinks/sentry.py", "import pantheon_obs.adapters.asgi", id="sink-to-adapter"),
        pytest.param("sinks/sentry.py", "import sentry_sdk", id="extra-at-import-time"),
        pytest.param("sinks/sentry.py", "class A:\n    import sentry_sdk", id="extra-in-a-class"),
        pytest.param(
            "sinks/sentry.py",
            "if TYPE_CHECKING:\n    pass\nelse:\n    import sentry_sdk",
            id="extra-when-not-type-checking",
        ),
        pytest.param(
            "adapters/asgi.py", "from pantheon_obs.sinks import redact", id="adapter-to-sink"
        ),
        pytest.param(
            "adapters/asgi.py", "from pantheon_obs.adapters.flask import x", id="adapter-to-adapter"
        ),
        pytest.param("adapters/flask.py", "import flask", id="framework-at-import-time"),
        pytest.param("adapters/quart.py", "import django", id="another's-framework"),
        pytest.param("adapters/asgi.py", "from pantheon_obs._instrument import x", id="to-the-top"),
        pytest.param("llm/call.py", "from pantheon_obs.sinks.logs import x", id="llm-to-sink"),
        pytest.param(
            "adapters/asgi.py", "from pantheon_obs.health import x", id="adapter-to-health"
        ),
        pytest.param(
            "health/checks.py", "from pantheon_obs.adapters import x", id="health-to-adapter"
        ),
        pytest.param(
            "propagation/clients.py", "from pantheon_obs.llm import x", id="propagation-to-llm"
        ),
        pytest.param("propagation/clients.py", "import httpx", id="client-library-at-import-time"),
        pytest.param(
            "llm/call.py",
            "if TYPE_CHECKING:\n    from pantheon_obs.sinks.logs import x",
            id="llm-to-sink-for-types",
        ),
    ],
)
def test_a_planted_violation_is_found(tmp_path: Path, module: str, statement: str) -> None:
    """The checker names the module that breaks a rule."""
    planted = tmp_path / module
    planted.parent.mkdir(parents=True)
    planted.write_text(statement, encoding="utf-8")

    [violation] = violations(tmp_path)

    assert violation.startswith(f"{module}:")


@pytest.mark.parametrize(
    ("module", "statement"),
    [
        pytest.param("core/context.py", "from contextvars import ContextVar", id="core-to-stdlib"),
        pytest.param("core/context.py", "from pantheon_obs.core.guard import x", id="core-to-core"),
        pytest.param("sinks/logs/a.py", "from pantheon_obs.sinks.logs.b import x", id="same-sink"),
        pytest.param("sinks/sentry.py", "from pantheon_obs.sinks.redact import x", id="redact"),
        pytest.param("sinks/logs/a.py", "import orjson", id="dependency"),
        pytest.param("sinks/sentry.py", "def f():\n    import sentry_sdk", id="extra-late"),
        pytest.param(
            "sinks/sentry.py", "if TYPE_CHECKING:\n    import sentry_sdk", id="extra-types"
        ),
        pytest.param("adapters/asgi.py", "from pantheon_obs.core import x", id="adapter-to-core"),
        pytest.param(
            "adapters/asgi.py", "from pantheon_obs.adapters.asgi_http import x", id="same-adapter"
        ),
        pytest.param(
            "adapters/starlette.py", "from pantheon_obs.adapters.asgi import x", id="protocol"
        ),
        pytest.param(
            "adapters/django/urls.py", "from pantheon_obs.health import x", id="django-to-health"
        ),
        pytest.param(
            "adapters/django/apps.py", "from pantheon_obs._instrument import x", id="django-app"
        ),
        pytest.param("adapters/django/apps.py", "import django", id="own-framework"),
        pytest.param("_instrument.py", "from pantheon_obs.sinks import logs", id="instrument"),
        pytest.param(
            "__init__.py", "from pantheon_obs.llm.call import llm_call", id="declarations"
        ),
    ],
)
def test_what_the_rules_allow_is_not_reported(tmp_path: Path, module: str, statement: str) -> None:
    """The checker is silent about an import that is as it should be."""
    planted = tmp_path / module
    planted.parent.mkdir(parents=True, exist_ok=True)
    planted.write_text(statement, encoding="utf-8")

    assert [] == violations(tmp_path)
