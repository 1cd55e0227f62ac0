"""Stands where a user may look for names: importing it says where they are."""

from __future__ import annotations

msg = (
    "pantheon_obs.django does not exist: use "
    "'from pantheon_obs.adapters.django import TraceIdMiddleware', which also has "
    "cache_check and database_check; INSTALLED_APPS names 'pantheon_obs.adapters.django'"
)
raise ImportError(msg, name=__name__)
