"""Measure the outgoing requests of a client, until the headers of the response are there."""

from __future__ import annotations

import sys
from time import perf_counter
from typing import TYPE_CHECKING, Any, Protocol

from pantheon_obs.core import pipeline
from pantheon_obs.core.guard import Guard
from pantheon_obs.core.timing import ended, enter, in_llm_call, leave, measuring

if TYPE_CHECKING:
    from collections.abc import Callable

    from pantheon_obs.core.timing import Running

_guard = Guard("outgoing requests")


class Client(Protocol):
    """An instrumented client: whether it is so still, and the host of a request."""

    on: bool

    @property
    def host_of(self) -> Callable[[Any], str]:
        """Return the function that reads the host of a request."""


def begin(client: Client) -> Running | None:
    """Begin a request; None for one that an LLM call makes, whose time has its own fields."""
    trace = measuring() if client.on else None
    return None if trace is None or in_llm_call(trace) else enter("http")


def end(
    running: Running | None,
    client: Client,
    request: Any,
    response: Any,
    error: BaseException | None = None,
) -> None:
    """End a request that has begun."""
    if running is not None:
        facts: dict[str, Any] = {}
        if pipeline.timing:
            with _guard:
                facts = {"method": request.method, "server_address": client.host_of(request)}
                facts["status_code"] = getattr(response, "status_code", None)
        leave(running, error, facts)


class TimedAdapter:
    """Stands for the adapter of a `requests` session while the session sends one request.

    The session's own `send` includes the redirects, each of which it sends with an adapter.
    """

    def __init__(self, adapter: Any, client: Client) -> None:
        self._adapter = adapter
        self._client = client

    def __getattr__(self, name: str) -> Any:
        """Look up all else on the adapter itself."""
        return getattr(self._adapter, name)

    def send(self, request: Any, *args: Any, **kwargs: Any) -> Any:
        """Send a request, and measure it."""
        running = begin(self._client)
        try:
            response = self._adapter.send(request, *args, **kwargs)
        except BaseException as error:
            end(running, self._client, request, None, error)
            raise
        end(running, self._client, request, response)
        return response


def tracer(client: Client) -> Any:
    """Make the observer of an `aiohttp` session, which hears of each request and redirect."""

    async def on_start(_session: Any, context: Any, _: Any) -> None:
        with _guard:
            trace = measuring() if client.on else None
            outside = trace is not None and not in_llm_call(trace)
            context.began = (trace, perf_counter()) if outside else None

    async def on_end(_session: Any, context: Any, sent: Any) -> None:
        with _guard:
            response = getattr(sent, "response", None)
            url = sent.url if response is None else response.url
            began, context.began = context.began, None
            if began is not None:
                facts = {"method": sent.method, "server_address": url.raw_host or ""}
                facts["status_code"] = getattr(response, "status", None)
                ended(began[0], "http", began[1], getattr(sent, "exception", None), facts)

    async def on_redirect(session: Any, context: Any, sent: Any) -> None:
        await on_end(session, context, sent)
        await on_start(session, context, sent)

    config: Any = sys.modules["aiohttp"].TraceConfig()
    config.on_request_start.append(on_start)
    config.on_request_redirect.append(on_redirect)
    config.on_request_end.append(on_end)
    config.on_request_exception.append(on_end)
    config.freeze()
    return config
