"""The vendor that a call goes to, by the host of the interface.

A client's class says which protocol it speaks, and its host who sells the model: any vendor or
gateway may speak OpenAI's protocol.
"""

from __future__ import annotations

import re
from functools import lru_cache
from operator import attrgetter
from typing import TYPE_CHECKING, Any, NamedTuple
from urllib.parse import urlsplit

from pantheon_obs.core.guard import report
from pantheon_obs.llm.usage.fields import either

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from pantheon_obs.llm.options import CallOptions
    from pantheon_obs.llm.sdks import Sdk

    Place = tuple[str | None, bool]  # a vendor, and whether its prices there may be others

_URLS = ("base_url", "server_url", "api_base")  # mistralai's, litellm's
# The arguments that may have a URL.
_NAMING = frozenset((*_URLS, "http_options", "httpOptions", "config"))
# The attributes that lead from a client, a chat or a stub to a channel, and how many there may be.
_TO_CHANNEL = ("_stub", "_api_channel", "GetCompletion", "GenerateImage", "_channel", "_thunk")
_LONGEST_WAY = 16


class Vendor(NamedTuple):
    """A seller of models, with OpenTelemetry's name for it, and patterns for its hosts.

    https://opentelemetry.io/docs/specs/semconv/registry/attributes/gen-ai/
    """

    name: str
    hosts: str
    # Its hosts whose prices may differ from the list, which has those of the global hosts. Most
    # vendors take a tenth more for some models where data stay within a region; prices also differ
    # in China and in clouds for governments.
    regional: str = ""
    regional_for_claude: str = ""
    listed_as: str | None = None  # the name in genai-prices, if it is another one


VENDORS = (
    Vendor("openai", r"(.+\.)?api\.openai\.com", regional=r".+\.api\.openai\.com"),
    Vendor(
        "azure.ai.openai",
        r".+\.(openai\.azure\.(com|us|cn)|azure-api\.net|cognitiveservices\.azure\.com)",
        regional=r".+\.openai\.azure\.(us|cn)",
        listed_as="azure",
    ),
    Vendor(
        "azure.ai.inference",
        r".+\.(services|inference|models)\.ai\.azure\.com",
        listed_as="azure",
    ),
    Vendor("anthropic", r"api\.anthropic\.com"),
    Vendor("aws.anthropic", r"aws-external-anthropic\..+\.api\.aws", regional=r".+\.us-gov-.+"),
    Vendor("gcp.anthropic", r"claude\.googleapis\.com"),
    Vendor(
        "aws.bedrock",
        r"(.+\.)?bedrock-(runtime|mantle)(-fips)?\..+\.(amazonaws\.com(\.cn)?|api\.aws)",
        regional=r".+\.us-gov-.+|.+\.cn",
    ),
    Vendor("gcp.gemini", r"generativelanguage\.googleapis\.com"),
    Vendor(
        "gcp.vertex_ai",
        r"((.+-)?aiplatform|aiplatform\..+\.rep)\.googleapis\.com",
        regional_for_claude=r".+-aiplatform\..+|.+\.rep\..+",
    ),
    Vendor("cerebras", r"api\.cerebras\.ai"),
    Vendor("cohere", r"api\.cohere\.(ai|com)"),
    Vendor("deepinfra", r"api\.deepinfra\.com"),
    Vendor("deepseek", r"api\.deepseek\.com"),
    Vendor("fireworks", r"api\.fireworks\.ai"),
    Vendor("groq", r"api\.groq\.com"),
    Vendor("mistral_ai", r"api\.(.+\.)?mistral\.ai", regional=r"api\..+\.mistral\.ai"),
    Vendor("moonshot_ai", r"api\.moonshot\.(ai|cn)"),
    Vendor("openrouter", r"(.+\.)?openrouter\.ai"),
    Vendor("perplexity", r"api\.perplexity\.ai"),
    Vendor("together", r"api\.together\.(xyz|ai)"),
    Vendor("x_ai", r"(.+\.)?api\.x\.ai", regional=r".+\.api\.x\.ai", listed_as="x-ai"),
    Vendor("zai", r"api\.z\.ai"),
)


@lru_cache(maxsize=256)  # bounded: a gateway may have a URL per tenant
def place_at(url: str, *, is_claude: bool = False) -> Place:
    """Return the vendor whose interface has this URL, None if its host is not known.

    The second value says whether the prices there may differ from the list.
    """
    host = urlsplit(url).hostname or ""
    for vendor in VENDORS:
        if re.fullmatch(vendor.hosts, host):
            regional = vendor.regional_for_claude if is_claude else ""
            return vendor.name, any(
                re.fullmatch(pattern, host) for pattern in (vendor.regional, regional)
            )
    return None, False


def vendor_of(client: object, sdk: Sdk) -> str | None:
    """Return the vendor that a client of an SDK is connected to, if its host is known."""
    try:
        url = attrgetter(sdk.url)(client) if sdk.url else _channel_url(client)
        return sdk.vendor if url is None else place_at(str(url))[0]
    except (AttributeError, ValueError):  # a stub; a URL that is none
        return sdk.vendor


def place_finder(options: CallOptions) -> Callable[..., Place]:
    """Make a function that returns the place that a call goes to. It raises no `Exception`.

    The place is known by the URL among the arguments, else by the client's present URL. `args`
    begin with the client, or with a resource of it, unless others have wrapped the method.
    """
    sdk, in_resource = options.sdk, "." in (options.method or "")
    url_of = attrgetter(sdk.url) if sdk is not None and sdk.url else _channel_url
    # Most calls go where the call before went, and an SDK's URL takes 2 µs to become text.
    last: tuple[Any, Any, Place] = None, None, (None, False)

    def place_of(args: tuple[Any, ...], kwargs: dict[str, Any]) -> Place:
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
                place = place_at(str(url), is_claude=is_claude)
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
