"""Make a function run another one in its place, for all code that refers to it.

A new attribute of a class or module is not seen by those who took the function before: a bound
method in an attribute, `from litellm import completion`, another library's wrapper. All of them
refer to the function object, and its code can be replaced, as IPython's autoreload and ddtrace do.
"""

from __future__ import annotations

from functools import update_wrapper
from inspect import iscoroutinefunction, isgeneratorfunction, signature
from types import CodeType, FunctionType
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable

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
        self._code = _code_for(function)
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


def _code_for(function: FunctionType) -> CodeType:
    """Compile the code that asks its keyword argument `_CHOOSE` for the function to run.

    It is of the function's kind, and has its free variables: the cells of a function cannot be
    replaced, and whoever reads the locals of a running function finds all its code's cells there.
    """
    is_async, is_generator = iscoroutinefunction(function), isgeneratorfunction(function)
    free = ", ".join(function.__code__.co_freevars)
    definition = "async def" if is_async else "def"
    way = "await" if is_async else "yield from" if is_generator else ""
    source = f"""
def enclosing({free}):
    {definition} redirected(*args, {_CHOOSE}, **kwargs):
        return ({way} {_CHOOSE}(args)(*args, **kwargs))
        ({free})
"""
    enclosing = _inner_code(compile(source, "<pantheon_obs>", "exec"))
    return _inner_code(enclosing)


def _inner_code(code: CodeType) -> CodeType:
    return next(constant for constant in code.co_consts if isinstance(constant, CodeType))
