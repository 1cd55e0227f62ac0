"""Distinguish the files of installed code from the application's, and find imported code."""

from __future__ import annotations

import os
import sys
from functools import lru_cache

_PACKAGE = __file__.rsplit(os.sep, 2)[0]  # this library, which may be installed from its source


def imported(name: str) -> object:
    """Return a module that is imported; one that a thread imports now lacks some of its names."""
    module = sys.modules.get(name)
    is_begun = getattr(getattr(module, "__spec__", None), "_initializing", False) is True
    return None if is_begun else module


def is_ours(file: str) -> bool:
    """Whether a file is this library's."""
    return file.startswith(f"{_PACKAGE}{os.sep}")


@lru_cache
def folder_of(file: str) -> str | None:
    """Find the folder of installed code that a file belongs to; None if it is the application's."""
    if file.startswith("<frozen "):  # of the interpreter itself
        return ""
    return next((root for begins, root in _folders() if file.startswith(begins)), None)


@lru_cache(1)
def _folders() -> tuple[tuple[str, str], ...]:
    """List where the files of installed code begin, and the folder to leave out of their names.

    The longest come first: packages are often installed below the standard library.
    """
    import site  # noqa: PLC0415 - only the console format needs them
    import sysconfig  # noqa: PLC0415 - as above

    paths = sysconfig.get_paths()
    installed = {paths[name] for name in ("stdlib", "platstdlib", "purelib", "platlib")}
    installed |= {*site.getsitepackages(), site.getusersitepackages()}
    folders = installed | {os.path.realpath(path) for path in installed}
    roots = {f"{folder}{os.sep}": f"{folder}{os.sep}" for folder in folders}
    roots[f"{_PACKAGE}{os.sep}"] = f"{_PACKAGE.rpartition(os.sep)[0]}{os.sep}"
    return tuple(sorted(roots.items(), key=lambda root: len(root[0]), reverse=True))
