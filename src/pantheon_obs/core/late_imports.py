"""Wait for the application to import a module, which the library does not import by itself.

A waiting function is called before the statement that imports the module returns. A finder in
`sys.meta_path` sees to that, while anything waits.
"""

from __future__ import annotations

import sys
from contextlib import suppress
from importlib import import_module
from typing import TYPE_CHECKING, Any

from pantheon_obs.core.guard import Guard

if TYPE_CHECKING:
    from collections.abc import Callable
    from importlib.machinery import ModuleSpec
    from types import ModuleType

_waiting: dict[str, list[Callable[[], object]]] = {}


def when_imported(name: str, call: Callable[[], object]) -> None:
    """Call a function as soon as a module has been imported, or now if it is."""
    calls = _waiting.setdefault(name, [])
    if call not in calls:
        calls.append(call)
    if _finder not in sys.meta_path:
        sys.meta_path.insert(0, _finder)
    if sys.modules.get(name) is not None:  # None: its import is forbidden
        import_module(name)  # another thread may be importing it
        _imported(name)


def forget(name: str, *calls: Callable[[], object]) -> None:
    """Call functions no more."""
    left = [call for call in _waiting.pop(name, ()) if call not in calls]
    if left:
        _waiting[name] = left
    _rest()


def _imported(name: str) -> None:
    calls = _waiting.pop(name, ())
    _rest()
    for call in calls:
        with Guard(f"import of {name}"):
            call()


def _rest() -> None:
    """Take the finder away if nothing waits."""
    if not _waiting:
        with suppress(ValueError):  # another thread has done so
            sys.meta_path.remove(_finder)


class _Finder:
    """Finds a module as the other finders do, and has its loader say when it has run."""

    def find_spec(self, name: str, path: Any = None, target: Any = None) -> ModuleSpec | None:  # noqa: ANN401 - the import system's
        """Find a module that is waited for; leave all others to the other finders."""
        if name not in _waiting:
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
        """Run the module, then the functions that wait for it."""
        module.__loader__ = module.__spec__.loader = self._loader  # type: ignore[union-attr]  # it has one
        self._loader.exec_module(module)
        _imported(module.__name__)


_finder = _Finder()
