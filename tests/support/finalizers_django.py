"""Responses of Django for the program `finalizers`: this module configures a project."""

from __future__ import annotations

from functools import partial
from typing import Any

import django
from django.conf import settings

settings.configure(
    ALLOWED_HOSTS=["*"], INSTALLED_APPS=["pantheon_obs.adapters.django"], LOGGING_CONFIG=None
)
django.setup()

from django.http import HttpResponse, StreamingHttpResponse  # noqa: E402
from django.test import RequestFactory  # noqa: E402

from pantheon_obs.adapters.django import TraceIdMiddleware  # noqa: E402


def answered(kind: Any) -> Any:
    """Answer a request, and read the first part of the response."""
    middleware = TraceIdMiddleware(lambda _: kind(iter([b"one", b"two"])))
    response: Any = middleware(RequestFactory().get("/"))
    return response, next(iter(response))


KINDS = {
    "django": partial(answered, HttpResponse),
    "django_stream": partial(answered, StreamingHttpResponse),
}
