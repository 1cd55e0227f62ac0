"""`measure`: time a part of a request under a name of the application's."""

from __future__ import annotations

import inspect
import re
import sys
from functools import lru_cache
from typing import TYPE_CHECKING, Any, ParamSpec, TypeVar

from pantheon_obs.core.errors import refuse
from pantheon_obs.core.switch import is_off
from pantheon_obs.core.timing import enter, leave
from pantheon_obs.time.functions import measured_function

if TYPE_CHECKING:
    from collections.abc import Callable

    from pantheon_obs.core.timing import Running

_P = ParamSpec("_P")
_T = TypeVar("_T")

_RESERVED = frozenset(
    {"db", "http", "cache", "llm", "own", "latency", "ttfb", "llm_latency", "loop_blocked"}
)
_NAME = re.compile(r"[a-z][a-z0-9_]{0,30}")
_GENERATOR = inspect.CO_GENERATOR | inspect.CO_ASYNC_GENERATOR


class measure:  # noqa: N801 - reads as the function that it is used as
    """Show on the line of a request, websocket or task how long a part of it took.

    `measure("render")` adds `render_calls` and `render_ms`, the wall time in milliseconds. It is a
    decorator, for functions and generators, sync and async, and a context manager for `with` and
    `async with`. A generator counts once, and is timed inside its steps only. Calls within a call
    of the same name are a part of it. Outside of a trace nothing is measured.

    Args:
        name: 1 to 31 lower-case letters, digits and `_`, a letter first; at most 20 names count in
            one request. `db`, `http`, `cache`, `llm`, `own`, `latency`, `ttfb`, `llm_latency` and
            `loop_blocked` are taken.

    Raises:
        ConfigError: The name is not accepted.

    Example:
        >>> from pantheon_obs import measure
        >>> @measure("render")
        ... def render(page):
        ...     with measure("images"):
        ...         return page.upper()
        >>> render("home")
        'HOME'
    """

    __slots__ = ("_entered", "_name")

    def __init__(self, name: str) -> None:
        self._name = _checked(name) if type(name) is str else _refuse(name)
        # One object may be entered several times at once: by the frame with the `with` statement.
        self._entered: list[tuple[int, Running | None]] = []

    def __call__(self, function: Callable[_P, _T], /) -> Callable[_P, _T]:
        """Measure each call of a function; its kind and signature stay as they are."""
        if isinstance(function, type) or not callable(function):
            refuse("function", function, "a function to decorate")
        if is_off():
            return function
        measured: Callable[_P, Any] = measured_function(function, self._name)
        return measured

    def __enter__(self, depth: int = 1) -> None:
        """Begin a block, in the frame that many calls up."""
        frame = sys._getframe(depth)  # noqa: SLF001 - `inspect` takes longer
        # A generator's consumer has the same context, and runs between its steps.
        visible = not frame.f_code.co_flags & _GENERATOR
        self._entered.append((id(frame), enter(self._name, visible=visible)))

    def __exit__(
        self, kind: object, error: BaseException | None, traceback: object, depth: int = 1
    ) -> None:
        """End the block; an error passes."""
        frame = id(sys._getframe(depth))  # noqa: SLF001 - as above
        entered = self._entered
        for entry in reversed(entered):
            if entry[0] == frame:
                entered.remove(entry)
                break
        else:  # an `ExitStack` leaves in another frame than it enters
            entry = entered.pop()
        if entry[1] is not None:
            leave(entry[1], error)

    async def __aenter__(self) -> None:
        """Begin a block."""
        self.__enter__(2)

    async def __aexit__(self, kind: object, error: BaseException | None, tb: object) -> None:
        """End the block; an error passes."""
        self.__exit__(kind, error, tb, 2)


@lru_cache(maxsize=256)
def _checked(name: str) -> str:
    if _NAME.fullmatch(name) is None or name in _RESERVED:
        _refuse(name)
    return name


def _refuse(name: object) -> str:
    taken = ", ".join(sorted(_RESERVED))
    refuse("name", name, f"1 to 31 of a-z, 0-9 and _, a letter first, and none of {taken}")
