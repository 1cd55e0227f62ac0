"""Secrets and innocents. Secrets are made when the tests run: no scanner finds any in a file."""

from __future__ import annotations

import string
from random import Random

_LETTERS = string.ascii_letters + string.digits
_HEX = "0123456789abcdef"


def drawn(size: int, alphabet: str = _LETTERS, seed: str = "") -> str:
    """Draw a value that is the same in each run; it has letters and digits in its first half."""
    random = Random(f"{seed}{size}")  # noqa: S311 - nobody's secret
    return "a1" + "".join(random.choice(alphabet) for _ in range(size - 2))


NAMES = (
    *("password", "passwd", "pwd", "db_password", "DB_PASSWORD", "userPassword", "PGPASSWORD"),
    *(
        "dbpassword",
        "DB_PASS",
        "smtp_pass",
        "passphrase",
        "secret",
        "client_secret",
        "clientSecret",
    ),
    *("clientsecret", "secretkey", "secret_key", "SECRET_KEY", "AWS_SECRET_ACCESS_KEY", "api_key"),
    *(
        "apikey",
        "apiKey",
        "X-API-Key",
        "OPENAI_API_KEY",
        "x-goog-api-key",
        "access_key",
        "accesskey",
    ),
    *(
        "private_key",
        "privatekey",
        "signing_key",
        "AccountKey",
        "SharedAccessKey",
        "encryption_key",
    ),
    *("webhook_secret", "token", "access_token", "accesstoken", "refreshToken", "refresh_token"),
    *("id_token", "auth_token", "authtoken", "BAKERY_TOKEN", "GITHUB_TOKEN", "X-Auth-Token"),
    *("X-Auth-Key", "X-Vault-Token", "X-Amz-Security-Token", "X-Amz-Signature", "X-Goog-Signature"),
    *("csrftoken", "csrfmiddlewaretoken", "X-CSRF-Token", "xsrf", "sessionid", "PHPSESSID"),
    *("session_key", "session_token", "jwt", "credentials", "auth", "bot_token", "reset_token"),
    *(
        "password2",
        "password_hash",
        "new_password",
        "sig",
        "oauth_token",
        "bearer_token",
        "passcode",
    ),
)

FORMS = {
    "query": "GET /signup?page=2&{n}={v}&from=mail",
    "first of a query": "https://shop.test/a?{n}={v}",
    "fragment": "https://shop.test/a#{n}={v}&state=7",
    "variable": "{n}={v} make bread",
    "export": "export {n}={v}",
    "ini": "[shop]\n{n} = {v}\ncity = Oslo",
    "yaml": "shop:\n  {n}: {v}\n  city: Oslo",
    "header": "{n}: {v}",
    "headers": "Host: shop.test\r\n{n}: {v}\r\nAccept: */*",
    "escaped headers": "b'GET / HTTP/1.1\\r\\n{n}: {v}\\r\\nAccept: */*'",
    "curl": "curl -H '{n}: {v}' https://shop.test/a",
    "option": "make --{n} {v} bread",
    "option with a sign": "make --{n}={v} bread",
    "arguments": "['make', '--{n}', '{v}', 'bread']",
    "repr": "Config(port=1, {n}='{v}', host='db')",
    "bare repr": "Config(port=1, {n}={v}, host=db)",
    "secret of an object": "Config({n}=SecretStr('{v}'), host='db')",
    "dict": "{{'host': 'db', '{n}': '{v}'}}",
    "dict of bytes": "{{b'host': b'db', b'{n}': b'{v}'}}",
    "json": '{{"host": "db", "{n}": "{v}", "port": 1}}',
    "dense json": '{{"host":"db","{n}":"{v}","port":1}}',
    "escaped json": '{{\\"host\\": \\"db\\", \\"{n}\\": \\"{v}\\"}}',
    "twice escaped json": 'x={{\\\\\\"{n}\\\\\\":\\\\\\"{v}\\\\\\",\\\\\\"left\\\\\\":2}}',
    "list in json": '{{"{n}": ["{v}", "b2-{v}"], "left": 2}}',
    "object in json": '{{"{n}": {{"value": "{v}", "at": [1, "}}"]}}, "left": 2}}',
    "escaped list": '{{\\"{n}\\": [\\"{v}\\"]}}',
    "pairs": "Headers([('Host', 'shop.test'), ('{n}', '{v}')])",
    "pairs of bytes": "[(b'host', b'shop.test'), (b'{n}', b'{v}')]",
    "percent-encoded": "next=%2Fa%3F{n}%3D{v}%26page%3D2",
    "percent-encoded json": "data=%7B%22{n}%22%3A%22{v}%22%7D",
    "form": "user[{n}]={v}&user[name]=ada",
    "item": 'settings["{n}"] = "{v}"',
    "ruby": "{{:host=>'db', '{n}' => '{v}'}}",
    "xml": "<login><user>ada</user><{n}>{v}</{n}></login>",
    "connection": "Host=db;User=ada;{n}={v};Port=1",
    "in a sentence": "the shop was called with {n}={v}, which failed",
}

PROVIDERS: dict[str, tuple[str, str]] = {
    "OpenAI": ("sk-proj-", drawn(60)),
    "OpenAI's older": ("sk-", drawn(48)),
    "Anthropic": ("sk-ant-api03-", drawn(93)),
    "OpenRouter": ("sk-or-v1-", drawn(64, _HEX)),
    "DeepSeek": ("sk-", drawn(32, _HEX)),
    "ElevenLabs": ("sk_", drawn(48, _HEX)),
    "Stripe": ("sk_live_", drawn(24)),
    "Stripe's test": ("sk_test_", drawn(24)),
    "Stripe's restricted": ("rk_live_", drawn(24)),
    "a webhook's": ("whsec_", drawn(32)),
    "Square": ("sq0csp-", drawn(43)),
    "GitHub": ("ghp_", drawn(36)),
    "GitHub's OAuth": ("gho_", drawn(36)),
    "GitHub's user": ("ghu_", drawn(36)),
    "GitHub's server": ("ghs_", drawn(36)),
    "GitHub, fine-grained": ("github_pat_", drawn(22) + "_" + drawn(59)),
    "GitLab": ("glpat-", drawn(20)),
    "GitLab's deployment": ("gldt-", drawn(20)),
    "GitLab's runner": ("glrt-", drawn(20)),
    "npm": ("npm_", drawn(36)),
    "PyPI": ("pypi-", "AgEIcHlwaS5vcmc" + drawn(70)),
    "RubyGems": ("rubygems_", drawn(48, _HEX)),
    "Hugging Face": ("hf_", drawn(34)),
    "Groq": ("gsk_", drawn(52)),
    "xAI": ("xai-", drawn(80)),
    "Perplexity": ("pplx-", drawn(48)),
    "NVIDIA": ("nvapi-", drawn(64)),
    "Replicate": ("r8_", drawn(37)),
    "LangSmith": ("lsv2_pt_", drawn(32, _HEX) + "_" + drawn(10, _HEX)),
    "LangSmith's service": ("lsv2_sk_", drawn(32, _HEX) + "_" + drawn(10, _HEX)),
    "Linear": ("lin_api_", drawn(40)),
    "Google": ("AIza", drawn(35)),
    "Google OAuth's client": ("GOCSPX-", drawn(28)),
    "Google OAuth's access": ("ya29.", "a0" + drawn(60)),
    "Google OAuth's refresh": ("1//0", drawn(50)),
    "SendGrid": ("SG.", drawn(22) + "." + drawn(43)),
    "Slack's bot": ("xoxb-", "123456789012-123456789012-" + drawn(24)),
    "Slack's user": ("xoxp-", "123456789012-123456789012-" + drawn(24)),
    "Slack's app": ("xapp-", "1-A0123456789-123456789012-" + drawn(64, _HEX)),
    "DigitalOcean": ("dop_v1_", drawn(64, _HEX)),
    "DigitalOcean's OAuth": ("doo_v1_", drawn(64, _HEX)),
    "Doppler": ("dp.pt.", drawn(43)),
    "PlanetScale": ("pscale_tkn_", drawn(43)),
    "Shopify": ("shpat_", drawn(32, _HEX)),
    "Vault": ("hvs.", drawn(92)),
    "Vault's batch": ("hvb.", drawn(140)),
    "AWS": ("AKIA", "A1" + drawn(14).upper()),
    "AWS, temporary": ("ASIA", "A1" + drawn(14).upper()),
    "Databricks": ("dapi", drawn(32, _HEX)),
    "Twilio": ("SK", drawn(32, _HEX)),
    "Azure": ("abc8Q~", drawn(34)),
    "a JSON web token": ("eyJ", drawn(20) + "." + "eyJ" + drawn(40) + "." + drawn(43)),
    "a bearer": ("Bearer ", drawn(24)),
    "a bearer in capitals": ("BEARER ", drawn(24)),
    "basic": ("Basic ", drawn(18) + "=="),
    "a private key": (
        "-----BEGIN RSA PRIVATE " + "KEY-----\n",
        drawn(64) + "\n" + drawn(30) + "\n-----END RSA PRIVATE KEY-----",
    ),
    "an SSH key": ("-----BEGIN OPENSSH PRIVATE " + "KEY-----\n", drawn(64)),
    "a database": ("postgres://app:", drawn(16) + "@db.test:5432/shop"),
    "a cache": ("redis://:", drawn(16) + "@cache.test/0"),
    "a broker": ("amqps://guest:", drawn(12) + "@mq.test//"),
    "a repository": ("https://", drawn(32, _HEX) + "@git.test/a.git"),
    "Slack's webhook": ("https://hooks.slack.com/services/", "T0AB1CD2E/B0AB1CD2E3/" + drawn(24)),
    "Discord's webhook": ("https://discord.com/api/webhooks/", "123456789012345678/" + drawn(68)),
    "Telegram": ("https://api.telegram.org/bot", "123456789:AA" + drawn(33)),
    "cookies": ("Cookie: size=big; sid=", drawn(20)),
    "a cookie that is set": ("Set-Cookie: sid=", drawn(20) + "; Path=/; HttpOnly"),
    "a token in a header": ("Authorization: Token ", drawn(20)),
    "a key in a header": ("Authorization: ApiKey ", drawn(20)),
    "digest": ("Authorization: Digest response=", drawn(32, _HEX) + ", username=ada"),
    "AWS's header": (
        "Authorization: AWS4-HMAC-SHA256 Credential=X/20260101/eu/s3/aws4_request, Signature=",
        drawn(64, _HEX),
    ),
    "basic in a proxy's header": ("Proxy-Authorization: Basic ", drawn(20) + "="),
    "no scheme": ("authorization: ", drawn(40)),
}
AROUND = {
    "alone": "{}",
    "in a sentence": "the key {} was refused",
    "in quotes": "key='{}'",
    "in brackets": "used ({}), failed",
    "on a line": "first\n{}\nlast",
    "escaped": "first\\n{}\\nlast",
    "in JSON": '{{"seen": "{}", "left": 2}}',
}


def secrets_in_text() -> dict[str, tuple[str, str]]:
    """Make texts, each with the part that must not come out."""
    made = {}
    for number, name in enumerate(NAMES):
        # Each name in a dozen forms, so that each form has several names.
        for form in list(FORMS)[number % 3 :: 3]:
            if name == "sig" and ("list" in form or "object" in form):
                continue  # it is one by the form of its value
            value = drawn(24, seed=name)
            made[f"{name}, {form}"] = FORMS[form].format(n=name, v=value), value
    for provider, (beginning, rest) in PROVIDERS.items():
        for around, form in AROUND.items():
            text = beginning + rest
            if "header" in provider and around == "in a sentence":
                continue
            made[f"{provider}, {around}"] = (
                form.format(text),
                rest[-9:] if rest[0] == "1" else rest[:14],
            )
    return made


# Fields by their keys.
FIELDS: dict[str, object] = {
    **dict.fromkeys(
        (
            *("time_to_first_token", "first_token_ms", "cost_per_token", "prompt_token", "token"),
            *("eos_token_id", "bos_token_id", "pad_token_id", "total_token", "completion_token"),
            *(
                "access_token",
                "input_tokens",
                "output_tokens",
                "max_tokens",
                "tokens",
                "token_count",
            ),
            *(
                "tokens_per_second",
                "cached_tokens",
                "reasoning_tokens",
                "token_limit",
                "last_token",
            ),
            *("num_tokens", "max_new_tokens", "token_index", "token_budget", "refresh_tokens"),
            *("password_length", "secret_count", "key_count", "cookie_count", "auth_latency_ms"),
            *("api_key_id", "keys", "passes", "pass", "signature_bytes", "credentials_checked"),
        ),
        17,
    ),
    **dict.fromkeys(
        (
            *("next_page_token", "nextPageToken", "page_token", "continuation_token", "eos_token"),
            *("stop_token", "sync_token", "session_id", "session-id", "sessionId", "token_type"),
            *("password_policy", "csrf_view", "cookie_banner", "auth_method", "auth_backend"),
            *("auth_provider", "secret_name", "secret_version", "cookie_domain", "cookie_policy"),
            *("key", "cache_key", "primary_key", "partition_key", "sort_key", "idempotency_key"),
            *("foreign_key", "keyboard", "monkey", "author", "authority", "authors", "passport"),
            *(
                "secretary",
                "compass",
                "bypass",
                "passenger",
                "tokenizer",
                "tokenizer_name",
                "token_url",
            ),
            *("credential_type", "signature", "sign", "jwt_algorithm", "jwks_uri", "oauth_scope"),
            *(
                "public_key_url",
                "encryption",
                "hash",
                "commit_hash",
                "content_hash",
                "value",
                "digest",
            ),
            *("password_reset_url", "password_changed_at", "token_expires_at", "first_pass"),
        ),
        "shown",
    ),
    **dict.fromkeys(
        ("has_password", "password", "token", "secret_is_set", "use_auth", "cookies"), None
    ),
    "columns": ["token", "created_at"],
    "tags": ["auth", "billing"],
    "words": ["secret", "cookie", "password"],
    "pieces": {"tokens": ["Hel", "lo"]},
    "scopes": ("token:read", "secret:write"),
    "flags": {"password": True, "token": False},
    "header_names": ["Authorization", "Cookie", "X-API-Key"],
}

TEXTS = (
    # Words.
    *("wrong password", "token expired", "secret santa", "the cookie banner was shown", "no auth"),
    *("Basic authentication failed", "Basic auth is off", "the bearer of this letter came in"),
    *("Bearer authentication is required", "bearer token expired", "a basic understanding-of-it"),
    *("password: must be longer", "password: at least 8 characters", "Invalid token: expired"),
    *(
        "token: missing",
        "auth: failed",
        "csrf: bakery.views.refused",
        "secret: not found",
        "cookie: none",
    ),
    *("unexpected token: '<'", "Unexpected token: 'foo' at line 3", "Unexpected token } in JSON"),
    *("SyntaxError: Unexpected token 'else'", "unexpected token: EOF", "Authorization: required"),
    *("authorization: failed for user ada", "Authorization: Basic authentication failed"),
    *("Cookie: none", "Cookie: disabled by policy", "tokens: 12 in, 34 out", "password: (hidden)"),
    *(
        "API key: required",
        "api_key: str | None = None",
        "token: Optional[str]",
        "password: SecretStr",
    ),
    *(
        "use --token to log in",
        "--password is required",
        "--password-stdin",
        "--api-key takes a name",
    ),
    *(
        "the token is a word",
        "a token bucket is empty",
        "signing key rotation done",
        "keys: a, b, c",
    ),
    *(
        "password for ada was changed",
        "2 tokens left",
        "the private key was rotated",
        "csrf check ok",
    ),
    # Masked already, or never there.
    *(
        "password=[redacted]",
        "password=[REDACTED]",
        "password=***",
        "password=********",
        "token=None",
    ),
    *("password=None", "token=null", "secret=False", "password: ***", "password='***'", 'token=""'),
    *("token=<redacted>", "token=[Filtered]", "password=[FILTERED]", "secret=xxxx", "pwd=XXXXXXXX"),
    *("password=SecretStr('**********')", "Bearer [redacted]", "Bearer ***", "api_key=sk-...a1b2"),
    *("Authorization: [redacted]", "Authorization: Bearer [redacted]", "Cookie: [redacted]"),
    *(
        '{"password": "[redacted]"}',
        '{"token": null}',
        '{"secret": true, "left": 2}',
        '{"auth": {}}',
    ),
    *('{"cookies": []}', "{'password': None}", "token=…", "redis://:***@cache/0", "token=[]"),
    *(
        "postgres://ada:***@db/shop",
        "postgres://ada:[redacted]@db/shop",
        "https://[redacted]@h.test/1",
    ),
    # Templates and source code.
    *("WHERE password = %s", "WHERE token = ?", "WHERE token = $1", "SET password = :password"),
    *(
        "VALUES (%(password)s)",
        "token=%s",
        "password=$PASSWORD",
        "token=${API_TOKEN}",
        "token={token}",
    ),
    *("postgres://{user}:{password}@{host}", "https://$USER:$PASS@host", "token=<your token>"),
    *(
        "password={{ password }}",
        "token=get_token()",
        "token = self.token",
        "if token == expected:",
    ),
    *(
        'api_key=os.environ["API_KEY"]',
        "api_key=settings.api_key",
        "password=password",
        "token=token",
    ),
    *("def login(user, password=None):", "self.password = form.password", "token != other"),
    *(
        "key = make_key(a, b)",
        "secret = config.read(name)",
        "auth=request.auth",
        "=token",
        "token ==",
    ),
    # Numbers of tokens, and other names.
    *("token=5", "tokens=5", "input_tokens=12 output_tokens=34", "max_tokens: 4096", "token: 7"),
    *(
        '{"prompt_tokens": 9, "token": 3}',
        "first_token_ms=31.5",
        "eos_token=<|end|>",
        "pad_token=[PAD]",
    ),
    *("next_page_token=CAUQAA", "?page_token=CAUQAA&size=9", '{"nextPageToken": "CAUQAA=="}'),
    *("session_id=a1b2c3d4e5f6a7b8", "session-id: a1b2c3d4e5f6", '{"sessionId": "a1b2c3d4e5f6"}'),
    *(
        "password_policy=strict",
        "csrf_view=bakery.views.refused",
        "cookie_banner=shown",
        "key=orders",
    ),
    *(
        "cache_key=orders:17:a1b2c3",
        "token_type=Bearer",
        "grant_type=password",
        "response_type=token",
    ),
    *("auth_method=oauth2", "author=ada17", "passport=AB123", "monkey=a1b2", "compass=north7"),
    *(
        "sig=SIGTERM",
        "signature=f(x) -> int",
        "columns=['token', 'created_at']",
        "('token', 'name')",
    ),
    *('["token", "secret", "password"]', '{"fields": ["password", "token"]}', "scope=token:read"),
    *(
        "cost_per_token=0.000002",
        "hash=a1b2c3d4e5f6",
        "value=a1b2c3d4",
        "digest: sha256:a1b2c3d4e5f6",
    ),
    *("key: value", "public_key_url=https://a.test/k1", "secret_name=db/main-7", "x1=5 v2=7 b64=9"),
    # Names that begin as keys do.
    *(
        "sk_estimator_pipeline_v2",
        "sk-learn-pipeline-2024-final-v3",
        "sk-my-long-model-name-for-2026",
    ),
    *(
        "risk-assessment-of-the-quarter",
        "sk_learn_random_forest_classifier_v12",
        "task_sk_17_is_done",
    ),
    *(
        "npm_config_registry",
        "npm_lifecycle_event_name",
        "hf_transfer_is_enabled",
        "hf_hub_download",
    ),
    *("pypi-server-is-down", "xai-grok-beta-of-2026", "pplx-70b-online", "r8_worker", "gsk_total"),
    *(
        "glpat-less",
        "gho_st",
        "ghost in the shell",
        "ghp_",
        "github_pat_",
        "SG.md",
        "ya29",
        "dapi_v2",
    ),
    *(
        "AKIA is a prefix",
        "AKIAB",
        "ASIA-PACIFIC-1",
        "SKU12345678",
        "SKIPPED",
        "eyJust a word",
        "eyJ",
    ),
    *(
        "xoxo",
        "xoxb-",
        "hvs.py",
        "hvs.some_attribute_of_a_module",
        "GOCSPX",
        "discord.com/api/webhooks",
    ),
    *("hooks.slack.com/services", "-----BEGIN CERTIFICATE-----", "-----BEGIN PUBLIC KEY-----"),
    *("1//07", "AIzaac", "whsec_", "dop_v1_", "lsv2_pt_", "nvapi-the-name-of-a-function-in-c"),
    # Addresses.
    *(
        "postgres://app@db/shop",
        "redis://cache.test:6379/0",
        "http://localhost:8080/a?b=c",
        "a://b:c",
    ),
    *(
        "https://shop.test/a?mail=b@c.test",
        "see https://example.test/@user",
        "ssh://git@git.test/a.git",
    ),
    *("git@github.com:ada/shop.git", "mailto:ada@shop.test", "https://shop.test/token/17?page=2"),
    *(
        "https://shop.test/auth/login?next=/a",
        "https://a.test/:id",
        "http://[::1]:8000/",
        "ftp://ftp@h",
    ),
    *(
        "GET /api/v1/tokens?limit=10",
        "/password/reset/",
        "file:///etc/passwd",
        "user:password:reset",
    ),
    *(
        "https://shop.test/o?state=a1b2c3d4&code=7",
        "smtp://mail.test:25",
        "s3://bucket/key=17/part=3",
    ),
    # Ids, hashes and ordinary lines.
    *("0af76519-16cd-43dd-8448-eb211c80319c", "0af7651916cd43dd8448eb211c80319c", "ord_000012ab"),
    *(
        "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
        "sha256:9f86d081884c7d659a2feaa0c55ad015",
    ),
    *(
        "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
        "01ARZ3NDEKTSV4RRFFQ69G5FAV",
    ),
    *(
        "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJ",
        "2026-11-29T18:52:55.788919Z",
        "127.0.0.1:8000",
    ),
    *(
        "stock of tea is low",
        "a = b",
        "a: b",
        "x=1, y=2",
        "GET /ping 200 2.4 ms",
        "took 12:30:45",
        "50% off",
    ),
    *(
        "llm.generate model=fast input_tokens=12",
        "Traceback (most recent call last):",
        "<p>x</p>",
        "a,b;c",
    ),
    *(
        'File "/srv/shop/auth.py", line 22, in token',
        "raise TokenError(token_count)",
        "LookupError: 'a'",
    ),
    *("content-type: application/json", "accept: */*", 'etag: W/"a1b2c3"', "host: shop.test:8080"),
    *(
        "user-agent: curl/8.5.0",
        "x-request-id: a1b2c3d4e5f6a7b8",
        "cache-control: no-cache, no-store",
    ),
    *(
        "INSERT INTO tokens (id, name) VALUES (1, 'a')",
        "SELECT token, secret FROM keys",
        "bread & tea",
    ),
    *(
        "Zeile mit Umlauten: Brötchen",
        "价格: 17",
        "пароль изменён",
        "emoji \U0001f389: party",
        "%3D",
        "%",
    ),
    *(
        "model=gpt-4o-mini temperature=0.7",
        "model: claude-3-5-sonnet-20241022",
        "bert-base-uncased",
    ),
    *(
        "<token>",
        "</password>",
        "<a href='/token'>x</a>",
        "<secret></secret>",
        "a => b",
        "token =>",
    ),
    *(
        "3 of 4 passes",
        "one pass: clean",
        "second pass: 17 of 20",
        "pass: 17",
        "passes=3",
        "bypass=on",
    ),
)


def innocents() -> list[object]:
    """Make the values that must come out as they are: fields and texts."""
    return [*({key: value} for key, value in FIELDS.items()), *TEXTS]
