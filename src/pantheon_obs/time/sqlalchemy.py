"""Measure the statements of every SQLAlchemy engine, sync and async, whenever it is made.

They are measured where the dialect sends them: at the methods of its class, where all events of the
application have come before, and an error is still the driver's. Listeners cost five times as much.
"""

from __future__ import annotations

from functools import wraps
from time import perf_counter
from typing import TYPE_CHECKING, Any

from pantheon_obs.core.guard import Guard
from pantheon_obs.core.timing import measuring, queried
from pantheon_obs.time.functions import Patches

if TYPE_CHECKING:
    from collections.abc import Callable

_METHODS = ("do_execute", "do_executemany", "do_execute_no_params")

# The names of dialects that differ from OpenTelemetry's `db.system.name`.
_SYSTEMS: dict[Any, Any] = {"mssql": "microsoft.sql_server", "oracle": "oracle.db"}

_guard = Guard("sqlalchemy")
_patches = Patches()
undo = _patches.undo


def patch() -> None:
    """Measure the statements of all dialects, and of those that are loaded later."""
    from sqlalchemy.engine.default import DefaultDialect  # noqa: PLC0415 - the application has it

    make: Any = DefaultDialect.__init__

    @wraps(make)
    def init(dialect: Any, *args: Any, **kwargs: Any) -> None:
        make(dialect, *args, **kwargs)
        with _guard:
            _patches.wrap_in(type(dialect), _METHODS, _measured)

    _patches.replace(DefaultDialect, "__init__", init)
    waiting: list[type] = [DefaultDialect]
    for kind in waiting:  # it grows
        waiting += kind.__subclasses__()
        _patches.wrap_in(kind, _METHODS, _measured)


def _connects(rest: Any) -> bool:
    """Whether the dialect asks its first connection, which may not begin a transaction by then."""
    connection = rest and getattr(rest[-1], "root_connection", None)
    return not getattr(connection, "_allow_autobegin", True)


def _measured(method: Any, name: str) -> Callable[..., Any]:
    @wraps(method)
    def execute(dialect: Any, cursor: Any, statement: Any, *rest: Any, **options: Any) -> Any:
        trace = measuring()
        # Not where the method of a subclass, which is measured, calls this one.
        if trace is None or getattr(type(dialect), name) is not execute or _connects(rest):
            return method(dialect, cursor, statement, *rest, **options)
        system = _SYSTEMS.get(dialect.name, dialect.name)
        started = perf_counter()
        try:
            result = method(dialect, cursor, statement, *rest, **options)
        except BaseException as error:
            queried(trace, started, error, statement, system)
            raise
        queried(trace, started, None, statement, system)
        return result

    return execute
