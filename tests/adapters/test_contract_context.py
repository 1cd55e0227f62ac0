"""The contract, third part: the context of a handler, and the fields of its lines."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

import pytest

from tests.adapters.contract import as_json, new_id

if TYPE_CHECKING:
    from tests.adapters.contract import Service


def test_bound_fields_are_on_the_requests_lines_and_on_no_other(service: Service) -> None:
    """Both kinds of bound fields last until the request ends; the next request has none."""
    key = new_id()
    response = service.get(f"/bound/{key}")

    logged, story = service.lines_of(response.headers["x-trace-id"])
    after = service.get("/ok")

    assert (key, key, 3) == (logged["tenant"], logged["user"], logged["size"])
    assert key == story["tenant"]
    assert {"user": key} == as_json(response)["structlog"]
    assert {} == as_json(after)["structlog"]
    assert "tenant" not in service.story(after)
    assert "user" not in service.story(after)


def test_a_sync_endpoint_has_the_id_and_binds_for_the_whole_request(service: Service) -> None:
    """A handler in a thread sees the request's id, and its bound fields are on all lines."""
    service.needs("sync endpoints")
    key = new_id()
    response = service.get(f"/sync/{key}")

    logged, story = service.lines_of(response.headers["x-trace-id"])

    assert response.headers["x-trace-id"] == as_json(response)["trace_id"]
    assert ("in a thread", key) == (logged["event"], logged["tenant"])
    assert ("request_finished", key) == (story["event"], story["tenant"])


def test_twenty_requests_at_once_keep_their_ids_apart(service: Service) -> None:
    """Requests that wait at the same time swap neither their ids nor their bound fields."""
    keys = [new_id() for _ in range(20)]

    def request(key: str) -> tuple[str, str]:
        with service.open(f"/stream/{key}", key) as response:
            body = response.iter_raw()
            first = next(body)
            arrived.append(key)
            return first.decode(), b"".join(body).decode()

    arrived: list[str] = []
    with ThreadPoolExecutor(20) as pool:
        answers = pool.map(request, keys)
        while len(arrived) < 20:
            service.get("/ok")
        for key in keys:
            service.release(key)

    assert [(f"one {key}\n", f"two {key}\n") for key in keys] == list(answers)
    for key in keys:
        assert ["second chunk", "request_finished"] == [
            line["event"] for line in service.lines_of(key)
        ]


def test_background_work_runs_in_the_requests_trace(service: Service) -> None:
    """A line that is logged after the response has the response's id."""
    service.needs("background")
    key = new_id()
    response = service.get(f"/background/{key}")
    service.release(key)

    service.wait_for(response.headers["x-trace-id"], "worked")


ROUTES_NEED = {
    "/slash": "slash redirects",
    "/slash/": "slash redirects",
    "/static/asgi_app.py": "mounted files",
    "/static/nothing": "mounted files",
}


@pytest.mark.parametrize(
    ("path", "route"),
    [
        pytest.param("/ok", "/ok", id="route"),
        pytest.param("/added", "/added", id="add_route"),
        pytest.param("/sync/1", "/sync/{key}", id="parameter"),
        pytest.param("/boom", "/boom", id="unhandled"),
        pytest.param("/stream/{key}", "/stream/{key}", id="stream"),
        pytest.param("/slash/", "/slash/", id="slash"),
        pytest.param("/api/v1/things/7", "/api/v1/things/{thing_id}", id="nested"),
        pytest.param(
            "/tenants/acme/things/7", "/tenants/{tenant}/things/{thing_id}", id="of-a-mount"
        ),
        pytest.param("/plain/things/7", "/plain/things/{thing_id}", id="mounted-router"),
        pytest.param("/mounted/items/7", "/mounted/items/{item_id}", id="mounted-app"),
        pytest.param("/mounted/boom", "/mounted/boom", id="mounted-unhandled"),
        pytest.param("/static/asgi_app.py", "/static/{path}", id="files"),
        pytest.param("/static/nothing", None, id="no-such-file"),
        pytest.param("/slash", None, id="redirected-slash"),
        pytest.param("/nowhere", None, id="404"),
        pytest.param("/mounted/nowhere", None, id="404-in-a-mount"),
        pytest.param("/api/v1/nowhere", None, id="404-in-nested-mounts"),
    ],
)
def test_the_route_is_the_full_template(service: Service, path: str, route: str | None) -> None:
    """The template has every prefix of routers and mounts; a path without a route has none."""
    service.needs("routes", *filter(None, [ROUTES_NEED.get(path)]))
    service.release("{key}")

    story = service.story(service.get(path))

    assert (route and service.adapter.template(route)) == story.get("route")
    assert ("route" in story) == (route is not None)


def test_a_wrong_method_has_the_route_of_its_path(service: Service) -> None:
    """A 405 has matched a path, so its template is known."""
    service.needs("routes")

    story = service.story(service.get("/posted"))

    assert (405, "/posted") == (story["status_code"], story["route"])


def test_a_wrong_value_in_the_path_has_the_route(service: Service) -> None:
    """A 422 comes from a route that has matched, so its template is known."""
    service.needs("validation")

    story = service.story(service.get("/items/x"))

    assert (422, "/items/{item_id}") == (story["status_code"], story["route"])


def test_an_included_router_in_a_mounted_app_has_every_prefix(service: Service) -> None:
    """Prefixes of include_router below a mount are part of the template."""
    service.needs("validation")
    for prefix in ("/api/v1", "/mounted/deep/v1"):
        # A route of FastAPI's, one of Starlette's, and one in a mount that was included.
        for kind in ("things", "of-starlette", "in-a-mount"):
            story = service.story(service.get(f"{prefix}/{kind}/7"))

            assert f"{prefix}/{kind}/{{thing_id}}" == story["route"]
