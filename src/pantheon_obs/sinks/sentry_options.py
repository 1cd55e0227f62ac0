"""What Sentry is started with: private by default, and nothing imported that the host has not."""

from __future__ import annotations

import sys
from importlib import import_module
from typing import TYPE_CHECKING, Any

from pantheon_obs.sinks.sentry_privacy import masking

if TYPE_CHECKING:
    from types import ModuleType

    from pantheon_obs.core.settings import Settings

# Only for what the host has imported already: an integration imports its framework. Litestar's is
# not among them: it reads each request's body before the handler, and sends it.
_INTEGRATIONS = (
    ("starlette", "StarletteIntegration"),
    ("fastapi", "FastApiIntegration"),
    ("flask", "FlaskIntegration"),
    ("quart", "QuartIntegration"),
    ("django", "DjangoIntegration"),
    ("celery", "CeleryIntegration"),
)


def options_for(settings: Settings) -> dict[str, Any]:
    """The arguments of `sentry_sdk.init`."""
    atexit = import_module("sentry_sdk.integrations.atexit")
    mask = masking(settings)
    options: dict[str, Any] = {
        "dsn": settings.sentry_dsn,
        "environment": settings.environment,
        "release": settings.release,
        # Zero turns tracing off; to Sentry, the decision of each caller would win over it.
        "traces_sample_rate": settings.sentry_traces_sample_rate or None,
        "include_local_variables": False,
        "max_request_body_size": "never",
        "auto_enabling_integrations": False,
        # Its default prints to standard error while the last events are sent.
        "integrations": [*_wanted({}), atexit.AtexitIntegration(callback=lambda *_: None)],
        "before_send": mask,
        "before_send_transaction": mask,
    }
    if settings.sentry_send_default_pii:  # given even as False, it is called deprecated by 2.75
        options["send_default_pii"] = True
    return options


def add_integrations(sdk: ModuleType) -> None:
    """Add those for what the host has imported since Sentry was started.

    Args:
        sdk: The module `sentry_sdk`, started by us.
    """
    active: dict[str, Any] = sdk.get_client().integrations
    wanted = _wanted(active)
    if wanted:
        set_up = import_module("sentry_sdk.integrations").setup_integrations
        active.update(set_up(wanted, with_defaults=False))


def _wanted(active: dict[str, Any]) -> list[Any]:
    return [
        getattr(import_module(f"sentry_sdk.integrations.{module}"), name)()
        for module, name in _INTEGRATIONS
        if module not in active and _is_used(module)
    ]


def _is_used(framework: str) -> bool:
    """Whether the host uses it, and not only sentry_sdk, which imports half of Django by itself."""
    if framework != "django":
        return framework in sys.modules
    apps = sys.modules.get("django.apps")
    return apps is not None and bool(apps.apps.apps_ready)
