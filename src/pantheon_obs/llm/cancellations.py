"""Find out who has cancelled a call: a time-out, a consumer that left, or the application.

`asyncio.timeout` cancels its task, and turns that into a `TimeoutError` further up; `wait_for` is
made of it since Python 3.12. Nothing but the stack of a coroutine refers to its object, and the
stack cannot be read while the coroutine runs: an HTTP client that is cancelled closes its
connection first. So each time-out is noted when it expires.
"""

from __future__ import annotations

import sys
from functools import partial
from threading import Lock
from types import BuiltinMethodType, FunctionType, MethodType
from typing import Any, Literal
from weakref import WeakKeyDictionary, ref

from pantheon_obs.core.chains import is_cancellation
from pantheon_obs.core.guard import Guard, report
from pantheon_obs.llm.replaced_code import Redirect, copy_of

Sender = Literal["consumer", "time-out"]

_CLOSING = "async_generator_athrow"  # the type has no name; its objects close a generator
_guard = Guard("llm cancellation")


class _Watch:
    """Notes the time-outs that expire, by the task that they cancel."""

    def __init__(self) -> None:
        self.is_on = False
        self._redirect: Redirect | None = None
        self._beginning = Lock()  # taken once
        self._expired: WeakKeyDictionary[Any, list[ref[Any]]] = WeakKeyDictionary()

    def begin(self) -> None:
        """Note them from now on, if asyncio is there: those that run already included."""
        # Another thread may be importing asyncio: it lacks the class then.
        timeout = getattr(sys.modules.get("asyncio"), "Timeout", None)
        if timeout is None or not self._beginning.acquire(blocking=False):
            return
        self.is_on = True
        with _guard:
            function = timeout._on_timeout  # noqa: SLF001 - where they expire
            original = copy_of(function)

            def choose(args: tuple[Any, ...]) -> Any:
                with _guard:
                    self._note(args[0])
                return original

            self._redirect = Redirect(function, choose)

    def _note(self, timeout: Any) -> None:
        task = timeout._task  # noqa: SLF001 - as above
        known = [each for each in self._expired.get(task, ()) if each() is not None]
        self._expired[task] = [*known, ref(timeout)]

    def expiring(self, task: Any) -> int:
        """Count the time-outs that have expired, and that their task has not left yet."""
        known = [timeout for each in self._expired.get(task, ()) if (timeout := each()) is not None]
        return sum(timeout._state.value == "expiring" for timeout in known)  # noqa: SLF001 - as above

    def end(self) -> None:
        """Note no more."""
        if self._redirect is not None:
            self._redirect.undo()
            self._beginning.release()
        self._redirect, self.is_on = None, False
        self._expired.clear()


watch = _Watch()
reset = watch.end  # used by `pantheon_obs.testing.reset`


def sender_of(error: BaseException) -> Sender | None:
    """Find out who has ended a call with an exception that is not an `Exception`, if possible."""
    if isinstance(error, GeneratorExit):
        return "consumer"
    if not is_cancellation(error):
        return None
    try:
        return _canceller_of(sys.modules["asyncio"].current_task())
    except RuntimeError:  # no event loop, or another library's
        return None
    except Exception as mistake:  # noqa: BLE001 - the guard, in a place that must return a value
        report("llm cancellation", mistake)
        return None


def _canceller_of(task: Any) -> Sender | None:
    if task is None:
        return None
    if type(task.get_coro()).__name__ == _CLOSING:
        return "consumer"  # has left a generator: a loop that ends cancels the closing of those
    return "time-out" if _has_expired(task, set()) else None


def _has_expired(task: Any, seen: set[Any]) -> bool:
    """Whether all cancellations of a task come from time-outs: its own or its waiters'."""
    seen.add(task)
    requests = task.cancelling()
    expired = watch.expiring(task)
    if requests == expired + 1:
        return any(_has_expired(waiter, seen) for waiter in _waiters(task, seen))
    return bool(0 < requests <= expired)


def _waiters(task: Any, seen: set[Any]) -> list[Any]:
    """Return the tasks that a task's cancellation may come from: they are notified of its end.

    Its callbacks belong to the task that awaits it, to `gather`'s future, or to a `TaskGroup`.
    """
    asyncio: Any = sys.modules["asyncio"]
    known = {id(other) for other in seen}
    found = []
    looked_at = _callbacks(task)
    while looked_at:
        one = looked_at.pop()
        if id(one) in known:
            continue
        known.add(id(one))
        if isinstance(one, asyncio.Task):
            found.append(one)
        elif isinstance(one, asyncio.Future):
            looked_at += _callbacks(one)
        elif isinstance(one, asyncio.TaskGroup):
            looked_at.append(one._parent_task)  # noqa: SLF001 - nothing public has it
        elif type(one) in (MethodType, BuiltinMethodType):
            looked_at.append(one.__self__)
        elif isinstance(one, partial):
            looked_at += one.args
        elif type(one) is FunctionType and one.__module__ == "asyncio.tasks":
            looked_at += [cell.cell_contents for cell in one.__closure__ or ()]
    return found


def _callbacks(future: Any) -> list[Any]:
    return [callback for callback, *_ in future._callbacks or ()]  # noqa: SLF001 - as above
