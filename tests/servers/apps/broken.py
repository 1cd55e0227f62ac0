"""An app whose module fails, with logging configured before."""

from pantheon_obs import configure_logging

configure_logging()

msg = "no database"
raise RuntimeError(msg)
