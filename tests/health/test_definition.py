"""A callable that cannot be a check is refused where it is defined, with the right way."""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING, Any

import pytest

from pantheon_obs import ConfigError, Health, redis_check

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Iterator


def session() -> Iterator[str]:
    """Yield a database session, as a dependency of FastAPI does."""
    yield "session"


async def async_session() -> AsyncIterator[str]:
    """Yield a database session."""
    yield "session"


class Database:
    """A check that is an object."""

    def __call__(self) -> None:
        """Pass."""

    def ping(self) -> None:
        """Pass."""


class Sessions:
    """An object whose call is a generator."""

    def __call__(self) -> Iterator[str]:
        """Yield."""
        yield "session"


def of(connection: object, timeout: float = 1.0) -> bool:
    """Check a connection."""
    return bool(connection)


GENERATOR = "a function that returns: a generator's code runs only if it is iterated over"
ARGUMENTS = "a callable without arguments: lambda: {0}(…), or what {0}(…) returns"


@pytest.mark.parametrize(
    ("check", "instead"),
    [
        pytest.param(session, GENERATOR, id="generator"),
        pytest.param(functools.partial(session), GENERATOR, id="partial-of-a-generator"),
        pytest.param(async_session, GENERATOR, id="async-generator"),
        pytest.param(Sessions(), GENERATOR, id="object-that-generates"),
        pytest.param(of, ARGUMENTS.format("of"), id="argument"),
        pytest.param(lambda connection: connection, ARGUMENTS.format("database"), id="lambda"),
        pytest.param(Database.ping, ARGUMENTS.format("ping"), id="method-of-a-class"),
        pytest.param(redis_check, ARGUMENTS.format("redis_check"), id="ready-made-uncalled"),
        pytest.param(functools.partial(of, timeout=2), ARGUMENTS.format("partial"), id="partial"),
        pytest.param(Database, "an instance: Database()", id="class-of-checks"),
        pytest.param(True, "a callable without arguments: a function itself, not what", id="value"),
    ],
)  # fmt: skip
def test_what_is_no_check_is_refused(check: Any, instead: str) -> None:
    """Each way to add a check refuses it, and the health has no check of that name then."""
    health = Health()

    with pytest.raises(ConfigError) as by_name:
        Health(database=check)
    with pytest.raises(ConfigError) as by_hand:
        health.check("database")(check)

    for refused in (by_name, by_hand):
        message = str(refused.value)
        assert message.startswith("database=")
        assert f" is not accepted: use {instead}" in message
    assert {"status": "pass", "checks": {}} == health.report().as_dict()


def passing() -> None:
    """Pass."""


@pytest.mark.parametrize("check", [passing, Database(), session])
def test_a_decorator_without_parentheses_is_refused(check: Callable[[], object]) -> None:
    """The message has the decorator to write."""
    name = getattr(check, "__name__", "name")

    with pytest.raises(ConfigError) as refused:
        Health().check(check)  # type: ignore[arg-type]

    assert str(refused.value).endswith(f' is not accepted: use @health.check("{name}")')


def without_signature() -> object:
    """Return a callable that does not tell its arguments."""

    class Check:
        __signature__ = "none"

        def __call__(self) -> None:
            """Pass."""

    return Check()


@pytest.mark.parametrize(
    "check",
    [
        pytest.param(lambda timeout=1: None, id="default"),
        pytest.param(lambda *arguments, **options: None, id="any-arguments"),
        pytest.param(functools.partial(of, 1), id="partial"),
        pytest.param(Database(), id="object"),
        pytest.param(Database().ping, id="method"),
        pytest.param(dict, id="without-a-signature"),
        pytest.param(without_signature(), id="broken-signature"),
    ],
)
def test_whatever_can_be_called_without_arguments_is_accepted(check: Any) -> None:
    """Parameters with a default are no hindrance."""
    assert ["database"] == [result.name for result in Health(database=check).report().results]
