"""What is known of people's names: particles, titles, words that are names as well, and short forms."""

from collections.abc import Iterator
from typing import Final

from afterbell.core.english import LESSON_WORDS, STOPWORDS, words

ROLE_WORDS: Final = words("student tutor teacher assistant observer parent child you pupil user guest")
"""Display names that name nobody."""

TITLES: Final = words(
    "mr mrs ms miss mx dr prof professor sir madam coach herr frau monsieur madame mademoiselle mme mlle señor señora"
    " senor senora srta senhor senhora dona doña don pan pani bay bayan signor signora jr sr"
)
"""What stands before a surname in the languages of our lessons, in small letters and without the dot."""

HONORIFICS: Final = sorted(
    words("老师 老師 先生 同学 同學 小姐 女士 阿姨 叔叔 さん ちゃん くん 君 様 先輩 선생님 쌤 씨 양 군 님")
)
"""What stands behind a name in scripts without spaces."""

NAME_PARTICLES: Final = words(
    "al bin bint ibn abu abd da das de del della den der di do dos du e el la le les los mac mc of san st ten ter the"
    " van von y zu zur"
)
"""Parts that stand in many names and in every text: withheld inside a name, never alone."""

TWO_LETTER_WORDS: Final = words(
    "ab ad ai al am an as at be by da de di do du ed eh el em en er es et ex fa go ha he hi ho id if il in is it"
    " ja je"
    " la le li lo ma me mi mo mu my na ne no nu of oh ok on or os ow ox pa pi re se si so sí su ta te ti to tu um"
    " un up"
    " us va we xi ya ye yo"
)

_PREFIX_CHARS_MIN: Final = 4

NAME_WORDS: Final = words(
    """
    abbot alpha amber angel angle april art ash august autumn baker ball banks barber baron basil bell berry beta
    bill bird bishop black bloom blue bob bond booth branch bridge bridges brook brooks brown buck burns bush
    butcher butler carol carpenter carter case castle cat chambers chance charity chase cherry chi chip christ chuck
    church clay cliff cone constant cook count cross crystal curry daisy dale dawn day dean december delta destiny
    dick don dot drake drew drummer duke dyer earnest english epsilon eta eve faith farmer february fern field
    fields fish fisher flora flower flowers ford forest foster fox france frank french friday gamma gardener gardner
    garland gates gene german ginger glass glen gold golden goodman grace grant gray green grey hall hardy harmony
    harry hazel heath heather hill hills holly honey hood hope house hunter iris ivy jack jade january jasmine jay
     joy july june justice kappa key kidd king kit kitty knight lake lamb lambda lance lane law leaf lily line
    little long lot love luna major march marina mark mars marsh max may mayor mean means melody mercy mike mile
    miles mills min miner minor mo monday moody moon nash nick noble noon norm north nova november october olive
    omega opal organ pace page paint parish park parks partridge pat patience peacock pearl pen penny peter phi pi
    pierce pike pitt plant pool pope poppy porter potter pound power powers price prince prior psi pupil ray red
    reed rice rich ridge ring river rivers rob robin rocky rod rolls root rose royal ruby rush rusty sage salmon
    sandy savage scarlet sellers september sergeant sharp shepherd shields shore short side sigma silver singer
    sisters skinner sky small sol sonny south sparks spears speed spencer spring star steel sterling stone street
    strong sue summer sunny sweet swift tab table tailor tan tanner ted temple terry theo theta thistle thorn thread
    tiger tone tony tower trinity trout true twist vale valley victor viola violet wade walker wall walls ward
    warren waters weaver wednesday welsh west whale wheeler white will willow wind winner winter wise wolf wood
    woods woody worth yard young zeta
    weiss klein gross lang kurz schwarz braun jung alt neu
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
    william will bill billy liam; zachary zach;
    aleksandr sasha sanya; aleksandra sasha ola; aleksey lyosha lesha alyosha; anastasiya nastya; anna anya ania;
    boris borya; darya dasha; dmitriy dima mitya; ekaterina katya; elena lena; evgeniy zhenya; evgeniya zhenya;
    grigoriy grisha; irina ira; ivan vanya; konstantin kostya; kseniya ksyusha; mariya masha; mikhail misha;
    natalya natasha; nikolay kolya; olga olya; pavel pasha; petr petya; sergey seryozha serezha; sofya sonya;
    svetlana sveta; tatyana tanya; viktor vitya; viktoriya vika; vladimir vova volodya; yuriy yura; yuliya yulya;
    agnieszka aga; barbara basia; jakub kuba; joanna asia; katarzyna kasia; krzysztof krzysiek; magdalena magda;
    malgorzata gosia; stanislaw staszek; tomasz tomek; wojciech wojtek; zofia zosia;
    dolores lola; eduardo lalo; enrique quique; francisco paco pancho chico; guadalupe lupe; guillermo memo guille;
    ignacio nacho; jesus chuy; jose pepe; manuel manolo; rafael rafa; rosario charo;
    johannes hannes; katharina kathi; friedrich fritz; mehmet memo
"""
_SHORTER: Final = {name: tuple(shorter) for name, *shorter in map(str.split, _SHORT_FORMS.split(";"))}

MONTHS: Final = words("january february march april may june july august september october november december")

SURNAMES: Final = frozenset(
    "王李张張刘劉陈陳杨楊黄黃赵趙吴吳周徐孙孫马馬朱胡郭何林罗羅郑鄭梁谢謝宋唐许許韩韓邓鄧冯馮曹彭曾肖田董潘袁蔡蒋蔣余于杜叶葉程魏苏蘇吕呂丁沈任姚卢盧傅钟鍾姜崔谭譚"
    "廖范汪陆陸金石戴贾賈韦韋夏邱方侯邹鄒熊孟秦白江阎薛尹段雷黎史龙龍陶贺賀顾顧毛郝龚邵万萬钱錢严嚴武莫孔向汤湯"
)
"""Chinese surnames of one character: nine people of ten have one of them."""

HANGUL_WORDS: Final = words(
    "지수 하나 보라 사랑 하늘 나라 가을 여름 겨울 바다 은하 소리 나무 우리 다리 수학 지우 이슬 나비 시원 유리 단비 아름"
)
"""Given names that are words: withheld where a particle of address or an honorific follows."""


def short_forms(name: str) -> Iterator[str]:
    """What a given name in small ASCII letters is often cut down to: known short forms and the name's beginnings."""
    yield from _SHORTER.get(name, ())
    for length in range(_PREFIX_CHARS_MIN, len(name) - 1):
        start = name[:length]
        if start not in STOPWORDS and start not in LESSON_WORDS and start not in NAME_WORDS:
            yield start


def is_word(spelling: str) -> bool:
    """Whether a part of a name, in small ASCII letters, is a word as well."""
    return spelling in NAME_WORDS or spelling in STOPWORDS or spelling in LESSON_WORDS or spelling in TWO_LETTER_WORDS
