"""Sentry's own options and integrations, and who decides: the application, then the library."""

from __future__ import annotations

import json
import logging
import subprocess
import sys
from importlib import import_module
from threading import Event, Thread
from typing import TYPE_CHECKING, Any

import pytest

from pantheon_obs import (
    ConfigError,
    Settings,
    configure_logging,
    get_logger,
    init_sentry,
    instrument,
    trace_context,
)
from pantheon_obs.testing import capture_events
from tests.support.server import SECONDS, environment

if TYPE_CHECKING:
    from collections.abc import Mapping

    from tests.sinks.receiver import Receiver

sentry_sdk = pytest.importorskip("sentry_sdk")

SECRET = "sk-proj-abcdefghijklmnopqrstuvwxyz012345"  # noqa: S105 - nobody's
UUID = "0b5a1e5e-3d2c-4b1a-9f8e-7d6c5b4a3f21"
MISTAKE = "'max_bredcrumbs' is no option of sentry_sdk.init: did you mean 'max_breadcrumbs'?"
DSN = "http://k@127.0.0.1:9/1"


def run(code: str, **env: str) -> Any:
    """Run a program; return the last line that it printed, from JSON."""
    done = subprocess.run(
        [sys.executable, "-c", code],
        env={**environment(), **env},
        capture_output=True,
        check=False,
        timeout=4 * SECONDS,  # an SDK of an LLM has a thousand modules
        text=True,
    )
    assert "" == done.stderr
    return json.loads(done.stdout.splitlines()[-1])


def test_options_of_the_sdk_win_over_the_defaults_of_the_library(receiver: Receiver) -> None:
    """The defaults that are not named stay."""
    init_sentry(sentry_dsn=receiver.dsn, include_local_variables=True, max_breadcrumbs=7)

    options = sentry_sdk.get_client().options
    names = ("include_local_variables", "max_breadcrumbs", "max_request_body_size")
    assert [True, 7, "never"] == [options[name] for name in names]


def test_the_dsn_may_be_given_under_the_name_that_the_sdk_has_for_it(receiver: Receiver) -> None:
    """It is the first argument of `sentry_sdk.init`; an empty one turns Sentry off."""
    assert init_sentry(dsn="") is False
    assert init_sentry(dsn=receiver.dsn) is True
    sentry_sdk.capture_message("sent")
    sentry_sdk.flush()

    assert ["sent"] == [event["message"] for event in receiver.events]


def test_a_callback_of_the_applications_own_may_drop_or_change_an_event(receiver: Receiver) -> None:
    """Data that it adds is masked like everything else."""

    def before_send(event: Any, _hint: Any) -> Any:
        event.setdefault("extra", {})["api_key"] = SECRET
        return None if event["message"] == "dropped" else event

    init_sentry(sentry_dsn=receiver.dsn, before_send=before_send)
    for message in ("dropped", "kept"):
        sentry_sdk.capture_message(message)
    sentry_sdk.flush()

    assert ["kept"] == [event["message"] for event in receiver.events]
    assert "[redacted]" == receiver.events[0]["extra"]["api_key"]


def test_a_sampler_and_a_transactions_callback_of_the_applications_own_are_asked(
    receiver: Receiver,
) -> None:
    """The sampler decides in place of the rate; the callback's transaction is masked."""

    def before_send_transaction(event: Any, _hint: Any) -> Any:
        event["tags"] = {"note": f"https://shop.test/?q={SECRET}"}
        return event

    init_sentry(
        sentry_dsn=receiver.dsn,
        sentry_traces_sample_rate=0,
        traces_sampler=lambda context: context["transaction_context"]["name"] == "wanted",
        before_send_transaction=before_send_transaction,
    )
    for name in ("wanted", "other"):
        with sentry_sdk.start_transaction(name=name):
            pass
    sentry_sdk.flush()

    sent = [item for kind, item in receiver.items if kind == "transaction"]
    assert ["wanted"] == [transaction["transaction"] for transaction in sent]
    assert "https://shop.test/?q=[redacted]" == sent[0]["tags"]["note"]


def test_a_body_is_sent_where_the_application_asks_for_bodies(receiver: Receiver) -> None:
    """The option of the SDK is about that, and the setting for personal data about headers."""
    init_sentry(sentry_dsn=receiver.dsn, max_request_body_size="always")
    event: Any = {"request": {"data": {"order": 7}, "headers": {"X-Name": "Ann", "Host": "a"}}}
    sentry_sdk.capture_event(event)
    sentry_sdk.flush()

    assert {"data": {"order": 7}, "headers": {"Host": "a"}} == receiver.events[0]["request"]


@pytest.mark.parametrize(
    ("name", "meant"),
    [("enable_lgos", "enable_logs"), ("sentry_dns", "sentry_dsn"), ("serivce", "service")],
)
def test_a_name_that_nobody_knows_is_refused_with_the_nearest_one(name: str, meant: str) -> None:
    """It may be meant as a setting or as an option of the SDK."""
    options: dict[str, Any] = {name: True}
    with pytest.raises(ConfigError, match=f"'{name}' is no option .*did you mean '{meant}'"):
        init_sentry(**options)


def test_a_name_like_no_other_is_refused_too() -> None:
    """The text says where the options are described."""
    with pytest.raises(ConfigError, match=r"is no option of sentry_sdk\.init: see its doc"):
        init_sentry(Settings(sentry_options={"xyzzy": 1}))


def test_names_are_refused_without_a_dsn_and_without_the_sdk_being_imported() -> None:
    """A developer without a DSN sees the mistake, and not the production system."""
    code = """
import json, sys
from pantheon_obs import init_sentry, ConfigError
assert init_sentry(enable_logs=True) is False
try:
    init_sentry(max_bredcrumbs=7)
except ConfigError as error:
    print(json.dumps([str(error), "sentry_sdk" in sys.modules]))
"""
    assert [MISTAKE, False] == run(code)


def test_nothing_is_refused_where_the_sdk_is_not_installed(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nobody knows its options there; a DSN says that it is missing."""
    monkeypatch.setattr("importlib.util.find_spec", lambda _name: None)

    assert init_sentry(enable_lgos=True) is False


def test_an_integration_of_the_applications_own_replaces_ours(receiver: Receiver) -> None:
    """Ours keeps the SDK from printing at the end of the process."""
    atexit = import_module("sentry_sdk.integrations.atexit")
    own = atexit.AtexitIntegration(callback=lambda *_: None)
    init_sentry(sentry_dsn=receiver.dsn, integrations=[own])

    assert own is sentry_sdk.get_client().integrations["atexit"]


def test_options_that_are_none_are_refused() -> None:
    """They are a dict with names for keys."""
    bad: list[Any] = [[1], {1: 2}]
    for options in bad:
        with pytest.raises(ConfigError, match=r"sentry_options=.* is not accepted: use a dict"):
            Settings(sentry_options=options)


async def app(_scope: Any, _receive: Any, _send: Any) -> None:
    """Serve nothing."""


def test_instrument_passes_options_on(receiver: Receiver) -> None:
    """An unknown one is refused before the application is changed."""
    with pytest.raises(ConfigError, match="did you mean 'max_breadcrumbs'"):
        instrument(app, sentry_options={"max_bredcrumbs": 7})
    instrument(app, sentry_dsn=receiver.dsn, sentry_options={"max_breadcrumbs": 7})

    assert 7 == sentry_sdk.get_client().options["max_breadcrumbs"]


DJANGO = """
import json, sys
import django
from django.conf import settings
options = json.loads(sys.argv[1]) if sys.argv[1:] else {OPTIONS}
settings.configure(
    INSTALLED_APPS=["pantheon_obs.adapters.django"],
    PANTHEON_OBS={{"sentry_dsn": "{DSN}", "SENTRY": options}},
)
django.setup()
import sentry_sdk
from pantheon_obs.adapters.django.checks import check_settings
client = sentry_sdk.get_client()
print(json.dumps([client.options.get("max_breadcrumbs"), [str(e.msg) for e in check_settings()]]))
"""


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ({"max_breadcrumbs": 7}, [7, []]),
        (
            {"max_bredcrumbs": 7},
            [
                100,  # all of the settings are left out
                [f"PANTHEON_OBS: {MISTAKE}"],
            ],
        ),
    ],
)
def test_a_django_project_has_them_in_its_settings(
    options: Mapping[str, object], expected: list[Any]
) -> None:
    """`manage.py check` reports an unknown one, as any other mistake there."""
    pytest.importorskip("django")

    assert expected == run(DJANGO.format(OPTIONS=options, DSN=DSN))


def test_logs_that_the_sdk_captures_have_our_events_with_their_trace(receiver: Receiver) -> None:
    """Logs of structlog and logging have the name as body, the fields and the trace, no secret."""
    logs: Any = import_module("sentry_sdk.integrations.logging")
    more = {"capture_sentry_logs": True} if hasattr(logs.LoggingIntegration, "_SENTINEL") else {}
    before = getattr(logs.LoggingIntegration, "capture_sentry_logs", None)
    configure_logging()
    init_sentry(
        sentry_dsn=receiver.dsn,
        enable_logs=True,
        integrations=[logs.LoggingIntegration(**more)],
    )
    with trace_context(UUID):
        get_logger("shop").info("order_placed", order=7, api_key=SECRET)
        logging.getLogger("shop").info("stock is %s", "low")
    sentry_sdk.flush()
    logs.LoggingIntegration.capture_sentry_logs = before

    sent = [log for kind, item in receiver.items if kind == "log" for log in item["items"]]
    ours = [log for log in sent if log["attributes"]["logger.name"]["value"] == "shop"]
    assert ["order_placed", "stock is low"] == [log["body"] for log in ours]
    assert [UUID] * 2 == [log["attributes"]["trace_id"]["value"] for log in ours]
    assert 7 == ours[0]["attributes"]["order"]["value"]
    assert SECRET not in json.dumps(sent)


@pytest.mark.filterwarnings("ignore:.*send_default_pii")
@pytest.mark.parametrize("user", [{"id": "anna"}, None])
def test_logs_of_a_thread_that_outlives_its_request_have_nothing_of_it(
    receiver: Receiver, user: dict[str, str] | None
) -> None:
    """The SDK takes the trace and the user of the scope that it has copied to the thread."""
    logs: Any = import_module("sentry_sdk.integrations.logging")
    more = {"capture_sentry_logs": True} if hasattr(logs.LoggingIntegration, "_SENTINEL") else {}
    before = getattr(logs.LoggingIntegration, "capture_sentry_logs", None)
    is_over = Event()

    def ship() -> None:
        is_over.wait(SECONDS)
        log.info("shipped")
        with trace_context(UUID):
            log.info("ordered")
        with sentry_sdk.start_transaction(name="own"):
            log.info("apart")

    def app(_environ: Any, start_response: Any) -> list[bytes]:
        sentry_sdk.set_user(user)
        log.info("served")
        thread.start()
        start_response("200 OK", [])
        return [b"ok"]

    log, thread = logging.getLogger("shop"), Thread(target=ship)
    served: Any = instrument(
        app,
        sentry_dsn=receiver.dsn,
        sentry_send_default_pii=True,
        sentry_options={
            "enable_logs": True,
            "integrations": [logs.LoggingIntegration(**more)],
        },
    )
    first, second = "0af7651916cd43dd8448eb211c80319c", UUID.replace("-", "")
    environ = {"REQUEST_METHOD": "GET", "PATH_INFO": "/", "HTTP_X_TRACE_ID": first}
    b"".join(served(environ, lambda *_: None))
    is_over.set()
    thread.join(SECONDS)
    sentry_sdk.flush()
    logs.LoggingIntegration.capture_sentry_logs = before

    sent = [log for kind, item in receiver.items if kind == "log" for log in item["items"]]
    told = {
        log["body"]: (log["trace_id"], log["attributes"].get("user.id", {}).get("value"))
        for log in sent
        if log["attributes"]["logger.name"]["value"] == "shop"
    }
    assert (first, (user or {}).get("id")) == told.pop("served")
    assert (second, None) == told["ordered"]
    assert {None} == {user_id for _, user_id in told.values()}
    assert first not in {trace_id for trace_id, _ in told.values()}


INTEGRATIONS = """
import json, sys
from importlib import import_module
import sqlalchemy, redis, httpx, openai
sys.modules["bottle"] = None  # looks imported, and does not fit its integration
import pantheon_obs, sentry_sdk
from pantheon_obs import testing

def active(**options):
    pantheon_obs.init_sentry(sentry_dsn="http://k@127.0.0.1:9/1", **options)
    import rq
    pantheon_obs.init_sentry()
    found = sentry_sdk.get_client().integrations
    prompts = sorted(name for name in found if getattr(found[name], "include_prompts", False))
    testing.reset()
    return sorted(found), prompts

Redis = import_module("sentry_sdk.integrations.redis").RedisIntegration
answers = [
    active(), active(auto_enabling_integrations=False), active(disabled_integrations=[Redis])
]
assert ([], []) == active(default_integrations=False)
loaded = [name for name in ("flask", "quart", "litestar", "pyramid") if name in sys.modules]
print(json.dumps([answers, loaded]))
"""
IN_USE = {"sqlalchemy", "redis", "httpx", "openai", "rq"}


def test_each_library_in_use_has_its_integration_unless_the_application_wants_none() -> None:
    """Prompts are off; frameworks that are only installed are not imported."""
    for package in IN_USE:
        pytest.importorskip(package)
    answers, loaded = run(INTEGRATIONS)

    active = [IN_USE.intersection(names) for names, _ in answers]
    assert [IN_USE, set(), IN_USE - {"redis"}] == active
    assert all({"logging", "stdlib", "atexit"} <= set(names) for names, _ in answers)
    assert [] == [*loaded, *(name for _, prompts in answers for name in prompts)]


def test_spans_of_the_database_are_masked(receiver: Receiver) -> None:
    """A statement without parameters holds its values."""
    sqlalchemy = pytest.importorskip("sqlalchemy")
    init_sentry(sentry_dsn=receiver.dsn, sentry_traces_sample_rate=1)
    engine = sqlalchemy.create_engine("sqlite://")
    with sentry_sdk.start_transaction(name="report"), engine.connect() as connection:
        connection.execute(sqlalchemy.text(f"select '{SECRET}'"))
    engine.dispose()
    sentry_sdk.flush()

    [transaction] = [item for kind, item in receiver.items if kind == "transaction"]
    spans = [span["description"] for span in transaction["spans"] if span["op"] == "db"]
    assert ["select '[redacted]'"] == spans
    assert SECRET not in json.dumps(receiver.items)


def test_a_client_that_the_application_makes_after_ours_keeps_its_integrations(
    receiver: Receiver,
) -> None:
    """A later start, when the server starts the application for example, adds none to it."""
    pytest.importorskip("sqlalchemy")
    init_sentry(sentry_dsn=receiver.dsn)
    sentry_sdk.init(receiver.dsn, auto_enabling_integrations=False)
    before = set(sentry_sdk.get_client().integrations)
    init_sentry()
    instrument(app)

    assert before == set(sentry_sdk.get_client().integrations)
    assert "sqlalchemy" not in before


@pytest.mark.usefixtures("receiver")  # it forgets the client afterwards
@pytest.mark.parametrize(
    ("own", "given", "variable", "expected"),
    [
        (None, {}, "", "off: the application's own client has no DSN"),
        ("", {}, DSN, "off: the application's own client has no DSN"),
        ("", {"sentry_dsn": DSN}, "", "on"),
        (DSN, {}, "", "on"),
        (None, {}, DSN, "on"),
    ],
)
def test_sentry_is_on_only_with_a_client_that_has_a_dsn(
    monkeypatch: pytest.MonkeyPatch,
    own: str | None,
    given: dict[str, Any],
    variable: str,
    expected: str,
) -> None:
    """An application that turns it off in its own call wins over the environment."""
    monkeypatch.setenv("SENTRY_DSN", variable)
    sentry_sdk.init(own, auto_enabling_integrations=False)
    with capture_events() as events:
        assert init_sentry(**given) is (expected == "on")
        instrument(app)

    [configured] = [event for event in events if event["event"] == "observability_configured"]
    assert expected == configured["sentry"]
