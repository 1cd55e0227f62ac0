"""Measure where the time goes: `measure`, databases, caches, and the watchdog of the event loop.

`core/times.py` has the sums of a trace. Outgoing requests are measured in `propagation`, where the
trace is put on them.
"""
