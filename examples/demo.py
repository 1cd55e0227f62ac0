"""A tour on one machine, without a key: `python -m examples.demo`.

It starts the local provider and the chat service as processes of their own, sends them a mix of
requests, shows each line that the service prints, and checks responses and lines against each
other. The exit status is 0 if all was as it should be.
"""

from __future__ import annotations

import json
import re
import signal
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import TYPE_CHECKING

import httpx

from examples.demo_checks import SERVER_ERROR, Call, Exchange, check, table
from examples.processes import start_app, start_provider

if TYPE_CHECKING:
    from examples.processes import Server

HEALTH = "/api/v1/health"
CHAT = "/api/v1/chat"
STREAM = "/api/v1/chat/stream"
SECONDS_TO_ANSWER = 10
SECONDS_TO_LOG = 1


def _ask(model: str) -> dict[str, str]:
    return {"message": "one two three four", "model_alias": model, "conversation_id": "demo"}


CALLS = [
    Call("own trace id", HEALTH, sent_id="my-custom-id"),
    Call("no trace id", HEALTH),
    Call("hostile id: too long", HEALTH, sent_id="x" * 129, refused=True),
    Call("hostile id: a tab and a brace", HEALTH, sent_id='a\t{"forged": 1}', refused=True),
    Call("hostile id: not ASCII", HEALTH, sent_id="caf\xe9", refused=True),
    Call("chat", CHAT, _ask("local"), llm_outcomes=("ok",), says="chat_answered"),
    Call(
        "chat, the provider is slow and rate-limits once",
        CHAT,
        _ask("local?first_ms=100&fail=429"),
        llm_outcomes=("ok",),
        says="chat_answered",
    ),
    Call(
        "chat, the provider fails",
        CHAT,
        _ask("local?fail=500"),
        status=502,
        llm_outcomes=("error",),
    ),
    Call("what SQLite kept", "/api/v1/conversations/demo", says="conversation_read"),
    Call("stream", STREAM, _ask("local?chunk_ms=50"), llm_outcomes=("ok",)),
    Call(
        "stream, the client leaves",
        STREAM,
        _ask("local?chunk_ms=5000"),
        leaves=True,
        outcome="client_disconnected",
        llm_outcomes=("cancelled", "closed"),
    ),
    Call("stream, the provider cuts it", STREAM, _ask("local?fail=cut"), llm_outcomes=("error",)),
    Call("404", "/nowhere", status=404),
    Call("500", "/sentry-debug", status=500, outcome="error"),
]

CROWD = [
    Call(
        f"at once: {number}",
        STREAM if number % 2 else CHAT,
        _ask("local?first_ms=50&chunk_ms=10"),
        sent_id=f"crowd-{number}",
        llm_outcomes=("ok",),
        says=None if number % 2 else "chat_answered",
    )
    for number in range(1, 21)
]


def send(client: httpx.Client, call: Call) -> Exchange:
    """Send one request and read its answer, or only the beginning of it."""
    headers: dict[bytes, bytes] = {}
    if call.sent_id is not None:
        headers[b"X-Trace-ID"] = call.sent_id.encode("latin-1")
    if call.status == SERVER_ERROR:
        # uvicorn closes the connection after an unhandled error: do not send the next one there.
        headers[b"Connection"] = b"close"
    method = "GET" if call.body is None else "POST"
    text = ""
    with client.stream(method, call.path, json=call.body, headers=headers) as response:
        for piece in response.iter_text():
            text += piece
            if call.leaves:
                break
    usage = None
    found = re.search(r'"usage": ?(\{.*?\})', text)
    if found:
        tokens = json.loads(found[1])
        fresh, cached = tokens["input_tokens_fresh"], tokens["input_tokens_cached"]
        usage = (fresh + cached, tokens["output_tokens"])
    trace_ids = response.headers.get_list("x-trace-id")
    return Exchange(call, response.status_code, trace_ids, text, usage)


def _wait_for_line(app: Server, exchange: Exchange) -> None:
    """Let the request's last line come first, so that it is shown under its own request."""
    deadline = time.monotonic() + SECONDS_TO_LOG
    for trace_id in exchange.trace_ids:
        while time.monotonic() < deadline and not any(
            "request_finished" in line and trace_id in line for line in app.lines
        ):
            time.sleep(0.01)


def _say(text: str) -> None:
    print(text, flush=True)


def run() -> tuple[list[Exchange], list[str]]:
    """Start both servers, send all requests, stop the servers.

    Returns:
        The exchanges, and each line that the service printed from its start to its end.
    """
    exchanges: list[Exchange] = []
    with (
        start_provider() as provider,
        start_app(provider.url, on_line=lambda line: _say(f"    {line}")) as app,
        httpx.Client(base_url=app.url, timeout=SECONDS_TO_ANSWER, trust_env=False) as client,
    ):
        for call in CALLS:
            _say(f"\n{call.name}: {call.path}")
            exchanges.append(send(client, call))
            _wait_for_line(app, exchanges[-1])
        _say(f"\n{len(CROWD)} at once")
        with ThreadPoolExecutor(len(CROWD)) as pool:
            exchanges += pool.map(partial(send, client), CROWD)
        for exchange in exchanges[-len(CROWD) :]:
            _wait_for_line(app, exchange)
        _say("\nstop")
    return exchanges, app.lines


def _stop(_signal: int, _frame: object) -> None:
    sys.exit(1)  # an exception: the servers are stopped on its way out


def main() -> int:
    """Run the tour, print the table and what is wrong."""
    signal.signal(signal.SIGTERM, _stop)
    exchanges, lines = run()
    _say(f"\n{table(exchanges, lines)}")
    problems = check(exchanges, lines)
    for problem in problems:
        _say(f"WRONG: {problem}")
    if not problems:
        _say(f"\nAll as it should be: {len(exchanges)} requests, {len(lines)} lines, each checked.")
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main())
