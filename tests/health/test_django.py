"""Django's endpoints and checks, without a database server."""

from __future__ import annotations

import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from tests.support import loopback
from tests.support.server import ROOT, Server, environment, gunicorn, uvicorn

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    import httpx

    from examples.databases import Postgres

pytest.importorskip("django")

APP = "tests.health.apps.django_project"
PREFIX = "/api/v1/health"


@pytest.fixture(scope="module", params=["asgi", "wsgi"])
def server(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Server]:
    """A project whose endpoints check all of its databases and caches."""
    env = {
        "DIRECTORY": str(tmp_path_factory.mktemp("django")),
        "DJANGO_SETTINGS_MODULE": "tests.health.apps.django_settings",
    }
    if request.param == "asgi":
        running = uvicorn(f"{APP}:make_asgi", "--factory", env=env)
    else:
        running = gunicorn(f"{APP}:make_wsgi()", "--no-control-socket", env=env)
    with running:
        yield running


@pytest.fixture
def client(server: Server) -> Iterator[httpx.Client]:
    """Make a client that is not logged in."""
    with loopback.client_of(server) as client:
        yield client


@pytest.mark.parametrize("end", ["", "/"])
def test_liveness_is_public(client: httpx.Client, end: str) -> None:
    """It needs no login where all other views need one."""
    assert 302 == client.get("/private").status_code

    answer = client.get(f"{PREFIX}/live{end}")

    assert (200, {"status": "pass"}) == (answer.status_code, answer.json())
    assert "application/health+json" == answer.headers["content-type"]
    assert "no-store, private" == answer.headers["cache-control"]
    assert "set-cookie" not in answer.headers


@pytest.mark.parametrize("end", ["", "/"])
def test_readiness_checks_all_databases_and_caches(client: httpx.Client, end: str) -> None:
    """Checks are named after the aliases; the dummy database has none."""
    answer = client.get(f"{PREFIX}/ready{end}")

    assert 503 == answer.status_code
    assert {
        "database": "pass",
        "database:file": "pass",
        "cache": "pass",
        "cache:table": "fail",
    } == {name: check["status"] for name, check in answer.json()["checks"].items()}


def test_head_is_answered_without_a_body(client: httpx.Client) -> None:
    """HEAD has the headers of a GET."""
    answer = client.head(f"{PREFIX}/live/")

    assert (200, b"") == (answer.status_code, answer.content)
    assert f"{len(client.get(f'{PREFIX}/live/').content)}" == answer.headers["content-length"]


def test_other_methods_are_refused(client: httpx.Client) -> None:
    """They get 405, and not the 403 of a missing CSRF token."""
    answer = client.post(f"{PREFIX}/ready/")

    assert (405, "GET, HEAD") == (answer.status_code, answer.headers["allow"])


def test_probes_make_no_line(server: Server, client: httpx.Client) -> None:
    """They are quiet under any path."""
    client.get(f"{PREFIX}/ready/")
    client.get(f"{PREFIX}/live/")
    client.get("/threads")
    server.wait_for(lambda: any('"/threads"' in line for line in server.out))

    assert not [line for line in server.out if PREFIX in line]


SCRIPT = """
from django.conf import settings
settings.configure(PANTHEON_OBS_HEALTH={setting})
import django
django.setup()
from pantheon_obs import ConfigError
from pantheon_obs.adapters.django.health import configured_health
try:
    print(sorted(configured_health().report().as_dict()["checks"]))
except ConfigError as error:
    print(error)
"""


@pytest.mark.parametrize(
    ("setting", "printed"),
    [
        ("__import__('pantheon_obs').Health(own=lambda: None)", "['own']"),
        ("'os.sep'", "PANTHEON_OBS_HEALTH='os.sep' is not accepted: use a Health or its path"),
        ("5", "PANTHEON_OBS_HEALTH=5 is not accepted: use a Health or its path"),
        ("None", "['cache']"),
    ],
)
def test_a_project_may_give_its_own_health(tmp_path: Path, setting: str, printed: str) -> None:
    """It is an object or its path; other values are refused."""
    script = tmp_path / "project.py"
    script.write_text(SCRIPT.format(setting=setting))

    assert printed == output_of(script)


WITHOUT_MIDDLEWARE = """
from django.conf import settings
settings.configure(ROOT_URLCONF="pantheon_obs.adapters.django.urls")
import django
django.setup()
from django.test import Client
print(Client().get("/live/").status_code, Client().get("/ready/").json()["status"])
"""


def test_the_urls_need_no_middleware(tmp_path: Path) -> None:
    """They answer in a project without the middleware."""
    script = tmp_path / "project.py"
    script.write_text(WITHOUT_MIDDLEWARE)

    assert "200 pass" == output_of(script)


BUSY = """
from urllib.parse import urlsplit
from django.conf import settings
url = urlsplit("{url}")
settings.configure(DATABASES={{"default": {{
    "ENGINE": "django.db.backends.postgresql",
    "HOST": url.hostname, "PORT": url.port, "USER": url.username, "NAME": url.path[1:],
    "OPTIONS": {{"pool": {{"min_size": 1, "max_size": 1, "timeout": 60}}}},
}}}})
import django
django.setup()
from django.db import connection
from pantheon_obs import Health
from pantheon_obs.adapters.django import database_check
with connection.cursor():  # it holds the only connection of the pool
    report = Health(timeout=10, database=database_check()).report()
connection.close()
connection.close_pool()
print(report.status, "pool" in connection.settings_dict["OPTIONS"])
"""


def test_a_busy_pool_is_not_a_dead_database(tmp_path: Path, postgres: Postgres) -> None:
    """The requests hold all of its connections; their settings stay as they are."""
    script = tmp_path / "project.py"
    script.write_text(BUSY.format(url=postgres.url))

    assert "pass True" == output_of(script)


def output_of(script: Path) -> str:
    """Run a script that prints nothing on stderr; return its output."""
    run = subprocess.run(
        [sys.executable, script],
        cwd=ROOT,
        env=environment(),
        capture_output=True,
        text=True,
        check=False,
    )
    assert "" == run.stderr
    return run.stdout.strip()


def test_an_alias_is_a_text() -> None:
    """The message names the setting."""
    from pantheon_obs import ConfigError  # noqa: PLC0415 - after the skip
    from pantheon_obs.adapters.django import cache_check, database_check  # noqa: PLC0415 - as above

    with pytest.raises(ConfigError, match="alias=5 is not accepted: use a key of DATABASES"):
        database_check(5)  # type: ignore[arg-type]
    with pytest.raises(ConfigError, match="alias='' is not accepted: use a key of CACHES"):
        cache_check("")
