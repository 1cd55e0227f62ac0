"""`import pantheon_obs` costs next to nothing, and every public name is found when touched."""

from __future__ import annotations

import json
import os
import subprocess
import sys

import pytest

import pantheon_obs

PUBLIC = {
    "ConfigError",
    "MissingExtraError",
    "ObsError",
    "Settings",
    "TraceIdMiddleware",
    "bind",
    "configure_logging",
    "current_trace_id",
    "get_logger",
    "init_sentry",
    "instrument",
    "instrument_llm",
    "llm_call",
    "logging_config",
    "trace_context",
}
FRAMEWORKS = {"fastapi", "sentry_sdk", "starlette", "uvicorn"}


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


def test_importing_everything_loads_no_framework() -> None:
    """A star import works without any extra, and touching all names loads no framework."""
    loaded = modules_after("from pantheon_obs import *")

    assert set() == loaded & FRAMEWORKS


def test_the_public_names_are_all_there() -> None:
    """Every published name is kept."""
    assert set() == PUBLIC - set(pantheon_obs.__all__)


@pytest.mark.parametrize("name", pantheon_obs.__all__)
def test_a_public_name_resolves(name: str) -> None:
    """Each name of `__all__` gives a value when touched first, and the same one ever after."""
    run_isolated(f"import pantheon_obs as obs; assert obs.{name} is obs.{name}")


def test_a_typo_is_an_attribute_error() -> None:
    """A missing name raises the error of any other module."""
    with pytest.raises(AttributeError, match="module 'pantheon_obs' has no attribute 'instrumnet'"):
        _ = pantheon_obs.instrumnet  # type: ignore[attr-defined]


def test_the_names_are_listed_before_they_are_touched() -> None:
    """`dir()`, and so completion in a shell, knows the lazy names."""
    listed = json.loads(
        run_isolated("import json, pantheon_obs; print(json.dumps(dir(pantheon_obs)))")
    )

    assert set() == PUBLIC - set(listed)
    assert set() == PUBLIC - set(dir(pantheon_obs))
