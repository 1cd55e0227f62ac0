"""Secrets do not get into the lines: by key at any depth, and by shape inside strings."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any

import pytest

from pantheon_obs import bind, configure_logging, get_logger, trace_context
from pantheon_obs.core.exchange import Exchange
from pantheon_obs.sinks.redact.keys import PARTS
from pantheon_obs.sinks.redact.redactor import REDACTED, Redactor
from pantheon_obs.sinks.redact.signs import name_signs, name_signs_apart
from tests.logs.running import run
from tests.support.secrets import NAMES, TEXTS, secrets_in_text

if TYPE_CHECKING:
    from collections.abc import Callable

    Logged = Callable[[], list[dict[str, Any]]]


@pytest.mark.parametrize(
    "key",
    [
        "password",
        "Password",
        "db_password",
        "userPassword",
        "passwd",
        "passphrase",
        "userpasscode",
        "pwd",
        "secret",
        "client_secret",
        "clientSecret",
        "AWS_SECRET_ACCESS_KEY",
        "authorization",
        "Authorization",
        "proxy-authorization",
        "auth",
        "basic_auth",
        "cookie",
        "set-cookie",
        "Set-Cookie",
        "cookies",
        "api_key",
        "apiKey",
        "apikey",
        "x-api-key",
        "X-API-Key",
        "access_key",
        "private_key",
        "signing_key",
        "token",
        "access_token",
        "refreshToken",
        "id_token",
        "csrf",
        "X-CSRF-Token",
        "xsrf",
        "jwt",
        "credentials",
        "HTTP_AUTHORIZATION",
        "clientsecret",
        "secretkey",
        "accesstoken",
        "authtoken",
        "csrftoken",
        "csrfmiddlewaretoken",
        "privatekey",
        "accesskey",
        "dbpassword",
        "PGPASSWORD",
        "DB_PASS",
        "X-Auth-Key",
        "sessionid",
        "PHPSESSID",
        "session_key",
        "password2",
        "password_hash",
        "password__12",
        "refresh_tokens",
        "api_keys",
        "fernet_key",
        "X-Amz-Signature",
    ],
)
def test_a_secret_key_hides_its_value_at_any_depth(logged: Logged, key: str) -> None:
    """The value is hidden for every place of the key and every type of the value."""
    configure_logging(log_format="json")

    get_logger("a").info("e", **{key: "hunter2"})
    logging.getLogger("a").info("e", extra={key: {"deep": "hunter2"}})
    get_logger("a").info("e", a=[{"b": {key: ["hunter2"]}}])
    get_logger("a").info("e", headers=[(key, "hunter2"), (key.encode(), b"hunter2")])
    with trace_context("t"):
        bind(**{key: "1234"})
        logging.getLogger("a").info("e")

    first, second, third, fourth, fifth = logged()
    assert [REDACTED] * 3 == [line[key] for line in (first, second, fifth)]
    assert [{"b": {key: REDACTED}}] == third["a"]
    assert [[key, REDACTED], [key, REDACTED]] == fourth["headers"]


@pytest.mark.parametrize(
    "key",
    [
        "input_tokens",
        "llm_output_tokens",
        "tokens",
        "x-ratelimit-reset-tokens",
        "token_count",
        "token_limit",
        "token_type",
        "max_tokens",
        "author",
        "auth_method",
        "keyboard",
        "key",
        "monkey",
        "passport",
        "secretary",
        "compass",
        "api_version",
        "cache_key",
        "token",
        "access_token",
        "time_to_first_token",
        "cost_per_token",
        "total_token",
        "pass",
        "2",
    ],
)
def test_a_harmless_key_keeps_its_value(logged: Logged, key: str) -> None:
    """Counts of tokens are kept, and so are keys that contain a secret's name within a word."""
    configure_logging(log_format="json")

    get_logger("a").info("e", **{key: 17})

    [line] = logged()
    assert 17 == line[key]


INNOCENT: dict[str, object] = {
    "next_page_token": "CAUQAA",
    "nextPageToken": "CAUQAA",
    "eos_token": "<|end|>",
    "eos_token_id": 50256,
    "first_token_ms": 12.5,
    "password_policy": "strict",
    "csrf_view": "bakery.views.refused",
    "cookie_banner": "shown",
    "session_id": "s-17",
    "session-id": "s-17",
    "sessionId": "s-17",
    "signature": "f(x) -> int",
    "sig": "SIGTERM",
    "first_pass": "clean",
    "tags": ["auth", "billing"],
    "columns": ["token", "created_at"],
    "tokens": ["Hel", "lo"],
}


@pytest.mark.parametrize("key", INNOCENT)
def test_a_word_about_secrets_is_none(logged: Logged, key: str) -> None:
    """The last word of a key decides, and two words in a list are no header."""
    configure_logging(log_format="json")

    get_logger("a").info("e", **{key: INNOCENT[key]}, deep=[{key: INNOCENT[key]}])

    [line] = logged()
    assert (INNOCENT[key], [{key: INNOCENT[key]}]) == (line[key], line["deep"])


def test_a_long_signature_is_a_secret(logged: Logged) -> None:
    """A signed address is as good as a password, as long as it holds."""
    configure_logging(log_format="json")

    get_logger("a").info("e", query={"sig": "a1" * 12})

    [line] = logged()
    assert {"sig": REDACTED} == line["query"]


def test_only_a_name_and_a_value_are_a_header(logged: Logged) -> None:
    """A list of other pairs is kept; a key of a dict is a text too."""
    configure_logging(log_format="json")

    get_logger("a").info("e", pairs=[(1, "x"), ("token", "x", 1)], deep={"api_key=hunter2": 1})

    [line] = logged()
    assert [[1, "x"], ["token", "x", 1]] == line["pairs"]
    assert {"api_key=[redacted]": 1} == line["deep"]


@pytest.mark.parametrize("value", [None, True, False])
def test_whether_a_secret_is_set_is_no_secret(logged: Logged, value: object) -> None:
    """Booleans and None are kept."""
    configure_logging(log_format="json")

    get_logger("a").info("e", has_password=value, deep={"token": value})

    [line] = logged()
    assert (value, value) == (line["has_password"], line["deep"]["token"])


def test_keys_that_the_application_names_are_hidden_too(logged: Logged) -> None:
    """`redact_keys` adds to the list; case and separators do not matter."""
    configure_logging(log_format="json", redact_keys=("ssn", "card_number"))

    get_logger("a").info("e", SSN=1, card_number=2, cardNumber=3, deep={"Card-Number": 4}, card=5)

    [line] = logged()
    assert [REDACTED] * 3 + [{"Card-Number": REDACTED}, 5] == [
        line[key] for key in ("SSN", "card_number", "cardNumber", "deep", "card")
    ]


def test_keys_of_ours_are_hidden_where_the_application_names_them(logged: Logged) -> None:
    """`redact_keys` may name a field of our own lines."""
    configure_logging(log_format="json", redact_keys=("path",))
    request = Exchange("job-1")
    request.watch("GET", "/patients/jane-doe", "", frozenset())
    request.finish()

    assert [("GET", REDACTED)] == [(line["method"], line["path"]) for line in logged()]


JWT = "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxMjM0In0.dBjftJeZ4CVP"
KEY = "0123456789abcdefghijABCDEFGHIJ"

SECRETS = {
    "parameter of SQLAlchemy": (
        "{'id_1': 5, 'api_token_1': 'a1b2c3'}",
        "{'id_1': 5, 'api_token_1': '[redacted]'}",
    ),
    "inserted by SQLAlchemy": (
        "{'email__12': 'x', 'password__12': 'a1b2c3'}",
        "{'email__12': 'x', 'password__12': '[redacted]'}",
    ),
    "pair with a number": ("('password_1', 'a1b2c3')", "('password_1', '[redacted]')"),
    "bearer": ("Authorization: Bearer abc123DEF456", "Authorization: Bearer [redacted]"),
    "bearer in small letters": ("bearer abc123def456 used", "bearer [redacted] used"),
    "long bearer of letters": ("Bearer " + "a" * 30, "Bearer [redacted]"),
    "basic": ("Basic dXNlcjpwYXNzd29yZA==", "Basic [redacted]"),
    "url": ("postgres://user:pa55@db:5432/x failed", "postgres://[redacted]@db:5432/x failed"),
    "url with an at sign": ("redis://:p@ss@cache/0", "redis://[redacted]@cache/0"),
    "url with slashes": ("amqp://a:p@s/w0@mq//, b@c", "amqp://[redacted]@mq//, b@c"),
    "url with a path of HTTP": ("http://a:b1@c/d@1", "http://[redacted]@c/d@1"),
    "several urls": ("a://b:c/1@d/e,f://g:h/1@i", "a://[redacted]@d/e,f://[redacted]@i"),
    "url with a user only": (f"https://{KEY}@sentry.test/1", "https://[redacted]@sentry.test/1"),
    "query": ("GET /?api_key=k1&page=2", "GET /?api_key=[redacted]&page=2"),
    "encoded query": ("next=%2F%3Ftoken_x%3D1&access_token%3Dabc", None),
    "assignment": ("password=hunter2, user=x", "password=[redacted], user=x"),
    "repr": ("User(name='x', password='hun ter2')", "User(name='x', password='[redacted]')"),
    "double quotes": ('db_password="a\\"b" ok', 'db_password="[redacted]" ok'),
    "json": ('{"user": "x", "password": "hun\\"ter2"}', '{"user": "x", "password": "[redacted]"}'),
    "dict": ("{'client_secret':'hunter2', 'a': 1}", "{'client_secret':'[redacted]', 'a': 1}"),
    "number in json": ('{"pwd": 1234}', '{"pwd": "[redacted]"}'),
    "openai": (f"key sk-proj-{KEY} refused", "key [redacted] refused"),
    "anthropic": (f"sk-ant-api03-{KEY}", "[redacted]"),
    "stripe": (f"sk_live_{KEY}", "[redacted]"),
    "aws": ("AKIAIOSFODNN7EXAMPLE", "[redacted]"),
    "google": ("AIza" + "a" * 35, "[redacted]"),
    "github": (f"ghp_{KEY}", "[redacted]"),
    "github, fine-grained": (f"github_pat_{KEY}", "[redacted]"),
    "gitlab": (f"glpat-{KEY}", "[redacted]"),
    "slack": (f"xoxb-{KEY}", "[redacted]"),
    "hugging face": (f"hf_{KEY}", "[redacted]"),
    "groq": (f"gsk_{KEY}", "[redacted]"),
    "jwt": (f"got {JWT} back", "got [redacted] back"),
    "pem": (
        "-----BEGIN RSA PRIVATE KEY-----\nMIIE\n-----END RSA PRIVATE KEY-----\nafter",
        "[redacted]\nafter",
    ),
    "pem that is cut": ("-----BEGIN PRIVATE KEY-----\nMIIE", "[redacted]"),
}


@pytest.mark.parametrize("name", SECRETS)
def test_a_secret_inside_a_string_is_hidden_wherever_it_stands(logged: Logged, name: str) -> None:
    """Secrets are hidden in messages, nested fields, bytes and tracebacks."""
    configure_logging(log_format="json")
    text, expected = SECRETS[name]

    logging.getLogger("a").info("%s", text)
    get_logger("a").info("e", field=text, deep=[{"x": text}], raw=text.encode())
    get_logger("a").info("e", exc_info=ValueError(text))

    message, fields, traceback = logged()
    shown = message["event"]
    if expected is not None:
        assert expected == shown
    assert shown != text
    assert [shown, [{"x": shown}], shown] == [fields[key] for key in ("field", "deep", "raw")]
    assert traceback["exception"] == f"ValueError: {shown}"


@pytest.mark.parametrize(
    "text",
    [
        "Basic authentication failed",
        "Basic Authentication failed",
        "the bearer of this letter",
        "token_type=bearer expires_in=3600",
        'Bearer resource_metadata="https://example.test/oauth", error="invalid_token"',
        "x-ratelimit-reset-tokens: 6ms",
        "password: must be longer",
        "wrong password",
        "https://example.test/a?mail=b@c.test",
        "see https://example.test/@user",
        "risk-assessment-of-the-quarter",
        "0af76519-16cd-43dd-8448-eb211c80319c",
        "a = b",
        "token bucket is empty",
        "ghost in the shell",
        "llm.generate model=fast input_tokens=12",
        "eyJust a word",
    ],
)
def test_harmless_text_is_left_as_it_is(text: str) -> None:
    """Text that looks a little like a secret is kept."""
    assert text == Redactor().text(text)


def test_settings_on_every_line_are_redacted_too(logged: Logged) -> None:
    """A release that contains a credential does not leak it."""
    configure_logging(log_format="json", release="git+https://user:pass@host/repo")

    logging.getLogger("a").info("e")

    [line] = logged()
    assert "git+https://[redacted]@host/repo" == line["release"]


def test_the_caches_are_bounded(logged: Logged) -> None:
    """The caches of words and keys from outside are bounded, and their results stay correct."""
    configure_logging(log_format="json")
    redactor = Redactor()
    for number in range(10_000):
        assert not redactor.is_secret(f"key_{number}")
        assert redactor.is_secret(f"password_{number}")
        assert f"word {number}" == redactor.text(f"word {number}")
        logging.getLogger("a").debug("e")

    assert len(redactor.harmless) <= 4096
    assert [] == logged()


STARTS = (
    *(
        "sk-",
        "eyJ",
        "AK",
        "xoxb-",
        "sq0csp-",
        "glpat-",
        "nvapi-",
        "-----BEGIN ",
        "slack.com/",
        "://a:",
    ),
    *("token=", "token: ", "sig=", "sig='", "'token': '", '"token": [', "cookie: ", "--token "),
    *("authorization: x ", "password=X(", "password=X('", "<token>", "('token','", "token%3D"),
    *(
        "bearer ",
        "basic a-",
        "12345678:",
        "token  =",
        "password=a.b[",
        "cookie: [",
        *(
            "curl -u a:",
            "curl -u 'a:",
            "mysql -p",
            "-password ",
            "&quot;token&quot;:&quot;",
            "%2522",
        ),
        *('form-data; name="token"\r\n\r\n', "login a password ", "identified by '", "</token>"),
        *('"name":"token","value":', "password '", ":5432:a:b:", "token: |\n  ", "$6$", "ATATT"),
        *(
            "\\u0022",
            "value: ",
            "<a name='token'>",
            "[type=x, input_value='",
            "--token '",
            "token: a =",
        ),
        '\\"token\\":\\"',
    ),
)
FILLS = (
    "a",
    "a1",
    "A-",
    "_",
    "1",
    " ",
    "=",
    ":",
    "'",
    '"',
    "\\",
    "[",
    "{",
    "(",
    "<",
    "@",
    "/",
    ".",
)


def test_no_text_from_outside_stops_the_process() -> None:
    """A quadratic pattern would take hours for these, and this process has a limit of CPU time."""
    done = run(f"""
        import resource
        from pantheon_obs.sinks.redact.redactor import Redactor
        resource.setrlimit(resource.RLIMIT_CPU, (30, 30))
        starts, fills = {STARTS!r}, {FILLS!r}
        for start in starts:
            Redactor().text(start * (20_000 // len(start)))
            for fill in fills:
                Redactor().text(start + fill * 10_000)
                Redactor().text((start + fill * 40) * (10_000 // (40 + len(start))))
        for unit in ("-p,", "kty:>"):  # read to the end at each place: 16 seconds for 1 MB
            Redactor(limit=2**25).text(unit * 2**20)
    """)

    assert (b"", 0) == (done.stderr, done.status)


@pytest.mark.parametrize("name", ["cookie", "Set-Cookie", "authorization", "Proxy-Authorization"])
def test_headers_that_stand_in_a_text_are_redacted(name: str) -> None:
    """The repr of a request's headers, as some span descriptions and messages have it."""
    headers = {"accept": "*/*", name: "a=hunter2-hunter2"}

    assert "hunter2" not in Redactor().text(f"call(request_headers=Headers({headers!r}))")


@pytest.mark.parametrize("keep_end", [False, True])
@pytest.mark.parametrize("shift", range(0, 60, 7))
def test_a_secret_across_the_cut_does_not_come_out_half(shift: int, *, keep_end: bool) -> None:
    """A text is cut before it is redacted, but looked at beyond the cut."""
    secret = f"sk-{KEY}{KEY}"
    text = f"{'x ' * 3_000}{secret}{' y' * 3_000}"
    limit = 6_000 + shift

    shown = Redactor(limit=limit).text(text, keep_end=keep_end)

    cut = f"[{len(text) - limit} bytes cut]"
    assert (True, 1) == (
        (shown.startswith if keep_end else shown.endswith)(cut),
        shown.count("cut]"),
    )
    assert KEY[:3] not in shown


def test_bytes_are_cut_before_they_are_read(logged: Logged) -> None:
    """Random bytes as text are four times as long; only the part that appears is read."""
    configure_logging(log_format="json", max_line_bytes=10_000)

    get_logger("a").info("e", data=b"token=hunter2 " * 2_000_000, few=b"\xff" * 20)
    get_logger("a").info("e", data="é".encode() * 50_000)

    first, second = logged()
    assert "hunter2" not in first["data"]
    assert first["data"].startswith("token=[redacted] token=[redacted] ")
    assert first["data"].endswith(" bytes cut]")
    assert "\\xff" * 20 == first["few"]
    assert second["data"].startswith("éé")
    assert second["data"].endswith(" bytes cut]")


@pytest.mark.parametrize("place", ["start", "end", "behind a second run"])
def test_secrets_beside_an_unbroken_run_are_hidden(place: str) -> None:
    """The middle of base64 is not searched; its ends are."""
    run_of_letters = "Ab1/" * 10_000
    texts = {
        "start": f"api_key=hunter2hunter2 data:image;base64,{run_of_letters}",
        "end": f"{run_of_letters} api_key=hunter2hunter2",
        "behind a second run": f"{run_of_letters}, {run_of_letters} api_key=hunter2hunter2",
    }
    redacted = Redactor().text(texts[place])

    assert texts[place].replace("hunter2hunter2", REDACTED) == redacted


def test_a_secret_that_is_an_unbroken_run_is_hidden_to_its_end() -> None:
    """The place of a secret is that in the whole text, without the parts left out."""
    assert "token=[redacted] 17" == Redactor().text(f"token={'aB1-' * 10_000} 17")
    assert "a token=[redacted]" == Redactor().text("a token=" + "aB1-" * 5118)  # 10 whole pieces


def test_a_text_of_very_many_secrets_is_cut_behind_them() -> None:
    """Each secret takes its time, in one text or in several."""
    texts = [f"token=hunter{number} " for number in range(20_000)]
    long = "".join(texts)

    shown = "token=[redacted] " * 4096 + "token"
    assert f"{shown}[{len(long) - long.index('=hunter4096')} bytes cut]" == Redactor().text(long)
    items = Redactor().clean(texts)
    assert ["token=[redacted] "] * 4096 + ["<15904 more>"] == items


def test_the_parts_of_the_names_of_secrets_are_complete() -> None:
    """A name that stands beside a value in a text is judged only if it has one of them."""
    assert [] == [name for name in NAMES if not any(part in name.lower() for part in PARTS)]


@pytest.mark.parametrize(
    "text",
    [
        "login ada password hunter2hunter2 ",
        "user LIKE 'ada' ",
        "Key (city, token)=(Oslo, hunter2) already exists ",
        "INSERT INTO a (city) VALUES ('Oslo'); ",
        "INSERT INTO a (b, token) VALUES ('Oslo', 'hunter2'); ",
        "[SQL: UPDATE a SET token=?]\n[parameters: ('hunter2',)]\n",
    ],
)
def test_a_text_of_very_many_statements_is_cut_behind_them(text: str) -> None:
    """Each statement takes its time, whether or not it has a secret."""
    shown = Redactor().text(text * 6_000)

    assert shown.startswith(Redactor().text(text) * 50)
    assert shown.endswith(" bytes cut]")
    assert "hunter2" not in shown


# One place in each of these, at which there is a secret or may be one.
UNITS = (
    "secret=hunter2hunter2 ",
    "api_key: Ab12Cd34Ef56Gh78 ",
    "<password>x1y2z3 ",
    "password 'hunter2' ",
    "password=none ",
    "session=ab12 ",
    "?code=1234 ",
    "value: x, ",
    "authorization: x\n",
    "prompt_tokens=1 ",
    "--word word ",
    "curl -u ada:hunter2 ",
    "postgres://app@db/shop ",
    "Bearer abcdefg ",
    "user LIKE 'ada' ",
    "login ada password hunter2hunter2 ",
)


@pytest.mark.parametrize("unit", UNITS)
def test_a_text_that_does_not_fit_is_cut_behind_few_places(unit: str) -> None:
    """Each place takes its time; writing the text, which is to take half as long, takes little."""
    text = unit * (1_200_000 // len(unit))
    most = len(text) // 8192
    word = unit[:6]

    shown = Redactor().text(text)
    assert (True, 1) == (most // 2 <= shown.count(word) <= most + 1, shown.count(" bytes cut]"))
    items = Redactor().clean([unit] * 100_000)
    assert len(items) <= 4096
    assert items[-1].endswith(" more>")


@pytest.mark.parametrize("unit", UNITS[:-2])
def test_a_text_with_its_end_kept_is_cut_before_few_places(unit: str) -> None:
    """Half of the places are searched only because a secret may reach into the shown part."""
    text = unit * (1_200_000 // len(unit))

    shown = Redactor().text(text, keep_end=True)
    assert shown.endswith(Redactor().text(unit))
    assert (True, 1) == (shown.startswith("["), shown.count(" bytes cut]"))
    assert shown.count(unit[:6]) <= len(text) // 8192 // 2 + 1


def test_a_text_of_a_structure_that_does_not_fit_is_cut_too() -> None:
    """Together they exceed the limit; the first is not searched whole."""
    text = "a b " * 150_000
    first, rest = Redactor().clean([text, text])

    shown = 32_768 - 2
    assert f"{text[:shown]}[{600_000 - shown} bytes cut]" == first
    assert "<1 more>" == rest


def test_a_smaller_text_that_does_not_fit_is_cut_to_a_part_of_it() -> None:
    """To search all that fits would take several times as long as to write the text."""
    redactor = Redactor(limit=100_000)
    text = "a b " * 100_000

    shown = 400_000 // 15 - 4096
    assert text[:100_000] == redactor.text(text[:100_000])
    assert f"{text[:shown]}[{400_000 - shown} bytes cut]" == redactor.text(text)


def test_the_members_of_many_json_web_keys_are_hidden() -> None:
    """They are looked for around the types of the keys; a member may be longer than these."""
    key = '{"kty": "RSA", "n": "public", "d": "%s"}'
    long = Redactor().text(key % ("Ab1-" * 3_000))
    many = Redactor().text(" ".join([key % ("Ab1-" * 9), "x" * 9_000, key % ("Cd2-" * 9)]))

    assert key % REDACTED == long
    assert " ".join([key % REDACTED, "x" * 9_000, key % REDACTED]) == many


def test_long_texts_are_searched_at_the_same_places_as_short_ones() -> None:
    """Their patterns are others, one for each sign behind a name."""
    text = "\n".join([*(secret for secret, _ in secrets_in_text().values()), *TEXTS])
    for extra in (frozenset[str](), frozenset({"ssn"})):
        apart = (find(text) for _, find in name_signs_apart(extra))
        found = sorted(place.start() for places in apart for place in places)
        assert [place.start() for place in name_signs(extra)(text)] == found


@pytest.mark.parametrize("redactor", [Redactor(), Redactor(["ssn"])], ids=["built-in", "more"])
def test_a_text_is_redacted_alike_behind_many_words(redactor: Redactor) -> None:
    """Most texts of the corpus are short; behind these words they are searched as long ones."""
    words = "plain words " * 30 + "\n"
    texts = [*(secret for secret, _ in secrets_in_text().values()), *TEXTS]
    differing = [
        each for each in texts if words + redactor.text(each) != redactor.text(words + each)
    ]

    assert [] == differing


def test_lines_and_rules_of_a_long_text_stay() -> None:
    """Their middle is not searched; the text around them is."""
    text = "=" * 20_000 + " token=hunter2 " + "-:" * 5_000

    assert text.replace("hunter2", REDACTED) == Redactor().text(text)


def test_a_text_that_does_not_fit_keeps_64_kib(logged: Logged) -> None:
    """To search all that could appear would take many times as long as to write it."""
    configure_logging(log_format="json")

    get_logger("a").info("e", text="a b " * 300_000, few="a b " * 250_000, raw=b"a b " * 300_000)

    [line] = logged()
    cut = f"[{1_200_000 - 65_536} bytes cut]"
    assert ["a b " * 16_384 + cut] * 2 == [line["text"], line["raw"]]
    assert line["few"].startswith("a b " * 200_000)


def test_the_name_beside_a_value_is_one_of_the_first_fields() -> None:
    """To read all fields for each value of a very large mapping would take quadratic time."""
    named = {"name": "DB_PASSWORD", "value": "hunter2"}
    many = {f"value{number}": "x" for number in range(20_000)}

    redactor = Redactor()
    cleaned = [redactor.clean(fields) for fields in (named | many, many | named)]
    assert [REDACTED, "hunter2"] == [fields["value"] for fields in cleaned]


def test_a_name_and_a_value_of_the_line_itself_belong_together(logged: Logged) -> None:
    """Fields of the line are judged as those of a mapping."""
    configure_logging(log_format="json")

    for name, value in (("DB_PASSWORD", "hunter2"), ("HOST", "db")):
        get_logger("a").info("e", name=name, value=value)
    piece = {"token": "Hel", "logprob": -0.3}
    get_logger("a").info("e", **piece)

    first, second, third = logged()
    assert (REDACTED, "db", "Hel") == (first["value"], second["value"], third["token"])


def test_the_private_members_of_a_json_web_key_are_hidden() -> None:
    """The public ones stay: `n`, `e`, `x` and `y`."""
    key = {"kty": "EC", "crv": "P-256", "x": "f83OJ3D2", "y": "x_FEzRu9", "d": "jpsQnnGQ"}

    assert {**key, "d": REDACTED} == Redactor().clean(key)
    assert {"keys": [{"k": REDACTED, "kty": "oct"}]} == Redactor().clean(
        {"keys": [{"k": "AyM1", "kty": "oct"}]}
    )


def test_the_secret_of_a_command_is_found_in_its_arguments() -> None:
    """Only the secret is replaced; an option that needs no secret keeps its value."""
    commands = {
        ("mysql", "-uroot", "-pS3cret", "-h", "db"): [
            "mysql",
            "-uroot",
            "-p[redacted]",
            "-h",
            "db",
        ],
        ("/usr/bin/curl", "-u", "ada:S3cret"): ["/usr/bin/curl", "-u", "ada:[redacted]"],
        ("curl", "-uada:S3cret"): ["curl", "-uada:[redacted]"],
        ("curl", "-uada", "-u", "ada:"): ["curl", "-uada", "-u", "ada:"],
        ("sshpass", "-p", "S3cret", "-"): ["sshpass", "-p", "[redacted]", "-"],
        ("tool", "--token", "***", "--secret"): ["tool", "--token", "***", "--secret"],
        ("tool", 7, "-key-pass", "S3cret"): ["tool", 7, "-key-pass", "[redacted]"],
    }

    assert list(commands.values()) == [Redactor().clean(list(given)) for given in commands]


def test_the_secrets_of_a_flat_list_of_headers_are_hidden() -> None:
    """Names and values alternate, as in raw headers; columns and words are no headers."""
    lists: dict[tuple[object, ...], list[object]] = {
        ("Accept", "*/*", "X-Api-Key", "S3cret"): ["Accept", "*/*", "X-Api-Key", REDACTED],
        (b"host", b"a", b"cookie", b"a=S3cret"): ["host", "a", "cookie", REDACTED],
        ("Cookie", "a=S3cret", "Authorization", "enabled"): [
            "Cookie",
            REDACTED,
            "Authorization",
            "enabled",
        ],
    }
    lists |= {
        each: list(each)
        for each in (
            ("id", "token", "name", "user_2"),
            ("key", "value1", "token", "user_id_2"),
            ("password", "***", "token", 17),
            ("token", "Hello", "token", "world"),
            ("token", "v1", 7, "v2"),
            ("token", 17),
            ("token", "santa-2024", "secret", "usage-2024"),
            ("x-signature", "a1b2c3d4e5f6a7b8", "host", "h1"),
        )
    }

    assert list(lists.values()) == [Redactor().clean(list(given)) for given in lists]


def test_a_statement_of_very_many_values_is_replaced_behind_them() -> None:
    """Each value takes its time."""
    head = "insert into a (city, token) values "
    shown = Redactor().text(head + "('a1', 'b2'), " * 5_000)

    assert shown.startswith(head + "('a1', '[redacted]'), " * 500)
    assert shown.endswith(" bytes cut]")
    assert 0 == shown.count("b2")


def test_names_of_the_application_hide_all_their_values() -> None:
    """A harmless value under our names may be a secret under a name of `redact_keys`."""
    redactor = Redactor(("ward",))

    assert {"ward": REDACTED, "wards": "enabled"} == redactor.clean(
        {"ward": "enabled", "wards": "enabled"}
    )
    assert f"ward=[redacted] {{'ward': {REDACTED!r}}}" == redactor.text(
        "ward=enabled {'ward': ['required']}"
    )


def test_a_list_is_read_as_long_as_its_line_may_be(logged: Logged) -> None:
    """Twelve thousand small dicts fit; of a longer list, the part that can appear is read."""
    rows = [{"row": number, "city": "Oslo", "token": None} for number in range(12_000)]
    configure_logging(log_format="json")
    get_logger("a").info("e", rows=rows, deep={"deeper": rows[:3_000]})

    [line] = logged()
    assert (rows, rows[:3_000]) == (line["rows"], line["deep"]["deeper"])

    redactor = Redactor(limit=1_000)
    shown = redactor.clean(rows)
    assert rows[: len(shown) - 2] == shown[:-2]
    assert f"<{len(rows) - len(shown) + 1} more>" == shown[-1]
    wide = redactor.clean({f"field_{number}": number for number in range(1_000)})
    assert f"<{1_000 - len(wide) + 1} more>" == wide["..."]


def test_a_structure_that_does_not_fit_keeps_32_kib(logged: Logged) -> None:
    """To redact all that could appear would take many times as long as to write it."""
    configure_logging(log_format="json")
    texts = [f"text {number:05}" for number in range(100_000)]
    fitting = texts[:80_000]  # 13 bytes each, quotes and comma included

    get_logger("a").info("e", whole=fitting)
    get_logger("a").info("e", long=texts, rows=[{"row": row, "n": [1.5]} for row in range(60_000)])

    whole, cut = logged()
    assert fitting == whole["whole"]
    for name, total in (("long", 100_000), ("rows", 60_000)):
        kept = cut[name][:-1]
        assert 30_000 < len(str(kept)) < 100_000
        assert f"<{total - len(kept)} more>" == cut[name][-1]


def test_names_of_the_application_are_secret_inside_texts_too() -> None:
    """`redact_keys` and the built-in names are one list, for keys and inside texts."""
    redactor = Redactor(("card_number", "ssn"))

    assert "cardNumber=[redacted], ssn: '[redacted]'" == redactor.text("cardNumber=4711, ssn: '12'")
    assert '{"card-number": "[redacted]", "card": 5}' == redactor.text(
        '{"card-number": 4711, "card": 5}'
    )
    assert "('ssn', '[redacted]') <ssn>[redacted]</ssn>" == redactor.text(
        "('ssn', '123') <ssn>12</ssn>"
    )


TEXTS_BY_KIND = {
    '{"auth": {"a": [1, "b"]}, "left": 2}': '{"auth": "[redacted]", "left": 2}',
    "Config(token=Token(value='a1b2'), port=1)": "Config(token=Token(value='[redacted]'), port=1)",
    "password=SecretStr(value)": "password=SecretStr(value)",
    "password = a1, b": "password = [redacted], b",
    '{"password": (1, "a1")}': '{"password": "[redacted]"}',
    "token: 'a": "token: '[redacted]",
    'token="a\\\\" b': 'token="[redacted]" b',
    '{"auth": ["a\\"]", "b"], "left": 2}': '{"auth": "[redacted]", "left": 2}',
    "<token>" + "a1" * 150 + "</token>": "<token>[redacted]</token>",
    "token: " + "a1" * 20: "token: [redacted]",
    '{"auth": ["a1", "b"': '{"auth": "[redacted]"',
    "<token> a1b2c3 </token>": "<token> [redacted] </token>",
    "<token><![CDATA[a1b2c3]]></token>": "<token><![CDATA[[redacted]]]></token>",
    "{&quot;token&quot;:&quot;a1b2&quot;}": "{&quot;token&quot;:&quot;[redacted]&quot;}",
    "<token>a1b2c3</token><token>": "<token>[redacted]</token><token>",
    "authorization: a1b2c3d4e5 was refused": "authorization: [redacted] was refused",
    "x='Cookie: a=b; c=d', y=1": "x='Cookie: [redacted]', y=1",
    '{\\"seen\\": \\"Cookie: a=b\\", \\"n\\": 1}': (
        '{\\"seen\\": \\"Cookie: [redacted]\\", \\"n\\": 1}'
    ),
    "password: v2 is in use": "password: v2 is in use",
    "sig=" + "a" * 300: "sig=[redacted]",
    "key=--token": "key=--token",
    "see --port 17": "see --port 17",
    "secret==a1": "secret==a1",
    ":=a1 %3Da1 =a1": ":=a1 %3Da1 =a1",
    "token=": "token=",
    "('token', 'a1b2', 3)": "('token', 'a1b2', 3)",
    "f('x', 'token', 'a1b2')": "f('x', 'token', 'a1b2')",
    "<a token>a1</a>": "<a token>a1</a>",
    "<token>7</token>": "<token>7</token>",
    "Authorization: Bearer 'a1b2c3d4'": "Authorization: Bearer 'a1b2c3d4'",
}


@pytest.mark.parametrize("text", TEXTS_BY_KIND)
def test_the_place_of_a_value_is_found_exactly(text: str) -> None:
    """Neither less nor more than the value is replaced."""
    assert TEXTS_BY_KIND[text] == Redactor().text(text)


def test_headers_of_werkzeug_are_redacted(logged: Logged) -> None:
    """A class that is no mapping shows its pairs in its repr."""
    headers = pytest.importorskip("werkzeug.datastructures").Headers([("X-Auth-Token", "a1b2c3")])
    configure_logging(log_format="json")

    get_logger("a").info("e", headers=headers)

    [line] = logged()
    assert {"X-Auth-Token": "[redacted]"} == line["headers"]


def test_the_last_part_of_a_place_in_an_input_names_its_value() -> None:
    """Pydantic shows refused input in this form."""
    refused = {"loc": ("body", "password"), "input": "rye-and-oats"}

    assert "rye-and-oats" not in str(Redactor().clean(refused))
