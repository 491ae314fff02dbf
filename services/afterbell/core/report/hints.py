"""Finds sentences that let on that a child has told of harm without saying of what.

"She was upset at first because of something at home" names no harm, and tells the parent who did it that the child
spoke. So where a turn may be about harm, prose for anybody but the staff says nothing of the child's family, of how the
child felt, of what was confided and of who will help. The words are wide: elsewhere nobody looks for them.
"""

import re
from typing import Final

_HARD: Final = r"(?:difficult|hard|tough|rough|painful|sad|bad|upsetting|serious|private|personal|troubling)"
_WHEN: Final = r"(?:evening|night|morning|day|weekend|week|time|start|beginning|moment|situation|experience|things?)"
_ENGLISH: Final = re.compile(
    r"\b(?:father|dad|daddy|mother|mum|mummy|mom|step\w+|uncle|aunt|brother|sister|grand(?:father|mother|pa|ma)"
    r"|boyfriend|girlfriend|family|parents)\b"
    r"|\b(?:upset|distress\w*|troubled|tearful|tears|cr(?:y|ied|ying)|emotional\w*|anxious|afraid|scared|frightened"
    r"|worr(?:y|ies|ied)|unsettled|withdrawn|shaken|sad|brave\w*|courage\w*|(?:her|him|them|your)sel(?:f|ves) at first"
    r"|not (?:quite )?(?:her|him|them|your)sel(?:f|ves))\b"
    rf"|\b{_HARD} (?:\w+ )?{_WHEN}\b|\b{_WHEN} (?:\w+ )?(?:had been|has been|was|were|been) (?:\w+ )?{_HARD}\b"
    rf"|\bsomething (?:{_HARD}|that happened|happened)\b|\bwhat (?:had )?happened\b"
    r"|\b(?:happened|things|situation|trouble|problems?|talk\w*|spoke|told|life)\b[^.!?]{0,30}\bhome\b|\blast night\b"
    r"|\b(?:told|telling|shar(?:ed|ing)|spoke(?:n)?|open(?:ed|ing) up|confid(?:ed|ing)|mention(?:ed|ing)) "
    r"(?:\w+ ){0,3}?(?:tutor|me|us|why|something|feelings)\b|\bwhat (?:you|he|she|they) (?:told|said|shared)\b"
    r"|\b(?:trust(?:s|ed|ing)?|disclos\w+|incident|safeguard\w*|child protection|concern(?:s|ed|ing)?"
    r"|circumstances|react(?:s|ed|ing|ion)|follow(?:s|ed|ing)?[- ]up)\b"
    r"|\b(?:someone|somebody|school|staff|adults?|authorities|we) (?:\w+ )?(?:will|can|may|could|is going to"
    r"|are going to) (?:\w+ )?(?:help|follow|call|contact|support|be in touch|talk|speak|look after)\b"
    r"|\b(?:call|visit|letter|contact) from (?:the |a )?(?:school|staff|social)\b|\b(?:stays?|keep|be|are|feel) safe\b",
    re.IGNORECASE,
)
_OTHERS: Final = re.compile(
    r"\b(?:vater|mutter|papa|mama|familie|passiert|anvertraut|vertraut\w*|traurig|geweint|weinte|vorfall|belastet|mutig"
    r"|schwere[rn]? (?:abend|nacht|tag)|gestern abend)\b"
    r"|\b(?:padre|madre|papá|mamá|familia|confió|confianza|triste|llor\w+|incidente|valiente|pasó en casa|anoche"
    r"|noche difícil)\b"
    r"|\b(?:père|mère|maman|famille|confiée?|confiance|pleur\w+|courageu\w+|soirée difficile|passé à la maison)\b"
    r"|\b(?:pai|mãe|papai|mamãe|família|confiou|confiança|chorou|chorando|corajos[oa]|aconteceu|noite difícil)\b"
    r"|\b(?:baba(?:sı|n)|anne(?:si|n)|aile\w*|güven(?:di|iyor|diği)\w*|üzgün\w*|ağla\w+|cesur\w*|dün gece"  # noqa: RUF001
    r"|zor bir (?:gece|akşam|gün))"
    r"|पिता|पापा|माँ|मम्मी|परिवार|भरोसा|दुखी|परेशान|रो (?:रहा|रही|पड़)|घटना|हिम्मत|कल रात"
    r"|爸|妈|父亲|母亲|家人|家里|信任|难过|哭|勇敢|昨晚"
    r"|والد|أبيه|أبوه|أمه|أمها|أسرت|عائلت|تثق|يثق|حزين|بكى|بكت|حادث|شجاع|الليلة الماضية|ليلة صعبة",
    re.IGNORECASE,
)


def hints_at_harm(sentence: str) -> bool:
    """Whether a sentence about a lesson, in which a child may have told of harm, lets on that it did."""
    return bool(_ENGLISH.search(sentence) or _OTHERS.search(sentence))
