"""Stands where a user may look for names: importing it says where they are."""

from __future__ import annotations

msg = (
    "pantheon_obs.asgi does not exist: use "
    "'from pantheon_obs import TraceIdMiddleware', or "
    "'from pantheon_obs import instrument', which takes an ASGI callable"
)
raise ImportError(msg, name=__name__)
