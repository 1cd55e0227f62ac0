"""The URL that the arguments of one call name goes before the client's."""

from __future__ import annotations

import pytest

from pantheon_obs.llm.hosts import _url_among


@pytest.mark.parametrize("name", ["http_options", "httpOptions"])
def test_the_options_of_a_call_name_its_url(name: str) -> None:
    """google-genai takes them beside the other arguments or in its `config`."""
    options = {"base_url": "http://gateway.local"}

    assert "http://gateway.local" == _url_among({name: options})
    assert "http://gateway.local" == _url_among({"config": {name: options}})
    assert None is _url_among({"config": None})
