"""Measure statements and cache calls of Django."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any

import django
from django.conf import settings

from bench.cases import Case, Target

if TYPE_CHECKING:
    from collections.abc import Callable

    from bench.cases import Contender

_SQLITE = {"ENGINE": "django.db.backends.sqlite3", "NAME": ":memory:"}


def set_up() -> None:
    """Configure Django, before anything looks for its databases and caches."""
    settings.configure(DATABASES={"default": _SQLITE, "plain": _SQLITE})
    django.setup()


def django_cases(in_requests: Callable[[Callable[[], object]], Contender]) -> list[Case]:
    """Compare connections and caches that are measured with those that are not."""
    from django.core.cache import caches  # noqa: PLC0415 - after the settings
    from django.db import connections  # noqa: PLC0415 - as above

    cursors = {name: connections[name].cursor() for name in ("default", "plain")}
    connections["plain"].execute_wrappers.clear()
    made, hand = (
        in_requests(partial(cursors[name].execute, "SELECT 1")) for name in ("default", "plain")
    )
    cache: Any = caches["default"]
    plain = in_requests(partial(type(cache).get.__wrapped__, cache, "key"))
    ours = in_requests(partial(cache.get, "key"))
    return [
        Case("Django statement", bare=hand, hand=hand, ours=made, target=Target(micros=3)),
        Case("Django cache call", bare=plain, hand=plain, ours=ours, target=Target(micros=3)),
    ]
