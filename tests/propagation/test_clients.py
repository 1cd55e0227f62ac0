"""`propagate`: the headers that each client library sends, and to which hosts."""

from __future__ import annotations

import asyncio
import sys
from types import ModuleType
from typing import TYPE_CHECKING, Any
from uuid import uuid4

import httpx
import pytest
import requests

from pantheon_obs import ConfigError, current_trace_id, trace_context
from pantheon_obs.core import guard
from pantheon_obs.propagation import extract, propagate
from tests.propagation.senders import SENDERS
from tests.propagation.upstream import Upstream

if TYPE_CHECKING:
    from collections.abc import Coroutine, Iterator

    from tests.propagation.senders import Sender

HEX = "0af7651916cd43dd8448eb211c80319c"
UUID = "0af76519-16cd-43dd-8448-eb211c80319c"


@pytest.fixture(scope="module")
def service() -> Iterator[Upstream]:
    """The service that all tests call."""
    with Upstream() as upstream:
        yield upstream


@pytest.fixture
def upstream(service: Upstream) -> Upstream:
    """The service, without requests from earlier tests."""
    service.received.clear()
    return service


@pytest.fixture(params=SENDERS)
def sender(request: pytest.FixtureRequest) -> Sender:
    """Each of the client libraries."""
    return SENDERS[request.param]


def in_trace(work: Coroutine[Any, Any, None], trace_id: str = UUID) -> None:
    """Run a coroutine in a trace."""
    with trace_context(trace_id):
        asyncio.run(work)


def test_a_request_within_a_trace_carries_both_headers(sender: Sender, upstream: Upstream) -> None:
    """`X-Trace-ID` has the id, `traceparent` its digits."""

    async def work() -> None:
        async with sender.client() as client:
            propagate(client)
            assert 200 == await sender.get(client, f"{upstream.url}/plain")

    in_trace(work())

    (received,) = upstream.received
    assert [UUID] == received.trace_ids
    ((version, trace, span, flags),) = [text.split("-") for text in received.traceparents]
    assert ("00", HEX, "01") == (version, trace, flags)
    assert 16 == len(span)


def test_outside_a_trace_nothing_is_sent(sender: Sender, upstream: Upstream) -> None:
    """Outside a trace there is no id to send."""

    async def work() -> None:
        async with sender.client() as client:
            propagate(client)
            await sender.get(client, f"{upstream.url}/plain")

    asyncio.run(work())

    (received,) = upstream.received
    assert [] == received.trace_ids + received.traceparents


def test_a_streamed_request_carries_the_id(sender: Sender, upstream: Upstream) -> None:
    """Request body and response body are complete."""

    async def work() -> None:
        async with sender.client() as client:
            propagate(client)
            assert 2000 == await sender.stream(client, f"{upstream.url}/stream")

    in_trace(work())

    (received,) = upstream.received
    assert (b"onetwo", [UUID]) == (received.body, received.trace_ids)


def test_a_header_of_the_caller_is_kept(sender: Sender, upstream: Upstream) -> None:
    """It is set for one request or on the client, in upper or lower case."""
    theirs = f"00-{'b' * 32}-{'c' * 16}-00"

    async def work() -> None:
        async with sender.client({"TRACEPARENT": theirs}) as client:
            propagate(client)
            await sender.get(client, f"{upstream.url}/plain", {"x-trace-id": "theirs"})

    in_trace(work())

    (received,) = upstream.received
    assert (["theirs"], [theirs]) == (received.trace_ids, received.traceparents)


def test_each_hop_of_a_redirect_carries_the_id_once(sender: Sender, upstream: Upstream) -> None:
    """All hops are of one span: the request's that sends them."""

    async def work() -> None:
        async with sender.client() as client:
            propagate(client)
            url = f"{upstream.url}/redirect?to={upstream.other_host}/plain"
            assert 200 == await sender.get(client, url)

    in_trace(work())

    first, second = upstream.received
    assert ("127.0.0.1", "localhost") == (first.host, second.host)
    assert [UUID] == first.trace_ids == second.trace_ids
    assert first.traceparents == second.traceparents


@pytest.mark.parametrize("allowed", ["127.0.0.1", "LocalHost:80"])
def test_only_the_allowed_host_of_a_redirect_sees_the_id(
    sender: Sender, upstream: Upstream, allowed: str
) -> None:
    """The first or the second host is allowed; the caller's headers go to both, as before."""

    async def work() -> None:
        async with sender.client() as client:
            propagate(client, hosts=[allowed, "*.example.com"])
            url = f"{upstream.url}/redirect?to={upstream.other_host}/plain"
            await sender.get(client, url, {"X-Own": "theirs"})

    in_trace(work())

    name = allowed.partition(":")[0].lower()
    for received in upstream.received:
        expected = [UUID] if received.host == name else []
        assert expected == received.trace_ids
        assert len(expected) == len(received.traceparents)
        assert ["theirs"] == received.headers["x-own"]
    assert 2 == len(upstream.received)


def test_a_header_of_the_caller_follows_redirects_as_before(
    sender: Sender, upstream: Upstream
) -> None:
    """A header of the caller is not removed, even for a host that is not allowed."""

    async def work() -> None:
        async with sender.client() as client:
            propagate(client, hosts=["127.0.0.1"])
            url = f"{upstream.url}/redirect?to={upstream.other_host}/plain"
            await sender.get(client, url, {"X-Trace-ID": "theirs"})

    in_trace(work())

    assert [["theirs"], ["theirs"]] == [received.trace_ids for received in upstream.received]
    assert [1, 0] == [len(received.traceparents) for received in upstream.received]


def test_a_retry_carries_the_id_once(sender: Sender, upstream: Upstream) -> None:
    """The transport or adapter below the client retries."""

    async def work() -> None:
        async with sender.client(retries=True) as client:
            propagate(client)
            assert 200 == await sender.get(client, f"{upstream.url}/flaky")

    in_trace(work())

    assert [[UUID], [UUID]] == [received.trace_ids for received in upstream.received]
    assert [1, 1] == [len(received.traceparents) for received in upstream.received]


def test_each_step_of_authentication_carries_the_id_once(
    sender: Sender, upstream: Upstream
) -> None:
    """The client answers a challenge with a second request."""

    async def work() -> None:
        async with sender.client() as client:
            propagate(client)
            assert 200 == await sender.login(client, f"{upstream.url}/private")

    in_trace(work())

    assert [[UUID], [UUID]] == [received.trace_ids for received in upstream.received]
    assert [1, 1] == [len(received.traceparents) for received in upstream.received]


def test_one_client_serves_many_traces_at_once(sender: Sender, upstream: Upstream) -> None:
    """Each request carries the id of the trace in which it was sent."""
    trace_ids = [str(uuid4()) for _ in range(24)]

    async def work() -> None:
        async with sender.client() as client:
            propagate(client)
            await sender.together(client, upstream.url, trace_ids)

    in_trace(work(), "made-elsewhere")

    assert sorted(trace_ids) == sorted(received.path[1:] for received in upstream.received)
    for received in upstream.received:
        assert [received.path[1:]] == received.trace_ids


def test_a_second_call_changes_nothing_and_undoes_nothing(
    sender: Sender, upstream: Upstream
) -> None:
    """Only the first handle undoes it, and a second `undo` changes nothing."""

    async def work() -> None:
        async with sender.client() as client:
            before = dict(vars(client))
            first = propagate(client)
            once = dict(vars(client))
            propagate(client).undo()
            assert once == vars(client)
            await sender.get(client, f"{upstream.url}/plain")
            first.undo()
            first.undo()
            assert before == vars(client)
            await sender.get(client, f"{upstream.url}/plain")

    in_trace(work())

    assert [[UUID], []] == [received.trace_ids for received in upstream.received]


def test_the_handle_is_a_context_manager(sender: Sender, upstream: Upstream) -> None:
    """The client is instrumented until the block ends, and then may be with other hosts."""

    async def work() -> None:
        async with sender.client() as client:
            with propagate(client):
                await sender.get(client, f"{upstream.url}/plain")
            with propagate(client, hosts=()):
                await sender.get(client, f"{upstream.url}/plain")

    in_trace(work())

    assert [[UUID], []] == [received.trace_ids for received in upstream.received]


def test_after_undo_below_another_wrapper_nothing_is_sent(
    sender: Sender, upstream: Upstream
) -> None:
    """A later wrapper is kept, and the wrapper below it adds nothing."""

    async def work() -> None:
        async with sender.client() as client:
            before = set(vars(client))
            propagation = propagate(client)
            theirs = {
                name: (lambda *args, _wrapper=wrapper, **kwargs: _wrapper(*args, **kwargs))
                for name, wrapper in vars(client).items()
                if name in {"_send_single_request", "send", "_request_class"}
            }
            vars(client).update(theirs)
            propagation.undo()
            await sender.get(client, f"{upstream.url}/plain")
            assert before | set(theirs) == set(vars(client))

    in_trace(work())

    (received,) = upstream.received
    assert [] == received.trace_ids


def test_a_failure_of_the_library_does_not_stop_the_request(
    sender: Sender, upstream: Upstream
) -> None:
    """The application has set the variable to a value that is no id."""

    async def work() -> None:
        async with sender.client() as client:
            propagate(client)
            assert 200 == await sender.get(client, f"{upstream.url}/plain")

    token = current_trace_id.set(7)  # type: ignore[arg-type]
    try:
        asyncio.run(work())
    finally:
        current_trace_id.reset(token)

    (received,) = upstream.received
    assert [] == received.trace_ids
    assert {"propagate"} == guard.reported()


def test_an_id_that_could_break_the_request_is_not_sent(sender: Sender, upstream: Upstream) -> None:
    """The variable is public, so it may have a value that no header can have."""

    async def work() -> None:
        async with sender.client() as client:
            propagate(client)
            assert 200 == await sender.get(client, f"{upstream.url}/plain")

    token = current_trace_id.set("one\r\nX-Evil: two \udcff")
    try:
        asyncio.run(work())
    finally:
        current_trace_id.reset(token)

    (received,) = upstream.received
    assert [] == received.trace_ids + received.headers.get("x-evil", [])


@pytest.mark.parametrize("library", [httpx, requests])
def test_a_request_that_is_sent_again_carries_the_id_of_its_new_trace(
    upstream: Upstream, library: Any
) -> None:
    """The caller's request or the request of a response may be sent again."""
    with library.Client() if library is httpx else library.Session() as client:
        propagate(client)
        request = library.Request("GET", f"{upstream.url}/plain")
        if library is requests:
            request = client.prepare_request(request)
        with trace_context("first"):
            response = client.send(request)
        response.request.headers["X-Own"] = "theirs"
        with trace_context("second"):
            client.send(request)
        with trace_context("third"):
            client.send(response.request)
        client.send(response.request)
        response.request.headers["X-Trace-ID"] = "theirs"
        with trace_context("fourth"):
            client.send(response.request)

    found = [received.trace_ids for received in upstream.received]
    assert [["first"], ["second"], ["third"], [], ["theirs"]] == found
    assert ["theirs"] == upstream.received[-1].headers["x-own"]
    assert "x-trace-id" not in request.headers


def test_a_redirect_that_requests_does_not_follow_names_a_clean_request(
    upstream: Upstream,
) -> None:
    """The request that the caller may send next has no trace headers yet."""
    with requests.Session() as session:
        session.trust_env = False
        propagate(session, hosts=["127.0.0.1"])
        url = f"{upstream.url}/redirect?to={upstream.other_host}/plain"
        with trace_context(UUID):
            response = session.get(url, allow_redirects=False, timeout=30)
            assert response.next is not None
            session.send(response.next)

    assert [[UUID], []] == [received.trace_ids for received in upstream.received]


def test_baggage_of_the_caller_is_as_it_was_in_a_redirect_that_requests_does_not_follow(
    upstream: Upstream,
) -> None:
    """The members of the trace, which were added to it, are gone."""
    with requests.Session() as session:
        session.trust_env = False
        propagate(session)
        url = f"{upstream.url}/redirect?to={upstream.other_host}/plain"
        headers = {"baggage": "own=1"}
        with trace_context(extract({"X-Trace-ID": UUID, "baggage": "theirs=2"})):
            response = session.get(url, headers=headers, allow_redirects=False, timeout=30)

    assert response.next is not None
    assert ["own=1,theirs=2"] == upstream.received[0].headers["baggage"]
    assert "own=1" == response.next.headers["baggage"]


def test_a_method_that_is_replaced_later_is_called(
    upstream: Upstream, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The method may be replaced in the class later, or on the client before."""
    seen: list[str] = []

    def saying(name: str, send: Any) -> Any:
        def sending(*args: Any, **kwargs: Any) -> Any:
            seen.append(name)
            return send(*args, **kwargs)

        return sending

    for name in ("before", "later"):
        with requests.Session() as session, trace_context(name):
            if name == "before":
                monkeypatch.setattr(session, "send", saying(name, session.send))
                propagate(session)
            else:
                propagate(session)
                monkeypatch.setattr(requests.Session, "send", saying(name, requests.Session.send))
            session.get(f"{upstream.url}/plain", timeout=30)

    assert ["before", "later"] == seen
    assert [["before"], ["later"]] == [received.trace_ids for received in upstream.received]


def test_a_subclass_of_a_client_is_one() -> None:
    """SDKs have subclasses of these clients."""

    class Own(requests.Session):
        pass

    with Own() as session:
        propagate(session).undo()


@pytest.mark.parametrize("client", [None, 7, "https://api.internal", httpx, httpx.Client, object()])
def test_other_objects_than_clients_are_refused(client: object) -> None:
    """The message names it and the accepted clients."""
    known = "httpx Client or AsyncClient.*httpx2.*requests Session.*aiohttp ClientSession.*inject"

    with pytest.raises(ConfigError, match=rf"^client=.* is not accepted: .*{known}"):
        propagate(client)


def test_a_client_of_an_unknown_version_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    """It lacks the method that would be replaced."""
    library = ModuleType("httpx2")
    library.Client = type("Client", (), {})  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "httpx2", library)

    with pytest.raises(ConfigError, match="is not accepted"):
        propagate(library.Client())


def test_other_hosts_than_before_are_refused() -> None:
    """If a narrower list were ignored, other hosts would see the id."""
    with httpx.Client() as client:
        propagation = propagate(client, hosts=("b.internal", "A.internal", "*.c.internal"))
        propagate(client, hosts=["a.internal.", "b.internal:443", "*.C.internal"])
        with pytest.raises(ConfigError, match=r"hosts=\['d'\] is not accepted: .*undo\(\)"):
            propagate(client, hosts=["d"])
        propagation.undo()
        propagate(client, hosts=["d"])
