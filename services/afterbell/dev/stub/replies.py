"""What the stub answers: the extractive engine's narrative, the example lesson's prepared one, or a spoiled one."""

import json
from dataclasses import dataclass, replace
from typing import Any, Final, Literal

from afterbell.adapters.models import narrative_codec
from afterbell.core.basic.basic_report import write_narrative
from afterbell.core.errors import InvalidInput, ModelAnswerUnusable
from afterbell.core.money.tokens import expected
from afterbell.core.narrative import Evidence, Narrative, Topic
from afterbell.core.report.prompt import read_blocks, read_transcript
from afterbell.core.report.report import PREPARED_MODEL, STUB_MODEL
from afterbell.dev.stub.api_errors import ApiError
from afterbell.dev.stub.faults import Fault
from afterbell.dev.stub.injection_victim import obeying
from afterbell.dev.stub.parts import merged
from afterbell.dev.stub.prepared import prepared_for
from afterbell.dev.stub.request import StubRequest

# A chunk of the stream, and where an answer is cut off: four letters of English are about a token.
CHARS_PER_TOKEN: Final = 4

_REFUSAL: Final = "I'm sorry, but I can't assist with that request."
_INVENTED: Final = Topic("Something nobody said", "practised", (Evidence(("t99999",), "These words were never said."),))

Status = Literal["completed", "incomplete", "failed"]


@dataclass(frozen=True, slots=True)
class StubAnswer:
    """The text that streams out and how it ends.

    ``model`` is what the response names, whatever was asked for: a stub's report must not look like a model's.
    """

    model: str
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
    model, narrative = _narrative(request.text, obeys=fault.kind == "obey")
    text, status = _spoiled(narrative, fault)
    room = request.max_output_tokens
    if room is not None and expected(text) > room:
        text, status = _first_tokens(text, room), "incomplete"
    return StubAnswer(model, text, status, fault.kind == "refusal", read_tokens(request), expected(text))


def read_tokens(request: StubRequest) -> int:
    """The tokens a request reads."""
    return expected(request.instructions) + expected(request.text)


def _first_tokens(text: str, room: int) -> str:
    """As much of a text as so many tokens hold."""
    text = text[: room * CHARS_PER_TOKEN]
    while expected(text) > room:
        text = text[:-1]
    return text


def _narrative(text: str, *, obeys: bool) -> tuple[str, Narrative]:
    try:
        transcript, facts = read_transcript(text), read_blocks(text).get("facts", [])
        parts = [narrative_codec.decode(json.dumps(fact)) for fact in facts]
        prepared = None if obeys or facts else prepared_for(transcript)
        if prepared is not None:
            return PREPARED_MODEL, prepared
        narrative = merged(parts) if parts else write_narrative(transcript)
        return STUB_MODEL, obeying(narrative, transcript) if obeys else narrative
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
