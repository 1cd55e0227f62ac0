"""The contract's service on Django, and what Django alone has."""
