"""What one person may take, over all that they hold open."""

from afterbell.core.access import Caller
from afterbell.core.live.stream_limits import StreamLimits
from afterbell.core.live.token_bucket import Buckets

MINA = Caller("mina", "school", "student")
LEO = Caller("leo", "school", "student")
ELSEWHERE = Caller("mina", "another", "student")


def test_a_person_has_the_same_bucket_until_it_is_full_again() -> None:
    buckets = Buckets(rate=1, burst=3)
    waits = [buckets.of("mina", now=0).take(0) for _ in range(4)]
    assert waits[:3] == [0, 0, 0]
    assert waits[3] > 0
    assert buckets.of("leo", now=0).take(0) == 0
    buckets.forget_full(now=2)
    assert [buckets.of("mina", now=2).take(2) == 0 for _ in range(3)] == [True, True, False]
    buckets.forget_full(now=6)
    assert [buckets.of("mina", now=6).take(6) == 0 for _ in range(4)] == [True, True, True, False]


def test_streams_are_limited_for_a_person_a_tenant_and_the_process() -> None:
    limits = StreamLimits(process_max=4, tenant_max=3, user_max=2)
    assert [limits.take(MINA) for _ in range(3)] == [None, None, "user"]
    assert [limits.take(LEO) for _ in range(2)] == [None, "tenant"]
    assert [limits.take(ELSEWHERE) for _ in range(2)] == [None, "process"]
    limits.give_back(MINA)
    assert limits.open == 3
    assert limits.take(LEO) is None
