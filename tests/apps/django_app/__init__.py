"""The sample application as a Django project, with views that Django alone needs."""
