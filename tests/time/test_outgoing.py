"""Outgoing requests of the clients that `propagate` was given."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from pantheon_obs import llm_call
from pantheon_obs.core import guard, pipeline
from pantheon_obs.propagation import propagate
from tests.propagation.senders import SENDERS
from tests.propagation.upstream import Upstream
from tests.time.requests import adds_up, ask, times

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.propagation.senders import Sender


@pytest.fixture(scope="module")
def upstream() -> Iterator[Upstream]:
    """The service that all tests call."""
    with Upstream() as upstream:
        yield upstream


@pytest.fixture(params=SENDERS)
def sender(request: pytest.FixtureRequest) -> Sender:
    """Each of the client libraries."""
    return SENDERS[request.param]


def test_each_request_and_redirect_is_a_call(sender: Sender, upstream: Upstream) -> None:
    """The client follows one redirect, to a service under another name."""

    async def work() -> None:
        async with sender.client() as client:
            propagate(client)
            assert 200 == await sender.get(client, f"{upstream.url}/plain")
            to = f"{upstream.other_host}/plain"
            assert 200 == await sender.get(client, f"{upstream.url}/redirect?to={to}")

    line = ask(work)

    assert {"http_calls": 3} == times(line)
    assert adds_up(line)


def test_the_sinks_get_the_method_the_status_and_the_host(
    sender: Sender, upstream: Upstream
) -> None:
    """Each request has those of its own hop; one that fails has its error."""
    told: list[Any] = []

    class Sink:
        name = "test"

        def handle(self, _event: Any) -> None:
            """Want no event."""

        def timed(self, operation: Any) -> None:
            told.append(operation)

    async def work() -> None:
        pipeline.add_sink(Sink())
        async with sender.client() as client:
            propagate(client)
            to = f"{upstream.other_host}/plain"
            await sender.get(client, f"{upstream.url}/redirect?to={to}")
            with pytest.raises(Exception):  # noqa: B017, PT011 - each library has its own
                await sender.get(client, "http://127.0.0.1:1/closed")

    assert {"http_calls": 3} == times(ask(work))

    redirect, target, failed = told
    assert ("http", "GET", 307, "127.0.0.1", None) == facts(redirect)
    assert ("http", "GET", 200, "localhost", None) == facts(target)
    assert ("GET", None, "127.0.0.1") == facts(failed)[1:4]
    assert failed.error_type.startswith("Connect") or "Connector" in failed.error_type


def facts(operation: Any) -> tuple[Any, ...]:
    """Return the facts about an operation, besides its time."""
    one = operation
    return (one.name, one.method, one.status_code, one.server_address, one.error_type)


def test_a_request_within_an_llm_call_is_a_part_of_it(sender: Sender, upstream: Upstream) -> None:
    """It has no fields of its own; one after the call has."""

    async def work() -> None:
        async with sender.client() as client:
            propagate(client)
            call = llm_call(model="m")(sender.get)
            assert 200 == await call(client, f"{upstream.url}/plain")
            assert 200 == await sender.get(client, f"{upstream.url}/plain")

    assert {"llm_calls": 1, "http_calls": 1} == times(ask(work))


def test_undone_and_outside_of_a_request_nothing_is_measured(
    sender: Sender, upstream: Upstream
) -> None:
    """A client that is no longer instrumented, and one that serves no request."""

    async def work() -> None:
        async with sender.client() as client:
            propagation = propagate(client)
            kept = getattr(client, "_send_single_request", None)
            propagation.undo()
            assert 200 == await sender.get(client, f"{upstream.url}/plain")
            if kept is not None:  # as another library does that has wrapped it
                client._send_single_request = kept  # noqa: SLF001 - as above
                assert 200 == await sender.get(client, f"{upstream.url}/plain")

    assert {} == times(ask(work))


def test_a_failure_of_ours_does_not_reach_the_client(
    sender: Sender, upstream: Upstream, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The request is sent, and the failure is reported."""

    class Sink:
        name = "test"

        def handle(self, _event: Any) -> None:
            """Want no event."""

        def timed(self, _operation: Any) -> None:
            raise ZeroDivisionError

    async def work() -> None:
        pipeline.add_sink(Sink())
        async with sender.client() as client:
            propagate(client)
            assert 200 == await sender.get(client, f"{upstream.url}/plain")

    assert {"http_calls": 1} == times(ask(work))
    assert {"sink test"} == guard.reported()


def test_the_adapter_of_a_session_is_the_applications_own() -> None:
    """`get_adapter` gives the application the object that it has mounted."""
    requests = pytest.importorskip("requests")
    with requests.Session() as session:
        propagate(session)
        adapter = requests.adapters.HTTPAdapter()
        session.mount("http://here", adapter)
        assert adapter is session.get_adapter("http://here/path")


def test_an_adapter_that_is_more_than_one_works(upstream: Upstream) -> None:
    """Its attributes are there for `requests` itself."""
    requests = pytest.importorskip("requests")
    from pantheon_obs.propagation.timed import TimedAdapter  # noqa: PLC0415 - as above

    adapter = requests.adapters.HTTPAdapter(max_retries=3)
    assert 3 == TimedAdapter(adapter, None).max_retries.total  # type: ignore[arg-type]
