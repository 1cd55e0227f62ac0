"""Run the FastAPI service under uvicorn, and send it requests."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from functools import partial

from examples.demo_checks import Call, Tour, check
from examples.demo_client import ask, client_of, send, show, wait_for_line
from examples.demo_table import GREEN, say, say_head, say_row
from examples.processes import RECORDER, start_app, start_provider

TITLE = "FastAPI under uvicorn"
HEALTH = "/api/v1/health"
CHAT = "/api/v1/chat"
STREAM = "/api/v1/chat/stream"

CALLS = [
    Call("own trace id", HEALTH, sent_id="my-custom-id"),
    Call("no trace id", HEALTH),
    Call("hostile id: too long", HEALTH, sent_id="x" * 129, refused=True),
    Call("hostile id: a tab and a brace", HEALTH, sent_id='a\t{"forged": 1}', refused=True),
    Call("hostile id: not ASCII", HEALTH, sent_id="caf\xe9", refused=True),
    Call("chat", CHAT, ask("local"), llm_outcomes=("ok",), event="chat_answered", shows=True),
    Call(
        "chat, rate-limited once",
        CHAT,
        ask("local?first_ms=100&fail=429"),
        llm_outcomes=("ok",),
        event="chat_answered",
        slow_part="llm",
    ),
    Call(
        "chat, the provider fails",
        CHAT,
        ask("local?fail=500"),
        status=502,
        llm_outcomes=("error",),
        detail="question_received",
    ),
    Call("read from SQLite", "/api/v1/conversations/demo", event="conversation_read"),
    Call("stream", STREAM, ask("local?chunk_ms=50"), llm_outcomes=("ok",)),
    Call(
        "stream, the client leaves",
        STREAM,
        ask("local?chunk_ms=5000"),
        disconnects=True,
        outcome="client_disconnected",
        llm_outcomes=("cancelled", "closed"),
    ),
    Call("stream, the provider cuts it", STREAM, ask("local?fail=cut"), llm_outcomes=("error",)),
    Call("404", "/nowhere", status=404),
    Call("500", "/sentry-debug", status=500, outcome="error"),
]

CROWD = [
    Call(
        f"at once: {number}",
        STREAM if number % 2 else CHAT,
        ask("local?first_ms=50&chunk_ms=10"),
        sent_id=f"crowd-{number}",
        llm_outcomes=("ok",),
        event=None if number % 2 else "chat_answered",
    )
    for number in range(1, 21)
]


def run() -> Tour:
    """Start the provider and the service, send all requests, stop both."""
    say("Starting the local LLM provider and uvicorn ...")
    with (
        start_provider() as provider,
        start_app(provider.url, env=RECORDER) as app,
        client_of(app) as client,
    ):
        say_head(TITLE)
        exchanges = [show(app, client, call) for call in CALLS]
        with ThreadPoolExecutor(len(CROWD)) as pool:
            crowd = list(pool.map(partial(send, client), CROWD))
        for exchange in crowd:
            wait_for_line(app, "request_finished", exchange)
        answered = sum(exchange.status == exchange.call.status for exchange in crowd)
        say_row(f"{len(CROWD)} at once", f"{answered} answered, each id kept", GREEN)
        exchanges += crowd
    return Tour(exchanges, app.lines)


def problems_of(tour: Tour) -> list[str]:
    """Return the problems of this part, one sentence each."""
    return check(tour.exchanges, tour.lines)
