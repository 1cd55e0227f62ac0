"""How the demo asks a service, and waits for what it says about it."""

from __future__ import annotations

import json
import re
import time
from typing import TYPE_CHECKING

import httpx

from examples.demo_checks import SERVER_ERROR, Call, Exchange

if TYPE_CHECKING:
    from examples.processes import Server

SECONDS_TO_ANSWER = 10
SECONDS_TO_LOG = 1
SECONDS_TO_TURN = 10


def client_of(app: Server) -> httpx.Client:
    """A client of this service that no proxy setting leads elsewhere."""
    return httpx.Client(base_url=app.url, timeout=SECONDS_TO_ANSWER, trust_env=False)


def ask(model: str) -> dict[str, str]:
    """The body of a question to this model."""
    return {"message": "one two three four", "model_alias": model, "conversation_id": "demo"}


def send(client: httpx.Client, call: Call) -> Exchange:
    """Send one request and read its answer, or only the beginning of it."""
    headers: dict[bytes, bytes] = {}
    if call.sent_id is not None:
        headers[call.sent_as.encode()] = call.sent_id.encode("latin-1")
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
    request_ids = response.headers.get_list("x-request-id")
    return Exchange(call, response.status_code, trace_ids, request_ids, text, usage)


def send_until_it_turns(client: httpx.Client, call: Call) -> Exchange:
    """Send a request again and again until its status is the one that must come of it.

    An answer about readiness is kept for a moment, and a database needs one to start.
    """
    deadline = time.monotonic() + SECONDS_TO_TURN
    while (exchange := send(client, call)).status != call.status and time.monotonic() < deadline:
        time.sleep(0.1)
    return exchange


def show(app: Server, client: httpx.Client, call: Call) -> Exchange:
    """Say what a request is for and send it; let its lines come before the next one's."""
    say(f"\n{call.name}: {call.path}")
    exchange = (send_until_it_turns if call.turns else send)(client, call)
    if not call.is_probe:
        wait_for_line(app, "request_finished", exchange)
    return exchange


def wait_for_line(
    server: Server, event: str, exchange: Exchange, seconds: float = SECONDS_TO_LOG
) -> None:
    """Let a request's last line come first, so that it is shown under its own request.

    Args:
        server: Where the line is to come.
        event: What the line says.
        exchange: The request.
        seconds: How long to wait; what has not come by then is for the checks to find.
    """
    deadline = time.monotonic() + seconds
    for trace_id in exchange.trace_ids:
        while time.monotonic() < deadline and not any(
            event in line and trace_id in line for line in server.lines
        ):
            time.sleep(0.01)


def say(text: str) -> None:
    """Print at once."""
    print(text, flush=True)
