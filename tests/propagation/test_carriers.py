"""`inject` and `extract`: any carrier, names in any case, and no harmful values."""

from __future__ import annotations

import os
import re
import sys
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from types import MappingProxyType, ModuleType, SimpleNamespace
from typing import TYPE_CHECKING, Any

import httpx
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from multidict import CIMultiDict
from opentelemetry import trace
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.trace import NonRecordingSpan, SpanContext, TraceFlags
from requests.structures import CaseInsensitiveDict

from pantheon_obs import current_trace_id, trace_context
from pantheon_obs.core import guard
from pantheon_obs.propagation import extract, inject
from tests.propagation.apps.work import work
from tests.support.server import SECONDS

if TYPE_CHECKING:
    from collections.abc import Iterator

HEX = "0af7651916cd43dd8448eb211c80319c"
UUID = "0af76519-16cd-43dd-8448-eb211c80319c"
OTHER = "b" * 32
TRACEPARENT = f"00-{HEX}-b7ad6b7169203331-01"
OURS = re.compile(rf"00-{HEX}-(?!0{{16}})[0-9a-f]{{16}}-01")


def test_inject_without_headers_makes_a_carrier() -> None:
    """Each call makes a new dict."""
    with trace_context(UUID):
        carrier, another = inject(), inject()

    assert ["X-Trace-ID", "traceparent"] == list(carrier)
    assert carrier["X-Trace-ID"] == UUID
    assert OURS.fullmatch(carrier["traceparent"])
    assert carrier is not another
    assert carrier == another


@pytest.mark.parametrize("kind", [dict, httpx.Headers, CIMultiDict, CaseInsensitiveDict])
def test_inject_writes_to_any_mutable_mapping_and_returns_it(kind: Any) -> None:
    """Existing headers are kept."""
    headers = kind({"Accept": "text/plain"})

    with trace_context(HEX):
        assert inject(headers) is headers

    assert "text/plain" == headers["Accept"]
    assert HEX == headers["X-Trace-ID"]
    assert OURS.fullmatch(headers["traceparent"])


@pytest.mark.parametrize("kind", [dict, httpx.Headers, CIMultiDict, CaseInsensitiveDict])
@pytest.mark.parametrize(
    ("name", "left"), [("x-TRACE-id", "traceparent"), ("TraceParent", "X-Trace-ID")]
)
def test_inject_never_overwrites_in_any_case(kind: Any, name: str, left: str) -> None:
    """Only the missing header is added."""
    with trace_context(HEX):
        headers = inject(kind({name: "theirs"}))

    assert "theirs" == headers[name]
    assert {name.lower(), left.lower()} == {key.lower() for key in headers}


def test_inject_leaves_headers_with_names_in_bytes_alone() -> None:
    """Names may be bytes, text, or other objects."""
    headers: dict[Any, Any] = {b"X-Trace-ID": b"theirs", 7: None}

    with trace_context("order-7"):
        assert {b"X-Trace-ID": b"theirs", 7: None} == inject(headers)


@pytest.mark.parametrize("headers", [None, {}, {"Accept": "text/plain"}])
def test_inject_adds_nothing_outside_a_trace(headers: dict[str, str] | None) -> None:
    """Outside a trace there is no id."""
    assert (headers or {}) == inject(headers)


@pytest.mark.parametrize(
    "trace_id",
    [
        "order-7",
        HEX[1:],
        HEX + "0",
        "g" * 32,
        "0" * 32,
        "00000000-0000-0000-0000-000000000000",
        f"{HEX[:16]}-{HEX[16:]}",
        f"urn:uuid:{UUID}",
    ],
)
def test_an_id_that_w3c_does_not_know_goes_out_without_traceparent(trace_id: str) -> None:
    """An invalid `traceparent` would start a trace of its own downstream."""
    with trace_context(trace_id):
        assert {"X-Trace-ID": trace_id} == inject()


@pytest.mark.parametrize("trace_id", [HEX.upper(), UUID.upper()])
def test_a_traceparent_is_in_lower_case(trace_id: str) -> None:
    """`X-Trace-ID` keeps the id as it came."""
    with trace_context(trace_id):
        carrier = inject()

    assert trace_id == carrier["X-Trace-ID"]
    assert OURS.fullmatch(carrier["traceparent"])


@pytest.mark.parametrize("value", ["one\r\nX-Evil: two", "ünsafe", "\udcff", "a" * 129])
def test_inject_adds_no_invalid_id(value: str) -> None:
    """The application may set the variable to anything."""
    token = current_trace_id.set(value)
    try:
        assert {} == inject()
    finally:
        current_trace_id.reset(token)


def test_inject_returns_a_read_only_carrier_unchanged() -> None:
    """A read-only mapping is returned unchanged; the failure is reported."""
    headers: Any = MappingProxyType({"Accept": "text/plain"})

    with trace_context(HEX):
        assert inject(headers) is headers

    assert {"inject"} == guard.reported()


@pytest.mark.parametrize("flags", [0, 1, 3])
@pytest.mark.parametrize("trace_id", [HEX, UUID, OTHER, "order-7"])
def test_the_traceparent_of_an_active_span_goes_out_whole(trace_id: str, flags: int) -> None:
    """A span id belongs to one trace, so the span's own id and flags are sent."""
    span = NonRecordingSpan(
        SpanContext(
            int(HEX, 16), 0xB7AD6B7169203331, is_remote=False, trace_flags=TraceFlags(flags)
        )
    )

    with trace_context(trace_id), trace.use_span(span):
        carrier = inject()

    assert (trace_id, f"{TRACEPARENT[:-2]}0{flags}") == tuple(carrier.values())


def test_a_span_that_has_ended_is_no_parent() -> None:
    """A context may be inherited from an earlier request, with its span."""
    span = TracerProvider().get_tracer("application").start_span("earlier")
    span.end()

    with trace_context(HEX), trace.use_span(span):
        assert OURS.fullmatch(inject()["traceparent"])


def test_without_opentelemetry_the_traceparent_has_a_fresh_span_id(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """OpenTelemetry is not imported to look for a span."""
    monkeypatch.delitem(sys.modules, "opentelemetry.trace")

    with trace_context(HEX):
        assert OURS.fullmatch(inject()["traceparent"])

    assert "opentelemetry.trace" not in sys.modules


def test_with_a_broken_opentelemetry_the_traceparent_has_a_fresh_span_id(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The failure is reported once."""
    broken = ModuleType("opentelemetry.trace")
    broken.get_current_span = lambda: 1 / 0  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "opentelemetry.trace", broken)
    not_empty = SimpleNamespace(get_current=lambda: {"key": 1})
    monkeypatch.setitem(sys.modules, "opentelemetry.context", not_empty)

    with trace_context(HEX):
        assert OURS.fullmatch(inject()["traceparent"])

    assert {"opentelemetry"} == guard.reported()


@pytest.mark.parametrize(
    ("headers", "trace_id"),
    [
        pytest.param({"X-Trace-ID": "one"}, "one", id="mapping"),
        pytest.param({"x-trace-ID": "one"}, "one", id="any-case"),
        pytest.param({b"X-TRACE-ID": b"one"}, "one", id="bytes"),
        pytest.param([("X-Trace-ID", b"one")], "one", id="pairs"),
        pytest.param(iter([[b"x-trace-id", "one"]]), "one", id="iterator-of-lists"),
        pytest.param(httpx.Headers({"X-Trace-ID": "one"}), "one", id="httpx"),
        pytest.param(CIMultiDict({"X-Trace-ID": "one"}), "one", id="aiohttp"),
        pytest.param({"X-Request-ID": "two", "X-Trace-ID": "one"}, "one", id="order"),
        pytest.param({"traceparent": TRACEPARENT, "X-Request-ID": "two"}, "two", id="order-2"),
        pytest.param({"Traceparent": TRACEPARENT}, HEX, id="traceparent"),
        pytest.param({"X-Trace-ID": "no no", "X-Request-ID": "two"}, "two", id="invalid-first"),
        pytest.param([("X-Trace-ID", "one"), ("X-Trace-ID", "two")], "one", id="sent-twice"),
        pytest.param([("X-Trace-ID", "!"), ("X-Trace-ID", "two")], None, id="first-of-two-counts"),
        pytest.param({"traceparent": TRACEPARENT.upper()}, None, id="upper-case"),
        pytest.param({"traceparent": HEX}, None, id="no-traceparent"),
        pytest.param({"X-Trace-ID": "a" * 129}, None, id="too-long"),
        pytest.param({"X-Trace-ID": "a" * 10_000_000}, None, id="10-MB"),
        pytest.param({"X-Trace-ID": "one\r\nX-Evil: two"}, None, id="two-lines"),
        pytest.param({"X-Trace-ID": "\udcff"}, None, id="surrogate"),
        pytest.param({"X-Trace-ID": ["one"]}, None, id="a-list-of-values"),
        pytest.param({"X-Trace-ID": None}, None, id="no-value"),
        pytest.param({}, None, id="empty"),
        pytest.param(None, None, id="none"),
    ],
)
def test_extract_reads_the_first_valid_id(headers: Any, trace_id: str | None) -> None:
    """The three headers are read in order, by the rules for inbound requests."""
    assert trace_id == extract(headers)
    assert set() == guard.reported()


def test_trace_context_takes_the_result_of_extract() -> None:
    """Without a valid header the trace has a fresh id."""
    with trace_context(extract({"x-trace-id": "order-7"})) as trace_id:
        assert "order-7" == trace_id
    with trace_context(extract({"x-trace-id": "no no"})) as fresh:
        assert 36 == len(fresh)


def test_extract_reads_the_headers_of_inject() -> None:
    """The next process reads it from either of the headers."""
    with trace_context(UUID):
        carrier = inject()

    assert UUID == extract(carrier)
    assert HEX == extract({"traceparent": carrier["traceparent"]})


def test_a_carrier_brings_the_trace_to_a_process_pool() -> None:
    """The carrier is pickled with the other arguments."""
    with ProcessPoolExecutor(1, get_context("spawn")) as pool:
        with trace_context("order-7"):
            job = pool.submit(work, inject())
        process, trace_id = job.result(SECONDS)

    assert "order-7" == trace_id
    assert process != os.getpid()


class BreaksOff:
    """Raises in the middle of an iteration."""

    def items(self) -> Iterator[tuple[str, str]]:
        """Give one, then raise."""
        yield "X-Request-ID", "one"
        msg = "broken"
        raise RuntimeError(msg)


class Unreadable:
    """Raises when it is touched."""

    @property
    def items(self) -> Any:
        """Raise an error that is no AttributeError."""
        msg = "broken"
        raise RuntimeError(msg)


@pytest.mark.parametrize(
    ("headers", "trace_id"),
    [
        pytest.param(BreaksOff(), "one", id="breaks-off"),
        pytest.param(Unreadable(), None, id="unreadable"),
        pytest.param(7, None, id="a-number"),
        pytest.param("X-Trace-ID", None, id="a-string"),
        pytest.param([("X-Trace-ID",)], None, id="no-pair"),
        pytest.param([None], None, id="nothing"),
    ],
)
def test_extract_never_raises(headers: Any, trace_id: str | None) -> None:
    """Headers that were read before the failure are used."""
    assert trace_id == extract(headers)
    assert {"extract"} == guard.reported()


NAMES = st.sampled_from(["X-Trace-ID", b"x-request-id", "traceparent"]) | st.text() | st.binary()
VALUES = (
    st.text(st.characters(codec=None))
    | st.binary()
    | st.none()
    | st.integers()
    | st.lists(st.text())
    | st.from_regex(r"[0-9a-f]{2}-[0-9a-f]{32}-[0-9a-f]{16}-[0-9a-f]{2}(-.*)?")
)


@settings(max_examples=50)
@given(st.dictionaries(NAMES, VALUES) | st.lists(st.tuples(NAMES, VALUES)) | VALUES)
def test_every_extracted_id_is_valid(headers: Any) -> None:
    """Nothing raises, and no id can forge a log line or a header."""
    trace_id = extract(headers)

    assert trace_id is None or re.fullmatch(r"[A-Za-z0-9._:-]{1,128}", trace_id)


@settings(max_examples=50)
@given(st.dictionaries(NAMES, VALUES), st.from_regex(r"[A-Za-z0-9._:-]{1,128}", fullmatch=True))
def test_existing_headers_are_kept(headers: dict[Any, Any], trace_id: str) -> None:
    """`inject` only adds the id, and keeps a header that exists."""
    before = dict(headers)

    with trace_context(trace_id):
        inject(headers)

    assert before.items() <= headers.items()
    assert {"X-Trace-ID", "traceparent"} >= set(headers) - set(before)
    if not before:
        assert trace_id == extract(headers)
