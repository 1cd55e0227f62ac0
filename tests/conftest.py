"""Skip tests whose extra is not installed, reset the library after each; the shared fixtures."""

from __future__ import annotations

import gc
import logging
import os
import signal
from collections import Counter
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, TypeVar

import pytest
from hypothesis import HealthCheck, settings

from examples.databases import Database, MissingProgramError, Postgres, Redis
from pantheon_obs import configure_logging, testing
from tests.support.lines import validate_line
from tests.support.state import changes, state

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from pathlib import Path

# To collect the tests loads all libraries, and leaves little garbage.
gc.disable()
# bench/ measures speed. Here a slow first example is no failure: hypothesis builds its tables of
# characters in it.
# The suite's examples are the same in each run; `make fuzz` tries others, and many of them.
settings.register_profile(
    "suite", deadline=None, derandomize=True, suppress_health_check=[HealthCheck.too_slow]
)
settings.register_profile(
    "fuzz", deadline=None, max_examples=20_000, suppress_health_check=[HealthCheck.too_slow]
)
settings.load_profile("suite")

# logfire, with which some tests instrument, is a plugin of pydantic: it would be imported in every
# process that has a model, unlike in services of our users.
os.environ["PYDANTIC_DISABLE_PLUGINS"] = "__all__"
# On a busy machine an event loop may really be blocked, in any test that has one.
os.environ["PANTHEON_OBS_SLOW_LOOP_MS"] = "0"
# A shell that starts the suite in the background has interrupts ignored, and a program that a test
# starts would inherit that.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)

EXTRAS = (
    "celery",
    "django",
    "duckdb",
    "fastapi",
    "flask",
    "genai_prices",
    "grpc",
    "jinja2",
    "litestar",
    "mcp",
    "prometheus_client",
    "quart",
    "sentry_sdk",
    "starlette",
)


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_auto_num_workers() -> int:
    """Run one worker more than there are processors: a worker often waits for a server."""
    return (os.cpu_count() or 1) + 1


def pytest_collection_finish() -> None:
    """Exempt all that is loaded now from garbage collection.

    Each worker has loaded all test modules with their libraries, 700,000 objects. A collection that
    looks at them takes a third of a second, and many tests collect garbage.
    """
    gc.collect()
    gc.freeze()
    gc.enable()


# Modules that take as long as some hundred tests of others.
LONG = (
    "bugsink/test_bugsink_served.py",
    "cli/test_report_clickhouse.py",
    "faults/test_faults.py",
    "health/test_loops.py",
    "health/test_outages.py",
    "llm/test_budget_shared.py",
    "llm/test_conformance.py",
    "propagation/test_mcp.py",
    "servers/test_gunicorn.py",
    "servers/test_matrix.py",
    "tasks/test_celery_worker.py",
    "test_bench.py",
    "test_demo.py",
    "test_django_example.py",
    "time/test_watchdog_served.py",
)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Begin with the modules that take longest, so that all workers are busy until the end."""
    length = Counter(item.path for item in items)
    for path in length:
        length[path] += 200 * str(path).endswith(LONG)
    items.sort(key=lambda item: (-length[item.path], item.path))


class Module(pytest.Module):
    """A test module; it is skipped if an extra that it imports is not installed.

    A test that imports an extra when it runs calls `pytest.importorskip`.
    """

    def collect(self) -> Iterable[pytest.Item | pytest.Collector]:
        """Import the module and list its tests."""
        try:
            return super().collect()
        except self.CollectError as error:
            cause = error.__cause__
            if isinstance(cause, ModuleNotFoundError) and cause.name in EXTRAS:
                pytest.skip(f"{cause.name} is not installed", allow_module_level=True)
            raise


def pytest_pycollect_makemodule(module_path: Path, parent: pytest.Collector) -> Module:
    """Collect every test module as one that may be skipped."""
    return Module.from_parent(parent, path=module_path)


@pytest.fixture(scope="module")
def unmeasured() -> Iterator[None]:
    """Exclude the programs that a module starts from coverage; other tests reach the same lines."""
    with pytest.MonkeyPatch.context() as patch:
        for name in [name for name in os.environ if name.startswith("COVERAGE_")]:
            patch.delenv(name)
        yield


@contextmanager
def level_names() -> Iterator[None]:
    """Forget the names that are given to levels inside; `logging` has no way to take one back."""
    tables = logging._levelToName, logging._nameToLevel  # noqa: SLF001 - as above
    before = [{**table} for table in tables]
    yield
    for table, names in zip(tables, before, strict=True):
        table.clear()
        table.update(names)


@pytest.fixture(autouse=True)
def clean_state() -> Iterator[None]:
    """Reset the library around the test, and fail where `reset()` leaves anything changed."""
    testing.reset()  # fixtures of a whole module have run by now
    before = state()
    with level_names():
        yield
    testing.reset()
    assert [] == changes(before, state())


@pytest.fixture
def lines() -> Iterator[list[dict[str, Any]]]:
    """Capture the log lines of the test; each fits the schema."""
    configure_logging()
    with testing.capture_events() as captured:
        yield captured
    for line in captured:
        validate_line(line)


_D = TypeVar("_D", bound=Database)


def database(kind: type[_D]) -> _D:
    """Make a server that is not started; skip the test where it cannot run."""
    try:
        return kind()
    except MissingProgramError as missing:
        pytest.skip(str(missing))


@pytest.fixture(scope="module")
def postgres() -> Iterator[Postgres]:
    """A PostgreSQL server."""
    with database(Postgres) as server:
        yield server


@pytest.fixture(scope="module")
def redis_server() -> Iterator[Redis]:
    """A Redis server."""
    with database(Redis) as server:
        yield server
