"""Fixtures of the contract's tests: one running server per adapter."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from tests.adapters.contract import ADAPTERS, SYNC_STACK, Adapter, Service, check_whole_output

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.fixture(scope="session", params=(*ADAPTERS, SYNC_STACK), ids=lambda adapter: adapter.name)
def adapter(request: pytest.FixtureRequest) -> Adapter:
    """Return each adapter whose framework is installed."""
    found: Adapter = request.param
    if found.package:
        pytest.importorskip(found.package)
    if not found.is_asgi:
        pytest.importorskip("gunicorn")
    return found


@pytest.fixture(scope="session")
def service(adapter: Adapter) -> Iterator[Service]:
    """Serve the sample application."""
    # At DEBUG for the lines of refused ids; the limit of h11 would come before ours.
    env = {"PANTHEON_OBS_LOG_LEVEL": "DEBUG"}
    with adapter.serve("--http", "httptools", env=env) as server:
        service = Service(adapter, server)
        yield service
        server.stop()
    check_whole_output(service)


@pytest.fixture
def events(lines: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Return the captured log lines, those of events."""
    return lines
