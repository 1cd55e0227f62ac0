"""Examine the servers' own configuration: the environment and `gunicorn.conf.py`.

Nothing is run: the file is read as source.
"""

from __future__ import annotations

import ast
import os
import shlex
from pathlib import Path
from typing import TYPE_CHECKING

from pantheon_obs.cli.doctor.finding import Finding, fault
from pantheon_obs.cli.doctor.settings import examine_settings
from pantheon_obs.core.texts import number_in

if TYPE_CHECKING:
    from collections.abc import Iterator

    from pantheon_obs.core.settings import Settings

LOG_CONFIG = Path(__file__).parents[1] / "log_config.json"
EVERY_PROXY = "every client is believed as a proxy: it may forge its address and the trace id"

_OURS = "pantheon_obs"
_FILE = "gunicorn.conf.py"
_ARGUMENTS = "GUNICORN_CMD_ARGS"
_CLASS = "pantheon_obs.adapters.gunicorn.JSONLogger"
_WORKERS = ("WEB_CONCURRENCY", "UVICORN_WORKERS", "GRANIAN_WORKERS")
_LOG_CONFIGS = ("UVICORN_LOG_CONFIG", "GRANIAN_LOG_CONFIG")
_PROXIES = ("FORWARDED_ALLOW_IPS", "UVICORN_FORWARDED_ALLOW_IPS")
_LOG_SETTINGS = ("logconfig", "log_config")  # in the file, and on the command line
# The short forms of gunicorn's command line. https://docs.gunicorn.org/en/stable/settings.html
_SHORT = {"-w": "workers", "-c": "config"}


def examine_environment(settings: Settings) -> Iterator[Finding]:
    """Examine the settings, and the servers' own logging and trust in proxies."""
    gunicorn: dict[str, str] = {}
    try:
        gunicorn = _gunicorn()
    except ValueError as error:  # a quote is not closed
        yield fault("gunicorn", f"{_ARGUMENTS}: {error}", f"unset {_ARGUMENTS}")
    yield from examine_settings(settings, _workers(gunicorn))
    if gunicorn:
        yield _logger_of(gunicorn)
    for variable in _LOG_CONFIGS:
        if path := os.environ.get(variable):
            yield _log_config(variable, Path(path))
    trusted = [gunicorn.get("forwarded_allow_ips", ""), *map(os.environ.get, _PROXIES)]
    if settings.trust_inbound and any("*" in each for each in trusted if each):
        fix = "export FORWARDED_ALLOW_IPS=10.0.0.0/8  # the addresses of your own proxies"
        yield fault("proxy", EVERY_PROXY, fix)


def _workers(gunicorn: dict[str, str]) -> int:
    """Return the largest number of processes that any server starts."""
    counts = [number_in(os.environ.get(name)) or 1 for name in _WORKERS]
    of_gunicorn = number_in(gunicorn.get("workers", "1"))
    # A number that is computed, as from the processors, stands for several.
    return max(*counts, 2 if of_gunicorn is None else of_gunicorn)


def _logger_of(gunicorn: dict[str, str]) -> Finding:
    """Find out from gunicorn's settings whether our logger writes its lines."""
    own = {name: each for name, each in gunicorn.items() if name.startswith(_LOG_SETTINGS)}
    wrong = [name for name, value in own.items() if _OURS not in value]
    logger_class = gunicorn.get("logger_class", "")
    fix = f'logger_class = "{_CLASS}"  # in {_FILE}'
    if logger_class and _OURS not in logger_class:
        why = "gunicorn's lines are raw: its logger_class is another one"
        return fault("gunicorn", why, fix)
    if wrong and not logger_class:
        why = f"gunicorn's lines are raw: it has a log configuration of its own ({wrong[0]})"
        return fault("gunicorn", why, fix)
    if logger_class or own:
        return Finding("gunicorn", "on", "gunicorn's own lines are JSON, too")
    return Finding("gunicorn", "off", f"the master's own lines are raw without {fix}")


def _gunicorn() -> dict[str, str]:
    """Read gunicorn's settings; its command line's settings win."""
    words = shlex.split(os.environ.get(_ARGUMENTS, ""))
    given: dict[str, str] = {}
    for position, word in enumerate(words):
        name, _, value = word.partition("=")
        name = _SHORT.get(name, name.removeprefix("--").replace("-", "_"))
        if word.startswith("-"):
            given[name] = value or next(iter(words[position + 1 : position + 2]), "")
    path = Path(given.get("config", _FILE).removeprefix("file:"))
    try:
        source = path.read_text(encoding="utf-8")
        tree = ast.parse(source)
    except (OSError, SyntaxError, ValueError):
        return given
    found = {
        # The whole file stands for a computed value: it says where the value comes from.
        ast.unparse(target): str(value.value) if isinstance(value, ast.Constant) else source
        for node in tree.body
        if isinstance(node, ast.Assign)
        for target in node.targets
        for value in [node.value]
    }
    return {name: value for name, value in (found | given).items() if value}


def _log_config(variable: str, path: Path) -> Finding:
    fix = f"export {variable}={LOG_CONFIG}"
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, ValueError) as error:
        return fault("server log", f"{variable}: {error}", fix)
    if _OURS in text:
        return Finding("server log", "on", f"{variable} is the library's")
    return fault("server log", f"{variable}={path}: the server's lines are raw", fix)
