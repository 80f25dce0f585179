"""Takes from a lane what goes into one publish: one sample, or several of a device that wait together."""

from collections import deque

from gateway import payload
from gateway.buffer import Held
from gateway.clock import Clock


def take_pack(lane: deque[Held], clock: Clock, run: str, joined: float) -> tuple[list[Held], bytes]:
    """Take the next pack from a lane, oldest first; `joined` is the most bytes of a pack of several samples.

    The samples taken are marked as flying. Nothing is taken when all of the lane is gone already.
    """
    held: list[Held] = []
    inners: list[bytes] = []
    size = 2  # the brackets
    while lane:
        h = lane[0]
        if not h.gone:
            inner = _inner(h, clock, run)
            size += len(inner) + 1
            # A sample that was refused in a pack goes alone, so that the next verdict is about it.
            if held and (size > joined or h.alone or held[0].alone or not payload.same_version(held[0].body, h.body)):
                break
            h.flying = h.sent = True
            held.append(h)
            inners.append(inner)
        lane.popleft()
    return held, payload.pack(inners)


def _inner(h: Held, clock: Clock, run: str) -> bytes:
    book = h.book
    wall, trusted = clock.placed(h.stamp, h.boot)
    done = book.done if book.run == run else None
    return payload.inner(book.gateway, book.device, wall, trusted, book.run, h.seq, done, h.sent, h.body)
