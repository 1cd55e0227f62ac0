"""Real gRPC servers, sync and aio, called from another process by real clients."""

from __future__ import annotations

from contextlib import suppress
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import pytest

from tests.support.lines import parse_line
from tests.support.server import Server, free_port, run_python

grpc = pytest.importorskip("grpc")

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

SHOP = "tests.adapters.apps.grpc_shop"
STREAMED = ("counts", "breaks", "writes", "writes_and_fails", "non_blocking")
PLAIN = ("ok", "fails", "aborts", "sets_a_code", "counts", "breaks", "adds", "echoes")


class Service:
    """A running server, with its client's view of each call and its log."""

    def __init__(self, kind: str) -> None:
        self.kind = kind
        port = free_port()
        self.server = Server(SHOP, kind, str(port), port=port)
        self.channel = grpc.insecure_channel(f"127.0.0.1:{port}")

    def call(self, method: str, trace_id: str, body: bytes = b"", timeout: float = 20) -> Any:
        """Call a method; return the finished call with `answer`, as the client has it."""
        path = method if "/" in method else f"/shop.Shop/{method}"
        options = {"metadata": (("x-trace-id", trace_id),), "timeout": timeout}
        bare = method.removeprefix("a")
        streams = bare in STREAMED or method in STREAMED
        numbers = iter([b"1", b"2"])
        if streams:
            call = self.channel.unary_stream(path)(body, **options)
        elif bare == "adds" or method == "adds":
            call = self.channel.stream_unary(path).future(numbers, **options)
        elif bare == "echoes":
            call = self.channel.stream_stream(path)(numbers, **options)
        else:
            call = self.channel.unary_unary(path).future(body, **options)
        answer: Any = None
        with suppress(grpc.RpcError):
            answer = list(call) if streams or bare == "echoes" else call.result()
        return Call(call.code().name, answer, dict(call.initial_metadata() or ()))

    def lines(self, trace_id: str, until: str = '"request_finished"') -> list[dict[str, Any]]:
        """Select the lines of one trace, until its event."""
        needle = f'"trace_id":"{trace_id}"'

        def of_trace() -> list[str]:
            return [line for line in self.server.out if needle in line]

        self.server.wait_for(lambda: any(until in line for line in of_trace()), trace_id)
        return [parse_line(line.encode()) for line in of_trace()]

    def finished(self, trace_id: str) -> dict[str, Any]:
        """Return the only `request_finished` of a trace."""
        (event,) = [line for line in self.lines(trace_id) if line["event"] == "request_finished"]
        return event


class Call:
    """The code, answer and metadata that the client has received."""

    def __init__(self, code: str, answer: Any, metadata: dict[str, str]) -> None:
        self.code, self.answer, self.metadata = code, answer, metadata


def _served(kind: str) -> Iterator[Service]:
    service = Service(kind)
    with service.server, service.channel:
        yield service


@pytest.fixture(scope="module")
def sync() -> Iterator[Service]:
    """The server of the sync API."""
    yield from _served("sync")


@pytest.fixture(scope="module")
def aio() -> Iterator[Service]:
    """The server of asyncio."""
    yield from _served("aio")


@pytest.fixture(params=["sync", "plain under aio", "aio"])
def method(request: pytest.FixtureRequest) -> Callable[[str], tuple[Service, str]]:
    """Find a method of the service by its plain name, in each of the three kinds."""
    service = request.getfixturevalue(request.param.split()[-1])
    prefix = "a" if request.param == "aio" else ""
    return lambda name: (service, prefix + name)


def test_an_rpc_is_a_request_with_its_trace(method: Any) -> None:
    """It takes the caller's id, sends it back, and has it on each line."""
    service, name = method("ok")
    call = service.call(name, trace_id := f"t1-{service.kind}-{name}")
    assert ("OK", b"ok", trace_id) == (call.code, call.answer, call.metadata["x-trace-id"])
    said, event = service.lines(trace_id)
    assert "sold" == said["event"]
    assert {
        "level": "info",
        "method": "POST",
        "path": f"/shop.Shop/{name}",
        "route": f"/shop.Shop/{name}",
        "grpc_code": "OK",
        "outcome": "ok",
    } == {key: event[key] for key in ("level", "method", "path", "route", "grpc_code", "outcome")}
    assert "status_code" not in event


@pytest.mark.parametrize(
    ("name", "code", "level", "outcome"),
    [
        ("fails", "UNKNOWN", "error", "error"),
        ("aborts", "NOT_FOUND", "warning", "ok"),
        ("sets_a_code", "INVALID_ARGUMENT", "warning", "ok"),
        ("counts", "OK", "info", "ok"),
        ("breaks", "UNKNOWN", "error", "error"),
        ("adds", "OK", "info", "ok"),
        ("echoes", "OK", "info", "ok"),
    ],
)
def test_the_event_has_the_code_that_the_client_got(
    method: Any, name: str, code: str, level: str, outcome: str
) -> None:
    """Code, level and outcome agree for each way to answer."""
    service, name = method(name)
    call = service.call(name, trace_id := f"t2-{service.kind}-{name}")
    event = service.finished(trace_id)
    assert (code, level, outcome) == (event["grpc_code"], event["level"], event["outcome"])
    assert (code, trace_id) == (call.code, call.metadata["x-trace-id"])
    assert ("ttfb_ms" in event) == (name.lstrip("a") in ("counts", "breaks", "echoes"))


@pytest.mark.parametrize("name", ["aborts_with_a_status", "aborts_by_names"])
def test_an_rpc_may_abort_by_the_names_of_parameters(sync: Service, name: str) -> None:
    """They are those of gRPC's own methods."""
    call = sync.call(name, name)
    assert call.code == sync.finished(name)["grpc_code"] == "NOT_FOUND"


@pytest.mark.parametrize("name", ["awrites", "awrites_and_fails"])
def test_a_coroutine_that_writes_its_responses_is_a_stream(aio: Service, name: str) -> None:
    """`context.write` is noted as a part of the response."""
    call = aio.call(name, name)
    event = aio.finished(name)
    assert call.code == event["grpc_code"] == ("OK" if name == "awrites" else "UNKNOWN")
    assert "ttfb_ms" in event


def test_the_traceback_of_a_failure_stands_in_one_line(method: Any) -> None:
    """The line with which gRPC repeats it is dropped."""
    service, name = method("fails")
    service.call(name, trace_id := f"t3-{service.kind}-{name}")
    service.call("ok", f"{trace_id}-next")
    service.finished(f"{trace_id}-next")
    assert ["request_finished"] == [
        line["event"] for line in service.lines(trace_id) if "exception" in line
    ]
    assert "ValueError" == service.finished(trace_id)["error_type"]


def test_the_metadata_of_the_application_goes_out_with_the_id(method: Any) -> None:
    """Initial metadata can be sent once only; both go out."""
    service, name = method("sets_a_code")
    call = service.call(name, trace_id := f"t4-{service.kind}-{name}")
    assert {"shelf": "4", "x-trace-id": trace_id} == call.metadata


def test_the_id_goes_out_although_metadata_of_the_application_is_refused(method: Any) -> None:
    """It is sent with the application's own, or else alone."""
    service, name = method("sends_bad_metadata")
    call = service.call(name, trace_id := f"t21-{service.kind}-{name}")
    assert ("OK", trace_id) == (call.code, call.metadata.get("x-trace-id"))


def test_what_runs_when_the_rpc_has_ended_has_its_trace(method: Any) -> None:
    """gRPC calls it from a thread or task of its own."""
    service, name = method("calls_back")
    service.call(name, trace_id := f"t22-{service.kind}-{name}")
    assert "called_back" in [line["event"] for line in service.lines(trace_id, "called_back")]


def test_an_exit_of_a_handler_is_its_failure(sync: Service) -> None:
    """gRPC's thread pool swallows it, and the client gets no answer."""
    metadata = (("x-trace-id", trace_id := "t23"),)
    call = sync.channel.unary_unary("/shop.Shop/exits").future(b"", metadata=metadata)
    event = sync.finished(trace_id)
    call.cancel()
    assert ("error", "error", "SystemExit") == (
        event["level"],
        event["outcome"],
        event["error_type"],
    )


def test_a_code_that_the_application_has_set_is_that_of_its_failure(sync: Service) -> None:
    """GRPC does not replace such a code by UNKNOWN."""
    call = sync.call("sets_a_code_and_fails", "t5")
    event = sync.finished("t5")
    assert ("UNAVAILABLE", "error") == (call.code, event["outcome"])
    assert call.code == event["grpc_code"]


def test_a_deadline_that_passes_is_a_client_that_has_left(method: Any) -> None:
    """The client gets no answer, whatever the method returns later."""
    service, name = method("waits")
    # Long enough for the call to reach the server of a busy machine.
    call = service.call(name, trace_id := f"t6-{service.kind}-{name}", timeout=2)
    event = service.finished(trace_id)
    assert "DEADLINE_EXCEEDED" == call.code
    assert ("CANCELLED", "client_disconnected", "warning") == (
        event["grpc_code"],
        event["outcome"],
        event["level"],
    )


def test_a_code_may_be_a_number(aio: Service) -> None:
    """`grpc.aio` accepts a number."""
    assert "NOT_FOUND" == aio.call("asets_a_number", "t13").code
    assert "NOT_FOUND" == aio.finished("t13")["grpc_code"]


@pytest.mark.parametrize(
    ("kind", "name"), [("sync", "endless"), ("sync", "lingers"), ("aio", "aendless")]
)
def test_a_client_that_cancels_a_stream_has_left(
    kind: str, name: str, request: pytest.FixtureRequest
) -> None:
    """The event comes though the stream has no end of its own, or makes another message."""
    service = request.getfixturevalue(kind)
    call = service.channel.unary_stream(f"/shop.Shop/{name}")(
        b"", metadata=(("x-trace-id", f"t7-{name}"),)
    )
    next(call)
    if name == "lingers":  # else gRPC may not ask for the next message any more
        service.lines(f"t7-{name}", until="lingering")
    call.cancel()
    event = service.finished(f"t7-{name}")
    assert ("CANCELLED", "client_disconnected") == (event["grpc_code"], event["outcome"])


@pytest.mark.parametrize("kind", ["sync", "aio"])
@pytest.mark.parametrize(
    ("name", "body"), [("ok", b"bad"), ("bad", b"")], ids=["request", "answer"]
)
def test_a_message_that_cannot_be_converted_is_an_error(
    kind: str, name: str, body: bytes, request: pytest.FixtureRequest
) -> None:
    """The (de)serializer's exception is that of the RPC."""
    service = request.getfixturevalue(kind)
    call = service.call(name, trace_id := f"t8-{kind}-{name}", body)
    event = service.finished(trace_id)
    assert ("error", "TypeError") == (event["outcome"], event["error_type"])
    assert call.code == event["grpc_code"]
    assert 1 == sum("exception" in line for line in service.lines(trace_id))


def test_an_answer_that_is_none_has_the_code_that_the_server_gives_it(method: Any) -> None:
    """The sync server refuses it, that of asyncio sends an empty message."""
    service, _ = method("answers_none")
    call = service.call("answers_none", trace_id := f"t14-{service.kind}-{_}")
    assert call.code == service.finished(trace_id)["grpc_code"]


@pytest.mark.parametrize("kind", ["sync", "aio"])
def test_an_interceptor_that_fails_after_ours_is_a_failure_of_the_rpc(
    kind: str, request: pytest.FixtureRequest
) -> None:
    """No handler is found then, and the event comes all the same."""
    service = request.getfixturevalue(kind)
    assert "UNKNOWN" == service.call("intercepted", f"t15-{kind}").code
    event = service.finished(f"t15-{kind}")
    assert ("UNKNOWN", "error", "ValueError") == (
        event["grpc_code"],
        event["outcome"],
        event["error_type"],
    )


@pytest.mark.parametrize("name", ["asks", "aasks"])
def test_a_client_carries_the_trace_with_all_kinds_of_calls(
    name: str, request: pytest.FixtureRequest
) -> None:
    """A service called by a service has the same id."""
    service = request.getfixturevalue("sync" if name == "asks" else "aio")
    call = service.call(name, name)
    assert b"ok 0 1 2 1 2" == call.answer
    lines = service.lines(name, f'"route":"/shop.Shop/{name}"')
    routes = [line["route"] for line in lines if "route" in line]
    bare = ["ok", "counts", "adds", "echoes", "asks"]
    prefix = "a" if name == "aasks" else ""
    assert [f"/shop.Shop/{prefix}{each}" for each in bare] == routes


@pytest.mark.parametrize("kind", ["sync", "aio"])
def test_a_method_without_a_handler_and_a_probe_are_not_logged(
    kind: str, request: pytest.FixtureRequest
) -> None:
    """They are not requests of the application."""
    service = request.getfixturevalue(kind)
    assert "UNIMPLEMENTED" == service.call("nothing", f"t9-{kind}").code
    assert "OK" == service.call("/grpc.health.v1.Health/Check", f"t10-{kind}").code
    service.call("ok", f"t11-{kind}")
    service.finished(f"t11-{kind}")
    events = [line for line in service.server.out if '"request_finished"' in line]
    assert [] == [line for line in events if f'"t9-{kind}"' in line or f'"t10-{kind}"' in line]


def test_a_handler_of_the_experimental_kind_is_left_alone(sync: Service) -> None:
    """It gets the function with which it sends."""
    assert ("OK", [b"1"]) == (
        (call := sync.call("non_blocking", "t12")).code,
        call.answer,
    )


@pytest.mark.parametrize("kind", ["sync", "aio"])
def test_a_service_that_is_disabled_answers_without_an_id(kind: str) -> None:
    """The interceptors do nothing then."""
    port = free_port()
    with (
        Server(SHOP, kind, str(port), port=port, env={"PANTHEON_OBS_DISABLED": "1"}) as server,
        grpc.insecure_channel(f"127.0.0.1:{port}") as channel,
    ):
        answer, call = channel.unary_unary("/shop.Shop/ok").with_call(b"")
        assert (b"ok", {}) == (answer, dict(call.initial_metadata()))
    assert [] == [line for line in server.out if "request_finished" in line]


@pytest.mark.parametrize("name", ["asks", "aasks"])
def test_an_rpc_knows_its_caller(name: str, request: pytest.FixtureRequest) -> None:
    """The event has the span of the caller, and of the trace that goes on, its flags."""
    service = request.getfixturevalue("sync" if name == "asks" else "aio")
    digits, span = "4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7"
    service.channel.unary_unary(f"/shop.Shop/{name}")(
        b"", metadata=(("traceparent", f"00-{digits}-{span}-00"),), timeout=20
    )
    lines = service.lines(digits, f'"route":"/shop.Shop/{name}"')
    *called, caller = [line for line in lines if line["event"] == "request_finished"]
    assert span == caller["parent_span_id"]
    assert {caller["span_id"]} == {line["parent_span_id"] for line in called}


@pytest.mark.parametrize("module", ["adapters.grpc", "propagation.grpc"])
def test_without_grpcio_the_package_to_install_is_named(module: str) -> None:
    """It has no extra: the application chooses it itself."""
    script = f"""
import sys
sys.modules["grpc"] = None
from pantheon_obs import MissingExtraError
try:
    import pantheon_obs.{module}
except MissingExtraError as error:
    print(error)
"""
    run = run_python(script)

    assert (
        f"pantheon_obs.{module} needs the package 'grpc', which is not installed: "
        "pip install grpcio\n"
    ) == run.stdout


def test_metadata_that_nobody_can_read_is_left_to_grpc() -> None:
    """The call goes on with the details that it was given."""
    from pantheon_obs.propagation.grpc import client_interceptor  # noqa: PLC0415 - needs grpc

    details = SimpleNamespace(metadata=[7])
    seen = client_interceptor().intercept_unary_unary(lambda each, _: each, details, b"")
    assert details is seen


def test_a_quiet_method_is_told_at_debug() -> None:
    """Health checks of an orchestrator are methods, too."""
    from pantheon_obs.adapters.grpc_rpc import RpcFinished  # noqa: PLC0415 - needs grpc

    levels = tuple(
        RpcFinished(
            trace_id="id",
            bound={},
            method="POST",
            path="/p.S/Check",
            status_code=None,
            latency_ms=1.0,
            outcome="ok",
            quiet=quiet,
        ).level
        for quiet in (True, False)
    )
    assert (10, 20) == levels
