"""The Django project's own `Health`: a short deadline and hardly a cache."""

from __future__ import annotations

from pantheon_obs import Health
from pantheon_obs.adapters.django import cache_check, database_check

health = Health(timeout=0.6, cache_ttl=0.15, database=database_check(), cache=cache_check())
health.check("database:pooled")(database_check("pooled"))
health.check("cache:local")(cache_check("local"))
