"""Send the demo's requests to a service, and wait for its log lines."""

from __future__ import annotations

import json
import re
import time
from typing import TYPE_CHECKING

import httpx

from examples.demo_checks import SERVER_ERROR, Call, Exchange
from examples.demo_table import say_exchange
from examples.processes import WaitedError

if TYPE_CHECKING:
    from examples.processes import Server

# For a busy machine: each wait ends as soon as its event comes.
SECONDS_TO_ANSWER = 120
SECONDS_TO_LOG = 60
SECONDS_TO_POLL = 60


def client_of(app: Server) -> httpx.Client:
    """Make a client of this service that ignores proxy settings."""
    return httpx.Client(base_url=app.url, timeout=SECONDS_TO_ANSWER, trust_env=False)


def ask(model: str) -> dict[str, str]:
    """Make the body of a question to this model."""
    return {"message": "one two three four", "model_alias": model, "conversation_id": "demo"}


def send(client: httpx.Client, call: Call) -> Exchange:
    """Send one request and read its answer, or only the first piece of it."""
    headers: dict[bytes, bytes] = {}
    if call.sent_id is not None:
        headers[call.sent_as.encode()] = call.sent_id.encode("latin-1")
    if call.status == SERVER_ERROR:
        # uvicorn closes the connection after an unhandled error: do not use it again.
        headers[b"Connection"] = b"close"
    method = "GET" if call.body is None else "POST"
    text = ""
    try:
        with client.stream(method, call.path, json=call.body, headers=headers) as response:
            for piece in response.iter_text():
                text += piece
                if call.disconnects:
                    break
    except httpx.HTTPError as error:
        waited = f"waited at most {SECONDS_TO_ANSWER} s for the answer to {method} {call.path}"
        msg = f"{waited} ({call.name}), and got {type(error).__name__}: {error}"
        raise WaitedError(msg) from error
    usage = None
    found = re.search(r'"usage": ?(\{.*?\})', text)
    if found:
        tokens = json.loads(found[1])
        fresh, cached = tokens["input_tokens_fresh"], tokens["input_tokens_cached"]
        usage = (fresh + cached, tokens["output_tokens"])
    trace_ids = response.headers.get_list("x-trace-id")
    request_ids = response.headers.get_list("x-request-id")
    return Exchange(call, response.status_code, trace_ids, request_ids, text, usage)


def poll(client: httpx.Client, call: Call) -> Exchange:
    """Send a request repeatedly until it has the expected status.

    The service caches its readiness for a second, and a database needs time to start.
    """
    deadline = time.monotonic() + SECONDS_TO_POLL
    while (exchange := send(client, call)).status != call.status and time.monotonic() < deadline:
        time.sleep(0.1)
    return exchange


def wait_until_it_answers(client: httpx.Client, path: str) -> None:
    """Wait for the first answer: a server may listen long before it has loaded the service."""
    send(client, Call("the first answer of the service", path))


def show(app: Server, client: httpx.Client, call: Call) -> Exchange:
    """Send a request, wait for its log lines, and print its row of the table."""
    exchange = (poll if call.polls else send)(client, call)
    if not call.is_probe:
        wait_for_line(app, "request_finished", exchange)
    say_exchange(exchange, app.lines)
    return exchange


def wait_for_line(
    server: Server, event: str, exchange: Exchange, seconds: int = SECONDS_TO_LOG
) -> None:
    """Wait for a log line of a request, so that it is shown with its own request.

    Args:
        server: The server that prints the line.
        event: The event on the line.
        exchange: The request.
        seconds: The longest time to wait, in seconds.

    Raises:
        WaitedError: The line has not come.
    """
    deadline = time.monotonic() + seconds
    for trace_id in exchange.trace_ids:
        while not any(event in line and trace_id in line for line in server.lines):
            if time.monotonic() > deadline:
                msg = f"waited {seconds} s for the log line {event} of {exchange.call.name!r}"
                raise WaitedError(msg)
            time.sleep(0.01)
