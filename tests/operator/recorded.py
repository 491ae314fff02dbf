"""Records of the operator, asked again."""

from afterbell_operator.decide.decide import decide
from afterbell_operator.explain.records import question_in
from afterbell_operator.explain.sentences import sentence_of


def decided_again(line: str) -> bool:
    """Whether the record's own question has the record's own answer."""
    _, observation, spec, history, recorded = question_in(line)
    again = decide(observation, spec, history)
    answer = (again.replicas, again.reason, sentence_of(observation, spec, again))
    return answer == (recorded["to"], recorded["reason"], recorded["message"])
