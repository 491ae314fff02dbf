"""What redaction knows of people's names: short forms, names that are words as well, and parts that are no name."""

from collections.abc import Iterator
from typing import Final

from afterbell.core.english import LESSON_WORDS, STOPWORDS, words

_PREFIX_CHARS_MIN: Final = 4

NAME_PARTICLES: Final = words(
    "al bin bint da das de del della den der di do dos du e el ibn la le les los mac mc of san st ten ter the van"
    " von y zu mr mrs ms miss dr prof sir jr sr"
)
"""Parts that stand in many names and in every text."""

NAME_WORDS: Final = words(
    """
    amber angel april art ash august autumn basil bill bob brook carol charity chance chase cherry chip clay cliff
    crystal daisy dale dawn dean dean destiny dick don drew earnest eve faith fern flora frank gene ginger glen grace
    grant harmony harry hazel heath heather holly honey hope hunter iris ivy jack jade jasmine jay jean joy june
    justice king lance lily lot major marina mark mars mason max may melody mercy mike mile miles min mo nick noble
    norm olive opal page pat patience pearl penny peter pierce poppy prince ray red reed rich river rob robin rocky
    rod root rose ruby rusty sage sandy scarlet sky sol sonny spencer star sterling sue summer sunny tab tan ted
    terry theo tone tony trinity victor violet viola wade ward warren will willow winter woody young
    brown green black white gray grey gold silver long short small little wood woods hill hills field fields stone
    bush bell ball bishop baker cook carpenter carter fisher fox hunter knight law lake marsh moody moon nash parks
    pool pope power powers price rivers sharp shepherd singer speed swift temple thorn walker wall waters weaver
    west north south wise wolf english french german welsh day love case mean means sum angle cone side line
    """
)
"""Names that are words: redacted only where they begin with a capital."""

_SHORT_FORMS: Final = """
    abigail abby gail; alexander alex xander sasha; alexandra alex sasha lexi; alfred alf fred; amanda mandy;
    andrew andy drew; anthony tony; barbara barb babs; benjamin ben benny; bernard bernie;
    catherine cathy kate katie cat kitty; charles charlie chuck; charlotte charlie lottie; christina chris tina;
    christine chris tina; christopher chris kit; cynthia cindy; daniel dan danny; david dave davy;
    deborah deb debbie; dominic dom nick; dorothy dot dottie; edward ed eddie ted ned; eleanor ellie nell nora;
    elizabeth liz lizzie beth betty eliza libby lisa; emily em emmy; emma em; eugene gene; evelyn eve evie;
    frances fran; francis frank; frederick fred freddie; gabriel gabe; gabriella gabby ella; gregory greg;
    gwendolyn gwen; harold harry hal; henry harry hank; isabella bella izzy; isabel izzy bella; jacob jake;
    jacqueline jackie; james jim jimmy jamie; jennifer jen jenny; jessica jess jessie; john jack johnny;
    jonathan jon jonny; joseph joe joey; joshua josh; judith judy; katherine kate katie kathy;
    kathryn kate katie kathy; kenneth ken kenny; kimberly kim; lawrence larry; leonard leo len lenny; louis lou;
    lucille lucy; madeline maddie; margaret maggie meg peggy greta rita; martha marty; matthew matt;
    maximilian max; melissa mel; michael mike mick mickey; michelle shelly; mohammed mo; muhammad mo; mohamed mo;
    natalie nat; nathaniel nat nate nathan; nathan nate nat; nicholas nick nicky; nicole nicky nikki;
    olivia liv livvy; oliver ollie; pamela pam; patricia pat patty trish; patrick pat paddy; penelope penny;
    peter pete; philip phil; rachel rach; raymond ray; rebecca becky becca; richard rich rick dick;
    robert rob bob bobby robbie bert; ronald ron ronnie; rosemary rose rosie; samantha sam sammy; samuel sam sammy;
    sandra sandy; sarah sally; sebastian seb; sophia sophie; stephanie steph; stephen steve; steven steve;
    susan sue susie; suzanne sue suzy; teresa terry tess; theodore ted theo teddy; theresa terry tess;
    thomas tom tommy; timothy tim timmy; victoria vicky tori; vincent vince vinny; walter walt;
    william will bill billy liam; zachary zach
"""
_OF_NAME: Final = {name: tuple(shorter) for name, *shorter in (one.split() for one in _SHORT_FORMS.split(";"))}


def short_forms(name: str) -> Iterator[str]:
    """What a given name is often cut down to, each with a capital: known short forms and the name's beginnings."""
    whole = name.casefold()
    yield from (form.capitalize() for form in _OF_NAME.get(whole, ()))
    for length in range(_PREFIX_CHARS_MIN, len(name) - 1):
        start = whole[:length]
        if start not in STOPWORDS and start not in LESSON_WORDS:
            yield start.capitalize()


def is_word(form: str, *, short: bool) -> bool:
    """Whether a form of a name counts as one only where it is written with a capital."""
    return short or form.casefold() in NAME_WORDS or form.casefold() in STOPWORDS or form.casefold() in LESSON_WORDS
