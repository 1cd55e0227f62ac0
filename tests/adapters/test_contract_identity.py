"""The contract, its first part: which id a response carries."""

from __future__ import annotations

import uuid
from typing import TYPE_CHECKING

import pytest

from tests.adapters.contract import as_json, new_id

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.adapters.contract import Service

TRACE = "0af7651916cd43dd8448eb211c80319c"
SPAN = "b7ad6b7169203331"


SAME = {307: (308,)}  # what frameworks redirect with when a slash is missing


def is_fresh(trace_id: str) -> bool:
    """Whether it has the form that we give to an id."""
    return str(uuid.UUID(trace_id)) == trace_id and uuid.UUID(trace_id).version == 4


def test_a_request_without_an_id_gets_a_fresh_one(service: Service) -> None:
    """Without an inbound id the response carries a new random UUID, which the handler sees too."""
    first, second = (service.get("/ok", headers={}) for _ in range(2))

    assert is_fresh(first.headers["x-trace-id"])
    assert as_json(first)["trace_id"] == first.headers["x-trace-id"]
    assert first.headers["x-trace-id"] != second.headers["x-trace-id"]


@pytest.mark.parametrize(
    "sent",
    [
        pytest.param(lambda: str(uuid.uuid4()), id="uuid"),
        pytest.param(lambda: str(uuid.uuid4()).upper(), id="uuid-in-capitals"),
        pytest.param(lambda: f"01ARZ3NDEKTSV4{uuid.uuid4().hex[:12].upper()}", id="ulid"),
        pytest.param(lambda: uuid.uuid4().hex, id="nginx"),
        pytest.param(lambda: f"1-67891233-{uuid.uuid4().hex[:24]}", id="load-balancer"),
        pytest.param(lambda: f"a.b_c:d-{uuid.uuid4().hex}", id="every-punctuation"),
        pytest.param(lambda: "x" + uuid.uuid4().hex * 3 + "y" * 31, id="128-characters"),
        pytest.param(lambda: "my-custom-id", id="words"),
    ],
)
def test_a_valid_id_comes_back_exactly_as_sent(service: Service, sent: Callable[[], str]) -> None:
    """An accepted id is the id of the response, of the handler and of the lines."""
    trace_id = sent()

    response = service.get("/ok", headers={"X-Trace-ID": trace_id})

    assert trace_id == response.headers["x-trace-id"]
    assert trace_id == as_json(response)["trace_id"]
    service.wait_for(trace_id, "request_finished")


@pytest.mark.parametrize(
    "hostile",
    [
        pytest.param(b"", id="empty"),
        pytest.param(b"x" * 129, id="129-characters"),
        pytest.param(b"x" * 60_000, id="60-kB"),
        pytest.param(b"a\tb", id="tab"),
        pytest.param(b"a b", id="space"),
        pytest.param(b"caf\xc3\xa9", id="utf-8"),
        pytest.param(b"caf\xe9", id="latin-1"),
        pytest.param(b"{0af76519-16cd-43dd-8448-eb211c80319c}", id="braces"),
        pytest.param(b"urn:uuid:{0af76519-16cd-43dd-8448-eb211c80319c}", id="urn"),
        pytest.param(b"${jndi:x}", id="jndi"),
        pytest.param(b'","level":"forged', id="quotes"),
        pytest.param(b"Root=1-67891233-abcdef012345678912345678", id="root"),
    ],
)
def test_a_hostile_id_is_replaced_and_never_repeated(service: Service, hostile: bytes) -> None:
    """A refused id gives a fresh one and one DEBUG line, which does not hold the raw value."""
    before = len(service.lines)

    [trace_id] = service.raw("/ok", (b"X-Trace-ID", hostile))["x-trace-id"]

    assert is_fresh(trace_id)
    refusal, story = service.lines_of(trace_id)
    assert ("trace_id_refused", "request_finished") == (refusal["event"], story["event"])
    assert ("debug", "x-trace-id") == (refusal["level"], refusal["source"])
    assert len(hostile) < 5 or not any(
        hostile.decode("latin-1") in line for line in service.server.out[before:]
    )


@pytest.mark.parametrize(
    ("traceparent", "accepted"),
    [
        pytest.param(f"00-{TRACE}-{SPAN}-01", True, id="level-1"),
        pytest.param(f"00-{TRACE}-{SPAN}-03", True, id="level-2-random-flag"),
        pytest.param(f"cc-{TRACE}-{SPAN}-01-what-comes", True, id="later-version"),
        pytest.param(f"00-{TRACE}-{SPAN}-01-more", False, id="version-00-with-more"),
        pytest.param(f"ff-{TRACE}-{SPAN}-01", False, id="version-ff"),
        pytest.param(f"00-{'0' * 32}-{SPAN}-01", False, id="no-trace"),
        pytest.param(f"00-{TRACE}-{'0' * 16}-01", False, id="no-span"),
        pytest.param(f"00-{TRACE.upper()}-{SPAN}-01", False, id="capitals"),
        pytest.param(TRACE, False, id="trace-alone"),
    ],
)
def test_a_traceparent_is_read_strictly(
    service: Service, traceparent: str, *, accepted: bool
) -> None:
    """The trace-id of a valid W3C traceparent becomes the id; an invalid one is refused."""
    trace = new_id().replace("-", "")

    response = service.get("/ok", headers={"traceparent": traceparent.replace(TRACE, trace)})

    assert accepted == (trace == response.headers["x-trace-id"])
    assert accepted or is_fresh(response.headers["x-trace-id"])


def test_the_first_valid_header_wins_and_of_a_repeated_one_the_first(service: Service) -> None:
    """Headers count in the order of the setting, however they were sent."""
    own, request, later = new_id(), new_id(), new_id()

    in_order = service.raw(
        "/ok", (b"X-Request-ID", request.encode()), (b"X-Trace-ID", own.encode())
    )
    fallback = service.raw(
        "/ok", (b"X-Trace-ID", b"not valid"), (b"X-Request-ID", request.encode())
    )
    repeated = service.raw(
        "/ok", (b"X-Trace-ID", later.encode()), (b"X-Trace-ID", new_id().encode())
    )
    repeated_badly = service.raw(
        "/ok", (b"X-Trace-ID", b"not valid"), (b"X-Trace-ID", b"not-the-first")
    )

    assert [own] == in_order["x-trace-id"]
    assert [request] == fallback["x-trace-id"]
    assert [later] == repeated["x-trace-id"]
    assert is_fresh(repeated_badly["x-trace-id"][0])


@pytest.mark.parametrize(
    ("method", "path", "status", "needs"),
    [
        pytest.param("GET", "/ok", 200, (), id="200"),
        pytest.param("HEAD", "/ok", 200, (), id="head"),
        pytest.param("GET", "/empty", 204, (), id="204"),
        pytest.param("GET", "/redirect", 307, (), id="redirect"),
        pytest.param("GET", "/slash", 308, ("slash redirects",), id="redirected-slash"),
        pytest.param("GET", "/nowhere", 404, (), id="404"),
        pytest.param("POST", "/ok", 405, ("methods",), id="405"),
        pytest.param("GET", "/items/x", 422, ("validation",), id="422"),
        pytest.param("GET", "/handled/418", 418, (), id="handled-4xx"),
        pytest.param("GET", "/handled/503", 503, (), id="handled-5xx"),
        pytest.param("GET", "/boom", 500, (), id="unhandled-500"),
        pytest.param("GET", "/static/asgi_app.py", 200, ("mounts",), id="file"),
        pytest.param("GET", "/mounted/items/1", 200, ("mounts",), id="mounted"),
        pytest.param("GET", "/mounted/nowhere", 404, ("mounts",), id="mounted-404"),
        pytest.param("GET", "/mounted/boom", 500, ("mounts",), id="mounted-500"),
        pytest.param("GET", "/own-header", 200, (), id="set-by-the-app"),
        pytest.param("GET", "/no-response", 500, ("no response",), id="no-response"),
    ],
)
def test_every_response_carries_the_id_exactly_once(
    service: Service, method: str, path: str, status: int, needs: tuple[str, ...]
) -> None:
    """Whatever the response is, it has one header with the id; one of the app's is replaced."""
    service.needs(*needs)
    trace_id = new_id()

    response = service.get(path, {"X-Trace-ID": trace_id}, method)

    assert status in {response.status_code, *SAME.get(response.status_code, ())}
    assert [trace_id] == response.headers.get_list("x-trace-id")


def test_scripts_of_other_origins_may_read_the_id(service: Service) -> None:
    """On a CORS response the header is exposed, beside those that the app exposes itself."""
    assert "x-trace-id" == service.get("/cors").headers["access-control-expose-headers"]
    assert (
        "X-Other, x-trace-id"
        == service.get("/cors/exposing").headers["access-control-expose-headers"]
    )
    assert "access-control-expose-headers" not in service.get("/ok").headers


def test_the_answer_to_a_preflight_carries_the_id(service: Service) -> None:
    """What a CORS middleware answers by itself has the header, exposed."""
    service.needs("methods")
    trace_id = new_id()
    headers = {
        "X-Trace-ID": trace_id,
        "Origin": "https://front.example",
        "Access-Control-Request-Method": "GET",
    }

    response = service.get("/ok", headers, "OPTIONS")

    assert response.status_code in {200, 204}
    assert trace_id == response.headers["x-trace-id"]
    assert "x-trace-id" == response.headers["access-control-expose-headers"]
