"""The options of an observed function, and the alias of the model in the arguments of a call."""

from __future__ import annotations

import sys
from dataclasses import dataclass
from enum import Enum
from inspect import Parameter, signature
from typing import TYPE_CHECKING, Any, NamedTuple

from pantheon_obs.core.errors import refuse, refuse_unless_text
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
        if self.provider is not None:
            refuse_unless_text("provider", self.provider, "the name of a vendor")


def check_operation(operation: Any) -> str:
    """Return the `operation=` option, empty if it is not given."""
    if operation not in (None, ""):
        refuse_unless_text("operation", operation, "a name for the event")
    return operation or ""


def check_model(model: Any) -> Any:
    """Return the `model=` option: a member of an enumeration as its value, None if it is empty."""
    alias = model if callable(model) else _alias(model)
    if alias is None and model not in (None, ""):
        refuse("model", model, "the alias of a model, or a function of the call's arguments")
    return alias


def alias_finder(
    function: Callable[..., Any] | None, model: str | Callable[..., str | None] | None
) -> Finder:
    """Make a function that finds the alias in a call's arguments and never raises an `Exception`.

    `model` is the option: the alias, or a callable that gets the call's arguments.
    """
    if model is None and function is not None:
        return _by_search(function)
    if not callable(model):
        return lambda _args, _kwargs: model

    def find(args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> str | None:
        with _guard:
            return _alias(model(*args, **kwargs))
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
            alias = _alias(default if given is None else given)
            if alias is not None:
                return alias
        try:
            for owner in (*args[own:], *kwargs.values(), *args[:own]):
                for name in _NAMES:
                    alias = _alias(field(owner, name))
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


def _alias(value: object) -> str | None:
    if type(value) is str:
        return value or None
    return as_text(value.value if isinstance(value, Enum) else value)
