"""The urls and the applications of a Django project."""

from __future__ import annotations

import os
import threading
from typing import TYPE_CHECKING

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "tests.health.apps.django_settings")

from django.contrib.auth.decorators import login_not_required
from django.core.asgi import get_asgi_application
from django.core.wsgi import get_wsgi_application
from django.http import JsonResponse
from django.urls import include, path

if TYPE_CHECKING:
    from django.http import HttpRequest


async def threads(request: HttpRequest) -> JsonResponse:
    """The names of this process's threads."""
    return JsonResponse([thread.name for thread in threading.enumerate()], safe=False)


async def private(request: HttpRequest) -> JsonResponse:
    """Only for those who are logged in, as all views are."""
    return JsonResponse({})


urlpatterns = [
    path("threads", login_not_required(threads)),
    path("private", private),
    path("api/v1/health/", include("pantheon_obs.adapters.django.urls")),
]

make_asgi = get_asgi_application
make_wsgi = get_wsgi_application
