"""The prose gate in the languages that reports are written in: what it takes out of each, and what it leaves."""

import pytest

from afterbell.core.report.prose_gate import COMPARISON, EARLIER, GRADE, TRAIT, UNPROVEN, ProseFacts, sound_prose

UNSOUND = [
    ("de", GRADE, "Dafür gibt es die Note 1."),
    ("de", TRAIT, "Ihr Kind ist wirklich begabt."),
    ("de", COMPARISON, "Ihr Kind war schneller als die anderen."),
    ("de", EARLIER, "Das ging viel besser als beim letzten Mal."),
    ("de", UNPROVEN, "Ihr Kind löst solche Aufgaben jetzt ganz ohne Hilfe."),
    ("es", GRADE, "Merece una nota de 9."),
    ("es", TRAIT, "Su hija es muy inteligente."),
    ("es", COMPARISON, "Va mejor que sus compañeros."),
    ("es", EARLIER, "Estuvo más seguro que la última vez."),
    ("es", UNPROVEN, "Resuelve estas ecuaciones sin ninguna ayuda."),
    ("fr", GRADE, "Ce travail vaut 18 sur 20."),
    ("fr", TRAIT, "Votre enfant est très doué."),
    ("fr", COMPARISON, "Votre enfant réussit mieux que les autres élèves."),
    ("fr", EARLIER, "C\u2019était mieux que la dernière fois."),
    ("fr", UNPROVEN, "Votre enfant sait le faire tout seul."),
    ("pt", GRADE, "Merece nota 10."),
    ("pt", TRAIT, "Sua filha é muito talentosa."),
    ("pt", COMPARISON, "Foi mais rápido do que os colegas."),
    ("pt", EARLIER, "Melhorou muito."),
    ("pt", UNPROVEN, "Consegue resolver tudo sozinha."),
    ("tr", GRADE, "Bu ders 10 üzerinden 9 eder."),
    ("tr", TRAIT, "Çocuğunuz çok zeki."),
    ("tr", COMPARISON, "Arkadaşlarından daha hızlı."),
    ("tr", EARLIER, "Geçen derse göre daha rahattı."),
    ("tr", UNPROVEN, "Bu soruları tek başına çözebiliyor."),
    ("hi", GRADE, "उसे पूरे अंक मिलने चाहिए।"),
    ("hi", TRAIT, "आपका बच्चा बहुत होशियार है।"),
    ("hi", COMPARISON, "आपका बच्चा दूसरे बच्चों से तेज़ है।"),
    ("hi", EARLIER, "यह पिछली बार से बेहतर था।"),
    ("hi", UNPROVEN, "आपका बच्चा ऐसे सवाल अकेले कर सकता है।"),
    ("zh", GRADE, "这节课可以打 95 分。"),
    ("zh", TRAIT, "您的孩子非常聪明。"),
    ("zh", COMPARISON, "您的孩子比其他同学学得快。"),
    ("zh", EARLIER, "这次比上节课好多了。"),
    ("zh", UNPROVEN, "现在孩子能独立完成这类题目。"),
    ("ar", GRADE, "يستحق العلامة الكاملة."),
    ("ar", TRAIT, "طفلكم ذكي جدًا."),
    ("ar", COMPARISON, "طفلكم أسرع من زملائه."),
    ("ar", EARLIER, "كان أفضل من المرة السابقة."),
    ("ar", UNPROVEN, "يستطيع طفلكم حلّ هذه المسائل بمفرده."),
]
SOUND = [
    (
        "de",
        "Die Note C klingt wie ein H mit Kreuz. Versuchen Sie beim nächsten Mal, es ihn ohne Hilfe lösen zu lassen.",
    ),
    ("de", "Der Bruch 3/4 ist größer als die anderen Brüche. Die letzte Aufgabe blieb offen. 5 von 10 ist ein Halbes."),
    (
        "es",
        "La nota do se escribe en la primera línea. Pruebe la próxima vez sin ayuda. Tres cuartos es una fracción.",
    ),
    (
        "fr",
        "La note do s\u2019écrit sous la portée. Trois quarts font 3/4. La dernière question reste ouverte.",
    ),
    ("pt", "A nota dó fica abaixo da pauta. Deixe tentar sozinha na próxima vez. A última pergunta ficou em aberto."),
    ("tr", "Bir sonraki derste tek başına denesin. Son soru açık kaldı. 3/4 diğer kesirlerden büyüktür."),
    ("hi", "अगली बार खुद कोशिश करके देखें। 3/4 बाकी भिन्नों से बड़ा है। आखिरी सवाल बाकी रह गया।"),
    ("zh", "下次可以让孩子独立试一试。3/4 比其余的分数大吗？用了 10 分钟。分子和分母都变了。"),
    ("ar", "حاولوا في الدرس القادم أن يحلّها وحده. بقي السؤال الأخير مفتوحًا. 3/4 أكبر من الكسور الأخرى."),
]


def facts(language: str) -> ProseFacts:
    return ProseFacts(frozenset(), (), language=language)


@pytest.mark.parametrize(("language", "code", "sentence"), UNSOUND)
def test_what_nobody_can_know_is_taken_out_in_every_language(language: str, code: str, sentence: str) -> None:
    kept = dict(SOUND)[language]
    text = f"{kept}{sentence}" if language == "zh" else f"{kept} {sentence}"
    assert sound_prose(text, facts(language)) == (kept, (code,))


@pytest.mark.parametrize(("language", "text"), SOUND)
def test_what_a_lesson_shows_is_left_in_every_language(language: str, text: str) -> None:
    assert sound_prose(text, facts(language)) == (text, ())
