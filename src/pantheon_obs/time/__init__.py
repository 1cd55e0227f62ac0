"""Where the time went: `measure`, databases, caches, and the watchdog of the event loop.

The sums are those of a trace (`core/times.py`). Outgoing requests are measured where the trace is
put on them, in `propagation`.
"""
