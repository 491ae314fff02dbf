"""How `afterbell queue workers` and `afterbell queue limits` are drawn."""

from collections.abc import Iterator
from typing import Any

from rich.console import RenderableType
from rich.text import Text

from afterbell.cli.output import cells, plain_table

_NONE = "no limit"


def workers(found: dict[str, Any], wide: bool) -> RenderableType:
    """A row a worker; those that are drained and run nothing are named at the end."""
    more = ("pod", "comes back") if wide else ()
    table = plain_table("worker", "state", "jobs", "free slot", "last renewal", *more, numbers=("jobs", "last renewal"))
    for one in found["workers"]:
        more = (one["pod"], _seconds(one["back_in_ms"], "when called")) if wide else ()
        free, renewed = "yes" if one["idle"] else "no", _seconds(one["renewed_ms_ago"], "-", " ago")
        table.add_row(*cells(one["name"], state_of(one), one["jobs"], free, renewed, *more))
    for name in found["drained_unseen"]:
        table.add_row(*cells(name, "drained", 0, "no", "-", *(["-", "-"] if wide else [])))
    return table if table.row_count else Text("no worker is there")


def limits(found: dict[str, Any], wide: bool) -> RenderableType:  # noqa: ARG001 - a limit has one form
    """A row a limit: what is allowed, what has been used."""
    table = plain_table("limit", "of", "used", "allowed", "note", numbers=("used", "allowed"))
    for row in (*_of_the_queue(found), *_of_models(found), *_of_budgets(found)):
        table.add_row(*cells(*row))
    return table


def state_of(worker: dict[str, Any]) -> str:
    """Busy, idle, drained or gone."""
    if not worker["there"]:
        return "gone"
    return "drained" if worker["drained"] else "busy" if worker["jobs"] else "idle"


def _of_the_queue(found: dict[str, Any]) -> Iterator[tuple[object, ...]]:
    limiter, commands = found["limiter"], found["commands"]
    opens = f"opens in {_seconds(limiter['opens_in_ms'], '')}" if limiter["opens_in_ms"] else ""
    window = f"each {limiter['window_s']:g} s"
    yield "starts", window, limiter["starts_in_window"], limiter["starts_max"] or _NONE, opens
    allowed = f"{commands['per_day']:,}" if commands["per_day"] else _NONE
    yield "Redis commands", "today", f"{commands['today']:,}", allowed, ""
    if found["held_ms"]:
        yield "hold", "the queue", "-", "-", f"starts go on in {_seconds(found['held_ms'], '')}"


def _of_models(found: dict[str, Any]) -> Iterator[tuple[object, ...]]:
    for one in found["breakers"]:
        said = f"opened {one['trips']} times" if one["trips"] else "the provider asked to wait"
        yield "breaker", one["model"], "-", "-", f"{said}, called again in {_seconds(one['wait_ms'], '0 s')}"
    quotas = found["quotas"]
    names = (("requests", "requests_per_minute"), ("tokens", "tokens_per_minute"), ("in_flight", "in_flight"))
    for one in quotas["used"]:
        for used, allowed in names:
            if quotas[allowed]:
                yield allowed.replace("_", " "), one["model"], one[used], quotas[allowed], ""


def _of_budgets(found: dict[str, Any]) -> Iterator[tuple[object, ...]]:
    for one in found["budgets"]:
        whose = "all tenants" if one["tenant_id"] is None else one["tenant_id"]
        limit = _NONE if one["limit_usd"] is None else usd(one["limit_usd"])
        reserved = f"{usd(one['reserved_usd'])} reserved for running calls" if float(one["reserved_usd"]) else ""
        yield f"budget of the {one['period']}", whose, usd(one["spent_usd"]), limit, reserved


def usd(amount: str) -> str:
    """Dollars for people, to a hundredth of a cent."""
    return f"{float(amount):,.4f}".rstrip("0").rstrip(".") + " USD"


def _seconds(milliseconds: int | None, otherwise: str, suffix: str = "") -> str:
    return otherwise if milliseconds is None else f"{milliseconds / 1000:.0f} s{suffix}"
