"""Measure the outgoing requests of a client, until the headers of the response are there."""

from __future__ import annotations

import sys
from time import perf_counter
from typing import TYPE_CHECKING, Any, Protocol, Self

from pantheon_obs.core import pipeline
from pantheon_obs.core.guard import Guard
from pantheon_obs.core.timing import ended, enter, in_llm_call, leave, measuring

if TYPE_CHECKING:
    from collections.abc import Callable

    from pantheon_obs.core.context import Trace

_guard = Guard("outgoing requests")


class Client(Protocol):
    """An instrumented client: whether it is so still, and the host of a request."""

    on: bool

    @property
    def host_of(self) -> Callable[[Any], str]:
        """Return the function that reads the host of a request."""
        ...


def measured_trace(client: Client) -> Trace | None:
    """Return the trace in which a request is measured now.

    None for a request that an LLM call makes, as its time has its own fields.
    """
    trace = measuring() if client.on else None
    return None if trace is None or in_llm_call(trace) else trace


class Timed:
    """Measures, as a `with` block, a request whose `response` is set within the block."""

    __slots__ = ("_client", "_request", "_running", "response")

    def __init__(self, client: Client, request: Any) -> None:
        self._client = client
        self._request = request
        self.response: Any = None

    def __enter__(self) -> Self:
        """Begin the request."""
        self._running = None if measured_trace(self._client) is None else enter("http")
        return self

    def __exit__(self, kind: object, error: BaseException | None, traceback: object) -> None:
        """End the request; an error passes."""
        if self._running is None:
            return
        facts: dict[str, Any] = {}
        if pipeline.timing:
            with _guard:
                host = self._client.host_of(self._request)
                facts = {"method": self._request.method, "server_address": host}
                facts["status_code"] = getattr(self.response, "status_code", None)
        leave(self._running, error, facts)


class TimedAdapter:
    """Stands for the adapter of a `requests` session while the session sends one request.

    The session's own `send` includes the redirects, each of which it sends with an adapter.
    """

    def __init__(self, adapter: Any, client: Client) -> None:
        self._adapter = adapter
        self._client = client

    def __getattr__(self, name: str) -> Any:
        """Look up other attributes on the adapter itself."""
        return getattr(self._adapter, name)

    def send(self, request: Any, *args: Any, **kwargs: Any) -> Any:
        """Send a request, and measure it."""
        with Timed(self._client, request) as call:
            call.response = self._adapter.send(request, *args, **kwargs)
        return call.response


def tracer(client: Client) -> Any:
    """Make the observer of an `aiohttp` session, which is called for each request and redirect."""

    async def on_start(_session: Any, context: Any, _: Any) -> None:
        with _guard:
            trace = measured_trace(client)
            context.began = None if trace is None else (trace, perf_counter())

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
