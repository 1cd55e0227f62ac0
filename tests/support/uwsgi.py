"""Be the process in which uWSGI loads an application, which forks the workers in C."""

from __future__ import annotations

import os
import sys
from types import ModuleType
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable

    import pytest


def load(monkeypatch: pytest.MonkeyPatch) -> Callable[[], None]:
    """Load the application from now on; the function returned makes this process a worker."""
    number = 0
    uwsgi: Any = ModuleType("uwsgi")
    uwsgi.worker_id = lambda: number
    uwsgi.mule_id = int
    monkeypatch.setitem(sys.modules, "uwsgi", uwsgi)

    def be_worker() -> None:
        nonlocal number
        number = 1
        monkeypatch.setattr(os, "getpid", lambda: -1)

    return be_worker
