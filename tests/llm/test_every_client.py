"""`instrument_llm` of a class or module: every client is observed, whoever has made it."""

from __future__ import annotations

import asyncio
import copy
import inspect
import json
import sys
from contextlib import ExitStack
from functools import partial, wraps
from types import ModuleType
from typing import TYPE_CHECKING, Any

import pytest

from pantheon_obs import ConfigError, instrument, instrument_llm, llm_call
from pantheon_obs.core import guard
from pantheon_obs.llm import sdks
from pantheon_obs.llm.replaced_code import Redirect, copy_of
from pantheon_obs.llm.sdks import Sdk
from pantheon_obs.testing import reset
from tests.llm.sdk import MESSAGES, anthropic_client, genai_client, openai_client

openai = pytest.importorskip("openai")
anthropic = pytest.importorskip("anthropic")
genai = pytest.importorskip("google.genai")
wrapt = pytest.importorskip("wrapt")

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from pantheon_obs.core.events import LlmCallFinished

    Events = list[LlmCallFinished]


@pytest.fixture
def make(provider_url: str) -> Iterator[Callable[..., Any]]:
    """Return a function that makes a client of a class, by default OpenAI's."""
    with ExitStack() as clients:
        yield lambda kind=None: clients.enter_context(openai_client(provider_url, kind))


async def ask_async(provider_url: str) -> None:
    """Make one call of an asynchronous client."""
    async with openai_client(provider_url, openai.AsyncOpenAI) as client:
        await ask(client)


def ask(client: Any, **options: Any) -> Any:
    """Make one call."""
    return client.chat.completions.create(model="whole", messages=MESSAGES, **options)


def calls(events: Events) -> list[tuple[str, str, bool | None]]:
    """Select operation, outcome and nesting of each call."""
    return [(event.operation, event.outcome, event.nested) for event in events]


CHAT = ("chat", "ok", None)


def code_of(function: Any) -> Any:
    """Return the code of an SDK's own function: in this process, Sentry may stand around it."""
    packages = ("anthropic.", "openai.")
    own = inspect.unwrap(
        function, stop=lambda layer: layer.__globals__["__name__"].startswith(packages)
    )
    return own.__code__


class TestClass:
    """The clients of a class."""

    def test_every_client_is_observed_once(self, make: Any, events: Events) -> None:
        """A client made before, one made after, one of a subclass, and copies of them."""

        class Own(openai.OpenAI):  # type: ignore[misc,name-defined]
            pass

        before = make()
        with instrument_llm(openai.OpenAI), instrument_llm(openai.OpenAI):
            for client in (before, make(), make(Own), make().with_options(timeout=5)):
                ask(client)
        ask(before)

        assert [CHAT] * 4 == calls(events)

    def test_other_clients_are_not(self, make: Any, provider_url: str, events: Events) -> None:
        """Clients of a base class, or of the asynchronous one, are left alone."""
        instrument_llm(openai.AzureOpenAI)

        ask(make())
        asyncio.run(ask_async(provider_url))
        with openai.AzureOpenAI(
            api_key="none", azure_endpoint=provider_url, api_version="1"
        ) as azure:
            ask(azure)

        assert [CHAT] == calls(events)

    def test_whoever_holds_the_method_is_observed(self, make: Any, events: Events) -> None:
        """Bound methods, and the SDK's wrappers of them, were made before: as by instructor."""
        client = make()
        create = client.chat.completions.create
        partly = partial(openai.resources.chat.Completions.create, client.chat.completions)
        raw = client.chat.completions.with_raw_response
        streaming = client.chat.completions.with_streaming_response

        instrument_llm(openai.OpenAI)

        for function in (create, partly, raw.create):
            function(model="whole", messages=MESSAGES)
        with streaming.create(model="whole", messages=MESSAGES) as response:
            response.parse()
        assert [CHAT] * 4 == calls(events)
        assert {1149} == {event.input_tokens for event in events}

    def test_a_method_that_calls_another_is_one_call(self, make: Any, events: Events) -> None:
        """OpenAI's `stream` calls `create`."""
        instrument_llm(openai.OpenAI)

        with make().chat.completions.stream(model="whole", messages=MESSAGES) as stream:
            stream.until_done()

        assert [CHAT] == calls(events)

    def test_a_client_that_is_observed_itself_is_not_observed_twice(
        self, make: Any, events: Events
    ) -> None:
        """Either may come first; the client's own options count."""
        early, late = make(), make()
        instrument_llm(early, provider="early")
        instrument_llm(openai.OpenAI, provider="all")
        instrument_llm(late, provider="late")

        for client in (early, late, early.copy(), make()):
            ask(client)
            with client.chat.completions.stream(model="whole", messages=MESSAGES) as stream:
                stream.until_done()

        assert [CHAT] * 8 == calls(events)
        assert ["early", "late", "early", "all"] == [event.provider for event in events[::2]]

    def test_a_gateway_around_it_is_the_outer_call(self, make: Any, events: Events) -> None:
        """The call of the client is nested, as that of an instrumented client."""
        client = make()
        instrument_llm(openai.OpenAI)

        llm_call(lambda: ask(client))()

        assert [("chat", "ok", True), ("<lambda>", "ok", None)] == calls(events)

    def test_a_call_within_another_clients_transport_is_not_a_part_of_it(
        self, make: Any, events: Events
    ) -> None:
        """A client that observes itself, used by an observed one of the same SDK, is silent."""
        inner = make()
        instrument_llm(inner)

        class Gateway(openai.OpenAI):  # type: ignore[misc,name-defined]
            def request(self, *args: Any, **kwargs: Any) -> Any:
                ask(inner)
                return super().request(*args, **kwargs)

        instrument_llm(Gateway)
        ask(make(Gateway))

        assert [CHAT] == calls(events)

    def test_only_the_named_methods(self, make: Any, events: Events) -> None:
        """Paths are those of a client."""
        instrument_llm(openai.OpenAI, "embeddings.create")
        with pytest.raises(ConfigError, match=r"OpenAI has no method 'chat\.ask'"):
            instrument_llm(openai.OpenAI, ["chat.completions.create", "chat.ask"])

        ask(make())

        assert [] == events

    def test_an_application_may_change_a_resource(self, make: Any, events: Events) -> None:
        """Its method, which calls the SDK's, is one call."""

        class Completions(openai.resources.chat.Completions):  # type: ignore[misc,name-defined]
            def create(self, **options: Any) -> Any:
                return super().create(**options)

        class Chat(openai.resources.chat.Chat):  # type: ignore[misc,name-defined]
            @property
            def completions(self) -> Any:
                return Completions(self._client)

        class Own(openai.OpenAI):  # type: ignore[misc,name-defined]
            @property
            def chat(self) -> Any:
                return Chat(self)

        with instrument_llm(Own, "chat.completions.create"):
            ask(make(Own))
        with instrument_llm(openai.OpenAI), instrument_llm(Own, "chat.completions.create"):
            ask(make(Own))
        with instrument_llm(openai.OpenAI):
            ask(make(Own))

        assert [CHAT] * 3 == calls(events)

    def test_the_methods_stay_what_they_were(self, make: Any) -> None:
        """They are the same objects, with their signature and kind."""
        client, models = make(), genai.models.AsyncModels
        create = openai.resources.chat.Completions.create
        signatures = [inspect.signature(function) for function in (create, models.embed_content)]
        code = code_of(create)

        with instrument_llm(openai), instrument_llm(genai):
            assert create is openai.resources.chat.Completions.create
            assert create is client.chat.completions.create.__func__
            assert create is copy.deepcopy(create)
            assert signatures == [
                inspect.signature(function) for function in (create, models.embed_content)
            ]
            assert inspect.iscoroutinefunction(models.embed_content)
            assert code is not code_of(create)

        assert code is code_of(create)
        assert not hasattr(models.embed_content, "__signature__")


class TestOtherLibraries:
    """Instrumentors of other libraries replace the same methods."""

    @pytest.mark.parametrize("first", [True, False])
    @pytest.mark.parametrize("way", ["wrapt", "functools"])
    def test_their_wrapper_and_our_event_do_not_disturb_each_other(
        self, make: Any, events: Events, monkeypatch: Any, *, first: bool, way: str
    ) -> None:
        """Whichever comes first, there is one event and one call of theirs; also undone."""
        seen: list[str] = []
        completions = openai.resources.chat.Completions

        def wrap(function: Any) -> Any:
            def by_wrapt(wrapped: Any, _: Any, args: Any, kwargs: Any) -> Any:
                seen.append("theirs")
                return wrapped(*args, **kwargs)

            @wraps(function)
            def by_functools(*args: Any, **kwargs: Any) -> Any:
                seen.append("theirs")
                return function(*args, **kwargs)

            return wrapt.FunctionWrapper(function, by_wrapt) if way == "wrapt" else by_functools

        original = completions.create
        if first:
            monkeypatch.setattr(completions, "create", wrap(original))
        instrumentation = instrument_llm(openai)
        if not first:
            monkeypatch.setattr(completions, "create", wrap(original))
        client = make()
        ask(client)
        instrument_llm(client)  # around theirs, whose inner one is ours
        ask(client)
        instrumentation.undo()
        ask(make())

        assert [CHAT] * 2 == calls(events)
        assert ["theirs"] * 3 == seen


class TestModule:
    """The clients of all classes of an SDK."""

    def test_openai(self, make: Any, provider_url: str, events: Events) -> None:
        """Sync and async."""
        instrument_llm(openai)

        ask(make())
        asyncio.run(ask_async(provider_url))

        assert [CHAT] * 2 == calls(events)

    def test_anthropic(self, provider_url: str, events: Events) -> None:
        """Bedrock's clients make their resources themselves."""
        instrument_llm(anthropic)
        with (
            anthropic_client(provider_url) as client,
            anthropic_client(provider_url, anthropic.AnthropicBedrock, aws_region="x") as bedrock,
        ):
            client.messages.create(model="whole", max_tokens=9, messages=MESSAGES)
            bedrock.messages.create(model="whole", max_tokens=9, messages=MESSAGES)

        assert [("messages", "ok", None)] * 2 == calls(events)

    @pytest.mark.filterwarnings("ignore:Inheritance class AiohttpClientSession")
    def test_google_genai(self, provider_url: str, events: Events) -> None:
        """Sync and async, streams included."""
        instrument_llm(genai)
        client = genai_client(provider_url)

        client.models.generate_content(model="whole", contents="Hi")
        list(client.models.generate_content_stream(model="whole", contents="Hi"))

        async def main() -> None:
            await client.aio.models.generate_content(model="whole", contents="Hi")
            await client.aio.aclose()

        asyncio.run(main())
        client.close()

        assert [("generate_content", "ok", None)] * 3 == calls(events)

    def test_a_module_without_clients_is_refused(self) -> None:
        """The message names the accepted values."""
        message = (
            "the module json has no method generate or stream: .*a client of openai, anthropic"
        )
        with pytest.raises(ConfigError, match=message):
            instrument_llm(json)

    def test_the_functions_of_a_module_are_observed_under_each_name(
        self, package: ModuleType, events: Events
    ) -> None:
        """`from litellm import completion` was run before. Cohere's resources are made lazily."""
        completion = package.completion
        with instrument_llm(package):
            completion("Hi")
            assert "Hi" == asyncio.run(package.acompletion("Hi"))
            client = package.Client()
            client.sample("Hi")
            client.lazy.sample("Hi")
            client.chats.create().sample("Hi")
            assert client.chats.other().sample("Hi") == "Hi"
            package.inner("Hi")  # `litellm.main.completion`, which its other functions call
        completion("Hi")

        assert ["chat", "chat", "sample", "lazy", "sample", "chat"] == [e.operation for e in events]
        assert {"v"} == {event.provider for event in events}

    def test_a_failure_of_ours_is_not_the_applications(
        self, package: ModuleType, monkeypatch: Any
    ) -> None:
        """The call is made without being observed."""
        instrument_llm(package)
        monkeypatch.setattr("pantheon_obs.llm.every_client.is_part", lambda *_: 1 / 0)

        assert "Hi" == package.completion("Hi")
        assert {"instrument_llm"} == guard.reported()
        guard.forget()


PACKAGE = """
import asyncio
from functools import wraps
from typing import Generic, TypeVar

Made = TypeVar("Made")

def inner(prompt):
    return prompt

@wraps(inner)
def completion(prompt):
    return inner(prompt)

async def acompletion(prompt):
    return await asyncio.to_thread(completion, prompt)

class Maker(Generic[Made]):
    def create(self) -> Made:
        return Chat()

    def plain(self) -> "Chat":
        return Chat()

    def other(self):
        return Other()

class Chats(Maker["Chat"]):
    pass

class Chat:
    def sample(self, prompt):
        return prompt

class Other(Chat):
    def sample(self, prompt):
        return prompt

class Lazy:
    def sample(self, prompt):
        return prompt

class Client:
    chats: Chats

    def __init__(self):
        self.chats = Chats()
        self._lazy = None

    @property
    def lazy(self):
        if self._lazy is None:
            self._lazy = Lazy()
        return self._lazy

    def sample(self, prompt):
        return prompt
"""


@pytest.fixture
def package(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    """Make a known SDK with functions of its own, and clients that make other objects."""
    module = ModuleType("made_up")
    module.__spec__ = None
    exec(PACKAGE, vars(module))  # noqa: S102 - our own
    monkeypatch.setitem(sys.modules, "made_up", module)
    functions = {"completion": "chat", "acompletion": "chat"}
    row = Sdk(
        "made_up",
        frozenset({"Client"}),
        "url",
        {"sample": "sample", "lazy.sample": "lazy"},
        "v",
        ("chats.create", "chats.plain", "chats.other"),
        functions,
        parts="all",
    )
    monkeypatch.setattr(sdks, "SDKS", (row,))
    return module


async def no_app(scope: Any, receive: Any, send: Any) -> None:
    """Serve nothing."""


class TestSetting:
    """`instrument(app, llm=True)`."""

    @pytest.fixture(autouse=True)
    def only_openai(self, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
        """Hide that anthropic was imported."""
        monkeypatch.delitem(sys.modules, "anthropic")
        yield
        reset()

    def test_it_observes_each_known_sdk_that_is_imported(self, make: Any, events: Events) -> None:
        """At once, and only once."""
        instrument(no_app, llm=True)
        instrument(no_app, llm=True)

        ask(make())

        assert [CHAT] == calls(events)
        reset()
        ask(make())
        assert 1 == len(events)

    def test_the_variable(self, make: Any, events: Events, monkeypatch: Any) -> None:
        """It needs no argument."""
        monkeypatch.setenv("PANTHEON_OBS_LLM", "true")
        instrument(no_app)
        ask(make())

        assert [CHAT] == calls(events)

    def test_options_of_the_application_count(self, make: Any, events: Events) -> None:
        """Before or after the automatic one."""
        instrument(no_app, llm=True)
        instrument_llm(openai, provider="own")

        ask(make())

        assert [("own", None)] == [(event.provider, event.nested) for event in events]

    @pytest.mark.parametrize("disabled", [True, False])
    def test_disabled_nothing_is_observed(
        self, make: Any, events: Events, *, disabled: bool
    ) -> None:
        """Without the setting nothing is observed either."""
        create = code_of(openai.resources.chat.Completions.create)
        instrument(no_app, llm=disabled, disabled=disabled)
        if disabled:
            instrument_llm(openai)

        ask(make())

        assert create is code_of(openai.resources.chat.Completions.create)
        assert [] == events

    def test_an_sdk_that_is_imported_later_is_seen_when_the_application_starts(
        self, monkeypatch: Any
    ) -> None:
        """It is found at the end of start-up and at the first request, not during its import."""
        code = code_of(anthropic.resources.Messages.create)
        states: list[bool] = []

        async def app(scope: Any, receive: Any, send: Any) -> None:
            if scope["type"] == "lifespan":
                await receive()
                monkeypatch.setattr(anthropic.__spec__, "_initializing", True, raising=False)
                monkeypatch.setitem(sys.modules, "anthropic", anthropic)
                await send({"type": "lifespan.startup.complete"})
                states.append(code is code_of(anthropic.resources.Messages.create))
                monkeypatch.setattr(anthropic.__spec__, "_initializing", False)
                return
            states.append(code is code_of(anthropic.resources.Messages.create))

        async def nothing(_: Any = None) -> Any:
            return {"type": "lifespan.startup"}

        traced = instrument(app, llm=True)
        request = {"type": "http", "method": "GET", "path": "/", "headers": []}
        asyncio.run(traced({"type": "lifespan"}, nothing, nothing))
        asyncio.run(traced(request, nothing, nothing))

        assert [True, False] == states


class TestRedirect:
    """A function whose code is replaced."""

    def test_a_signature_that_was_given_stays(self) -> None:
        """It is neither replaced nor removed."""

        def function(*args: Any) -> tuple[Any, ...]:
            return args

        given = inspect.signature(len)
        function.__signature__ = given  # type: ignore[attr-defined]
        redirect = Redirect(function, lambda _: tuple)
        assert inspect.signature(function) is given
        redirect.undo()
        assert inspect.signature(function) is given
        assert (1,) == function(1)

    def test_each_kind_of_function(self) -> None:
        """Closures, defaults, generators and coroutines; and the locals of a running one."""
        outer = 7
        frames: list[dict[str, Any]] = []

        def plain(a: int, /, b: int = 2, *, c: int = 3) -> tuple[int, ...]:
            return a, b, c, outer

        def generator(a: int) -> Iterator[Any]:
            return (yield a) + outer

        async def coroutine(a: int, *, b: int = 5) -> int:
            return a + b + outer

        def run(args: tuple[Any, ...], *, of: Any) -> Any:
            frames.append(sys._getframe(1).f_locals)  # noqa: SLF001 - as debuggers do
            return of

        redirects = [
            Redirect(function, partial(run, of=copy_of(function)))  # type: ignore[arg-type]
            for function in (plain, generator, coroutine)
        ]

        assert (1, 2, 3, 7) == plain(1)
        assert (1, 4, 6, 7) == plain(1, 4, c=6)
        assert inspect.isgeneratorfunction(generator)
        running = generator(1)
        assert 1 == next(running)
        with pytest.raises(StopIteration) as stopped:
            running.send(3)
        assert 10 == stopped.value.value
        assert 13 == asyncio.run(coroutine(1))
        assert {7} == {values["outer"] for values in frames}
        for redirect in redirects:
            redirect.undo()
            redirect.undo()
        assert (1, 2, 3, 7) == plain(1)
        assert 4 == len(frames)

    def test_code_that_somebody_else_has_replaced_since_stays(self) -> None:
        """IPython's autoreload replaces code, for example."""

        def function() -> str:
            return "old"

        def other() -> str:
            return "new"

        redirect = Redirect(function, lambda _: other)  # type: ignore[arg-type]
        function.__code__ = other.__code__
        redirect.undo()

        assert "new" == function()
