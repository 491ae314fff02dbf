"""Finds text in a session that speaks to the writer of the report instead of to the people in the session.

Looked for are attempts to set the instructions aside, words addressed to a model, demands on the report (that it "must
say" something), the schema's own field names, and forged ends or turns of the transcript; in English and a few other
languages, also behind invisible characters, look-alike letters, spaced-out or leet spelling, base64, rot13 and reversed
text.

What is found is withheld from the model and shown to staff. This list cannot be complete, so it is one gate of several:
see ``grounding`` for what holds when it misses.
"""

import base64
import binascii
import codecs
import re
import unicodedata
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Final

from afterbell.core.session import Transcript

_SCANNED_CHARS: Final = 8_000
# Each line is one sign; WRITER, REPORT, DEMAND and PRIZE stand for the lists above them.
_LISTS: Final = {
    "WRITER": """
        ai|a\\.i\\.|llm|gpt|chatgpt|claude|gemini|(?:language )?model|assistant|bot|summari[sz]er|grader|evaluator
        (?:report|summary)[ -]?(?:writer|generator|system|tool|engine)
        """,
    "REPORT": """
        report|summary|narrative|headline|evaluation|assessment|feedback to (?:my|the) parents?|parent (?:note|message)
        tutor note|student note|grade|rating|score
        bericht|zeugnis|rapport|bilan|informe|reporte|relatório|rapor|отч[её]т
        """,
    "DEMAND": """
        must|should|shall|needs? to|has to|have to|please|say|says|write|state|set|give|mark|rate|include|output|return
        print|add|omit|leave out|hide|mention|change|claim|conclude|make sure
        soll|muss|schreib\\w*|doit|écri[st]\\w*|debe
        escrib[ae]|deve|yaz\\w*|напиши\\w*|должен
        """,
    "PRIZE": """
        independen\\w+|goals? (?:\\w+ ){0,2}met|master(?:ed|y)|perfect\\w*|excellent|outstanding|genius
        flawless|a\\+|100 ?%
        10 ?(?:/|out of) ?10|full marks|top (?:marks|grade)|no (?:mistakes?|misconceptions?|concerns?|errors?|help)
        never made|everything (?:was )?(?:right|correct)|selbstständig|erreicht|perfekt|autonom\\w*|atteint|parfait\\w*
        independiente|perfecto|perfeito|ba[ğg][\\u0131i]ms[\\u0131i]z|mükemmel|самостоятельн\\w*|отлично
        """,
}
_SIGN_LINES: Final = r"""
    \b(?:ignore|disregard|forget|override|bypass|neglect|drop)\W+(?:[\w']+\W+){0,6}?(?:instructions?|rules?|prompts?)\b
    \b(?:ignore|disregard|forget|override|bypass|neglect)\W+(?:[\w']+\W+){0,6}?(?:directions?|guidelines?|polic(?:y|ies))\b
    \b(?:ignore|disregard|forget|override)\W+(?:[\w']+\W+){0,6}?(?:constraints|everything above)\b
    \b(?:dear|hey|hi|hello|to|for|attention|note to|message (?:to|for)) (?:the |our |this )?WRITER\b\W
    \b(?:you are|act|behave|pretend|respond|reply)\b (?:now |only |to be |as ){0,2}(?:an? |the )?(?:WRITER|dan|system)\b
    \b(?:system|developer|admin\w*|operator)\s*(?:prompt|message|note|override|mode|update|instruction)s?\b
    ^\W*(?:system|developer|assistant)\s*:|\bjailbreak|\bprompt injection
    \bWRITER\b\W+(?:[\w']+\W+){0,4}?DEMAND\b
    \bREPORT\b(?:\W+[\w+%']+){0,14}?\W+PRIZE(?!\w)
    \bDEMAND\b(?:\W+[\w+%']+){0,10}?\W+PRIZE(?!\w)(?:\W+[\w']+){0,8}?\W+REPORT\b
    \b(?:the|my|this|your|session|parent|final) (?:report|summary|evaluation|assessment)\b\W+(?:[\w']+\W+){0,3}?DEMAND\b
    \b(?:write|put|add|say|include|mention|insert|copy)\b(?:\W+[\w']+){0,6}?\W+(?:to|in\w*) (?:the|my|this) report\b
    \b(?:leave|keep|omit|hide|not|don't|never)\b(?:\W+[\w']+){0,8}?\W+(?:of|from|in) (?:the|my|this) (?:report|summary)
    \b(?:leave|keep|omit|hide|not|don't|empty)\b(?:\W+[\w']+){0,8}?\W+(?:concerns?|misconceptions?) (?:section|list)
    \b(?:mark|set|rate|grade|record|log|list|label|classify|count|report)\b(?:\W+[\w']+){0,8}?\W+(?:as )?independent\b
    \b(?:mark|set|rate|grade|record|log|label)\b(?:\W+[\w']+){0,8}?\W+(?:goals? (?:as )?met\b|mastered\b|a\+|full marks)
    \b(?:repeat|print|reveal|show|output|leak)\W+(?:me )?(?:your|the)\W+(?:[\w']+\W+){0,3}?(?:prompt|instructions)\b
    goal_progress|parent_summary|student_note|tutor_note|insufficient_evidence|turn_ids|goal_evidence
    "(?:level|status|headline|skills|concerns|severity)"\s*:
    </?\s*(?:session|system|transcript|instructions?|answer|problems|facts)\b|\[\s*"t\d+"|<\|\w+\|>|\[/?inst\]
    \#{2,}\s*(?:system|instruction|new)|\bend of (?:the )?(?:transcript|session|data|input|chat log)\b
    \b(?:ignorier|vergiss|missacht)\w*\W+(?:\w+\W+){0,6}?(?:anweisung|regel|vorgabe)
    \b(?:ignore[rz]?|oublie[rz]?|ignora|olvida|esque[cç]a|dimentica)\w*\W+(?:\w+\W+){0,6}?(?:instruc|consigne|règle|regla)
    \b(?:ignora|ignore|dimentica|esque[cç]a)\w*\W+(?:\w+\W+){0,6}?(?:instruç|regra|istruzion|regol)
    (?:talimat|kural)\w*\W+(?:\w+\W+){0,3}?(?:yok say|unut|görmezden)
    (?:игнорируй|забудь)\w*\W+(?:\w+\W+){0,4}?(?:инструкц|правил|указан)
    (?:忽略|无视|忘记|無視).{0,20}(?:指令|指示|规则|说明|規則)|(?:报告|報告).{0,20}(?:独立|必须|完美)
    \bREPORT\b(?:\W+\w+){0,4}?\W+(?:soll|muss|doit|debe|deve|должен)\b
"""


def _signs() -> re.Pattern[str]:
    lines = "|".join(_SIGN_LINES.split("\n    ")[1:]).strip()
    for name, listed in _LISTS.items():
        lines = lines.replace(
            name, f"(?:{'|'.join(listed.split(chr(10) + ' ' * 8))})".replace("(?:|", "(?:").replace("|)", ")")
        )
    return re.compile(lines)


_SIGNS: Final = _signs()
# Most texts hold none of these and are looked at no further.
_GLIMPSES: Final = tuple(
    """
    instruction,rules,prompt,direction,guideline,polic,constraint,everything above,system,assistant,llm,gpt,model,claude
    gemini, ai,ai ,a.i., bot , bot:,writer,generator,grader,report,summar,narrative,headline,evaluat,assess,feedback
    grade,rating,score,developer,jailbreak,pretend,independent,mastered,goal,concern,misconception,_,":," :,["t,[ "t,</
    <s,<i,<t,<|,##,end of,[inst,[/inst, dan ,admin,operator
    note to,parent note,parent message,tutor note,student note,full marks,a+
    bericht,zeugnis,anweisung,regel,vorgabe,rapport,bilan,consigne,règle,informe,instruc,regla,relatório,rapor,talimat,kural
    istruzion,regol,reporte
    """.replace("\n    ", ",")
    .strip(",")
    .split(",")
)
_TURNED: Final = ("vtaber", "ercbeg", "vafgehpgvba", "erongi", "troper", "snoitcurtsni", "qvfertneq", "drageridsid")
_BLOB: Final = re.compile(r"[A-Za-z0-9+/_-]{20,}={0,2}")
_SPACED: Final = re.compile(r"(?<!\w)(?:\w[ ._*-]){4,}\w(?!\w)")
# Words an instruction is made of, found once letters are put for digits and what stands between letters is gone.
_DISGUISED: Final = ("ignore", "disregard", "instruction", "report", "independent", "prompt", "system")
_UNLEET: Final = str.maketrans("013457@$", "oieastas")
_LOOK_ALIKE: Final = str.maketrans("аеорсухіјѕԁһԛѡοανρτυικε", "aeopcyxijsdhqwoavptuike")


@dataclass(frozen=True, slots=True)
class Hostile:
    """The turns by id, and every text to withhold: whole turns and goals, since nothing beside a demand is safe."""

    turn_ids: tuple[str, ...] = ()
    texts: tuple[str, ...] = ()


def hostile_in(transcript: Transcript) -> Hostile:
    """The turns and texts of a session that speak to the report's writer."""
    elsewhere = (transcript.subject, transcript.level or "", *transcript.goals)
    signs = _Signs((*elsewhere, *(turn.text for turn in transcript.turns)))
    turns = [turn for turn in transcript.turns if signs.speak_in(turn.text)]
    texts = [*(turn.text for turn in turns), *(text for text in elsewhere if signs.speak_in(text))]
    return Hostile(tuple(turn.id for turn in turns), tuple(dict.fromkeys(texts)))


class _Signs:
    """The search in one session; what a glance at all of it rules out is not looked for in each turn."""

    def __init__(self, texts: Iterable[str]) -> None:
        low = "\n".join(map(_low, texts))
        # Each word once is a tenth of the text, and enough to rule a sign out by its own first word.
        vocabulary = "\n".join(set(low.split()))
        self._glimpses = [sign for sign in _GLIMPSES if sign.split()[0] in vocabulary]
        self._turned = [sign for sign in _TURNED if sign in vocabulary]
        self._blobs = _BLOB.search(low) is not None
        bare = _bare(low)
        # A word that stands in the open is there in both, so more of it in the bare text is a disguise.
        self._disguised = [word for word in _DISGUISED if bare.count(word) > low.count(word)]

    def speak_in(self, text: str) -> bool:
        """Whether a text speaks to the report's writer."""
        return any(_SIGNS.search(reading) for reading in self._readings(text[:_SCANNED_CHARS]))

    def _readings(self, text: str) -> Iterator[str]:
        """The text as it may be meant, each reading only where there is something to suspect."""
        low = _low(text)
        if not text.isascii() or any(map(low.__contains__, self._glimpses)):
            yield low
        if any(map(low.__contains__, self._turned)):
            yield codecs.encode(low, "rot13")
            yield low[::-1]
        if self._disguised and self._hides_in(low):
            yield _SPACED.sub(lambda run: re.sub(r"[ ._*-]", "", run[0]), low.replace("  ", "\n"))
            yield low.translate(_UNLEET)
        for blob in _BLOB.findall(text) if self._blobs else ():
            yield _decoded(blob)

    def _hides_in(self, low: str) -> bool:
        bare = _bare(low)
        return any(word in bare and word not in low for word in self._disguised)


def _bare(low: str) -> str:
    """Letters for digits, and nothing between letters; of a whole session five times as fast as ``translate``."""
    for sign, letter in zip("013457@$ ._*-", (*"oieastas", *[""] * 5), strict=True):
        low = low.replace(sign, letter)
    return low


def _low(text: str) -> str:
    return (text if text.isascii() else _plain(text)).lower()


def _plain(text: str) -> str:
    folded = unicodedata.normalize("NFKC", text)
    visible = "".join(char for char in folded if unicodedata.category(char) != "Cf")
    return visible.lower().translate(_LOOK_ALIKE) if _mixes_scripts(visible) else visible


def _mixes_scripts(text: str) -> bool:
    """Whether a word has Latin and other letters: Russian text is none, a look-alike hides among Latin ones."""
    return any(
        any("a" <= char.lower() <= "z" for char in word) and any(char > "\u036f" and char.isalpha() for char in word)
        for word in text.split()
    )


def _decoded(blob: str) -> str:
    padded = blob.rstrip("=").replace("-", "+").replace("_", "/")
    try:
        return base64.b64decode(padded + "=" * (-len(padded) % 4)).decode("utf-8", "ignore").lower()
    except (binascii.Error, ValueError):
        return ""
