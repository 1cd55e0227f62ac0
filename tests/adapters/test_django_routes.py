"""The template of Django's routes: regular expressions are shown as people read them."""

from __future__ import annotations

import pytest

pytest.importorskip("django")

from pantheon_obs.adapters.django.templates import template_of_pattern


@pytest.mark.parametrize(
    ("route", "template"),
    [
        pytest.param("orders/<int:order_id>/", "orders/<int:order_id>/", id="path"),
        pytest.param("what?/", "what?/", id="path-with-a-sign-of-regular-expressions"),
        pytest.param("api/<int:v>/users/$", "api/<int:v>/users/", id="rest-framework-list"),
        pytest.param("users/(?P<pk>[^/.]+)/$", "users/<pk>/", id="rest-framework-detail"),
        pytest.param(
            r"^users/(?P<pk>[^/.]+)\.(?P<format>[a-z0-9]+)/?$",
            "users/<pk>.<format>/",
            id="rest-framework-format",
        ),
        pytest.param("t/(?P<a>[^/.]+)/x/(?P<a>[^/.]+)/$", "t/<a>/x/<a>/", id="the-same-name-twice"),
        pytest.param(r"^old/(\d+)/(?P<a>(b|c))/(?:\w+)$", "old/<var>/<a>/", id="groups-in-groups"),
        pytest.param(r"\Ay/\$[$^)]\d+\Z$", r"y/$[$^)]\d+", id="signs-as-text"),
    ],
)
def test_a_regular_expression_becomes_a_template(route: str, template: str) -> None:
    """Anchors go, and a group is its name; a route of `path` stays as it is."""
    assert template == template_of_pattern(route)
