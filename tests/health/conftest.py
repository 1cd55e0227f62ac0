"""Databases that can be stopped, and captured log lines, for the tests of health."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypeVar

import pytest

from examples.databases import Database, MissingProgramError, Postgres, Redis
from pantheon_obs import configure_logging
from pantheon_obs.testing import capture_events

if TYPE_CHECKING:
    from collections.abc import Iterator

D = TypeVar("D", bound=Database)


@pytest.fixture(scope="module")
def postgres() -> Iterator[Postgres]:
    """A PostgreSQL server."""
    with prepared(Postgres) as database:
        yield database


@pytest.fixture(scope="module")
def redis_server() -> Iterator[Redis]:
    """A Redis server."""
    with prepared(Redis) as database:
        yield database


def prepared(kind: type[D]) -> D:
    """Make a server that is not started; skip the test where it is not installed."""
    try:
        return kind()
    except MissingProgramError as missing:
        pytest.skip(str(missing))


@pytest.fixture
def events() -> Iterator[list[dict[str, Any]]]:
    """Capture every log line."""
    configure_logging()
    with capture_events() as events:
        yield events
