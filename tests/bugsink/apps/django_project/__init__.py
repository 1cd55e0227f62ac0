"""A Django project of sync and async views, with a management command; both fail."""
