"""The routes that all frameworks have, and those of Django's own tests."""

from __future__ import annotations

from django.urls import include, path, re_path

from tests.apps import common, neutral
from tests.apps.django_app import views

ok = views.view("ok")
things = [path("things/<thing_id>", ok)]

urlpatterns = [
    *(path(neutral.angled(template), views.view(template)) for template in common.ROUTES),
    path("static/<path>", views.static),
    path("api/", include([path("v1/", include(things))])),
    path("tenants/<tenant>/", include(things)),
    path("plain/", include(things)),
    path("mounted/", include([path("items/<item_id>", ok), path("boom", views.view("boom"))])),
    path("api/v1/health/", include("pantheon_obs.adapters.django.urls")),
    # Django's own.
    path("private", views.lazy),  # where the project requires a login
    path(
        "classes/<int:thing_id>/",
        (views.AsyncThing if views.IS_ASYNC else views.Thing).as_view(),
    ),
    re_path(r"^regex/(?P<key>[a-z]+)$", views.lazy),
    path("file", views.memory_file),
    path("own-headers", views.own_headers),
    path("not-found", views.not_found),
    path("denied", views.denied),
    path("bad-request", views.bad_request),
    path("suspicious", views.suspicious),
    path("form", views.form),
    path("tolerated", views.tolerated),
    path("none", views.none),
    path("lazy", views.lazy),
    path("member/<key>", views.async_member if views.IS_ASYNC else views.member),
    path("own-user", views.own_user),
    path("llm-stream", views.llm_stream),
    path("middleware/after", views.lazy),
]
