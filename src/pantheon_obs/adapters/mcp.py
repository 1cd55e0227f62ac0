"""The Model Context Protocol: the trace crosses in `_meta`, from clients and into servers.

https://modelcontextprotocol.io/specification/2025-11-25/basic#meta
"""

from __future__ import annotations

from contextlib import nullcontext
from functools import wraps
from typing import TYPE_CHECKING, Any, TypeVar, get_args

from pantheon_obs.core.errors import refuse
from pantheon_obs.core.guard import Guard
from pantheon_obs.core.serving import active
from pantheon_obs.core.switch import is_off
from pantheon_obs.propagation.carriers import extract, inject
from pantheon_obs.propagation.jobs import trace_context

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable
    from contextlib import AbstractContextManager

_MARK = "_pantheon_obs_instrumented"
_ACCEPTED = "a server (MCPServer, FastMCP, Server) or a session (ClientSession, Client) of the SDK"

_S = TypeVar("_S")
_guard = Guard("mcp")


def instrument_mcp(server_or_session: _S) -> _S:
    """Let the trace cross between an MCP client and an MCP server, over any transport.

    A server handles each request in the trace that the request's `_meta` names (`traceparent`, or
    `x-trace-id` for an id that does not fit into one); else in the trace that is active, or a new
    one. A session adds the current trace to the `_meta` of each request. Nothing else is set up:
    a server on standard input and output must log to standard error
    (`configure_logging(log_stream="stderr")`).

    Args:
        server_or_session: An `MCPServer`, `FastMCP` or low-level `Server`, or a `ClientSession` or
            connected `Client`, of the official SDK, 1.x or 2.x.

    Returns:
        The same object. A second call is a no-op.

    Raises:
        ConfigError: It is neither.

    Example:
        >>> def make_server():
        ...     from mcp.server import MCPServer
        ...     from pantheon_obs.adapters.mcp import instrument_mcp
        ...     return instrument_mcp(MCPServer("books"))
    """
    given: Any = server_or_session
    session = given if hasattr(given, "send_request") else _attribute(given, "session")
    server = given if hasattr(given, "request_handlers") else _attribute(given, "_mcp_server")
    if hasattr(session, "send_request"):
        _once(session, _trace_session)
    elif isinstance(getattr(given, "middleware", None), list):
        _once(given, _trace_middleware)
    elif isinstance(getattr(server, "request_handlers", None), dict):
        _once(server, _trace_handlers)
    else:
        refuse("server_or_session", given, _ACCEPTED)
    return server_or_session


def _attribute(given: object, name: str) -> Any:
    """Read an attribute that a server of the other kind lacks, or refuses before it has begun."""
    try:
        return getattr(given, name, None)
    except Exception:  # noqa: BLE001 - a client's session, before it is connected
        return None


def _once(given: Any, trace: Callable[[Any], None]) -> None:
    if is_off() or _MARK in vars(given):
        return
    trace(given)
    setattr(given, _MARK, True)


def _in_trace(meta: object) -> AbstractContextManager[object]:
    """Make the trace that the meta data of a request names the current one."""
    trace_id = extract(getattr(meta, "model_extra", meta))  # type: ignore[arg-type]  # it takes any
    current, trace = active()
    if trace_id == current or (trace_id is None and trace is not None and not trace.ended):
        return nullcontext()
    return trace_context(trace_id)


def _trace_middleware(server: Any) -> None:
    """Trace the requests of a server of SDK 2.x."""

    async def tracing(context: Any, call_next: Callable[[Any], Awaitable[Any]]) -> Any:
        with _in_trace(context.meta):
            return await call_next(context)

    server.middleware.insert(0, tracing)


class _Handlers(dict[Any, Any]):
    """The handlers of a server of SDK 1.x, each of which runs in the trace of its request."""

    def __getitem__(self, kind: Any) -> Any:
        return _traced(super().__getitem__(kind))

    def get(self, kind: Any, default: Any = None) -> Any:
        """Look up a handler, as the server does for each request."""
        handler = super().get(kind)
        return default if handler is None else _traced(handler)


def _traced(handler: Callable[[Any], Awaitable[Any]]) -> Callable[[Any], Awaitable[Any]]:
    @wraps(handler)
    async def traced(request: Any) -> Any:
        with _in_trace(getattr(getattr(request, "params", None), "meta", None)):
            return await handler(request)

    return traced


def _trace_handlers(server: Any) -> None:
    """Trace the requests of a server of SDK 1.x, with handlers that it gets later too."""
    server.request_handlers = _Handlers(server.request_handlers)


def _trace_session(session: Any) -> None:
    """Send the current trace with each request of a session."""
    send = session.send_request

    @wraps(send)
    async def send_traced(request: Any, *arguments: Any, **named: Any) -> Any:
        with _guard:
            request = _with_meta(request, inject(lower_case=True))
        return await send(request, *arguments, **named)

    session.send_request = send_traced


def _with_meta(request: Any, ours: dict[str, str]) -> Any:
    """Copy a request with more meta data; its caller's meta data stays."""
    inner = getattr(request, "root", None)  # of SDK 1.x, which wraps requests
    if inner is not None:
        return type(request)(_with_meta(inner, ours))
    params = request.params
    if params is None:  # the request has a class for them all the same
        kinds = get_args(type(request).model_fields["params"].annotation)
        params = next(kind for kind in kinds if hasattr(kind, "model_fields"))()
    given = params.meta
    is_model = hasattr(type(params), "Meta")
    there = {} if given is None else dict(given.model_extra if is_model else given)
    if is_model and given is not None:
        there["progressToken"] = given.progressToken
    meta: Any = {**ours, **there}
    params = params.model_copy(update={"meta": type(params).Meta(**meta) if is_model else meta})
    return request.model_copy(update={"params": params})
