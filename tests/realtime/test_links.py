"""One connection: frames as RFC 6455 wants them, and readers that take nothing."""

import pytest
from websockets.frames import Frame, Opcode

from afterbell.realtime.gate import STALLED_BYTES, STALLED_S, UNREAD_BYTES_MAX, Connection
from afterbell.realtime.wire import Event


class Reader:
    """A wire whose reader has left so many bytes unread."""

    def __init__(self) -> None:
        self.unread, self.sent = 0, 0

    def send_frame(self, frame: bytes) -> None:
        self.sent += len(frame)

    def unread_bytes(self) -> int:
        return self.unread

    def abort(self) -> None:
        """Cut."""


async def _send(_message: object) -> None:
    """The end of the connection."""


async def closed_at(unread: list[int]) -> int | None:
    """The second at which the link is closed, where the reader has so much unread at each."""
    reader = Reader()
    link = Connection(0.0, _send, reader)
    for second, reader.unread in enumerate(unread):
        link.watch(float(second))
        if link.closing:
            return second
    return None


@pytest.mark.parametrize("length", [0, 3, 122, 123, 124, 125, 126, 65_532, 65_533, 65_534, 65_535, 70_000])
def test_a_frame_is_built_as_the_protocol_wants_it(length: int) -> None:
    text = "2" + "ä" * (length // 2) + "x" * (length % 2)
    assert Event(text).frame() == Frame(Opcode.TEXT, b"4" + text.encode()).serialize(mask=False)


async def test_a_reader_that_takes_nothing_is_closed_after_some_seconds() -> None:
    assert await closed_at([STALLED_BYTES] * 30) == int(STALLED_S) + 1


async def test_a_reader_that_is_slow_but_reads_is_kept() -> None:
    assert await closed_at([STALLED_BYTES * 20 - second for second in range(60)]) is None
    assert await closed_at([0, *[STALLED_BYTES] * 7, 0] * 10) is None
    assert await closed_at([STALLED_BYTES - 1] * 60) is None


async def test_no_more_than_the_limit_waits_for_one_reader() -> None:
    reader = Reader()
    link = Connection(0.0, _send, reader)
    reader.unread = UNREAD_BYTES_MAX
    link.push(b"one")
    assert (reader.sent, link.closing) == (3, False)
    reader.unread += 1
    link.push(b"two")
    assert (reader.sent, link.closing) == (3, True)
