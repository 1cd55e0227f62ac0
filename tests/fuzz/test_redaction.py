"""A secret never leaks, whatever stands around it, and nothing is raised."""

from __future__ import annotations

from hypothesis import assume, example, given
from hypothesis import strategies as st

from pantheon_obs.sinks.redact.keys import PARTS
from pantheon_obs.sinks.redact.redactor import REDACTED, Redactor
from tests.support.secrets import AROUND, FORMS, NAMES, PROVIDERS, drawn, secrets_in_text

SECRETS = secrets_in_text()
SECRET = drawn(24)

# Texts of the characters that mean something to redaction.
pieces = st.sampled_from(
    (
        *"\"'`\\=:,;&%<>()[]{}-_.~@/ \n\t?a1ZéK",
        "//",
        "--",
        "://",
        "token",
        "password",
        "Cookie",
        "sk-",
    )
)
# Names, what may stand around them, their signs, and values.
marks = st.text("\"'`[]\\ (%0_<-x\n", max_size=3)
names = st.sampled_from((*PARTS, *NAMES, "ssn", "dbpw", "?t", "token_v2", "keyB64"))
signs = st.sampled_from(("=", ":", ">", "=>", ",", "'", "%3A", "%3d", " ", "\t", "%22%3A", "%5D="))
values = st.sampled_from(
    ("S3cretValue", "S3cretValue</", '"S3cretValue"', "'S3'", "4111111111111111", "a b", "")
)
named = st.tuples(marks, names, marks, signs, marks, values).map("".join)
noise = st.lists(pieces, max_size=30).map("".join) | st.text(max_size=20)
# Behind these a name begins, before these a value ends.
BEFORE = ("", " ", "\n", "; ", "(", "x=1&")
AFTER = ("", " ", "\n", "&x=1", ") ", "; ")


@given(text=noise)
def test_any_text_is_redacted_once(text: str) -> None:
    """Nothing is raised, what is redacted stays as it is, and a text without a mask is the same."""
    redactor = Redactor()
    redacted = redactor.text(text)

    assert redacted == redactor.text(redacted)
    assert redacted == text or REDACTED in redacted


@given(text=st.lists(named, max_size=3).map("".join), extra=st.sampled_from(((), ("ssn",))))
@example(text="-token\tS3cre", extra=())
@example(text="<token>S3cretValue</token>", extra=())
@example(text="ssn=S3cretValue", extra=("ssn",))
def test_a_text_is_redacted_alike_behind_many_words(text: str, extra: tuple[str, ...]) -> None:
    """A longer text is searched by other patterns, which find the same."""
    redactor = Redactor(extra)
    words = "plain words " * 30 + "\n"

    assert words + redactor.text(text) == redactor.text(words + text)


@given(text=noise, limit=st.integers(0, 40), keep_end=st.booleans())
def test_any_text_is_cut(text: str, limit: int, *, keep_end: bool) -> None:
    """A text that is longer than the limit says how much is missing."""
    redacted = Redactor(limit=limit).text(text * 5, keep_end=keep_end)

    assert (len(text * 5) > max(limit, 64)) <= (" bytes cut]" in redacted)


@given(
    name=st.sampled_from(NAMES),
    form=st.sampled_from(["variable", "query", "repr", "json", "dict"]),
    before=st.text("abc XYZ 017 .,;!?\n", max_size=40),
    behind=st.text("abc XYZ 017 .,;!?\n", max_size=40),
    edges=st.tuples(st.sampled_from(BEFORE), st.sampled_from(AFTER)),
)
@example(name="token", form="variable", before="", behind="", edges=("", ""))
def test_a_named_secret_never_leaks(
    name: str, form: str, before: str, behind: str, edges: tuple[str, str]
) -> None:
    """A planted secret does not come out of prose."""
    assume(edges[0] or not before[-1:].isalnum())  # else it is another name
    text = f"{before}{edges[0]}{FORMS[form].format(n=name, v=SECRET)}{edges[1]}{behind}"

    assert SECRET not in Redactor().text(text)


@given(
    provider=st.sampled_from(sorted(PROVIDERS)), around=st.sampled_from(sorted(AROUND)), text=noise
)
def test_the_key_of_a_provider_never_leaks(provider: str, around: str, text: str) -> None:
    """A planted key does not come out, whatever lines stand around it."""
    made = SECRETS.get(f"{provider}, {around}")
    assume(made is not None)
    planted, secret = made or ("", "")

    assert secret not in Redactor().text(f"{text}\n{planted}\n{text}")


@given(padding=st.integers(0, 200), limit=st.integers(1_000, 1_300), keep_end=st.booleans())
def test_a_cut_leaks_no_half_of_a_secret(padding: int, limit: int, *, keep_end: bool) -> None:
    """Wherever the cut lies, not even the beginning of the value comes out."""
    text = f"{'x ' * 500}{'y' * padding} token={SECRET}{' z' * 700}"

    assert SECRET[:4] not in Redactor(limit=limit).text(text, keep_end=keep_end)
