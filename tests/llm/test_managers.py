"""Functions whose return value gives the answer once it is entered or awaited."""

from __future__ import annotations

import asyncio
import copy
import time
from contextlib import AsyncExitStack, ExitStack, asynccontextmanager, contextmanager, nullcontext
from functools import partial
from typing import TYPE_CHECKING, Any

import pytest

from pantheon_obs import llm_call
from tests.support.garbage import collect_garbage

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Generator, Iterator
    from typing import Self

    from pantheon_obs.core.events import LlmCallFinished

    Events = list[LlmCallFinished]

USAGE = {"usage": {"input_tokens": 3, "output_tokens": 5}}


def outcome(events: Events) -> tuple[Any, ...]:
    """Return the outcome of the one call."""
    [event] = events
    return event.outcome, event.error_type, event.output_tokens, event.chunks


@llm_call
@contextmanager
def session(*given: Any) -> Iterator[Any]:
    """Give a generator of chunks."""
    yield (chunk for chunk in given)


@llm_call
@asynccontextmanager
async def async_session(*given: Any) -> AsyncIterator[Any]:
    """Give an async generator of chunks."""

    async def chunks() -> AsyncIterator[Any]:
        for chunk in given:
            yield chunk

    yield chunks()


@llm_call
@contextmanager
def answering(answer: Any) -> Iterator[Any]:
    """Give an answer, or raise it."""
    if isinstance(answer, BaseException):
        raise answer
    yield answer


class OwnManager:
    """A context manager that returns itself."""

    left: Any = None

    def __enter__(self) -> Self:
        """Return the manager itself."""
        return self

    def __exit__(self, *error: object) -> None:
        """Record the arguments."""
        self.left = error

    async def __aenter__(self) -> Self:
        """Return the manager itself."""
        return self

    async def __aexit__(self, *error: object) -> None:
        """Record the arguments."""
        self.left = error


class Answered(OwnManager):
    """A context manager that already has its usage."""

    def __init__(self) -> None:
        self.usage = USAGE["usage"]


class Promise:
    """An awaitable of an answer."""

    def __init__(self, answer: Any) -> None:
        self.answer = answer

    def __await__(self) -> Generator[Any, Any, Any]:
        """Give the answer."""
        yield from asyncio.sleep(0).__await__()
        if isinstance(self.answer, BaseException):
            raise self.answer
        return self.answer


class Kept:
    """An awaitable that uses another object's method."""

    def __init__(self, give: Any) -> None:
        self.give = give

    def __await__(self) -> Generator[Any, Any, Any]:
        """Return the result of the other method."""
        return self.give()  # type: ignore[no-any-return]


class TestManagers:
    """The value that `__enter__` returns is observed."""

    def test_a_stream(self, events: Events) -> None:
        """A stream has ended when it is read to its end, even if the `with` goes on."""
        with session("a", USAGE) as stream:
            assert ["a", USAGE] == list(stream)
            assert ("ok", None, 5, 2) == outcome(events)

    def test_a_stream_that_is_left(self, events: Events) -> None:
        """A stream that is left in the middle is closed."""
        with session("a", "b") as stream:
            next(stream)
        del stream

        assert ("closed", None, None, 1) == outcome(events)

    def test_an_async_stream(self, events: Events) -> None:
        """The async client behaves the same."""

        async def main() -> None:
            async with async_session("a", USAGE) as stream:
                assert ["a", USAGE] == [chunk async for chunk in stream]

        asyncio.run(main())

        assert ("ok", None, 5, 2) == outcome(events)

    def test_on_an_exit_stack(self, events: Events) -> None:
        """An exit stack looks the methods up itself."""

        async def main() -> None:
            async with AsyncExitStack() as stack:
                stream = await stack.enter_async_context(async_session("a"))
                assert ["a"] == [chunk async for chunk in stream]

        with ExitStack() as stack:
            list(stack.enter_context(session("a")))
        asyncio.run(main())

        assert ["ok", "ok"] == [event.outcome for event in events]

    def test_a_value(self, events: Events) -> None:
        """The call is done when `__enter__` returns the value."""
        with answering(USAGE) as answer:
            assert USAGE is answer
            assert ("ok", None, 5, None) == outcome(events)

    def test_an_error(self, events: Events) -> None:
        """An exception of `__enter__` is the call's error."""
        with pytest.raises(ValueError), answering(ValueError()):  # noqa: PT011 - there is no text
            pass

        assert ("error", "ValueError", None, None) == outcome(events)

    def test_its_clock_starts_when_it_is_entered(self, events: Events) -> None:
        """The consumer's time before that does not count."""
        manager = session("a")
        assert sum(range(2_000_000))
        began = time.perf_counter()
        with manager as stream:
            list(stream)
        took = (time.perf_counter() - began) * 1000

        assert events[0].latency_ms <= took

    def test_nobody_enters_it(self, events: Events) -> None:
        """A manager that is not entered is not consumed."""
        session("a")
        collect_garbage()

        assert ("not_consumed", None, None, None) == outcome(events)

    def test_a_call_that_it_makes_is_nested(self, events: Events) -> None:
        """Calls that its own code makes on entry are nested in this call."""

        @llm_call
        def inner() -> Any:
            return USAGE

        @llm_call
        @contextmanager
        def outer() -> Iterator[Any]:
            inner()
            yield "answer"

        with outer():
            pass

        assert [("llm.inner", True, 5), ("llm.outer", None, 5)] == [
            (event.event, event.nested, event.output_tokens) for event in events
        ]

    def test_it_is_entered_again(self, events: Events) -> None:
        """A second use works, and is not recorded."""

        @llm_call
        def open_it() -> OwnManager:
            return OwnManager()

        manager = open_it()
        for _ in range(2):
            with manager:
                pass

        assert OwnManager is type(manager)
        assert ("ok", None, None, None) == outcome(events)


class TestThoseThatGiveThemselves:
    """A manager that returns itself is the answer until its end."""

    @pytest.mark.parametrize(
        ("error", "expected"),
        [
            (None, ("ok", None)),
            (LookupError(), ("closed", None)),
            (KeyboardInterrupt(), ("cancelled", "KeyboardInterrupt")),
        ],
        ids=repr,
    )
    @pytest.mark.parametrize("asynchronous", [False, True])
    def test_they_are_left(
        self, error: BaseException | None, expected: Any, *, asynchronous: bool, events: Events
    ) -> None:
        """The `with` statement may end with an error of the consumer, or without."""
        manager = OwnManager()
        entered = llm_call(lambda: manager)()

        async def main() -> None:
            async with entered as given:
                assert manager is given
                assert [] == events
                if error is not None:
                    raise error

        def work() -> None:
            with entered as given:
                assert manager is given
                assert [] == events
                if error is not None:
                    raise error

        with pytest.raises(type(error)) if error else nullcontext():
            asyncio.run(main()) if asynchronous else work()

        assert manager.left is not None
        assert error is manager.left[1]
        assert (*expected, None, None) == outcome(events)

    def test_one_that_can_be_closed_is_there_already(self, events: Events) -> None:
        """An image or an HTTP response is used without a `with`, too."""

        class Image(OwnManager):
            def close(self) -> None:
                """Free it."""

        image = llm_call(partial(Image))()

        assert Image is type(image)
        assert ("ok", None, None, None) == outcome(events)

    def test_it_is_garbage_collected(self, events: Events) -> None:
        """A manager that is entered and then dropped ends its call."""
        manager = llm_call(partial(OwnManager))()
        copy.copy(manager)
        type(manager)()
        assert [] == events
        manager.__enter__()
        del manager

        assert ("closed", None, None, None) == outcome(events)

    def test_one_that_tells_its_usage_has_ended(self, events: Events) -> None:
        """The usage ends the call, and the `with` statement only cleans up."""
        with llm_call(partial(Answered))() as given:
            assert ("ok", None, 5, None) == outcome(events)

        assert Answered is type(given)


class TestAwaited:
    """Objects with `__await__` are observed."""

    def test_it_gives_a_stream(self, events: Events) -> None:
        """The parsed stream is observed."""

        async def main() -> None:
            assert ["a", USAGE] == list(
                await llm_call(partial(Promise))(chunk for chunk in ["a", USAGE])
            )

        asyncio.run(main())

        assert ("ok", None, 5, 2) == outcome(events)

    def test_it_raises(self, events: Events) -> None:
        """The application's own error is raised."""

        async def main() -> None:
            with pytest.raises(LookupError):
                await llm_call(partial(Promise))(LookupError())

        asyncio.run(main())

        assert ("error", "LookupError", None, None) == outcome(events)

    def test_it_is_awaited_again(self, events: Events) -> None:
        """A second use works, and is not recorded."""

        async def main() -> None:
            promise = llm_call(partial(Promise))(USAGE)
            assert USAGE is await promise
            assert USAGE is await promise

        asyncio.run(main())

        assert ("ok", None, 5, None) == outcome(events)


def test_a_method_that_the_application_has_kept_can_be_called_again(events: Events) -> None:
    """A later call of the method is not observed."""

    @llm_call
    def make_manager() -> OwnManager:
        return OwnManager()

    async def main() -> None:
        kept = Kept(llm_call(partial(Promise))(USAGE).__await__)
        assert USAGE is await kept
        assert USAGE is await kept
        manager = make_manager()
        enter, leave = manager.__aenter__, manager.__aexit__
        for _ in range(2):
            assert manager is await enter()
            await leave(None, None, None)

    manager = make_manager()
    enter, leave = manager.__enter__, manager.__exit__
    for _ in range(2):
        assert manager is enter()
        leave(None, None, None)
    asyncio.run(main())

    assert ["ok"] * 3 == [event.outcome for event in events]
