"""Makes calls of a model through a framework; runs in an environment that has the frameworks.

`python llm_calls.py FRAMEWORK URL` prints the events of two calls as JSON: of a client that was
made and used before `instrument(app, llm=True)`, and of one that was made afterwards.
"""
# ruff: noqa: PLC0415, T201 - the frameworks are imported where they are used

from __future__ import annotations

import asyncio
import json
import os
import sys
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable

    Ask = Callable[[], Any]

MESSAGES = [{"role": "user", "content": "The capital of France?"}]
MODEL = "gpt-4o-mini"


def langchain(url: str) -> Ask:
    """Ask synchronously."""
    from langchain_openai import ChatOpenAI

    model = ChatOpenAI(model=MODEL, api_key="none", base_url=url, max_retries=0)
    return lambda: model.invoke("Hi")


def langchain_async(url: str) -> Ask:
    """Ask asynchronously, and stream."""
    from langchain_openai import ChatOpenAI

    model = ChatOpenAI(model=MODEL, api_key="none", base_url=url, max_retries=0, stream_usage=True)

    async def ask() -> None:
        async for _ in model.astream("Hi"):
            pass

    return lambda: asyncio.run(ask())


def llamaindex(url: str) -> Ask:
    """Ask synchronously."""
    from llama_index.llms.openai import OpenAI

    model = OpenAI(model=MODEL, api_key="none", api_base=url, max_retries=0)
    return lambda: model.complete("Hi")


def instructor(url: str) -> Ask:
    """Ask through instructor's wrapper, which keeps the bound method."""
    import instructor as package
    import openai

    client = package.from_openai(openai.OpenAI(api_key="none", base_url=url, max_retries=0))
    return lambda: client.chat.completions.create(
        model=MODEL, messages=MESSAGES, response_model=None
    )


def agents(url: str) -> Ask:
    """Run an agent of openai-agents."""
    import openai
    from agents import Agent, OpenAIChatCompletionsModel, Runner, set_tracing_disabled

    set_tracing_disabled(disabled=True)
    client = openai.AsyncOpenAI(api_key="none", base_url=url, max_retries=0)
    agent = Agent(name="a", model=OpenAIChatCompletionsModel(model=MODEL, openai_client=client))
    return lambda: Runner.run_sync(agent, "Hi")


def pydantic_ai(url: str) -> Ask:
    """Run an agent of pydantic-ai."""
    from pydantic_ai import Agent
    from pydantic_ai.models.openai import OpenAIChatModel
    from pydantic_ai.providers.openai import OpenAIProvider

    model = OpenAIChatModel(MODEL, provider=OpenAIProvider(base_url=url, api_key="none"))
    return lambda: Agent(model).run_sync("Hi")


def litellm(url: str) -> Ask:
    """Ask by a function that was imported before."""
    from litellm import completion

    return lambda: completion(
        model=f"openai/{MODEL}", messages=MESSAGES, api_base=url, api_key="none"
    )


def litellm_async(url: str) -> Ask:
    """Ask asynchronously: in a thread of litellm's."""
    from litellm import acompletion

    return lambda: asyncio.run(
        acompletion(model=f"openai/{MODEL}", messages=MESSAGES, api_base=url, api_key="none")
    )


def litellm_router(url: str) -> Ask:
    """Ask by a router."""
    from litellm import Router

    options = {"model": f"openai/{MODEL}", "api_base": url, "api_key": "none"}
    router = Router(model_list=[{"model_name": "fast", "litellm_params": options}])
    return lambda: router.completion(model="fast", messages=MESSAGES)


def dspy(url: str, engine: str = "lm15") -> Ask:
    """Ask by dspy, which has a copy of lm15."""
    import dspy as package

    options = {"api_base": url, "api_key": "none", "cache": False}
    model = package.LM(f"openai/{MODEL}", engine=engine, **options)
    return lambda: model("Hi")


def dspy_async(url: str) -> Ask:
    """Ask asynchronously, by the engine that dspy chooses."""
    import dspy as package

    model = package.LM(f"openai/{MODEL}", api_base=url, api_key="none", cache=False)
    return lambda: asyncio.run(model.acall("Hi"))


def dspy_stream(url: str) -> Ask:
    """Stream the answer of a program."""
    import dspy as package

    model = package.LM(f"openai/{MODEL}", api_base=url, api_key="none", cache=False)
    listener = package.streaming.StreamListener(signature_field_name="answer")

    async def ask() -> None:
        program = package.streamify(
            package.Predict("question -> answer"), stream_listeners=[listener]
        )
        with package.context(
            lm=model, adapter=package.ChatAdapter(use_json_adapter_fallback=False)
        ):
            try:
                async for _ in program(question="Hi"):
                    pass
            except package.utils.exceptions.AdapterParseError:
                pass  # the answer lacks the fields that dspy has asked for

    return lambda: asyncio.run(ask())


def dspy_litellm(url: str) -> Ask:
    """Ask by dspy, which calls litellm."""
    return dspy(url, "litellm")


FRAMEWORKS = (
    langchain,
    langchain_async,
    llamaindex,
    instructor,
    agents,
    pydantic_ai,
    litellm,
    litellm_async,
    litellm_router,
    dspy,
    dspy_async,
    dspy_stream,
    dspy_litellm,
)


async def app(scope: Any, receive: Any, send: Any) -> None:
    """Serve nothing."""


def main(name: str, url: str) -> None:
    """Make the calls, and print their events."""
    os.environ["LITELLM_LOCAL_MODEL_COST_MAP"] = "True"  # else it downloads one
    (make,) = (framework for framework in FRAMEWORKS if framework.__name__ == name)
    before = make(url)
    before()

    from pantheon_obs import instrument
    from pantheon_obs.testing import capture_events

    instrument(app, llm=True)
    with capture_events() as events:
        before()
        make(url)()
    calls = [event for event in events if event["event"].startswith("llm.")]
    fields = ("event", "outcome", "nested", "input_tokens")
    print(json.dumps([[event.get(field) for field in fields] for event in calls]))


if __name__ == "__main__":
    main(*sys.argv[1:])
