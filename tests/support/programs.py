"""Find the programs of the operating system that some tests run, or skip those tests."""

from __future__ import annotations

import os
import shutil

import pytest


def program(name: str, package: str | None = None) -> str:
    """Find a program; without it skip the test or, at a module's top, all tests of the module.

    `.ci/run` installs the packages where it can, and sets `REQUIRE_PROGRAMS`: then it is a failure.

    Args:
        name: The program, as on the command line.
        package: The package of Debian that has it, where that has another name.

    Returns:
        Its path.
    """
    path = shutil.which(name)
    if path is not None:
        return path
    missing = f"{name} is not installed: apt-get install {package or name}"
    if os.environ.get("REQUIRE_PROGRAMS"):
        pytest.fail(missing)
    pytest.skip(missing, allow_module_level=True)
