"""Shapes of providers' keys, as data: how a key begins, and the pattern of its rest.

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
_PEM = r"[ A-Z0-9_-]{0,100}PRIVATE KEY(?: BLOCK)?-----"

# The last character of each beginning is searched for in a text: a mark, or a letter that is rare.
# The beginnings of a row are divided by blanks. The first group of a pattern is the secret, if it
# has one; else the beginning is a part of it.
_SHAPES: tuple[tuple[str, str], ...] = (
    ("sk-", rf"{RANDOM}{_NAME}{{16,}}"),  # OpenAI, Anthropic and many that are compatible
    ("sk_", rf"{RANDOM}\w{{16,}}"),  # ElevenLabs and others
    ("sk_test_ sk_live_ sk_prod_ rk_test_ rk_live_ rk_prod_", rf"{_ALNUM}{{10,}}"),  # ds: Stripe
    ("whsec_", r"[A-Za-z0-9+/=]{24,}"),  # Stripe, Svix
    ("sk-lf- amzn.mws. access-production- access-sandbox-", _UUID),  # Langfuse, Amazon MWS, Plaid
    ("p8e- ico-", rf"{_ALNUM}{{32}}(?!\w)"),  # gl: Adobe, Infracost
    ("API-", r"(?=[A-Z]{0,25}\d)[A-Z0-9]{26}(?!\w)"),  # gl: Octopus
    ("sgp_", rf"(?:(?:{_HEX}{{16}}|local)_)?{_HEX}{{40}}"),  # gl: Sourcegraph
    ("pat. sat.", rf"[\w-]{{22}}\.{_ALNUM}{{24}}\.{_ALNUM}{{20}}"),  # gl: Harness
    ("rzp_live_ rzp_test_", rf"{_ALNUM}{{14,}}"),  # Razorpay
    ("sess- nyk_v0_", rf"{_ALNUM}{{40,}}"),  # OpenAI, Nylas
    ("sq0csp- tfp_ CFPAT-", rf"{_NAME}{{40,}}"),  # Square (ds), Typeform, Contentful
    ("sq0atp-", rf"{_NAME}{{22,}}"),
    ("EAA", rf"{_MIXED}(?:A[\w-]{{22,}}|[\w-]{{50,}})"),  # gl: Square, Facebook
    ("ghp_ gho_ ghu_ ghs_ ghr_ unkey_", rf"{_ALNUM}{{20,}}"),  # GitHub (ds), Unkey
    ("github_pat_ vercel_blob_rw_", r"\w{20,}"),  # GitHub, Vercel
    (  # ds, gl: GitLab
        "glpat- glcbt- gldt- glft- glimt- glagent- gloas- glptt- glrt- glrtr- glsoat- glffct-",
        rf"{_NAME}{{20,}}(?:\.{_NAME}+)*",
    ),
    ("pypi-", rf"(?:AgE{_NAME}{{40,}}|{_ALNUM}{{50,}})"),  # ds: PyPI
    ("rubygems_", rf"{_HEX}{{48,}}"),
    ("CLOJARS_", rf"{_ALNUM}{{60,}}"),  # gl
    ("packagist_uut_ e2b_", rf"{_HEX}{{40,}}"),  # Packagist (gl), E2B
    ("dckr_pat_ dckr_oat_", rf"{_NAME}{{27,}}"),  # Docker
    ("npm_ hf_ api_org_", rf"{_ALNUM}{{30,}}"),  # npm, Hugging Face
    ("gsk_ xai- pplx- r8_ csk- flp_ rpa_ jina_", rf"{_ALNUM}{{30,}}"),
    ("tgp_v1_ phx_ phs_ pylf_v1_us_ pylf_v1_eu_", rf"{_ALNUM}{{30,}}"),
    ("ls_", rf"_{_ALNUM}{{30,}}"),
    ("nvapi-", rf"{RANDOM}{_NAME}{{30,}}"),
    ("fw_ tr_dev_ tr_prod_", rf"{_MIXED}{_ALNUM}{{20,}}"),  # Fireworks, Trigger
    ("tvly-", rf"(?:dev-|prod-)?{_ALNUM}{{28,}}"),  # Tavily
    ("fc-", rf"{_HEX}{{32}}(?![A-Za-z0-9_])"),  # Firecrawl
    ("pcsk_", rf"{_ALNUM}{{4,8}}_{_ALNUM}{{40,}}"),  # Pinecone
    ("wandb_v1_", r"\w{30,}"),
    ("pa- nk- cfut_ cfat_ cfk_", rf"{_MIXED}{_NAME}{{40,}}"),  # Voyage, Nomic, Cloudflare
    ("ak- as-", rf"{_MIXED}{_ALNUM}{{22}}(?!\w)"),  # Modal
    ("sk-helicone- sb_secret_ ya29.", rf"{_NAME}{{20,}}"),  # Helicone, Supabase, Google OAuth
    ("lsv2_pt_ lsv2_sk_", rf"{_ALNUM}{{32,}}(?:_{_ALNUM}+)?"),  # LangSmith
    ("lin_api_ lin_oauth_ lin_wh_", rf"{_ALNUM}{{32,}}"),  # gl: Linear
    ("ntn_", rf"[0-9]{{11}}{_ALNUM}{{35,}}"),  # gl: Notion
    ("secret_", rf"{_MIXED}{_ALNUM}{{30,}}"),
    ("figd_ figo_ figu_ figdr_ figor_ figur_", rf"{_NAME}{{36,}}"),  # Figma
    ("vca_ vcp_ vcc_ vci_ vcr_ vck_", rf"{_ALNUM}{{24,}}"),  # Vercel
    ("sbp_", rf"(?:oauth_)?{_HEX}{{40,}}"),  # Supabase
    ("v1.0-", rf"{_HEX}{{24}}-{_HEX}{{100,}}"),  # gl
    ("glsa_", rf"{_ALNUM}{{32,}}_{_HEX}{{8,}}"),  # gl: Grafana
    ("glc_", r"[A-Za-z0-9+/=]{32,}"),
    ("NRAK- NRII- NRJS- NRAA- NRRA- NRIQ-", rf"{_ALNUM}{{18,}}"),  # gl
    ("AIz", r"a[\w-]{35,}"),  # Google
    ("GOOG", r"1[A-Z0-9]{56,}"),
    ("GOCSPX-", rf"{_NAME}{{20,}}"),  # Google OAuth
    ("1//", r"0[\w-]{40,}"),
    ("SG.", r"[\w=.-]{60,}"),  # ds: SendGrid
    ("key- SK", rf"{_HEX}{{32}}(?![A-Za-z0-9])"),  # Mailgun (gl), Twilio (ds)
    ("md-", rf"{_MIXED}{_NAME}{{22}}(?!\w)"),  # Mailchimp
    ("xkeysib- xsmtpsib-", rf"{_HEX}{{64}}-{_ALNUM}{{16,}}"),  # gl: Brevo
    ("re_", rf"{_ALNUM}{{6,12}}_{_ALNUM}{{20,}}"),  # Resend
    # Slack, ds and gl
    ("xoxa- xoxb- xoxc- xoxd- xoxe- xoxo- xoxp- xoxr- xoxs-", r"(?=\D{0,80}\d)[A-Za-z0-9-]{10,}"),
    ("xapp-", r"\d-[A-Za-z0-9-]{14,}"),
    ("xwfp-", r"\d[A-Za-z0-9-]{14,}"),
    ("doo_v1_ dop_v1_ dor_v1_", rf"{_HEX}{{64,}}"),  # gl: DigitalOcean
    # Doppler, gl
    ("dp.", rf"(?:pt|ct|st|sa|said|scim|audit)\.(?:[a-z0-9_-]{{1,35}}\.)?{_ALNUM}{{40,}}"),
    ("pscale_tkn_ pscale_pw_ pscale_oauth_", r"[\w=.-]{32,}"),  # gl: PlanetScale
    ("shpat_ shpca_ shppa_ shpss_ shpua_", rf"{_HEX}{{32,}}"),  # gl: Shopify
    ("hvb. hvs. hvr.", rf"(?=\D{{0,90}}\d){_NAME}{{20,}}"),  # gl: Vault
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
    ("LTA", rf"I{_ALNUM}{{20}}(?!\w)"),  # gl: Alibaba
    ("AT", r"(?:ATT|CTT|STT|BB)[\w=-]{30,}"),  # Atlassian
    ("PMAK-", rf"{_HEX}{{24}}-{_HEX}{{34}}"),  # gl: Postman
    ("dap", rf"i{_HEX}{{32,}}(?:-\d)?"),  # gl: Databricks
    ("sntrys_ sntryu_", r"[\w+/=]{40,}"),  # gl: Sentry
    ("FLWSECK- FLWSECK_TEST-", rf"{_ALNUM}{{12,}}(?:-X)?"),  # gl
    ("EZAK EZTK", rf"{_ALNUM}{{54}}"),  # gl: EasyPost
    ("HRKU-", rf"(?:AA{_NAME}{{58}}|{_UUID})"),  # gl: Heroku
    ("fo1_ fm1a_ fm1r_ fm2_", r"[A-Za-z0-9+/=_-]{43,}"),  # gl
    ("rnd_", rf"{_MIXED}{_ALNUM}{{28,}}"),  # Render
    ("nfp_ nfc_ nfo_ nfu_", rf"{_MIXED}{_ALNUM}{{36,}}"),  # Netlify
    ("napi_", rf"{_ALNUM}{{50,}}"),  # Neon
    ("npg_", rf"{_MIXED}{_ALNUM}{{12}}(?!\w)"),
    ("mdb_sa_sk_ secret-live- secret-test-", rf"{_NAME}{{30,}}"),  # MongoDB, Stytch
    ("snyk_uat.", r"\w{4,12}\.[\w-]{30,}"),
    ("sqp_ squ_ sqa_ pul-", rf"{_HEX}{{40}}(?!\w)"),  # Sonar, Pulumi (gl)
    ("st.", rf"{_HEX}{{20,}}\.{_HEX}{{20,}}\.{_HEX}{{20,}}"),  # Infisical
    ("ops_", r"eyJ[A-Za-z0-9+/=]{200,}"),  # gl: 1Password
    ("A3-", r"[A-Z0-9]{6}-[A-Z0-9]{5,11}(?:-[A-Z0-9]{5}){2,3}"),
    ("AGE-SECRET-KEY-", r"1[A-Z0-9]{41,}"),  # gl
    ("dt0c01.", rf"{_ALNUM}{{24}}\.{_ALNUM}{{64}}"),  # gl: Dynatrace
    ("hcaik_ hcbik_ hccik_ hcdik_ hceik_ hcfik_ hcxik_", r"[a-z0-9]{58,}"),  # Honeycomb
    ("rootly_ s-s4t2ud- s-s4t2af-", rf"{_HEX}{{64}}"),  # Rootly, Intra42 (gl)
    ("pk_", r"\d{6,}_[A-Z0-9]{30,}"),  # ClickUp
    ("pat-", rf"[a-z]{{2}}\d-{_UUID}"),  # HubSpot
    ("shippo_live_ shippo_test_ bkua_", rf"{_HEX}{{40}}"),  # Shippo (gl), Buildkite
    ("duffel_live_ duffel_test_", r"[\w=-]{43}"),  # gl
    ("fio-u-", r"[\w=-]{64}"),  # gl: Frame.io
    ("rdme_", r"[a-z0-9]{70}"),  # gl
    ("tk-us-", rf"{_NAME}{{48}}"),  # gl: Scalingo
    ("sm_pat_ sm_aat_ sm_sat_", rf"{_ALNUM}{{16}}(?!\w)"),  # gl
    ("pnu_", rf"{_ALNUM}{{36}}"),  # gl: Prefect
    ("tskey-", r"(?:auth|api|client|scim|webhook)-[A-Za-z0-9-]{20,}"),  # Tailscale
    ("sha256~", rf"{_NAME}{{43,}}"),  # gl: OpenShift
    ("CCIPAT_", r"\w{40,}"),  # CircleCI
    ("ddp_ ddw_", rf"{_MIXED}{_ALNUM}{{36}}(?!\w)"),  # Deno
    ("signkey-prod- signkey-test-", rf"{_HEX}{{32,}}"),  # Inngest
    ("zpka_", rf"{_ALNUM}{{32}}_[0-9a-f]{{8}}"),
    ("sdk-", rf"{_UUID}(?!\w)"),  # LaunchDarkly
    ("live_", rf"{_HEX}{{35}}(?!\w)"),  # Lob
    ("t1.", r"9euel[\w=.-]{60,}"),  # Yandex
    ("sk. tk.", r"eyJ[\w-]{20,}\.[\w-]{20,}"),  # Mapbox
    ("eyJ", r"rIjoi[A-Za-z0-9+/]{60,}=*(?![\w.-])"),  # gl: Grafana's older
    ("ZXlK", r"[\w+/=-]{40,}"),  # gl: a JSON web token in base64
    ("eyJ", rf"{_NAME}{{8,}}+\.{_NAME}{{8,}}+(?:\.{_NAME}*+)+"),  # ds: JSON web tokens
    ("-----B", rf"EGIN{_PEM}[\s\S]*?(?:-----END{_PEM}|\Z)"),  # ds: private keys
    ("$5$ $6$ $y$ $2a$ $2b$ $2y$ $argon2id$ $apr1$", r"[\w./$=,+-]{30,}"),
    ("pbkdf2_sha1$ pbkdf2_sha256$", r"\d+\$[\w./=+-]+\$[\w./=+-]{20,}"),  # Django
    ("scrypt:32768:8:1$", r"[\w./=+-]+\$[0-9a-f]{40,}"),  # Werkzeug
    ("slack.", r"com/(?:services|workflows|triggers)/([\w+/-]{20,})"),  # ds: webhooks
    ("office.", r"com/webhookb2/([\w@-]+/IncomingWebhook/[\w/-]+)"),
    ("discord. discordapp.", r"com/api/(?:v\d+/)?webhooks/\d{8,}/([\w-]{20,})"),
)
PROVIDERS = [(one, pattern) for beginnings, pattern in _SHAPES for one in beginnings.split()]
"""How a key begins, and the pattern of its rest."""

# A user alone is no secret, unless it looks like a key.
_IN_URL = (
    r"://((?!:@)[^/?#\s'\":@]*+:(?![@*]|\[redacted\]@|[<{$%])[^/?#\s'\"]*(?=@)"
    r"|(?=\D{0,80}\d)[A-Za-z0-9_-]{16,80}(?=@))"
)
# In URLs of these schemes the path may have an @; in others, as of databases, a password may have
# slashes.
_PATHS = ("http", "https", "ws", "wss", "ssh", "file", "s3", "gs")
_BEHIND_PATHS = "".join(f"(?<!{scheme}.)" for scheme in _PATHS)
_NO_PATHS = "".join(f"(?<!{scheme})" for scheme in _PATHS)
_OF_DATABASE = r"[^/?#\s'\":@\[]*+:(?![@*<{$%]|\[redacted\]|\d{1,5}[/?#,])[^\s'\":]*"
# Not every word after "basic": a credential is no word, and no words with marks between them.
_BEHIND_SCHEME = (
    r"(?:[bB](?:earer|asic)|BEARER|BASIC)\s{1,8}+"
    r"(?![a-z]{1,20}(?:_[a-z]{1,20}){0,3}=[A-Za-z0-9\"'])"  # a field, or a parameter of a challenge
    r"((?=[A-Za-z._~+/=-]{0,80}(?:\d|[a-z][A-Z]|[A-Z]{2}[a-z]|=)|[A-Za-z]{20})"
    r"[A-Za-z0-9._~+/=-]{8,})"
)

# Secrets without a beginning of their own: the character that is searched for, the pattern of what
# stands around it there, and the pattern from that character on. The group is the secret.
OTHERS: tuple[tuple[str, str, str], ...] = (
    (":", r"(?<=\d{8}.)", ":([A-Za-z0-9_-]{35,})"),  # ds: Telegram
    # A line of ~/.pgpass: https://www.postgresql.org/docs/current/libpq-pgpass.html
    (":", r"(?:(?<=:\d{4}.)|(?<=\*:\*.))", r":[\w*-]{1,63}+:[\w.*@-]{1,63}+:([^\s:'\"]{4,})"),
    # A URL, percent-encoded
    ("%", "(?=3[aA]%2[fF]%2[fF])", r"%3.%2.%2.[^%\s]{0,64}+%3[aA]([^%\s&]{1,200})(?=%40)"),
    (":", f"(?=//){_BEHIND_PATHS}(?=//{_OF_DATABASE}@)", f"{_NO_PATHS}://({_OF_DATABASE})(?=@)"),
    (":", r"(?=//[^/?#\s'\"]*@)", _IN_URL),  # ds
    ("~", r"(?<=\dQ.)", r"(?<=[A-Za-z0-9_~.]{3}\dQ)~([A-Za-z0-9_~.-]{31,})"),  # Azure
    (":", "(?<=:thin.)", r":[\w.-]{1,64}+/([^\s@'\"]{1,200}+)(?=@)"),  # Oracle's URL for JDBC
    # Discord, ds; Airtable, gl
    (
        ".",
        r"(?=[\w-]{6}\.[\w-]{27})",
        r"(?:(?<=[MNO][\w-]{23})|(?<=[MNO][\w-]{25}))\.([\w-]{6}\.[\w-]{27,})",
    ),
    (".", "(?=[a-f0-9]{64})", r"(?<=pat[A-Za-z0-9]{14})\.([a-f0-9]{64})"),
    ("-", r"(?=us\d)", r"(?<=([0-9a-f]{32}))-us\d{1,2}(?!\w)"),  # Mailchimp, ds
    ("b", "(?=earer|asic)", _BEHIND_SCHEME),
    ("B", "(?=earer|asic|EARER|ASIC)", _BEHIND_SCHEME),
)
