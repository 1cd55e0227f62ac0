"""A corpus of secrets does not come out, and one of innocents comes out as it was.

In all formats and in Sentry; tests/support/secrets.py makes both when the tests run.
"""

from __future__ import annotations

import json
import logging
import re
from collections import UserDict, namedtuple
from typing import Any

import pytest

from pantheon_obs.core.settings import resolve
from pantheon_obs.sinks.logs.emitter import Emitter
from pantheon_obs.sinks.logs.entry import Entry
from pantheon_obs.sinks.redact.redactor import Redactor
from pantheon_obs.sinks.sentry.masking import masking
from tests.support.secrets import NAMES, drawn, innocents, secrets_in_text

FORMATS = {
    name: Emitter(resolve(None, {"log_format": name})) for name in ("json", "text", "console")
}
SECRETS = secrets_in_text()
INNOCENTS = innocents()
mask = masking(resolve(None, {}))


def line_of(
    format_name: str, text: str, fields: dict[str, Any], error: Exception | None = None
) -> str:
    """Render a line in a format."""
    entry = Entry(logging.INFO, text, "shop", fields, error, "t-1", {})
    return FORMATS[format_name].render(entry).decode()


def login_of(name: str, secret: str) -> Any:
    """Make a named tuple with a field of this name."""
    kind = namedtuple("Login", ("user", re.sub(r"\W", "_", name)))  # noqa: PYI024 - made of a name
    return kind("ada", secret)


def fields_of(name: str, secret: str) -> dict[str, Any]:
    """Make fields with a secret in containers of several kinds."""
    return {
        name: secret,
        "deep": {"list": [{name: secret}], "pairs": [(name, secret), (name.encode(), secret)]},
        "login": login_of(name, secret),
        "logins": [login_of(name, secret)],
        "mapping": UserDict({name: secret}),
        "apart": [
            {"name": name, "value": secret},
            {"ParameterValue": secret, "ParameterKey": name},
        ],
        "apart in bytes": {"name": name.encode(), "value": secret.encode()},
        "pair": [name, secret],
        "pair of bytes": (name.encode(), secret.encode()),
        "arguments": ["tool", f"--{name}", secret, "-x"],
    }


def event_of(value: Any) -> dict[str, Any]:
    """Make an event of Sentry with a value at each place where texts are."""
    return {
        "logentry": {"message": value},
        "exception": {"values": [{"type": "LookupError", "value": value}]},
        "breadcrumbs": {"values": [{"message": value, "data": {"sent": [value]}}]},
        "spans": [{"description": value, "data": {"statement": value}}],
        "extra": {"deep": [{"value": value}]},
    }


def json_of(text: str) -> Any:
    """Read a text as JSON; None if it is not JSON."""
    try:
        return json.loads(text)
    except ValueError:
        return None


@pytest.mark.parametrize("format_name", FORMATS)
def test_a_secret_in_a_text_is_on_no_line(format_name: str) -> None:
    """It is not in a message, a field, a key, bytes or a traceback."""
    leaks = []
    for name, (text, secret) in SECRETS.items():
        fields = {"field": text, "deep": [{"x": text}], "raw": text.encode(), "keys": {text: 1}}
        line = line_of(format_name, text, fields | {text: 1}, LookupError(text))
        if secret in line:
            leaks.append(name)

    assert [] == leaks


def test_a_secret_in_a_text_is_in_no_event_of_sentry() -> None:
    """It is not in a message, an exception, a breadcrumb or a span."""
    leaks = [
        name
        for name, (text, secret) in SECRETS.items()
        if secret in json.dumps(mask(event_of(text), None))
    ]

    assert [] == leaks


@pytest.mark.parametrize("format_name", FORMATS)
def test_a_secret_in_a_field_is_on_no_line(format_name: str) -> None:
    """The name of a field is judged in any container."""
    secret = drawn(24)
    leaks = [
        name
        for name in NAMES
        if secret in line_of(format_name, "e", fields_of(name, secret))
        or secret in json.dumps(mask({"extra": fields_of(name, secret)}, None))
    ]

    assert [] == leaks


def test_a_secret_is_told_by_the_form_of_its_value() -> None:
    """A number of a card is one as a number too, and codes are in lists, mappings and texts."""
    secret = drawn(24)
    fields: list[dict[str, Any]] = [
        {"tokens": {"shop": secret}},
        {"tokens": [{"value": secret}]},
        {"tokens": [[1, secret.encode()]]},
        {"tokens": f"{drawn(20)}, {secret}"},
        {"tokens": f"{drawn(20)} {secret}".encode()},
        {"azure_openai_keys": f"{drawn(20)};{secret}"},
        {"connection_string": f"ada/{secret}@db:1521/shop"},
        {"conn_str": f"ada:{secret}@tcp(db:3306)/shop".encode()},
        {"AzureConnectionString": f"db:5432:shop:ada:{secret}"},
        {"Stripe-Signature": f"t=1614556800,v1={secret}"},
        {"arguments": ["svc", "--user", f"ada:{secret}"]},
        {"arguments": ["svc", f"--proxy-user=ada:{secret}", "-x"]},
        {"arguments": ["svc", "-u", f"ada:{secret}"]},
        {"X-Shopify-Hmac-Sha256": f"{secret}="},
    ]
    cards = [
        {"card_number": 4111111111111111},
        {"cc_num": "4111 1111 1111 1111"},
        {"card": b"41" * 8},
        {"tokens": ["ab12cd34"]},
    ]
    redactor = Redactor()

    assert [] == [each for each in fields if secret in str(redactor.clean(each))]
    assert [["[redacted]"]] * len(cards) == [list(redactor.clean(each).values()) for each in cards]
    card = {"number": 4111111111111111, "left": 2}
    assert {"card": card | {"number": "[redacted]"}} == redactor.clean({"card": card})
    kept: list[dict[str, Any]] = [
        {"tokens": [[[["deep", secret]]]]},
        {"tokens": {"input": 17, "text": "The quick brown fox"}},
        {"tokens": f"a sentence with {secret}"},
        {"card_number": 17},
        {"card_number": 10**5000},
        {"card": "1111"},
        {"card": {"number": "1111", "brand": "visa"}},
        {"tokens": {"input": 17, "model": "claude3opus"}},
        {"card": {"number": 3, "id": 4111111111111111}},
        {"tokens": ["Hel", "lo", "gpt4", "2024-01-01", "1st", "h2"]},
        {"tokens": [15339, 1917]},
        {"hmac": "sha256"},
        {"connection_string": "Server=db;Database=shop"},
        {"connection_string": None},
    ]
    assert [] == [each for each in kept if "redacted" in str(redactor.clean(each))]


def test_masked_json_is_json_and_masked_text_stays() -> None:
    """Masking garbles nothing, and masking twice is masking once."""
    redactor = Redactor()
    masked = {name: redactor.text(text) for name, (text, _) in SECRETS.items()}

    assert [] == [name for name, text in masked.items() if text != redactor.text(text)]
    assert [] == [
        name for name, text in masked.items() if json_of(SECRETS[name][0]) and not json_of(text)
    ]


def test_an_innocent_comes_out_as_it_was() -> None:
    """A text or field that is no secret is left as it is, on a line and in Sentry."""
    for innocent in INNOCENTS:
        plain = json.loads(json.dumps(innocent))
        assert plain == json.loads(line_of("json", "e", {"field": innocent}))["field"]
        if "?" not in str(innocent):  # values of queries are masked in Sentry
            assert event_of(plain) == mask(event_of(innocent), None)


def test_the_corpus_is_large() -> None:
    """There are at least 300 of both kinds."""
    assert (True, True) == (len(SECRETS) >= 300, len(INNOCENTS) >= 300)
