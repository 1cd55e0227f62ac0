"""Examine the settings in force, and the packages that they need."""

from __future__ import annotations

import logging
import os
import re
from importlib.metadata import PackageNotFoundError, requires, version
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

from pantheon_obs.cli.doctor.finding import Finding, fault
from pantheon_obs.core.parsing import level_number
from pantheon_obs.core.texts import number_in
from pantheon_obs.sinks.sentry.options import dsn_of

if TYPE_CHECKING:
    from collections.abc import Iterator

    from pantheon_obs.core.settings import Settings

PACKAGE = "pantheon-obs"
_FOLDER = "PROMETHEUS_MULTIPROC_DIR"

_BOUND = re.compile(r"([\w.-]+)(?:\[[^]]*\])?\s*>=\s*([\d.]+)")
_REFUSED = re.compile(r"(\w+)=.* the default (.*) is used", re.DOTALL)
_UNKNOWN = re.compile(r"(\w+) is not a setting(?:: did you mean (\w+)\?|: (\w+) is set by .*)?")
# https://docs.sentry.io/concepts/key-terms/dsn-explainer/
_DSN = re.compile(r"https?://[^:@/\s]+(?::[^@/\s]*)?@[^/@\s]+(?:/[^/\s]+)*/\d+/?")


def examine_settings(settings: Settings, workers: int) -> Iterator[Finding]:
    """Examine the features that the settings ask for, in a service of so many processes."""
    yield from _versions()
    yield from map(problem, settings.problems)
    if settings.disabled:
        yield Finding("tracing", "off", "the setting `disabled` turns the whole library off")
        return
    yield _level(settings)
    yield _format(settings)
    yield _dsn(settings)
    yield _metrics(settings, workers)


def _versions() -> Iterator[Finding]:
    """Compare the installed packages with the lowest versions that ours declares."""
    try:
        ours, bounds = version(PACKAGE), requires(PACKAGE) or []
    except PackageNotFoundError:
        yield Finding("versions", "unknown", f"{PACKAGE} has no installed metadata")
        return
    lowest = {found[1]: found[2] for line in bounds if (found := _BOUND.match(line))}
    old = []
    for name, bound in lowest.items():
        try:
            installed = version(name)
        except PackageNotFoundError:
            continue
        if _numbers(installed) < _numbers(bound):
            why = f"{name} {installed} is too old"
            old.append(fault("versions", why, _pip(f"{name}>={bound}")))
    yield from old or [Finding("versions", "on", f"{PACKAGE} {ours}, and what it works with")]


def _numbers(text: str) -> tuple[int, ...]:
    found = re.match(r"(?:\d+!)?([\d.]*\d)", text)
    parts = [number_in(part) or 0 for part in found[1].split(".")] if found else []
    while parts and parts[-1] == 0:
        parts.pop()  # 2.35 is 2.35.0
    return tuple(parts)


def _pip(requirement: str) -> str:
    return f"pip install '{requirement}'"


def problem(text: str) -> Finding:
    """Turn the library's own sentence about a variable into a finding."""
    if refused := _REFUSED.match(text):
        variable, default = refused.groups()
        usual = default.strip("'")
        line = f"unset {variable}" if usual == "None" else f"export {variable}={usual}"
        return fault("settings", text, line)
    unknown = _UNKNOWN.match(text)
    variable, meant, argument = unknown.groups() if unknown else (text, None, None)
    if argument:
        return fault("settings", text, f"instrument(app, {argument}=...)")
    line = f"export {meant}={os.environ.get(variable, '...')}" if meant else f"unset {variable}"
    return fault("settings", text, line)


def _level(settings: Settings) -> Finding:
    if level_number(settings.log_level) > logging.INFO:
        why = f"log_level {settings.log_level} drops the line of each request that ends well"
        if "log_level" in settings.given:
            return fault("log level", why, 'instrument(app, log_level="INFO")')
        return fault("log level", why, "export PANTHEON_OBS_LOG_LEVEL=INFO")
    return Finding("log level", "on", settings.log_level)


def _format(settings: Settings) -> Finding:
    if settings.log_format in {"text", "console"}:
        why = f"log_format {settings.log_format}: the commands read JSON lines only"
        return Finding("json lines", "off", why)
    return Finding("json lines", "on", f"log_format {settings.log_format}")


def _dsn(settings: Settings) -> Finding:
    dsn = dsn_of(settings)
    if dsn is None:
        return Finding("sentry", "off", "no DSN: SENTRY_DSN is not set")
    if find_spec("sentry_sdk") is None:
        return fault("sentry", "a DSN is set, without the package", _pip("pantheon-obs[sentry]"))
    if not _DSN.fullmatch(dsn):
        fix = "export SENTRY_DSN=https://KEY@HOST/PROJECT-NUMBER"
        return fault("sentry", "the DSN is malformed, so nothing is sent", fix)
    return Finding("sentry", "on", "a DSN is set")


def _metrics(settings: Settings, workers: int) -> Finding:
    if settings.metrics_path is None and settings.metrics_port is None:
        return Finding("metrics", "off", "neither metrics_path nor metrics_port is set")
    if find_spec("prometheus_client") is None:
        why = "metrics are asked for, without the package"
        return fault("metrics", why, _pip("pantheon-obs[prometheus]"))
    folder = os.environ.get(_FOLDER, "").strip()
    line = f"export {_FOLDER}=/tmp/metrics"
    if not folder and os.environ.get(_FOLDER.lower()):
        return fault("metrics", f"{_FOLDER.lower()} is not read: the name is in capitals", line)
    if not folder and workers > 1:
        why = f"{workers} workers count apart: each scrape shows another one's figures"
        return fault("metrics", why, line)
    if folder and (why_not := _unusable(Path(folder))):
        return fault("metrics", f"{_FOLDER}={folder}: {why_not}", line)
    return Finding("metrics", "on", f"of {'all workers' if folder else 'one process'}")


def _unusable(folder: Path) -> str | None:
    """Return why no worker can write into a folder, which may be made first."""
    nearest = next(each for each in (folder, *folder.absolute().parents) if each.exists())
    if not nearest.is_dir():
        return f"{nearest} is not a folder"
    return None if os.access(nearest, os.W_OK | os.X_OK) else f"{nearest} cannot be written to"
