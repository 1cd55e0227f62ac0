"""Set up a Django project's process, for the installed app or for the middleware without it."""

from __future__ import annotations

import logging
from dataclasses import replace
from typing import TYPE_CHECKING

from django.conf import settings as project
from django.core.signals import got_request_exception

from pantheon_obs import _setup
from pantheon_obs.adapters.django.checks import APP, check_settings, ours_in
from pantheon_obs.adapters.django.exchange import note_unhandled
from pantheon_obs.adapters.django.profile import for_logging
from pantheon_obs.core.context import Trace, current_trace, reset
from pantheon_obs.core.guard import own_lines
from pantheon_obs.core.stack import is_below

if TYPE_CHECKING:
    from collections.abc import Callable

    from pantheon_obs.core.settings import Settings

_APPLICATIONS = (
    "django.core.handlers.wsgi.WSGIHandler",
    "django.core.handlers.asgi.ASGIHandler",
)


class DjangoProcess:
    """The state of this process: how it was set up, and whether it serves."""

    settings: Settings
    on_startup: Callable[[], None] | None = None
    serving = False
    without_app = False

    def set_up(self, *, anew: bool = True) -> None:
        """Do the same as `instrument()` for other frameworks; `anew` as for `_setup.start`."""
        # An error in `PANTHEON_OBS` is not raised here, so that `manage.py check` can report it;
        # the middleware raises it.
        problems = [f"{found.msg}; it is left out" for found in check_settings()]
        settings = for_logging()
        self.settings = replace(settings, problems=(*settings.problems, *problems))
        self.on_startup = _setup.start(self.settings, for_logging, anew=anew)
        if settings.disabled:
            return
        # A second django.setup(), as by runserver, would install Django's own handlers again.
        project.LOGGING_CONFIG = None
        got_request_exception.connect(note_unhandled, dispatch_uid="pantheon_obs")

    def serve(self) -> None:
        """Take over the server's loggers before requests come; the first call is logged.

        A command serves if it makes an application for a server, which the test client does not.
        """
        if self.on_startup is None:
            self.without_app = True
            self.set_up(anew=False)  # the project may have configured logging itself
        else:
            self.on_startup()
        if is_below(*_APPLICATIONS):
            _setup.serve()
            if type(current_trace.get()) is Trace:
                reset()  # connections inherit the context of the command that serves them
        if not (self.serving or _setup.in_command()):
            self.serving = True
            _setup.announce(self.settings, adapter="django")
            if self.without_app:
                _warn()


process = DjangoProcess()


def _warn() -> None:
    """Say that the app is missing, and which entry stands in its place by mistake."""
    hint = f"add {APP!r} to INSTALLED_APPS"
    mistaken = ours_in(project.INSTALLED_APPS)
    if mistaken:
        hint = f"{hint} in place of {mistaken[0]!r}"
    with own_lines:
        logging.getLogger("pantheon_obs").warning("middleware_without_app", extra={"hint": hint})
