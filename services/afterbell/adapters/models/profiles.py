"""Which parameters a server takes. Some refuse a call for one that they do not know, so each kind is sent its own.

Sources: the servers' own references of November 2026, and reports of refused calls (vllm#20409, new-api#378,
langchainjs#1929).
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final, Literal

from afterbell.settings.model_calls import ProfileName

Structure = Literal["json_schema", "json_object"]


@dataclass(frozen=True, slots=True)
class Profile:
    """What is sent beside the prompt. ``structure``: the server holds the answer to the schema, or to any JSON object.

    ``keeps_nothing``: ``store=false``. ``knows_user``: the student's keyed hash. ``caches``: the key of the prompt's
    cache. ``tells_usage``: the usage has to be asked for in a chat stream. ``temperature`` and ``reasoning_effort`` are
    sent where they are set.
    """

    structure: Structure = "json_schema"
    keeps_nothing: bool = False
    knows_user: bool = False
    caches: bool = False
    tells_usage: bool = True
    chat_limit: Literal["max_completion_tokens", "max_tokens"] = "max_tokens"
    temperature: float | None = None
    reasoning_effort: str | None = None


OPENAI: Final = Profile(keeps_nothing=True, knows_user=True, caches=True, chat_limit="max_completion_tokens")
PROFILES: Final[Mapping[ProfileName, Profile]] = {
    "openai": OPENAI,
    "azure": Profile(keeps_nothing=True, chat_limit="max_completion_tokens"),
    "openrouter": Profile(),
    "mistral": Profile(tells_usage=False),  # it always tells, and refuses to be asked
    "gemini": Profile(),
    "vllm": Profile(),
    "llamacpp": Profile(),
    "ollama": Profile(),
    "custom": Profile(structure="json_object", tells_usage=False),  # what every server takes
}
