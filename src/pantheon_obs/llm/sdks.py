"""The SDK that a client belongs to, and the functions that all its clients call."""

from __future__ import annotations

import sys
from contextlib import suppress
from functools import reduce
from inspect import getattr_static, unwrap
from operator import attrgetter
from types import FunctionType, ModuleType
from typing import TYPE_CHECKING, Any, TypeVar, get_args, get_type_hints

from pantheon_obs.core.guard import Guard
from pantheon_obs.llm.methods import SDKS
from pantheon_obs.llm.report import LlmCall
from pantheon_obs.llm.usage.fields import either
from pantheon_obs.llm.vendors import is_regional, vendor_at

if TYPE_CHECKING:
    from collections.abc import Mapping

    from pantheon_obs.llm.methods import Sdk
    from pantheon_obs.llm.model_alias import Finder
    from pantheon_obs.llm.observe.functions import Starter
    from pantheon_obs.llm.options import CallOptions


_guard = Guard("llm client")
_URLS = ("base_url", "server_url", "api_base")  # mistralai's, litellm's
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
        url = attrgetter(sdk.url)(client)
        return sdk.vendor if url is None else vendor_at(str(url))
    except (AttributeError, ValueError):  # a stub; a URL that is none
        return sdk.vendor


def client_starter(options: CallOptions, find_alias: Finder) -> Starter:
    """Make a function that starts a call of a client, and asks it where it goes."""

    def start(args: tuple[Any, ...], kwargs: dict[str, Any]) -> LlmCall:
        vendor, is_dearer = None, False
        with _guard:
            vendor, is_dearer = called_vendor(options, args, kwargs)
        call = LlmCall(options, find_alias(args, kwargs), vendor)
        if is_dearer:
            call.reported.served = {"place": "regional"}
        return call

    return start


def called_vendor(
    options: CallOptions, args: tuple[Any, ...], kwargs: Mapping[str, Any]
) -> tuple[str | None, bool]:
    """Return the vendor that a call goes to: that of its own URL, else of the client's present one.

    The second value says that its place may have prices of its own. `args` begin with the client,
    or with a resource of it, unless others have wrapped the method.
    """
    sdk, subject = options.sdk, args[0] if args else None
    try:
        url = _url_among(kwargs)
        if url is None and options.method and "." in options.method:
            subject = getattr(subject, "_client", subject)
        url = attrgetter(sdk.url)(subject) if url is None and sdk is not None else url
        if url is not None:
            kind: Any = type(subject)  # lm15 has clients of this name, too
            is_claude = (sdk is not None and sdk.package == "anthropic") or (
                "Anthropic" in kind.__name__
            )
            return vendor_at(str(url)), is_regional(str(url), is_claude=is_claude)
    except (AttributeError, ValueError):
        pass
    return options.provider, False


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
