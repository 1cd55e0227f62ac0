"""The allow-list of hosts: the hosts that it allows, and patterns that are refused."""

from __future__ import annotations

import pytest

from pantheon_obs import ConfigError
from pantheon_obs.propagation.hosts import allow_list


@pytest.mark.parametrize(
    ("pattern", "host", "allowed"),
    [
        ("api.internal", "api.internal", True),
        ("API.internal", "api.INTERNAL", True),
        ("api.internal.", "api.internal", True),
        ("api.internal", "api.internal.", True),
        ("api.internal:8443", "api.internal", True),
        ("api.internal", "api.internal.evil.com", False),
        ("api.internal", "my-api.internal", False),
        ("api.internal", "", False),
        ("*.example.com", "a.example.com", True),
        ("*.Example.com:80", "b.A.example.com", True),
        ("*.example.com", "example.com", False),
        ("*.example.com", "badexample.com", False),
        ("*.example.com", "example.com.evil.com", False),
        ("my_service", "my_service", True),
        ("10.0.0.7", "10.0.0.7", True),
        ("[::1]:80", "::1", True),
        ("bücher.example", "xn--bcher-kva.example", True),
    ],
)
def test_a_pattern_allows_what_it_names(pattern: str, host: str, *, allowed: bool) -> None:
    """A pattern is a whole name or all names below it; case and ports are ignored."""
    hosts = allow_list([pattern])

    assert hosts is not None
    assert allowed == hosts.allow(host)


def test_one_pattern_needs_no_list() -> None:
    """A string is one pattern, not one for each letter."""
    assert allow_list(["api.internal"]) == allow_list("api.internal")


def test_an_empty_list_allows_no_host() -> None:
    """An empty list allows no host, None all hosts."""
    hosts = allow_list(())

    assert hosts is not None
    assert not hosts.allow("api.internal")
    assert allow_list(None) is None


@pytest.mark.parametrize(
    "pattern",
    [
        "",
        "*",
        "*.",
        "a.*.com",
        "*example.com",
        "https://api.internal",
        "api.internal/path",
        "user@api.internal",
        "api internal",
        "api..internal",
        "api.internal:http",
        "a" * 64,
        "\udcff",
        b"api.internal",
        7,
        None,
    ],
)
def test_an_invalid_pattern_is_named_and_refused(pattern: object) -> None:
    """A mistake must not become a list that allows nothing, or everything."""
    with pytest.raises(ConfigError) as caught:
        allow_list(["api.internal", pattern])  # type: ignore[list-item]

    assert str(caught.value).startswith(f"hosts={pattern!r} is not accepted: use host names")


def test_a_value_that_is_no_list_is_refused() -> None:
    """The message names the value."""
    with pytest.raises(ConfigError, match=r"hosts=7 is not accepted"):
        allow_list(7)  # type: ignore[arg-type]
