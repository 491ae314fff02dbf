"""What the stub answers: the extractive engine's narrative of the transcript it got, or a spoiled one."""

import json
from dataclasses import dataclass, replace
from typing import Any, Final, Literal

from afterbell.adapters.llm import narrative_codec
from afterbell.core.errors import InvalidInput, ModelAnswerUnusable
from afterbell.core.extractive import write_narrative
from afterbell.core.narrative import Evidence, Narrative, Topic
from afterbell.core.prompt import read_blocks, read_transcript
from afterbell.llm_stub.errors import ApiError
from afterbell.llm_stub.faults import Fault
from afterbell.llm_stub.obedience import obeying
from afterbell.llm_stub.parts import merged
from afterbell.llm_stub.request import StubRequest

CHARS_PER_TOKEN: Final = 4
MODEL: Final = "afterbell-stub"
"""The model every response names, whatever was asked for: a stub's report must not look like a model's."""

_REFUSAL: Final = "I'm sorry, but I can't assist with that request."
_INVENTED: Final = Topic("Something nobody said", "practised", (Evidence(("t99999",), "These words were never said."),))

Status = Literal["completed", "incomplete", "failed"]


@dataclass(frozen=True, slots=True)
class StubAnswer:
    """The text that streams out and how it ends."""

    text: str
    status: Status
    refused: bool
    input_tokens: int
    output_tokens: int

    def usage(self) -> dict[str, Any]:
        """What the answer is billed, as the API writes it."""
        return {
            "input_tokens": self.input_tokens,
            "input_tokens_details": {"cached_tokens": 0, "cache_write_tokens": 0},
            "output_tokens": self.output_tokens,
            "output_tokens_details": {"reasoning_tokens": 0},
            "total_tokens": self.input_tokens + self.output_tokens,
        }


def write_answer(request: StubRequest, fault: Fault) -> StubAnswer:
    """The answer to a request. Raises ApiError for an input that is not an Afterbell transcript."""
    text, status = _spoiled(_narrative(request.text, obeys=fault.kind == "obey"), fault)
    room = request.max_output_tokens
    if room is not None and tokens(text) > room:
        text, status = text[: room * CHARS_PER_TOKEN], "incomplete"
    return StubAnswer(text, status, fault.kind == "refusal", read_tokens(request), tokens(text))


def read_tokens(request: StubRequest) -> int:
    """The tokens a request reads."""
    return tokens(request.instructions) + tokens(request.text)


def tokens(text: str) -> int:
    """An estimate: four characters a token, as English has it on average."""
    return -(-len(text) // CHARS_PER_TOKEN)


def _narrative(text: str, *, obeys: bool) -> Narrative:
    try:
        transcript, facts = read_transcript(text), read_blocks(text).get("facts", [])
        parts = [narrative_codec.decode(json.dumps(fact)) for fact in facts]
        narrative = merged(parts) if parts else write_narrative(transcript)
        return obeying(narrative, transcript) if obeys else narrative
    except (InvalidInput, ModelAnswerUnusable) as error:
        why = f"This stub only writes Afterbell reports, and the input is not an Afterbell transcript: {error}"
        raise ApiError(400, why, code="invalid_value", param="input") from None


def _spoiled(narrative: Narrative, fault: Fault) -> tuple[str, Status]:
    if fault.kind == "invented_turns":
        narrative = replace(narrative, topics=(_INVENTED, *narrative.topics)[:6])
    text = narrative_codec.encode(narrative)
    half = text[: len(text) // 2]
    spoiled: dict[str, tuple[str, Status]] = {
        "refusal": (_REFUSAL, "completed"),
        "incomplete": (half, "incomplete"),
        "failed": (half, "failed"),
        "bad_json": (half, "completed"),
        # A stream that breaks off is billed up to where it broke.
        "cut": (half, "completed"),
        "eof": (half, "completed"),
        "error_event": (half, "completed"),
        "wrong_schema": (json.dumps({"summary": "All went well.", "rating": 7}), "completed"),
    }
    return spoiled.get(fault.kind, (text, "completed"))
