"""Shapes of providers' keys, as data: how a key begins, and the pattern of what follows.

Those marked "ds" are from the plugins of Yelp's detect-secrets 1.5.0
(https://github.com/Yelp/detect-secrets, Apache License 2.0), those marked "gl" from gitleaks 8.30
(https://github.com/gitleaks/gitleaks, MIT License); the licences are in `LICENSES/`. They are
changed: a key that is longer than the rule says is masked to its end, and one begins where no other
word ends. The others are as the providers describe or issue their keys.

No pattern may take more than linear time, as texts come from outside.
"""

from __future__ import annotations

_HEX, _ALNUM, _NAME = "[A-Fa-f0-9]", "[A-Za-z0-9]", "[A-Za-z0-9_-]"
# Sixteen letters and digits in a row, of both kinds: no name of several words has them.
RANDOM = (
    r"(?=(?:[A-Za-z0-9]{0,15}+[_-]){0,12}+(?=[A-Za-z]{0,40}\d)(?=\d{0,40}[A-Za-z])[A-Za-z0-9]{16})"
)
# Capital and small letters and digits: no word, no number and no hexadecimal digits.
_MIXED = r"(?=[A-Za-z]{0,40}\d)(?=[a-z0-9]{0,40}[A-Z])(?=[A-Z0-9]{0,40}[a-z])"
_UUID = "[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}"
_GITLAB = "pat", "cbt", "dt", "ft", "imt", "agent", "oas", "ptt", "rt", "rtr", "soat", "ffct"
_NEW_RELIC = ("AK", "II", "JS", "AA", "RA", "IQ")
_PEM = r"[ A-Z0-9_-]{0,100}PRIVATE KEY(?: BLOCK)?-----"

# The last character of each beginning is searched for in a text: a mark, or a letter that is rare.
# The first group of a pattern is the secret, if it has one; else the beginning is a part of it.
PROVIDERS: tuple[tuple[str, str], ...] = (
    ("sk-", rf"{RANDOM}{_NAME}{{16,}}"),  # OpenAI, Anthropic and many that are compatible
    ("sk_", rf"{RANDOM}\w{{16,}}"),  # ElevenLabs and others
    *(
        (f"{kind}k_{mode}_", rf"{_ALNUM}{{10,}}")  # ds: Stripe
        for kind in "sr"
        for mode in ("test", "live", "prod")
    ),
    ("whsec_", r"[A-Za-z0-9+/=]{24,}"),  # Stripe, Svix
    ("sk-lf-", _UUID),  # Langfuse
    ("p8e-", rf"{_ALNUM}{{32}}(?!\w)"),  # gl: Adobe
    ("ico-", rf"{_ALNUM}{{32}}(?!\w)"),  # gl: Infracost
    ("API-", r"(?=[A-Z]{0,25}\d)[A-Z0-9]{26}(?!\w)"),  # gl: Octopus
    ("sgp_", rf"(?:(?:{_HEX}{{16}}|local)_)?{_HEX}{{40}}"),  # gl: Sourcegraph
    *(
        (f"{kind}at.", rf"[\w-]{{22}}\.{_ALNUM}{{24}}\.{_ALNUM}{{20}}") for kind in "ps"
    ),  # gl: Harness
    *((f"rzp_{mode}_", rf"{_ALNUM}{{14,}}") for mode in ("live", "test")),  # Razorpay
    ("sess-", rf"{_ALNUM}{{40,}}"),
    ("sq0csp-", rf"{_NAME}{{40,}}"),  # ds: Square
    ("sq0atp-", rf"{_NAME}{{22,}}"),
    ("EAA", rf"{_MIXED}(?:A[\w-]{{22,}}|[\w-]{{50,}})"),  # gl: Square, Facebook
    *((f"gh{kind}_", rf"{_ALNUM}{{20,}}") for kind in "pousr"),  # ds: GitHub
    ("github_pat_", r"\w{20,}"),
    *(
        (f"gl{kind}-", rf"{_NAME}{{20,}}(?:\.{_NAME}+)*")  # ds, gl: GitLab
        for kind in _GITLAB
    ),
    ("npm_", rf"{_ALNUM}{{30,}}"),
    ("pypi-", rf"(?:AgE{_NAME}{{40,}}|{_ALNUM}{{50,}})"),  # ds: PyPI
    ("rubygems_", rf"{_HEX}{{48,}}"),
    ("CLOJARS_", rf"{_ALNUM}{{60,}}"),  # gl
    ("packagist_uut_", rf"{_HEX}{{40,}}"),
    *((f"dckr_{kind}_", rf"{_NAME}{{27,}}") for kind in ("pat", "oat")),  # Docker
    *((beginning, rf"{_ALNUM}{{30,}}") for beginning in ("hf_", "api_org_")),  # Hugging Face
    *(
        (beginning, rf"{_ALNUM}{{30,}}")
        for beginning in (
            *("gsk_", "xai-", "pplx-", "r8_", "csk-", "flp_", "rpa_", "jina_"),
            *("tgp_v1_", "phx_", "phs_", "pylf_v1_us_", "pylf_v1_eu_"),
        )
    ),
    ("ls_", rf"_{_ALNUM}{{30,}}"),
    ("nvapi-", rf"{RANDOM}{_NAME}{{30,}}"),
    ("fw_", rf"{_MIXED}{_ALNUM}{{20,}}"),  # Fireworks
    ("tvly-", rf"(?:dev-|prod-)?{_ALNUM}{{28,}}"),  # Tavily
    ("fc-", rf"{_HEX}{{32}}(?![A-Za-z0-9_])"),  # Firecrawl
    ("e2b_", rf"{_HEX}{{40,}}"),
    ("pcsk_", rf"{_ALNUM}{{4,8}}_{_ALNUM}{{40,}}"),  # Pinecone
    ("wandb_v1_", r"\w{30,}"),
    *((beginning, rf"{_MIXED}{_NAME}{{40,}}") for beginning in ("pa-", "nk-")),  # Voyage, Nomic
    *((beginning, rf"{_MIXED}{_ALNUM}{{22}}(?!\w)") for beginning in ("ak-", "as-")),  # Modal
    ("sk-helicone-", rf"{_NAME}{{20,}}"),
    *((f"lsv2_{kind}_", rf"{_ALNUM}{{32,}}(?:_{_ALNUM}+)?") for kind in ("pt", "sk")),  # LangSmith
    *((f"lin_{kind}_", rf"{_ALNUM}{{32,}}") for kind in ("api", "oauth", "wh")),  # gl: Linear
    ("ntn_", rf"[0-9]{{11}}{_ALNUM}{{35,}}"),  # gl: Notion
    ("secret_", rf"{_MIXED}{_ALNUM}{{30,}}"),
    *((f"fig{kind}_", rf"{_NAME}{{36,}}") for kind in ("d", "o", "u", "dr", "or", "ur")),  # Figma
    *((f"vc{kind}_", rf"{_ALNUM}{{24,}}") for kind in "apcirk"),  # Vercel
    ("vercel_blob_rw_", r"\w{20,}"),
    ("sbp_", rf"(?:oauth_)?{_HEX}{{40,}}"),  # Supabase
    ("sb_secret_", rf"{_NAME}{{20,}}"),
    *((f"cf{kind}_", rf"{_MIXED}{_NAME}{{40,}}") for kind in ("ut", "at", "k")),  # Cloudflare
    ("v1.0-", rf"{_HEX}{{24}}-{_HEX}{{100,}}"),  # gl
    ("glsa_", rf"{_ALNUM}{{32,}}_{_HEX}{{8,}}"),  # gl: Grafana
    ("glc_", r"[A-Za-z0-9+/=]{32,}"),
    *((f"NR{kind}-", rf"{_ALNUM}{{18,}}") for kind in _NEW_RELIC),  # gl
    ("AIz", r"a[\w-]{35,}"),  # Google
    ("GOOG", r"1[A-Z0-9]{56,}"),
    ("GOCSPX-", rf"{_NAME}{{20,}}"),  # Google OAuth: a client's secret, then both tokens
    ("ya29.", rf"{_NAME}{{20,}}"),
    ("1//", r"0[\w-]{40,}"),
    ("SG.", r"[\w=.-]{60,}"),  # ds: SendGrid
    ("key-", rf"{_HEX}{{32}}(?![A-Za-z0-9])"),  # gl: Mailgun
    ("md-", rf"{_MIXED}{_NAME}{{22}}(?!\w)"),  # Mailchimp
    *(
        (f"{kind}ib-", rf"{_HEX}{{64}}-{_ALNUM}{{16,}}") for kind in ("xkeys", "xsmtps")
    ),  # gl: Brevo
    ("re_", rf"{_ALNUM}{{6,12}}_{_ALNUM}{{20,}}"),  # Resend
    # Slack, ds and gl
    *((f"xox{kind}-", r"(?=\D{0,80}\d)[A-Za-z0-9-]{10,}") for kind in "abcdeoprs"),
    ("xapp-", r"\d-[A-Za-z0-9-]{14,}"),
    ("xwfp-", r"\d[A-Za-z0-9-]{14,}"),
    *((f"do{kind}_v1_", rf"{_HEX}{{64,}}") for kind in "opr"),  # gl: DigitalOcean
    # Doppler, gl
    ("dp.", rf"(?:pt|ct|st|sa|said|scim|audit)\.(?:[a-z0-9_-]{{1,35}}\.)?{_ALNUM}{{40,}}"),
    *((f"pscale_{kind}_", r"[\w=.-]{32,}") for kind in ("tkn", "pw", "oauth")),  # gl: PlanetScale
    *((f"shp{kind}_", rf"{_HEX}{{32,}}") for kind in ("at", "ca", "pa", "ss", "ua")),  # gl: Shopify
    *((f"hv{kind}.", rf"(?=\D{{0,90}}\d){_NAME}{{20,}}") for kind in "bsr"),  # gl: Vault
    ("s.", rf"(?=(?:[A-Za-z]{{0,20}}\d){{2}}){_ALNUM}{{24}}(?!\w)"),
    ("atlasv1.", r"[\w=-]{60,}"),  # gl: Terraform
    # ds: AWS, Artifactory; Tencent
    (
        "AK",
        r"(?:IA[A-Z0-9]{16}(?![A-Za-z0-9])|ID[A-Za-z0-9]{32}|C(?=[A-Za-z]{0,60}\d)[A-Za-z0-9]{40,})",
    ),
    ("AS", r"IA[A-Z0-9]{16}(?![A-Za-z0-9])"),
    ("A3T", r"[A-Z0-9]{17}(?![A-Za-z0-9])"),
    ("AB", r"(?:IA[A-Z0-9]{16}(?![A-Za-z0-9])|SK[A-Za-z0-9+/=]{100,})"),  # gl
    ("bedrock-api-key-", r"[A-Za-z0-9+/=]{30,}"),
    ("amzn.mws.", _UUID),
    ("LTA", rf"I{_ALNUM}{{20}}(?!\w)"),  # gl: Alibaba
    ("AT", r"(?:ATT|CTT|STT|BB)[\w=-]{30,}"),  # Atlassian
    ("PMAK-", rf"{_HEX}{{24}}-{_HEX}{{34}}"),  # gl: Postman
    ("dap", rf"i{_HEX}{{32,}}(?:-\d)?"),  # gl: Databricks
    ("SK", rf"{_HEX}{{32}}(?![A-Za-z0-9])"),  # ds: Twilio
    *((f"sntry{kind}_", r"[\w+/=]{40,}") for kind in "su"),  # gl: Sentry
    *((f"access-{kind}-", _UUID) for kind in ("production", "sandbox")),  # Plaid
    *((f"FLWSECK{kind}-", rf"{_ALNUM}{{12,}}(?:-X)?") for kind in ("", "_TEST")),  # gl
    *((f"EZ{kind}K", rf"{_ALNUM}{{54}}") for kind in "AT"),  # gl: EasyPost
    ("HRKU-", rf"(?:AA{_NAME}{{58}}|{_UUID})"),  # gl: Heroku
    *(
        (beginning, r"[A-Za-z0-9+/=_-]{43,}") for beginning in ("fo1_", "fm1a_", "fm1r_", "fm2_")
    ),  # gl
    ("rnd_", rf"{_MIXED}{_ALNUM}{{28,}}"),  # Render
    *((f"nf{kind}_", rf"{_MIXED}{_ALNUM}{{36,}}") for kind in "pcou"),  # Netlify
    ("napi_", rf"{_ALNUM}{{50,}}"),  # Neon
    ("npg_", rf"{_MIXED}{_ALNUM}{{12}}(?!\w)"),
    ("mdb_sa_sk_", rf"{_NAME}{{30,}}"),  # MongoDB
    ("snyk_uat.", r"\w{4,12}\.[\w-]{30,}"),
    *((f"sq{kind}_", rf"{_HEX}{{40}}(?!\w)") for kind in "pua"),  # Sonar
    ("pul-", rf"{_HEX}{{40}}(?!\w)"),  # gl: Pulumi
    ("st.", rf"{_HEX}{{20,}}\.{_HEX}{{20,}}\.{_HEX}{{20,}}"),  # Infisical
    ("ops_", r"eyJ[A-Za-z0-9+/=]{200,}"),  # gl: 1Password
    ("A3-", r"[A-Z0-9]{6}-[A-Z0-9]{5,11}(?:-[A-Z0-9]{5}){2,3}"),
    ("AGE-SECRET-KEY-", r"1[A-Z0-9]{41,}"),  # gl
    ("dt0c01.", rf"{_ALNUM}{{24}}\.{_ALNUM}{{64}}"),  # gl: Dynatrace
    *((f"hc{kind}ik_", r"[a-z0-9]{58,}") for kind in "abcdefx"),  # Honeycomb
    ("rootly_", rf"{_HEX}{{64}}"),
    ("pk_", r"\d{6,}_[A-Z0-9]{30,}"),  # ClickUp
    ("pat-", rf"[a-z]{{2}}\d-{_UUID}"),  # HubSpot
    ("tfp_", rf"{_NAME}{{40,}}"),  # Typeform
    ("CFPAT-", rf"{_NAME}{{40,}}"),  # Contentful
    *((f"shippo_{mode}_", rf"{_HEX}{{40}}") for mode in ("live", "test")),  # gl
    *((f"duffel_{mode}_", r"[\w=-]{43}") for mode in ("live", "test")),  # gl
    ("fio-u-", r"[\w=-]{64}"),  # gl: Frame.io
    ("rdme_", r"[a-z0-9]{70}"),  # gl
    ("tk-us-", rf"{_NAME}{{48}}"),  # gl: Scalingo
    *((f"sm_{kind}_", rf"{_ALNUM}{{16}}(?!\w)") for kind in ("pat", "aat", "sat")),  # gl
    ("pnu_", rf"{_ALNUM}{{36}}"),  # gl: Prefect
    *((f"s-s4t2{kind}-", rf"{_HEX}{{64}}") for kind in ("ud", "af")),  # gl
    ("tskey-", r"(?:auth|api|client|scim|webhook)-[A-Za-z0-9-]{20,}"),  # Tailscale
    ("sha256~", rf"{_NAME}{{43,}}"),  # gl: OpenShift
    ("bkua_", rf"{_HEX}{{40}}"),  # Buildkite
    ("CCIPAT_", r"\w{40,}"),  # CircleCI
    *((f"dd{kind}_", rf"{_MIXED}{_ALNUM}{{36}}(?!\w)") for kind in "pw"),  # Deno
    *((f"tr_{mode}_", rf"{_MIXED}{_ALNUM}{{20,}}") for mode in ("dev", "prod")),  # Trigger
    *((f"signkey-{mode}-", rf"{_HEX}{{32,}}") for mode in ("prod", "test")),  # Inngest
    *((f"secret-{mode}-", rf"{_NAME}{{30,}}") for mode in ("live", "test")),  # Stytch
    ("unkey_", rf"{_ALNUM}{{20,}}"),
    ("zpka_", rf"{_ALNUM}{{32}}_[0-9a-f]{{8}}"),
    ("sdk-", rf"{_UUID}(?!\w)"),  # LaunchDarkly
    ("live_", rf"{_HEX}{{35}}(?!\w)"),  # Lob
    ("nyk_v0_", rf"{_ALNUM}{{40,}}"),  # Nylas
    ("t1.", r"9euel[\w=.-]{60,}"),  # Yandex
    *((f"{kind}.", r"eyJ[\w-]{20,}\.[\w-]{20,}") for kind in ("sk", "tk")),  # Mapbox
    ("eyJ", r"rIjoi[A-Za-z0-9+/]{60,}=*(?![\w.-])"),  # gl: Grafana's older
    ("ZXlK", r"[\w+/=-]{40,}"),  # gl: a JSON web token in base64
    ("eyJ", rf"{_NAME}{{8,}}+\.{_NAME}{{8,}}+(?:\.{_NAME}*+)+"),  # ds: JSON web tokens
    ("-----B", rf"EGIN{_PEM}[\s\S]*?(?:-----END{_PEM}|\Z)"),  # ds: private keys
    *(
        (f"${kind}$", r"[\w./$=,+-]{30,}")
        for kind in ("5", "6", "y", "2a", "2b", "2y", "argon2id", "apr1")
    ),
    *(
        (f"pbkdf2_sha{size}$", r"\d+\$[\w./=+-]+\$[\w./=+-]{20,}") for size in ("1", "256")
    ),  # Django
    ("scrypt:32768:8:1$", r"[\w./=+-]+\$[0-9a-f]{40,}"),  # Werkzeug
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
    # A line of ~/.pgpass: https://www.postgresql.org/docs/current/libpq-pgpass.html
    (":", r"(?:(?<=:\d{4})|(?<=\*:\*)):[\w*-]{1,63}+:[\w.*@-]{1,63}+:([^\s:'\"]{4,})"),
    ("%", r"%3[aA]%2[fF]%2[fF][^%\s]{0,64}+%3[aA]([^%\s&]{1,200})(?=%40)"),  # a URL's, encoded
    (":", _IN_URL),  # ds
    ("~", r"(?<=[A-Za-z0-9_~.]{3}\dQ)~([A-Za-z0-9_~.-]{31,})"),  # Azure
    (":", r"(?<=:thin):[\w.-]{1,64}+/([^\s@'\"]{1,200}+)(?=@)"),  # Oracle's URL for JDBC
    # Discord, ds; Airtable, gl
    (".", r"(?:(?<=[MNO][\w-]{23})|(?<=[MNO][\w-]{25}))\.([\w-]{6}\.[\w-]{27,})"),
    (".", r"(?<=pat[A-Za-z0-9]{14})\.([a-f0-9]{64})"),
    # Behind the secret: Mailchimp, ds
    ("-", r"(?<=([0-9a-f]{32}))-us\d{1,2}(?!\w)"),
    ("bB", _BEHIND_SCHEME),
)
