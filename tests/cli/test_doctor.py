"""`pantheon-obs doctor` finds planted faults, with the line that mends each, and no others."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import textwrap
from typing import TYPE_CHECKING, Any, NamedTuple, cast

import pytest

import pantheon_obs
from pantheon_obs import Settings
from pantheon_obs.cli.main import main
from tests.cli.warm import Warm
from tests.support.server import SECONDS, environment

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    Doctor = Any

HOOK = "async def app(scope, receive, send): ...\n"
LINE = {"timestamp": "2026-11-29T10:00:00.000000Z", "level": "info", "logger": "pantheon_obs.llm"}
CALL = {
    **LINE,
    "event": "llm.chat",
    "model_alias": "fast",
    "latency_ms": 1.0,
    "input_tokens": 1,
    "output_tokens": 2,
    "usage_status": "reported",
    "outcome": "ok",
}
REQUEST = {
    **LINE,
    "logger": "pantheon_obs.request",
    "event": "request_finished",
    "trace_id": "a" * 32,
    "method": "GET",
    "path": "/",
    "status_code": 200,
    "latency_ms": 1.0,
    "outcome": "ok",
}


@pytest.fixture
def doctor(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfdbinary: pytest.CaptureFixture[bytes]
) -> Doctor:
    """Run the doctor in an empty folder and environment; return the exit code and its JSON."""
    for name in os.environ:
        if name.startswith(("PANTHEON_OBS_", "SENTRY_", "PROMETHEUS_", "UVICORN_", "GUNICORN_")):
            monkeypatch.delenv(name)
    monkeypatch.chdir(tmp_path)

    def run(*arguments: str) -> tuple[int, dict[str, Any]]:
        code = main(["doctor", *arguments, "--json"])
        return code, json.loads(capfdbinary.readouterr().out)

    return run


PRELOADED = {
    "from fastapi": "fastapi",
    "from flask": "flask",
    "from litestar": "litestar",
    "from quart": "quart",
    "from celery": "celery.app.base",
    "from django": "django.core.wsgi",
    "import openai": "openai",
    "import anthropic": "anthropic",
    "import sentry_sdk": "sentry_sdk",
}


@pytest.fixture(scope="module")
def all_warm() -> Iterator[dict[tuple[str, ...], Warm]]:
    """The processes that have imported something, by that."""
    started: dict[tuple[str, ...], Warm] = {}
    yield started
    for warm in started.values():
        warm.close()


@pytest.fixture
def examine(
    doctor: Doctor,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    all_warm: dict[tuple[str, ...], Warm],
) -> Doctor:
    """Write a module and run the doctor on it, in a fork of a process that knows its imports."""

    def run(source: str, target: str = "shop:app") -> tuple[int, dict[str, Any]]:
        (tmp_path / "shop.py").write_text(textwrap.dedent(source))
        packages = tuple(name for words, name in PRELOADED.items() if words in source)
        if packages not in all_warm:
            all_warm[packages] = Warm(packages)
        with monkeypatch.context() as patched:
            patched.setattr(subprocess, "run", all_warm[packages].run)
            return cast("tuple[int, dict[str, Any]]", doctor(target))

    return run


def faults(answer: tuple[int, dict[str, Any]]) -> dict[str, str]:
    """Map the names of the faults to the lines that mend them."""
    code, document = answer
    found = {check["name"]: check["fix"] for check in document["checks"] if check["fix"]}
    assert all((check["status"] == "fault") == bool(check["fix"]) for check in document["checks"])
    assert (code, document["verdict"]) == ((1, "faults") if found else (0, "sound"))
    return found


class Planted(NamedTuple):
    """Variables, a name of a file and its text, and the finding: a name, and a part of the fix."""

    variables: dict[str, str]
    file: str
    text: str
    name: str
    fix: str


ENVIRONMENTS = [
    Planted({"PANTHEON_OBS_LOG_FORMAT": "yaml"}, "", "", "settings", "LOG_FORMAT=auto"),
    Planted({"PANTHEON_OBS_LOGLEVEL": "INFO"}, "", "", "settings", "PANTHEON_OBS_LOG_LEVEL=INFO"),
    Planted({"PANTHEON_OBS_QQXXYY": "1"}, "", "", "settings", "unset PANTHEON_OBS_QQXXYY"),
    Planted({"PANTHEON_OBS_METRICS_PATH": "nope"}, "", "", "settings", "unset PANTHEON_OBS_METR"),
    Planted({"PANTHEON_OBS_ID_GENERATOR": "f"}, "", "", "settings", "id_generator=..."),
    Planted({"PANTHEON_OBS_LOG_LEVEL": "ERROR"}, "", "", "log level", "LOG_LEVEL=INFO"),
    Planted({"SENTRY_DSN": "https://sentry.example.com/1"}, "", "", "sentry", "https://KEY@HOST"),
    Planted({"FORWARDED_ALLOW_IPS": "*"}, "", "", "proxy", "FORWARDED_ALLOW_IPS=10."),
    Planted({}, "gunicorn.conf.py", "forwarded_allow_ips = '*'", "proxy", "FORWARDED_ALLOW_IPS="),
    Planted({}, "gunicorn.conf.py", "logger_class = 'shop.Logger'", "gunicorn", "JSONLogger"),
    Planted({}, "gunicorn.conf.py", "logconfig = 'logging.ini'", "gunicorn", "JSONLogger"),
    Planted(
        {"GUNICORN_CMD_ARGS": "-w 2 --log-config=x.ini"}, "", "", "gunicorn", "logger_class = "
    ),
    Planted({"GUNICORN_CMD_ARGS": "-w 2 'x"}, "", "", "gunicorn", "unset GUNICORN_CMD_ARGS"),
    Planted({"UVICORN_LOG_CONFIG": "log.json"}, "log.json", "{}", "server log", "log_config.json"),
    Planted({"GRANIAN_LOG_CONFIG": "no.json"}, "", "", "server log", "GRANIAN_LOG_CONFIG=/"),
]


@pytest.mark.parametrize("planted", ENVIRONMENTS, ids=str)
def test_a_fault_of_the_environment_is_found_with_the_line_that_mends_it(
    doctor: Doctor, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, planted: Planted
) -> None:
    """Variables and the files of the working folder, as the server would read them."""
    for name, value in planted.variables.items():
        monkeypatch.setenv(name, value)
    if planted.file:
        (tmp_path / planted.file).write_text(planted.text)
    found = faults(doctor())
    assert [planted.name] == list(found)
    assert planted.fix in found[planted.name]


@pytest.mark.parametrize(
    ("variables", "config"),
    [
        ({"WEB_CONCURRENCY": "4"}, ""),
        ({"WEB_CONCURRENCY": "9" * 5000, "UVICORN_WORKERS": "4"}, ""),
        ({}, "workers = 4"),
        ({}, "import os\nworkers = os.cpu_count()"),
        ({"GUNICORN_CMD_ARGS": "--workers 3"}, ""),
        ({"prometheus_multiproc_dir": "."}, ""),
        ({"PROMETHEUS_MULTIPROC_DIR": "file"}, ""),
    ],
)
def test_workers_that_count_apart_are_found(
    doctor: Doctor,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    variables: dict[str, str],
    config: str,
) -> None:
    """Several workers need one folder, which they can write to."""
    pytest.importorskip("prometheus_client")
    (tmp_path / "file").touch()
    monkeypatch.setenv("PANTHEON_OBS_METRICS_PATH", "/metrics")
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    if config:
        (tmp_path / "gunicorn.conf.py").write_text(config)
    assert "export PROMETHEUS_MULTIPROC_DIR=" in faults(doctor())["metrics"]


def test_workers_that_share_a_folder_are_no_fault(
    doctor: Doctor, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is made by the first of them."""
    pytest.importorskip("prometheus_client")
    monkeypatch.setenv("PANTHEON_OBS_METRICS_PATH", "/metrics")
    monkeypatch.setenv("PROMETHEUS_MULTIPROC_DIR", f"{tmp_path}/metrics")
    monkeypatch.setenv("UVICORN_LOG_CONFIG", f"{next(iter(pantheon_obs.__path__))}/log_config.json")
    monkeypatch.setenv("PANTHEON_OBS_LOG_FORMAT", "text")
    (tmp_path / "gunicorn.conf.py").write_text("workers = 4\n")
    assert {} == faults(doctor())


def test_a_package_that_is_not_installed_is_none_too_old(
    doctor: Doctor, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Most extras are not."""
    monkeypatch.setattr("pantheon_obs.cli.doctor.settings.requires", lambda _: ["no-such>=1.0"])
    assert {} == faults(doctor())


def test_calls_without_a_price_list_are_no_fault(monkeypatch: pytest.MonkeyPatch) -> None:
    """The list is an extra."""
    from pantheon_obs.cli.doctor import features  # noqa: PLC0415 - patched here only

    monkeypatch.setattr(features, "find_spec", lambda _: None)
    monkeypatch.setitem(sys.modules, "openai", sys)
    found = {check.name: check for check in features.examine_features(Settings(llm=True))}
    assert ("off", None) == (found["list prices"].status, found["list prices"].fix)


def test_a_package_without_metadata_has_no_versions(
    doctor: Doctor, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It was copied, and not installed."""
    monkeypatch.setattr("pantheon_obs.cli.doctor.settings.PACKAGE", "no-such-package")
    code, document = doctor()
    assert (2, "unknown") == (code, document["verdict"])


@pytest.mark.parametrize(
    ("package", "variables", "name"),
    [
        ("prometheus_client", {"PANTHEON_OBS_METRICS_PATH": "/metrics"}, "metrics"),
        ("sentry_sdk", {"SENTRY_DSN": "https://key@sentry.example.com/1"}, "sentry"),
    ],
)
def test_a_missing_extra_is_found(
    doctor: Doctor,
    monkeypatch: pytest.MonkeyPatch,
    package: str,
    variables: dict[str, str],
    name: str,
) -> None:
    """A feature that a variable turns on needs its package."""
    from pantheon_obs.cli.doctor import settings  # noqa: PLC0415 - patched here only

    for variable, value in variables.items():
        monkeypatch.setenv(variable, value)
    find = settings.find_spec
    monkeypatch.setattr(settings, "find_spec", lambda each: None if each == package else find(each))
    assert "pip install 'pantheon-obs[" in faults(doctor())[name]


def test_a_package_that_is_too_old_is_found(
    doctor: Doctor, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It reads the installed metadata, as pip does."""
    metadata = tmp_path / "sentry_sdk-2.9.1.dist-info"
    metadata.mkdir()
    (metadata / "METADATA").write_text("Metadata-Version: 2.1\nName: sentry-sdk\nVersion: 2.9.1\n")
    monkeypatch.syspath_prepend(tmp_path)
    assert {"versions": "pip install 'sentry-sdk>=2.35'"} == faults(doctor())


APPLICATIONS = [
    (
        "fastapi",
        """
        from fastapi import FastAPI
        from pantheon_obs import instrument
        app = FastAPI()
        """,
        "tracing",
        "instrument(app)",
    ),
    (
        "starlette",
        """
        async def app(scope, receive, send): ...
        """,
        "tracing",
        "app = instrument(app)",
    ),
    (
        "starlette",
        """
        from pantheon_obs import *
        async def app(scope, receive, send): ...
        instrument(app)
        """,
        "wrapper unused",
        "app = ",
    ),
    (
        "fastapi",
        """
        from fastapi import FastAPI
        from pantheon_obs import instrument
        app = FastAPI()
        instrument(app)
        from starlette.middleware.gzip import GZipMiddleware
        app = GZipMiddleware(app)
        """,
        "order",
        "app = instrument(GZipMiddleware(app))",
    ),
    (
        "fastapi",
        """
        from fastapi import FastAPI
        from pantheon_obs import instrument
        app = FastAPI()
        from pantheon_obs import *
        configure_logging()
        from starlette.middleware.gzip import GZipMiddleware
        app.add_middleware(TraceIdMiddleware)
        app.add_middleware(GZipMiddleware)
        """,
        "order",
        "instrument(app)",
    ),
    (
        "fastapi",
        """
        from fastapi import FastAPI
        from pantheon_obs import instrument
        app = FastAPI()
        from pantheon_obs import TraceIdMiddleware
        instrument(app)
        app.add_middleware(TraceIdMiddleware)
        """,
        "two instrumentations",
        "remove add_middleware(TraceIdMiddleware)",
    ),
    (
        "fastapi",
        """
        from fastapi import FastAPI
        from pantheon_obs import instrument
        app = FastAPI()
        from asgi_correlation_id import CorrelationIdMiddleware
        instrument(app)
        app.add_middleware(CorrelationIdMiddleware)
        """,
        "two instrumentations",
        "remove CorrelationIdMiddleware",
    ),
    (
        "fastapi",
        """
        from fastapi import FastAPI
        from pantheon_obs import instrument
        app = FastAPI()
        instrument(app)
        instrument(app, log_level='DEBUG')
        """,
        "instrument ignored",
        "log_level",
    ),
    (
        "fastapi",
        """
        from fastapi import FastAPI
        from pantheon_obs import instrument
        app = FastAPI()
        instrument(app, log_fromat='json')
        """,
        "application",
        "log_format=...",
    ),
    (
        "fastapi",
        """
        from fastapi import FastAPI
        from pantheon_obs import instrument
        app = FastAPI()
        instrument(app, log_level='CRITICAL')
        """,
        "log level",
        'instrument(app, log_level="INFO")',
    ),
    (
        "fastapi",
        """
        from fastapi import FastAPI
        from pantheon_obs import instrument
        app = FastAPI()
        instrument(app)
        import logging
        logging.basicConfig(force=True)
        """,
        "logging",
        "basicConfig",
    ),
    (
        "fastapi",
        """
        from fastapi import FastAPI
        from pantheon_obs import instrument
        app = FastAPI()
        from pantheon_obs import TraceIdMiddleware
        app.add_middleware(TraceIdMiddleware)
        """,
        "logging",
        "configure_logging()",
    ),
    (
        "fastapi",
        """
        from fastapi import FastAPI
        from pantheon_obs import instrument
        app = FastAPI()
        instrument(app, health=True)
        app.add_api_route('/health/ready', lambda: 1)
        """,
        "routes",
        'health_prefix="/internal/health"',
    ),
    (
        "flask",
        """
        from flask import Flask
        from pantheon_obs import instrument
        app = Flask('shop')
        instrument(app, health=True)
        app.add_url_rule('/health/live', 'live')
        """,
        "routes",
        "health_prefix=",
    ),
    (
        "flask",
        """
        from flask import Flask
        from pantheon_obs import instrument
        app = Flask('shop')
        instrument(app)
        from werkzeug.middleware.dispatcher import DispatcherMiddleware
        app.wsgi_app = DispatcherMiddleware(app.wsgi_app)
        """,
        "order",
        "app.wsgi_app = DispatcherMiddleware(app.wsgi_app)  # before instrument(app)",
    ),
    (
        "uvicorn",
        """
        from fastapi import FastAPI
        from pantheon_obs import instrument
        from uvicorn.middleware.proxy_headers import ProxyHeadersMiddleware
        app = FastAPI()
        instrument(app)
        app.add_middleware(ProxyHeadersMiddleware, trusted_hosts=["*"])
        """,
        "proxy",
        'trusted_hosts="10.0.0.0/8"',
    ),
    (
        "uvicorn",
        """
        async def app(scope, receive, send): ...
        from uvicorn.middleware.proxy_headers import ProxyHeadersMiddleware
        from pantheon_obs import instrument
        app = ProxyHeadersMiddleware(instrument(app), trusted_hosts="*")
        """,
        "proxy",
        'trusted_hosts="10.0.0.0/8"',
    ),
    (
        "openai",
        """
        async def app(scope, receive, send): ...
        from pantheon_obs import instrument
        import openai
        model = openai.OpenAI(api_key='k')
        app = instrument(app)
        """,
        "llm",
        "instrument_llm(model)",
    ),
    (
        "celery",
        """
        async def app(scope, receive, send): ...
        from pantheon_obs import instrument
        from celery import Celery
        jobs = Celery('jobs')
        app = instrument(app)
        """,
        "celery",
        "instrument_celery(jobs)",
    ),
    (
        "celery",
        """
        from celery import Celery
        app = Celery('jobs')
        """,
        "tracing",
        "instrument_celery",
    ),
    (
        "sentry_sdk",
        """
        from fastapi import FastAPI
        from pantheon_obs import instrument
        app = FastAPI()
        import sentry_sdk
        sentry_sdk.init('http://k@localhost/1',send_default_pii=True, include_local_variables=False)
        instrument(app)
        """,
        "sentry client",
        "send_default_pii=False",
    ),
    (
        "sentry_sdk",
        """
        from fastapi import FastAPI
        from pantheon_obs import instrument
        app = FastAPI()
        import sentry_sdk
        sentry_sdk.init('http://k@localhost/1', auto_enabling_integrations=False)
        instrument(app)
        """,
        "sentry client",
        "include_local_variables=False",
    ),
    (
        "sentry_sdk",
        """
        from fastapi import FastAPI
        from pantheon_obs import instrument
        app = FastAPI()
        import sentry_sdk, os
        sentry_sdk.init(auto_enabling_integrations=False)
        os.environ['SENTRY_DSN'] = 'http://k@localhost/1'
        instrument(app)
        """,
        "sentry client",
        "remove sentry_sdk.init",
    ),
]


@pytest.mark.parametrize("planted", APPLICATIONS)
def test_a_fault_of_an_application_is_found_with_the_line_that_mends_it(
    examine: Doctor, planted: tuple[str, str, str, str]
) -> None:
    """The application is imported, and no request is sent to it."""
    package, source, name, fix = planted
    for needed in (
        package,
        *(each for each in ("fastapi", "asgi_correlation_id") if each in source),
    ):
        pytest.importorskip(needed)
    found = faults(examine(source))
    assert name in found
    assert fix in found[name]


DJANGO = """
    from django.conf import settings
    settings.configure(
        SECRET_KEY="x", ROOT_URLCONF=__name__, INSTALLED_APPS={apps}, MIDDLEWARE={middleware},
        PANTHEON_OBS={ours}, {more}
    )
    urlpatterns = []
    from django.core.wsgi import get_wsgi_application
    application = get_wsgi_application()
"""
APP = "pantheon_obs.adapters.django"
OURS = f"{APP}.TraceIdMiddleware"
COMMON = "django.middleware.common.CommonMiddleware"


@pytest.mark.parametrize(
    ("fields", "name", "fix"),
    [
        ({"apps": []}, "django app", "INSTALLED_APPS += "),
        ({"middleware": [COMMON]}, "django", OURS),
        ({"middleware": [COMMON, OURS]}, "django", "Move it before"),
        ({"ours": {"log_fromat": "json"}}, "application", "log_format=..."),
        ({"more": "PANTHEON_OBS_LOG_LEVEL='DEBUG'"}, "django", "docs/settings.md"),
        ({"apps": ["pantheon_obs"]}, "django", f"Write '{APP}'"),
        ({}, "", ""),
    ],
)
def test_a_django_project_is_examined(
    examine: Doctor, fields: dict[str, Any], name: str, fix: str
) -> None:
    """Its settings are, with the checks of `manage.py check`."""
    pytest.importorskip("django")
    healthy = {"apps": [APP], "middleware": [OURS, COMMON], "ours": {}, "more": ""}
    found = faults(examine(DJANGO.format(**(healthy | fields)), "shop"))
    assert fix in found.get(name, "")
    assert bool(name) == bool(found)


LOGS = [
    ({**CALL, "usage_status": "missing", "stream": True, "input_tokens": None}, "usage", "include"),
    ({**CALL, "usage_status": "missing", "input_tokens": None}, "usage", '@llm_call(model="fast"'),
    (CALL, "prices", 'prices={"fast": '),
    (
        {
            **LINE,
            "logger": "pantheon_obs.logs",
            "event": "logging_taken_over",
            "by": "env.py:1",
        },
        "logging taken over",
        "env.py:1",
    ),
    (
        {
            **LINE,
            "logger": "pantheon_obs.settings",
            "event": "setting_refused",
            "problem": "PANTHEON_OBS_LM is not a setting: did you mean PANTHEON_OBS_LLM?",
        },
        "settings",
        "PANTHEON_OBS_LLM",
    ),
    (
        {
            **LINE,
            "logger": "pantheon_obs.metrics",
            "event": "metrics_unavailable",
            "problem": "PROMETHEUS_MULTIPROC_DIR='/no': no such folder",
        },
        "metrics unavailable",
        "export PROMETHEUS_MULTIPROC_DIR=",
    ),
    ("INFO:     Started server process [7]", "server log", "UVICORN_LOG_CONFIG"),
    ("[2026-11-29 10:00:00 +0000] [7] [INFO] Booting worker", "server log", "JSONLogger"),
    ("[INFO] Starting granian (main PID: 7)", "server log", "GRANIAN_LOG_CONFIG"),
    (
        "2026-11-29 21:47:41,310 INFO     pantheon_obs.request [-] request_finished method=GET",
        "json lines",
        "PANTHEON_OBS_LOG_FORMAT=json",
    ),
]


@pytest.mark.parametrize(("line", "name", "fix"), LOGS)
def test_a_fault_that_a_log_shows_is_found(
    doctor: Doctor, tmp_path: Path, line: Any, name: str, fix: str
) -> None:
    """Beside a healthy line."""
    text = line if isinstance(line, str) else json.dumps(line)
    (tmp_path / "shop.log").write_text(f"{json.dumps(REQUEST)}\n{text}\n")
    found = faults(doctor("shop.log"))
    assert [name] == list(found)
    assert fix in found[name]


def test_a_line_that_two_handlers_print_is_found(doctor: Doctor, tmp_path: Path) -> None:
    """The second is the same to the byte."""
    (tmp_path / "shop.log").write_text(f"{json.dumps(REQUEST)}\n" * 2)
    assert ["doubled lines"] == list(faults(doctor("shop.log")))


def test_a_healthy_log_has_no_fault(doctor: Doctor, tmp_path: Path) -> None:
    """Failed and nested calls have no price of their own, and applications print."""
    calls = [{**CALL, "cost_usd": 0.1}, {**CALL, "outcome": "error"}, {**CALL, "nested": True}]
    lines = [REQUEST, *calls, {**REQUEST, "path": "/2"}]
    text = "".join(f"{json.dumps(line)}\n" for line in lines) + "a print of the application\n\n"
    (tmp_path / "shop.log").write_text(text)
    assert {} == faults(doctor("shop.log"))


def test_a_log_without_lines_of_ours_tells_nothing(doctor: Doctor, tmp_path: Path) -> None:
    """It may be the wrong file."""
    (tmp_path / "shop.log").write_text("")
    code, document = doctor("shop.log")
    assert (2, "unknown") == (code, document["verdict"])


HEALTHY = {
    "fastapi": """
        from fastapi import FastAPI
        from pantheon_obs import instrument
        app = FastAPI()
        instrument(app, health=True)
    """,
    "flask": """
        from flask import Flask
        from pantheon_obs import instrument
        app = Flask('shop')
        from werkzeug.middleware.proxy_fix import ProxyFix
        from werkzeug.middleware.dispatcher import DispatcherMiddleware
        app.wsgi_app = DispatcherMiddleware(app.wsgi_app)
        instrument(app)
        app.wsgi_app = ProxyFix(app.wsgi_app)
    """,
    "litestar": """
        from litestar import Litestar
        from pantheon_obs import instrument
        app = instrument(Litestar())
    """,
    "quart": """
        from quart import Quart
        from pantheon_obs import instrument
        app = instrument(Quart('shop'))
    """,
    "starlette": """
        from starlette.applications import Starlette
        from pantheon_obs import TraceIdMiddleware, configure_logging
        configure_logging()
        app = Starlette()
        app.add_middleware(TraceIdMiddleware)
    """,
    "openai": """
        async def app(scope, receive, send): ...
        from pantheon_obs import instrument, instrument_llm
        import openai
        model = openai.OpenAI(api_key='k')
        instrument_llm(model)


        class Odd:
            __class__ = property(lambda self: 1 / 0)


        odd = model.odd = Odd()
        app = instrument(app)
        app.odd = odd
    """,
    "anthropic": """
        async def app(scope, receive, send): ...
        from pantheon_obs import instrument
        import anthropic
        model = anthropic.Anthropic(api_key='k')
        app = instrument(app, llm=True)
    """,
    "celery": """
        from celery import Celery
        from pantheon_obs import instrument_celery

        class Unconfigured:  # like Django's settings, whose class is asked of the module
            __class__ = property(lambda _: 1 / 0)

        settings = Unconfigured()
        app = instrument_celery(Celery('jobs'))
    """,
    "sentry_sdk": """
        async def app(scope, receive, send): ...
        from pantheon_obs import instrument
        app = instrument(app, sentry_dsn='http://k@localhost/1')
    """,
    "sentry_sdk.api": """
        async def app(scope, receive, send): ...
        import sentry_sdk
        from pantheon_obs import instrument
        sentry_sdk.init(auto_enabling_integrations=False)
        app = instrument(app)
    """,
    "asyncio": """
        import subprocess, sys
        from pantheon_obs import instrument

        subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)


        async def plain(scope, receive, send): ...


        def app():
            return instrument(plain)
    """,
    "uvicorn": """
        async def app(scope, receive, send): ...
        from uvicorn.middleware.proxy_headers import ProxyHeadersMiddleware
        from pantheon_obs import instrument
        app = ProxyHeadersMiddleware(instrument(app))
    """,
    "asgiref": """
        from pantheon_obs import instrument
        @instrument
        def app(environ, start_response): ...
    """,
}


@pytest.mark.parametrize("package", HEALTHY)
def test_a_healthy_application_has_no_fault(
    examine: Doctor, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, package: str
) -> None:
    """Behind a proxy, with workers, on each framework."""
    pytest.importorskip(package)
    monkeypatch.setenv("WEB_CONCURRENCY", "4")
    monkeypatch.setenv("FORWARDED_ALLOW_IPS", "10.0.0.7")
    (tmp_path / "gunicorn.conf.py").write_text(
        "from pantheon_obs.adapters.gunicorn import JSONLogger\nlogger_class = JSONLogger\n"
    )
    source = f"print('the application prints')\n{textwrap.dedent(HEALTHY[package])}"
    assert {} == faults(examine(source))
    if "def app()" in source:  # a factory
        assert {} == faults(examine(source, "shop:app()"))


def test_all_of_it_turned_off_is_no_fault(
    doctor: Doctor, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Somebody has wanted that."""
    monkeypatch.setenv("PANTHEON_OBS_DISABLED", "1")
    (tmp_path / "shop.py").write_text(f"from pantheon_obs import *\n{HOOK}app = instrument(app)")
    code, document = doctor("shop:app")
    assert 0 == code
    assert {"tracing": "off"}.items() <= {
        check["name"]: check["status"] for check in document["checks"]
    }.items()


@pytest.mark.parametrize(
    ("source", "why"),
    [
        ("import nothing_of_this_name", "No module named 'nothing_of_this_name'"),
        ("1 / 0", "ZeroDivisionError"),
        ("import sys; sys.exit('no database')", "SystemExit: no database"),
        ("other = 1", "no attribute 'app'"),
        ("app = 1", "app=1 is not accepted"),
        ("import os, sys; print('gone', file=sys.stderr); os._exit(3)", "gone"),
    ],
)
def test_what_cannot_be_imported_cannot_be_told(examine: Doctor, source: str, why: str) -> None:
    """The reason is the application's own."""
    code, document = examine(source)
    assert (2, "unknown") == (code, document["verdict"])
    [unknown] = [check for check in document["checks"] if check["status"] == "unknown"]
    assert why in unknown["why"]
    assert unknown["fix"] is None


def test_an_import_that_hangs_is_given_up(
    doctor: Doctor, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It may wait for a database."""
    monkeypatch.setattr("pantheon_obs.cli.doctor.command._SECONDS", 1)
    (tmp_path / "shop.py").write_text("import threading\nthreading.Event().wait()")
    code, document = doctor("shop:app")
    assert 2 == code
    assert "was not imported in 1 s" in document["checks"][0]["why"]


def test_the_text_has_the_faults_last_and_the_verdict_at_the_end(tmp_path: Path) -> None:
    """A person reads the end of it first."""
    variables = {**environment(), "PANTHEON_OBS_LOGLEVEL": "DEBUG"}
    command = [sys.executable, "-m", "pantheon_obs", "doctor"]
    ended = subprocess.run(
        command, env=variables, cwd=tmp_path, capture_output=True, timeout=SECONDS, check=False
    )
    assert (1, b"") == (ended.returncode, ended.stderr)
    *_, fault, fix, verdict = ended.stdout.decode().splitlines()
    assert "fault" == fault.split()[0]
    assert "-> export PANTHEON_OBS_LOG_LEVEL=DEBUG" == fix.strip()
    assert "faults" == verdict
