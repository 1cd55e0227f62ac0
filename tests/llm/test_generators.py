"""Whatever a consumer does to an observed generator, it sees what it would see without us."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from pantheon_obs import llm_call

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Generator

    from pantheon_obs.core.events import LlmCallFinished

    Events = list[LlmCallFinished]
    Script = list[tuple[str, Any]]


class Oops(Exception):  # noqa: N818 - what it says
    """Raised by a generator, or thrown into it."""


# What the generator does, and what the consumer does to it.
scripts = st.lists(
    st.one_of(
        st.tuples(st.just("yield"), st.integers(0, 3)),
        st.tuples(st.just("catch"), st.integers(0, 3)),
        st.tuples(st.sampled_from(["raise", "return"]), st.integers(0, 3)),
    ),
    max_size=5,
)
acts = st.lists(
    st.one_of(
        st.tuples(st.sampled_from(["next", "close"]), st.none()),
        st.tuples(st.just("send"), st.one_of(st.none(), st.integers(0, 3))),
        st.tuples(st.just("throw"), st.sampled_from([Oops, GeneratorExit, StopIteration])),
    ),
    max_size=6,
)


def generator(script: Script, heard: list[Any]) -> Generator[Any, Any, Any]:
    """Do what the script says, and write down what is heard from the consumer."""
    for step, value in script:
        if step == "return":
            return value
        if step == "raise":
            raise Oops(value)
        try:
            heard.append((yield value))
        except Oops as error:
            if step == "yield":
                raise
            heard.append(repr(error))
    return None


async def async_generator(script: Script, heard: list[Any]) -> AsyncIterator[Any]:
    """The same, async; it cannot return a value."""
    for step, value in script:
        await asyncio.sleep(0)
        if step == "return":
            return
        if step == "raise":
            raise Oops(value)
        try:
            heard.append((yield value))
        except Oops as error:
            if step == "yield":
                raise
            heard.append(repr(error))


def said(error: BaseException) -> tuple[str, Any, Any]:
    """An exception, as far as it can be compared."""
    return repr(error), repr(error.__cause__), repr(error.__context__)


def use(chunks: Any, todo: Script) -> list[Any]:
    """Act on a generator and write down all that comes back."""
    seen: list[Any] = []
    for act, value in todo:
        try:
            if act == "next":
                seen.append(next(chunks))
            elif act == "close":
                seen.append(chunks.close())
            elif act == "send":
                seen.append(chunks.send(value))
            else:
                seen.append(chunks.throw(value()))
        except BaseException as error:  # noqa: BLE001 - all of them are compared
            seen.append(said(error))
    return seen


async def async_use(chunks: Any, todo: Script) -> list[Any]:
    """The same, async."""
    seen: list[Any] = []
    for act, value in todo:
        try:
            if act == "next":
                seen.append(await anext(chunks))
            elif act == "close":
                seen.append(await chunks.aclose())
            elif act == "send":
                seen.append(await chunks.asend(value))
            else:
                seen.append(await chunks.athrow(value()))
        except BaseException as error:  # noqa: BLE001 - all of them are compared
            seen.append(said(error))
    return seen


def plain_function(function: Any) -> Any:
    """A function that returns a generator, without being a generator function."""

    def plain(*args: Any) -> Any:
        return function(*args)

    return plain


modest = settings(
    max_examples=150,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)


def is_started(todo: Script) -> bool:
    """Whether the consumer starts the generator before it ends it."""
    return bool(todo) and (todo[0][0] == "next" or todo[0] == ("send", None))


@modest
@given(script=scripts, todo=acts)
def test_a_generator_behaves_as_without_us(script: Script, todo: Script, events: Events) -> None:
    """All that goes in and comes out is the same, and a started one gives one event."""
    observed = llm_call(generator)
    plain = llm_call(plain_function(generator))
    heard: list[list[Any]] = [[], [], []]
    bare = use(generator(script, heard[0]), todo)

    events.clear()
    assert bare == use(observed(script, heard[1]), todo)
    assert is_started(todo) <= len(events) <= 1

    events.clear()
    assert bare == use(plain(script, heard[2]), todo)
    assert 1 == len(events)
    assert heard[0] == heard[1] == heard[2]


@modest
@given(script=scripts, todo=acts)
def test_an_async_generator_behaves_as_without_us(
    script: Script, todo: Script, events: Events
) -> None:
    """All that goes in and comes out is the same, and a started one gives one event."""
    observed = llm_call(async_generator)
    plain = llm_call(plain_function(async_generator))
    heard: list[list[Any]] = [[], [], []]

    async def run(chunks: Any) -> list[Any]:
        return await async_use(chunks, todo)

    bare = asyncio.run(run(async_generator(script, heard[0])))

    events.clear()
    assert bare == asyncio.run(run(observed(script, heard[1])))
    assert is_started(todo) <= len(events) <= 1

    events.clear()
    assert bare == asyncio.run(run(plain(script, heard[2])))
    assert 1 == len(events)
    assert heard[0] == heard[1] == heard[2]
