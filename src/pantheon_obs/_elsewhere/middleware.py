"""Stands where a user may look for names: importing it says where they are."""

from __future__ import annotations

msg = (
    "pantheon_obs.middleware does not exist: use "
    "'from pantheon_obs import TraceIdMiddleware' for ASGI, "
    "'from pantheon_obs.adapters.wsgi import TraceIdMiddleware' for WSGI, or "
    "'from pantheon_obs.adapters.django import TraceIdMiddleware' for Django"
)
raise ImportError(msg, name=__name__)
