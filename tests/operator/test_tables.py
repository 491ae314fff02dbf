"""What the watches have seen is found again by queue and by target, and only the latest of it."""

from tests.operator.pools import pool

from afterbell_operator.watch_cache import Stored, Tables, pool_in


def stored(name: str, queue: str = "reports", target: str = "worker", created: str = "") -> Stored:
    manifest = pool(name, source={"backlog": {"queue": queue}}, scaleTargetRef={"name": target})
    manifest["metadata"] |= {"namespace": "school", "uid": name, "creationTimestamp": created}
    return pool_in(manifest)


def test_a_pool_is_found_by_what_it_names_now() -> None:
    tables, key = Tables(), ("school", "a")
    tables.keep(stored("a", queue="old"))
    tables.keep(stored("a", queue="new"))
    assert tables.pools_of_source(("backlog", "old")) == []
    assert tables.pools_of_source(("backlog", "new")) == tables.pools_of_target(("school", "worker")) == [key]
    tables.drop(key)
    assert (tables.pools_of_source(("backlog", "new")), tables.pools_of_target(("school", "worker")), tables.pools) == (
        [],
        [],
        {},
    )


def test_of_two_pools_on_one_target_the_older_one_has_it() -> None:
    tables, target = Tables(), ("school", "worker")
    tables.keep(stored("b", created="2026-01-01T00:00:00Z"))
    tables.keep(stored("a", created="2026-01-02T00:00:00Z"))
    assert tables.older_pool_of(("school", "a"), target) == ("school", "b")
    assert tables.older_pool_of(("school", "b"), target) is None
