"""A server in a thread on a free loopback port, what it heard, and a session to send to it."""

import contextlib
import socket
import threading
import time
from collections.abc import Iterator
from typing import Any

import httpx2
import uvicorn

from afterbell.core.basic.basic_report import write_narrative
from afterbell.core.narrative import Narrative
from afterbell.core.report.prompt import Prompt, build, read_transcript
from afterbell.core.report.statistics import measure
from afterbell.core.session import Message, Participant, Session, transcript_of

KEY = "sk-test-0123456789-not-a-real-key"
TUTOR_NAME, STUDENT_NAME = "Quillfeather", "Amaryllis"

_SAID = (
    ("tutor", "Hello! Today we add fractions. What do you remember about denominators?"),
    ("student", "I think the denominator is the number at the bottom, it says how many parts there are."),
    ("tutor", "Exactly right. So how would you add one half and one quarter?"),
    ("student", "I would add the tops and the bottoms, so two sixths?"),
    ("tutor", "Let us draw it. Is two sixths more or less than one half?"),
    ("student", "Oh, it is less, so that cannot be right. I need the same denominator first."),
    ("tutor", "Good thinking. What would the same denominator be for halves and quarters?"),
    ("student", "Four, because two quarters is one half. So two quarters and one quarter is three quarters!"),
    ("tutor", "Well done, you checked your answer against the drawing. Try one third plus one sixth."),
    ("student", "One third is two sixths, so two sixths plus one sixth is three sixths, which is one half."),
    ("tutor", "Perfect. For next time, please practise four fraction sums with different denominators."),
    ("student", "Okay, I will do them. Can denominators also be negative?"),
)


def session() -> Session:
    """Twelve turns about fractions."""
    people = (Participant("u1", "tutor", TUTOR_NAME), Participant("u2", "student", STUDENT_NAME))
    ids: dict[str, str] = {person.role: person.id for person in people}
    said = tuple(Message(f"m{number}", ids[role], text) for number, (role, text) in enumerate(_SAID))
    return Session("s1", "Mathematics", people, said, level="grade 5", language="en", goals=("Add fractions",))


def prompt() -> Prompt:
    """The prompt for the session."""
    transcript = transcript_of(session())
    return build(transcript, measure(session()), fence="0123456789abcdef")


def expected() -> Narrative:
    """What the stub writes about the prompt."""
    return write_narrative(read_transcript(prompt().transcript))


class Heard:
    """An ASGI app around another that keeps each request's body, headers and client address."""

    def __init__(self, app: Any) -> None:
        self._app = app
        self.bodies: list[bytes] = []
        self.headers: list[dict[str, str]] = []
        self.clients: list[tuple[str, int]] = []

    async def __call__(self, scope: Any, receive: Any, send: Any) -> Any:
        if scope["type"] != "http" or not scope["path"].startswith("/v1"):
            return await self._app(scope, receive, send)
        self.bodies.append(b"")
        self.headers.append({name.decode(): value.decode() for name, value in scope["headers"]})
        self.clients.append(tuple(scope["client"]))

        async def keep() -> Any:
            message = await receive()
            self.bodies[-1] += message.get("body", b"")
            return message

        return await self._app(scope, keep, send)


@contextlib.contextmanager
def serving(app: Any) -> Iterator[str]:
    """The address of the app, ``http://127.0.0.1:port``, while it is served."""
    with socket.socket() as listening:
        listening.bind(("127.0.0.1", 0))
        config = uvicorn.Config(app, log_level="critical", ws="none", lifespan="off", timeout_graceful_shutdown=1)
        server = uvicorn.Server(config)
        thread = threading.Thread(target=server.run, kwargs={"sockets": [listening]}, daemon=True)
        thread.start()
        deadline = time.monotonic() + 10
        while not server.started:
            assert time.monotonic() < deadline, "the server did not start"
            time.sleep(0.01)
        try:
            yield f"http://127.0.0.1:{listening.getsockname()[1]}"
        finally:
            server.should_exit = True
            thread.join(10)


def set_faults(url: str, *named: str) -> None:
    """The next requests fail so."""
    httpx2.post(f"{url}/_stub/faults", json={"faults": list(named)}).raise_for_status()


def log(url: str) -> list[dict[str, Any]]:
    """What the stub says it was asked."""
    entries: list[dict[str, Any]] = httpx2.get(f"{url}/_stub/log").json()["requests"]
    return entries
