"""The vendor that a call goes to, by the host of the interface.

A client's class says which protocol it speaks, and its host who sells the model: any vendor or
gateway may speak OpenAI's protocol.
"""

from __future__ import annotations

import re
from functools import lru_cache
from operator import attrgetter
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from pantheon_obs.core.guard import report
from pantheon_obs.llm.report import LlmCall
from pantheon_obs.llm.usage.fields import either

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from pantheon_obs.llm.observe.functions import Starter
    from pantheon_obs.llm.options import CallOptions, Finder
    from pantheon_obs.llm.sdks import Sdk

_URLS = ("base_url", "server_url", "api_base")  # mistralai's, litellm's
_NAMING = frozenset(
    (*_URLS, "http_options", "httpOptions", "config")
)  # arguments that may have a URL
# The attributes that lead from a client, a chat or a stub to a channel, and how many there may be.
_TO_CHANNEL = ("_stub", "_api_channel", "GetCompletion", "GenerateImage", "_channel", "_thunk")
_LONGEST_WAY = 16

# OpenTelemetry's name for each vendor that has one there, and a pattern for its hosts.
# https://opentelemetry.io/docs/specs/semconv/registry/attributes/gen-ai/
_HOSTS = {
    vendor: re.compile(pattern)
    for vendor, pattern in {
        "openai": r"(.+\.)?api\.openai\.com",
        "azure.ai.openai": (
            r".+\.(openai\.azure\.(com|us|cn)|azure-api\.net|cognitiveservices\.azure\.com)"
        ),
        "azure.ai.inference": r".+\.((services|inference)\.ai\.azure\.com|models\.ai\.azure\.com)",
        "anthropic": r"api\.anthropic\.com",
        "aws.anthropic": r"aws-external-anthropic\..+\.api\.aws",
        "gcp.anthropic": r"claude\.googleapis\.com",
        "aws.bedrock": (
            r"(.+\.)?bedrock-(runtime|mantle)(-fips)?\..+\.(amazonaws\.com(\.cn)?|api\.aws)"
        ),
        "gcp.gemini": r"generativelanguage\.googleapis\.com",
        "gcp.vertex_ai": r"((.+-)?aiplatform|aiplatform\..+\.rep)\.googleapis\.com",
        "cerebras": r"api\.cerebras\.ai",
        "cohere": r"api\.cohere\.(ai|com)",
        "deepinfra": r"api\.deepinfra\.com",
        "deepseek": r"api\.deepseek\.com",
        "fireworks": r"api\.fireworks\.ai",
        "groq": r"api\.groq\.com",
        "mistral_ai": r"api\.(.+\.)?mistral\.ai",
        "moonshot_ai": r"api\.moonshot\.(ai|cn)",
        "openrouter": r"(.+\.)?openrouter\.ai",
        "perplexity": r"api\.perplexity\.ai",
        "together": r"api\.together\.(xyz|ai)",
        "x_ai": r"(.+\.)?api\.x\.ai",
        "zai": r"api\.z\.ai",
    }.items()
}

# The list has the prices of the global hosts. Where data stay within a region most vendors take a
# tenth more, for some of the models; in clouds of governments and of China prices are others, too.
_REGIONAL = re.compile(
    r".+\.api\.(openai\.com|x\.ai)|api\..+\.mistral\.ai|.+\.openai\.azure\.(us|cn)"
    r"|.+\.us-gov-.+|.+\.amazonaws\.com\.cn"
)
_REGIONAL_FOR_CLAUDE = re.compile(r"(.+-aiplatform|aiplatform\..+\.rep)\.googleapis\.com")


@lru_cache(maxsize=256)  # bounded, as `vendor_at`
def is_regional(url: str, *, is_claude: bool) -> bool:
    """Whether a host's prices, for models of Claude or others, may differ from the list's."""
    host = urlsplit(url).hostname or ""
    return any(
        pattern.fullmatch(host)
        for pattern in (_REGIONAL, *([_REGIONAL_FOR_CLAUDE] if is_claude else ()))
    )


@lru_cache(maxsize=256)  # bounded: a gateway may have a URL per tenant
def vendor_at(url: str) -> str | None:
    """Return the vendor whose interface has this URL; None if the host is not known."""
    host = urlsplit(url).hostname or ""
    return next((vendor for vendor, known in _HOSTS.items() if known.fullmatch(host)), None)


def vendor_of(client: object, sdk: Sdk) -> str | None:
    """Return the vendor that a client of an SDK is connected to, if its host is known."""
    try:
        url = attrgetter(sdk.url)(client) if sdk.url else _channel_url(client)
        return sdk.vendor if url is None else vendor_at(str(url))
    except (AttributeError, ValueError):  # a stub; a URL that is none
        return sdk.vendor


def client_starter(options: CallOptions, find_alias: Finder) -> Starter:
    """Make a function that starts a call of a client, and asks it where it goes."""
    place_of = _place_finder(options)

    def start(args: tuple[Any, ...], kwargs: dict[str, Any]) -> LlmCall:
        vendor, is_dearer = place_of(args, kwargs)
        call = LlmCall(options, find_alias(args, kwargs), vendor)
        if is_dearer:
            call.reported.served = {"place": "regional"}
        return call

    return start


def _place_finder(options: CallOptions) -> Callable[..., tuple[str | None, bool]]:
    """Make a function that returns the vendor that a call goes to. It raises no `Exception`.

    The vendor is known by the URL among the arguments, else by the client's present URL. The second
    value says whether the host may have prices of its own. `args` begin with the client, or with a
    resource of it, unless others have wrapped the method.
    """
    sdk, in_resource = options.sdk, "." in (options.method or "")
    url_of = attrgetter(sdk.url) if sdk is not None and sdk.url else _channel_url
    # Most calls go where the call before went, and an SDK's URL takes 2 µs to become text.
    last: tuple[Any, Any, tuple[str | None, bool]] = None, None, (None, False)

    def place_of(args: tuple[Any, ...], kwargs: dict[str, Any]) -> tuple[str | None, bool]:
        nonlocal last
        subject = args[0] if args else None
        try:
            url = None if _NAMING.isdisjoint(kwargs) else _url_among(kwargs)
            if url is None and sdk is not None:
                subject = getattr(subject, "_client", subject) if in_resource else subject
                url = url_of(subject)
            if url is None:
                return options.provider, False
            kind: Any = type(subject)
            url_before, kind_before, place = last
            if url is not url_before or kind is not kind_before:
                of_sdk = sdk is not None and sdk.package == "anthropic"
                # lm15 has clients of this name, too.
                is_claude = of_sdk or "Anthropic" in kind.__name__
                place = vendor_at(str(url)), is_regional(str(url), is_claude=is_claude)
                last = url, kind, place
        except (AttributeError, ValueError):
            return options.provider, False
        except Exception as error:  # noqa: BLE001 - the guard, without its cost per call
            report("llm client", error)
            return None, False
        return place

    return place_of


def _url_among(kwargs: Mapping[str, Any]) -> Any:
    """Return the URL that the arguments of a call name, or None."""
    for name in _URLS:
        if kwargs.get(name) is not None:
            return kwargs[name]
    for given in (kwargs, kwargs.get("config")):
        options = either(given, "http_options", "httpOptions")
        if options is not None:
            return either(options, "base_url", "baseUrl")
    return None


def _channel_url(subject: Any) -> str | None:
    """Return the URL of the channel of gRPC on which a client, or an object of it, calls."""
    found = subject
    for _ in range(_LONGEST_WAY):
        target = getattr(found, "target", None)
        if target is not None:
            name: Any = target() if callable(target) else target
            return f"//{name.decode().rpartition('/')[2]}"
        cells = getattr(found, "__closure__", None) or ()  # an interceptor calls by a function
        ways = [getattr(found, name, None) for name in _TO_CHANNEL]
        ways += [cell.cell_contents for cell in cells if hasattr(cell.cell_contents, "_channel")]
        found = next((way for way in ways if way is not None), None)
    return None
