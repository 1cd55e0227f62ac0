"""What responses and chunks look like, one module for each vendor."""
