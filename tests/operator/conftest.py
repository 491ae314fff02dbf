"""What the tests of the operator share: arbitrary specs, backlogs and pods."""

import string

from hypothesis import strategies as st

from afterbell_operator.model import Backlog, Ceiling, Policy, Rules, Spec
from afterbell_operator.victims import Pod

policies = st.builds(Policy, st.sampled_from(["Pods", "Percent"]), st.integers(1, 200), st.integers(1, 120))
rules = st.builds(
    Rules, st.integers(0, 300), st.sampled_from(["Max", "Min", "Disabled"]), st.lists(policies, max_size=2).map(tuple)
)
ceilings = st.builds(Ceiling, st.sampled_from(["provider", "database"]), st.floats(0.1, 500), st.floats(1, 120))
backlogs = st.builds(
    Backlog, st.integers(0, 500), st.integers(0, 200), st.integers(0, 100), st.floats(0, 600), st.booleans()
)
names = st.text(string.ascii_lowercase, min_size=1, max_size=6)


@st.composite
def specs(draw: st.DrawFn) -> Spec:
    most = draw(st.integers(1, 60))
    return Spec(
        max_replicas=most,
        min_replicas=draw(st.integers(0, most)),
        jobs_per_pod=draw(st.integers(1, 10)),
        start_within_s=draw(st.sampled_from([0.0, 30.0, 300.0])),
        idle_after_s=draw(st.sampled_from([0.0, 60.0, 300.0])),
        up=draw(rules),
        down=draw(rules),
        ceilings=tuple(draw(st.lists(ceilings, max_size=2))),
    )


@st.composite
def pods(draw: st.DrawFn) -> tuple[Pod, ...]:
    found = draw(st.lists(names, max_size=8, unique=True))
    return tuple(
        Pod(
            name,
            owner=draw(st.sampled_from(["rs1", "rs1", "rs1", "rs2"])),
            assigned=draw(st.booleans()),
            running=draw(st.booleans()),
            ready=draw(st.booleans()),
            cost=draw(st.sampled_from([0, 0, -1000])),
            terminating=draw(st.integers(0, 9)) == 0,
            created_s=draw(st.integers(0, 100)),
        )
        for name in found
    )
