"""Serve Bugsink: `python serve.py DIRECTORY PROJECT…`, in an environment of its own.

Prints two lines: a word once Bugsink has been imported; then, once it answers, its URL, token and
projects as JSON. Ends on SIGTERM.
"""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path
from wsgiref.simple_server import WSGIRequestHandler, WSGIServer

import bugsink  # noqa: F401 - fails where it is not installed
import django
from django.core.management import call_command


class Server(WSGIServer):
    """Serves one request at a time, which suits SQLite; many others may wait."""

    request_queue_size = 1024


class Handler(WSGIRequestHandler):
    """Has no log."""

    def log_message(self, *_: object) -> None:
        """Print nothing."""


def main(directory: str, *projects: str) -> None:
    """Make the database and its projects, and serve."""
    print("installed", flush=True)  # noqa: T201 - to the test
    Path(directory).mkdir(parents=True, exist_ok=True)
    server = Server(("127.0.0.1", 0), Handler)
    url = f"http://127.0.0.1:{server.server_port}"
    os.environ["RECEIVER_DIRECTORY"] = directory
    os.environ["RECEIVER_URL"] = url
    os.environ["DJANGO_SETTINGS_MODULE"] = "receiver_settings"
    django.setup()
    for database in ("default", "snappea"):
        call_command("migrate", database=database, verbosity=0, interactive=False, run_syncdb=True)
    access = {"url": url, **make(projects)}
    from bugsink.wsgi import application  # noqa: PLC0415 - reads the settings

    server.set_app(application)
    print(json.dumps(access), flush=True)  # noqa: T201 - as above
    server.serve_forever()


def make(projects: tuple[str, ...]) -> dict[str, object]:
    """Create the rows that migrations and a first user would have made."""
    from bsmain.models import AuthToken  # noqa: PLC0415 - models are there once Django is set up
    from phonehome.models import Installation  # noqa: PLC0415
    from projects.models import Project  # noqa: PLC0415
    from teams.models import Team  # noqa: PLC0415

    Installation.objects.create()  # each event is counted there
    team = Team.objects.create(name="team")
    made = [Project.objects.create(name=name, team=team) for name in projects]
    return {
        "token": AuthToken.create_full_access().token,
        "projects": {project.name: {"id": project.id, "dsn": project.dsn} for project in made},
    }


if __name__ == "__main__":
    main(*sys.argv[1:])
