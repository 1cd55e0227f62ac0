"""`python -m pantheon_obs` is the command `pantheon-obs`."""

from __future__ import annotations

import sys

from pantheon_obs.cli.main import main

if __name__ == "__main__":
    sys.exit(main())
