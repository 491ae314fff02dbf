"""What the metrics and the extractive engine know of English. Other languages get numbers only."""

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
"""Words that carry no topic. Verbs of the classroom are here too: a topic is a thing, not a doing."""

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
"""Nouns of any lesson: fine inside a phrase, never a topic by themselves."""

BEFORE_NOUN: Final = words(
    "a an the of each every per his her their its our my your this these some any many both with in for"
)
"""A word that often follows one of these is taken for a noun."""

OPEN_QUESTION: Final = re.compile(
    r"\b(why|how (?!many|much|old|long|far|often|big|tall|are you)|explain|describe|what makes|what if"
    r"|what (do|would|did) you (think|notice|expect|do)|what happens|what would happen"
    r"|tell me (about|how|why|more)|(talk|walk) me through|in your own words"
    r"|can you (show|prove|convince))",
    re.IGNORECASE,
)
"""Questions that ask for reasoning rather than for a value (after TalkMoves' "pressing for reasoning")."""

CORRECTS: Final = re.compile(
    r"^(no\b(?! (problem|worries|need|rush|more))|almost\b|nearly\b|hmm|careful\b|close\b)"
    r"|\b(not quite|not correct|not right|not exactly|incorrect|isn.?t (right|correct|quite)"
    r"|(that.?s|is|was|are|you.?re) (still |clearly |also )?wrong|^wrong\b|(almost|nearly) (there|right|correct|got)"
    r"|you (have |.?ve )?(forgot|forgotten|missed|mixed up|confused|misread|miscalculated|overcomplicated)"
    r"|you( are|.?re) (forgetting|missing|not)"
    r"|(a|one|your|the) (\w+ )?(mistake|error|slip)\b|where you (went|are going)"
    r"|(try|think|check|look) (that |it |this )?again|another (go|look|think))",
    re.IGNORECASE,
)
"""A tutor saying that something is not right yet."""

CONFIRMS: Final = re.compile(
    r"^((?!not\b|no\b)\w+[,!.]? )?(yes|yep|yeah|yup|correct|exactly|perfect|well done|great|good|excellent"
    r"|brilliant|spot on|nice|awesome|fantastic|wonderful|amazing|bingo|absolutely|precisely|right[,.!]|super)"
    r"(?!\w| (try|attempt|start|effort|guess|question|idea|luck|morning|afternoon|evening|night|bye|day|to))"
    r"|\b((that.?s|that is|you.?re|you are|is|are) (now |absolutely |completely |exactly )?(right|correct)\b"
    r"|(is|that.?s|like|got|found) (the|your) (right |correct )?answer\b(?! (is|was|would|to))"
    r"|that(.?s| is) it\b(?! for)|there(.?s your answer| you go)\b"
    r"|(well done|good (job|work)|you (have |.?ve )?(got|cracked|solved) it)\b)",
    re.IGNORECASE,
)
"""A tutor saying that something is right."""

LOOKS_BACK: Final = re.compile(
    r"\b((do|did|can|could|would|have) you|tell me|(?<=for )\w+ing|(?<!i )see)\b[^.!?]{0,50}"
    r"\b(where|what|how|why|the|your|a) [^.!?]{0,40}\b(wrong|mistakes?|errors?|slips?)\b[^.!?]*\??",
    re.IGNORECASE,
)
"""A tutor asking what an earlier mistake was, or praising that it was found: no verdict on what was just said."""

TAKES_BACK: Final = re.compile(r"\b(but|however|although|except|not|isn.?t|if)\b", re.IGNORECASE)
"""What turns a "yes" into a "yes, but"."""

NOTICES: Final = re.compile(
    r"\b(i (forgot|mixed|misread|confused|missed|overlooked)|i (made|see) (a|my|the) mistake|my mistake"
    r"|i should(n.?t| not)? have|i was (not |only |wrongly |just )?\w+ing|i (didn.?t|did not) \w+)",
    re.IGNORECASE,
)
"""A student naming where an earlier step went wrong."""

GRASPS: Final = re.compile(
    r"\b(oh,? (right|i see|i get|ok)|i (see|get it|understand)( now)?|makes sense|got it now)", re.IGNORECASE
)
"""A student saying that something is clear now."""

LOST: Final = re.compile(
    r"\bi (still |really )?(don.?t|do not|can.?t|cannot) (understand|follow|know|get (it|this|that|how|why))\b"
    r"|\bi(.?m| am) (still |so |really |very )?(stuck|lost|confused)\b|\bi (give up|have no idea)\b",
    re.IGNORECASE,
)
"""A student saying that something is not clear."""

JOINTS: Final = "because|so|since|therefore|then|which means|that means"
REASONS: Final = re.compile(rf"\b({JOINTS})\b", re.IGNORECASE)
"""Joints of an explanation."""

SETS_WORK: Final = re.compile(
    r"\b(homework|(for|until|before) (our |the )?next (time|week|session|lesson)|at home"
    r"|try to (finish|practi[sc]e)|practi[sc]e (these|this|some|a few|with))\b",
    re.IGNORECASE,
)
"""A tutor agreeing on something to do after the session."""

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


def lowered(pattern: re.Pattern[str]) -> re.Pattern[str]:
    """The pattern for text that is lower case already: it finds the same at half the price of IGNORECASE."""
    return re.compile(pattern.pattern)


def each_lowered(words: str) -> tuple[re.Pattern[str], ...]:
    """The words of a list with a "|" between them, each by itself for lower-case text: faster than a choice of them."""
    return tuple(re.compile(rf"{word}(?<!\w{word})\b") for word in map(re.escape, words.split("|")))


_SAMPLE_WORDS: Final = 400
_STOPWORD_SHARE_MIN: Final = 0.25


def is_english(language: str | None, text: str) -> bool:
    """The stated language, or, where none is stated, whether enough of the first words are English ones."""
    if language:
        return language.lower().partition("-")[0].partition("_")[0] == "en"
    sample = text.lower().split()[:_SAMPLE_WORDS]
    known = sum(word.strip(".,!?;:") in STOPWORDS for word in sample)
    return bool(sample) and known >= _STOPWORD_SHARE_MIN * len(sample)
