"""Measure the statements of every SQLAlchemy engine, sync and async, whenever it is made.

The listeners are those of the class `Engine`: they hear of its instances, made before or after, and
come before the application's own. Nothing that they raise may reach SQLAlchemy: it would take the
place of the database's error.
"""

from __future__ import annotations

from time import perf_counter
from typing import Any

from pantheon_obs.core.guard import report
from pantheon_obs.core.timing import measuring, queried

_BEGAN = "_pantheon_obs_began"
_SITE = "sqlalchemy"

# The names of dialects that differ from OpenTelemetry's `db.system.name`.
_SYSTEMS = {"mssql": "microsoft.sql_server", "oracle": "oracle.db"}


def _before(
    _connection: Any, _cursor: Any, statement: Any, parameters: Any, context: Any, _many: Any
) -> tuple[Any, Any]:
    try:
        if context is not None:
            trace = measuring()
            began = None if trace is None else (trace, perf_counter(), statement)
            context.__dict__[_BEGAN] = began  # it may be that of an earlier statement
    except Exception as error:  # noqa: BLE001 - the guard, without its cost per statement
        report(_SITE, error)
    return statement, parameters


def _after(connection: Any, _cursor: Any, _statement: Any, _parameters: Any, *rest: Any) -> None:
    _end(connection, rest[0], None)


def _on_error(failure: Any) -> None:
    _end(failure, failure.execution_context, failure.original_exception)


def _end(owner: Any, context: Any, error: BaseException | None) -> None:
    try:
        began = None if context is None else context.__dict__.pop(_BEGAN, None)
        if began is not None:
            trace, started, statement = began
            name = owner.dialect.name
            queried(trace, started, error, statement, _SYSTEMS.get(name, name))
    except Exception as fault:  # noqa: BLE001 - as above
        report(_SITE, fault)


_LISTENERS: tuple[tuple[str, Any, dict[str, bool]], ...] = (
    # A listener that returns the statement is called without another function around it.
    ("before_cursor_execute", _before, {"insert": True, "retval": True}),
    ("after_cursor_execute", _after, {"insert": True}),
    ("handle_error", _on_error, {"insert": True}),
)


def observe() -> None:
    """Listen to all engines."""
    from sqlalchemy import event  # noqa: PLC0415 - the application has imported it
    from sqlalchemy.engine import Engine  # noqa: PLC0415 - as above

    for name, listener, options in _LISTENERS:
        event.listen(Engine, name, listener, **options)


def undo() -> None:
    """Listen no more."""
    from sqlalchemy import event  # noqa: PLC0415 - as above
    from sqlalchemy.engine import Engine  # noqa: PLC0415 - as above

    for name, listener, _ in _LISTENERS:
        event.remove(Engine, name, listener)
