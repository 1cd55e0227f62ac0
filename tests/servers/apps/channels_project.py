"""A Django project with Channels: a view, and websockets; also its `manage.py`."""

from __future__ import annotations

import logging
import os
import sys
from typing import Any

from django.conf import settings

settings.configure(
    ALLOWED_HOSTS=["*"],
    ASGI_APPLICATION=f"{__name__}.application",
    INSTALLED_APPS=["daphne", "channels", "pantheon_obs.adapters.django"],
    MIDDLEWARE=["pantheon_obs.adapters.django.TraceIdMiddleware"],
    ROOT_URLCONF=__name__,
)

import django  # noqa: E402

django.setup()

from channels.generic.websocket import AsyncWebsocketConsumer  # noqa: E402
from channels.routing import ProtocolTypeRouter, URLRouter  # noqa: E402
from django.core.asgi import get_asgi_application  # noqa: E402
from django.core.management import execute_from_command_line  # noqa: E402
from django.http import HttpResponse  # noqa: E402
from django.urls import path  # noqa: E402

from pantheon_obs import instrument  # noqa: E402

log = logging.getLogger("shop")


def view(_: Any) -> Any:
    """Answer."""
    return HttpResponse("ok")


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


urlpatterns = [path("ok", view)]


def __getattr__(name: str) -> Any:
    """Make the application when a server asks for it, as a module of its own does."""
    if name != "application":
        raise AttributeError(name)
    router: Any = ProtocolTypeRouter(
        {"http": get_asgi_application(), "websocket": URLRouter([path("ws", Echo.as_asgi())])}
    )
    globals()[name] = instrument(router) if "INSTRUMENTED" in os.environ else router
    return globals()[name]


if __name__ == "__main__":
    settings.ASGI_APPLICATION = "tests.servers.apps.channels_project.application"
    sys.modules["tests.servers.apps.channels_project"] = sys.modules[__name__]
    execute_from_command_line(sys.argv)
