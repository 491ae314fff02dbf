from dataclasses import replace

import pytest
from tests.core.basic.test_engine import RIGHT, SLIP
from tests.core.sessions import transcript

from afterbell.core.basic.basic_report import write_narrative
from afterbell.core.narrative import Evidence, Strength, StudentTexts
from afterbell.core.report.findings import REPEATED
from afterbell.core.report.grounding import examine
from afterbell.core.report.stand_ins import stand_in

TOLD = transcript(*SLIP, *RIGHT)
PARENT = "The sum of two fractions was worked on. The bottoms are the same now. Ask for one more example at home."
OWN = "You made the bottoms the same."


@pytest.mark.parametrize(
    ("note", "left"),
    [
        (f"{OWN} The bottoms are the same now.", OWN),
        (PARENT, stand_in("student_note", "en")),
        (f"{OWN} Try 1/3 plus 1/6 next.", f"{OWN} Try 1/3 plus 1/6 next."),
    ],
)
def test_a_students_note_does_not_say_the_parents_text_over(note: str, left: str) -> None:
    narrative = replace(write_narrative(TOLD), parent_summary=PARENT, student_note=note)
    several = replace(narrative, per_student=(StudentTexts("student", PARENT, note),))
    grounded = examine(several, TOLD)
    assert (grounded.narrative.student_note, grounded.narrative.per_student[0].student_note) == (left, left)
    assert [finding.code for finding in grounded.findings] == ([] if left == note else [REPEATED] * 2)
    assert examine(grounded.narrative, TOLD).narrative == grounded.narrative


def test_emphasis_is_taken_out_of_prose_and_arithmetic_stays() -> None:
    session = transcript("T: What is 2**3?", "S: It is **8**.", "T: Exactly.")
    marked = "# The sum\n**Eight** was found from 2**3, and 2 ** 3 ** 1 is the same. Try __init__ next."
    plain = "The sum\nEight was found from 2**3, and 2 ** 3 ** 1 is the same. Try __init__ next."
    said = (Evidence(("t2",), "It is **8**."),)
    strength = Strength("**Found** the sum.", said)
    narrative = replace(write_narrative(TOLD), topics=(), skills=(), misconceptions=(), open_questions=())
    grounded = examine(replace(narrative, tutor_note=marked, strengths=(strength,)), session).narrative
    assert grounded.tutor_note == plain
    assert grounded.strengths == (replace(strength, praise="Found the sum.", student="student"),)
