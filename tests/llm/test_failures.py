"""Failed calls: the provider's reason, their billed tokens, and the caller's own time-out."""

from __future__ import annotations

import asyncio
import sys
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from enum import Enum
from functools import partial
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any, Self

import pytest

from pantheon_obs import instrument_llm, llm_call
from pantheon_obs.core import guard
from pantheon_obs.llm import cancellations
from pantheon_obs.testing import reset
from tests.llm.scripted import Raw, scripted
from tests.llm.sdk import MESSAGES, genai_client, openai_client
from tests.support.garbage import collect_garbage

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Iterator

    from pantheon_obs.core.events import LlmCallFinished

    Events = list[LlmCallFinished]

PRIVATE = "a private message"
USAGE = {"prompt_tokens": 80, "completion_tokens": 2048}
CUT = {"model": "m", "choices": [{"finish_reason": "length"}], "usage": USAGE}


def why(events: Events) -> tuple[Any, ...]:
    """Return outcome and reason of the one call; a message is nowhere in it."""
    [event] = events
    assert PRIVATE not in str(event.fields())
    return (
        event.outcome,
        event.error_type,
        event.error_status,
        event.error_code,
        event.provider_request_id,
    )


class Failure(Exception):  # noqa: N818 - the name is in the events
    """An exception of an SDK, with attributes of its own."""

    def __init__(self, **attributes: Any) -> None:
        super().__init__(PRIVATE)
        vars(self).update(attributes)


def fail(error: Exception) -> Callable[[], Any]:
    """Make a function that raises."""

    def ask() -> Any:
        raise error

    return ask


class TestReason:
    """Status, code and request id of an exception."""

    @pytest.mark.parametrize(
        ("attributes", "expected"),
        [
            ({}, (None, None, None)),
            (
                {"status_code": 429, "code": "rate_limit_exceeded", "request_id": "req_1"},
                (429, "rate_limit_exceeded", "req_1"),
            ),
            (
                {
                    "status_code": 529,
                    "body": {"error": {"type": "overloaded_error"}, "request_id": "req_2"},
                },
                (529, "overloaded_error", "req_2"),
            ),
            (
                {"code": 404, "status": "NOT_FOUND", "response": SimpleNamespace(headers=None)},
                (404, "NOT_FOUND", None),
            ),
            (
                {
                    "response": {
                        "Error": {"Code": "ThrottlingException", "Message": PRIVATE},
                        "ResponseMetadata": {"HTTPStatusCode": 400, "RequestId": "a-1"},
                    }
                },
                (400, "ThrottlingException", "a-1"),
            ),
            (
                {"response": SimpleNamespace(status_code=503, headers={"x-request-id": "r"})},
                (503, None, "r"),
            ),
            (
                {"status_code": 429, "body": [{"error": {"code": 429, "status": "EXHAUSTED"}}]},
                (429, "EXHAUSTED", None),
            ),
            (
                {"status_code": 422, "body": '{"type": "invalid_request_error", "code": "3051"}'},
                (422, "3051", None),
            ),
            (
                {"headers": {"X-Ms-Client-Request-Id": "mine", "apim-request-id": "a", b"b": 1}},
                (None, None, "a"),
            ),
            (
                {"headers": {"apim-request-id": "a", "x-request-id": "x"}},
                (None, None, "x"),
            ),
            ({"headers": {"x-debug-trace-id": "t"}}, (None, None, "t")),
            (
                {"response": {"ResponseMetadata": {"HTTPHeaders": {"x-amzn-requestid": "b"}}}},
                (None, None, "b"),
            ),
            ({"status_code": 402, "body": {"code": 1008, "message": PRIVATE}}, (402, "1008", None)),
            ({"code": PRIVATE, "request_id": "a b", "status_code": "429"}, (None, None, None)),
            ({"code": "a" * 65, "status_code": 200, "body": PRIVATE}, (None, None, None)),
        ],
    )
    def test_it_is_read_from_an_exception(
        self, attributes: Any, expected: tuple[Any, ...], events: Events
    ) -> None:
        """OpenAI's, Anthropic's, Google's, botocore's and httpx's; never the message."""
        with pytest.raises(Failure):
            llm_call(fail(Failure(**attributes)))()

        assert ("error", "Failure", *expected) == why(events)

    def test_it_is_read_from_an_exception_of_grpc(self, events: Events) -> None:
        """xAI's client has these; they tell by methods."""

        class Code(Enum):
            RESOURCE_EXHAUSTED = (8, "resource exhausted")

        class Rpc(Exception):  # noqa: N818 - as above
            def code(self) -> Code:
                return Code.RESOURCE_EXHAUSTED

            def trailing_metadata(self) -> Any:
                return (("x-request-id", "g-1"),)

        with pytest.raises(Rpc):
            llm_call(fail(Rpc(PRIVATE)))()

        assert ("error", "Rpc", None, "RESOURCE_EXHAUSTED", "g-1") == why(events)

    def test_a_call_that_is_cancelled_has_none(self, events: Events) -> None:
        """Nobody has refused it."""

        @llm_call
        def stream() -> Iterator[Any]:
            yield {"error": {"code": 429}}
            raise KeyboardInterrupt

        with pytest.raises(KeyboardInterrupt):
            list(stream())

        assert ("cancelled", "KeyboardInterrupt", None, None, None) == why(events)

    def test_an_exception_that_cannot_be_read_passes(self, events: Events) -> None:
        """Its own attribute raises."""

        class Hostile(Failure):
            @property
            def status_code(self) -> int:
                raise LookupError

        with pytest.raises(Hostile):
            llm_call(operation="hostile")(fail(Hostile()))()

        assert ("error", "Hostile", None, None, None) == why(events)
        assert frozenset({"llm error"}) == guard.reported()
        guard.forget()


class TestErrorsAsAnswers:
    """The HTTP status is 200, and the body an error."""

    @pytest.mark.parametrize(
        ("body", "expected"),
        [
            (
                {"error": {"code": 504, "type": "idle_timeout", "message": PRIVATE}},
                ("idle_timeout", 504, "idle_timeout"),
            ),
            (
                {"error": {"code": "no_credit", "message": PRIVATE}},
                ("no_credit", None, "no_credit"),
            ),
            ({"error": {"message": PRIVATE}}, ("ProviderError", None, None)),
            ({"error": PRIVATE}, ("ProviderError", None, None)),
            ({"error": SimpleNamespace(code="x", message=PRIVATE)}, ("x", None, "x")),
            (
                {"choices": [{"finish_reason": "error", "error": {"code": 502}}]},
                ("ProviderError", 502, None),
            ),
            (
                {"choices": [], "error": {"code": 502, "type": "upstream", "message": PRIVATE}},
                ("upstream", 502, "upstream"),
            ),
            (
                {"choices": [{"delta": {}}], "x_groq": {"id": "1", "error": PRIVATE}},
                ("ProviderError", None, None),
            ),
            (
                {"object": "error", "type": "NotFoundError", "code": 404, "message": PRIVATE},
                ("NotFoundError", 404, "NotFoundError"),
            ),
            (
                {"usage": {"tokens": {"input_tokens": 1}}, "finish_reason": "ERROR"},
                ("ProviderError", None, None),
            ),
            ({"finish_reason": "ERROR_LIMIT", "usage": None}, ("ProviderError", None, None)),
            (
                {"object": "response", "status": "failed", "error": {"code": "server_error"}},
                ("server_error", None, "server_error"),
            ),
            (
                {"is_error": True, "subtype": "error_max_turns", "total_cost_usd": 0.1},
                ("error_max_turns", None, "error_max_turns"),
            ),
        ],
    )
    def test_they_are_errors(self, body: Any, expected: tuple[Any, ...], events: Events) -> None:
        """Whole answers, and the last chunks of streams."""
        llm_call(lambda: body)()
        whole = why(events)
        events.clear()
        list(llm_call(lambda: (chunk for chunk in ({"choices": [{"delta": {}}]}, body)))())

        assert ("error", *expected, None) == whole == why(events)

    @pytest.mark.parametrize(
        "body",
        [
            {"text": "Paris.", "error": None},
            {"text": "Paris.", "error": 0.25},
            {"text": "Paris.", "error": {}},
            SimpleNamespace(text="Paris.", error=print),
            {"object": "response", "status": "incomplete", "error": None},
            {"choices": [], "error": None, "x_groq": {"id": "1"}},
            {"is_error": False, "subtype": "success", "total_cost_usd": 0.1},
            {"is_error": True, "text": "a field of the application's"},
        ],
    )
    def test_other_fields_of_that_name_are_none(self, body: Any, events: Events) -> None:
        """An answer may say that it has no error, or mean another one."""
        llm_call(lambda: body)()

        assert ("ok", None, None, None, None) == why(events)

    @pytest.mark.parametrize("streamed", [False, True])
    def test_a_body_that_is_no_answer_of_the_sdk(self, streamed: bool, events: Events) -> None:  # noqa: FBT001 - a parameter
        """The SDK raises nothing: it returns a text as it is, and makes an answer of any JSON."""
        bodies = [
            Raw(b"<!DOCTYPE html><html>502 Bad Gateway</html>", "text/html"),
            Raw(b"upstream timed out", "text/plain"),
            {"detail": PRIVATE},
            {"object": "error", "type": "NotFoundError", "code": 404, "message": PRIVATE},
            None,
        ]
        with (
            scripted({"/": bodies}) as url,
            openai_client(url) as client,
        ):
            instrument_llm(client)
            for _ in bodies:
                answer = client.chat.completions.create(
                    model="m", messages=MESSAGES, stream=streamed
                )
                if streamed:
                    assert [] == list(answer)

        expected = ["ProviderError", "ProviderError", "ProviderError", "NotFoundError"]
        expected.append("ProviderError")
        assert [
            ("error", kind) for kind in (["IncompleteStream"] * 5 if streamed else expected)
        ] == [(event.outcome, event.error_type) for event in events]

    def test_a_response_of_google_that_has_nothing(self, events: Events) -> None:
        """All of its fields are optional."""
        bodies = [{"detail": PRIVATE}, {"promptFeedback": {"blockReason": "SAFETY"}}]
        with scripted({"/": bodies}) as url, genai_client(url) as client:
            instrument_llm(client)
            client.models.generate_content(model="m", contents="x")
            client.models.generate_content(model="m", contents="x")

        assert [("error", "ProviderError"), ("ok", None)] == [
            (event.outcome, event.error_type) for event in events
        ]

    def test_a_text_that_is_an_answer(self, events: Events) -> None:
        """Transcriptions may be asked for as text."""
        with (
            scripted({"/": Raw(b"Paris.", "text/plain")}) as url,
            openai_client(url) as client,
        ):
            instrument_llm(client)
            client.audio.transcriptions.create(model="m", file=b"x", response_format="text")

        assert ["ok"] == [event.outcome for event in events]

    def test_a_stream_that_is_left_after_one(self, events: Events) -> None:
        """The end had arrived."""
        frames = [{"choices": [{"delta": {}, "finish_reason": "error"}]}, "more"]
        stream = llm_call(lambda: (frame for frame in frames))()
        next(stream)
        stream.close()

        assert ("error", "ProviderError", None, None, None) == why(events)

    def test_the_costs_of_an_agent_are_its_own_figure(self, events: Events) -> None:
        """claude-agent-sdk sums up its calls."""
        usage = {"input_tokens": 4, "cache_read_input_tokens": 6, "output_tokens": 5}
        result = SimpleNamespace(
            is_error=False, subtype="success", total_cost_usd=0.25, usage=usage
        )
        llm_call(lambda: result)()

        [event] = events
        assert (10, 5, 0.25, "provider") == (
            event.input_tokens,
            event.output_tokens,
            event.cost_usd,
            event.cost_source,
        )


class TestBilled:
    """An answer that raises was billed, too."""

    def test_the_exception_carries_it(self, events: Events) -> None:
        """OpenAI's `LengthFinishReasonError` and instructor's exceptions carry the answer."""
        with pytest.raises(Failure):
            llm_call(fail(Failure(completion=CUT)))()

        [event] = events
        assert ("error", 80, 2048, "length") == (
            event.outcome,
            event.input_tokens,
            event.output_tokens,
            event.finish_reason,
        )

    def test_an_exception_that_was_raised_from_it(self, events: Events) -> None:
        """A gateway has exceptions of its own."""

        @llm_call
        def ask() -> None:
            billed = Failure(completion=CUT)
            cause = Failure()
            cause.__cause__ = billed
            raise Failure from cause

        with pytest.raises(Failure):
            ask()

        assert (80, 2048) == (events[0].input_tokens, events[0].output_tokens)

    def test_causes_may_run_in_a_circle(self, events: Events) -> None:
        """Python allows it."""
        first, second = Failure(), Failure()
        first.__cause__, second.__cause__ = second, first
        with pytest.raises(Failure):
            llm_call(fail(first))()

        assert "missing" == events[0].usage_status

    def test_an_answer_that_has_counted_nothing_was_not_billed(self, events: Events) -> None:
        """litellm holds an empty answer, which the provider's own one was to fill."""
        empty = {**CUT, "usage": {"prompt_tokens": 0, "completion_tokens": 0}}
        with pytest.raises(Failure):
            llm_call(fail(Failure(completion=empty)))()

        [event] = events
        assert ("missing", None, None, None) == (
            event.usage_status,
            event.input_tokens,
            event.output_tokens,
            event.finish_reason,
        )

    def test_each_of_several_attempts_counts(self, events: Events) -> None:
        """The last one's exception, which passes, has the tokens of that only."""

        @llm_call
        def gateway() -> None:
            attempt = llm_call(operation="attempt")(fail(Failure(completion=CUT)))
            with suppress(Failure):
                attempt()
            attempt()

        with pytest.raises(Failure):
            gateway()

        assert [80, 80, 160] == [event.input_tokens for event in events]

    def test_the_frames_of_the_application_are_not_searched(self, events: Events) -> None:
        """They may hold the answers of other calls."""

        @llm_call
        def ask(before: Any) -> Any:
            raise Failure(before=1)

        with pytest.raises(Failure):
            ask(CUT)

        assert "missing" == events[0].usage_status

    @pytest.mark.parametrize("content", ['{"capital": 7', '{"city": "Paris"}'])
    def test_a_parse_of_the_sdk_that_raises(self, content: str, events: Events) -> None:
        """pydantic's exception carries no answer; the SDK's frames hold it."""
        openai = pytest.importorskip("openai")
        httpx2 = pytest.importorskip("httpx2")
        from pydantic import BaseModel, ValidationError  # noqa: PLC0415 - with the SDK only

        class Answer(BaseModel):
            capital: str

        message = {"role": "assistant", "content": content}
        choice = {"index": 0, "message": message, "finish_reason": "stop"}
        body = {"id": "1", "object": "chat.completion", "created": 1, "choices": [choice]}
        reply = httpx2.Response(200, json=body | {"model": "gpt-5-nano", "usage": USAGE})
        transport = httpx2.MockTransport(lambda _: reply)
        client = openai.OpenAI(api_key="x", http_client=httpx2.Client(transport=transport))
        instrument_llm(client)

        with pytest.raises(ValidationError):
            client.chat.completions.parse(
                model="gpt-5-nano", messages=MESSAGES, response_format=Answer
            )

        [event] = events
        assert ("error", "ValidationError", 80, 2048) == (
            event.outcome,
            event.error_type,
            event.input_tokens,
            event.output_tokens,
        )


timeouts: list[asyncio.Timeout] = []


def timeout() -> asyncio.Timeout:
    """Make a time-out that expires when the model is asked."""
    timeouts[:] = [asyncio.timeout(None)]
    return timeouts[0]


async def model() -> None:
    """Wait for a model that does not answer, or does not go on."""
    for each in timeouts:
        each.reschedule(asyncio.get_running_loop().time())
    timeouts.clear()
    await asyncio.Event().wait()


@llm_call(operation="ask")
async def ask() -> None:
    """Wait for the model."""
    await model()


@llm_call(operation="ask")
async def stream() -> AsyncIterator[str]:
    """Wait for the rest of an answer."""
    yield "a"
    await model()


async def read() -> None:
    """Read the stream."""
    async for _ in stream():
        pass


async def gathered() -> None:
    """Call beside another task."""
    await asyncio.gather(ask(), asyncio.sleep(9))


async def grouped(*, awaited: bool = False) -> None:
    """Call in a task of a group."""
    async with asyncio.TaskGroup() as group:
        task = group.create_task(ask())
        if awaited:
            await task


@asynccontextmanager
async def stacked() -> AsyncIterator[None]:
    """Set a time-out through an exit stack."""
    async with AsyncExitStack() as stack:
        await stack.enter_async_context(timeout())
        yield


class Deadline:
    """A time-out of the application's own, made of asyncio's."""

    async def __aenter__(self) -> None:
        self._timeout = timeout()
        await self._timeout.__aenter__()

    async def __aexit__(self, *error: object) -> bool | None:
        return await self._timeout.__aexit__(*error)  # type: ignore[arg-type]


class TestTimeOuts:
    """The caller's own time-out is an error; a cancellation is not."""

    @pytest.mark.parametrize("wait", [ask, read])
    def test_of_a_timeout(self, wait: Any, events: Events) -> None:
        """The call, and a stream that waits for the model; through other coroutines."""

        async def within() -> None:
            await wait()

        async def main() -> None:
            async with timeout():
                await within()

        with pytest.raises(TimeoutError):
            asyncio.run(main())

        assert ("error", "TimeoutError") == why(events)[:2]

    def test_of_wait_for(self, events: Events) -> None:
        """Python 3.11 makes a task of its own, which is only cancelled."""

        async def main() -> None:
            await asyncio.wait_for(ask(), 0.01)

        with pytest.raises(TimeoutError):
            asyncio.run(main())

        expected = ("error", "TimeoutError")
        if sys.version_info < (3, 12):
            expected = ("cancelled", "CancelledError")
        assert expected == why(events)[:2]

    @pytest.mark.parametrize(
        "way", ["gather", "task", "group", "nested", "exit stack", "class", "wait_for"]
    )
    def test_of_a_timeout_further_away(self, way: str, events: Events) -> None:
        """It is in a task that waits for the cancelled one, or within another context manager."""
        ways = {
            "gather": gathered,
            "task": lambda: asyncio.create_task(ask()),
            "group": grouped,
            "nested": lambda: asyncio.gather(grouped(awaited=True), asyncio.sleep(0)),
            "wait_for": lambda: asyncio.wait_for(ask(), 9),
        }
        managers: dict[str, Any] = {
            "exit stack": stacked,
            "class": Deadline,
        }

        async def main() -> None:
            async with managers.get(way, timeout)():
                await ways.get(way, ask)()

        with pytest.raises(TimeoutError):
            asyncio.run(main())

        assert ("error", "TimeoutError") == why(events)[:2]

    @pytest.mark.parametrize("way", ["by hand", "with its parent", "by a sibling", "shielded"])
    def test_a_cancellation_by_another(self, way: str, events: Events) -> None:
        """A time-out that has not expired, or has not cancelled this task, does not count."""

        async def within() -> None:
            async with asyncio.timeout(9):
                await gathered()

        async def by_a_sibling() -> None:
            async with asyncio.TaskGroup() as group:
                group.create_task(ask())
                async with timeout():
                    await asyncio.Event().wait()

        async def shielded() -> None:
            async with timeout():
                await asyncio.shield(ask())

        async def main() -> None:
            if way == "by a sibling":
                await by_a_sibling()
            elif way == "shielded":
                await shielded()  # the loop's end cancels the call
            else:
                task = asyncio.create_task(ask() if way == "by hand" else within())
                for _ in range(3):
                    await asyncio.sleep(0)
                task.cancel()
                async with asyncio.timeout(9):
                    await task

        with pytest.raises((TimeoutError, asyncio.CancelledError, ExceptionGroup)):
            asyncio.run(main())

        assert ("cancelled", "CancelledError") == why(events)[:2]

    def test_a_client_that_closes_its_connection_first(self, events: Events) -> None:
        """Its coroutines run when the cancellation reaches the call, as those of httpx do."""

        @llm_call(operation="ask")
        async def closing() -> None:
            try:
                await model()
            finally:
                await asyncio.sleep(0)

        async def main() -> None:
            async with timeout():
                await closing()

        with pytest.raises(TimeoutError):
            asyncio.run(main())

        assert ("error", "TimeoutError") == why(events)[:2]

    def test_a_cancellation_after_a_timeout(self, events: Events) -> None:
        """A timeout that the task has already left does not count, whether it is kept or not."""

        async def consume(waiting: asyncio.Event, *, kept: bool) -> None:
            for _ in range(3):
                with suppress(TimeoutError):
                    async with timeout() as expired:
                        await model()
                if not kept:
                    del expired
            waiting.set()
            await ask()

        async def main() -> None:
            for kept in (False, True):
                waiting = asyncio.Event()
                task = asyncio.create_task(consume(waiting, kept=kept))
                await waiting.wait()
                task.cancel()
                await asyncio.gather(task, return_exceptions=True)

        llm_call(lambda: None)()
        asyncio.run(main())

        assert [("cancelled", "CancelledError")] * 2 == [
            (event.outcome, event.error_type) for event in events[1:]
        ]

    def test_asyncio_is_as_it_was_after_a_reset(self) -> None:
        """The library looks at time-outs from its first call on."""
        function = asyncio.Timeout._on_timeout  # type: ignore[attr-defined] # noqa: SLF001
        code = function.__code__
        llm_call(lambda: None)()
        assert code is not function.__code__
        reset()
        assert code is function.__code__

    def test_without_asyncio(self, events: Events, monkeypatch: Any) -> None:
        """There is nothing to look at."""
        monkeypatch.delitem(sys.modules, "asyncio")
        llm_call(lambda: None)()

        assert ["ok"] == [event.outcome for event in events]

    def test_a_task_of_another_kind(self, events: Events, monkeypatch: Any) -> None:
        """A failure of ours is not the application's."""
        monkeypatch.setattr(cancellations, "_has_expired", lambda *_: 1 / 0)

        async def main() -> None:
            async with timeout():
                await ask()

        with pytest.raises(TimeoutError):
            asyncio.run(main())

        assert ("cancelled", "CancelledError") == why(events)[:2]
        assert {"llm cancellation"} == guard.reported()
        guard.forget()

    def test_a_cancellation_within_a_timeout(self, events: Events) -> None:
        """One that has not expired does not count."""

        async def within() -> None:
            async with asyncio.timeout(9):
                await ask()

        async def main() -> None:
            task = asyncio.create_task(within())
            await asyncio.sleep(0)
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)

        asyncio.run(main())

        assert ("cancelled", "CancelledError") == why(events)[:2]

    def test_a_cancellation_without_a_loop(self, events: Events) -> None:
        """Somebody raises the exception by hand."""
        with pytest.raises(asyncio.CancelledError):
            llm_call(partial(raise_, asyncio.CancelledError()))()

        assert ("cancelled", "CancelledError") == why(events)[:2]

    def test_a_cancellation_in_a_callback(self, events: Events) -> None:
        """There is a loop, but no task."""

        async def main() -> None:
            loop = asyncio.get_running_loop()
            done = loop.create_future()

            def call() -> None:
                with pytest.raises(asyncio.CancelledError):
                    llm_call(partial(raise_, asyncio.CancelledError()))()
                done.set_result(None)

            loop.call_soon(call)
            await done

        asyncio.run(main())

        assert ("cancelled", "CancelledError") == why(events)[:2]


def raise_(error: BaseException) -> None:
    """Raise an exception of any kind."""
    raise error


class Stream:
    """A stream object of an SDK, whose iterator is a generator."""

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        """Close it."""

    async def __aiter__(self) -> AsyncIterator[str]:
        yield "a"
        await model()


@llm_call(operation="ask")
def stream_object() -> Stream:
    """Wait for a model that does not go on."""
    return Stream()


async def within_its_own() -> AsyncIterator[str]:
    """Pass on the chunks of a stream that has to be closed."""
    async with stream_object() as chunks:
        async for chunk in chunks:
            yield chunk


class TestLeft:
    """A consumer that leaves an async stream has not been cancelled."""

    @pytest.mark.parametrize("opens", [stream, stream_object, within_its_own])
    def test_on_a_loop_that_ends(self, opens: Any, events: Events) -> None:
        """The loop cancels the task that would have closed the stream."""

        async def main() -> None:
            async for _ in opens():
                break

        asyncio.run(main())

        assert ("closed", None) == why(events)[:2]

    @pytest.mark.parametrize("opens", [stream, stream_object])
    def test_by_an_exception_that_is_thrown_in(self, opens: Any, events: Events) -> None:
        """A cancellation at a `yield` comes from the consumer."""

        async def main() -> None:
            chunks: Any = aiter(opens())
            await anext(chunks)
            with pytest.raises(asyncio.CancelledError):
                await chunks.athrow(asyncio.CancelledError())

        asyncio.run(main())
        collect_garbage()

        assert ("closed", None) == why(events)[:2]
