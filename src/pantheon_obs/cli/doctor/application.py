"""Examine an application, in a process of its own: importing it runs its code.

The arguments of that process are `module:app` and the file for the result.
"""

from __future__ import annotations

import os
import re
import sys
from importlib import import_module
from inspect import signature
from pathlib import Path
from types import FunctionType
from typing import TYPE_CHECKING, Any

from pantheon_obs._instrument import instrumentation_of
from pantheon_obs.cli.doctor.features import celery_class, examine_celery, examine_features
from pantheon_obs.cli.doctor.finding import Finding, fault
from pantheon_obs.cli.doctor.servers import examine_environment
from pantheon_obs.cli.doctor.stack import examine_django, examine_stack
from pantheon_obs.cli.terminal import encoded
from pantheon_obs.core.errors import ObsError
from pantheon_obs.core.settings import Settings

if TYPE_CHECKING:
    from collections.abc import Iterator

_MEANT = re.compile(r"did you mean '(\w+)'")
_made: list[Any] = []  # the applications, which are in use until this process ends
_NAMES = ("app", "application", "celery")  # where only a module is given


def examine(target: str) -> Iterator[Finding]:
    """Import an application, and examine it with the settings that it runs with."""
    try:
        app = _imported(target)
    except BaseException as error:  # noqa: BLE001 - code of the application, which may even exit
        yield _refused(target, error)
        app = None
    ours = instrumentation_of(app)
    settings = Settings.from_env() if ours is None else ours.settings
    yield from examine_environment(settings)
    if app is None or settings.disabled:
        return
    kind = celery_class()
    yield from examine_celery(app) if kind and isinstance(app, kind) else examine_stack(app)
    yield from examine_django()
    yield from examine_features(settings)


def _imported(target: str) -> Any:
    name, _, path = target.partition(":")
    found: Any = import_module(name)
    if not path:
        path = next((each for each in _NAMES if hasattr(found, each)), _NAMES[0])
    for part in path.removesuffix("()").split("."):
        found = getattr(found, part)
    # A factory, as gunicorn's `create_app()` and `uvicorn --factory` name it.
    is_factory = isinstance(found, FunctionType) and not signature(found).parameters
    if is_factory or path.endswith("()"):
        found = found()
        _made.append(found)
    return found


def _refused(target: str, error: BaseException) -> Finding:
    """Distinguish an argument that the library refuses from a failing import."""
    if isinstance(error, ObsError):
        # Its text ends with the accepted values, or with the command that installs an extra.
        text = str(error)
        meant = _MEANT.search(text)
        line = f"instrument(app, {meant[1]}=...)" if meant else text[text.rfind(": ") + 2 :]
        return fault("application", text, line)
    why = f"{target} cannot be imported: {type(error).__name__}: {error}"
    return Finding("application", "unknown", why)


def main() -> None:
    """Write the findings to a file: standard output belongs to the application."""
    _, target, result = sys.argv
    checks = [check._asdict() for check in examine(target)]
    Path(result).write_bytes(encoded(checks))
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(0)  # without the exit functions of the application, which has not served
