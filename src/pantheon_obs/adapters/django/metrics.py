"""The page of the metrics for Prometheus, which the middleware or the included urls answer."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from django.http import HttpResponse

from pantheon_obs import _setup

if TYPE_CHECKING:
    from collections.abc import Callable

    from django.http import HttpRequest


def in_front(
    get_response: Callable[[HttpRequest], Any], path: str, *, is_async: bool
) -> Callable[[HttpRequest], Any]:
    """Answer scrapes of a path, and pass other requests on to the next middleware."""
    paths = {path, f"{path}/"}

    def respond(request: HttpRequest) -> Any:  # noqa: ANN401 - a response
        return answer_scrape(request) if request.path_info in paths else get_response(request)

    async def arespond(request: HttpRequest) -> Any:  # noqa: ANN401 - as above
        return answer_scrape(request) if request.path_info in paths else await get_response(request)

    return arespond if is_async else respond


def answer_scrape(request: HttpRequest) -> HttpResponse:
    """Answer a scrape, in the format that it accepts."""
    started: list[Any] = []

    def start_response(status: str, headers: list[tuple[str, str]]) -> None:
        started.extend((int(status[:3]), dict(headers)))

    # `META` has an environ's keys under ASGI, too.
    body = b"".join(_setup.metrics_page("wsgi")(request.META, start_response))
    status, headers = started
    return HttpResponse(body, status=status, headers=headers)
