"""An MCP server of the SDK that is installed, and a client that calls it over stdio and HTTP.

`python …/mcp_books.py serve {stdio|streamable-http} PORT` serves. `… call PORT` starts a server on
stdio, calls it and the one on the port, and prints what the tools have seen as JSON.
"""

from __future__ import annotations

import asyncio
import json
import os
import sys
from contextlib import AsyncExitStack
from importlib.metadata import version
from typing import Any

from pantheon_obs import configure_logging, current_trace_id, trace_context
from pantheon_obs.adapters.mcp import instrument_mcp

NEW = version("mcp").startswith("2")


def make_server(port: int) -> Any:
    """Make the server; the tools are declared after `instrument_mcp`."""
    if NEW:
        from mcp.server import MCPServer  # noqa: PLC0415 - of this version

        server = instrument_mcp(MCPServer("books"))
    else:
        from mcp.server.fastmcp import FastMCP  # noqa: PLC0415 - of this version

        server = instrument_mcp(FastMCP("books", port=port))
    assert instrument_mcp(server) is server

    @server.tool()
    def seen() -> str:
        """Tell the trace id."""
        return current_trace_id.get()

    return server


def serve(transport: Any, port: int) -> None:
    """Serve until the client leaves, or SIGTERM."""
    configure_logging(log_stream="stderr")
    server = make_server(port)
    if NEW and transport != "stdio":
        server.run(transport, port=port)
    else:
        server.run(transport)


async def ask(session: Any) -> list[str]:
    """Call the tool in two traces and outside of one, and once with meta data of its own."""
    found = []
    for trace_id in ("order-7", "0af7651916cd43dd8448eb211c80319c"):
        with trace_context(trace_id):
            await session.list_tools()
            found.append(await text(session))
            found.append(await text(session, meta={"x-trace-id": "by-hand"}))
    found.append(await text(session))
    return found


async def text(session: Any, **named: Any) -> str:
    """Call the tool."""
    return str((await session.call_tool("seen", {}, **named)).content[0].text)


async def call(port: int) -> None:
    """Call both servers."""
    from mcp import ClientSession, StdioServerParameters  # noqa: PLC0415 - of this version
    from mcp.client.stdio import stdio_client  # noqa: PLC0415 - of this version
    from mcp.client.streamable_http import streamable_http_client  # noqa: PLC0415 - of this version

    url = f"http://127.0.0.1:{port}/mcp"
    stdio = StdioServerParameters(
        command=sys.executable,
        args=["-m", __spec__.name, "serve", "stdio", "0"],
        env=dict(os.environ),
    )
    for transport in (stdio_client(stdio), streamable_http_client(url)):
        async with AsyncExitStack() as stack:
            streams = await stack.enter_async_context(transport)
            session = await stack.enter_async_context(ClientSession(streams[0], streams[1]))
            instrument_mcp(session)
            await session.initialize()
            sys.stdout.write(json.dumps(await ask(session)) + "\n")
    if NEW:
        from mcp import Client  # noqa: PLC0415 - of this version

        async with Client(url) as client:
            sys.stdout.write(json.dumps(await ask(instrument_mcp(client))) + "\n")


if __name__ == "__main__":
    if sys.argv[1] == "serve":
        serve(sys.argv[2], int(sys.argv[3]))
    else:
        asyncio.run(call(int(sys.argv[2])))
