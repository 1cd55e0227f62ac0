"""Under real uvicorn: clients that read to the end, and clients that leave in the middle."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from tests.support import loopback
from tests.support.lines import parse_line
from tests.support.server import Server, uvicorn

if TYPE_CHECKING:
    from collections.abc import Iterator

    import httpx

pytest.importorskip("fastapi")
pytest.importorskip("uvicorn")

STREAMS = ["sync_generator", "async_generator", "sync_object", "async_object"]


@pytest.fixture(scope="module")
def server() -> Iterator[Server]:
    """Run the service."""
    with uvicorn("tests.apps.llm_streams:app") as server:
        yield server


def lines_of(server: Server, trace_id: str) -> list[dict[str, Any]]:
    """Return the lines of a request, once its last one has come."""

    def lines() -> list[dict[str, Any]]:
        parsed = [parse_line(line.encode()) for line in list(server.out)]
        return [line for line in parsed if line.get("trace_id") == trace_id]

    server.wait_for(
        lambda: any(line["event"] == "request_finished" for line in lines()), "request_finished"
    )
    return lines()


def story_of(server: Server, trace_id: str) -> tuple[list[dict[str, Any]], dict[str, Any]]:
    """Return the LLM calls of a request, and its own line, which comes last."""
    lines = [line for line in lines_of(server, trace_id) if line["event"] != "background_failed"]
    *calls, finished = lines
    assert {"pantheon_obs.llm"} == {line["logger"] for line in calls}
    assert "request_finished" == finished["event"]
    return calls, finished


def get(server: Server, path: str) -> httpx.Response:
    """Read an answer to its end."""
    return loopback.get(server.url + path)


@pytest.mark.parametrize("stream", STREAMS)
def test_read_to_the_end(server: Server, stream: str) -> None:
    """The call is ok, with its times, and its usage is on the request's line."""
    response = get(server, f"/{stream}?count=3")

    assert 6 == response.text.count("data:")
    [call], finished = story_of(server, response.headers["X-Trace-ID"])
    assert ("llm.stream", "ok", "stop", 6, 3, 3) == (
        call["event"],
        call["outcome"],
        call["finish_reason"],
        call["chunks"],
        call["input_tokens"],
        call["output_tokens"],
    )
    # Each chunk takes 10 ms; uvloop wakes up to a millisecond early.
    assert 9 <= call["ttfc_ms"] < call["ttft_ms"]
    assert call["ttft_ms"] >= 18
    assert 54 <= call["producer_ms"] <= call["latency_ms"] <= finished["latency_ms"]
    assert (1, 0, 3, 3) == totals(finished)


@pytest.mark.parametrize("stream", STREAMS)
def test_a_client_that_leaves_in_the_middle(server: Server, stream: str) -> None:
    """There is one event, which the request's line counts once; it is neither ok nor an error."""
    with loopback.stream("GET", f"{server.url}/{stream}") as answer:
        assert "data:" in next(answer.iter_text())
        trace_id = answer.headers["X-Trace-ID"]

    [call], finished = story_of(server, trace_id)
    # An async stream is usually cancelled while it waits for the model; or it was just dropped.
    expected = ("closed",) if stream.startswith("sync") else ("cancelled", "closed")
    assert call["outcome"] in expected
    assert ("missing", None, None) == (
        call["usage_status"],
        call["input_tokens"],
        call["output_tokens"],
    )
    assert 1 <= call["chunks"] < 3000
    assert "finish_reason" not in call
    assert "client_disconnected" == finished["outcome"]
    assert (1, 0, None, None) == totals(finished)
    assert 1 == finished["llm_usage_missing"]


def test_a_stream_that_is_collected_after_the_request_is_not_reported_again(
    server: Server,
) -> None:
    """A sync generator is closed only then, and its call has ended with the request."""
    with loopback.stream("GET", f"{server.url}/sync_generator") as answer:
        next(answer.iter_text())
        trace_id = answer.headers["X-Trace-ID"]
    before = lines_of(server, trace_id)

    collected = get(server, "/collect").headers["X-Trace-ID"]
    lines_of(server, collected)

    assert before == lines_of(server, trace_id)
    assert ["llm.stream", "request_finished"] == [line["event"] for line in before]
    assert "closed" == before[0]["outcome"]


def test_calls_at_the_same_time_add_up(server: Server) -> None:
    """Calls in tasks, a group and threads share one trace and one sum."""
    trace_id = get(server, "/concurrent").headers["X-Trace-ID"]

    calls, finished = story_of(server, trace_id)
    assert [1, 2, 3, 4] == sorted(call["input_tokens"] for call in calls)
    assert (4, 0, 10, 4) == totals(finished)
    assert pytest.approx(sum(call["latency_ms"] for call in calls)) == finished["llm_latency_ms"]


def test_calls_within_a_call_count_once(server: Server) -> None:
    """The stream's own calls are within it, and its reader's is not."""
    trace_id = get(server, "/agent").headers["X-Trace-ID"]

    calls, finished = story_of(server, trace_id)
    assert [
        ("llm.agent", False, 3),
        ("llm.generate", False, 3),
        ("llm.generate", True, 1),
        ("llm.generate", True, 2),
    ] == sorted((call["event"], "nested" in call, call["input_tokens"]) for call in calls)
    assert (2, 0, 6, 3) == totals(finished)


def test_calls_that_are_open_or_without_usage_are_counted_as_such(server: Server) -> None:
    """No sum says 0 where nobody reported; a nested open call counts for its outer one."""
    lines = lines_of(server, get(server, "/open").headers["X-Trace-ID"])

    [finished] = [line for line in lines if line["event"] == "request_finished"]
    assert {
        "llm_calls": 2,
        "llm_errors": 0,
        "llm_usage_missing": 1,
        "llm_open": 1,
    } == {
        name: value
        for name, value in finished.items()
        if name.startswith("llm_") and name != "llm_latency_ms"
    }


def totals(finished: dict[str, Any]) -> tuple[int | None, ...]:
    """Return the LLM totals on the request's line."""
    return (
        finished["llm_calls"],
        finished["llm_errors"],
        finished.get("llm_input_tokens"),
        finished.get("llm_output_tokens"),
    )
