"""Where the time went: the watchdog of the event loop."""
