"""Street addresses as they are written in the languages of our lessons, each by a rule as narrow as its form"
" allows."""

import re
from collections.abc import Iterator
from typing import Final

from afterbell.core.privacy.cues import Cues, Searched, rule

_NO_STREET: Final = (
    r"(?!(?:Big|Small|Little|Large|Red|Blue|Green|Yellow|Magic|Perfect|Unit|Number|Whole|Long|Short|Right|Equal"
    r"|Each|Main"
    r"|The|First|Second|Third|Same|Different|Latin) )"
)
_CAPITAL: Final = r"[^\W\d_a-zà-öø-ÿ][\w'’-]*"
_SMALL_PARTS: Final = "de|del|della|delle|di|da|do|dos|das|la|las|los|le|les|du|des|y|e"
_ROMANCE: Final = rf"(?:[ ](?:{_CAPITAL}|{_SMALL_PARTS}|\d{{1,2}})){{1,6}}?"
_HOUSE_NO: Final = r"(?:,? ?(?:n[º°o.]+ ?|no\.? ?|número |numéro )?)\d{1,5}[A-Za-z]?\b"
_HOME: Final = r"(?:[Ll]iv(?:e|es|ed|ing)|[Aa]ddress(?: is|:)?|[Hh]ouse is|[Hh]ome is|[Mm]oved|[Ss]tay(?:s|ing)?)"
_STREETS: Final = (
    "street st avenue ave road rd lane ln boulevard blvd crescent terrace drive dr highway hwy parkway mews"
)
_WORDLIKE_STREETS: Final = "court way close place square row hill gardens grove walk"
_SOKAK: Final = "caddesi cad sokağı sokak sok sk bulvarı blv"
_ARABIC: Final = "[\u0621-\u064a]+"
_HINDI: Final = "[\u0900-\u097f]+"
_HAN: Final = "\u4e00-\u9fff"
_HAN_NUMBER: Final = r"[\d一二三四五六七八九十百]"

_RULES: Final = Cues(
    (
        # "12 Elm Road", "221B Baker Street", "742 evergreen terrace"; "7 Magic Square puzzles" is none.
        rule(_STREETS, before=r"\b\d{1,5}[A-Za-z]? (?:[NSEW]\.? )?(?!Number )(?:[A-Z][\w'’-]* ){1,3}"),
        rule(
            _WORDLIKE_STREETS,
            r"(?! [a-z])",
            before=rf"\b\d{{1,5}}[A-Za-z]? {_NO_STREET}(?:[A-Z][\w'’-]+ ){{1,3}}",
        ),
        rule("street avenue terrace boulevard crescent", before=r"\b\d{1,5}[a-z]? [a-z]{4,20} "),
        rule(
            f"{_STREETS} {_WORDLIKE_STREETS}",
            before=rf"\b{_HOME} (?:at |on |in |to )?(?P<start>(?:[A-Z][\w'’-]+ ){{1,3}})",
        ),
        rule("apartment apt", r"\.? (?:no\.? ?|#)?\d{1,4}[A-Za-z]?\b"),
        rule("box", r" \d{1,6}\b", before=r"\bP\.?O\.? ?|\bp\.?o\.? ?"),
        # "Lange Straße 12", "Am Alten Markt 3, 69117 Heidelberg".
        rule(
            "straße strasse str allee gasse platz weg",
            r"\.?\s\d{1,4}[a-z]?\b",
            before=r"\b(?:[A-ZÄÖÜ][\w-]{1,30} ){1,2}",
        ),
        # "Calle Mayor 12", "Rua das Flores, 45", "Via Roma 8".
        rule(
            "calle avda avenida av plaza paseo carrera camino rua travessa praça alameda estrada largo via viale"
            " piazza corso",
            rf"\.?{_ROMANCE}{_HOUSE_NO}",
        ),
        # "10 rue de la Paix".
        rule(
            "rue avenue boulevard bd impasse chemin allée quai",
            rf"\.? (?:(?:de|du|des|la|le|les) |l['’]|d['’]){{0,2}}{_CAPITAL}(?:[ -]{_CAPITAL}){{0,3}}",
            before=r"\b\d{1,4}(?: ?(?:bis|ter))?,? ",
        ),
        # "Atatürk Caddesi No: 12 D: 5", "Gül Mahallesi, Lale Sok. 5/3".
        rule(
            _SOKAK,
            r"\.?,? ?(?:[Nn][oO]\.? ?[:.]? ?)?\d{1,4}(?:/\d{1,3})?(?: D(?:aire)?[:.]? ?\d{1,3})?\b",
            before=rf"(?<!\w)(?:{_CAPITAL} (?:[Mm]ah(?:allesi|\.)?,? )?){{1,3}}",
        ),
        rule("mahallesi mah", r"\.?,? (?:[Nn]o[ :.]*)?\d{1,4}\b", before=rf"(?<!\w)(?:{_CAPITAL} ){{1,2}}"),
        # "ul. Długa 5".
        rule("ul al os pl", rf"\. (?:{_CAPITAL} ?){{1,3}}\d{{1,4}}[a-z]?(?:/\d{{1,4}})?\b"),
        # "ул. Ленина, д. 5, кв. 12".
        rule(
            "ул улица улице улицу улицы проспект проспекте пр пер переулок переулке бульвар бульваре шоссе наб"
            " набережная"
            " набережной",
            r"(?:\.|-т|-кт)? ?(?:[\w-]+ ){0,2}?[\w-]+,? ?(?:д(?:\.|ом) ?)?\d{1,4}[а-я]?\b(?:,? ?(?:кв|корп|к)\.?"
            r" ?\d{1,4})*",
        ),
        # "人民路12号3楼", "三丁目5番2号", "東京都港区芝公園4-2-8".
        rule(
            "路 街 大道 巷 弄 胡同",
            rf"(?:[{_HAN}]{{0,3}}段)?{_HAN_NUMBER}{{1,5}}(?:号|號|弄)(?:{_HAN_NUMBER}{{1,4}}(?:楼|樓|室|单元|栋|号|號))*",
            before=rf"(?:(?![在是址到])[{_HAN}]){{1,14}}",
        ),
        rule(
            "丁目",
            r"(?:\d{1,3}番地?)?-?\d{0,3}(?:-\d{1,3})?号?",
            before=rf"[{_HAN}]{{0,8}}(?:[一二三四五六七八九十]|\d{{1,2}})",
        ),
        rule(
            "都 道 府 県",
            rf"(?:[{_HAN}]{{1,6}}[市区町村])+[{_HAN}]{{0,6}}\d{{1,3}}(?:-\d{{1,3}}){{1,2}}",
            before=rf"[{_HAN}]{{2,4}}",
        ),
        # "테헤란로 152번지".
        rule(
            "로 길",
            r" ?\d{1,4}(?:-\d{1,3})?(?:번길 ?\d{1,3})?(?=번지|에 살|에서 살| \d{1,4}호|이 우리)",
            before=r"(?<![가-힣])[가-힣]{2,8}",
        ),
        # "12, गांधी मार्ग", "मकान नंबर 45, गांधी नगर".
        rule(
            "मकान फ्लैट गली घर",
            rf" (?:नंबर|नं\.?|संख्या|न\.) ?\d{{1,5}}(?:,? (?:{_HINDI} ){{0,2}}(?:मार्ग|रोड|गली|नगर|कॉलोनी))?",
        ),
        rule("मार्ग रोड गली नगर कॉलोनी पथ सड़क", before=rf"\b\d{{1,5}}[,/]? (?:{_HINDI} ){{1,3}}"),
        # "12 شارع النيل", "شارع الملك فهد 12".
        rule("شارع", rf"(?: {_ARABIC}){{1,3}}", before=r"\b\d{1,5},? "),
        rule("شارع", rf"(?: {_ARABIC}){{1,4}}?[،,]? ?(?:رقم |مبنى |بناية )?\d{{1,5}}"),
    )
)
_COMPOUND: Final = re.compile(
    r"(?:straße|strasse|str\.|gasse|weg|platz|allee|ufer|damm|straat|laan|gracht|plein)\s\d{1,4} ?(?:[a-z]\b)?(?!\w)"
)
_COMPOUND_HEAD: Final = re.compile(
    r"\b(?!Lösungs|Rechen|Denk|Um|Heim|Schul|Lern|Rad|Fuß|Arbeits|Stellen|Sitz|Spiel)[A-ZÄÖÜ][\wäöüß-]{1,40}$"
)
_COMPOUND_CHARS: Final = 42
_POSTCODE: Final = re.compile(r"[A-Z](?<!\w[A-Z])[A-Z]?\d[A-Z\d]? \d[A-Z]{2}\b")


def addresses_in(searched: Searched) -> Iterator[tuple[int, int]]:
    """(start, end) of each street address in a text whose digits are ASCII ones."""
    text = searched.text
    for start, end in _RULES.matches(searched):
        yield start, end - len(text[start:end]) + len(text[start:end].rstrip(" .,"))
    for match in _COMPOUND.finditer(text):
        head = _COMPOUND_HEAD.search(text, max(0, match.start() - _COMPOUND_CHARS), match.start())
        if head is not None:
            yield head.start(), match.end()
    yield from (match.span() for match in _POSTCODE.finditer(text))
