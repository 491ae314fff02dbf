"""What a child told of harm is not retold to families, in the languages that reports are written in."""

import pytest

from afterbell.core.report.prose_gate import KEPT_TURN, ProseFacts, sound_prose
from afterbell.core.report.retelling import names_harm, retells_harm

RETOLD = [
    ("en", "Your child also said that his dad hits him."),
    ("de", "Ihr Kind sagte, dass sein Vater es schlägt."),
    ("de", "Seine Mutter hat ihn geschlagen."),
    ("es", "Contó que su padre le pega."),
    ("es", "Dijo que su padrastro la golpea."),
    ("fr", "Il a raconté que son père le frappe."),
    ("fr", "Sa mère lui a dit non et sa mère la tape."),
    ("pt", "Contou que seu pai bate nele."),
    ("pt", "Disse que sua mãe lhe bate."),
    ("tr", "Babasının ona vurduğunu, babası onu dövüyor diye anlattı."),
    ("tr", "Annesi ona vuruyor."),
    ("hi", "बच्चे ने बताया कि उसके पापा उसे मारते हैं।"),
    ("zh", "孩子说他爸爸打他。"),
    ("ar", "قال إن والده يضربه."),
]
HARMLESS = [
    ("de", "Seine Antwort zur dritten Aufgabe war richtig, und sie half ihm weiter."),
    ("es", "Su respuesta fue correcta y le ayudó el dibujo."),
    ("fr", "Son calcul était juste et le dessin lui a servi."),
    ("pt", "Sua resposta estava certa e o desenho lhe ajudou."),
    ("tr", "Ona yardım eden çizim, sorusunu çözmesini sağladı."),
    ("hi", "उसके उत्तर सही थे और उसे चित्र से मदद मिली।"),
    ("zh", "他的答案对了，画图帮助了他。"),
    ("ar", "كانت إجابته صحيحة وساعده الرسم."),
]


@pytest.mark.parametrize(("language", "sentence"), RETOLD)
def test_harm_told_in_the_third_person_is_taken_out(language: str, sentence: str) -> None:
    facts = ProseFacts(frozenset({"t4"}), (), kept_ids=frozenset({"t4"}), language=language)
    assert retells_harm(sentence, language)
    assert sound_prose(sentence, facts)[1] == (KEPT_TURN,)


@pytest.mark.parametrize(("language", "sentence"), HARMLESS)
def test_help_and_answers_are_no_harm(language: str, sentence: str) -> None:
    assert not retells_harm(sentence, language)
    assert not names_harm(sentence)
