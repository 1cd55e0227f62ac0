"""Real threads, also where greenlets stand in for them (gevent); where none may start."""

from __future__ import annotations

import _thread
import sys
from importlib.machinery import BuiltinImporter
from types import BuiltinFunctionType
from typing import Any


def _original() -> Any:  # noqa: ANN401 - a module
    """Load a fresh copy of the module: it has the original functions, whoever has replaced them."""
    spec: Any = BuiltinImporter.find_spec("_thread")
    module = BuiltinImporter.create_module(spec)
    BuiltinImporter.exec_module(module)  # type: ignore[arg-type]  # of a spec that was found
    return module


thread: Any = _original()
"""The standard library's `_thread`."""


def threads_are_greenlets() -> bool:
    """Whether a thread that is started now would be a greenlet."""
    return not isinstance(_thread.start_new_thread, BuiltinFunctionType)


def is_forked_later() -> bool:
    """Whether this process only loads the application for the workers of uWSGI: it is number 0.

    uWSGI forks them in C, without Python's hooks, whatever the threads here do. A worker in which
    one of them has the interpreter's lock, and did not survive the fork, never answers.
    """
    uwsgi: Any = sys.modules.get("uwsgi")  # a module of uWSGI alone
    number = getattr(uwsgi, "worker_id", None)
    return number is not None and not (number() or uwsgi.mule_id())
