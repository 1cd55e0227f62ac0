"""Examine the servers' own configuration: the environment and `gunicorn.conf.py`.

Nothing is run: the file is read as source.
"""

from __future__ import annotations

import ast
import os
import shlex
from pathlib import Path
from typing import TYPE_CHECKING

from pantheon_obs.cli.doctor_check import Check, fault

if TYPE_CHECKING:
    from collections.abc import Iterator

    from pantheon_obs.core.settings import Settings

LOG_CONFIG = Path(__file__).parents[1] / "log_config.json"

_OURS = "pantheon_obs"
_FILE = "gunicorn.conf.py"
_CLASS = "pantheon_obs.adapters.gunicorn.JSONLogger"
_WORKERS = ("WEB_CONCURRENCY", "UVICORN_WORKERS", "GRANIAN_WORKERS")
_LOG_CONFIGS = ("UVICORN_LOG_CONFIG", "GRANIAN_LOG_CONFIG")
_PROXIES = ("FORWARDED_ALLOW_IPS", "UVICORN_FORWARDED_ALLOW_IPS")
_LOG_SETTINGS = ("logconfig", "log_config")  # in the file, and on the command line
# The short forms of gunicorn's command line. https://docs.gunicorn.org/en/stable/settings.html
_SHORT = {"-w": "workers", "-c": "config"}


class Servers:
    """The configuration that servers read from the environment and the working folder.

    Attributes:
        gunicorn: Its settings as text; empty where it is not configured here.
        workers: The largest number of processes that any server is told to start.
    """

    def __init__(self) -> None:
        self.gunicorn = _gunicorn()
        counts = [os.environ.get(name, "") for name in _WORKERS]
        told = self.gunicorn.get("workers", "1")
        # A number that is computed, as from the processors, stands for several.
        counts.append(told if told.isdecimal() else "2")
        self.workers = max((int(count) for count in counts if count.isdecimal()), default=1)

    def examine(self, settings: Settings) -> Iterator[Check]:
        """Examine who writes the servers' lines, and whom the servers believe."""
        if self.gunicorn:
            yield self._logger_of_gunicorn()
        for variable in _LOG_CONFIGS:
            if path := os.environ.get(variable):
                yield _log_config(variable, Path(path))
        told = [self.gunicorn.get("forwarded_allow_ips", ""), *map(os.environ.get, _PROXIES)]
        if settings.trust_inbound and any("*" in each for each in told if each):
            why = "every client is believed as a proxy: it may forge its address and the trace id"
            fix = "export FORWARDED_ALLOW_IPS=10.0.0.0/8  # the addresses of your own proxies"
            yield fault("proxy", why, fix)

    def _logger_of_gunicorn(self) -> Check:
        own = {name: each for name, each in self.gunicorn.items() if name.startswith(_LOG_SETTINGS)}
        wrong = [name for name, value in own.items() if not _is_ours(value)]
        told = self.gunicorn.get("logger_class", "")
        fix = f'logger_class = "{_CLASS}"  # in {_FILE}'
        if told and not _is_ours(told):
            why = "gunicorn's lines are raw: its logger_class is another one"
            return fault("gunicorn", why, fix)
        if wrong and not told:
            why = f"gunicorn's lines are raw: it has a log configuration of its own ({wrong[0]})"
            return fault("gunicorn", why, fix)
        if told or own:
            return Check("gunicorn", "on", "gunicorn's own lines are JSON, too")
        return Check("gunicorn", "off", f"the master's own lines are raw without {fix}")


def _gunicorn() -> dict[str, str]:
    """Read gunicorn's settings; those of its command line win."""
    words = shlex.split(os.environ.get("GUNICORN_CMD_ARGS", ""))
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
        # A computed value stands for the whole file, which tells where it comes from.
        ast.unparse(target): str(value.value) if isinstance(value, ast.Constant) else source
        for node in tree.body
        if isinstance(node, ast.Assign)
        for target in node.targets
        for value in [node.value]
    }
    return {name: value for name, value in (found | given).items() if value}


def _is_ours(text: str) -> bool:
    return _OURS in text


def _log_config(variable: str, path: Path) -> Check:
    fix = f"export {variable}={LOG_CONFIG}"
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, ValueError) as error:
        return fault("server log", f"{variable}: {error}", fix)
    if _is_ours(text):
        return Check("server log", "on", f"{variable} is the library's")
    return fault("server log", f"{variable}={path}: the server's lines are raw", fix)
