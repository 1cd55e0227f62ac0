"""Measure the commands and pipelines of redis-py's clients, sync and asyncio.

`RedisCluster` has classes of its own, which are left alone.
"""

from __future__ import annotations

import sys
from functools import lru_cache
from typing import TYPE_CHECKING, Any

from pantheon_obs.core.timing import enter
from pantheon_obs.products import PRODUCTS
from pantheon_obs.time.functions import Patches, measured_call

if TYPE_CHECKING:
    from types import FrameType

    from pantheon_obs.core.timing import Running

# A pipeline overrides `execute_command`, to collect commands; it sends WATCH and the commands after
# it immediately.
_METHODS = (
    ("Redis", "execute_command"),
    ("Pipeline", "execute"),
    ("Pipeline", "immediate_execute_command"),
)
# Code between the application and the client: the client's own, ours, and other observers.
_BETWEEN = frozenset({"redis", "pantheon_obs", "sentry_sdk", "opentelemetry", "wrapt"})
# Code whose commands are not the application's: Celery's, our own, a cluster's.
_APART = frozenset(name for row in PRODUCTS for name in row.cache_users)
_MODULES_APART = ("redis.cluster", "redis.asyncio.cluster", "pantheon_obs.llm.cost.redis_")

_patches = Patches()
undo = _patches.undo


def patch() -> None:
    """Measure the commands of all clients."""
    from redis import client  # noqa: PLC0415 - the application has imported it
    from redis.asyncio import client as async_client  # noqa: PLC0415 - as above

    modules: tuple[Any, ...] = (client, async_client)
    for module in modules:
        for class_name, name in _METHODS:
            owner = getattr(module, class_name)
            method = measured_call(vars(owner)[name], "cache", {"system": "redis"}, _begin)
            _patches.replace(owner, name, method)


def _begin(name: str) -> Running | None:
    """Begin a command, unless Celery, this library or a cluster's client sends it."""
    frame: FrameType | None = sys._getframe(2)  # noqa: SLF001 - `inspect` reads the source of each frame
    is_between, is_apart = True, False
    while is_between and not is_apart and frame is not None:
        is_between, is_apart = _place_of(str(frame.f_globals.get("__name__")))
        frame = frame.f_back
    return None if is_apart else enter(name)


@lru_cache(1024)
def _place_of(module: str) -> tuple[bool, bool]:
    """Whether a module stands between the application and the client, and whether it is apart."""
    root = module.partition(".")[0]
    return root in _BETWEEN, root in _APART or module.startswith(_MODULES_APART)
