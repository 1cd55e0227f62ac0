"""Keep Sentry's integrations from importing what the host has not: `except ImportError` is theirs.

That of Flask asks whether Quart pretends to be Flask, and imports all of it for that.
"""

from __future__ import annotations

import sys
from contextlib import contextmanager
from threading import get_ident
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

_OPTIONAL = frozenset({
    "channels", "flask_login", "multipart", "python_multipart", "quart", "quart_auth", "redbeat",
})  # fmt: skip


@contextmanager
def no_more_imports() -> Iterator[None]:
    """Hide what integrations would import if it is installed; from this thread only."""
    finder = _Hiding()
    sys.meta_path.insert(0, finder)
    try:
        yield
    finally:
        sys.meta_path.remove(finder)


class _Hiding:
    """A finder that says of some packages that they are not installed."""

    def __init__(self) -> None:
        self._thread = get_ident()

    def find_spec(self, name: str, _path: object = None, _target: object = None) -> None:
        """Refuse a package that nobody has imported yet; leave all others to the next finder."""
        if name in _OPTIONAL and get_ident() == self._thread:
            msg = f"No module named {name!r}"
            raise ModuleNotFoundError(msg, name=name)
