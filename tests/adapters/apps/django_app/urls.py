"""The routes of the contract, and those of Django's own tests."""

from __future__ import annotations

import os
from typing import Any

from django.urls import include, path, re_path

from tests.adapters.apps.django_app import views


def view(name: str) -> Any:
    """The view of this name, the async one if there is one and the server speaks ASGI."""
    found = getattr(views, name)
    if os.environ.get("DJANGO_APP_IS_ASYNC"):
        found = getattr(views.Async, name, found)
    return found.as_view() if isinstance(found, type) else found


things = [path("things/<thing_id>", view("ok"))]

urlpatterns = [
    path("ok", view("ok")),
    path("added", view("ok")),
    path("bound/<key>", view("bound")),
    path("sync/<key>", view("sync")),
    path("empty", view("empty")),
    path("redirect", view("redirect")),
    path("handled/<key>", view("handled")),
    path("boom", view("boom")),
    path("own-header", view("own_header")),
    path("cors", view("cors")),
    path("cors/<key>", view("cors")),
    path("stream/<key>", view("stream")),
    path("sync-stream/<key>", views.stream),
    path("broken-stream", view("broken_stream")),
    path("endless", view("endless")),
    path("endless/<key>", view("endless")),
    path("slow/<key>", view("slow")),
    path("release/<key>", view("release")),
    path("open-call", view("open_call")),
    path("slash/", view("ok")),
    path("posted", views.require_http_methods(["POST"])(views.lazy)),
    path("static/<path>", view("static")),
    path("api/", include([path("v1/", include(things))])),
    path("tenants/<tenant>/", include(things)),
    path("plain/", include(things)),
    path("mounted/", include([path("items/<item_id>", view("ok")), path("boom", view("boom"))])),
    # Django's own.
    path("classes/<int:thing_id>/", view("Thing")),
    re_path(r"^regex/(?P<key>[a-z]+)$", views.lazy),
    path("file", view("memory_file")),
    path("not-found", view("not_found")),
    path("denied", view("denied")),
    path("bad-request", view("bad_request")),
    path("suspicious", view("suspicious")),
    path("form", view("form")),
    path("none", view("none")),
    path("lazy", view("lazy")),
    path("member/<key>", view("member")),
    path("own-user", view("own_user")),
    path("llm-stream", view("llm_stream")),
    path("middleware/after", views.lazy),
]
