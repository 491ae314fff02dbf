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
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final

from afterbell.core.glimpse import Glance, Sign, sign
from afterbell.core.session import Transcript, texts_of

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
# What stands wherever one of a list's words does.
_IN_LISTS: Final = {
    "WRITER": "ai|a.i.|llm|gpt|claude|gemini|model|assistant|bot|summari|summary|grader|evaluator|report",
    "REPORT": "report|summary|narrative|headline|evaluation|assessment|feedback to |parent note|parent message"
    "|tutor note|student note|grade|rating|score|bericht|zeugnis|rapport|bilan|informe|relatório|rapor|отчет|отчёт",
}
# By what a text in lower case must hold for any of the lines that follow.
_SIGN_LINES: Final = {
    "instruction|rule|prompt|direction|guideline|polic|constraints|everything above": r"""
    \b(?:ignore|disregard|forget|override|bypass|neglect|drop)\W+(?:[\w']+\W+){0,6}?(?:instructions?|rules?|prompts?)\b
    \b(?:ignore|disregard|forget|override|bypass|neglect)\W+(?:[\w']+\W+){0,6}?(?:directions?|guidelines?|polic(?:y|ies))\b
    \b(?:ignore|disregard|forget|override)\W+(?:[\w']+\W+){0,6}?(?:constraints|everything above)\b
    \bprompt injection
    \b(?:repeat|print|reveal|show|output|leak)\W+(?:me )?(?:your|the)\W+(?:[\w']+\W+){0,3}?(?:prompt|instructions)\b
    """,
    "WRITER|dan|system": r"""
    \b(?:dear|hey|hi|hello|to|for|attention|note to|message (?:to|for)) (?:the |our |this )?WRITER\b\W
    \b(?:you are|act|behave|pretend|respond|reply)\b (?:now |only |to be |as ){0,2}(?:an? |the )?(?:WRITER|dan|system)\b
    \bWRITER\b\W+(?:[\w']+\W+){0,4}?DEMAND\b
    """,
    "system|developer|admin|operator|assistant|jailbreak": r"""
    \b(?:system|developer|admin\w*|operator)\s*(?:prompt|message|note|override|mode|update|instruction)s?\b
    \bjailbreak
    ^\W*(?:system|developer|assistant)\s*:
    """,
    "REPORT": r"""
    \bREPORT\b(?:\W+[\w+%']+){0,14}?\W+PRIZE(?!\w)
    \bDEMAND\b(?:\W+[\w+%']+){0,10}?\W+PRIZE(?!\w)(?:\W+[\w']+){0,8}?\W+REPORT\b
    \b(?:the|my|this|your|session|parent|final) (?:report|summary|evaluation|assessment)\b\W+(?:[\w']+\W+){0,3}?DEMAND\b
    \b(?:write|put|add|say|include|mention|insert|copy)\b(?:\W+[\w']+){0,6}?\W+(?:to|in\w*) (?:the|my|this) report\b
    \b(?:leave|keep|omit|hide|not|don't|never)\b(?:\W+[\w']+){0,8}?\W+(?:of|from|in) (?:the|my|this) (?:report|summary)
    \bREPORT\b(?:\W+\w+){0,4}?\W+(?:soll|muss|doit|debe|deve|должен)\b
    """,
    "concern|misconception|independent|goal|mastered|a+|full marks": r"""
    \b(?:leave|keep|omit|hide|not|don't|empty)\b(?:\W+[\w']+){0,8}?\W+(?:concerns?|misconceptions?) (?:section|list)
    \b(?:mark|set|rate|grade|record|log|list|label|classify|count|report)\b(?:\W+[\w']+){0,8}?\W+(?:as )?independent\b
    \b(?:mark|set|rate|grade|record|log|label)\b(?:\W+[\w']+){0,8}?\W+(?:goals? (?:as )?met\b|mastered\b|a\+|full marks)
    """,
    '_|level"|status"|headline"|skills"|concerns"|severity"|<|"t|inst]|##|end of': r"""
    goal_progress|parent_summary|student_note|tutor_note|insufficient_evidence|turn_ids|goal_evidence
    "(?:level|status|headline|skills|concerns|severity)"\s*:
    </?\s*(?:session|system|transcript|instructions?|answer|problems|facts)\b|\[\s*"t\d+"|<\|\w+\|>|\[/?inst\]
    \#{2,}\s*(?:system|instruction|new)
    \bend of (?:the )?(?:transcript|session|data|input|chat log)\b
    """,
    "anweisung|regel|vorgabe|instruc|instruç|consigne|règle|regla|regra|istruzion|regol|talimat|kural": r"""
    \b(?:ignorier|vergiss|missacht)\w*\W+(?:\w+\W+){0,6}?(?:anweisung|regel|vorgabe)
    \b(?:ignore[rz]?|oublie[rz]?|ignora|olvida|esque[cç]a|dimentica)\w*\W+(?:\w+\W+){0,6}?(?:instruc|consigne|règle|regla)
    \b(?:ignora|ignore|dimentica|esque[cç]a)\w*\W+(?:\w+\W+){0,6}?(?:instruç|regra|istruzion|regol)
    (?:talimat|kural)\w*\W+(?:\w+\W+){0,3}?(?:yok say|unut|görmezden)
    """,
    "инструкц|правил|указан|忽略|无视|忘记|無視|报告|報告": r"""
    (?:игнорируй|забудь)\w*\W+(?:\w+\W+){0,4}?(?:инструкц|правил|указан)
    (?:忽略|无视|忘记|無視).{0,20}(?:指令|指示|规则|说明|規則)|(?:报告|報告).{0,20}(?:独立|必须|完美)
    """,
}


def _sign(glimpses: str, lines: str) -> Sign:
    for name, listed in _LISTS.items():
        lines = lines.replace(
            name, f"(?:{'|'.join(listed.split(chr(10) + ' ' * 8))})".replace("(?:|", "(?:").replace("|)", ")")
        )
        glimpses = glimpses.replace(name, _IN_LISTS.get(name, name))
    signs = lines.rstrip().split("\n    ")[1:]
    # Most begin with a word: where none begins they are all ruled out at once, and the search is four times as fast.
    at_word = "|".join(one.removeprefix(r"\b") for one in signs if one.startswith(r"\b"))
    anywhere = "|".join(one for one in signs if not one.startswith(r"\b"))
    return sign(re.compile("|".join(filter(None, (at_word and rf"\b(?:{at_word})", anywhere)))), glimpses)


_SIGNS: Final = tuple(_sign(glimpses, lines) for glimpses, lines in _SIGN_LINES.items())
# Most texts hold none of these and are looked at no further.
_GLIMPSES: Final = tuple(
    """
    instruction,rule,prompt,direction,guideline,polic,constraint,everything above,system,assistant,llm,gpt,model,claude
    gemini,a.i.,writer,generator,grader,report,summar,narrative,headline,evaluat,assess,feedback
    grade,rating,score,developer,jailbreak,pretend,independent,mastered,goal,concern,misconception,_,level",status",headline"
    skills",concerns",severity","t,<,##,end of,inst],admin,operator
    note to,parent note,parent message,tutor note,student note,full marks,a+
    bericht,zeugnis,anweisung,regel,vorgabe,rapport,bilan,consigne,règle,informe,instruc,regla,relatório,rapor,talimat,kural
    istruzion,regra,regol,reporte
    """.replace("\n    ", ",")
    .strip(",")
    .split(",")
)
# Parts of many words: they count only in a session that says them as words.
_WORDS: Final = re.compile(r"(?:ai(?<!\wai)|bot(?<!\wbot)|dan(?<!\wdan))\b")
_TURNED: Final = ("vtaber", "ercbeg", "vafgehpgvba", "erongi", "troper", "snoitcurtsni", "qvfertneq", "drageridsid")
_BLOB_CHARS_MIN: Final = 20
_BLOB: Final = re.compile(rf"[A-Za-z0-9+/_-]{{{_BLOB_CHARS_MIN},}}={{0,2}}")
_SPACED: Final = re.compile(r"(?<!\w)(?:\w[ ._*-]){4,}\w(?!\w)")
# Words an instruction is made of, found once letters are put for digits and what stands between letters is gone.
_DISGUISED: Final = ("ignore", "disregard", "instruction", "report", "independent", "prompt", "system")
_UNLEET: Final = str.maketrans("013457@$", "oieastas")
_UNLEET_BYTES: Final = bytes.maketrans(b"013457@$", b"oieastas")
_LOOK_ALIKE: Final = str.maketrans("аеорсухіјѕԁһԛѡοανρτυικε", "aeopcyxijsdhqwoavptuike")


@dataclass(frozen=True, slots=True)
class Hostile:
    """The turns by id, and every text to withhold: whole turns and goals, since nothing beside a demand is safe."""

    turn_ids: tuple[str, ...] = ()
    texts: tuple[str, ...] = ()


def hostile_in(transcript: Transcript, glance: Glance | None = None) -> Hostile:
    """The turns and texts of a session that speak to the report's writer; ``glance`` is one at its ``texts_of``."""
    texts = texts_of(transcript)
    hostile = [
        number for number in sorted(_suspects(texts, glance or Glance(texts))) if _speaks_to_writer(texts[number])
    ]
    first = len(texts) - len(transcript.turns)
    turns = [transcript.turns[number - first] for number in hostile if number >= first]
    withheld = (*(turn.text for turn in turns), *(texts[number] for number in hostile if number < first))
    return Hostile(tuple(turn.id for turn in turns), tuple(dict.fromkeys(withheld)))


def _suspects(texts: Sequence[str], glance: Glance) -> set[int]:
    """The numbers of the texts to read: a glance at all of them rules out most."""
    long = " ".join(piece for piece in glance.pieces if len(piece) >= _BLOB_CHARS_MIN)
    signs = {*_GLIMPSES, *_TURNED, *_WORDS.findall(glance.vocabulary), *_BLOB.findall(long)}
    bare = _bare(glance.low)
    # A word that stands in the open is there in both, so more of it in the bare text is a disguise.
    there = [word for word in _DISGUISED if word.encode() in bare]
    disguised = any(bare.count(word.encode()) > glance.low.count(word) for word in there)
    hiding = {number for number, text in enumerate(texts) if _hides(text.lower())} if disguised else ()
    return {*glance.unusual, *glance.holding(signs), *hiding}


def _speaks_to_writer(text: str) -> bool:
    return any(one.search(reading) for reading in _readings(text[:_SCANNED_CHARS]) for one in _SIGNS)


def _readings(text: str) -> Iterator[str]:
    """The text as it may be meant, each reading only where there is something to suspect."""
    low = _low(text)
    yield low
    if any(map(low.__contains__, _TURNED)):
        yield codecs.encode(low, "rot13")
        yield low[::-1]
    if _hides(low):
        yield _SPACED.sub(lambda run: re.sub(r"[ ._*-]", "", run[0]), low.replace("  ", "\n"))
        yield low.translate(_UNLEET)
    for blob in _BLOB.findall(text):
        yield _decoded(blob)


def _hides(low: str) -> bool:
    bare = _bare(low)
    return any(word.encode() in bare and word not in low for word in _DISGUISED)


def _bare(low: str) -> bytes:
    """Letters for digits, and nothing between letters."""
    return low.encode(errors="replace").translate(_UNLEET_BYTES, b" ._*-")


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
