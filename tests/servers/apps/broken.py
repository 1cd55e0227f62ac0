"""An application whose module fails after logging was configured."""

from pantheon_obs import configure_logging

configure_logging()

msg = "no database"
raise RuntimeError(msg)
