"""The options of an observed function, and the alias of the model in the arguments of a call."""

from __future__ import annotations

import sys
from dataclasses import dataclass
from enum import Enum
from inspect import Parameter, signature
from typing import TYPE_CHECKING, Any, NamedTuple

from pantheon_obs.core.errors import refuse
from pantheon_obs.core.guard import Guard, report
from pantheon_obs.core.signatures import is_plain
from pantheon_obs.llm.usage.fields import as_text, field

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from decimal import Decimal

    from pantheon_obs.core.llm_events import LlmCallFinished
    from pantheon_obs.llm.sdks import Sdk

    Finder = Callable[[tuple[Any, ...], Mapping[str, Any]], str | None]

_NAMES = ("model_alias", "model", "modelId")  # the last is boto3's

_guard = Guard("llm model alias")
_NOWHERE = sys.maxsize  # the position of a keyword-only parameter
_VARIADIC = (Parameter.VAR_POSITIONAL, Parameter.VAR_KEYWORD)


class Pricing(NamedTuple):
    """The checked `prices=` option: USD, or the name of the model whose list price a call has.

    `final` says that None means no cost, not the list price.
    """

    price: Callable[[LlmCallFinished], Decimal | str | None]
    final: bool


@dataclass(frozen=True, slots=True)
class CallOptions:
    """The options that all calls of one function share; `operation` names the event.

    `sdk` is the client's SDK, if the function is a client's method: the vendor is then known by
    the host only, and else may be known by the model's name. `method` is the path to the method, if
    each call is asked for its host, because the application has named no provider.
    """

    operation: str = ""
    provider: str | None = None
    usage: Callable[[Any], object] | None = None
    pricing: Pricing | None = None
    sdk: Sdk | None = None
    method: str | None = None

    def __post_init__(self) -> None:
        if self.usage is not None and not is_plain(self.usage, "result"):
            refuse("usage", self.usage, "a function of the result")


def refuse_unless_names(
    model: object = None, operation: object = None, provider: object = None
) -> None:
    """Refuse options that are no names, where a function is decorated or a client instrumented.

    A `with` may have them from the data of a request, which must not fail: it leaves them out.
    """
    given = {"operation": operation, "provider": provider}
    if not callable(model):
        given["model"] = model
    for option, value in given.items():
        if value not in (None, "") and name_of(value) is None:
            refuse(option, value, "a name")


def name_of(value: object) -> str | None:
    """Return a name: a text, or the value of a member of an enumeration; None for another value."""
    if type(value) is str:
        return value or None
    return as_text(value.value if isinstance(value, Enum) else value)


def alias_finder(
    function: Callable[..., Any] | None, model: str | Callable[..., str | None] | None
) -> Finder:
    """Make a function that finds the alias in a call's arguments and never raises an `Exception`.

    `model` is the option: the alias, or a callable that gets the call's arguments.
    """
    if model is None and function is not None:
        return _by_search(function)
    if not callable(model):
        alias = name_of(model)
        return lambda _args, _kwargs: alias

    def find(args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> str | None:
        with _guard:
            return name_of(model(*args, **kwargs))
        return None

    return find


def _by_search(function: Callable[..., Any]) -> Finder:
    named, own = _parameters(function)

    def find(args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> str | None:
        for name, position, default in named:
            given = kwargs.get(name)
            if given is None and position < len(args):
                given = args[position]
            if type(given) is str and given:
                return given
            alias = name_of(default if given is None else given)
            if alias is not None:
                return alias
        try:
            for owner in (*args[own:], *kwargs.values(), *args[:own]):
                for name in _NAMES:
                    alias = name_of(field(owner, name))
                    if alias is not None:
                        return alias
        except Exception as error:  # noqa: BLE001 - the guard, without its cost per call
            report("llm model alias", error)
        return None

    return find


def _parameters(function: Callable[..., Any]) -> tuple[list[tuple[str, int, Any]], int]:
    """Return name, position and default of the alias's parameters, and how many are `self`."""
    try:
        parameters = list(signature(function).parameters.values())
    except (TypeError, ValueError):  # a function written in C
        parameters = []
    named: list[tuple[str, int, Any]] = []
    for wanted in _NAMES:
        for position, parameter in enumerate(parameters):
            if parameter.name == wanted and parameter.kind not in _VARIADIC:
                by_position = parameter.kind is not Parameter.KEYWORD_ONLY
                named.append((wanted, position if by_position else _NOWHERE, parameter.default))
            elif parameter.kind is Parameter.VAR_KEYWORD:
                named.append((wanted, _NOWHERE, None))
    return named, int(bool(parameters) and parameters[0].name in ("self", "cls"))
