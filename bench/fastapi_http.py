"""Measure the whole story on FastAPI, as a multiple of the bare application."""

from __future__ import annotations

from typing import TYPE_CHECKING

from asgi_correlation_id import CorrelationIdMiddleware
from fastapi import FastAPI, Response

from bench.asgi import BODY, PEER_STORY, STORY, compare_apps, started, without_sentry
from bench.asgi_middleware import access_log
from bench.cases import Target
from pantheon_obs import instrument

if TYPE_CHECKING:
    from bench.asgi_middleware import App
    from bench.cases import Effort, Row


def rows(effort: Effort) -> list[Row]:
    """Measure an async endpoint; nothing is subtracted, and the hand is the bare application."""
    without_sentry()
    apps: dict[str, App] = {
        "peer": CorrelationIdMiddleware(access_log(_app()), header_name="X-Trace-ID"),
        "hand": _app(),
        "ours": started(instrument(_app(), log_format="json")),
    }
    lines = {"peer": PEER_STORY, "ours": STORY | {"route"}}
    work, target = "FastAPI, story {} (hand: bare)", Target(hand=1.3)
    return compare_apps(work, apps, lines, target, effort, bare="hand")


def _app() -> FastAPI:
    app = FastAPI()

    @app.get("/api/v1/orders/{number}")
    async def order(number: int) -> Response:
        return Response(BODY, media_type="application/json")

    return app
