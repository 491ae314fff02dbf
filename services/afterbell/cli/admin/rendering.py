"""How `afterbell queue workers` and `afterbell queue limits` are drawn."""

from collections.abc import Iterator
from typing import Any

from rich.console import RenderableType
from rich.text import Text

from afterbell.cli.output import cells, plain_table

_NONE = "no limit"


def workers(answer: dict[str, Any], wide: bool) -> RenderableType:
    """One row per worker; drained names without a running worker come last."""
    more = ("pod", "next poll") if wide else ()
    table = plain_table("worker", "state", "jobs", "free slot", "last renewal", *more, numbers=("jobs", "last renewal"))
    for worker in answer["workers"]:
        more = (worker["pod"], _seconds(worker["back_in_ms"], "when notified")) if wide else ()
        free, renewed = "yes" if worker["idle"] else "no", _seconds(worker["renewed_ms_ago"], "-", " ago")
        table.add_row(*cells(worker["name"], state_of(worker), worker["jobs"], free, renewed, *more))
    for name in answer["drained_unseen"]:
        table.add_row(*cells(name, "drained", 0, "no", "-", *(["-", "-"] if wide else [])))
    return table if table.row_count else Text("no workers")


def limits(answer: dict[str, Any], wide: bool) -> RenderableType:  # noqa: ARG001 - a limit has one form
    """One row per limit: what is allowed and what has been used."""
    table = plain_table("limit", "of", "used", "allowed", "note", numbers=("used", "allowed"))
    for row in (*_of_the_queue(answer), *_of_models(answer), *_of_budgets(answer)):
        table.add_row(*cells(*row))
    return table


def state_of(worker: dict[str, Any]) -> str:
    """Busy, idle, drained or gone."""
    if not worker["there"]:
        return "gone"
    return "drained" if worker["drained"] else "busy" if worker["jobs"] else "idle"


def _of_the_queue(answer: dict[str, Any]) -> Iterator[tuple[object, ...]]:
    limiter, commands = answer["limiter"], answer["commands"]
    opens = f"opens in {_seconds(limiter['opens_in_ms'], '')}" if limiter["opens_in_ms"] else ""
    window = f"each {limiter['window_s']:g} s"
    yield "starts", window, limiter["starts_in_window"], limiter["starts_max"] or _NONE, opens
    allowed = f"{commands['per_day']:,}" if commands["per_day"] else _NONE
    yield "Redis commands", "today", f"{commands['today']:,}", allowed, ""
    if answer["held_ms"]:
        yield "hold", "the queue", "-", "-", f"starts resume in {_seconds(answer['held_ms'], '')}"


def _of_models(answer: dict[str, Any]) -> Iterator[tuple[object, ...]]:
    for breaker in answer["breakers"]:
        said = f"opened {breaker['trips']} times" if breaker["trips"] else "the provider asked to wait"
        yield "breaker", breaker["model"], "-", "-", f"{said}, called again in {_seconds(breaker['wait_ms'], '0 s')}"
    quotas = answer["quotas"]
    names = (("requests", "requests_per_minute"), ("tokens", "tokens_per_minute"), ("in_flight", "in_flight"))
    for usage in quotas["used"]:
        for used, allowed in names:
            if quotas[allowed]:
                yield allowed.replace("_", " "), usage["model"], usage[used], quotas[allowed], ""


def _of_budgets(answer: dict[str, Any]) -> Iterator[tuple[object, ...]]:
    for budget in answer["budgets"]:
        whose = "all tenants" if budget["tenant_id"] is None else budget["tenant_id"]
        limit = _NONE if budget["limit_usd"] is None else usd(budget["limit_usd"])
        reserved = f"{usd(budget['reserved_usd'])} reserved for running calls" if float(budget["reserved_usd"]) else ""
        yield f"budget of the {budget['period']}", whose, usd(budget["spent_usd"]), limit, reserved


def usd(amount: str) -> str:
    """Dollars for people, to a hundredth of a cent."""
    return f"{float(amount):,.4f}".rstrip("0").rstrip(".") + " USD"


def _seconds(milliseconds: int | None, otherwise: str, suffix: str = "") -> str:
    return otherwise if milliseconds is None else f"{milliseconds / 1000:.0f} s{suffix}"
