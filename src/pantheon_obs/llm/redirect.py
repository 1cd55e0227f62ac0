"""Make a function run another one in its place, for everybody who holds it.

A new attribute of a class or module is not seen by those who took the function before: a bound
method in an attribute, `from litellm import completion`, another library's wrapper. All of them
hold the function object, and its code can be replaced, as IPython's autoreload and ddtrace do.
"""

from __future__ import annotations

from functools import update_wrapper
from inspect import iscoroutinefunction, isgeneratorfunction, signature
from types import FunctionType
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable, Generator

    Choose = Callable[[tuple[Any, ...]], Callable[..., Any]]

_CHOOSE = "_pantheon_obs_choose"


class Redirect:
    """A function whose calls go where `choose`, given their positional arguments, says.

    `copy_of` the function, made before, is the function as it was.
    """

    def __init__(self, function: FunctionType, choose: Choose) -> None:
        self._function = function
        self._before = function.__code__, function.__kwdefaults__
        self._is_signed = not hasattr(function, "__signature__")
        if self._is_signed:
            function.__signature__ = signature(function)  # type: ignore[attr-defined]
        # The default first: the old code does not ask for it, and other threads may run either.
        function.__kwdefaults__ = {**(function.__kwdefaults__ or {}), _CHOOSE: choose}
        kind = _async if iscoroutinefunction(function) else _plain
        kind = _generator if isgeneratorfunction(function) else kind
        self._code = kind.__code__.replace(co_freevars=function.__code__.co_freevars)
        function.__code__ = self._code

    def undo(self) -> None:
        """Let the function run its own code, unless somebody else has replaced it since."""
        if self._function.__code__ is self._code:
            self._function.__code__, self._function.__kwdefaults__ = self._before
            if self._is_signed:
                del self._function.__signature__  # type: ignore[attr-defined]


def copy_of(function: FunctionType) -> FunctionType:
    """Make another function of the same code, names and attributes."""
    copy = FunctionType(
        function.__code__,
        function.__globals__,
        function.__name__,
        function.__defaults__,
        function.__closure__,
    )
    copy.__kwdefaults__ = function.__kwdefaults__
    update_wrapper(copy, function)
    del copy.__wrapped__  # type: ignore[attr-defined]
    vars(copy).update(vars(function))
    return copy


def _plain(*args: Any, _pantheon_obs_choose: Choose, **kwargs: Any) -> Any:
    return _pantheon_obs_choose(args)(*args, **kwargs)


async def _async(*args: Any, _pantheon_obs_choose: Choose, **kwargs: Any) -> Any:
    return await _pantheon_obs_choose(args)(*args, **kwargs)


def _generator(*args: Any, _pantheon_obs_choose: Choose, **kwargs: Any) -> Generator[Any, Any, Any]:
    return (yield from _pantheon_obs_choose(args)(*args, **kwargs))
