"""Observe the calls of every client of a class: at the functions of the SDK where they all meet."""

from __future__ import annotations

from operator import attrgetter
from threading import Lock
from typing import TYPE_CHECKING, Any

from pantheon_obs.core.calls import call_here
from pantheon_obs.core.guard import report
from pantheon_obs.llm.call import OBSERVED
from pantheon_obs.llm.nesting import is_part
from pantheon_obs.llm.redirect import Redirect, copy_of

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from types import FunctionType

    from pantheon_obs.llm.methods import Sdk

_lock = Lock()
_meetings: dict[FunctionType, _Meeting] = {}


class _Meeting:
    """A function that all clients call, and its watchers: the first that knows a client counts."""

    def __init__(self, function: FunctionType) -> None:
        self.watchers: list[Watcher] = []
        self._original = copy_of(function)
        self.redirect = Redirect(function, self._choose)

    def _choose(self, args: tuple[Any, ...]) -> Any:
        """Return the function to call: the original one, or that with its observer."""
        try:
            subject = args[0] if args else None
            if getattr(subject, OBSERVED, None) is not True:  # else its client is observed
                for watcher in self.watchers:
                    client = _client_of(subject, watcher)
                    if client is None or isinstance(client, watcher.kind):
                        if is_part(call_here(), watcher.sdk):
                            break
                        observers = watcher.observers_of(subject if client is None else client)
                        return observers[watcher.path](self._original)
        except Exception as error:  # noqa: BLE001 - the guard, in a place that must return a value
            report("instrument_llm", error)
        return self._original


def _client_of(subject: Any, watcher: Watcher) -> Any:
    """Return the client that a resource of an SDK belongs to, if it tells."""
    if "." in watcher.path:
        return getattr(subject, "_client", None)
    return subject


class Watcher:
    """Observes the calls of a function by the clients of a class, until `undo()`.

    `observers_of` has, for a client or resource, what observes a function, by path. An `automatic`
    watcher stands behind those that the application has asked for.
    """

    def __init__(  # noqa: PLR0913 - plain data
        self,
        function: FunctionType,
        kind: type,
        sdk: Sdk,
        path: str,
        observers_of: Callable[[Any], Mapping[str, Callable[[Any], Any]]],
        *,
        automatic: bool,
    ) -> None:
        self._function = function
        self.kind = kind
        self.sdk = sdk
        self.path = path
        self.observers_of = observers_of
        self.automatic = automatic
        with _lock:
            meeting = _meetings.get(function)
            if meeting is None:
                meeting = _meetings[function] = _Meeting(function)
            meeting.watchers = sorted((*meeting.watchers, self), key=attrgetter("automatic"))

    def undo(self) -> None:
        """Observe the calls no more."""
        with _lock:
            meeting = _meetings.get(self._function)
            if meeting is not None:
                meeting.watchers = [other for other in meeting.watchers if other is not self]
                if not meeting.watchers:
                    _meetings.pop(self._function).redirect.undo()


def is_watched(sdk: Sdk) -> bool:
    """Whether a class or the module of an SDK is observed."""
    return any(watcher.sdk is sdk for each in [*_meetings.values()] for watcher in each.watchers)


def reset() -> None:
    """Observe no class or module any more (used by `pantheon_obs.testing.reset`)."""
    with _lock:
        while _meetings:
            _meetings.popitem()[1].redirect.undo()
