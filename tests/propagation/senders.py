"""The HTTP clients behind one interface, so that each test runs with all of them."""

# ruff: noqa: D102 - `Sender` documents the methods

from __future__ import annotations

import asyncio
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any, Protocol

import aiohttp
import httpx
import httpx2
import requests
from requests.adapters import HTTPAdapter
from requests.auth import HTTPDigestAuth
from urllib3.util import Retry

from pantheon_obs import trace_context

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterable, Mapping
    from contextlib import AbstractAsyncContextManager

SECONDS = 60.0
CREDENTIALS = ("user", "password")
OPTIONS: Any = {"timeout": SECONDS, "trust_env": False, "follow_redirects": True}  # of httpx


class Sender(Protocol):
    """One client library, sync or async."""

    def client(
        self, headers: Mapping[str, str] | None = None, *, retries: bool = False
    ) -> AbstractAsyncContextManager[Any]:
        """Make a client with headers of its own, which may retry after a 503."""
        ...

    async def get(
        self, client: Any, url: str, headers: Mapping[str, str] | None = None, **how: Any
    ) -> int:
        """Send a GET, follow redirects, read the whole response; return its status."""
        ...

    async def stream(self, client: Any, url: str) -> int:
        """Send a body in parts, read the response in parts; return its length."""
        ...

    async def login(self, client: Any, url: str) -> int:
        """Send a GET that needs a password (RFC 7616); return the status."""
        ...

    async def together(self, client: Any, url: str, trace_ids: Iterable[str]) -> None:
        """Send a GET of `url/<id>` in a trace of each of these ids, all at once."""
        ...


class Httpx:
    """`httpx` and its successor `httpx2`."""

    def __init__(self, library: Any) -> None:
        self.library = library

    @asynccontextmanager
    async def client(
        self, headers: Mapping[str, str] | None = None, *, retries: bool = False
    ) -> AsyncIterator[Any]:
        transport = self.library.HTTPTransport()
        if retries:
            transport.handle_request = asking_again(transport.handle_request)
        with self.library.Client(headers=headers, transport=transport, **OPTIONS) as client:
            yield client

    async def get(
        self, client: Any, url: str, headers: Mapping[str, str] | None = None, **how: Any
    ) -> int:
        return int(client.get(url, headers=headers, **how).status_code)

    async def stream(self, client: Any, url: str) -> int:
        with client.stream("POST", url, content=iter([b"one", b"two"])) as response:
            return sum(len(chunk) for chunk in response.iter_bytes())

    async def login(self, client: Any, url: str) -> int:
        return await self.get(client, url, auth=self.library.DigestAuth(*CREDENTIALS))

    async def together(self, client: Any, url: str, trace_ids: Iterable[str]) -> None:
        in_threads(lambda trace_id: client.get(f"{url}/{trace_id}"), trace_ids)


class AsyncHttpx(Httpx):
    """The async clients of `httpx` and `httpx2`."""

    @asynccontextmanager
    async def client(
        self, headers: Mapping[str, str] | None = None, *, retries: bool = False
    ) -> AsyncIterator[Any]:
        transport = self.library.AsyncHTTPTransport()
        if retries:
            transport.handle_async_request = asking_again_later(transport.handle_async_request)
        async with self.library.AsyncClient(
            headers=headers, transport=transport, **OPTIONS
        ) as client:
            yield client

    async def get(
        self, client: Any, url: str, headers: Mapping[str, str] | None = None, **how: Any
    ) -> int:
        return int((await client.get(url, headers=headers, **how)).status_code)

    async def stream(self, client: Any, url: str) -> int:
        async with client.stream("POST", url, content=two_parts()) as response:
            return sum([len(chunk) async for chunk in response.aiter_bytes()])

    async def together(self, client: Any, url: str, trace_ids: Iterable[str]) -> None:
        await in_tasks(lambda trace_id: client.get(f"{url}/{trace_id}"), trace_ids)


class Requests:
    """`requests`."""

    @asynccontextmanager
    async def client(
        self, headers: Mapping[str, str] | None = None, *, retries: bool = False
    ) -> AsyncIterator[Any]:
        with requests.Session() as session:
            session.trust_env = False
            session.headers.update(headers or {})
            if retries:
                again = Retry(total=1, status_forcelist=[503], backoff_factor=0)
                session.mount("http://", HTTPAdapter(max_retries=again))
            yield session

    async def get(
        self, client: Any, url: str, headers: Mapping[str, str] | None = None, **how: Any
    ) -> int:
        return int(client.get(url, headers=headers, timeout=SECONDS, **how).status_code)

    async def stream(self, client: Any, url: str) -> int:
        body = iter([b"one", b"two"])
        with client.post(url, data=body, stream=True, timeout=SECONDS) as response:
            return sum(len(chunk) for chunk in response.iter_content(100))

    async def login(self, client: Any, url: str) -> int:
        return await self.get(client, url, auth=HTTPDigestAuth(*CREDENTIALS))

    async def together(self, client: Any, url: str, trace_ids: Iterable[str]) -> None:
        in_threads(lambda trace_id: client.get(f"{url}/{trace_id}", timeout=SECONDS), trace_ids)


class Aiohttp:
    """`aiohttp`."""

    @asynccontextmanager
    async def client(
        self, headers: Mapping[str, str] | None = None, *, retries: bool = False
    ) -> AsyncIterator[Any]:
        timeout = aiohttp.ClientTimeout(SECONDS)
        middlewares = (asking_again_within,) if retries else ()
        async with aiohttp.ClientSession(
            headers=headers, timeout=timeout, middlewares=middlewares
        ) as session:
            yield session

    async def get(
        self, client: Any, url: str, headers: Mapping[str, str] | None = None, **how: Any
    ) -> int:
        async with client.get(url, headers=headers, **how) as response:
            await response.read()
            return int(response.status)

    async def stream(self, client: Any, url: str) -> int:
        async with client.post(url, data=two_parts()) as response:
            return sum([len(chunk) async for chunk in response.content.iter_chunked(100)])

    async def login(self, client: Any, url: str) -> int:
        digest = aiohttp.DigestAuthMiddleware(*CREDENTIALS)
        return await self.get(client, url, middlewares=(digest,))

    async def together(self, client: Any, url: str, trace_ids: Iterable[str]) -> None:
        await in_tasks(lambda trace_id: self.get(client, f"{url}/{trace_id}"), trace_ids)


SENDERS: dict[str, Sender] = {
    "httpx": Httpx(httpx),
    "httpx-async": AsyncHttpx(httpx),
    "httpx2": Httpx(httpx2),
    "httpx2-async": AsyncHttpx(httpx2),
    "requests": Requests(),
    "aiohttp": Aiohttp(),
}


async def two_parts() -> AsyncIterator[bytes]:
    """A body that is made while it is sent."""
    yield b"one"
    yield b"two"


def asking_again(send: Any) -> Any:
    """Wrap a transport's method with a second try after a 503."""

    def sending(request: Any) -> Any:
        response = send(request)
        if response.status_code != 503:
            return response
        response.close()
        return send(request)

    return sending


def asking_again_later(send: Any) -> Any:
    """Wrap an async transport's method with a second try after a 503."""

    async def sending(request: Any) -> Any:
        response = await send(request)
        if response.status_code != 503:
            return response
        await response.aclose()
        return await send(request)

    return sending


async def asking_again_within(request: Any, handler: Any) -> Any:
    """Retry after a 503, as a middleware of aiohttp."""
    response = await handler(request)
    if response.status != 503:
        return response
    response.release()
    return await handler(request)


def in_threads(ask: Any, trace_ids: Iterable[str]) -> None:
    """Call the function in a trace of each id, in threads."""

    def work(trace_id: str) -> None:
        with trace_context(trace_id):
            ask(trace_id)

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(work, trace_ids))


async def in_tasks(ask: Any, trace_ids: Iterable[str]) -> None:
    """Call the function in a trace of each id, in tasks."""

    async def work(trace_id: str) -> None:
        with trace_context(trace_id):
            await ask(trace_id)

    await asyncio.gather(*[work(trace_id) for trace_id in trace_ids])
