"""The Django project of `tests/apps/django_app`, in processes of its own."""

from __future__ import annotations

import json
import subprocess
import sys
from typing import TYPE_CHECKING, Any

from tests.support.lines import parse_lines
from tests.support.server import ROOT, Server, environment, gunicorn, uvicorn

if TYPE_CHECKING:
    from collections.abc import Mapping

APP = "tests.apps.django_app"


def serve(
    protocol: str,
    settings: Mapping[str, Any] | None = None,
    *,
    module: str = "",
    app: str = "application",
    env: Mapping[str, str] | None = None,
) -> Server:
    """Serve the project.

    Args:
        protocol: `wsgi` or `asgi`.
        settings: Added to the project's.
        module: Where the application is; by default that of the protocol.
        app: The application's name there.
        env: Environment variables.
    """
    settings = {"PANTHEON_OBS": {"bind_user_id": True}, **(settings or {})}
    env = {**env_of(settings), **(env or {})}
    if protocol == "asgi":
        env["DJANGO_APP_IS_ASYNC"] = "1"
        return uvicorn(f"{APP}.{module or protocol}:{app}", "--lifespan", "off", env=env)
    return gunicorn(
        f"{APP}.{module or protocol}:{app}",
        *("--threads", "8", "--no-control-socket"),
        *("--logger-class", "pantheon_obs.adapters.gunicorn.JSONLogger"),
        env=env,
    )


def run(
    *arguments: str, settings: Mapping[str, Any] | None = None, env: Mapping[str, str] | None = None
) -> tuple[int, list[dict[str, Any]], str]:
    """Run a command of the project, or with `-c` a program.

    Returns:
        Its exit status, its lines, and its standard error.
    """
    command = arguments if arguments[0] == "-c" else ("-m", "django", *arguments)
    done = subprocess.run(
        [sys.executable, *command],
        cwd=ROOT,
        env={**environment(), **env_of(settings or {}), "PYTHONPATH": str(ROOT), **(env or {})},
        capture_output=True,
        check=False,
    )
    out = done.stdout if arguments[0] != "check" else b""
    return done.returncode, parse_lines(out), done.stderr.decode()


def env_of(settings: Mapping[str, Any]) -> dict[str, str]:
    """Return the variables that choose the project, with these settings added to its own."""
    return {
        "DJANGO_SETTINGS_MODULE": f"{APP}.settings",
        "DJANGO_APP_SETTINGS": json.dumps(dict(settings)),
    }
