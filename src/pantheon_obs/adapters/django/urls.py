"""Health endpoints: `path("api/v1/health/", include("pantheon_obs.adapters.django.urls"))`.

They are plain Django views that need no login. CSRF protection and the permissions of Django REST
framework do not apply.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from django.contrib.auth.decorators import login_not_required
from django.core.handlers.asgi import ASGIRequest
from django.http import Http404, HttpResponse
from django.urls import path
from django.utils.cache import patch_cache_control
from django.views.decorators.csrf import csrf_exempt

from pantheon_obs import _setup
from pantheon_obs.adapters.django.health import configured_health
from pantheon_obs.adapters.django.metrics import answer_scrape
from pantheon_obs.core.context import current_trace
from pantheon_obs.core.exchange import Exchange
from pantheon_obs.core.in_force import in_force
from pantheon_obs.health import endpoints

if TYPE_CHECKING:
    from django.http import HttpRequest

_health = configured_health()


# Both are async: under ASGI a sync view would wait for the one thread that runs all sync code,
# which hangs when a dependency hangs.
async def live(request: HttpRequest) -> HttpResponse:
    """Answer that the process runs."""
    return await _answer(request, "live")


async def ready(request: HttpRequest) -> HttpResponse:
    """Answer whether the service is ready."""
    return await _answer(request, "ready")


async def _answer(request: HttpRequest, name: str) -> HttpResponse:
    answer = endpoints.at_once(name, request.method)
    if answer is None:
        if isinstance(request, ASGIRequest):
            report = await _health.areport()
        else:
            # Under WSGI Django makes an event loop for this call only: no check may stay on it.
            report = _health.report()
        answer = endpoints.of_report(request.method, report, details=_health.details)
    _quieten()
    response: Any = HttpResponse(answer.body, status=answer.status, headers=dict(answer.headers))
    # Django's per-site cache looks for private, not for no-store.
    patch_cache_control(response, private=True)
    response._has_been_logged = True  # noqa: SLF001 - Django logs each 503 otherwise
    return response


async def metrics(request: HttpRequest) -> HttpResponse:
    """Answer with the metrics for Prometheus, while there is a `metrics_path`."""
    if in_force("metrics_path") is None or _setup.metrics_status() != "on":
        raise Http404
    _quieten()
    return answer_scrape(request)


def _quieten() -> None:
    exchange = current_trace.get()
    if isinstance(exchange, Exchange):
        exchange.probed()  # the settings do not know under which path these urls are


def _public(view: object) -> object:
    return csrf_exempt(login_not_required(view))


app_name = "pantheon_obs"
urlpatterns = [
    path("live/", _public(live), name="live"),
    path("live", _public(live)),
    path("ready/", _public(ready), name="ready"),
    path("ready", _public(ready)),
    path("metrics/", _public(metrics), name="metrics"),
    path("metrics", _public(metrics)),
]
