"""Whether the value of a key is a secret: by the words of the key, and by the kind of the value."""

from __future__ import annotations

import re
from numbers import Number
from typing import TYPE_CHECKING

from pantheon_obs.sinks.redact_patterns import Pattern

if TYPE_CHECKING:
    from collections.abc import Callable, Collection

    Rule = Callable[[object], bool]

words_of = re.compile(r"[^a-zA-Z0-9]+|(?<=[a-z0-9])(?=[A-Z])").split

# The last word of a name says what it is: a `password_policy` is a policy.
_SECRETS = frozenset({
    "apikeys", "auth", "authorisation", "authorization", "cred", "creds", "csrf", "cvc", "cvv",
    "jwt", "otp", "passwords", "psk", "secrets", "totp", "xsrf",
})  # fmt: skip
# Those that may also end a longer word, as in `dbpassword` and `PHPSESSID`.
_ENDS = (
    "accesskey", "accountkey", "apikey", "aspxauth", "authkey", "cookie", "cookies", "credential",
    "credentials", "encryptionkey", "masterkey", "passcode", "passphrase", "passwd", "password",
    "privatekey", "privatekeypem", "pwd", "samlresponse", "secret", "secretkey", "sessid",
    "sessionid", "sessionkey", "sharedkey", "signingkey",
)  # fmt: skip
_ENGLISH = ("bypass", "compass", "overpass", "surpass", "trespass", "underpass")
_KEYS = frozenset({
    "access", "account", "aes", "api", "auth", "client", "consumer", "decryption", "enc",
    "encryption", "fernet", "functions", "hmac", "jwt", "master", "private", "secret", "session",
    "shared", "signing", "ssh", "storage", "subscription", "webhook",
})  # fmt: skip
# Keys of data, and public ones. Any other key is a secret if it is random: `azure_openai_key`.
_OF_DATA = frozenset({
    "artifact", "asset", "batch", "blob", "bucket", "cache", "checksum", "composite", "content",
    "correlation", "dedup", "dedupe", "deduplication", "document", "entity", "event", "file",
    "fingerprint", "foreign", "group", "hash", "host", "hot", "idempotency", "idx", "image",
    "index", "item", "job", "lock", "lookup", "media", "memo", "message", "natural", "object",
    "order", "partition", "path", "primary", "pub", "public", "query", "range", "record", "redis",
    "request", "routing", "row", "s3", "schema", "sequence", "shard", "sort", "surrogate", "tag",
    "task", "trace", "unique", "upload", "url",
})  # fmt: skip
# Words that may follow: a `password_hash` is as good as the password.
_FOLLOWING = frozenset({
    "again", "b64", "base", "base64", "bytes", "confirm", "confirmation", "current", "digest",
    "encoded", "encrypted", "hash", "header", "hex", "json", "new", "old", "pem", "plain",
    "plaintext", "previous", "prod", "production", "provided", "raw", "repeat", "staging", "str",
    "string", "value", "values",
})  # fmt: skip
LAST_WORDS = frozenset((*_SECRETS, *_ENDS, *_FOLLOWING)) | {
    *("key", "keys", "pass", "sig", "signature", "token", "tokens"),
    *("assertion", "bearer", "clearance", "input", "netloc", "session", "sid"),
}
"""The words that a secret's name can end with; a number may follow."""

# A page's token is a place in a list, and a model's token is a piece of text.
_PLACES = frozenset({
    "audio", "begin", "bos", "cached", "cls", "completion", "continuation", "cursor", "end", "eos",
    "first", "image", "input", "last", "mask", "max", "min", "next", "num", "output", "pad",
    "page", "per", "prev", "previous", "prompt", "reasoning", "sampled", "sep", "special", "start",
    "stop", "sync", "total", "unk", "word",
})  # fmt: skip
_OF_USERS = frozenset({
    "access", "api", "auth", "bearer", "csrf", "device", "id", "oauth", "refresh", "reset",
    "secret", "session",
})  # fmt: skip
# The cookies of frameworks, and those that browsers accept from their own host only.
_SESSIONS = (
    ["connect", "sid"], ["laravel", "session"], ["rack", "session"], ["gitlab", "session"],
    ["cf", "clearance"], ["cf", "bm"],
)  # fmt: skip
_OF_COOKIES = ("__host-", "__secure-", "wordpress_logged_in")
_PHRASES = frozenset({"code", "phrase", "word"})
_LICENSES = frozenset({"activation", "licence", "license"})
_ASSERTIONS = frozenset({"client", "jwt", "saml"})
_CODES = frozenset({
    "auth", "authorization", "backup", "device", "mfa", "oauth", "otp", "pin", "recovery",
    "security", "totp", "verification",
})  # fmt: skip
_RUNS = frozenset({"boarding", "first", "last", "next", "one", "render", "second", "third", "two"})

# Values whose name stands beside them: `{"name": "DB_PASSWORD", "value": …}`, `ParameterValue`.
_VALUES = frozenset({"content", "default", "input", "new", "old", "v", "val", "value", "values"})
NAMES = frozenset({
    "attribute", "column", "env", "field", "header", "id", "k", "key", "label", "loc", "name",
    "option", "param", "parameter", "property", "setting", "var", "variable",
})  # fmt: skip
"""The last words of keys whose value may be the name of a secret that stands beside it."""
PRIVATE = frozenset({"d", "dp", "dq", "k", "p", "q", "qi"})
"""The members of a JSON web key (with `kty` beside them) that are secret: RFC 7518, section 6."""


def is_beside(_value: object) -> bool:
    """Take no value for a secret, unless there is the name of one beside it."""
    return False


def whatever(_value: object) -> bool:
    """Take every value for a secret, also one that says nothing: the application asks for it."""
    return True


def any_value(_value: object) -> bool:
    """Take every value for a secret."""
    return True


def not_a_number(value: object) -> bool:
    """Take every value for a secret but numbers: those under "token" count tokens."""
    return not isinstance(value, Number)


def _like(pattern: str) -> Rule:
    """Take a text for a secret that is like a pattern."""
    match = Pattern(pattern).fullmatch

    def rule(value: object) -> bool:
        text = value.decode("latin-1") if isinstance(value, bytes) else value
        return isinstance(text, str) and match(str.__str__(text)) is not None

    return rule


_like_a_header = _like(r"[A-Z][a-z]*(?:-[A-Za-z]+)*")
# The host of a URL, if a user and a password stand before it.
_has_userinfo = _like(r"[^@]*:[^@]+@.*")
_like_a_signature = _like(r"(?=\D*\d)[A-Za-z0-9+/=_%.-]{20,}")
_like_hex = _like(r"[0-9a-fA-F-]+")
# Not an identifier of a licence, as `LGPL-2.1-or-later` is one.
_like_a_license = _like(r"(?=\D*\d\D*\d)[A-Za-z0-9+/=_-]{12,}|\S{40,}")
# OAuth's: sixteen letters and digits in a row, of both kinds. `ERR_NOT_FOUND` and `404` are others.
_like_a_code = _like(
    r"(?=(?:[A-Za-z0-9]{0,15}+[^A-Za-z0-9]){0,12}+(?=[A-Za-z]{0,40}\d)(?=\d{0,40}[A-Za-z])"
    r"[A-Za-z0-9]{16})[A-Za-z0-9+/=_%.~#-]+"
)


def _no_header_name(value: object) -> bool:
    """Take every value for a secret but the name of a header: `API_KEY_HEADER=X-API-Key`."""
    return not _like_a_header(value)


def _has_code(value: object) -> bool:
    """Take random values for secrets, and lists of them."""
    if isinstance(value, (list, tuple, set, frozenset)):
        return any(map(_like_a_code, value))
    return _like_a_code(value)


def _like_a_session(value: object) -> bool:
    """Tell the cookie of a session from an id, by which LLM services correlate."""
    return _like_a_code(value) and not _like_hex(value)


def rule_for(key: str, extra: Collection[str]) -> Rule | None:
    """Find the rule that tells whether a value under this key is a secret; None means never.

    Args:
        key: The key in any spelling.
        extra: Further secret names, in small letters without separators.
    """
    words = [word.lower() for word in words_of(key) if word]
    if "".join(words) in extra:
        return whatever
    if key.lower().startswith(_OF_COOKIES):
        return any_value
    return _rule_for(list(words)) or (is_beside if words and words[-1] in _VALUES else None)


def _rule_for(words: list[str]) -> Rule | None:
    if words[-2:] in _SESSIONS or words[-3:] == ["net", "session", "id"]:
        return any_value
    following = ""
    while words and (words[-1] in _FOLLOWING or words[-1].removeprefix("v").isdigit()):
        following = words.pop()
    if not words:
        return None
    last, before = words[-1].rstrip("0123456789"), words[-2] if len(words) > 1 else ""
    if last.endswith("token"):
        kind = last.removesuffix("token") or before
        return None if kind in _PLACES or kind.endswith("page") else not_a_number
    if _is_secret(last, before, words):
        if following == "header":
            return _no_header_name
        return not_a_number if last.endswith("s") else any_value  # a number of `cookies`
    return _rule_by_value(last, before, words)


def _is_secret(last: str, before: str, words: Collection[str]) -> bool:
    """Whether every value under a key with these last words is a secret."""
    return (
        (last in _SECRETS or last.endswith((*_ENDS, "pw")))
        or (last == "key" and _is_kept(before))
        or (last == "assertion" and before in _ASSERTIONS)
        or (last == "signature" and ("amz" in words or "goog" in words))
        or (last in {"code", "codes"} and before in _CODES)
        or (last == "verifier" and before == "code")
        or (last in _PHRASES and before == "pass")
        or (last == "bearer" and (not before or before in _OF_USERS))
    )


def _rule_by_value(last: str, before: str, words: Collection[str]) -> Rule | None:
    """Find the rule for a key whose value says whether it is a secret."""
    if last == "key" and before in _LICENSES:
        last = "license"
    if last in _LIKE and (len(words) == 1 or last not in _ALONE):
        return _LIKE[last]
    if last == "tokens":  # not `x-ratelimit-reset-tokens: 6ms`, which is a time
        return not_a_number if before in _OF_USERS and "ratelimit" not in words else _has_code
    if last in {"key", "keys"}:
        if _is_kept(before):
            return not_a_number
        return _has_code if before and before not in _OF_DATA else None
    is_pass = last.endswith("pass") and not last.endswith(_ENGLISH) and before not in _RUNS
    return not_a_number if is_pass else None


def _is_kept(kind: str) -> bool:
    return kind in _KEYS or kind.endswith(("api", "shared"))


_LIKE = {
    "code": _like_a_code,
    "license": _like_a_license,
    "netloc": _has_userinfo,
    "session": _like_a_session,
    "sig": _like_a_signature,
    "signature": _like_a_signature,
    "t": _like_a_code,
}
_ALONE = ("session", "t")
