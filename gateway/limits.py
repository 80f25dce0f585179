"""What is given up when the buffer's file reaches its limits: first what the hub refused and was set aside, then held
samples, class first, then oldest, each drop declared.
"""

import os
from pathlib import Path

from gateway.buffer import CLASSES, Buffer
from gateway.rows import STORED_RATIO, ranges
from gateway.store import Store

_CHUNK = 256  # rows looked at a time
_STORED = "length(body) + 40"  # bytes of a row on disk, about
_ASIDES = f"SELECT id, {_STORED} FROM aside WHERE id>? ORDER BY id LIMIT {_CHUNK}"  # noqa: S608 - ours
_ROWS = f"SELECT id, book, seq, size, {_STORED} FROM sample WHERE class=? AND id>? ORDER BY id LIMIT {_CHUNK}"  # noqa: S608 - ours
_TOGETHER = f"SELECT sum({_STORED}) FROM sample WHERE id BETWEEN ? AND ?"  # noqa: S608 - ours


async def drop_over_limit(store: Store, b: Buffer, folder: Path, max_bytes: int, keep_free: int) -> str | None:
    """Rule 9: mark rows as dropped until what is coming fits. Never one in flight. Returns why, for people.

    `max_bytes` bounds what the file holds. `keep_free` bounds what it takes of the disk: with less than that free the
    file does not grow; giving up rows would give the disk nothing back. Raises DiskError.
    """
    used, size = await store.space()
    limit, why = max_bytes, "max_bytes of the buffer are reached"
    try:
        disk = os.statvfs(folder)
        if (room := size + max(disk.f_bavail * disk.f_frsize - keep_free, 0)) < limit:
            limit, why = room, f"less than keep_free is free on the disk of {folder}; make room there"
    except OSError:
        pass  # the commit itself will say what is wrong with the disk
    over = used + b.tail_bytes * STORED_RATIO - limit
    if over <= 0:
        return None
    for span in ranges(b.pending.delete_rows):
        over -= (await store.read(_TOGETHER, span))[0][0] or 0
    after = 0
    while over > 0 and (aside := await store.read(_ASIDES, (after,))):
        for after, stored in aside:
            if over > 0:
                b.pending.delete_aside.append(after)
                over -= stored
    if over <= 0:
        return None
    by_id = {book.id: book for book in b.all_books()}
    for klass in range(len(CLASSES)):
        after = 0
        while over > 0 and (found := await store.read(_ROWS, (klass, after))):
            for after, book_id, seq, size, stored in found:
                if over > 0 and b.give_up_row(after):
                    b.drop_row(by_id[book_id], seq, after, size, "size limit")
                    over -= stored
    return f"samples are given up, {CLASSES[0]} and oldest first: {why}"
