"""gunicorn's logger: the log lines of its master, and of a worker that has not loaded the app yet.

`instrument` does not reach the master, which never imports the app. Name this class once, in
`gunicorn.conf.py`, on the command line or in the environment:

    logger_class = "pantheon_obs.adapters.gunicorn.JSONLogger"
    gunicorn --logger-class pantheon_obs.adapters.gunicorn.JSONLogger …
    GUNICORN_CMD_ARGS="--logger-class pantheon_obs.adapters.gunicorn.JSONLogger"
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from gunicorn.glogging import Logger  # type: ignore[import-untyped]

from pantheon_obs import _setup

if TYPE_CHECKING:
    from gunicorn.config import Config  # type: ignore[import-untyped]


def child_exit(_server: object, worker: Any) -> None:  # noqa: ANN401 - gunicorn has no types
    """Settle the metrics of a worker that has ended; a hook for `gunicorn.conf.py`.

    Without it the next scrape does so. https://gunicorn.org/reference/settings/#child_exit

    Args:
        _server: The master.
        worker: The worker.
    """
    _setup.worker_died(worker.pid)


class JSONLogger(Logger):  # type: ignore[misc]
    """Writes gunicorn's log lines in the format of all others, on standard output.

    The settings come from the environment, until the app is imported and gives its own. An
    error log or access log that goes to a file is kept. https://gunicorn.org/reference/settings/
    """

    _is_set_up = False

    def setup(self, cfg: Config) -> None:
        """Set up logging at the start; gunicorn calls it for each reload (HUP), too."""
        super().setup(cfg)
        if not self._is_set_up:  # a later call would undo the set-up of a preloaded app
            self._is_set_up = True
            _setup.start_logging()

    def access(self, resp: Any, req: Any, environ: Any, request_time: Any) -> None:  # noqa: ANN401
        """Drop the record, which `request_finished` replaces, unless it goes to a file."""
        if self.access_log.handlers:
            super().access(resp, req, environ, request_time)
