"""Programs that show pantheon-obs at work on real requests."""
