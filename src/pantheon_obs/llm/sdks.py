"""The SDK that a client belongs to, and the functions that all its clients call."""

from __future__ import annotations

import sys
from contextlib import suppress
from functools import reduce
from inspect import getattr_static, unwrap
from operator import attrgetter
from types import FunctionType, ModuleType
from typing import TYPE_CHECKING, Any, TypeVar, get_args, get_type_hints

from pantheon_obs.core.guard import report
from pantheon_obs.llm.methods import SDKS
from pantheon_obs.llm.report import LlmCall
from pantheon_obs.llm.usage.fields import either
from pantheon_obs.llm.vendors import is_regional, vendor_at

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from pantheon_obs.llm.methods import Sdk
    from pantheon_obs.llm.observe.functions import Starter
    from pantheon_obs.llm.options import CallOptions, Finder


_URLS = ("base_url", "server_url", "api_base")  # mistralai's, litellm's
_NAMING = frozenset((*_URLS, "http_options", "httpOptions", "config"))  # what may have a URL
# The attributes that lead from a client, a chat or a stub to a channel, and how many there may be.
_TO_CHANNEL = ("_stub", "_api_channel", "GetCompletion", "GenerateImage", "_channel", "_thunk")
_LONGEST_WAY = 16
SDK_NAMES = ", ".join(sdk.package for sdk in SDKS)


def sdk_of(subject: Any) -> Sdk | None:
    """Return the row of a module, a class or a client.

    The row of a class is that of the nearest of its bases that has one.
    """
    if isinstance(subject, ModuleType):
        name = subject.__name__
        return next((sdk for sdk in SDKS if name == sdk.package or name in sdk.modules), None)
    # A proxy or mock returns the class that it stands for.
    kind: Any = subject if isinstance(subject, type) else subject.__class__
    for base in kind.__mro__:
        for sdk in SDKS:
            if base.__name__ in sdk.names and _is_in(base.__module__, sdk):
                return sdk
    return None


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

    That is the vendor of its own URL, else of the client's present one. The second value says that
    its place may have prices of its own. `args` begin with the client, or with a resource of it,
    unless others have wrapped the method.
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


def functions_at(subject: Any, sdk: Sdk, path: str) -> list[tuple[type, FunctionType]]:
    """List the functions that the clients of a class, or of a module's classes, call by a path.

    Each has the class of the objects that call it; `object` stands for the functions of the module
    itself, and for the objects that the clients make.
    """
    classes = [subject]
    found: list[tuple[type, Any]] = []
    functions: list[tuple[type, Any]] = []
    if path == sdk.factory:
        with suppress(AttributeError):  # half of the package is imported
            found = [(object, attrgetter(path)(sys.modules.get(sdk.package)))]
        classes = []
    elif isinstance(subject, ModuleType):
        functions = [(object, layer) for layer in _layers_of(vars(subject).get(path), sdk)]
        classes = _classes_in(subject, sdk)
    for kind in classes:
        found.append((kind, _method_at(kind, path, sdk)))
        made = (_result_of(kind, maker, sdk) for maker in sdk.makers)
        found += ((object, _method_at(result, path, sdk)) for result in made)
    functions += [(kind, _function_of(method, sdk)) for kind, method in found]
    return [(kind, function) for kind, function in functions if isinstance(function, FunctionType)]


def _classes_in(module: ModuleType, sdk: Sdk) -> list[Any]:
    """List the classes of clients that a module has, or else its package as far as imported."""
    names = dict.fromkeys((*sdk.names, *(f"Async{name}" for name in sdk.names)))
    classes = [kind for name in names if (kind := getattr(module, name, None))]
    if not classes:
        modules = [other for name, other in [*sys.modules.items()] if _is_in(name, sdk)]
        found = (getattr(other, name, None) for other in modules for name in names)
        classes = [*dict.fromkeys(kind for kind in found if isinstance(kind, type))]
    return classes


def _method_at(kind: Any, path: str, sdk: Sdk) -> Any:
    *resources, name = path.split(".")
    return getattr_static(_kind_at(kind, resources, sdk), name, None)


def _result_of(kind: Any, path: str, sdk: Sdk) -> Any:
    """Return the class of a method's result, if its annotation tells."""
    *resources, _ = path.split(".")
    with suppress(Exception):
        result = get_type_hints(_method_at(kind, path, sdk))["return"]
        if isinstance(result, TypeVar):  # of a generic base of the resource
            owner = _kind_at(kind, resources, sdk)
            (reference,) = get_args(owner.__orig_bases__[0])
            result = vars(sys.modules[owner.__module__])[reference.__forward_arg__]
        return result
    return None


def _kind_at(kind: Any, resources: list[str], sdk: Sdk) -> Any:
    """Return the class of a resource that the instances of a class have, if it can be told."""
    # The properties that make resources need no more of a client than its methods, and at most its
    # configuration, which they pass on.
    with suppress(Exception):
        client = object.__new__(kind)
        vars(client)[sdk.url.partition(".")[0]] = None
        return type(reduce(getattr, resources, client))
    return reduce(_annotated, resources, kind)


def _annotated(kind: Any, name: str) -> Any:
    """Return the class of an attribute by its annotation."""
    made = getattr_static(kind, name, None)
    maker = getattr(made, "fget", None) or getattr(made, "func", None)
    with suppress(Exception):
        return get_type_hints(maker or kind)["return" if maker else name]
    return None


def _function_of(method: Any, sdk: Sdk) -> Any:
    """Return the SDK's own function, below the wrappers of other libraries."""
    return unwrap(
        method,
        stop=lambda layer: (
            isinstance(layer, FunctionType) and _is_in(layer.__globals__["__name__"], sdk)
        ),
    )


def _layers_of(function: Any, sdk: Sdk) -> list[Any]:
    """Return a function of a module, and those of the SDK that it wraps.

    Other parts of the SDK, and imports of its inner modules, call the inner ones.
    """
    layers = [_function_of(function, sdk)]
    while inner := getattr(layers[-1], "__wrapped__", None):
        layers.append(inner)
    return layers


def _is_in(module: str, sdk: Sdk) -> bool:
    return f"{module}.".startswith(f"{sdk.package}.")
