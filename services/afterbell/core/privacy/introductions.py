"""People whom somebody in a session introduces: "my friend's name is Leyla", "Mr Hendricks", "меня зовут Лев"."""

import re
from typing import Final

from afterbell.core.english import LESSON_WORDS, STOPWORDS, words
from afterbell.core.privacy.alphabets import HAN, KANA
from afterbell.core.privacy.cues import Cues, Searched, rule
from afterbell.core.privacy.given_names import NAME_PARTICLES, ROLE_WORDS, TITLES

_SMALL: Final = "a-z" + "".join(char for char in map(chr, range(0xDF, 0x530)) if char.islower())
_NAME: Final = rf"[^\W\d_{_SMALL}][^\W\d_]+(?:[-'’][^\W\d_]+)*"
_NAMES: Final = rf"(?P<it>{_NAME}(?: {_NAME})?(?:(?:, | and | und | y | et | e | ve ){_NAME})*)"
_KIN: Final = (
    r"(?:(?:boy|girl|class)?friend|brother|sister|cousin|teacher|tutor|mum|mom|mommy|mummy|dad|daddy|mother"
    r"|father|uncle"
    r"|aunt|auntie|aunty|grand(?:ma|pa|mother|father)|gran|granny|nan|step(?:dad|mum|mom|father|mother|brother"
    r"|sister)"
    r"|twin|neighbou?r|classmate|coach|babysitter|nanny|son|daughter|niece|nephew)s?"
)
_ENGLISH_KIN: Final = rf"(?i:(?: (?:best|little|big|older|younger|new|old|twin|other|school))* {_KIN})"
_POSSESSIVES: Final = "my his her our their your"
# A name said to be one counts whatever its case.
_SAID_NAME: Final = (
    rf"(?P<it>{_NAME}(?: {_NAME})?|[^\W\d_]{{2,}}(?=\s*(?:[.,!?;:)\n]|$)| (?:and|but|she|he|they|from|who)\b))"
)
_RULES: Final = Cues(
    (
        rule(_POSSESSIVES, rf"{_ENGLISH_KIN}(?:,| is|['’]s)? {_NAMES}"),
        rule(_POSSESSIVES, rf"{_ENGLISH_KIN} (?P<it>[a-z]{{3,}})(?= (?:is|was|has|had|said|says|told|and i)\b)"),
        rule(
            _POSSESSIVES,
            rf"{_ENGLISH_KIN}(?i:(?:['’]?s)? (?:names? (?:is|are|was)|name['’]?s)|(?: is|['’]s|s are| are)"
            rf" (?:called|named))"
            rf" {_SAID_NAME}",
        ),
        rule("my", rf"(?i: (?:full |real |first |last )?name(?: is|['’]s)| surname is) {_SAID_NAME}"),
        rule("call next best this", rf"(?i: me| to| friends? with| is my friend),? {_NAMES}"),
        rule(
            "mr mrs ms miss mx dr prof professor coach herr herrn frau monsieur madame mme mlle señor señora sr"
            " sra senhor senhora"
            " dona doña don pan pani signor signora г-н",
            rf"\.? (?P<it>{_NAME}(?: {_NAME})?)",
        ),
        rule("hoca hocam bey hanım öğretmen abla abi", before=rf"(?<!\w)(?P<it>{_NAME}) "),
        rule("ich", rf"(?i: heiße| heisse) {_NAMES}"),
        rule(
            "mein meine meiner meinem meinen",
            r"(?i: name ist| (?:beste[rn]? )?(?:freund(?:in)?|bruder|schwester|cousine?|mutter|vater|mama|papa"
            r"|oma|opa|lehrer(?:in)?"
            rf"|onkel|tante|nachbar(?:in)?)(?: (?:heißt|heisst|ist))?),? {_NAMES}",
        ),
        rule(
            "llamo llama nombre chamo chama nome chiamo chiama appelle nazywam nazywa imię adım adı",
            rf"(?: es| é| się)? {_NAMES}",
        ),
        rule(
            "mi",
            r"(?i: (?:mejor )?(?:amig[oa]|herman[oa]|prim[oa]|mamá|papá|profe|abuel[oa]|tí[oa]|vecin[oa])(?: es)?)"
            rf",? {_NAMES}",
        ),
        rule(
            "mon ma",
            r"(?i: (?:meilleure? )?(?:amie?|copain|copine|frère|sœur|soeur|cousine?|mère|père|prof|oncle|tante"
            r"|voisine?))"
            rf",? {_NAMES}",
        ),
        rule(
            "meu minha mio mia",
            r"(?i: (?:melhor )?(?:amig[oa]|irmão|irmã|prim[oa]|mãe|pai|professora?|tia?|amic[oa]|fratello|sorella"
            r"|cugin[oa]))"
            rf",? {_NAMES}",
        ),
        rule("arkadaşım kardeşim ablam abim annem babam kuzenim öğretmenim", rf"(?:ın adı|in adı|,)? {_NAMES}"),
        rule(
            "mój moja mojego moją",
            rf"(?i: (?:kolega|brat|przyjaciel|tata|koleżanka|siostra|przyjaciółka|mama)),? {_NAMES}",
        ),
        rule("зовут", rf" {_NAMES}"),
        rule(
            "мой моя моего мою моей моему",
            r"(?i: (?:лучш\w+ )?(?:друга?|подруг[аиу]|брата?|сестр[ауы]|учительниц[ау]|учител[ья]|мам[ау]"
            r"|пап[ау])(?: зовут)?)"
            rf",? {_NAMES}",
        ),
        rule(
            "我叫 名字是 名字叫 朋友叫 同学叫 同學叫 哥哥叫 姐姐叫 弟弟叫 妹妹叫 爸爸叫 妈妈叫 老师叫",
            f"(?P<it>[{HAN}]{{2,3}})",
        ),
        rule("名前は 友達の", rf"(?P<it>[{HAN}{KANA}]{{2,5}}?)(?=です|と|が|は|さん|くん|ちゃん|。|$)"),
        rule("이름은 친구", r" (?P<it>[가-힣]{2,3}?)(?=이?(?:야|에요|예요|입니다|가|는|랑|와|,|\.|$))"),
        rule(
            "اسمي اسمه اسمها اسمك صديقي صديقتي أخي أختي السيد السيدة الأستاذ الأستاذة الدكتور",
            r" (?P<it>[\u0621-\u064a]{2,})",
        ),
        rule("मेरा मेरे मेरी का", r" (?:नाम|दोस्त|भाई|बहन|सहेली) (?P<it>[\u0900-\u0963\u0970-\u097f]{2,})"),
        rule("श्री श्रीमती", r" (?P<it>[\u0900-\u0963\u0970-\u097f]{2,})"),
        rule("שמי לי שלי", r" (?P<it>[\u05d0-\u05ea]{2,})"),
    )
)
_NOT_NAMES: Final = (
    STOPWORDS
    | LESSON_WORDS
    | ROLE_WORDS
    | TITLES
    | NAME_PARTICLES
    | words(
        """
        english german french spanish turkish polish russian chinese indian american british italian maths math i monday
        tuesday wednesday thursday friday saturday sunday january february march april june july august september
        october november december pythagoras newton euler gauss euclid einstein god santa mum mom dad likes loves has
        goes does too friend brother sister cousin teacher और है हैं नहीं ने को का की के
        """
    )
)
_JOINED: Final = re.compile(r"(?:, | and | und | y | et | e | ve | )")


def introduced_in(searched: Searched) -> list[str]:
    """The names of people introduced in a text, each once, in the order of the text."""
    named = (searched.text[start:end] for start, end in sorted(_RULES.matches(searched)))
    names = (name for many in named for name in _JOINED.split(many))
    return [name for name in dict.fromkeys(names) if len(name) > 1 and name.lower() not in _NOT_NAMES]
