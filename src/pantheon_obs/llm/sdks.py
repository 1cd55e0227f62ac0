"""The SDK that a client belongs to, and the functions that all its clients call."""

from __future__ import annotations

from contextlib import suppress
from copy import copy
from inspect import getattr_static, unwrap
from operator import attrgetter
from types import FunctionType, ModuleType
from typing import TYPE_CHECKING, Any, get_type_hints

from pantheon_obs.llm.call import OBSERVED
from pantheon_obs.llm.vendors import vendor_at
from pantheon_obs.products import SDKS

if TYPE_CHECKING:
    from pantheon_obs.products import Sdk


SDK_NAMES = ", ".join(sdk.package for sdk in SDKS)


def sdk_of(subject: Any) -> Sdk | None:
    """Return the row of a module, a class or a client.

    The row of a class is that of the nearest of its bases that has one.
    """
    if isinstance(subject, ModuleType):
        return next((sdk for sdk in SDKS if sdk.package == subject.__name__), None)
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
        return vendor_at(str(attrgetter(sdk.url)(client)))
    except (AttributeError, ValueError):  # a stub; a URL that is none
        return None


def functions_at(subject: Any, sdk: Sdk, path: str) -> list[tuple[type, FunctionType]]:
    """List the functions that the clients of a class, or of a module's classes, call by a path.

    Each has the class of the clients; `object` stands for a function of the module itself.
    """
    classes = [subject]
    if isinstance(subject, ModuleType):
        classes = [kind for name in sdk.names if (kind := getattr(subject, name, None))]
    *resources, name = path.split(".")
    found = []
    for kind in classes:
        owner = kind
        for resource in resources:
            owner = _kind_of(owner, resource)
        found.append((kind, _function_of(getattr_static(owner, name, None), sdk)))
    if subject not in classes and not resources:
        found.append((object, _function_of(vars(subject).get(name), sdk)))
    return [(kind, function) for kind, function in found if isinstance(function, FunctionType)]


def unobserved(resource: Any) -> Any:
    """Copy a resource of an SDK without the observed methods.

    Its methods call one another: so one call of the application's is one event.
    """
    unobserved: Any = copy(resource)
    own: Any = vars(unobserved)
    for name in [name for name, value in own.items() if getattr(value, OBSERVED, None) is True]:
        del own[name]
    own[OBSERVED] = True  # the watchers of its class leave it alone
    return unobserved


def _kind_of(owner: Any, name: str) -> Any:
    """Return the class of an attribute that the instances of a class have, if it can be told."""
    made = getattr_static(owner, name, None)
    maker = getattr(made, "fget", None) or getattr(made, "func", None)
    with suppress(Exception):
        hint = get_type_hints(maker or owner)["return" if maker else name]
        if isinstance(hint, type):
            return hint
    # An SDK that imports its resources when they are used has no more than their names there. The
    # property that makes one needs no more of the client than its methods.
    with suppress(Exception):
        return type(getattr(object.__new__(owner), name))
    return None


def _function_of(method: Any, sdk: Sdk) -> Any:
    """Return the SDK's own function, below the wrappers of other libraries."""
    return unwrap(
        method,
        stop=lambda layer: (
            isinstance(layer, FunctionType) and _is_in(layer.__globals__["__name__"], sdk)
        ),
    )


def _is_in(module: str, sdk: Sdk) -> bool:
    return f"{module}.".startswith(f"{sdk.package}.")
