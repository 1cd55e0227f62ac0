"""Apps for real servers to serve."""
