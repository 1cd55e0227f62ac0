"""Another thread may be importing asyncio while this one works: it lacks most of its names then."""

from __future__ import annotations

from tests.logs.running import run


def test_work_goes_on_while_another_thread_imports_asyncio() -> None:
    """Traces and observed calls take it for absent, and a call that is interrupted has its line."""
    done = run("""
        from contextlib import suppress
        from types import ModuleType
        from pantheon_obs import budget, llm_call
        from pantheon_obs.core.guard import reported

        @llm_call(operation="asked")
        def ask():
            raise KeyboardInterrupt

        @llm_call(operation="streamed")
        async def stream():
            yield "x"
            raise KeyboardInterrupt

        configure_logging()
        assert "asyncio" not in sys.modules or sys.modules.pop("asyncio")
        sys.modules["asyncio"] = ModuleType("asyncio")
        with trace_context("t"):
            with suppress(KeyboardInterrupt):
                ask()
            for _ in range(2):
                with suppress(KeyboardInterrupt, StopIteration):
                    chunks = stream()
                    chunks.asend(None).send(None)
                    chunks.asend(None).send(None)
        logging.getLogger("shop").info("failed: %s", sorted(reported()))
    """)

    *events, last = done.events
    assert ["llm.asked", "llm.streamed", "llm.streamed"] == events
    assert "failed: []" == last
