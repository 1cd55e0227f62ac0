"""The paths and their views."""

from __future__ import annotations

from django.urls import include, path

from . import views

urlpatterns = [
    path("api/v1/chat/", views.chat),
    path("api/v1/chat/stream/", views.chat_stream),
    path("api/v1/conversations/<slug:conversation_id>/", views.conversation),
    path("api/v1/conversations/<slug:conversation_id>/summary/", views.summary),
    path("api/v1/health/", include("pantheon_obs.adapters.django.urls")),
    path("sentry-debug/", views.sentry_debug),
]
