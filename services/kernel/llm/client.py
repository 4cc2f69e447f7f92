"""One call to a model, as a port: what goes in, what comes back."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Protocol

BYTES_PER_TOKEN = 3
"""UTF-8 bytes per token, on the safe side: a Korean syllable has three and is about one token; English has four."""


@dataclass(frozen=True, slots=True)
class ModelRequest:
    """``instruction`` is ours; ``content`` may carry delimited foreign data (see ``prompts``).
    ``schema``: JSON Schema that the answer must have."""

    model: str
    instruction: str
    content: str
    schema: dict[str, Any]
    max_output_tokens: int
    temperature: float = 0.4
    seed: int | None = None

    @property
    def estimated_tokens(self) -> int:
        """At most what the call will use: the prompt by its size, and the whole allowed answer."""
        size = len(self.instruction.encode()) + len(self.content.encode()) + len(str(self.schema))
        return size // BYTES_PER_TOKEN + 1 + self.max_output_tokens


@dataclass(frozen=True, slots=True)
class TokenUse:
    """As the provider counts. ``cached`` is a part of ``prompt``; the others add up."""

    prompt: int = 0
    candidates: int = 0
    thought: int = 0
    cached: int = 0
    tool: int = 0

    @property
    def total(self) -> int:
        return self.prompt + self.candidates + self.thought + self.tool

    def __add__(self, other: TokenUse) -> TokenUse:
        return TokenUse(
            self.prompt + other.prompt,
            self.candidates + other.candidates,
            self.thought + other.thought,
            self.cached + other.cached,
            self.tool + other.tool,
        )


@dataclass(frozen=True, slots=True)
class ModelReply:
    """``text``: untrusted. ``served_model``: the version that answered, which may not be the one asked."""

    text: str
    finish_reason: str
    served_model: str
    tokens: TokenUse = field(default_factory=TokenUse)


class ModelClient(Protocol):
    async def generate(self, request: ModelRequest, timeout_seconds: float) -> ModelReply:
        """One HTTP request, never repeated here.

        Raises:
            ModelFailure: typed by what to do next.
        """
        ...

    async def close(self) -> None: ...
