"""Wrap functions, generators and methods, so that their calls are measured."""

from __future__ import annotations

import inspect
from functools import wraps
from typing import TYPE_CHECKING, Any

from pantheon_obs.core.timing import enter, leave
from pantheon_obs.core.undoable import Patch

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Callable, Generator, Iterable

    from pantheon_obs.core.timing import Running


def measured_function(function: Callable[..., Any], name: str) -> Callable[..., Any]:
    """Wrap a function, so that each call is measured under a name."""
    if inspect.isasyncgenfunction(function):
        return _async_generator(function, name)
    if inspect.isgeneratorfunction(function):
        return _generator(function, name)
    return measured_call(function, name)


def measured_call(
    function: Callable[..., Any],
    name: str,
    facts: dict[str, Any] | None = None,
    begin: Callable[[str], Running | None] = enter,
) -> Callable[..., Any]:
    """Wrap a function or coroutine function; `begin` returns None for a call that does not count.

    `facts` are fields of `Operation`.
    """
    given = facts or {}

    @wraps(function)
    def timed_call(*args: Any, **kwargs: Any) -> Any:
        running = begin(name)
        if running is None:
            return function(*args, **kwargs)
        try:
            result = function(*args, **kwargs)
        except BaseException as error:
            leave(running, error, given)
            raise
        leave(running, None, given)
        return result

    @wraps(function)
    async def timed_coroutine(*args: Any, **kwargs: Any) -> Any:
        running = begin(name)
        if running is None:
            return await function(*args, **kwargs)
        try:
            result = await function(*args, **kwargs)
        except BaseException as error:
            leave(running, error, given)
            raise
        leave(running, None, given)
        return result

    return timed_coroutine if inspect.iscoroutinefunction(function) else timed_call


class _Steps:
    """The steps of a generator, each a `with` block: together they are one call."""

    def __init__(self, name: str) -> None:
        self._name = name
        self._calls = 1  # that are still to be counted
        self._step: Running | None = None

    def __enter__(self) -> None:
        self._step = enter(self._name, calls=self._calls)

    def __exit__(self, kind: object, error: BaseException | None, traceback: object) -> None:
        if self._step is not None:
            leave(self._step, error)
            self._step, self._calls = None, 0


def _generator(function: Callable[..., Any], name: str) -> Callable[..., Any]:
    """Wrap a generator function: each step is timed, and passes on sent values and exceptions."""

    @wraps(function)
    def generator(*args: Any, **kwargs: Any) -> Generator[Any, Any, Any]:
        inner = function(*args, **kwargs)
        steps = _Steps(name)
        resume, value = inner.send, None
        while True:
            try:
                with steps:
                    value = resume(value)
            except StopIteration as stop:
                return stop.value
            try:
                value = yield value
                resume = inner.send
            except GeneratorExit:
                inner.close()
                raise
            except BaseException as error:  # noqa: BLE001 - it is thrown in, outside of this block
                resume, value = inner.throw, error

    return generator


def _async_generator(function: Callable[..., Any], name: str) -> Callable[..., Any]:
    """Wrap an async generator function, as above."""

    @wraps(function)
    async def generator(*args: Any, **kwargs: Any) -> AsyncGenerator[Any, Any]:
        inner = function(*args, **kwargs)
        steps = _Steps(name)
        resume, value = inner.asend, None
        while True:
            try:
                with steps:
                    value = await resume(value)
            except StopAsyncIteration:
                return
            try:
                value = yield value
                resume = inner.asend
            except GeneratorExit:
                await inner.aclose()
                raise
            except BaseException as error:  # noqa: BLE001 - as above
                resume, value = inner.athrow, error

    return generator


class Patches:
    """Methods of a library's classes, wrapped until `undo()`."""

    def __init__(self) -> None:
        self._patches: list[Patch] = []
        self._wrapped: set[type] = set()

    def replace(self, owner: type, name: str, method: Callable[..., Any]) -> None:
        """Replace a method of a class."""
        self._patches.append(Patch(owner, name, method))

    def wrap_in(
        self, kind: type, names: Iterable[str], wrap: Callable[[Any, str], Callable[..., Any]]
    ) -> None:
        """Wrap methods of a class and of its bases, each where it is defined, and once."""
        for owner in kind.__mro__[:-1]:
            if owner not in self._wrapped:
                self._wrapped.add(owner)
                for name in names:
                    method = vars(owner).get(name)
                    if callable(method):
                        self.replace(owner, name, wrap(method, name))

    def undo(self) -> None:
        """Restore the methods."""
        while self._patches:
            self._patches.pop().undo()
        self._wrapped.clear()
