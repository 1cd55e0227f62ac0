"""Shapes of providers' keys, as data: how a key begins, and the pattern of what follows.

Those marked "ds" are from the plugins of Yelp's detect-secrets 1.5.0
(https://github.com/Yelp/detect-secrets, Apache License 2.0; the licence is
`LICENSES/detect-secrets.txt`). They are changed: a key that is longer than the rule says is masked
to its end, and one begins where no other word ends. The others are as the providers describe or
issue their keys.

No pattern may take more than linear time, as texts come from outside.
"""

from __future__ import annotations

_HEX, _ALNUM, _NAME = "[A-Fa-f0-9]", "[A-Za-z0-9]", "[A-Za-z0-9_-]"
# Sixteen letters and digits in a row, of both kinds: no name of several words has them.
_RANDOM = (
    r"(?=(?:[A-Za-z0-9]{0,15}+[_-]){0,12}+(?=[A-Za-z]{0,40}\d)(?=\d{0,40}[A-Za-z])[A-Za-z0-9]{16})"
)
_PEM = r"[ A-Z0-9_-]{0,100}PRIVATE KEY(?: BLOCK)?-----"

# The last character of each beginning is searched for in a text: a mark, or a letter that is rare.
# The first group of a pattern is the secret, if it has one; else the beginning is a part of it.
PROVIDERS: tuple[tuple[str, str], ...] = (
    ("sk-", rf"{_RANDOM}{_NAME}{{16,}}"),  # OpenAI, Anthropic and many that are compatible
    ("sk_", rf"{_RANDOM}\w{{16,}}"),  # ElevenLabs and others
    *(
        (f"{kind}k_{mode}_", rf"{_ALNUM}{{10,}}")  # ds: Stripe
        for kind in "sr"
        for mode in ("test", "live", "prod")
    ),
    ("whsec_", r"[A-Za-z0-9+/=]{24,}"),  # Stripe, Svix
    ("sq0csp-", rf"{_NAME}{{40,}}"),  # ds: Square
    ("sq0atp-", rf"{_NAME}{{22,}}"),
    *((f"gh{kind}_", rf"{_ALNUM}{{20,}}") for kind in "pousr"),  # ds: GitHub
    ("github_pat_", r"\w{20,}"),
    *(
        (f"gl{kind}-", rf"{_NAME}{{20,}}(?:\.{_NAME}+)*")  # ds: GitLab
        for kind in ("pat", "cbt", "dt", "ft", "imt", "agent", "oas", "ptt", "rt", "soat", "ffct")
    ),
    ("npm_", rf"{_ALNUM}{{30,}}"),
    ("pypi-", rf"(?:AgE{_NAME}{{40,}}|{_ALNUM}{{50,}})"),  # ds: PyPI
    ("rubygems_", rf"{_HEX}{{48,}}"),
    ("hf_", rf"{_ALNUM}{{30,}}"),  # Hugging Face
    ("gsk_", rf"{_ALNUM}{{30,}}"),  # Groq
    ("xai-", rf"{_ALNUM}{{30,}}"),
    ("pplx-", rf"{_ALNUM}{{30,}}"),  # Perplexity
    ("nvapi-", rf"{_RANDOM}{_NAME}{{30,}}"),
    ("r8_", rf"{_ALNUM}{{30,}}"),  # Replicate
    ("lsv2_pt_", rf"{_ALNUM}{{32,}}(?:_{_ALNUM}+)?"),  # LangSmith
    ("lsv2_sk_", rf"{_ALNUM}{{32,}}(?:_{_ALNUM}+)?"),
    ("ls__", rf"{_ALNUM}{{32,}}"),
    ("lin_api_", rf"{_ALNUM}{{40,}}"),
    ("ntn_", rf"[0-9]{{11}}{_ALNUM}{{35,}}"),  # Notion
    ("AIz", r"a[\w-]{35,}"),  # Google
    ("GOCSPX-", rf"{_NAME}{{20,}}"),  # Google OAuth: a client's secret, then both tokens
    ("ya29.", rf"{_NAME}{{20,}}"),
    ("1//", r"0[\w-]{40,}"),
    ("SG.", r"[\w=.-]{60,}"),  # ds: SendGrid
    *((f"xox{kind}-", r"(?=\D{0,80}\d)[A-Za-z0-9-]{10,}") for kind in "abeoprs"),  # ds: Slack
    ("xapp-", r"\d-[A-Za-z0-9-]{14,}"),
    *((f"do{kind}_v1_", rf"{_HEX}{{64,}}") for kind in "opr"),  # DigitalOcean
    ("dp.pt.", rf"{_ALNUM}{{40,}}"),  # Doppler
    ("pscale_tkn_", r"[\w=.-]{32,}"),  # PlanetScale
    ("pscale_pw_", r"[\w=.-]{32,}"),
    *((f"shp{kind}_", rf"{_HEX}{{32,}}") for kind in ("at", "ca", "pa", "ss")),  # Shopify
    ("hvb.", rf"(?=\D{{0,90}}\d){_NAME}{{20,}}"),  # Vault
    ("hvs.", rf"(?=\D{{0,90}}\d){_NAME}{{20,}}"),
    # ds: AWS, Artifactory
    ("AK", r"(?:IA[A-Z0-9]{16}(?![A-Za-z0-9])|C(?=[A-Za-z]{0,60}\d)[A-Za-z0-9]{40,})"),
    ("AS", r"IA[A-Z0-9]{16}(?![A-Za-z0-9])"),
    ("dap", rf"i{_HEX}{{32,}}(?:-\d)?"),  # Databricks
    ("SK", r"[0-9a-f]{32}(?![A-Za-z0-9])"),  # ds: Twilio
    ("eyJ", rf"{_NAME}{{8,}}+\.{_NAME}{{8,}}+(?:\.{_NAME}*+)+"),  # ds: JSON web tokens
    ("-----B", rf"EGIN{_PEM}[\s\S]*?(?:-----END{_PEM}|\Z)"),  # ds: private keys
    ("slack.", r"com/(?:services|workflows|triggers)/([\w+/-]{20,})"),  # ds: webhooks
    ("office.", r"com/webhookb2/([\w@-]+/IncomingWebhook/[\w/-]+)"),
    ("discord.", r"com/api/(?:v\d+/)?webhooks/\d{8,}/([\w-]{20,})"),
    ("discordapp.", r"com/api/(?:v\d+/)?webhooks/\d{8,}/([\w-]{20,})"),
)

# A user alone is no secret, unless it looks like a key.
_IN_URL = (
    r"://((?!:@)[^/?#\s'\":@]*+:(?![@*]|\[redacted\]@|[<{$%])[^/?#\s'\"]*(?=@)"
    r"|(?=\D{0,80}\d)[A-Za-z0-9_-]{16,80}(?=@))"
)
# Not every word after "basic": a credential is no word, and no words with marks between them.
_BEHIND_SCHEME = (
    r"(?:[bB](?:earer|asic)|BEARER|BASIC)\s{1,8}+"
    r"(?![a-z]{1,20}(?:_[a-z]{1,20}){0,3}=[A-Za-z0-9\"'])"  # a field, or a parameter of a challenge
    r"((?=[A-Za-z._~+/=-]{0,80}(?:\d|[a-z][A-Z]|[A-Z]{2}[a-z]|=)|[A-Za-z]{20})"
    r"[A-Za-z0-9._~+/=-]{8,})"
)

# Secrets without a beginning of their own, by the characters that are searched for. The pattern
# begins with one of these; its first group is the secret.
OTHERS: tuple[tuple[str, str], ...] = (
    (":", r"(?<=\d{8}):([A-Za-z0-9_-]{35,})"),  # ds: Telegram
    (":", _IN_URL),  # ds
    ("~", r"(?<=[A-Za-z0-9_~.]{3}\dQ)~([A-Za-z0-9_~.-]{31,})"),  # Azure
    ("bB", _BEHIND_SCHEME),
)
