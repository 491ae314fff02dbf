"""A report from its session to the checked narrative, over a real client and stub, with every byte sent kept."""

import asyncio
import json
import os
import re
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, replace
from itertools import groupby
from pathlib import Path
from typing import Any

import pytest
from tests.core.privacy.corpus import CASES, Case
from tests.dev.stub.running import KEY, Heard, serving, set_faults
from tests.worker.hostile_texts import lessons

from afterbell.adapters.models.answer import ModelAnswer, ModelProgress
from afterbell.adapters.models.responses import ResponsesClient
from afterbell.core.errors import ModelAnswerUnusable, ModelRefused
from afterbell.core.money import tokens
from afterbell.core.report.prompt import Prompt
from afterbell.core.report.statistics import measure
from afterbell.core.session import Message, Participant, Session, transcript_of
from afterbell.dev.stub.app import create_app
from afterbell.dev.stub.settings import StubSettings
from afterbell.worker.writer import USUAL_ROOM, Ask, Draft, ReportWriter, Room, redact_session, safety_identifier_of


@dataclass
class Written:
    """What came of sessions, and what was sent for them."""

    drafts: list[Draft]
    heard: Heard
    progress: list[ModelProgress]


def write(*sessions: Session, faults: tuple[str, ...] = (), room: Room = USUAL_ROOM) -> Written:
    """Write each session's report through a client and a stub that fails as told."""
    heard = Heard(create_app(StubSettings()))
    written = Written([], heard, [])
    with serving(heard) as url:
        set_faults(url, *faults)
        asyncio.run(_write_all(url, sessions, room, written))
    return written


async def _write_all(url: str, sessions: tuple[Session, ...], room: Room, written: Written) -> None:
    client = ResponsesClient(api_key=KEY, base_url=f"{url}/v1", model="m")

    async def hear(progress: ModelProgress) -> None:
        written.progress.append(progress)

    try:
        for session in sessions:
            identifier = safety_identifier_of(session, b"k" * 16)

            async def ask(
                prompt: Prompt, label: str, on_progress: Any, name: str = session.id, who: str | None = identifier
            ) -> ModelAnswer:
                return await client.write(
                    prompt, client_request_id=f"job-{name}{label}", safety_identifier=who, on_progress=on_progress
                )

            written.drafts.append(await writer_of(session, ask, room).write(measure(session), hear))
    finally:
        await client.aclose()


def writer_of(session: Session, ask: Ask, room: Room) -> ReportWriter:
    return ReportWriter(ask, redact_session(session, transcript_of(session)), room)


def long_lesson(turns: int) -> Session:
    """One lesson after the other, by the same two people."""
    people = lessons()[0].participants
    texts = [
        (message.sender, message.text) for _ in range(turns) for session in lessons() for message in session.messages
    ]
    said = tuple(Message(f"m{i}", who, text) for i, (who, text) in enumerate(texts[:turns]))
    return Session("long", "Mathematics", people, said, "grade 6", "en", ("Understand fractions",))


NAMES = ("Zephyrine", "Zephyrine Quolloway", "Müge", "Jean-Luc", "Kwabena", "王小明", "Will")
PLANTED = (
    "I am {name}, you can write to {name}@example.org or call +49 171 2345678.",
    "{upper} is my name, and my page is https://example.org/{name} okay?",
    "See {lower}'s drawing at 12 Elm Street, or 4111 1111 1111 1111.",
)


@pytest.mark.parametrize("name", NAMES)
def test_planted_names_and_contacts_never_leave(name: str) -> None:
    session = planted(lessons()[3], name)
    sent = b"".join(write(session).heard.bodies).decode()
    said = json.dumps(json.loads(sent)["input"], ensure_ascii=False)
    assert not leaks(said, name)
    for contact in ("example.org", "2345678", "Elm Street", "4111"):
        assert contact not in sent


def planted(session: Session, name: str) -> Session:
    """The session held by a student of this name, who says so, lower-case where the name is no word."""
    lower = name if name == "Will" else name.lower()
    texts = [text.format(name=name, upper=name.upper(), lower=lower) for text in PLANTED]
    tutor, student = session.participants
    said = [
        replace(message, text=f"{message.text} {name}!" if message.sender == tutor.id else message.text)
        for message in session.messages
    ]
    said += [Message(f"planted{i}", student.id, text) for i, text in enumerate(texts)]
    return replace(session, participants=(tutor, replace(student, display_name=name)), messages=tuple(said))


def leaks(sent: str, name: str) -> bool:
    parts = [name, *re.findall(r"\w+", name)]
    return any(
        re.search(rf"(?<!\w){re.escape(part)}(?!\w)", sent, re.IGNORECASE) for part in parts if part != "Will"
    ) or (name == "Will" and "Will" in sent)


def lessons_of_the_corpus() -> list[tuple[Session, list[Case]]]:
    """A session for each pair of people in the corpus, in which the student writes every case."""
    pairs = []
    for (student, tutor), cases in groupby(CASES, key=lambda case: (case.student, case.tutor)):
        lines = list(cases)
        people = (Participant("t", "tutor", tutor), Participant("s", "student", student))
        said = tuple(Message(f"m{number}", "s", case.text) for number, case in enumerate(lines))
        pairs.append((Session(f"c{len(pairs)}", "Mathematics", people, said), lines))
    return pairs


def test_no_planted_name_or_contact_of_ten_scripts_is_in_the_bytes_a_provider_gets() -> None:
    lessons_and_cases = lessons_of_the_corpus()
    written = write(*(session for session, _ in lessons_and_cases))
    prompts = {body["input"]: body for body in map(json.loads, written.heard.bodies)}
    assert len(prompts) >= len(lessons_and_cases)
    for (_, cases), prompt in zip(lessons_and_cases, prompts, strict=False):
        turns = [json.loads(line.rstrip(","))[2] for line in prompt.splitlines() if line.startswith('["t')]
        assert len(turns) == len(cases)
        leaked = [
            (case.marked, turn)
            for case, turn in zip(cases, turns, strict=True)
            for secret in re.findall(r"\{([^}]*)\}", case.marked)
            if turn.count(secret) > re.sub(r"\{[^}]*\}", "", case.marked).count(secret)
        ]
        assert leaked == []


@pytest.mark.skipif("AFTERBELL_DATA" not in os.environ, reason="AFTERBELL_DATA names no folder of real sessions")  # noqa: TID251
def test_names_planted_in_real_sessions_never_leave() -> None:
    path = Path(os.environ["AFTERBELL_DATA"]) / "mathdial-sessions.jsonl"  # noqa: TID251
    real = [_session(json.loads(line)) for line in path.read_text().splitlines()]
    sessions = [
        planted(session, f"{session.participants[1].display_name} Zephyrine{n}") for n, session in enumerate(real)
    ]
    bodies = write(*sessions).heard.bodies
    assert len(bodies) >= len(real)
    text = b"\n".join(bodies).decode()
    assert "ephyrine" not in text.lower()
    assert "@example.org" not in text
    for session, body in zip(sessions, bodies, strict=False):
        name = session.participants[1].display_name.split()[0]
        assert not leaks(json.loads(body)["input"], name) or name.lower() in ("will", "mark"), session.id


def test_every_request_is_unstored_and_names_the_student_by_a_keyed_hash() -> None:
    session = lessons()[0]
    body = json.loads(write(session).heard.bodies[0])
    assert body["store"] is False
    assert re.fullmatch(r"[0-9a-f]{64}", body["safety_identifier"])
    assert body["safety_identifier"] == safety_identifier_of(replace(session, id="other"), b"k" * 16)
    assert body["safety_identifier"] != safety_identifier_of(session, b"x" * 16)


def test_a_sound_answer_costs_one_call() -> None:
    written = write(lessons()[0])
    assert len(written.heard.bodies) == 1
    assert (written.drafts[0].checks.dropped, written.drafts[0].checks.repaired) == ((), False)


@pytest.mark.parametrize("fault", ["invented_turns", "bad_json", "wrong_schema"])
def test_what_does_not_hold_is_put_right_in_one_more_call(fault: str) -> None:
    written = write(lessons()[0], faults=(fault,))
    draft = written.drafts[0]
    assert len(written.heard.bodies) == 2
    assert (draft.checks.repaired, draft.checks.dropped, draft.checks.grounded_ratio) == (True, (), 1.0)
    assert draft.answer.usage.input_tokens > 2 * tokens.expected(json.loads(written.heard.bodies[0])["input"])
    again = json.loads(written.heard.bodies[1])["input"]
    assert "<problems " in again
    assert "topics[0]" in again or "not JSON" in again or "not a narrative" in again
    assert written.heard.headers[1]["x-client-request-id"] == "job-s0-repair"


def test_what_still_does_not_hold_is_dropped_and_counted() -> None:
    draft = write(lessons()[0], faults=("invented_turns", "invented_turns")).drafts[0]
    assert "Something nobody said" not in {topic.name for topic in draft.narrative.topics}
    assert set(draft.checks.dropped) == {"topics:unknown_turn", "topics:no_evidence"}
    assert draft.checks.repaired


def test_a_repair_that_fails_loses_only_what_did_not_hold() -> None:
    draft = write(lessons()[0], faults=("invented_turns", "500")).drafts[0]
    assert draft.narrative.skills
    assert not draft.checks.repaired


def test_two_unreadable_answers_are_an_error_that_tells_what_both_cost() -> None:
    with pytest.raises(ModelAnswerUnusable) as raised:
        write(lessons()[0], faults=("bad_json", "bad_json"))
    assert raised.value.usage is not None
    assert raised.value.usage.output_tokens > 0


SMALL = Room(window_tokens=11_000, output_tokens=1_500)


def test_a_session_longer_than_the_window_is_read_in_parts_and_cited_throughout() -> None:
    written = write(long_lesson(400), room=SMALL)
    draft = written.drafts[0]
    asked = [json.loads(body) for body in written.heard.bodies]
    assert len(asked) > 3
    assert all(
        tokens.expected(request["instructions"] + request["input"]) + 1_500 < SMALL.window_tokens for request in asked
    )
    assert draft.checks.coverage_thirds == (True, True, True)
    assert draft.checks.dropped == ()
    ids = [headers["x-client-request-id"] for headers in written.heard.headers]
    assert any("-whole" in request_id for request_id in ids)
    assert len(set(ids)) == len(ids)
    shares = [progress.sections_finished / progress.sections_total for progress in written.progress]
    assert shares == sorted(shares)
    assert shares[-1] == 1.0


def test_every_turn_of_a_long_session_is_read_by_some_call() -> None:
    written = write(long_lesson(400), room=SMALL)
    text = "\n".join(json.loads(body)["input"] for body in written.heard.bodies)
    assert all(f'["t{number}",' in text for number in range(1, 401))


async def test_a_window_smaller_than_told_is_met_by_reading_in_parts() -> None:
    asked: list[str] = []
    heard_sizes: list[int] = []
    inner: list[Callable[..., Awaitable[ModelAnswer]]] = []

    class TooLong(ModelRefused):
        code = "model_input_too_long"

    async def ask(prompt: Prompt, label: str, on_progress: Any) -> ModelAnswer:
        asked.append(label)
        if not label or label.startswith("-part"):
            heard_sizes.append(len(prompt.transcript))
        if len(asked) == 1:
            raise TooLong("too long")
        return await inner[0](prompt, client_request_id=label, safety_identifier=None, on_progress=on_progress)

    async def unheard(_: Any) -> None:
        return None

    async def run(url: str) -> Draft:
        client = ResponsesClient(api_key=KEY, base_url=f"{url}/v1", model="m")
        inner.append(client.write)
        session = long_lesson(60)
        try:
            return await writer_of(session, ask, USUAL_ROOM).write(measure(session), unheard)
        finally:
            await client.aclose()

    with serving(create_app(StubSettings())) as url:
        draft = await run(url)
    assert draft.narrative.topics
    assert max(heard_sizes[1:-1]) < heard_sizes[0]
    assert asked[1].startswith("-part1")


def _session(data: dict[str, Any]) -> Session:
    people = tuple(Participant(**person) for person in data["participants"])
    said = tuple(Message(message["id"], message["sender"], message["text"]) for message in data["messages"])
    return Session(data["id"], data["subject"], people, said, data["level"], data["language"], tuple(data["goals"]))
