"""Other libraries' state in this context: their bound fields, and the trace that they have begun.

Core names none of these libraries. Whoever knows one registers it here.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypeAlias

from pantheon_obs.core.guard import report

if TYPE_CHECKING:
    from collections.abc import Callable
    from contextvars import ContextVar

Variables: TypeAlias = "list[tuple[ContextVar[Any], Any]]"
"""Context variables with their values."""

bound: object = ()
"""True once another library has bound a field anywhere in this process: asked for each request."""

clear: Callable[[], Variables] = list
"""Unsets the variables that other libraries have bound in this context, and returns them."""

tracer = ""
"""The module of another tracer, whose trace id is used where it has begun a trace."""

_ask: Callable[[], str | None] = str  # that tracer


def register_fields(register: object, unset: Callable[[], Variables]) -> None:
    """Have another library's bound fields cleared when a trace begins, and restored at its end.

    The register is true once a field has been bound in this process, as a list of them would be.
    """
    global bound, clear
    bound, clear = register, unset


def register_tracer(module: str, ask: Callable[[], str | None]) -> None:
    """Use another tracer's trace id where it has begun a trace.

    `ask` is called for each request once the module is loaded, and may be called before.
    """
    global tracer, _ask
    tracer, _ask = module, ask


def rebind(variables: Variables) -> None:
    """Bind the variables again that `clear` returned."""
    for variable, value in variables:
        variable.set(value)


def active_id() -> str | None:
    """The id of the trace that another tracer has active in this context; None without one."""
    try:
        return _ask()
    except Exception as error:  # noqa: BLE001 - the guard, without its cost per request
        report("trace of another library", error)
        return None
