"""How a request comes in: one file per framework or server."""

from __future__ import annotations

__path__.append("pantheon_obs._elsewhere")  # for names that users look for here
