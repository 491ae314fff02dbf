"""What the wording of a turn shows: its sentences, and whether a tutor calls the answer before it right.

A verdict is what a tutor says in so many words. "Great!" and "Good" begin a new question as often as they praise an
answer, so they are none; a "yes, but" is none, nor is a turn that says both. What is doubted ("I'm not sure that's
right"), limited ("good job so far"), said of an effort ("well done for trying") or of something else than the answer
("you're right, it is confusing") is none either.
"""

import re
from collections.abc import Sequence
from itertools import pairwise
from typing import Final

from afterbell.core.report.statistics import without_questions
from afterbell.core.session import Turn

_ABBREVIATIONS: Final = "".join(
    rf"(?<!\b{short}\.)" for short in ("a.m", "p.m", "e.g", "i.e", "Mr", "Mrs", "Ms", "Dr", "vs")
)
_SENTENCE_END: Final = re.compile(
    rf"(?<=[.!?…।؟]){_ABBREVIATIONS}\s+|(?<=[。！？])(?![”」』）])\s*|\n+"  # noqa: RUF001  the marks of other scripts
)
_READ_CHARS: Final = 400
_OPENERS: Final = (
    r"^(?:(?:yes|yeah|yep|yup|great|good|ok|okay|ah|oh|wow|nice|so|and|well|amazing|awesome"
    r"|um+|uh+|er+m?)\b[,.!\s]*){0,3}"
)
_SAYS_RIGHT: Final = (
    r"(?:exactly|correct|perfect|precisely|bingo|brilliant|excellent|spot on|well done|right on(?: the money)?"
    r"|nailed it|you nailed it"
    r"|you(?:'?ve| have)? got it|good (?:job|work)|great (?:job|work))\b"
    # "Exactly how many", "correct the second line" and "you got it backwards" are none.
    r"(?=\W*$|\s*[.!,;:…)–—-]"  # noqa: RUF001
    r"| (?:because|since|as|that|this|it|its|it's|you|and|so|we|he|she|they|there|then|again|now|indeed"
    r"|well|good|great|right|correct|on that|with that|the answer|yes|everyone|both|\d)\b)"
)
_IS_RIGHT: Final = (
    r"\b(?:that(?:'?s| is)|you(?:'re| are|re)|it(?:'s| is)|this is|your answer is) (?:\w+ly |now "
    r"|also )?(?:right|correct)\b"
    r"(?! if)|\b(?:that(?:'?s| is)|it(?:'?s| is)|got|have|found|gave) the right answer\b|\bwell done\b"
)
# In speech "yes" and "right" keep a talk going; only these are verdicts there.
_CONFIRMS_ALOUD: Final = re.compile(rf"{_OPENERS}{_SAYS_RIGHT}|{_IS_RIGHT}")
_CONFIRMS: Final = re.compile(
    rf"{_OPENERS}{_SAYS_RIGHT}|{_IS_RIGHT}|^(?:(?:yes|yep|yup|absolutely)(?:[!,]|\.(?!\.)|$)|right!)"
    # Spanish, German, French, Turkish, Portuguese, Italian
    r"|^\W*(?:s[ií],? |ja,? |oui,? |evet,? |sim,? |super,? |sì,? )?(?:correcto|exacto|muy bien|perfecto"
    r"|as[ií] es|eso es|bien hecho"
    r"|genau|richtig|stimmt|korrekt|perfekt|sehr gut|exact(?:o|a|e|amente|ement)?|c'est (?:ça|juste|correct|bien)"
    r"|très bien|bravo|parfait"
    r"|doğru|aferin|çok iyi|kesinlikle|correto|certo|exato|muito bem|isso mesmo|perfeito|esatto|giusto|corretto"
    # Hindi, Chinese, Japanese, Arabic, Russian
    r"|bilkul sahi|shabash|sahi hai|सही|शाबाश|बिल्कुल|对|正确|很好|没错|答对"
    r"|正解|そうです|その通り|صحيح|أحسنت|احسنت|ممتاز"
    r"|правильно|верно|молодец|точно|отлично)(?![^\W\d_])"
)
_CORRECTS: Final = re.compile(
    r"^\W*(?:no\b(?! (?:problem|worries|need|rush|more))|nope\b|not (?:quite|exactly|right|correct|yet)\b"
    r"|almost\b|nearly\b"
    r"|close\b|incorrect\b|wrong\b)"
    r"|\bnot (?:quite|exactly)? ?(?:right|correct)\b|\bnot quite\b|\bincorrect\b|\bis(?:n't|nt) (?:quite "
    r"|exactly )?(?:right|correct)\b"
    r"|\b(?:that(?:'s| is)|you(?:'re| are)) (?:still |also )?wrong\b"
    r"|\bdoes(?:n't| not) (?:seem|look) (?:to be )?(?:quite )?(?:right|correct)\b"
    r"|^\W*(?:casi|incorrecto|nicht ganz|leider nicht|falsch|pas tout à fait|non\b|faux|presque|yanlış"  # noqa: RUF001
    r"|tam değil|hayır|quase|errado"  # noqa: RUF001
    r"|não\b|quasi|sbagliato|गलत|नहीं|不对|不是|错|違い|خطأ|غير صحيح|неправильно|неверно|не совсем|почти)"
)
_DOUBTS: Final = re.compile(
    r"\bh+m+\b|\b(?:weird|strange|odd|confus\w*|unsure|not (?:so )?(?:sure|convinced)|(?:are|be|make) (?:you )?sure"
    r"|really"
    r"|double[- ]check|check (?:if|whether|that|your|step|it|this|again)"
    r"|let'?s (?:check|look|see|review|think|go (?:over|back))"
    r"|(?:review|recheck|re-check|revise|reconsider|redo) (?:your|that|this|it|the)"
    r"|(?:try|look) (?:it )?again|into account"
    r"|wait|maybe|perhaps|whether)\b"
    r"|\b(?:do(?:n't| not)|can(?:'?t|not)|could(?:n't| not)|do|would|i|we|if|when|to find|to get|until|once|never)"
    r" (?:\w+ ){0,2}(?:think|believe|know|say|see|be|find|get|right|correct|hope|guess|suppose)\b[^.!?]{0,20}"
    r"\b(?:right|correct|got it)\b"
    r"|\bnot the right\b"
)
_LIMITS: Final = re.compile(
    r"^[^.!?]*?\b(?:so far|up to|only|almost|nearly|wrong|backwards|mixed|trying|try|effort|attempt|until|for the first"
    r"|(?:on|in|with|about) (?:step|part|the (?:first|second|last) (?:step|part|line))|see you|bye|today|on time"
    r"|where you went|that (?:it|this) is|it(?:'?s| is) (?:hard|tricky|confusing|difficult)|i made|i meant"
    r"|to be \w+|explaining|i see|let's|please|(?:to|for) (?!that\b|this\b|you\b|us\b|me\b|homework\b|next\b)\w+)\b"
)
_TAKES_BACK: Final = re.compile(r"\b(?:but|however|although|except|aber|pero|mais|mas|ama|но)\b|但|लेकिन|لكن")
# "That's right if …" is no verdict; "Well done. Now if …" is one, and goes on.
_CONDITION: Final = re.compile(r"[^.!?]*?\bif\b")
_TAKEN_BACK_WITHIN: Final = 80
# "Well done. … There is one small error" is said of the answer however far it stands from the praise.
_FINDS_FAULT: Final = re.compile(
    r"\b(?:an?|one|another|some|few|small|little|slight|minor|tiny) (?:\w+ )?(?:errors?|mistakes?|slips?)\b"
)


def sentences(text: str) -> list[str]:
    """The sentences of a text without the white space around them; a line is one at least."""
    return [part for part in map(str.strip, _SENTENCE_END.split(text)) if part]


def verdict(text: str, *, spoken: bool = False) -> bool | None:
    """What a tutor's turn says of the answer before it: right, wrong, or neither."""
    low = text[:_READ_CHARS].lower().replace("\u2019", "'").strip()
    stated = without_questions(low)
    right = (_CONFIRMS_ALOUD if spoken else _CONFIRMS).search(stated)
    wrong = _CORRECTS.search(stated)
    if wrong:
        return None if right or spoken else False
    return True if right and not _is_qualified(right, low, stated) else None


def _is_qualified(right: re.Match[str], low: str, stated: str) -> bool:
    """Whether what confirms is taken back, doubted in the turn, or limited in its own sentence."""
    end = right.end() + _TAKEN_BACK_WITHIN
    doubted = _TAKES_BACK.search(stated, 0, end) or _DOUBTS.search(low, 0, end) or _FINDS_FAULT.search(stated)
    rest = stated[right.end() :]
    # What confirms may end with the mark that ends its sentence: "yes!"
    conditional = _CONDITION.search(stated, 0, right.end()) or (right[0][-1] not in ".!" and _CONDITION.match(rest))
    return bool(doubted or _LIMITS.match(rest) or conditional)


def replied_to(turns: Sequence[Turn]) -> dict[str, Turn]:
    """By the id of each student's turn, the tutor's turn right after it, where there is one."""
    spoken = [turn for turn in turns if turn.text]
    return {
        said.id: reply
        for said, reply in pairwise(spoken)
        if said.speaker.role == "student" and reply.speaker.role in ("tutor", "assistant")
    }
