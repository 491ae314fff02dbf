"""Socket.IO beside the REST API: tokens, events in order, expiry, limits, drain."""

import asyncio
import re
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from typing import Any, Final

import structlog
from socketio.exceptions import ConnectionRefusedError as ConnectionRefused
from starlette.types import ASGIApp

from afterbell.adapters.db.changes import SESSIONS, Changes
from afterbell.adapters.db.database import Database
from afterbell.adapters.db.sessions import Appended, Roster
from afterbell.core.access import Caller, may, may_in
from afterbell.core.backoff import every
from afterbell.core.errors import AfterbellError, StoreUnavailable
from afterbell.core.live.heartbeat import PodHeartbeat, PodVerb
from afterbell.core.live.token_bucket import Buckets
from afterbell.observability import metrics
from afterbell.realtime.authority import Authority
from afterbell.realtime.bus import Bus
from afterbell.realtime.chat import Chat, Handler, judged
from afterbell.realtime.drain import Drain
from afterbell.realtime.gate import POLICY, UNUSABLE, Connection, Gate
from afterbell.realtime.heartbeat_sender import HeartbeatSender
from afterbell.realtime.hub import Hub
from afterbell.realtime.report_feed import ReportFeed
from afterbell.realtime.rooms import Client, Rooms, key_of, room_of, session_of
from afterbell.realtime.socketio_server import NAMESPACE, socketio_server
from afterbell.realtime.wire import RETRY_MS, Event, RefreshRequest, Refused, SessionRequest, moment, parsed
from afterbell.service import Service, repeat
from afterbell.settings import RealtimeSettings

CONNECT_WITHIN_S: Final = 10.0
EXPIRING_BEFORE_S: Final = 60.0
# As long as the REST API still takes a token that has expired.
EXPIRED_GRACE_S: Final = 10.0
# Refusals of one user in a row, without a pause between, after which the socket that goes on is closed.
REFUSALS_MAX: Final = 100
# Why a socket went, as python-engineio says it.
REASONS: Final = frozenset(
    {"client disconnect", "server disconnect", "ping timeout", "transport close", "transport error"}
)
_EVENT: Final = re.compile(r"2(\d*)\[")

# Raises AfterbellError; gives the caller and when the token ends, seconds since 1970.
Verify = Callable[[str, float], Awaitable[tuple[Caller, float]]]

log = structlog.get_logger(__name__)


class Realtime:
    """The sockets of this process. ``verify`` says whom a token speaks for."""

    def __init__(self, database: Database, url: str, bus: Bus, settings: RealtimeSettings, verify: Verify) -> None:
        self._settings, self._verify = settings, verify
        self.rooms = Rooms()
        changes = Changes(url)
        self._changes, self.feed = changes, ReportFeed(database, changes)
        self._authority = Authority(database, self._heard_of, self._changed)
        changes.on(SESSIONS, self._hinted, missed=self._authority.look_at_all)
        self.hub = Hub(self.rooms, bus, self._authority)
        self.chat = Chat(database, self.hub, self._authority, rooms_max=settings.rooms_per_socket)
        self._clients = self.rooms.clients
        self._buckets = Buckets(settings.events_per_s, settings.events_burst)
        self._by_eio: dict[str, Client] = {}
        self._drain = Drain(self.rooms, self.feed, settings.drain_window_s)
        self._heartbeat = HeartbeatSender(self._sign) if settings.pod_name else None
        self._ticking = Service("realtime_tick", self._tick_forever)
        self._tick_due_at = 0.0
        self._sio = socketio_server(settings, self._admits, self._welcome)
        self._handlers: dict[str, Handler] = self.chat.handlers | {
            "report:watch": self._watch,
            "report:unwatch": self._unwatch,
            "auth:refresh": self._refresh,
            "rt:ping": self._ping,
        }
        self._sio.on("connect", self._connect, namespace=NAMESPACE)
        self._sio.on("disconnect", self._disconnect, namespace=NAMESPACE)
        self._sio.on("*", self._event, namespace=NAMESPACE)
        self._gate: Gate | None = None

    def beside(self, app: ASGIApp) -> ASGIApp:
        """``app`` with Socket.IO in front of it."""
        self._gate = Gate(app, self._sio.handle_request, sockets_max=self._settings.sockets_max)
        self._drain.gate = self._gate
        return self._gate

    def start(self) -> None:
        """Begin; needs neither Redis nor a client."""
        self.hub.start(self._steered, self._heartbeat.words if self._heartbeat else None)
        self._changes.start()
        self.feed.start()
        self._authority.start()
        self._ticking.start()

    async def stop(self, window_s: float = 0.0) -> None:
        """Send everybody away over ``window_s`` seconds, then end."""
        await self.drain(window_s)
        await self._ticking.stop()
        await self._authority.stop()
        await self._changes.stop()
        await self.feed.stop()
        if self._heartbeat is not None:
            self.hub.say_alive()  # nobody is here any more
        await self.hub.stop()
        await self._sio.eio.shutdown()

    @property
    def facts(self) -> dict[str, Any]:
        """For /readyz: a pod without Redis stays ready, for its own sockets go on."""
        state = "draining" if self.draining else "ok" if self.hub.connected else "degraded"
        return {"realtime": state, "sockets": len(self._gate.connections) if self._gate else 0}

    @property
    def draining(self) -> bool:
        """Whether this pod is to get no new sockets."""
        return self._drain.under_way

    def message_stored(self, tenant: str, session_id: str, appended: Appended) -> None:
        """Broadcast a message that was committed over REST."""
        self.chat.broadcast(tenant, session_id, appended)

    def session_changed(self, tenant: str, session_id: str) -> None:
        """The record of this session was changed: a hint besides PostgreSQL's own, which a pooler may swallow."""
        self.hub.change(room_of(tenant, session_id))

    async def drain(self, window_s: float) -> int:
        """Take no more sockets, tell everybody when to come back, close in batches. How many were sent away."""
        return await self._drain.for_good(window_s)

    def _steered(self, verb: PodVerb) -> None:
        self._drain.asked(wanted=verb == "drain", now=self._now())

    def _sign(self) -> PodHeartbeat:
        sockets = len(self._gate.connections) if self._gate else 0
        return PodHeartbeat(self._settings.pod_name, sockets, self._settings.sockets_max, self.draining)

    # --- connecting

    async def _connect(self, sid: str, environ: dict[str, Any], auth: object) -> None:
        connection: Connection = environ["asgi.scope"]["afterbell.connection"]
        token = auth.get("token") if isinstance(auth, dict) else None
        try:
            caller, expires_at = await self._verify(token if isinstance(token, str) else "", _wall_clock())
        except AfterbellError as error:
            metrics.RT_HANDSHAKES.labels(error.code).inc()
            asyncio.get_running_loop().call_later(1, connection.close, POLICY, "refused")
            raise ConnectionRefused(error.code, {"code": error.code, "message": str(error)}) from None
        if self.rooms.sockets_of(caller) >= self._settings.sockets_per_user:
            metrics.RT_HANDSHAKES.labels("too_many_sockets").inc()
            message = f"{caller.subject} has {self._settings.sockets_per_user} open sockets, the maximum: close one"
            raise ConnectionRefused("too_many_sockets", {"code": "too_many_sockets", "message": message})
        metrics.RT_HANDSHAKES.labels("connected").inc()
        eio_sid = self._sio.manager.eio_sid_from_sid(sid, NAMESPACE)
        client = Client(sid, caller, expires_at, connection, eio_sid)
        connection.connected = True
        self._clients[sid] = self._by_eio[eio_sid] = client

    def _welcome(self, eio_sid: str) -> None:
        """What a client must know from the start, after the answer to its CONNECT: it hears nothing before."""
        client = self._by_eio.get(eio_sid)
        if client is not None and not self.hub.connected:
            client.tell(Event.of("rt:degraded", {"degraded": True}))

    async def _disconnect(self, sid: str, reason: str) -> None:
        metrics.RT_DISCONNECTED.labels(reason if reason in REASONS else "other").inc()
        client = self._clients.pop(sid, None)
        if client is None:
            return
        self._by_eio.pop(client.eio_sid, None)
        for room in list(client.rooms):
            self.hub.leave(room, client)
        for room in client.watches:
            self.feed.unwatch((client.caller.tenant, session_of(room)), client)
        client.rooms.clear()
        client.watches.clear()

    def _admits(self, eio_sid: str, data: Any) -> str | None:
        """None: go on. A packet to answer with, or nothing to answer, where the socket has sent too much."""
        client = self._by_eio.get(eio_sid)
        if client is None:
            return None if isinstance(data, str) and data[:1] in ("0", "1") else ""
        if data[:1] == "0" and data[:2] != "0/":
            client.connection.close(UNUSABLE, "garbage")  # a second CONNECT: who is here is known
            return ""
        bucket = self._buckets.of(client.person, self._now())
        wait_s = bucket.take(self._now())
        if wait_s == 0:
            return None
        if bucket.refused > REFUSALS_MAX:
            client.connection.close(POLICY, "flood")
            return ""
        metrics.RT_EVENTS.labels("any", "rate_limited").observe(0)
        match = _EVENT.match(data)
        if match is None or not match[1]:
            return ""
        refused = Refused("rate_limited", "too many events: slow down", retryInMs=round(wait_s * 1000) + 1)
        return f"3{match[1]}" + Event.of("", refused.acknowledgement).text.replace('2["",', "[", 1)

    # --- events

    async def _event(self, name: str, sid: str, *payloads: object) -> dict[str, Any]:
        started, code = self._now(), "ok"
        handler = self._handlers.get(name)
        try:
            client = self._clients.get(sid)
            if handler is None or client is None:
                raise Refused("unknown_event", f"unknown event {name[:40]!r}")
            if len(payloads) != 1:
                raise Refused("invalid_input", "send one JSON object", field="payload")
            return {"ok": True, **await handler(client, payloads[0])}
        except Refused as refused:
            code = refused.code
            return refused.acknowledgement
        except StoreUnavailable as error:
            code = error.code
            log.warning("store_unavailable", error=str(error))
            return Refused(code, "a store does not answer: send it again", retryInMs=RETRY_MS).acknowledgement
        except AfterbellError as error:
            code = error.code
            return Refused(code, str(error)).acknowledgement
        except Exception:
            code = "internal"
            log.exception("event_failed", event_name=name)
            return Refused(code, "internal error: send it again").acknowledgement
        finally:
            metrics.RT_EVENTS.labels(name if handler else "unknown", code).observe(self._now() - started)

    async def _watch(self, client: Client, payload: object) -> dict[str, Any]:
        session_id, caller = parsed(SessionRequest, payload).session, client.caller
        if not may(caller, "read_report"):
            raise Refused("forbidden", f"role {caller.role} may not read reports")
        room = room_of(caller.tenant, session_id)
        if room not in client.watches and len(client.watches) + len(client.rooms) >= self._settings.rooms_per_socket:
            raise Refused(
                "too_many_rooms",
                f"limit of {self._settings.rooms_per_socket} sessions per socket reached: leave one first",
            )
        roster = judged(await self._authority.roster_of(room), caller, "read_report", session_id)
        judged(self._authority.learn(room, roster), caller, "read_report", session_id)
        key = (caller.tenant, session_id)
        client.watches.add(room)
        self.feed.watch(key, client, lambda name, said: _show(client, name, said))
        row = await self.feed.read(key)
        return {"report": None if row is None else self.feed.snapshot(key, row)}

    async def _unwatch(self, client: Client, payload: object) -> dict[str, Any]:
        session_id = parsed(SessionRequest, payload).session
        client.watches.discard(room_of(client.caller.tenant, session_id))
        self.feed.unwatch((client.caller.tenant, session_id), client)
        return {}

    async def _ping(self, _client: Client, _payload: object) -> dict[str, Any]:
        """A connection may be dead without a sign: a client that asks learns that it is live."""
        return {}

    async def _refresh(self, client: Client, payload: object) -> dict[str, Any]:
        caller, expires_at = await self._verify(parsed(RefreshRequest, payload).token, _wall_clock())
        if (caller.subject, caller.tenant) != (client.caller.subject, client.caller.tenant):
            raise Refused("forbidden", "the new token belongs to another user: reconnect")
        await self._authority.ask(client.rooms | client.watches)
        client.caller, client.expires_at, client.warned, client.expired = caller, expires_at, False, False
        for room in client.rooms | client.watches:
            self._judge(client, room, self._authority.known(room))
        return {"expiresAt": moment(datetime.fromtimestamp(expires_at, UTC))}

    # --- what the record says of a session may change while they talk

    def _heard_of(self) -> set[str]:
        return {*self.rooms.names(), *(room_of(*key) for key in self.feed.watched)}

    def _hinted(self, tenant: str, session_id: str) -> None:
        self._authority.look_at(room_of(tenant, session_id))

    def _changed(self, room: str, roster: Roster | None, was_known: bool) -> None:
        """Who may not hear of the session any more does not; the others forget what they show of it."""
        for client in [*self.rooms.of(room), *(client for client in self._clients.values() if room in client.watches)]:
            self._judge(client, room, roster)
        self.feed.judge(key_of(room), frozenset() if roster is None else roster.ids)
        if roster is not None and was_known:
            changed = {"session": session_of(room), "reason": "imported", "edition": roster.edition}
            self.rooms.deliver(room, Event.of("rt:resync", changed))

    def _judge(self, client: Client, room: str, roster: Roster | None) -> None:
        people: frozenset[str] = frozenset() if roster is None else roster.ids
        out = False
        if room in client.rooms and not may_in(client.caller, "read_messages", people):
            self.chat.take_out(client, room)
            out = True
        if room in client.watches and not may_in(client.caller, "read_report", people):
            client.watches.discard(room)
            self.feed.unwatch(key_of(room), client)
            out = True
        if out:
            client.tell(Event.of("rt:resync", {"session": session_of(room), "reason": "removed"}))

    # --- once a second

    async def _tick_forever(self) -> None:
        self._tick_due_at = self._now()
        await repeat(self._tick_on_time, name="realtime_tick", backoff=every(1.0))

    async def _tick_on_time(self) -> float:
        """Seconds until the next tick: one each second, and none is made up for."""
        metrics.RT_LOOP_LAG.set(self._now() - self._tick_due_at)
        self._tick_due_at = max(self._tick_due_at, self._now()) + 1
        self._tick()
        return max(self._tick_due_at - self._now(), 0.0)

    def _tick(self) -> None:
        self.hub.tick()
        self._buckets.forget_full(self._now())
        now, clock = self._now(), _wall_clock()
        unread = 0
        for connection in list(self._gate.connections if self._gate else ()):
            unread = max(unread, connection.watch(now))
            if not connection.connected and now - connection.opened_at > CONNECT_WITHIN_S:
                connection.close(POLICY, "never_connected")
        metrics.RT_UNREAD_MAX.set(unread)
        metrics.RT_TASKS.set(len(asyncio.all_tasks()))
        for client in list(self._clients.values()):
            self._expire(client, clock)
        self._drain.tick(now)
        if self._heartbeat is not None and self._heartbeat.has_news:
            self.hub.say_alive()

    def _expire(self, client: Client, clock: float) -> None:
        left_s = client.expires_at - clock
        if left_s < -EXPIRED_GRACE_S and not client.expired:
            client.expired = True
            client.tell(Event.of("auth:expired", {}))
            client.connection.push(
                Event("1").frame()
            )  # a Socket.IO DISCONNECT: the client does not come back by itself
            asyncio.get_running_loop().call_later(0.5, client.connection.close, POLICY, "token_expired")
        elif left_s < EXPIRING_BEFORE_S and not client.warned:
            client.warned = True
            client.tell(Event.of("auth:expiring", {"expiresInMs": max(round(left_s * 1000), 0)}))

    @staticmethod
    def _now() -> float:
        return asyncio.get_running_loop().time()


def _show(client: Client, name: str, payload: dict[str, Any]) -> None:
    """Progress to one socket. One that has much unread gets only what is final: the newest wins."""
    if name == "report:progress" and client.lags and payload["status"] in ("waiting", "active"):
        metrics.RT_SKIPPED.inc()
        return
    client.tell(Event.of(name, payload))


def _wall_clock() -> float:
    return datetime.now(UTC).timestamp()
