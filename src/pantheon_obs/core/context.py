"""The only owner of our context variables: which trace this is, and what is known about it.

A value set in a context variable does not travel up from a sync endpoint or a thread, a mutation
of the shared `Record` does. So the variable holds the record, and the record holds the facts.
"""

from __future__ import annotations

from contextvars import ContextVar, Token, copy_context
from sys import modules
from time import perf_counter
from typing import TYPE_CHECKING, Any, Protocol

from pantheon_obs.core import trace_id as ids
from pantheon_obs.core.failures import mark_trace
from pantheon_obs.core.guard import Guard
from pantheon_obs.core.llm_totals import LlmTotals

if TYPE_CHECKING:
    from types import TracebackType

    from pantheon_obs.core.events import LlmCallFinished

current_trace_id: ContextVar[str] = ContextVar("current_trace_id", default="")
"""The trace id of the request or job that runs here; the empty string outside of one."""

current_record: ContextVar[Record | None] = ContextVar("pantheon_obs_record", default=None)

current_call: ContextVar[OpenCall | None] = ContextVar("pantheon_obs_call", default=None)
"""The LLM call whose own code runs here: what it calls in turn is part of it."""

carried_record: ContextVar[Record | None] = ContextVar("pantheon_obs_carried", default=None)
"""The record that `carry` has brought here: it is wanted here after its end too, and no leak."""

_OPENTELEMETRY = "opentelemetry.trace"

_guard = Guard("context")


class OpenCall(Protocol):
    """Something that must be finished before its record ends: an LLM call in progress.

    Attributes:
        started: Clock time of its start.
    """

    started: float

    def force_finish(self) -> None:
        """End it now; a second end is ignored."""


class Record:
    """What is known about one request or job while it runs; shared by all that works for it.

    Class attributes are the values of what most records never set.
    """

    llm: LlmTotals | None = None
    ended = False

    # What `begin` found, for `end` to give back.
    trace_token: Token[str]
    record_token: Token[Record | None]
    outer: list[tuple[ContextVar[Any], Any]] | None

    # What `suspend` found, if that is more than the record itself, for `resume` to put back.
    held: tuple[str, Record | None, list[tuple[ContextVar[Any], Any]]] | None = None

    def __init__(self, trace_id: str) -> None:
        self.trace_id = trace_id
        self.started = perf_counter()
        self.bound: dict[str, Any] = {}
        self.open_calls: set[OpenCall] = set()

    def count(self, call: LlmCallFinished) -> None:
        """Add a finished LLM call to the totals."""
        # Calls may end in several threads at once: `setdefault` lets one of them in.
        totals: LlmTotals = self.llm or self.__dict__.setdefault("llm", LlmTotals())
        totals.add(call)

    def finish_open_calls(self) -> None:
        """End what is still open; whoever stops reading afterwards finds it ended."""
        while self.open_calls:
            # Other threads take theirs out of it meanwhile, as each one ends.
            calls, self.open_calls = self.open_calls, set()
            for call in tuple(calls):
                with _guard:
                    call.force_finish()


def begin(record: Record) -> None:
    """Make a new record the current one, on a clean slate.

    Nothing is inherited: asyncio may run a connection's next request in a copy of the context of
    the one before it (https://github.com/python/cpython/issues/140947).

    Args:
        record: The new record; give it to `end` in a `finally`.
    """
    if _structlog_binds is None:
        _find_structlog()
    record.outer = _clear_structlog() if _structlog_binds else None
    record.trace_token = current_trace_id.set(record.trace_id)
    record.record_token = current_record.set(record)


def end(record: Record) -> None:
    """Finish what the record still holds open and give the context back as `begin` found it.

    What `begin` found is not given back where it was the leak of a request that has ended.
    """
    if record.open_calls:
        record.finish_open_calls()
    record.ended = True
    _give_back(record)


def suspend(record: Record) -> None:
    """Give the context back for a while: the record's work goes on in a later step, by `resume`.

    For work in steps, between which others run: a response that is asked for part by part.

    Args:
        record: The record that `begin` or `resume` has made current.
    """
    current = current_record.get()
    bound = _clear_structlog() if _structlog_binds else []
    more = bound or current is not record
    record.held = (current_trace_id.get(), current, bound) if more else None
    _give_back(record)


def resume(record: Record) -> None:
    """Make it current again, with what its last step has bound, until `suspend` or `end`."""
    begin(record)
    if record.held is not None:
        trace_id, current, bound = record.held
        current_trace_id.set(trace_id)
        current_record.set(current)
        for variable, value in bound:
            variable.set(value)


def _give_back(record: Record) -> None:
    try:
        current_trace_id.reset(record.trace_token)
        current_record.reset(record.record_token)
    except ValueError:
        return  # a coroutine that the garbage collector closes runs in another context: not ours
    if _structlog_binds is None:
        _find_structlog()
    if _structlog_binds:
        _clear_structlog()
    outer = current_record.get()
    if outer is not None and outer.ended and carried_record.get() is not outer:
        current_trace_id.set("")
        current_record.set(None)
    elif record.outer:
        for variable, value in record.outer:
            variable.set(value)


_structlog_binds: Any = None  # true once structlog has ever bound a variable in this process


def _find_structlog() -> None:
    global _structlog_binds  # noqa: PLW0603 - there is one structlog
    structlog = modules.get("structlog.contextvars")
    if structlog is not None:
        # Its list of variables is private: where it cannot be seen, the context is searched.
        _structlog_binds = getattr(structlog, "_CONTEXT_VARS", True)


def _clear_structlog() -> list[tuple[ContextVar[Any], Any]]:
    """Unset structlog's context variables, as its `clear_contextvars` does; return what was set.

    structlog keeps one variable per key, named `structlog_<key>`, and Ellipsis for "unset".
    """
    cleared = [
        (variable, value)
        for variable, value in copy_context().items()
        if value is not ... and variable.name.startswith("structlog_")
    ]
    for variable, _ in cleared:
        variable.set(...)
    return cleared


def bind(**fields: object) -> None:
    """Put fields on every later line of this request or job, its `request_finished` included.

    Works from sync endpoints and threads too. Outside a request or job the fields go on the lines
    of this context (thread or task) only.

    Args:
        fields: Names and values; a value given again replaces the one before.

    Example:
        >>> from pantheon_obs import bind, trace_context
        >>> with trace_context("job-1"):
        ...     bind(tenant="acme")
    """
    record = current_record.get()
    if record is None:
        record = Record("")
        current_record.set(record)
    record.bound.update(fields)


def new_id() -> str:
    """A fresh id: that of the active OpenTelemetry span, else a random one."""
    return active_id() or ids.generate()


def active_id() -> str | None:
    """The trace id of the active OpenTelemetry span; None without one."""
    if _OPENTELEMETRY in modules:
        with _guard:
            return ids.from_opentelemetry()
    return None


class trace_context:  # noqa: N801 - reads as the function that it is used as
    """Give a job, a command or a consumer a trace of its own: `with trace_context(id):`.

    Args:
        trace_id: The id that came with the job, or None for a fresh one. One that is not
            1 to 128 characters of `[A-Za-z0-9._:-]` is replaced by a fresh one, as an inbound
            header's would be.

    Example:
        >>> from pantheon_obs import current_trace_id, trace_context
        >>> with trace_context("import-2026-11-21"):
        ...     current_trace_id.get()
        'import-2026-11-21'
    """

    def __init__(self, trace_id: object = None) -> None:
        self._given = trace_id
        self._records: list[Record] = []

    def __enter__(self) -> str:
        """Begin the trace.

        Returns:
            Its id.
        """
        accepted = None
        if self._given is not None:
            with _guard:
                accepted = ids.validate(str(self._given).encode())
        record = Record(accepted or new_id())
        begin(record)
        self._records.append(record)
        if accepted is None and self._given is not None:
            ids.refused("trace_context")
        return record.trace_id

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        """End the trace; an error passes, and what logs it later finds the trace by it."""
        record = self._records.pop()
        end(record)
        if error is not None and not current_trace_id.get():  # an outer trace is the one to tell
            mark_trace(error, record.trace_id, since=record.started)
