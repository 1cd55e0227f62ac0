"""`pantheon_obs.propagation` loads no client library by itself."""

from __future__ import annotations

from tests.test_import import modules_after, run_isolated


def test_importing_it_loads_no_client_library() -> None:
    """No client library is imported, even if it is installed."""
    loaded = modules_after("from pantheon_obs.propagation import *")

    assert set() == loaded & {"aiohttp", "celery", "httpx", "httpx2", "opentelemetry", "requests"}


def test_propagating_imports_no_other_library() -> None:
    """An application with one client library does not import the others."""
    run_isolated(
        "import httpx2, sys; from pantheon_obs.propagation import propagate;"
        "propagate(httpx2.Client()); assert not {'httpx', 'requests', 'aiohttp'} & {*sys.modules}"
    )
