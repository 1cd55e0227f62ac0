"""Stands where a user may look for names: importing it says where they are."""

from __future__ import annotations

msg = (
    "pantheon_obs.quart does not exist: "
    "use 'from pantheon_obs import instrument', which takes a Quart application"
)
raise ImportError(msg, name=__name__)
