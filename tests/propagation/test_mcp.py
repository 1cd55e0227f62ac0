"""The trace crosses between real MCP clients and servers, over stdio and HTTP, of both SDKs."""

from __future__ import annotations

import asyncio
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any
from uuid import UUID

import pytest

from pantheon_obs import ConfigError, configure_logging, current_trace_id, trace_context
from pantheon_obs.adapters.mcp import instrument_mcp
from pantheon_obs.testing import reset
from tests.support.server import ROOT, SECONDS, Server, environment, free_port

if TYPE_CHECKING:
    from collections.abc import Mapping

mcp: Any = pytest.importorskip("mcp")

BOOKS = "tests.adapters.apps.mcp_books"


@pytest.fixture(scope="module")
def older(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """Install the SDK 1.x beside the one of the environment, in front of it."""
    folder = tmp_path_factory.mktemp("mcp")
    bin_folders = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    uv = shutil.which("uv", path=bin_folders)
    assert uv is not None
    subprocess.run(
        (uv, "pip", "install", "-q", "--python", sys.executable, "--target", folder, "mcp<2"),
        check=True,
    )
    return {"PYTHONPATH": f"{folder}{os.pathsep}{os.environ.get('PYTHONPATH', '')}"}


def seen_by_tools(env: Mapping[str, str]) -> list[list[str]]:
    """Serve over HTTP, and have a client call that server and one on stdio."""
    port = free_port()
    with Server(BOOKS, "serve", "streamable-http", str(port), port=port, env=env):
        called = subprocess.run(
            (sys.executable, "-m", BOOKS, "call", str(port)),
            cwd=ROOT,
            env={**environment(), **env},
            capture_output=True,
            timeout=4 * SECONDS,
            text=True,
            check=False,
        )
    assert 0 == called.returncode, called.stderr[-3000:]
    return [json.loads(line) for line in called.stdout.splitlines()]


@pytest.mark.parametrize("sdk", ["newest", "older"])
def test_a_tool_sees_the_trace_of_its_caller(sdk: str, request: pytest.FixtureRequest) -> None:
    """Over each transport: both kinds of ids, meta data of the caller's own, and no trace."""
    runs = seen_by_tools(request.getfixturevalue("older") if sdk == "older" else {})
    named = ["order-7", "by-hand", "0af7651916cd43dd8448eb211c80319c", "by-hand"]
    assert [named] * len(runs) == [run[:-1] for run in runs]
    assert (2 if sdk == "older" else 3) == len(runs)
    assert len(runs) == len({UUID(run[-1]) for run in runs})


def test_what_is_neither_a_server_nor_a_session_is_refused() -> None:
    """The error names the accepted values."""
    with pytest.raises(ConfigError, match=r"MCPServer, FastMCP, Server.*ClientSession, Client"):
        instrument_mcp(object())


def test_a_client_that_is_not_connected_is_refused() -> None:
    """It has no session yet, and says so with an error of its own."""
    with pytest.raises(ConfigError, match="session"):
        instrument_mcp(mcp.Client("http://127.0.0.1:9/mcp"))


def test_nothing_is_traced_while_the_library_is_disabled() -> None:
    """The server is returned as it was."""
    configure_logging(disabled=True)
    try:
        server: Any = mcp.server.MCPServer("books")
        before = list(server.middleware)
        assert before == instrument_mcp(server).middleware
    finally:
        reset()


def test_an_older_server_may_look_a_handler_up_in_either_way() -> None:
    """The first releases ask whether there is a handler, and index; later ones call `get`."""

    async def handler(_request: object) -> str:
        return current_trace_id.get()

    server: Any = instrument_mcp(SimpleNamespace(request_handlers={"call": handler}))
    request = SimpleNamespace(params=SimpleNamespace(meta={"x-trace-id": "order-7"}))
    handlers = (server.request_handlers["call"], server.request_handlers.get("call"))
    assert ["order-7"] * 2 == [asyncio.run(each(request)) for each in handlers]
    with trace_context("job-1"):
        assert "job-1" == asyncio.run(handlers[0](None))
    assert server.request_handlers.get("other") is None
