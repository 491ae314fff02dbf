"""What the statistics and the basic report know of English. Other languages get numbers only."""

import re
from typing import Final


def words(text: str) -> frozenset[str]:
    """The words of a list written as text."""
    return frozenset(text.split())


STOPWORDS: Final = words(
    """
    a about above after again against all almost along already also although always am an and another any
    anyone anything are aren't around as at away back be became because become been before being below
    between both but by came can can't cannot come could couldn't did didn't do does doesn't doing don't
    done down during each either else enough equal equals even ever every everything few for from further
    get gets getting give given gives go goes going gone gonna got had has hasn't have haven't having he
    her here hers herself hi him himself his how however i i'd i'll i'm i've if in instead into is isn't
    it it's its itself just keep know known knows last least leave left let let's like little look looked
    looking looks lot made make makes making many may maybe me mean means meant might more most much must
    my myself need needed needs never new next no nor not nothing now of off often oh ok okay on once one
    ones only or other others our ours ourselves out over own perhaps please plus put quite rather really
    right said same saw say saying says see seen she should shouldn't show since so some someone something
    sometimes soon still such sure take taken takes taking tell than thank thanks that that's the their
    theirs them themselves then there there's therefore these they they're thing things think thinking
    this those though through thus till to together too took try trying under understand until up upon us
    use used uses using very want wanted wants was wasn't way we we'll we're we've well went were weren't
    what what's when where whether which while who whole whom whose why will with within without won't
    would wouldn't yeah yep yes yet you you'd you'll you're you've your yours yourself hello hey bye good
    great nice awesome perfect exactly correct wrong incorrect ready first second third two three four
    five six seven eight nine ten half times minus time today tomorrow yesterday ago actually basically
    simply easy hard big small different total altogether overall final finally start started starts
    starting end read write written called work working worked works kind sort lets thats dont im ive cant
    didnt doesnt whats student tutor student_1 tutor_1 remember add added adding subtract subtracted
    divide divided multiply multiplied buy buys bought pay pays paid gave sell sold spend spent remain
    remains represent represents hold holds mention mentioned state stated include included twice thrice
    triple fewer greater additional extra original similar possible normal main old young long short high
    low early late more upstairs downstairs initial certain specific entire calculate calculated find
    found solve solved explain explained forgot forget help helped ask asked
    """
)
"""The most frequent words of an English lesson, by which one is told."""

LESSON_WORDS: Final = words(
    """
    answer answers question questions problem problems step steps number numbers amount mistake mistakes
    error errors solution solutions calculation calculations bit sense idea lesson session minute minutes
    moment point part case example examples result value order sum difference method guess thought line
    page exercise exercises homework word words hint task tasks fact facts job math maths mathematics
    people person day days hour hours week weeks year years per cent information quantity statement
    situation process everyone somebody nobody thinking help correction
    """
)
"""Nouns of any lesson."""

OPEN_QUESTION: Final = re.compile(
    r"\b(why|how (?!many|much|old|long|far|often|big|tall|are you)|explain|describe|what makes|what if"
    r"|what (do|would|did) you (think|notice|expect|do)|what happens|what would happen"
    r"|tell me (about|how|why|more)|(talk|walk) me through|in your own words"
    r"|can you (show|prove|convince))",
    re.IGNORECASE,
)
"""Questions that ask for reasoning rather than for a value (after TalkMoves' "pressing for reasoning")."""

_TASKS: Final = (
    "do|finish|complete|read|write|practi[sc]e|learn|add|try|revise|solve|prepare|bring|watch|study|work|make"
    "|draw|memori[sz]e"
    "|review|look|go|repeat|pages?|exercises?|questions?|numbers?|chapters?|worksheets?"
)
SETS_WORK: Final = re.compile(
    rf"\b(?:(?:for|as|your) homework|homework(?: is|:)|(?:for|until|before|by) (?:our |the )?next (?:time|week"
    rf"|session|lesson)"
    rf"|at home)\b[^!?]*?\b(?:{_TASKS})\b"
    rf"|\b(?:{_TASKS})\b[^!?]*?\b(?:(?:for|as) homework|(?:for|until|before|by) (?:our |the )?next (?:time"
    rf"|week|session|lesson)"
    r"|at home)\b|^homework:? \w+"
    # By a day only as a request: "He must read 40 pages by Friday" is a word problem.
    rf"|^(?:(?:please|ok(?:ay)?|so|and|then),? ){{0,3}}(?:{_TASKS})\b[^!?]*?\b(?:for|until|till|before|by) "
    r"(?:(?:mon|tues|wednes|thurs|fri|satur|sun)day|tomorrow)\b",
    re.IGNORECASE,
)
"""A tutor setting work: something to do, and when or as what."""

SETS_NONE: Final = re.compile(r"\b(?:no|not|never|none|did|was|were|said|forgot|already)\b|n't\b|\?", re.IGNORECASE)
"""What makes such a sentence one about work that is not set, or that was set before."""

CANCELS: Final = re.compile(
    r"\b(?:cancel\w*|resched\w*|call(?:ed)? off|no lesson|not (?:feeling well|today)|can(?:'?t|not) (?:make it"
    r"|come|join|today|do today)"
    r"|i(?:'?m| am) (?:sick|ill)|another (?:day|time)|(?:move|postpone) (?:it|the lesson|this|today))\b",
    re.IGNORECASE,
)
"""Somebody calling a lesson off."""

POSTPONES: Final = re.compile(
    r"\b(next (time|week|session|lesson)|come back to (that|this|it)|another (time|day)"
    r"|leave (that|this|it) for|park (that|this|it))\b",
    re.IGNORECASE,
)
"""A tutor putting a question off."""

SMALL_TALK: Final = re.compile(
    r"\b(any (other |more |further )?questions?|make sense|understand|understood|how are you|see you|shall we"
    r"|are you (ok|okay|ready|there|sure)|ready|(anything|something) else|can we (stop|finish)|hello"
    r"|happy with)\b",
    re.IGNORECASE,
)
"""Questions that nobody needs to come back to."""


_SAMPLE_WORDS: Final = 400
_STOPWORD_SHARE_MIN: Final = 0.25


def is_english(language: str | None, text: str) -> bool:
    """The stated language, or, where none is stated, whether enough of the first words are English ones."""
    if language:
        return language.lower().partition("-")[0].partition("_")[0] == "en"
    sample = text.lower().split()[:_SAMPLE_WORDS]
    known = sum(word.strip(".,!?;:") in STOPWORDS for word in sample)
    return bool(sample) and known >= _STOPWORD_SHARE_MIN * len(sample)
