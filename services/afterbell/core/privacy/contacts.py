"""The only finder of contact data in a text: how to reach a person, and the numbers that tell who they are.

Every rule runs on every text: what is found depends on the rules alone. Digits of all scripts count.
"""

import re
from collections.abc import Callable, Iterable, Iterator
from functools import cache
from importlib.resources import files
from typing import Final

from afterbell.core.english import STOPWORDS, words
from afterbell.core.privacy.addresses import addresses_in
from afterbell.core.privacy.alphabets import plain_signs
from afterbell.core.privacy.cues import Cues, Searched, rule
from afterbell.core.privacy.phones import phones_in
from afterbell.core.privacy.text_spans import TextSpan, apart

_TRAILING: Final = " .,;:!?)-/'’\""
_BORN_FROM_YEAR: Final = 1930
_CONTEXT_CHARS: Final = 24

_LOCAL_CHARS_MAX: Final = 64
_LOCAL_PART: Final = re.compile(r"[\w.+-]{1,64}$")
_MAILERS: Final = "gmail|googlemail|hotmail|outlook|yahoo|icloud|gmx|yandex|protonmail|proton|live|mail|web|qq|163|126"
_DOT: Final = r"(?: ?[(\[{]dot[)\]}] ?| dot | \. ?| ?\. | punkt | punto | ponto | point | nokta )"
_AT: Final = re.compile(r"@|[(\[{]at[)\]}]", re.IGNORECASE)
_MAIL_HOST: Final = re.compile(
    rf" ?(?:(?:[\w-]{{1,63}}\.){{1,5}}[^\W\d_]{{2,24}}|(?:[\w-]{{1,63}}(?:\.|{_DOT})){{1,4}}[a-z]{{2,24}}\b"
    rf"|(?:{_MAILERS})\b)",
    re.IGNORECASE,
)
_SPELT_MAIL: Final = Cues(
    (
        rule(
            "at",
            rf" (?:[\w-]{{1,63}}(?:\.|{_DOT})){{1,4}}[a-z]{{2,24}}\b",
            before=r"(?<![\w.+-])[\w.+-]{1,64} ",
            any_case=True,
        ),
    )
)
_SPELT_AT_MAILER: Final = re.compile(
    rf" (?:dot|punkt|punto|ponto|point|nokta) | \. ?| at (?:{_MAILERS})\.", re.IGNORECASE
)
_WORD: Final = re.compile(r"[\w-]+")
_DOTS: Final = words("dot punkt punto ponto point nokta")
_URL: Final = re.compile(r"[hHfFwW](?:(?i:ttps?://|tp://)|(?<!\w[wW])(?i:ww\.))[^\s<>\[\]\"']+")
_DOMAIN: Final = re.compile(r"\.([^\W\d_]{2,24})(?![\w-]|\.\w)(:\d{1,5})?(/[^\s<>\[\]\"']*)?")
_LABELS: Final = re.compile(r"(?<![\w.@/-])(?:[^\W_][\w-]{0,62}\.){0,4}[^\W_][\w-]{0,62}$")
_LABELS_CHARS_MAX: Final = 130
_SPELT_HOST: Final = Cues((rule("dot punkt punto nokta", r"\)? ?[a-z]{2,6}\b", before=r"(?<![\w-])[\w-]{2,63} ?\(?"),))
# Top-level domains that are words, file names or attributes in code as well: alone they need a path or a word before.
_WORDLIKE_DOMAINS: Final = words(
    "ac ad ae ai al am an app are art as at audio bar be bid bot box by call cat center ci cl click co cool cs"
    " date dev do"
    " data download es est email family fi fit fm fun game games hi id im in inc info ing is it java js kids la"
    " land life"
    " link live love map max md me mobi moe mov my name net. new news next no now nu one online page ph pics pl"
    " pm post pro"
    " properties ps pub pw py re red rs run sc select sh show so space st style su table tc team to top tv uno us"
    " video watch"
    " work works world ws zip zone open search space tools sale school study test train plus cards watch how foo"
)
_SITE_BEFORE: Final = re.compile(
    r"\b(?:go to|visit|on|at|see|site|website|page|link|online|url|check out|join|from|my|open|add me)\b[: ]*$",
    re.IGNORECASE,
)
_HANDLE: Final = re.compile(r"@(?<![\w@.]@)[^\W\d][\w.]{2,29}\b")
# A user name behind the name of an app has a digit or sign within it; "videos.", "5-minute", "1080p", "v2.0" have not.
_USER_NAME: Final = (
    r"@?(?!v?\d+(?:\.\d+)*(?:[a-z]{0,3}\b|-[a-z]+))(?=[\w.-]{0,29}[\d_]|[\w-]{1,29}\.[a-z])(?=[\w.-]{0,29}[A-Za-z])"
    r"[\w.-]{3,29}\w"
)
_APPS: Final = Cues(
    (
        rule(
            "insta instagram ig snap snapchat tiktok tok discord roblox telegram whatsapp twitter facebook fb"
            " wechat weixin"
            " kik steam twitch youtube skype xbox psn minecraft fortnite vk qq вк телеграм телеграмм инста",
            r"(?:(?:'s)? (?:is|id|name|user ?name|handle|account|tag|nick))*(?:\s?:\s?|\s|是|号)"
            rf"(?P<it>{_USER_NAME})",
        ),
        rule("微信 加我", r"号?(?:是|:)?\s?(?P<it>(?=[\w.-]{0,29}[\d_.])(?=[\w.-]{0,29}[A-Za-z])[A-Za-z0-9_.-]{4,30})"),
    )
)
_DISCRIMINATOR: Final = re.compile(r"#\d{4}\b")
_DISCRIMINATED: Final = re.compile(r"\b[^\W\d][\w.]{1,31}$")
# Words that code, style sheets and comments write behind "@", and places.
_NO_HANDLES: Final = words(
    """
    property dataclass staticmethod classmethod abstractmethod override overload cached_property functools.cache
    functools.wraps functools.lru_cache lru_cache wraps pytest.fixture pytest.mark fixture contextmanager
    app.route app.get app.post decorator timer media import keyframes charset supports layer container include
    mixin extend use font param params return returns throws deprecated author since see link code test before
    after beforeeach aftereach autowired component service controller repository entity table column bean inject
    nullable nonnull functionalinterface suppresswarnings state binding published main available objc escaping
    viewbuilder input output home school work noon night midnight class once the end start login total
    """
)
_CARD: Final = re.compile(r"\d(?<![A-Za-z0-9_$€£]\d)(?<!\d[.,]\d)(?:[ -]?\d){12,18}(?![\w]|[.,]\d)")
_IBAN: Final = re.compile(r"[A-Z](?<!\w[A-Z])[A-Z]\d{2}(?: ?[A-Z0-9]){11,30}\b")
_DOCUMENTS: Final = Cues(
    (
        rule(
            "passport ssn security kimlik tc tckn aadhaar dni nie cpf personalausweis reisepass passwort password"
            " passcode pwd pw"
            " kennwort contraseña passe şifre şifrem senha пароль 密码",
            r"(?: (?:number|no\.?|is|ist|es|est|é|numaram?))*[ :.是]*(?P<it>(?=[^\s]{0,19}\d)[A-Za-z0-9-]{4,20}(?:"
            r" \d{2,4})*)\b",
        ),
        rule(
            "zoom meeting teams webex skype meet room",
            r"(?: (?:id|code|room|link|is|with))*[ :]*(?P<it>(?:\d[ -]?){8,11}\d|[a-z]{3}-[a-z]{4}-[a-z]{3})\b",
        ),
    )
)
_MONTH: Final = (
    r"(?:jan|feb|mar|apr|may|jun|jul|aug|sep|oct|nov|dec|mär|mai|okt|dez|ene|abr|ago|dic|févr?|avr|juin|juil|août"
    r"|déc|fev|set|out"
    r"|oca|şub|nis|may|haz|tem|ağu|eyl|eki|kas|ara|янв|фев|мар|апр|ма[йя]|июн|июл|авг|сен|окт|ноя|дек|जन|फ़?र"
    r"|मार्च|अप्रैल|मई|जून|जुल|अग"
    r"|सित|अक्|नव|दिस|يناير|فبراير|مارس|أبريل|مايو|يونيو|يوليو|أغسطس|سبتمبر|أكتوبر|نوفمبر|ديسمبر|stycz|lut|kwiet"
    r"|czerw|lip|sierp|wrze|paź"
    r"|list|grud)\S{0,8}"
)
_DATE: Final = (
    rf"(?:\d{{1,4}}[./-]\d{{1,2}}[./-]\d{{1,4}}|\d{{1,2}}(?:st|nd|rd|th|\.|º|er)?(?: of| de)? {_MONTH}(?:,?(?:"
    rf" de)? \d{{4}})?"
    rf"|{_MONTH} \d{{1,2}}(?:st|nd|rd|th)?(?:,? \d{{4}})?|(?:\d{{2,4}}年)?\d{{1,2}}月\d{{1,2}}[日号]|(?:\d{{4}}년"
    rf" ?)?\d{{1,2}}월 ?\d{{1,2}}일)"
)
_BORN: Final = Cues(
    (
        rule(
            "born birthday birthdate birth dob bday geboren geburtstag geburtsdatum nací nacido nacida nacimiento"
            " cumpleaños né née"
            " anniversaire naissance nasci nascida nascido nascimento aniversário doğum doğdum urodziłam"
            " urodziłem urodziny родился"
            " родилась рождения 生日 出生 誕生日 생일 जन्मदिन जन्म ميلادي ولدت ميلاد",
            rf"(?=[^.!?\n\d]{{0,40}}\d)[^.!?\n\d]{{0,24}}?(?P<it>{_DATE})",
            any_case=True,
        ),
        rule(
            "geboren doğdum doğumlu 生まれ 出生 को", before=rf"(?P<it>{_DATE})(?:'?(?:te|ta|de|da))? ?", any_case=True
        ),
    )
)
_YEAR: Final = re.compile(r"(?<!\d)\d{4}(?!\d)")


def contacts_in(searched: Searched) -> list[TextSpan]:
    """The contact data in a text, in order; where two rules find the same the kind named first in ``_FINDERS``"
    " counts."""
    plain = _plain(searched)
    return apart(
        (TextSpan(start, end, kind) for kind, finder in _FINDERS for start, end in finder(plain)), searched.text
    )


def holds_contact(text: str) -> bool:
    """Whether a text holds contact data."""
    plain = _plain(Searched(text))
    return any(True for _, finder in _FINDERS for _ in finder(plain))


def _plain(searched: Searched) -> Searched:
    plain = plain_signs(searched.text)
    return searched if plain == searched.text else Searched(plain)


def _emails(searched: Searched) -> Iterator[tuple[int, int]]:
    text = searched.text
    for sign in _AT.finditer(text):
        behind = _MAIL_HOST.match(text, sign.end())
        stop = sign.start() - (text[sign.start() - 1 : sign.start()] == " ")
        before = behind and _LOCAL_PART.search(text, max(0, stop - _LOCAL_CHARS_MAX), stop)
        if behind and before:
            yield before.start(), behind.end()
    for start, end in _SPELT_MAIL.matches(searched):
        if _is_spelt_address(text[start:end]):
            yield start, end


def _is_spelt_address(written: str) -> bool:
    """Whether "mina at gmail dot com" is one; "look at the dot at the end" and "look at kids-math.com" are none."""
    if not _SPELT_AT_MAILER.search(written):
        return False
    *_, host, domain = (word for word in _WORD.findall(written.lower()) if word not in _DOTS)
    return domain in top_level_domains() and host not in STOPWORDS


def _links(searched: Searched) -> Iterator[tuple[int, int]]:
    text = searched.text
    for match in _URL.finditer(text):
        yield match.start(), match.start() + len(match[0].rstrip(_TRAILING))
    for match in _DOMAIN.finditer(text):
        if match[1].lower() in top_level_domains():
            labels = _LABELS.search(text, max(0, match.start() - _LABELS_CHARS_MAX), match.start())
            if labels is not None and _is_host(labels, match, text):
                yield labels.start(), labels.start() + len(text[labels.start() : match.end()].rstrip(_TRAILING))
    for start, end in _SPELT_HOST.matches(searched):
        host, *_, domain = _WORD.findall(text[start:end].lower())
        if host not in STOPWORDS and domain in top_level_domains():
            yield start, end


def _is_host(labels: re.Match[str], match: re.Match[str], text: str) -> bool:
    """Whether "khanacademy.org" is one and "console.info(x)", "file.py" and "done.So" are none."""
    domain = match[1].lower()
    if match[3] and len(match[3]) > 1:
        return True
    if text[match.end() : match.end() + 2].lstrip()[:1] in ("(", "=", "[", "{"):
        return False
    if domain not in _WORDLIKE_DOMAINS:
        return match[1].islower() or labels[0].isupper()
    before = text[max(0, labels.start() - _CONTEXT_CHARS) : labels.start()]
    return match[1].islower() and len(labels[0]) > 3 and bool(_SITE_BEFORE.search(before))


@cache
def top_level_domains() -> frozenset[str]:
    """The last labels of the Public Suffix List's ICANN part, in small letters, non-ASCII ones included."""
    listed = files("publicsuffixlist").joinpath("public_suffix_list.dat").read_text(encoding="utf-8")
    official = listed.partition("===END ICANN")[0].splitlines()
    return frozenset(rule.strip().rpartition(".")[2].lower() for rule in official if rule and not rule.startswith("//"))


def _handles(searched: Searched) -> Iterator[tuple[int, int]]:
    text = searched.text
    for match in _HANDLE.finditer(text):
        name = match[0][1:].lower()
        is_call = name.isalpha() and text[match.end() : match.end() + 1] == "("
        if not is_call and name not in _NO_HANDLES and name.partition(".")[0] not in _NO_HANDLES:
            yield match.span()
    yield from _APPS.matches(searched)
    for match in _DISCRIMINATOR.finditer(text):
        if before := _DISCRIMINATED.search(text, max(0, match.start() - _CONTEXT_CHARS), match.start()):
            yield before.start(), match.end()


def _documents(searched: Searched) -> Iterator[tuple[int, int]]:
    text = searched.text
    for match in _CARD.finditer(text):
        if _luhn(match[0]):
            yield match.span()
    for match in _IBAN.finditer(text):
        if end := _iban_end(match[0]):
            yield match.start(), match.start() + end
    yield from _DOCUMENTS.matches(searched)


def _luhn(text: str) -> bool:
    """Whether the digits are those of a card (ISO/IEC 7812): a long number of an exercise seldom is."""
    digits = [int(char) for char in text if char.isdigit()][::-1]
    if len(set(digits)) < 2:
        return False
    return sum(d if i % 2 == 0 else (2 * d - 9 if d > 4 else 2 * d) for i, d in enumerate(digits)) % 10 == 0


def _iban_end(text: str) -> int | None:
    """Where an IBAN ends whose checksum is right (ISO 13616: 97 divides the rest by 1), None without one."""
    places = [place for place, char in enumerate(text) if char != " "]
    for length in range(len(places), 14, -1):
        compact = "".join(text[place] for place in places[:length])
        if int("".join(str(int(char, 36)) for char in compact[4:] + compact[:4])) % 97 == 1:
            return places[length - 1] + 1
    return None


def _birthdays(searched: Searched) -> Iterator[tuple[int, int]]:
    text = searched.text
    for start, end in _BORN.matches(searched):
        years = map(int, _YEAR.findall(text[start:end]))
        if min(years, default=_BORN_FROM_YEAR) >= _BORN_FROM_YEAR:
            yield start, end


Finder = Callable[[Searched], Iterable[tuple[int, int]]]
_FINDERS: Final[tuple[tuple[str, Finder], ...]] = (
    ("EMAIL", _emails),
    ("LINK", _links),
    ("HANDLE", _handles),
    ("NUMBER", _documents),
    ("BIRTHDAY", _birthdays),
    ("PHONE", phones_in),
    ("ADDRESS", addresses_in),
)
