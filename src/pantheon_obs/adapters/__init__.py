"""How a request comes in: one file per framework or server."""
