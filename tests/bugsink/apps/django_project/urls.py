"""The routes, to views of the server's kind where it matters."""

from __future__ import annotations

import os

from django.urls import path

from tests.bugsink.apps.django_project import views

kind = views.Async if os.environ.get("VIEWS_ARE_ASYNC") else views.Sync

urlpatterns = [
    path("sentry-debug/", kind.debug),
    path("stream", kind.stream),
    path("meet/<name>", kind.meet),
    path("thread", views.thread),
    path("logged", views.logged),
    path("handled", views.handled),
    path("llm", views.llm),
]
