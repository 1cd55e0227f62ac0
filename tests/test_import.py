"""`import pantheon_obs` costs next to nothing, and every public name is found when touched."""

from __future__ import annotations

import importlib.util
import json
import os
import pkgutil
import re
import subprocess
import sys
from pathlib import Path

import pytest

import pantheon_obs
from pantheon_obs import _elsewhere, health, llm, propagation, testing
from pantheon_obs.products import PRODUCTS
from tests.conftest import EXTRAS

PUBLIC = {
    "ConfigError",
    "MissingExtraError",
    "ObsError",
    "Settings",
    "TraceIdMiddleware",
    "TracedThreadPoolExecutor",
    "bind",
    "carry",
    "configure_logging",
    "current_trace_id",
    "extract",
    "get_logger",
    "init_sentry",
    "inject",
    "instrument",
    "instrument_llm",
    "llm_call",
    "logging_config",
    "propagate",
    "trace_context",
}
# Importable from the package, but not with a star: they need another package when they are called.
BY_NAME = {"instrument_celery", "psycopg_check", "redis_check", "sqlalchemy_check"}
CLIENTS = {"aiohttp", "psycopg", "redis", "requests", "sqlalchemy"}
OTHERS = CLIENTS | {row.name for row in PRODUCTS} | set(EXTRAS)
README = (Path(__file__).parents[1] / "README.md").read_text()


def run_isolated(code: str) -> str:
    """Run code in a fresh interpreter, away from this directory; return what it printed.

    Coverage would load modules of its own there, so it is kept out.
    """
    environ = {name: value for name, value in os.environ.items() if "COVERAGE" not in name}
    done = subprocess.run(
        [sys.executable, "-I", "-W", "error", "-c", code],
        env=environ,
        capture_output=True,
        text=True,
        check=False,
    )
    assert 0 == done.returncode, done.stderr
    return done.stdout


def modules_after(statement: str) -> set[str]:
    """List the modules that a fresh interpreter has loaded after a statement."""
    return set(
        json.loads(
            run_isolated(f"{statement}\nimport json, sys; print(json.dumps([*sys.modules]))")
        )
    )


def test_importing_the_package_loads_nothing_else() -> None:
    """A bare import brings the package itself: no framework, no back-end, not even asyncio."""
    loaded = modules_after("import pantheon_obs") - modules_after(
        "from __future__ import annotations"
    )

    assert {"pantheon_obs"} == {name.partition(".")[0] for name in loaded}


def test_importing_everything_loads_no_framework_and_no_client() -> None:
    """A star import works without any extra; touching all names loads no framework or client."""
    statement = f"from pantheon_obs import *; from pantheon_obs import {', '.join(BY_NAME)}"
    loaded = modules_after(statement)

    assert set() == {name.partition(".")[0] for name in loaded} & OTHERS


def test_the_public_names_are_all_there() -> None:
    """Every published name is kept."""
    assert set() == PUBLIC - set(pantheon_obs.__all__)


def test_a_star_import_brings_only_names_that_need_no_other_package() -> None:
    """The others are found by their names."""
    assert set() == BY_NAME & set(pantheon_obs.__all__)
    assert set() == BY_NAME - set(dir(pantheon_obs))


def test_every_function_of_the_readme_is_importable_from_the_package() -> None:
    """A reader of the README need not look for the module of a name."""
    rooms = (health, llm, propagation)
    known = {name for room in rooms for name in room.__all__} | PUBLIC | BY_NAME
    named = set(re.findall(r"\b(\w+)(?=\()|@(\w+)", README))
    used = {name for names in named for name in names} & known

    assert {"propagate", "instrument_celery", "sqlalchemy_check", "llm_call"} <= used
    assert set() == used - set(dir(pantheon_obs))


@pytest.mark.parametrize("name", [*pantheon_obs.__all__, *sorted(BY_NAME)])
def test_a_public_name_resolves(name: str) -> None:
    """Each name of `__all__` gives a value when touched first, and the same one ever after."""
    run_isolated(f"import pantheon_obs as obs; assert obs.{name} is obs.{name}")


def test_every_module_that_is_reset_exists() -> None:
    """Of a module that is not loaded there is nothing to reset, so a wrong name would go unseen."""
    names = testing._RESET_IF_LOADED  # noqa: SLF001 - there is no other list

    found = {name for name in names if importlib.util.find_spec(f"pantheon_obs.{name}")}

    assert set(names) == found


def test_a_typo_is_an_attribute_error() -> None:
    """A missing name raises the error of any other module."""
    with pytest.raises(AttributeError, match="module 'pantheon_obs' has no attribute 'instrumnet'"):
        _ = pantheon_obs.instrumnet  # type: ignore[attr-defined]
    with pytest.raises(AttributeError, match="propagation' has no attribute 'propogate'"):
        _ = propagation.propogate  # type: ignore[attr-defined]


def test_the_names_are_listed_before_they_are_touched() -> None:
    """`dir()`, and so completion in a shell, knows the lazy names."""
    listed = json.loads(
        run_isolated("import json, pantheon_obs; print(json.dumps(dir(pantheon_obs)))")
    )

    assert set() == PUBLIC - set(listed)
    assert set() == PUBLIC - set(dir(pantheon_obs))
    assert set() == set(propagation.__all__) - set(dir(propagation))


def test_tracing_requests_loads_no_part_that_carries_a_trace_elsewhere() -> None:
    """Services that call no other service do not wait for it; its names are there all the same."""
    loaded = modules_after("import pantheon_obs.adapters.asgi")

    assert (
        set() == {f"pantheon_obs.propagation.{name}" for name in ("clients", "executors")} & loaded
    )
    run_isolated("from pantheon_obs.propagation import *; carry, extract, inject, propagate")


GUESSES = sorted({*_elsewhere._INSTEAD, "instrument_fastapi"})  # noqa: SLF001


def is_there(module: str) -> bool:
    """Whether a file of the package stands for a module."""
    path = Path(pantheon_obs.__file__).parent.joinpath(*module.split(".")[1:])
    return path.is_dir() or path.with_suffix(".py").is_file()


@pytest.mark.parametrize(
    ("package", "name"),
    [
        (package, name)
        for package in ("pantheon_obs", "pantheon_obs.adapters")
        for name in GUESSES
        if not is_there(f"{package}.{name}")
    ],
)
def test_the_error_for_a_guessed_name_says_what_to_write(package: str, name: str) -> None:
    """However it is imported, and wherever it is looked for; the imports that it names work."""
    module = f"{package}.{name}"
    messages = set()
    for statement in (
        f"import {module}",
        f"from {module} import x",
        f"from {package} import {name}",
    ):
        with pytest.raises(ImportError) as refused:
            exec(statement, {})  # noqa: S102 - the three ways to write it
        messages.add(str(refused.value))

    [message] = messages
    assert message.startswith(f"{module} does not exist: use ")
    instead = re.findall(r"'(from [^']+)'", message)
    assert instead
    for statement in instead:
        if ".adapters.django" in statement:
            pytest.importorskip("django")
        exec(statement, {})  # noqa: S102 - as above
    assert not hasattr(pantheon_obs, name)


def test_the_frameworks_of_the_readme_are_among_the_guesses() -> None:
    """Each has its error, and so has the module in which other packages keep their middleware."""
    [sentence] = re.findall(r"The library works with (.*) and plain", README)
    frameworks = {name.lower() for name in re.findall(r"\w+", sentence)}

    assert {"fastapi", "django"} <= frameworks
    assert set() == (frameworks | {"celery", "middleware"}) - set(GUESSES)


@pytest.mark.parametrize("package", ["pantheon_obs.adapters", "pantheon_obs.health"])
def test_a_public_name_that_is_looked_for_in_another_package_is_found_in_ours(package: str) -> None:
    """A reader of docs/health.md may expect `instrument` beside the checks."""
    message = f"{package}.instrument does not exist: use 'from pantheon_obs import instrument'"
    with pytest.raises(ImportError, match=re.escape(message)):
        exec(f"from {package} import instrument", {})  # noqa: S102 - the import is the test


@pytest.mark.parametrize("statement", ["import pantheon_obs.nowhere", "import pantheon_nowhere"])
def test_a_module_that_nobody_guesses_has_pythons_own_error(statement: str) -> None:
    """Neither is a module of another package any business of ours."""
    name = statement.rsplit(maxsplit=1)[-1]
    with pytest.raises(ModuleNotFoundError, match=re.escape(f"No module named {name!r}")):
        exec(statement, {})  # noqa: S102 - as above


def test_looking_for_a_guessed_module_does_not_raise() -> None:
    """Tools that look for submodules go on, and only an import says where the name is."""
    assert importlib.util.find_spec("pantheon_obs.fastapi") is not None
    assert importlib.util.find_spec("pantheon_obs.nowhere") is None
    modules = {module.name for module in pkgutil.iter_modules(pantheon_obs.__path__)}
    assert "testing" in modules
    assert "fastapi" not in modules
