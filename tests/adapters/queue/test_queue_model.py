"""The scripts do what the model says, whatever happens in whatever order."""

import asyncio
import os
from collections.abc import Iterator

import pytest
from hypothesis import HealthCheck, Phase, seed, settings
from hypothesis.stateful import run_state_machine_as_test
from tests.adapters.queue.clocked_queue import Server
from tests.adapters.queue.queue_machine import QueueMachine, machine_on

from afterbell.adapters.redis.connections import connect
from afterbell.core.errors import QueueScriptError

pytestmark = pytest.mark.engines

ENVIRONMENT = os.environ  # noqa: TID251 - how long this test may walk, which no process of ours reads
EXAMPLES = int(ENVIRONMENT.get("AFTERBELL_EXAMPLES", "200"))
WALKS = settings(
    max_examples=EXAMPLES,
    stateful_step_count=40,
    deadline=None,
    database=None,
    print_blob=True,
    derandomize="AFTERBELL_EXAMPLES" not in ENVIRONMENT,  # a long run goes new ways, the short one always the same
    suppress_health_check=list(HealthCheck),
)
# The first difference is enough. A hunt goes on with other walks until it has found the bug, or looked for so long.
HUNT = settings(
    WALKS, max_examples=400, derandomize=False, phases=(Phase.generate,), print_blob=False, report_multiple_bugs=False
)
HUNTS_MAX = 6

# Bugs to be found: what is broken -> the script, its text, and the text that breaks it.
BUGS: dict[str, tuple[str, str, str]] = {
    "the limiter forgets starts a second early": (
        "limiter",
        "NOW - limiter.window_ms - 1)",
        "NOW - limiter.window_ms + 1000)",
    ),
    "one more worker may vanish": ("poll", "count >= LOST_MAX", "count > LOST_MAX"),
    "a vanished worker is not counted": ("poll", "redis.call('HSET', job_key(id), 'lost', count)", ""),
    "any run of the job may settle it": ("poll", "or job[2] ~= run then", "then"),
    "any worker may settle the job": ("poll", "or job[1] ~= WORKER or", "or"),
    "a renewal renews nothing": ("poll", "redis.call('ZADD', LEASES, NOW + LEASE_MS, id)\n    watching", "watching"),
    "a failed try is not counted": ("poll", "redis.call('HINCRBY', job_key(id), 'failures', 1)", ""),
    "a lane keeps its turn": ("poll", "ZADD', LANES, tag + 1, lane)", "ZADD', LANES, tag, lane)"),
    "an emptied lane forgets its turns": ("poll", "redis.call('ZADD', ENDED, tag + 1, lane)", ""),
    "bulk is not after interactive": ("prelude", "tonumber(class) * CLASS_STEP\n", "0\n"),
    "a retried job loses its place": (
        "prelude",
        "redis.call('ZADD', lane_key(lane), job[2], id)",
        "redis.call('ZADD', lane_key(lane), NOW, id)",
    ),
    "a wakeup nobody receives wakes nobody": ("prelude", "worker, '1') > 0 then", "worker, '1') >= 0 then"),
    "nobody is appointed to watch": ("poll", "watching.appoint(opens_to_all)", "return"),
    "the gate's opening is nobody's event": ("watchers", "if opens and redis.call('ZCARD', WAITING) > 0", "if false"),
    "a drained worker starts jobs": (
        "limiter",
        "return limiter.DRAINED, nil, 0 end",
        "return limiter.gate_of_queue() end",
    ),
    "a resume wakes nobody": ("apply", "    wake_all()", ""),
    "a promoted job stays due": ("apply", "redis.call('ZREM', DUE, id)\n    make_ready", "make_ready"),
    "an old cancellation outlives a retry": ("apply", "'lost', 'cancel', 'ended_ms'", "'lost', 'ended_ms'"),
    "enqueueing again adds again": ("enqueue", "if state and not (ANEW", "if state and state ~= 'due' and not (ANEW"),
}
# Found within a few seconds each; the long run plants them all.
QUICK = (
    "the limiter forgets starts a second early",
    "a vanished worker is not counted",
    "a renewal renews nothing",
    "any run of the job may settle it",
    "a failed try is not counted",
    "the gate's opening is nobody's event",
    "a drained worker starts jobs",
    "enqueueing again adds again",
)


@pytest.fixture
def server(redis_url: str) -> Iterator[Server]:
    with asyncio.Runner() as runner:
        client = connect(redis_url)
        made = Server(runner, client)
        yield made
        runner.run(made.wakeups.aclose())
        runner.run(client.aclose())


@pytest.mark.timeout(60 + EXAMPLES)
def test_the_queue_does_what_the_model_says(server: Server) -> None:
    run_state_machine_as_test(machine_on(server), settings=WALKS)


@pytest.mark.long
@pytest.mark.timeout(1800)
@pytest.mark.parametrize("bug", BUGS if EXAMPLES >= 2000 else QUICK)
def test_a_planted_bug_is_found(server: Server, bug: str) -> None:
    script, text, other = BUGS[bug]
    machine = machine_on(server, {script: (text, other)})
    assert any(differs(seed(number)(machine)) for number in range(HUNTS_MAX)), "no walk met it"


def differs(machine: type[QueueMachine]) -> bool:
    """Whether a walk of this seed finds a difference to the model."""
    try:
        run_state_machine_as_test(machine, settings=HUNT)
    except (AssertionError, QueueScriptError):
        return True
    return False
