"""The stub plays back a prepared answer to the example lesson, and to no other."""

from dataclasses import replace

from afterbell.adapters.models.narrative_codec import decode
from afterbell.cli.session_files import example_lesson
from afterbell.core.report.grounding import examine
from afterbell.core.report.prompt import build
from afterbell.core.report.report import engine_of
from afterbell.core.report.statistics import measure
from afterbell.core.session import Session, transcript_of
from afterbell.dev.stub.faults import Fault
from afterbell.dev.stub.replies import StubAnswer, write_answer
from afterbell.dev.stub.request import StubRequest
from afterbell.worker.writer import redact_session


def answered(session: Session, fault: str = "ok") -> StubAnswer:
    """The stub's answer to the prompt that leaves the house."""
    transcript = transcript_of(session)
    prompt = build(redact_session(session, transcript).transcript, measure(session, transcript), fence="a-test-fence")
    asked = StubRequest("a-model", prompt.instructions, prompt.transcript, False, False, None, {})
    return write_answer(asked, Fault(fault))


def test_the_example_lesson_gets_the_prepared_answer_and_is_labelled_so() -> None:
    answer = answered(example_lesson())
    assert engine_of(answer.model) == "prepared"
    assert any(skill.level == "independent" for skill in decode(answer.text).skills)


def test_all_of_it_holds() -> None:
    session = example_lesson()
    narrative = decode(answered(session).text)
    grounded = examine(narrative, transcript_of(session))
    assert grounded.findings == ()
    assert grounded.narrative == narrative


def test_a_lesson_that_differs_in_one_word_of_the_student_gets_the_basic_report() -> None:
    session = example_lesson()
    *others, last = session.messages
    changed = replace(session, messages=(*others, replace(last, text="bye, thanks!")))
    assert engine_of(answered(changed).model) == "extractive"


def test_a_fault_asked_for_comes_before_it() -> None:
    assert engine_of(answered(example_lesson(), "obey").model) == "extractive"
