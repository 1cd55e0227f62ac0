"""The alias of the model: the places where it is looked for, and their order."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from functools import partial
from typing import TYPE_CHECKING, Any

import pytest
from pydantic import BaseModel

from pantheon_obs import llm_call
from pantheon_obs.core import guard

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from pantheon_obs.core.events import LlmCallFinished

    Events = list[LlmCallFinished]


class Request:
    """A request that is a plain object."""

    def __init__(self, model_alias: str = "of the request") -> None:
        self.model_alias = model_alias


@dataclass(frozen=True, slots=True)
class SlotsRequest:
    """A request without a `__dict__`."""

    model_alias: str = "of the request"


class PydanticRequest(BaseModel):
    """A request whose missing attributes are slow to look up."""

    model_alias: str = "of the request"


class ModelRequest:
    """A request whose class has the attribute `model`."""

    model = "of the request"


class PropertyRequest:
    """A request that computes its model."""

    @property
    def model(self) -> str:
        """A property."""
        return "of the request"


class Named(str, Enum):  # noqa: UP042 - its text is not its value, unlike StrEnum's
    """An enumeration of strings."""

    FAST = "fast"


class Plain(Enum):
    """An enumeration whose values are strings."""

    FAST = "fast"


NAMES: tuple[Any, ...] = (Named.FAST, Plain.FAST)


class Gateway:
    """A gateway with a model of its own, which counts last."""

    model = "of the gateway"

    @llm_call
    def ask(self, *requests: object, **options: object) -> None:
        """Take anything."""

    @llm_call
    def by_name(self, prompt: str, *, model_alias: str = "default") -> None:
        """Take the alias by name."""

    @llm_call
    def both(self, model: str, model_alias: str | None = None) -> None:
        """Take a model and an alias."""


def ask_by_position(prompt: str, model: str = "default") -> None:
    """Take the model by position."""


@llm_call
def ask_itself() -> dict[str, Any]:
    """Call so that only the response names the model."""
    return {"model": "answer", "usage": None}


@llm_call
def ask_nobody() -> None:
    """Call without any name of a model."""


CASES: dict[str, tuple[str | None, Callable[[], object]]] = {
    "argument by position": ("given", lambda: llm_call(ask_by_position)("Hi", "given")),
    "argument by name": ("given", lambda: llm_call(ask_by_position)("Hi", model="given")),
    "its default": ("default", lambda: llm_call(ask_by_position)("Hi")),
    "its default for None": ("default", lambda: llm_call(ask_by_position)("Hi", None)),
    "bound by a partial": ("bound", lambda: llm_call(partial(ask_by_position, model="bound"))("p")),
    "by name only": ("given", lambda: Gateway().by_name("Hi", model_alias="given")),
    "default of by name only": ("default", lambda: Gateway().by_name("Hi")),
    "alias before model": ("alias", lambda: Gateway().both("model", "alias")),
    "model without alias": ("model", lambda: Gateway().both("model")),
    "among other options": ("extra", lambda: Gateway().ask(model="extra")),
    "attribute": ("of the request", lambda: Gateway().ask(Request())),
    "attribute of the second": ("of the request", lambda: Gateway().ask("Hi", Request())),
    "attribute of a named one": ("of the request", lambda: Gateway().ask(request=Request())),
    "attribute in a slot": ("of the request", lambda: Gateway().ask(SlotsRequest())),
    "attribute of pydantic": ("of the request", lambda: Gateway().ask(PydanticRequest())),
    "attribute of the class": ("of the request", lambda: Gateway().ask(ModelRequest())),
    "property": ("of the request", lambda: Gateway().ask(PropertyRequest())),
    "key of a dict": ("of the request", lambda: Gateway().ask({"model": "of the request"})),
    "attribute of self last": ("of the gateway", lambda: Gateway().ask("Hi", {"a": 1}, None, 7)),
    "enumeration of strings": ("fast", lambda: llm_call(ask_by_position)("Hi", Named.FAST)),
    "enumeration": ("fast", lambda: llm_call(ask_by_position)("Hi", Plain.FAST)),
    "not a name": (None, lambda: llm_call(ask_by_position)("Hi", 7)),
    "empty": (None, lambda: llm_call(ask_by_position)("Hi", "")),
    "option": ("fixed", lambda: llm_call(model="fixed")(ask_by_position)("Hi", "given")),
    "enumeration as option": ("fast", lambda: llm_call(model=NAMES[0])(ask_by_position)("Hi")),
    "other enumeration as option": ("fast", lambda: llm_call(model=NAMES[1])(ask_by_position)("")),
    "option that asks": ("for Hi", lambda: llm_call(model="for {}".format)(ask_by_position)("Hi")),
    "response": ("answer", ask_itself),
    "nowhere": (None, ask_nobody),
    "function without signature": (None, lambda: llm_call(max)("1", "3")),
}  # fmt: skip


@pytest.mark.parametrize("case", CASES)
def test_the_alias_of_a_call(case: str, events: Events) -> None:
    """The first present one counts: option, argument, attribute of an argument, response."""
    expected, call = CASES[case]
    call()

    [event] = events
    assert expected == event.model_alias
    assert type(event.model_alias) in (str, type(None))


def test_the_alias_of_a_generator_function(events: Events) -> None:
    """It is found in the arguments as for any function."""

    @llm_call
    def chunks(request: Request) -> Iterator[str]:
        yield "a"

    list(chunks(Request()))

    assert ["of the request"] == [event.model_alias for event in events]


class Touchy:
    """An object that fails if a missing attribute is looked up."""

    def __getattr__(self, name: str) -> Any:
        raise AssertionError(name)


def test_a_missing_attribute_is_not_looked_up(events: Events) -> None:
    """Only existing attributes of an argument are looked up."""
    Gateway().ask(Touchy())

    assert ["of the gateway"] == [event.model_alias for event in events]


class Broken:
    """An object whose model raises."""

    @property
    def model(self) -> str:
        """A property that raises."""
        raise OSError


def broken(*_: object) -> str:
    """A `model=` option that raises."""
    raise OSError


@pytest.mark.parametrize(
    "function", [llm_call(len), llm_call(model=broken)(len)], ids=["argument", "option"]
)
def test_a_failing_search_leaves_the_alias_unknown(
    function: Callable[[Any], int], events: Events
) -> None:
    """The call itself succeeds, and the failure is reported."""

    class Sized(Broken):
        def __len__(self) -> int:
            return 3

    assert 3 == function(Sized())
    assert [None] == [event.model_alias for event in events]
    assert frozenset({"llm model alias"}) == guard.reported()
    guard.forget()
