"""Finds where prose retells what a child told of harm: in the third person, or to the child itself.

The lexicons of harm have it as a child says it, "my dad hits me". A report says "his dad hits him", or "your dad hits
you". So each sentence is read as the child would say it, by the words below, in the language the report is written in.
"""

import re
from collections.abc import Iterator, Mapping
from itertools import product
from typing import Final

from afterbell.core.safety.lexicon import folded
from afterbell.core.safety.safeguarding import topics_named

# Words that do not belong in a lesson are common words of a report too; what they are about is not harm.
_HARMLESS: Final = frozenset({"conduct"})

# English: how a report speaks of the child, and to it.
_WHOSE: Final = re.compile(
    r"\b(?:his|their|your(?! child)|(?:your child|the student|the child)['\u2019]s)\b", re.IGNORECASE
)
_HER: Final = re.compile(r"\bher\b", re.IGNORECASE)
_WHO: Final = re.compile(r"\b(?:he|she|they|him|them|you|your child|the student|the child)\b", re.IGNORECASE)

# By language two lists, "third person > first person": whose somebody is, and who is meant. A word of the second may
# also stand for somebody else, so a sentence is read with it and without.
_SAID_BY_THE_CHILD: Final = """
de whose: sein ihr dein > mein, seine ihre deine > meine, seinem ihrem deinem > meinem, seiner ihrer deiner >
    meiner
de who: ihn sie es dich > mich, ihm ihr dir > mir, sich > mich, er > ich
es whose: su tu > mi, sus tus > mis
es who: le lo la te se > me, quiere quieres > quiero, corta cortas > corto, desea > deseo
fr whose: son ton > mon, sa ta > ma, ses tes > mes
fr who: le la lui te se > me, l t s > m, il elle tu > je, veut > veux, est es > suis
pt whose: seu teu > meu, sua tua > minha
pt who: o a lhe te se > me, nele nela em_ti em_voce > em_mim, dele dela > de_mim, quer queres > quero
tr whose: babasi baban > babam, annesi annen > annem, abisi abin > abim, ablasi ablan > ablam, amcasi amcan >
    amcam, dayisi dayin > dayim, dedesi deden > dedem, kardesi kardesin > kardesim, ailesi ailen >
    ailem, ogretmeni ogretmenin > ogretmenim, uvey_babasi > uvey_babam, babasindan > babamdan,
    annesinden > annemden
tr who: onu seni > beni, ona sana > bana, kendini > kendimi, kendine > kendime, istiyor istiyorsun >
    istiyorum
hi whose: उसके उनके तुम्हारे आपके > मेरे, उसकी उनकी तुम्हारी आपकी > मेरी, उसका उनका > मेरा
hi who: उसे उसको उन्हें तुम्हें आपको बच्चे_को बच्ची_को > मुझे
zh who: 他 她 你 您 孩子 > 我
ar whose: والده والدها والدك > والدي, ابوه ابوها ابوك اباه ابيه > ابي, امه امها امك > امي, والدته والدتها >
    والدتي, اخوه اخوها اخوك اخاه > اخي, عمه عمها عمك > عمي, خاله خالها > خالي, جده جدها > جدي, معلمه
    معلمها > المعلم, زوج_امه زوج_امها > زوج_امي
ar who: يضربه يضربها يضربك > يضربني, ضربه ضربها ضربك > ضربني, يؤذيه يؤذيها > يؤذيني, يعذبه يعذبها > يعذبني,
    يحبسه يحبسها > يحبسني, يخنقه يخنقها > يخنقني, يحرقه يحرقها > يحرقني, يريد تريد > اريد
"""


def names_harm(text: str) -> bool:
    """Whether a phrase about harm stands in a text."""
    return any(topic not in _HARMLESS for topic, _ in topics_named(text))


def names_conduct(text: str) -> bool:
    """Whether a word that does not belong in a lesson stands in a text."""
    return any(topic in _HARMLESS for topic, _ in topics_named(text))


def retells_harm(sentence: str, language: str) -> bool:
    """Whether a sentence, said by the child itself, would tell of harm: "his dad hits him" is "my dad hits me"."""
    return any(map(names_harm, {*_in_english(sentence), *_in_language(sentence, language.partition("-")[0].lower())}))


def _in_english(sentence: str) -> Iterator[str]:
    whose = _WHOSE.sub("my", sentence)
    for child, her in product(("me", "I"), ("me", "my")):
        yield _WHO.sub(child, _HER.sub(her, whose))


def _in_language(sentence: str, language: str) -> Iterator[str]:
    if language not in _FIRST_PERSON:
        return
    whose, who = _FIRST_PERSON[language]
    own = _replaced(folded(sentence), whose)
    yield own
    yield _replaced(own, who)


def _replaced(text: str, firsts: Mapping[str, str]) -> str:
    for third, first in firsts.items():
        text = text.replace(f" {third} ", f" {first} ")
    return text


def _table(text: str) -> dict[str, tuple[dict[str, str], dict[str, str]]]:
    """By language, whose and who: by folded word or words of the third person what the child says instead."""
    table: dict[str, tuple[dict[str, str], dict[str, str]]] = {}
    for language, kind, pairs in re.findall(r"^(\w+) (whose|who): (.*(?:\n +.*)*)", text, re.MULTILINE):
        firsts = table.setdefault(language, ({}, {}))[kind == "who"]
        for pair in pairs.split(","):
            thirds, _, first = pair.partition(">")
            firsts |= {_plain(third): _plain(first.strip()) for third in thirds.split()}
    return table


def _plain(written: str) -> str:
    return folded(written.replace("_", " ")).strip()


_FIRST_PERSON: Final = _table(_SAID_BY_THE_CHILD)
