"""An ASGI and a WSGI application with the ready-made checks on real databases.

Environment: `POSTGRES_URL`, `REDIS_URL`.
"""

from __future__ import annotations

import os
from typing import Any

import redis
import redis.asyncio
import sqlalchemy
from sqlalchemy.ext.asyncio import create_async_engine

from pantheon_obs import Health, instrument
from pantheon_obs.health import psycopg_check, redis_check, sqlalchemy_check
from tests.apps import asgi_app, wsgi_app

POSTGRES = os.environ["POSTGRES_URL"]
REDIS = os.environ["REDIS_URL"]
ENGINE_URL = POSTGRES.replace("postgresql:", "postgresql+psycopg:")


def health(engine: Any, client: Any) -> Health:
    """A short deadline and hardly a cache, so that many probes run many checks."""
    return Health(
        timeout=0.6,
        cache_ttl=0.15,
        engine=sqlalchemy_check(engine),
        psycopg=psycopg_check(POSTGRES),
        redis=redis_check(client),
        redis_url=redis_check(REDIS),
    )


def make_asgi() -> Any:
    """Make the ASGI application."""
    engine = create_async_engine(ENGINE_URL)
    checked = health(engine, redis.asyncio.Redis.from_url(REDIS))
    return instrument(asgi_app.service, health=checked)


def make_wsgi() -> Any:
    """Make the WSGI application."""
    engine = sqlalchemy.create_engine(ENGINE_URL)
    return instrument(wsgi_app.service, health=health(engine, redis.Redis.from_url(REDIS)))
