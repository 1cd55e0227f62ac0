"""`instrument_llm`: the objects and methods that it changes, and how that is undone."""

from __future__ import annotations

import asyncio
import copy
import inspect
import pickle
import subprocess
import sys
import weakref
from dataclasses import dataclass
from operator import attrgetter
from types import ModuleType
from typing import TYPE_CHECKING, Any, NamedTuple
from unittest.mock import Mock

import pytest

from pantheon_obs import ConfigError, instrument_llm, llm_call
from pantheon_obs.core import guard
from tests.llm.sdk import MESSAGES, openai_client
from tests.support.garbage import collect_garbage

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator

    from pantheon_obs.core.events import LlmCallFinished

    Events = list[LlmCallFinished]


class Gateway:
    """A gateway of the application."""

    model = "fast"

    def generate(self, prompt: str) -> dict[str, Any]:
        """Answer at once."""
        return {"text": prompt, "usage": {"input_tokens": 3, "output_tokens": 5}}

    async def stream(self, prompt: str) -> AsyncIterator[str]:
        """Answer in pieces."""
        for piece in prompt.split():
            yield piece

    @classmethod
    def made(cls, prompt: str) -> str:
        """Answer without an instance."""
        return prompt

    @staticmethod
    def free(prompt: str) -> str:
        """Answer without the class."""
        return prompt

    @llm_call
    def decorated(self, prompt: str) -> str:
        """Answer, and be observed."""
        return prompt


def called(events: Events) -> list[tuple[str, str | None, int | None]]:
    """Select operation, model and output tokens of each call."""
    return [(event.event, event.model_alias, event.output_tokens) for event in events]


class TestGateway:
    """Objects of the application are instrumented."""

    def test_its_methods_are_observed(self, events: Events) -> None:
        """By default the methods `generate` and `stream` are observed, and no others."""
        gateway = Gateway()

        async def main() -> list[str]:
            return [piece async for piece in gateway.stream("a b")]

        instrument_llm(gateway, provider="p")

        assert "Hi" == gateway.generate("Hi")["text"]
        assert ["a", "b"] == asyncio.run(main())
        assert "Hi" == gateway.made("Hi")
        assert [("llm.generate", "fast", 5), ("llm.stream", "fast", None)] == called(events)
        assert {"p"} == {event.provider for event in events}

    def test_its_methods_are_otherwise_unchanged(self) -> None:
        """The methods keep their object, kind, signature and name."""
        gateway, plain = Gateway(), Gateway()

        instrument_llm(gateway)

        assert gateway is gateway.generate.__self__
        assert inspect.signature(plain.generate) == inspect.signature(gateway.generate)
        assert "Gateway.generate" == gateway.generate.__qualname__
        assert inspect.ismethod(gateway.generate)
        assert inspect.isasyncgenfunction(gateway.stream)
        assert Gateway is type(gateway)

    def test_methods_are_named(self, events: Events) -> None:
        """One or several methods may be named, static and class methods too."""
        gateway = Gateway()
        instrument_llm(gateway, "generate")
        instrument_llm(gateway, methods=["made", "free"])

        gateway.generate("Hi")
        gateway.made("Hi")
        gateway.free("Hi")
        Gateway().generate("Hi")

        assert ["llm.generate", "llm.made", "llm.free"] == [event.event for event in events]

    def test_the_options_are_those_of_llm_call(self, events: Events) -> None:
        """`usage=` and `prices=` work as with `llm_call`."""
        gateway = Gateway()
        instrument_llm(
            gateway, "made", usage=lambda answer: (len(answer), 7), prices=lambda call: 0.25
        )

        gateway.made("Hi")

        assert [(2, 7, 0.25)] == [
            (event.input_tokens, event.output_tokens, event.cost_usd) for event in events
        ]

    def test_a_path_leads_to_a_method(self, events: Events) -> None:
        """A path names a method of an attribute."""
        outer = Mock(gateway=Gateway())
        instrument_llm(outer, ["gateway.generate"])

        outer.gateway.generate("Hi")

        assert ["llm.generate"] == [event.event for event in events]

    def test_twice_is_once(self, events: Events) -> None:
        """A second call has no effect; `llm_call` and `instrument_llm` do not count twice."""
        gateway = Gateway()
        with instrument_llm(gateway), instrument_llm(gateway, ["generate", "decorated"]):
            gateway.generate("Hi")
            gateway.decorated("Hi")
        gateway.generate("Hi")
        gateway.decorated("Hi")

        assert ["llm.generate", "llm.decorated", "llm.decorated"] == [
            event.event for event in events
        ]

    def test_the_inner_of_two_undoes_only_its_own_change(self, events: Events) -> None:
        """The outer instrumentation stays in effect."""
        gateway = Gateway()
        with instrument_llm(gateway, "generate"):
            with instrument_llm(gateway):
                pass
            gateway.generate("Hi")

        assert ["llm.generate"] == [event.event for event in events]

    def test_undone_it_is_as_before(self, events: Events) -> None:
        """`undo` restores everything, and a second `undo` has no effect."""
        gateway = Gateway()
        instrumentation = instrument_llm(gateway)

        instrumentation.undo()
        instrumentation.undo()

        gateway.generate("Hi")
        assert {} == vars(gateway)
        assert [] == events

    def test_a_function_that_was_replaced_before_is_restored(self) -> None:
        """The application's own replacement is restored."""
        gateway: Any = Gateway()
        own = gateway.generate = lambda prompt: prompt

        with instrument_llm(gateway):
            assert own is not gateway.generate
            assert inspect.isfunction(gateway.generate)

        assert own is gateway.generate

    def test_a_function_that_was_replaced_since_stays(self) -> None:
        """A later wrapper around ours stays."""
        gateway: Any = Gateway()
        with instrument_llm(gateway):
            other = gateway.generate = Mock()

        assert other is gateway.generate

    def test_an_exception_is_the_applications(self, events: Events) -> None:
        """The traceback has one frame of ours."""
        gateway: Any = Gateway()
        instrument_llm(gateway)

        with pytest.raises(TypeError) as caught:
            gateway.generate()

        assert 2 == len(caught.traceback)
        assert [("error", "TypeError")] == [(event.outcome, event.error_type) for event in events]

    def test_copies_work(self, events: Events) -> None:
        """A deep copy is observed itself; an unpickled object is as its class makes it."""
        gateway = Gateway()
        instrument_llm(gateway)

        deep, pickled = copy.deepcopy(gateway), pickle.loads(pickle.dumps(gateway))  # noqa: S301 - our own
        deep.generate("Hi")
        pickled.generate("Hi")

        assert deep is deep.generate.__self__
        assert 1 == len(events)

    def test_it_is_garbage_collected(self) -> None:
        """We keep no reference to the object."""
        gateway = Gateway()
        instrument_llm(gateway)
        gone = weakref.ref(gateway)

        del gateway
        collect_garbage()

        assert gone() is None

    def test_a_frozen_one(self, events: Events) -> None:
        """A frozen object can be instrumented, because it has a `__dict__`."""

        @dataclass(frozen=True)
        class Frozen:
            model: str

            def generate(self) -> str:
                return self.model

        gateway = Frozen("fast")
        with instrument_llm(gateway):
            gateway.generate()
        gateway.generate()

        assert [("llm.generate", "fast", None)] == called(events)
        assert Frozen("fast") == gateway

    def test_a_class(self, events: Events) -> None:
        """All instances of an instrumented class are observed."""

        class Own(Gateway):
            @staticmethod
            def free(prompt: str) -> str:
                return prompt

        with instrument_llm(Own, ["generate", "made", "free"]):
            Own().generate("Hi")
            assert "Hi" == Own.made("Hi") == Own().made("Hi") == Own.free("Hi") == Own().free("Hi")
        Own().generate("Hi")
        Own.free("Hi")

        assert ["llm.generate"] + ["llm.made"] * 2 + ["llm.free"] * 2 == [
            event.event for event in events
        ]
        assert isinstance(vars(Own)["free"], staticmethod)
        assert "made" not in vars(Own)

    def test_a_module(self, events: Events) -> None:
        """The functions of a module are observed, such as litellm's `completion`."""
        module: Any = ModuleType("module")
        module.completion = completion = lambda model: model
        with instrument_llm(module, "completion"):
            module.completion(model="fast")

        assert completion is module.completion
        assert [("llm.completion", "fast", None)] == called(events)


class Slots:
    """A class whose instances have no room for another attribute."""

    __slots__ = ()

    def generate(self) -> None:
        """Answer."""


class Computed:
    """A class that makes its method anew at each access."""

    @property
    def generate(self) -> Any:
        """Answer."""
        return lambda: None

    def stream(self) -> None:
        """Answer."""


class TestRefusals:
    """A request that cannot be fulfilled is refused at once."""

    @pytest.mark.parametrize(
        ("subject", "methods", "message"),
        [
            (object(), None, "object has no method generate or stream: name those"),
            (Gateway(), (), r"^methods=\(\) is not accepted: use the names of methods"),
            (Gateway(), 5, r"^methods=5 is not accepted: use the names of methods"),
            (Gateway(), ["generate", 5], r"^methods=\['generate', 5\] is not accepted"),
            (Gateway(), ["generate", "ask"], "Gateway has no method 'ask'"),
            (Gateway(), "model", "Gateway has no method 'model'"),
            (Gateway(), "generate.more", "Gateway has no method 'generate.more'"),
            (Slots(), None, "Slots.generate cannot be replaced"),
            (Computed(), ["stream", "generate"], "Computed.generate cannot be replaced"),
        ],
    )
    def test_the_message_names_the_problem(self, subject: Any, methods: Any, message: str) -> None:
        """The message names the problem, and the object is unchanged."""
        with pytest.raises(ConfigError, match=message):
            instrument_llm(subject, methods)

        assert {} == getattr(subject, "__dict__", {})

    def test_wrong_options_are_refused(self) -> None:
        """Wrong options are refused as by `llm_call`."""
        for option in ("prices", "usage", "provider"):
            with pytest.raises(ConfigError, match=f"^{option}=7 is not accepted"):
                instrument_llm(Gateway(), **{option: 7})  # type: ignore[arg-type]


def ask(client: Any) -> None:
    """Make one call of OpenAI's client."""
    client.chat.completions.create(model="whole", messages=MESSAGES)


class TestOpenAI:
    """Clients of a known SDK."""

    @pytest.fixture
    def client(self, provider_url: str) -> Iterator[Any]:
        """Make a client that has not been used."""
        with openai_client(provider_url) as client:
            yield client

    def test_undone_it_is_as_before(self, client: Any, events: Events) -> None:
        """Copies are restored, too, and so are the SDK's own wrappers of the methods."""
        with instrument_llm(client):
            derived = client.with_options(timeout=5)
            raw = client.chat.completions.with_raw_response
            raw.create(model="whole", messages=MESSAGES)
            ask(client)
            ask(derived)
            ask(derived.copy())
            assert ["llm.chat"] * 4 == [event.event for event in events]

        ask(client)
        ask(derived)
        ask(client.copy())
        client.chat.completions.with_raw_response.create(model="whole", messages=MESSAGES)

        assert 4 == len(events)
        assert not [name for name in vars(client) if name in ("copy", "with_options")]

    def test_a_wrapper_of_the_sdk_is_made_anew(self, client: Any, events: Events) -> None:
        """The SDK makes its wrappers once, of the methods at that time."""
        raw = client.chat.completions.with_raw_response
        whole = client.with_raw_response
        assert whole.chat.completions is not None

        instrument_llm(client)

        assert raw is not client.chat.completions.with_raw_response
        client.with_raw_response.chat.completions.create(model="whole", messages=MESSAGES)
        assert ["llm.chat"] == [event.event for event in events]

    def test_a_copy_that_cannot_be_observed_is_returned_all_the_same(
        self, client: Any, events: Events
    ) -> None:
        """Telemetry never changes the application's result."""
        client.copy = Slots
        instrument_llm(client)

        assert isinstance(client.copy(), Slots)
        guard.forget()
        assert [] == events

    def test_twice_is_once(self, client: Any, events: Events) -> None:
        """A second call has no effect on copies either."""
        for _ in range(3):
            instrument_llm(client)
        ask(client)
        ask(client.with_options(timeout=5))

        assert 2 == len(events)

    def test_only_the_named_method(self, client: Any, events: Events) -> None:
        """Only the method at the path is observed, under the same operation."""
        instrument_llm(client, ["chat.completions.create"])
        ask(client)
        client.embeddings.create(model="whole", input="Hi")
        with client.chat.completions.stream(model="whole", messages=MESSAGES) as stream:
            stream.until_done()

        assert ["llm.chat"] * 2 == [event.event for event in events]

    def test_in_steps(self, client: Any, events: Events) -> None:
        """A method observed by an earlier call is not counted again within a later one."""
        instrument_llm(client, ["chat.completions.create"])
        instrument_llm(client)
        with client.chat.completions.stream(model="whole", messages=MESSAGES) as stream:
            stream.until_done()

        assert [("llm.chat", None)] == [(event.event, event.nested) for event in events]

    def test_its_methods_keep_signature_and_name(self, client: Any) -> None:
        """The methods keep their signature and name."""
        before = inspect.signature(client.chat.completions.create)
        with instrument_llm(client):
            assert before == inspect.signature(client.chat.completions.create)
            assert "create" == client.chat.completions.create.__name__
            assert "with_options" not in inspect.signature(client.with_options).parameters
            assert "timeout" in inspect.signature(client.with_options).parameters

    def test_other_vendors_behind_the_client(self, client: Any, events: Events) -> None:
        """The application knows which vendor answers."""
        instrument_llm(client, provider="deepseek")
        ask(client)

        assert ["deepseek"] == [event.provider for event in events]

    def test_a_copy_for_another_host_has_the_vendor_of_that(
        self, client: Any, events: Events, provider_url: str
    ) -> None:
        """The host tells the vendor, and not the class."""
        httpx2 = pytest.importorskip("httpx2")

        def here(request: Any) -> Any:
            raise httpx2.ConnectError(str(request.url))

        http_client = httpx2.Client(transport=httpx2.MockTransport(here))
        instrument_llm(client)
        for url in ("https://api.groq.com/openai/v1", "http://localhost:8000/v1"):
            copied = client.with_options(base_url=url, http_client=http_client, max_retries=0)
            with pytest.raises(Exception, match="Connection error"):
                ask(copied)

        assert ["groq", None] == [event.provider for event in events]

    @pytest.mark.usefixtures("genai")
    def test_an_unknown_host_has_no_list_price(self, client: Any, events: Events) -> None:
        """A model that is served at home has a vendor's name, but not its price."""
        model = "gpt-4.1"

        def replies(**_: Any) -> Any:
            return {"model": model, "usage": {"prompt_tokens": 9, "completion_tokens": 1}}

        client.chat.completions.create = replies
        with instrument_llm(client):
            ask(client)
        with instrument_llm(client, provider="openai"):
            ask(client)

        assert [(None, 1), (0.000026, 0)] == [(event.cost_usd, event.unpriced) for event in events]

    def test_somebody_elses_wrapper_stays(self, client: Any, events: Events) -> None:
        """Another wrapper is called, and `undo` keeps it."""
        seen = []
        original = client.chat.completions.create

        def wrapper(**given: Any) -> Any:
            seen.append(given["model"])
            return original(**given)

        client.chat.completions.create = wrapper
        with instrument_llm(client):
            ask(client)

        assert ["whole"] == seen
        assert wrapper is client.chat.completions.create
        assert 1 == len(events)

    def test_under_a_gateway_it_counts_once(self, client: Any, events: Events) -> None:
        """Calls of the gateway's own code are nested in the gateway's call, streams included."""
        instrument_llm(client)

        @llm_call
        def stream(model: str) -> Any:
            return client.chat.completions.stream(
                model=model, messages=MESSAGES, stream_options={"include_usage": True}
            )

        with stream("whole") as chunks:
            chunks.until_done()

        assert [("llm.chat", True, 212), ("llm.stream", None, 212)] == [
            (event.event, event.nested, event.output_tokens) for event in events
        ]

    def test_an_sdk_that_has_less(self, events: Events) -> None:
        """Methods that this version lacks are left out."""
        completions = type("Completions", (), {"create": lambda _, *, model: model})()
        chat = type("Chat", (), {"completions": completions})()
        of_openai = {"__module__": "openai._client", "chat": chat}
        client: Any = type("OpenAI", (), of_openai)()

        instrument_llm(client)
        client.chat.completions.create(model="whole")

        assert [("llm.chat", None)] == [(event.event, event.provider) for event in events]

    def test_an_application_that_mocks_its_client(self, events: Events) -> None:
        """A mock of the class is accepted as a client."""
        openai = pytest.importorskip("openai")
        client = Mock(spec=openai.OpenAI)
        client.chat = Mock()

        instrument_llm(client)
        client.chat.completions.create(model="whole")

        assert [("llm.chat", None, "whole")] == [
            (event.event, event.provider, event.model_alias) for event in events
        ]


class Known(NamedTuple):
    """A client class, how to make one, the vendor, and the path to a method of it."""

    package: str
    name: str
    options: dict[str, Any]
    vendor: str
    path: str


KEY = {"api_key": "none"}
AZURE = KEY | {"azure_endpoint": "https://a.openai.azure.com", "api_version": "1"}
BEDROCK = {"aws_access_key": "a", "aws_secret_key": "b", "aws_region": "c"}
REGION = {"aws_region": "us-east-1"}
CLOUD = REGION | {"workspace_id": "w"}
VERTEX = {"project_id": "a", "region": "b", "access_token": "c"}
CHAT, MESSAGE, CONTENT = "chat.completions.create", "messages.create", "models.generate_content"
CLIENTS = [
    Known("openai", "OpenAI", KEY, "openai", CHAT),
    Known("openai", "AsyncOpenAI", KEY, "openai", CHAT),
    Known("openai", "AzureOpenAI", AZURE, "azure.ai.openai", CHAT),
    Known("openai", "AsyncAzureOpenAI", AZURE, "azure.ai.openai", CHAT),
    Known("openai", "BedrockOpenAI", KEY | REGION, "aws.bedrock", CHAT),
    Known("anthropic", "Anthropic", KEY, "anthropic", MESSAGE),
    Known("anthropic", "AnthropicFoundry", KEY | {"resource": "a"}, "azure.ai.inference", MESSAGE),
    Known("anthropic", "AnthropicAWS", KEY | CLOUD, "aws.anthropic", MESSAGE),
    Known("anthropic", "AnthropicBedrockMantle", KEY | REGION, "aws.bedrock", MESSAGE),
    Known("anthropic", "AsyncAnthropic", KEY, "anthropic", MESSAGE),
    Known("anthropic", "AnthropicBedrock", BEDROCK, "aws.bedrock", MESSAGE),
    Known("anthropic", "AsyncAnthropicBedrock", BEDROCK, "aws.bedrock", MESSAGE),
    Known("anthropic", "AnthropicVertex", VERTEX, "gcp.vertex_ai", MESSAGE),
    Known("anthropic", "AsyncAnthropicVertex", VERTEX, "gcp.vertex_ai", MESSAGE),
    Known("google.genai", "Client", KEY, "gcp.gemini", CONTENT),
    Known("google.genai", "Client", KEY | {"vertexai": True}, "gcp.vertex_ai", CONTENT),
]


@pytest.mark.parametrize("known", CLIENTS, ids=lambda known: f"{known.name}-{known.vendor}")
def test_each_known_client(known: Known, events: Events) -> None:
    """Its methods are found by their paths, and the vendor is known."""
    kind = getattr(pytest.importorskip(known.package), known.name, None)
    if kind is None:
        pytest.skip("this version has no such client")
    client = kind(**known.options)

    instrument_llm(client)

    async def call() -> None:
        # Where Sentry has wrapped the class, the method of an asynchronous client raises later.
        answer = attrgetter(known.path)(client)()
        if inspect.isawaitable(answer):
            await answer

    with pytest.raises(TypeError, match="model"):
        asyncio.run(call())
    assert [("error", known.vendor)] == [(event.outcome, event.provider) for event in events]


def test_no_sdk_is_imported() -> None:
    """Instrumenting a gateway imports no SDK."""
    code = (
        "import sys; from pantheon_obs import instrument_llm\n"
        "class G:\n  def generate(self): return {'usage': {'input_tokens': 1}}\n"
        "g = G(); instrument_llm(g); g.generate()\n"
        "print({'openai', 'anthropic', 'google'} & {*sys.modules})"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)

    assert "set()" == done.stdout.strip().splitlines()[-1]
