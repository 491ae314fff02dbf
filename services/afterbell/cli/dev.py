"""``afterbell dev``: the whole platform, serving until Ctrl-C, with what a developer needs to paste."""

from datetime import UTC, datetime, timedelta
from typing import Final

from rich.console import Console
from rich.table import Table

from afterbell.api import classroom
from afterbell.api.admin.admin_tokens import mint_admin
from afterbell.api.auth.bearer import mint
from afterbell.dev.platform import Platform, platform
from afterbell.serving import until_signalled
from afterbell.settings import ApiSettings, AuthSettings, StoreSettings, read

TOKEN_LIFETIME: Final = timedelta(days=1)


async def run(settings: StoreSettings, *, pace: str) -> int:
    """Serve on PORT until told to stop."""
    async with platform(settings, port=None, pace=pace) as up:
        _show(Console(stderr=True), up)
        await until_signalled()
    return 0


def _show(screen: Console, up: Platform) -> None:
    table = Table(show_header=False, box=None, padding=(0, 2, 0, 0))
    table.add_column(no_wrap=True)
    table.add_column(overflow="fold")
    table.add_row("API", up.api_url, "documentation at /docs")
    if read(ApiSettings).serves_classroom:
        table.add_row("classroom", up.api_url + "/", classroom.missing() or "a lesson in two tabs, and its report")
    table.add_row("internal", up.internal_url, "/metrics and the admin API; never reachable from outside")
    table.add_row("queue", up.redis, "")
    table.add_row("database", up.database, "")
    table.add_row("realtime", up.api_url, "Socket.IO over WebSocket: chat, presence, progress")
    table.add_row("model", up.model, "")
    screen.print(table, highlight=False)
    auth = read(AuthSettings)
    token = mint(
        auth.jwt_secret.get_secret_value(),
        subject="dev",
        tenant="dev",
        role="staff",
        now=datetime.now(UTC),
        lifetime=TOKEN_LIFETIME,
        audience=auth.jwt_audience,
    )
    screen.print("\nPaste this to send a session and request its report:\n", style="dim")
    # Plain print: a wrapped line cannot be pasted.
    print(_recipe(up.api_url, token), flush=True)  # noqa: T201
    if (key := read(ApiSettings).admin_key) is not None:
        admin = mint_admin(key, subject="dev", role="operator", now=datetime.now(UTC), lifetime=TOKEN_LIFETIME)
        screen.print("\nAnd this, in another terminal, to inspect and control the queue:\n", style="dim")
        commands = f"export AFTERBELL_ADMIN_URL={up.internal_url} AFTERBELL_ADMIN_TOKEN={admin}\nafterbell queue top"
        print(commands, flush=True)  # noqa: T201


def _recipe(api_url: str, token: str) -> str:
    session = (
        '{"subject":"mathematics","participants":[{"id":"t","role":"tutor","display_name":"Tutor"},'
        '{"id":"s","role":"student","display_name":"Student"}],"messages":['
        '{"id":"1","sender":"t","text":"How would you start with 3/4 + 1/8?"},'
        '{"id":"2","sender":"s","text":"I would add the tops and the bottoms, so 4/12, because that is how it looks."},'
        '{"id":"3","sender":"t","text":"Not quite. What must be the same before we can add the tops?"},'
        '{"id":"4","sender":"s","text":"The bottoms! So 3/4 is 6/8, and 6/8 plus 1/8 makes 7/8."}]}'
    )
    json_body = f"-H 'Content-Type: application/json' -d '{session}'"
    return "\n".join(
        (
            f"TOKEN={token}",
            f'curl -sS -X PUT {api_url}/api/sessions/first -H "Authorization: Bearer $TOKEN" {json_body}',
            f'curl -sS -X POST {api_url}/api/reports/session/first -H "Authorization: Bearer $TOKEN"',
            f'curl -sS {api_url}/api/reports/session/first/status -H "Authorization: Bearer $TOKEN"',
            f'curl -sS {api_url}/api/reports/session/first -H "Authorization: Bearer $TOKEN"',
        )
    )
