"""Whether the value of a key is a secret: by the words of the key, and by the kind of the value."""

from __future__ import annotations

import re
from functools import lru_cache
from typing import TYPE_CHECKING

from pantheon_obs.sinks.redact.rules import (
    any_value,
    has_code,
    has_login,
    has_userinfo,
    is_beside,
    is_card,
    like_a_code,
    like_a_license,
    like_a_session,
    like_a_signature,
    no_header_name,
    not_a_number,
    whatever,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable

    from pantheon_obs.sinks.redact.rules import Rule

    RuleOf = Callable[[str], Rule | None]

_JUDGED = 4096  # keys; they may come from outside

words_of = re.compile(r"[^a-zA-Z0-9]+|(?<=[a-z0-9])(?=[A-Z])").split

# The last word of a name says its kind: a `password_policy` is a policy.
_SECRETS = frozenset({
    "apikeys", "auth", "authorisation", "authorization", "cred", "creds", "csrf", "cvc", "cvv",
    "jwt", "otp", "passwords", "psk", "secrets", "totp", "xsrf",
})  # fmt: skip
# Those that may also end a longer word, as in `dbpassword` and `PHPSESSID`.
_ENDS = (
    "accesskey", "accountkey", "apikey", "aspxauth", "authcode", "authkey", "cookie", "cookies",
    "credential", "credentials", "encryptionkey", "masterkey", "passcode", "passphrase", "passwd",
    "password", "privatekey", "privatekeypem", "pwd", "samlresponse", "secret", "secretkey",
    "sessid", "sessionid", "sessionkey", "sharedkey", "signingkey",
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
LAST_WORDS = _SECRETS | _FOLLOWING | {
    *_ENDS, "256", "assertion", "bearer", "card", "clearance", "hmac", "input", "key", "keys",
    "netloc", "number", "pass", "pat", "session", "sid", "sig", "signature", "token", "tokens",
    "verifier",
}  # fmt: skip
"""The words that a secret's name can end with; a number may follow."""

PARTS = (
    "pass", "pw", "psk", "cv", "bearer", "secret", "token", "key", "auth", "cred", "cooki", "jwt",
    "srf", "sess", "sid", "sig", "clearance", "assertion", "otp", "code", "saml", "conn", "card",
    "hmac",
)  # fmt: skip
"""Each name of a secret contains one of these: to look for them takes less time than to judge."""

# A page's token is a place in a list, and a model's token is a piece of text.
_PLACES = frozenset({
    "audio", "begin", "bos", "cached", "cls", "completion", "continuation", "cursor", "end", "eos",
    "first", "image", "input", "last", "mask", "max", "min", "next", "num", "output", "pad",
    "page", "per", "prev", "previous", "prompt", "reasoning", "sampled", "sep", "special", "start",
    "stop", "sync", "total", "unk", "word",
})  # fmt: skip
_number = re.compile("(?:v|sha)?[0-9]+").fullmatch  # of a version or digest
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
_ASSERTIONS = frozenset({"client assertion", "jwt assertion", "saml assertion", "saml response"})
_CODES = frozenset({
    "auth", "authorization", "backup", "device", "mfa", "oauth", "otp", "pin", "recovery",
    "security", "totp", "verification",
})  # fmt: skip
_CARDS = ("cardnumber", "cardno", "cardnum", "creditcard", "ccnumber", "ccnum")
_ADDRESSES = ("connectionstring", "connstring", "connstr")
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


class Keys:
    """The names of secrets: the built-in ones, and further ones.

    Args:
        extra: The further names, in any spelling. Every value under them is a secret.

    Attributes:
        extra: The further names, in small letters without separators.
        rule: Finds the rule that decides whether a value under a key is a secret; None means never.
    """

    def __init__(self, extra: Iterable[str] = ()) -> None:
        self.extra = frozenset("".join(words_of(key)).lower() for key in extra)
        self.rule: RuleOf = lru_cache(_JUDGED)(self._rule)

    def _rule(self, key: str) -> Rule | None:
        words = [word.lower() for word in words_of(key) if word]
        if "".join(words) in self.extra:
            return whatever
        if key.lower().startswith(_OF_COOKIES):
            return any_value
        if "".join(words[-2:]).endswith(_ADDRESSES):
            return has_login
        return _rule_for(list(words)) or (is_beside if words and words[-1] in _VALUES else None)


def _rule_for(words: list[str]) -> Rule | None:
    if words[-2:] in _SESSIONS or words[-3:] == ["net", "session", "id"]:
        return any_value
    following = ""
    while words and (words[-1] in _FOLLOWING or _number(words[-1])):
        following = words.pop()
    if not words:
        return None
    last, before = words[-1].rstrip("0123456789"), words[-2] if len(words) > 1 else ""
    if last.endswith("token"):
        kind = last.removesuffix("token") or before
        return None if kind in _PLACES or kind.endswith("page") else not_a_number
    if _is_secret(last, before, words):
        if following == "header":
            return no_header_name
        return not_a_number if last.endswith("s") else any_value  # a number of `cookies`
    return _rule_by_value(last, before, words)


def _is_secret(last: str, before: str, words: Collection[str]) -> bool:
    """Whether every value under a key with these last words is a secret."""
    return (
        (last in _SECRETS or last.endswith((*_ENDS, "pw")))
        or (last == "key" and _is_kept(before))
        or f"{before} {last}" in _ASSERTIONS
        or (last == "signature" and ("amz" in words or "goog" in words))
        or (last in {"code", "codes"} and before in _CODES)
        or (last == "verifier" and before == "code")
        or (last in _PHRASES and before == "pass")
        or (last == "bearer" and (not before or before in _OF_USERS))
    )


def _rule_by_value(last: str, before: str, words: Collection[str]) -> Rule | None:
    """Find the rule for a key whose value says whether it is a secret."""
    if last == "card" or (before + last).endswith(_CARDS):
        return is_card
    if last == "key" and before in _LICENSES:
        last = "license"
    if last in _LIKE and (len(words) == 1 or last not in _ALONE):
        return _LIKE[last]
    if last == "tokens":  # not `x-ratelimit-reset-tokens: 6ms`, which is a time
        return not_a_number if before in _OF_USERS and "ratelimit" not in words else has_code
    if last.endswith("key") and last != "key":  # not divided: `sshkey`
        last, before = "key", last.removesuffix("key")
    if last in {"key", "keys"}:
        if _is_kept(before):
            return not_a_number
        return has_code if before and before not in _OF_DATA else None
    is_pass = last.endswith("pass") and not last.endswith(_ENGLISH) and before not in _RUNS
    return not_a_number if is_pass else None


def _is_kept(kind: str) -> bool:
    return kind in _KEYS or kind.endswith(("api", "shared"))


_LIKE = {
    **dict.fromkeys(("code", "pat", "t"), like_a_code),
    "hmac": like_a_signature,
    "license": like_a_license,
    "netloc": has_userinfo,
    "session": like_a_session,
    "sig": like_a_signature,
    "signature": like_a_signature,
}
_ALONE = ("session", "t")
