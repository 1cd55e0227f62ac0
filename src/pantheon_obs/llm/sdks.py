"""The SDKs of models: one row for each, with the methods of its clients that call a model.

A method is named by its path from the client. Not all clients of an SDK, nor all its versions, have
all of them: those that a client has are observed.
"""

from __future__ import annotations

from itertools import product
from types import ModuleType
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

# The operation of methods that fetch an answer which is made in the background. The answer is
# reported once, when it is complete: fetching it is no call of a model.
RETRIEVE = "retrieve"
# The operations whose answer may be a plain text.
TEXTS = frozenset({"transcriptions", "translations"})


class Sdk(NamedTuple):
    """The client classes of an LLM SDK, under their names, sync and async; subclasses included."""

    package: str  # that has them
    names: frozenset[str]
    # The path to the URL of the interface that a client uses; its host shows the vendor. Empty for
    # a client of gRPC, whose channel has it.
    url: str
    operations: Mapping[str, str]  # by the path to each method that calls a model
    vendor: str | None = None  # of a client that has no URL
    makers: tuple[str, ...] = ()  # paths to methods that return an object with more methods
    functions: Mapping[str, str] = {}  # of the package itself that call a model: their operations
    modules: tuple[str, ...] = ()  # others that stand for the package
    # The module with classes of resources, if the package imports it when one is first used.
    late: str = ""
    # The path to the package's function that makes each client, where it makes their classes too.
    factory: str = ""
    # Which SDKs' calls are parts of a call of this SDK, if the code of that call makes them.
    parts: Literal["own", "all", "none"] = "own"

    def has(self, module: str) -> bool:
        """Whether a module is the package or in it."""
        return f"{module}.".startswith(f"{self.package}.")


def _pairs(*names: str) -> frozenset[str]:
    return frozenset(names) | {f"Async{name}" for name in names}


def _paths(operation: str, *parts: Iterable[str]) -> dict[str, str]:
    """Name the operation of the paths that these parts make, one of each."""
    return dict.fromkeys(map("".join, product(*parts)), operation)


_BOTH = ("", "beta.")
# Most SDKs have OpenAI's names, and are made by the same generator.
_OPENAI = {
    **_paths("chat", _BOTH, ("chat.completions.",), ("create", "parse", "stream")),
    **_paths("responses", _BOTH, ("responses.",), ("create", "parse", "stream", "compact")),
    **_paths(RETRIEVE, _BOTH, ("responses.retrieve",)),
    "embeddings.create": "embeddings",
    "completions.create": "completions",
    "moderations.create": "moderations",
    "decisions.create": "decisions",
    "rerank.create": "rerank",
    **_paths("images", ("images.",), ("generate", "edit", "create_variation")),
    "audio.speech.create": "speech",
    "audio.transcriptions.create": "transcriptions",
    "audio.translations.create": "translations",
}
_ANTHROPIC = {
    **_paths("messages", _BOTH, ("messages.",), ("create", "parse", "stream")),
    "completions.create": "completions",
}
_AIO = ("", "aio.")
_GENAI = {
    **_paths(
        "generate_content", _AIO, ("models.generate_content", "models.generate_content_stream")
    ),
    **_paths("embeddings", _AIO, ("models.embed_content",)),
    **_paths("images", _AIO, ("models.generate_images",)),
    **_paths(
        "images", _AIO, ("models.",), ("edit", "upscale", "recontext", "segment"), ("_image",)
    ),
    **_paths("interactions", _AIO, ("interactions.create",)),
    **_paths(RETRIEVE, _AIO, ("interactions.get",)),
}
_SYNC = ("", "_async")
_MISTRAL = {
    **_paths("chat", ("chat.", "agents."), ("complete", "stream", "parse", "parse_stream"), _SYNC),
    **_paths("completions", ("fim.",), ("complete", "stream"), _SYNC),
    **_paths("responses", ("responses.create",), _SYNC),
    **_paths(
        "conversations",
        ("beta.conversations.",),
        ("start", "append", "restart"),
        ("", "_stream"),
        _SYNC,
    ),
    **_paths("embeddings", ("embeddings.create",), _SYNC),
    **_paths("moderations", ("classifiers.",), ("moderate", "moderate_chat"), _SYNC),
    **_paths("classifications", ("classifiers.",), ("classify", "classify_chat"), _SYNC),
    **_paths("ocr", ("ocr.process",), _SYNC),
    **_paths("speech", ("audio.speech.complete",), _SYNC),
    **_paths("transcriptions", ("audio.transcriptions.",), ("complete", "stream"), _SYNC),
}
_COHERE = {
    **_paths("chat", ("", "v2."), ("chat", "chat_stream")),
    **_paths("embeddings", ("", "v2."), ("embed",)),
    **_paths("rerank", ("", "v2."), ("rerank",)),
    **_paths("completions", ("generate", "generate_stream", "summarize")),
    "classify": "classifications",
    "audio.transcriptions.create": "transcriptions",
}
_OLLAMA = {
    "chat": "chat",
    "generate": "generate",
    "embed": "embeddings",
    "embeddings": "embeddings",
}
_XAI = {
    **_paths("chat", ("sample", "stream", "parse", "defer", "compact"), ("", "_batch")),
    "chat.compact_context": "chat",
    **_paths("images", ("image.sample",), ("", "_batch")),
}
_BEDROCK = {
    **_paths("converse", ("converse", "converse_stream")),
    **_paths("invoke_model", ("invoke_model", "invoke_model_with_response_stream")),
}
_LITELLM = {
    path: operation
    for name, operation in {
        "completion": "chat",
        "text_completion": "completions",
        "responses": "responses",
        "anthropic_messages": "messages",
        "embedding": "embeddings",
        "image_generation": "images",
        "image_edit": "images",
        "moderation": "moderations",
        "rerank": "rerank",
        "speech": "speech",
        "transcription": "transcriptions",
    }.items()
    for path in (name, f"a{name}")
}
_LM15 = {
    **_paths("chat", ("complete", "stream")),
    "image_generate": "images",
    "speech_generate": "speech",
}
_LM15_CLIENTS = _pairs(
    *("BaseProviderLM", "AnthropicLM", "ClaudeCodeLM", "GeminiLM", "OpenAILM", "OpenAIChatLM"),
    *("OpenAICodexLM", "TypeSafeLM", "XaiLM"),
)

SDKS = (
    Sdk("openai", _pairs("OpenAI"), "base_url", _OPENAI),
    Sdk(
        "anthropic",
        _pairs("Anthropic", "AnthropicBedrock", "AnthropicBedrockMantle", "AnthropicVertex"),
        "base_url",
        _ANTHROPIC,
    ),
    Sdk(
        "google.genai",
        frozenset({"Client"}),
        "_api_client._http_options.base_url",
        _GENAI,
        late="google.genai._gaos.google_genai",
        parts="none",  # a call runs the application's tools, which may call a model
    ),
    Sdk("groq", _pairs("Groq"), "base_url", _OPENAI),
    Sdk("together", _pairs("Together"), "base_url", _OPENAI),
    Sdk(
        "mistralai",
        frozenset({"Mistral", "MistralAzure", "MistralGCP", "MistralGoogleCloud"}),
        "sdk_configuration.server_url",
        _MISTRAL,
        vendor="mistral_ai",
        modules=("mistralai.client",),  # which has them since 2.0
    ),
    Sdk(
        "cohere",
        _pairs("Client", "ClientV2"),
        "_raw_client._client_wrapper._base_url",  # which its resources have, too
        _COHERE,
    ),
    Sdk("ollama", _pairs("Client"), "_client.base_url", _OLLAMA, functions=_OLLAMA),
    Sdk("xai_sdk", frozenset({"Client"}), "", _XAI, makers=("chat.create",)),
    *(
        Sdk(
            f"{prefix}botocore.client",
            frozenset({"BedrockRuntime"}),
            "meta.endpoint_url",
            _BEDROCK,
            modules=(f"{prefix}botocore", f"{prefix}boto3"),
            factory=f"{prefix.title()}ClientCreator.create_client",
        )
        for prefix in ("", "aio")
    ),
    Sdk("lm15", _LM15_CLIENTS, "base_url", _LM15),
    # dspy has a copy of it, which sends its calls, unless it is set to use litellm.
    Sdk("dspy._vendor.lm15", _LM15_CLIENTS, "base_url", _LM15, modules=("dspy",)),
    # A router calls these functions, once for each attempt; they call other SDKs.
    Sdk("litellm", frozenset(), "url", {}, functions=_LITELLM, parts="all"),
    Sdk("litellm", frozenset({"Router"}), "url", _LITELLM, parts="all"),
    Sdk(
        "claude_agent_sdk",
        frozenset({"ClaudeSDKClient"}),
        "url",
        {"receive_response": "agent"},
        vendor="anthropic",
        functions={"query": "agent"},
    ),
)
SDK_NAMES = ", ".join(sdk.package for sdk in SDKS)


def sdk_of(subject: Any) -> Sdk | None:
    """Return the row of a module, a class or a client.

    The row of a class is the row of the nearest of its bases that has one.
    """
    if isinstance(subject, ModuleType):
        name = subject.__name__
        return next((sdk for sdk in SDKS if name == sdk.package or name in sdk.modules), None)
    # A proxy or mock returns the class that it stands for.
    kind: Any = subject if isinstance(subject, type) else subject.__class__
    for base in kind.__mro__:
        for sdk in SDKS:
            if base.__name__ in sdk.names and sdk.has(base.__module__):
                return sdk
    return None
