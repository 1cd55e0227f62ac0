"""Wait for the application to import structlog, whose import takes as long as all of ours.

An application that does not use it does without it. In any other one ours is in place before the
statement that imports structlog returns.
"""

from __future__ import annotations

import sys
from contextlib import suppress
from importlib import import_module
from typing import TYPE_CHECKING, Any

from pantheon_obs.core.guard import Guard
from pantheon_obs.core.installed import imported

if TYPE_CHECKING:
    from collections.abc import Callable
    from importlib.machinery import ModuleSpec
    from types import ModuleType

_NAME = "structlog"
_CONTEXT = "structlog.contextvars"

variables: Any = {}
"""structlog's register of its context variables, one per key; empty until it is imported.

Much faster than its public function, which searches the whole context. Without a register in that
version it is no dict, and not empty.
"""

_guard = Guard("import of structlog")
_waiting: list[Callable[[], object]] = []


def watch(*calls: Callable[[], object]) -> None:
    """Call functions as soon as structlog has been imported, or now if it is."""
    _waiting.extend(call for call in calls if call not in _waiting)
    if _finder not in sys.meta_path:
        sys.meta_path.insert(0, _finder)
    if _NAME in sys.modules:
        import_module(_NAME)  # another thread may import it now
        _imported()


def stop() -> None:
    """Wait for it no longer (used by `pantheon_obs.testing.reset`)."""
    _waiting.clear()
    with suppress(ValueError):  # it is imported, or another thread has imported it meanwhile
        sys.meta_path.remove(_finder)


def bound_fields() -> dict[str, Any]:
    """Return the fields that structlog has bound in this context."""
    module: Any = imported(_CONTEXT)
    return {} if module is None else module.get_contextvars()


def _imported() -> None:
    global variables  # noqa: PLW0603 - one structlog per process
    calls = [*_waiting]
    stop()
    variables = getattr(sys.modules.get(_CONTEXT), "_CONTEXT_VARS", (None,))
    for call in calls:
        with _guard:
            call()


class _Finder:
    """Finds structlog as the other finders do, and has its loader say when it has run."""

    def find_spec(self, name: str, path: Any = None, target: Any = None) -> ModuleSpec | None:  # noqa: ANN401 - the import system's
        """Find structlog; leave all other modules to the other finders."""
        if name != _NAME:
            return None
        others = [each for each in sys.meta_path if each is not self and hasattr(each, "find_spec")]
        found = (each.find_spec(name, path, target) for each in others)
        spec = next((each for each in found if each is not None), None)
        if spec is not None:
            spec.loader = _Loader(spec.loader)  # type: ignore[assignment]  # it has all that one has
        return spec


class _Loader:
    """Stands for a module's loader until that has run."""

    def __init__(self, loader: Any) -> None:  # noqa: ANN401 - any loader
        self._loader = loader

    def __getattr__(self, name: str) -> Any:  # noqa: ANN401 - the loader's own
        return getattr(self._loader, name)

    def exec_module(self, module: ModuleType) -> None:
        """Run the module, then what waits for it."""
        module.__loader__ = module.__spec__.loader = self._loader  # type: ignore[union-attr]  # it has one
        self._loader.exec_module(module)
        _imported()


_finder = _Finder()
