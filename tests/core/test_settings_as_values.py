"""Settings are values: equal ones are alike everywhere."""

from __future__ import annotations

from pantheon_obs import Settings


def test_equal_settings_have_one_hash_and_one_text() -> None:
    """They may be keys, and their repr shows their fields."""
    one, other = (Settings(service="shop", sentry_dsn="https://k@h/1") for _ in range(2))

    assert one == other
    assert hash(one) == hash(other)
    assert repr(one) == repr(other)
    assert "service='shop'" in repr(one)
    assert "k@h" not in repr(one)
    assert one != Settings(service="till")
