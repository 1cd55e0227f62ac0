"""Health checks, and the answers to probes of liveness and readiness.

See `Health`; the functions make checks of databases, caches, HTTP services and TCP ports.
"""

from __future__ import annotations

from pantheon_obs.health.checks import (
    http_check,
    psycopg_check,
    redis_check,
    sqlalchemy_check,
    tcp_check,
)
from pantheon_obs.health.health import Health
from pantheon_obs.health.results import CheckResult, Report

__all__ = [
    "CheckResult",
    "Health",
    "Report",
    "http_check",
    "psycopg_check",
    "redis_check",
    "sqlalchemy_check",
    "tcp_check",
]

__path__.append("pantheon_obs._elsewhere")  # for names that users look for here
