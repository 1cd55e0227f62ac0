"""Trace ids that are made, accepted and refused."""

from __future__ import annotations

import sys
import uuid
from types import SimpleNamespace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pantheon_obs import configure_logging, trace_context
from pantheon_obs.core import trace_id as ids
from pantheon_obs.core.identity import Identity
from pantheon_obs.core.settings import Settings
from pantheon_obs.propagation.opentelemetry import span_context
from pantheon_obs.propagation.prepare import prepare_process
from pantheon_obs.testing import capture_events

TRACE = "0af7651916cd43dd8448eb211c80319c"
ALPHABET = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789._:-"


def test_a_generated_id_is_a_random_uuid() -> None:
    """It has the form of `str(uuid.uuid4())`, and no id repeats."""
    made = {ids.generate() for _ in range(1000)}

    assert 1000 == len(made)
    assert made == {str(uuid.UUID(one)) for one in made}
    assert {(4, uuid.RFC_4122)} == {
        (uuid.UUID(one).version, uuid.UUID(one).variant) for one in made
    }


@given(st.text(ALPHABET, min_size=1, max_size=128))
def test_every_id_of_the_accepted_characters_is_kept(raw: str) -> None:
    """An id of 1 to 128 accepted characters is kept unchanged."""
    assert raw == ids.validate(raw.encode())


@given(st.binary(max_size=200))
def test_an_accepted_id_has_only_accepted_characters(raw: bytes) -> None:
    """No text with another character or length is accepted."""
    accepted = ids.validate(raw)

    is_fine = 1 <= len(raw) <= 128 and all(chr(byte) in ALPHABET for byte in raw)
    assert (raw.decode() if is_fine else None) == accepted


@pytest.mark.parametrize("raw", [b"id\n", b"\nid", b"a\x00b", b"\x1b[31m", b"a" * 60_032])
def test_control_bytes_and_long_ids_are_refused(raw: bytes) -> None:
    """A newline at the end is refused too, though a careless pattern would accept it."""
    assert ids.validate(raw) is None


@pytest.mark.parametrize(
    ("raw", "expected"),
    [
        (f"00-{TRACE}-b7ad6b7169203331-00", TRACE),
        (f"00-{TRACE}-b7ad6b7169203331-01", TRACE),
        (f"00-{TRACE}-b7ad6b7169203331-03", TRACE),
        (f"01-{TRACE}-b7ad6b7169203331-01", TRACE),
        (f"fe-{TRACE}-b7ad6b7169203331-01-later", TRACE),
        (f"01-{TRACE}-b7ad6b7169203331-01later", None),
        (f"00-{TRACE}-b7ad6b7169203331-01-", None),
        (f"ff-{TRACE}-b7ad6b7169203331-01", None),
        (f"00-{'0' * 32}-b7ad6b7169203331-01", None),
        (f"00-{TRACE}-{'0' * 16}-01", None),
        (f"00-{TRACE.upper()}-b7ad6b7169203331-01", None),
        (f"00-{TRACE}-b7ad6b7169203331", None),
        (f"00-{TRACE}-b7ad6b7169203331-1", None),
        (f"00-{TRACE}-b7ad6b7169203331-0x", None),
        (f"00-{TRACE[:-1]}-b7ad6b7169203331-01", None),
        (f" 00-{TRACE}-b7ad6b7169203331-01", None),
        (f"00-{TRACE}-b7ad6b7169203331-01\n", None),
        ("", None),
    ],
)
def test_traceparent(raw: str, expected: str | None) -> None:
    """`traceparent` is read as levels 1 and 2 of the W3C recommendation require."""
    assert expected == ids.parse_traceparent(raw.encode())


def test_headers_count_in_the_order_of_the_setting() -> None:
    """An application may name its own headers; the first one with a valid id wins."""
    identity = Identity(Settings(inbound_headers=("X-Amzn-Trace", "TraceParent")))
    parent = (b"traceparent", f"00-{TRACE}-b7ad6b7169203331-01".encode())

    assert "mine" == identity.of([parent, (b"x-amzn-trace", b"mine")])
    assert TRACE == identity.of([(b"x-amzn-trace", b"not valid"), parent])
    assert 36 == len(identity.of([(b"x-trace-id", b"mine")]))


@pytest.mark.parametrize(
    "generator",
    [
        pytest.param(lambda: 1 / 0, id="raises"),
        pytest.param(lambda: None, id="none"),
        pytest.param(lambda: b"bytes", id="bytes"),
        pytest.param(lambda: "", id="empty"),
        pytest.param(lambda: "a b", id="space"),
        pytest.param(lambda: "x" * 129, id="too-long"),
        pytest.param(lambda: "\ud800", id="lone-surrogate"),
    ],
)
def test_an_id_generator_that_fails_is_replaced_and_reported_once(generator: Any) -> None:
    """Each request gets an id of ours; one line reports the generator's failure."""
    identity = Identity(Settings(id_generator=generator))

    with capture_events() as events:
        made = {identity.of([]), identity.of([])}

    assert 2 == len(made)
    assert {36} == {len(one) for one in made}
    assert [("telemetry_failed", "id_generator")] == [
        (event["event"], event["site"]) for event in events
    ]


def test_an_id_generator_makes_the_fresh_ids() -> None:
    """A valid id of the application's generator is kept; an inbound id wins over it."""
    identity = Identity(Settings(id_generator=lambda: "ours:1"))

    assert "ours:1" == identity.of([])
    assert "ours:1" == identity.of([(b"x-trace-id", b"not valid")])
    assert "theirs" == identity.of([(b"x-trace-id", b"theirs")])


class Maker:
    """An object that makes ids, and to which nothing can refer weakly."""

    __slots__ = ()

    def __call__(self) -> str:
        """Make an id."""
        return "ours:2"


def make() -> str:
    """Make an id."""
    return "ours:2"


@pytest.mark.parametrize(
    "generator",
    [
        pytest.param(make, id="function"),
        pytest.param(Maker(), id="object"),
        pytest.param(Maker().__call__, id="method"),
    ],
)
def test_a_job_has_the_id_of_the_last_set_up_s_generator(generator: Any) -> None:
    """A later set-up without a generator keeps it, and one with None takes it away."""
    configure_logging(id_generator=generator)
    configure_logging()

    with trace_context() as made:
        assert "ours:2" == made
    with trace_context("given") as given_id:
        assert "given" == given_id
    configure_logging(id_generator=None)
    with trace_context() as made:
        assert 36 == len(made)


def test_a_generator_that_fails_for_a_job_is_replaced() -> None:
    """The job gets an id of ours."""

    def fails() -> str:
        raise LookupError

    configure_logging(id_generator=fails)

    with trace_context() as made:
        assert 36 == len(made)


def test_an_active_opentelemetry_span_gives_its_trace_id() -> None:
    """The trace id of an active span is used as the fresh id, unless there is an inbound id."""
    trace = pytest.importorskip("opentelemetry.sdk.trace")
    prepare_process()
    identity = Identity(Settings())

    with trace.TracerProvider().get_tracer("tests").start_as_current_span("work") as span:
        active = f"{span.get_span_context().trace_id:032x}"

        assert active == identity.of([])
        assert "theirs" == identity.of([(b"x-trace-id", b"theirs")])
    assert 36 == len(identity.of([]))


def test_an_opentelemetry_that_another_thread_is_importing_has_no_span(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The module is known before it has its functions."""
    monkeypatch.setitem(sys.modules, "opentelemetry.trace", SimpleNamespace())
    prepare_process()

    with capture_events() as events:
        made = Identity(Settings()).of([])

    assert 36 == len(made)
    assert [] == events


def test_opentelemetry_s_baggage_alone_is_no_span(monkeypatch: pytest.MonkeyPatch) -> None:
    """Its context may be in use by an application that does not import its traces."""
    not_empty = SimpleNamespace(get_current=lambda: {"key": 1})
    monkeypatch.setitem(sys.modules, "opentelemetry.context", not_empty)
    monkeypatch.delitem(sys.modules, "opentelemetry.trace", raising=False)

    assert span_context() is None


def test_an_opentelemetry_that_fails_costs_no_request_its_id(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A failing module of that name is reported, and a random id is made."""
    failing = SimpleNamespace(get_current_span=lambda: 1 / 0)
    monkeypatch.setitem(sys.modules, "opentelemetry.trace", failing)
    not_empty = SimpleNamespace(get_current=lambda: {"key": 1})
    monkeypatch.setitem(sys.modules, "opentelemetry.context", not_empty)
    prepare_process()

    with capture_events() as events:
        made = Identity(Settings()).of([])

    assert 36 == len(made)
    assert ["telemetry_failed"] == [event["event"] for event in events]
