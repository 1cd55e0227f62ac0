"""A local LLM provider without a model or a key: an OpenAI-compatible server.

Run it with `python -m examples.local_provider --port 0`. Its first line is the URL to put into
`OPENAI_BASE_URL`; any `OPENAI_API_KEY` is accepted. It serves `POST /v1/chat/completions`, as JSON
and as server-sent events, and answers with the last message, word by word. A token is a word. Half
of the prompt counts as cached, and two tokens of each answer count as reasoning.

The model's name has options as a query string:

    local                           answers at once
    local?first_ms=300&chunk_ms=50  waits before the first byte and before each further word
    local?fail=429                  is rate-limited, and answers the client's retry
    local?fail=500                  fails each time
    local?fail=cut                  cuts the connection after half of the words (streams only)
"""

from __future__ import annotations

import argparse
import asyncio
import json
import socket
import time
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qsl

import uvicorn
from starlette.applications import Starlette
from starlette.responses import JSONResponse, Response, StreamingResponse
from starlette.routing import Route

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from starlette.requests import Request

REASONING_TOKENS = 2


async def complete(request: Request) -> Response:
    """Answer one chat completion request."""
    body = await request.json()
    model, _, query = body["model"].partition("?")
    options = dict(parse_qsl(query))
    await asyncio.sleep(float(options.get("first_ms", 0)) / 1000)

    # The client counts its retries in this header, so that the server needs no state.
    is_retry = request.headers.get("x-stainless-retry-count", "0") != "0"
    if options.get("fail") == "500" or (options.get("fail") == "429" and not is_retry):
        status = int(options["fail"])
        error = {"message": f"asked to fail with {status}", "type": "local", "code": None}
        return JSONResponse({"error": error}, status, headers={"retry-after-ms": "10"})

    head = {"id": "chatcmpl-local", "created": int(time.time()), "model": model}
    words = body["messages"][-1]["content"].split()
    usage = _usage(sum(len(message["content"].split()) for message in body["messages"]), len(words))
    if body.get("stream"):
        if not body.get("stream_options", {}).get("include_usage"):
            usage = None
        return StreamingResponse(_sse(head, words, usage, options), media_type="text/event-stream")
    message = {"role": "assistant", "content": " ".join(words)}
    choice = {"index": 0, "message": message, "finish_reason": "stop"}
    return JSONResponse({**head, "object": "chat.completion", "choices": [choice], "usage": usage})


def _usage(prompt: int, answer: int) -> dict[str, Any] | None:
    return {
        "prompt_tokens": prompt,
        "completion_tokens": answer + REASONING_TOKENS,
        "total_tokens": prompt + answer + REASONING_TOKENS,
        "prompt_tokens_details": {"cached_tokens": prompt // 2},
        "completion_tokens_details": {"reasoning_tokens": REASONING_TOKENS},
    }


async def _sse(
    head: dict[str, Any], words: list[str], usage: dict[str, Any] | None, options: dict[str, str]
) -> AsyncIterator[str]:
    def frame(choices: list[dict[str, Any]], usage_now: dict[str, Any] | None = None) -> str:
        chunk = {**head, "object": "chat.completion.chunk", "choices": choices}
        if usage is not None:
            chunk["usage"] = usage_now
        return f"data: {json.dumps(chunk)}\n\n"

    def choice(delta: dict[str, str], finish_reason: str | None = None) -> dict[str, Any]:
        return {"index": 0, "delta": delta, "finish_reason": finish_reason}

    yield frame([choice({"role": "assistant", "content": ""})])
    for position, word in enumerate(words):
        if position:
            await asyncio.sleep(float(options.get("chunk_ms", 0)) / 1000)
        if options.get("fail") == "cut" and position == len(words) // 2:
            msg = "asked to cut the connection"
            raise ConnectionAbortedError(msg)
        yield frame([choice({"content": f" {word}" if position else word})])
    yield frame([choice({}, "stop")])
    if usage is not None:
        yield frame([], usage)
    yield "data: [DONE]\n\n"


app = Starlette(routes=[Route("/v1/chat/completions", complete, methods=["POST"])])


def main() -> None:
    """Serve on the loopback interface until stopped."""
    parser = argparse.ArgumentParser(prog="python -m examples.local_provider")
    parser.add_argument("--port", type=int, default=8001, help="0 selects a free port")
    listener = socket.create_server(("127.0.0.1", parser.parse_args().port))
    print(f"http://127.0.0.1:{listener.getsockname()[1]}/v1", flush=True)
    # Its failures are intended: uvicorn need not report them.
    config = uvicorn.Config(app, log_level="critical", access_log=False)
    uvicorn.Server(config).run(sockets=[listener])


if __name__ == "__main__":
    main()
