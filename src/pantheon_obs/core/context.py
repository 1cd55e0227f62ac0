"""The only owner of our context variables: the current trace, and the facts about it.

A value set in a context variable does not travel up from a sync endpoint or a thread; a mutation of
the shared `Trace` does. So the variable refers to the trace, and the trace has the facts.
"""

from __future__ import annotations

from contextvars import Context, ContextVar, Token, copy_context
from time import perf_counter
from typing import TYPE_CHECKING, Any, Protocol

from pantheon_obs.core import foreign
from pantheon_obs.core.guard import Guard, report
from pantheon_obs.core.llm_events import LlmCallFinished, LlmTotals
from pantheon_obs.core.spans import Spans, span_of

if TYPE_CHECKING:
    from collections.abc import Callable

    from pantheon_obs.core.times import Times

current_trace_id: ContextVar[str] = ContextVar("current_trace_id", default="")
"""The trace id of the current request or job; the empty string outside of one."""

current_trace: ContextVar[Trace | None] = ContextVar("pantheon_obs_trace", default=None)

current_call: ContextVar[OpenCall | None] = ContextVar("pantheon_obs_call", default=None)
"""The LLM call whose code is running: the LLM calls that it makes are nested in it."""

carried_trace: ContextVar[Trace | None] = ContextVar("pantheon_obs_carried", default=None)
"""The trace that `carry` has brought here; it may deliberately outlive its request."""

KEY = "pantheon_obs.trace"
"""The key of the trace in a request's scope or environ."""

ATTRIBUTE = "_pantheon_obs_trace"

escaped_failure: ContextVar[object] = ContextVar("pantheon_obs_escaped", default=None)
"""The `Failure` that has escaped from a trace to this context last."""

_guard = Guard("context")


class OpenCall(Protocol):
    """An LLM call in progress, which must be finished before its trace ends."""

    started: float  # clock time

    @property
    def nested(self) -> object:
        """Whether it counts for the call that has made it, and not for its trace."""

    def force_finish(self) -> None:
        """End it now; a second end is ignored."""


class Trace:
    """The state of one request or job while it runs, shared by everything that works for it.

    Class attributes are the values that most traces never change. The others are in slots: Python
    is fast with 30 further attributes of an object, and slow with more.
    """

    __slots__ = (
        *("__dict__", "__weakref__", "bound", "id_token", "listeners"),
        *("open_calls", "outer_variables", "started_at", "token", "trace_id"),
    )

    is_request = False  # an HTTP exchange
    owns_context = False  # whether its context is its own from the start, and ends with it
    method = ""
    quiet = False  # whether its event is at DEBUG
    active_in: Any = None  # the gauge that counts it while it is served
    llm: LlmTotals | None = None  # of the finished calls
    bind_known: Callable[[Trace], object] | None = None  # binds facts that are known by now only
    ended = 0.0  # clock time
    times: Times | None = None  # of the measured calls
    last_byte: float | None = None  # clock time at which the response was handed to the server
    spans: Spans | None = None  # its own span and its caller's, once one is known
    own_baggage = False  # whether `baggage_fields` are its application's, and not those in force
    recording: Any = None  # its log lines that are kept aside, if any are

    # The context that `begin` has replaced; `end` restores it.
    id_token: Token[str]
    token: Token[Trace | None]
    outer_variables: foreign.Variables | None
    suspended: Context | None = None  # the context of its last step, between two steps

    def __init__(self, trace_id: str) -> None:
        self.trace_id = trace_id  # empty where `bind` was called outside of a request or job
        self.started_at = perf_counter()
        self.bound: dict[str, Any] = {}
        self.open_calls: set[OpenCall] = set()
        self.listeners: tuple[Any, ...] = ()  # sinks that have heard its beginning: see `end`

    def __deepcopy__(self, _memo: object = None) -> Trace:
        """Return itself: a copied scope or request belongs to the same trace."""
        return self

    __copy__ = __deepcopy__

    def __reduce__(self) -> tuple[type[None], tuple[()]]:
        """Pickle as None: a pickled request outlives its trace."""
        return type(None), ()

    @property
    def outer(self) -> Trace | None:
        """The trace that was current when this one began; None where there was none."""
        outer = getattr(getattr(self, "token", None), "old_value", None)
        return outer if isinstance(outer, Trace) else None

    def bind_on_demand(self, bind: Callable[[Trace], object] | None) -> None:
        """Have `bind` called when its fields are asked for, or None once they are bound."""
        self.bind_known = bind

    def add_call(self, call: LlmCallFinished) -> None:
        """Add a finished LLM call to the totals."""
        # Calls may end in several threads at once: `setdefault` keeps the first thread's totals.
        totals: LlmTotals = self.llm or self.__dict__.setdefault("llm", LlmTotals())
        totals.add(call)

    def llm_with_open(self) -> LlmTotals | None:
        """The totals of its LLM calls now, with those that are still open."""
        still_open = sum(not call.nested for call in tuple(self.open_calls))
        if still_open:
            span_of(self)  # their events will name it; so must the line, which may come first
        return (self.llm or LlmTotals()).snapshot(still_open) if still_open else self.llm

    def finish_open_calls(self) -> None:
        """End the LLM calls that are still open."""
        while self.open_calls:
            # Other threads remove theirs from the set meanwhile, as each call ends.
            calls, self.open_calls = self.open_calls, set()
            for call in tuple(calls):
                with _guard:
                    call.force_finish()


def begin(trace: Trace) -> None:
    """Make a new trace the current one, on a clean slate.

    Nothing is inherited: asyncio may run a connection's next request in a copy of the context of
    the previous one (https://github.com/python/cpython/issues/140947).
    """
    trace.outer_variables = foreign.clear() if foreign.bound else None
    trace.id_token = current_trace_id.set(trace.trace_id)
    trace.token = current_trace.set(trace)


def end(trace: Trace, *, suspended: bool = False) -> None:
    """Finish the trace's open calls, notify its listeners, and restore the context from before.

    A context that a request which has ended left behind is not restored. While the trace is
    suspended this context is another's, and stays as it is.
    """
    if trace.open_calls:
        trace.finish_open_calls()
    trace.ended = perf_counter()
    if trace.listeners:
        listeners, trace.listeners = trace.listeners, ()
        for listener in listeners:
            try:
                listener.ended(trace)
            except Exception as error:  # noqa: BLE001 - the guard, without its cost per request
                report("end of a trace", error)
    if suspended:
        trace.suspended = None
    else:
        restore(trace)


def suspend(trace: Trace) -> None:
    """Restore the context between two steps of a trace's work, until `resume`.

    For a response that the server asks for part by part: other requests run between two parts.
    """
    trace.suspended = copy_context()
    restore(trace)


def resume(trace: Trace) -> None:
    """Make a suspended trace current again, with the fields that its last step bound."""
    begin(trace)
    context = trace.suspended
    if context is None:
        return
    trace.suspended = None
    if foreign.bound or context[current_trace] is not trace:
        current_trace_id.set(context[current_trace_id])
        current_trace.set(context[current_trace])
        foreign.rebind(context.run(foreign.clear))


def restore(trace: Trace) -> None:
    """Restore the context that `begin` has replaced."""
    try:
        current_trace_id.reset(trace.id_token)
        current_trace.reset(trace.token)
    except ValueError:
        return  # a coroutine that the garbage collector closes runs in another context
    if foreign.bound:
        foreign.clear()
    outer = current_trace.get()
    is_left = outer is not None and outer.ended and carried_trace.get() is not outer
    if is_left and type(trace) is not Trace:
        # A thread or task that serves requests in turn keeps nothing of an earlier request; other
        # work goes on.
        clear()
    elif trace.outer_variables:
        foreign.rebind(trace.outer_variables)


def clear() -> None:
    """Leave the trace of this context, so that work which it starts belongs to no trace."""
    current_trace_id.set("")
    current_trace.set(None)


def leave_on(request: object, trace: Trace) -> None:
    """Leave a trace on a framework's request object, for later log lines about it."""
    setattr(request, ATTRIBUTE, trace)  # asking for its `__dict__` would slow its attributes down


def trace_on(request: object) -> Trace | None:
    """The trace that a framework's request object carries; None without one."""
    attributes = getattr(request, "__dict__", None)
    return attributes.get(ATTRIBUTE) if type(attributes) is dict else None


def reset() -> None:
    """Forget the trace of this context (used by `pantheon_obs.testing.reset`)."""
    clear()
    current_call.set(None)
    carried_trace.set(None)
    escaped_failure.set(None)
