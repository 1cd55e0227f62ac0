"""The project with Channels: its views, and a websocket; `INSTRUMENTED` instruments it."""

from __future__ import annotations

import logging
import os
from typing import Any

from django.core.asgi import get_asgi_application

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "tests.apps.django_app.settings")
http = get_asgi_application()

from channels.generic.websocket import AsyncWebsocketConsumer  # noqa: E402 - after the set-up
from channels.routing import ProtocolTypeRouter, URLRouter  # noqa: E402
from django.urls import path  # noqa: E402

from pantheon_obs import instrument  # noqa: E402

log = logging.getLogger("shop")


class Echo(AsyncWebsocketConsumer):
    """Echoes, or fails."""

    async def connect(self) -> None:
        """Accept."""
        log.info("connected")
        await self.accept()

    async def receive(self, text_data: str = "") -> None:
        """Echo."""
        if text_data == "boom":
            raise ZeroDivisionError
        await self.send(text_data)


application: Any = ProtocolTypeRouter(
    {"http": http, "websocket": URLRouter([path("ws", Echo.as_asgi())])}
)
if "INSTRUMENTED" in os.environ:
    application = instrument(application)
