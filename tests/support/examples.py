"""Send questions to the example services, and read their output."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import httpx

from tests.support.lines import parse_line
from tests.support.server import read_until

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from examples.processes import Server
    from tests.support import server as support

SECONDS_TO_WAIT = 60
QUESTION = "one two three four"
# The simulated provider counts four tokens in, four out and two of reasoning.
INPUT_TOKENS, CACHED_TOKENS, OUTPUT_TOKENS = 4, 2, 6


def client_of(server: Server | support.Server) -> httpx.Client:
    """Make a client of this server that ignores proxy settings."""
    return httpx.Client(base_url=server.url, timeout=SECONDS_TO_WAIT, trust_env=False)


def ask(model: str) -> dict[str, str]:
    """Make the body of a question to this model."""
    conversation_id = f"about-{model.partition('?')[0]}"
    return {"message": QUESTION, "model_alias": model, "conversation_id": conversation_id}


def lines_until(server: Server, is_last: Callable[[str], bool]) -> list[str]:
    """Wait for such a line; return everything that the server has printed."""
    if not read_until(True, lambda: any(map(is_last, list(server.lines)))):  # noqa: FBT003 - as there
        msg = "the line did not come:\n" + "\n".join(server.lines)
        raise AssertionError(msg)
    return list(server.lines)


def events_of(server: Server, trace_id: str) -> list[dict[str, Any]]:
    """Wait for the last line of a request; return all its lines in order."""

    def is_last(line: str) -> bool:
        event = json.loads(line)
        return event.get("trace_id") == trace_id and event["event"] == "request_finished"

    events = [parse_line(line.encode()) for line in lines_until(server, is_last)]
    return [event for event in events if event.get("trace_id") == trace_id]


def story_of(server: Server, trace_id: str) -> tuple[dict[str, Any], dict[str, Any]]:
    """Return the event of a request's one LLM call, and the request's line after it."""
    events = events_of(server, trace_id)
    (place,) = [index for index, event in enumerate(events) if event["event"][:4] == "llm."]
    (finished,) = [event for event in events[place:] if event["event"] == "request_finished"]
    return events[place], finished


def iter_until_data(response: httpx.Response) -> Iterator[str]:
    """Iterate over the response's lines up to its first `data:`."""
    for line in response.iter_lines():
        yield line
        if line.startswith("data:"):
            return
