"""What is given up when the buffer's file reaches its limits: class first, then oldest, each drop declared."""

import os
from pathlib import Path

from gateway.buffer import CLASSES, Buffer
from gateway.rows import STORED_RATIO
from gateway.store import Store

_CHUNK = 256  # rows looked at a time


async def drop_over_limit(store: Store, b: Buffer, folder: Path, max_bytes: int, keep_free: int) -> None:
    """Rule 9: mark rows as dropped until what is coming fits. Never one in flight.

    `max_bytes` bounds what the file holds, `keep_free` what the file system has left; freed pages are used again by
    what comes. Raises DiskError.
    """
    used = await store.used_bytes()
    limit = float(max_bytes)
    try:
        disk = os.statvfs(folder)
        limit = min(limit, used + disk.f_bavail * disk.f_frsize - keep_free)
    except OSError:
        pass  # the commit itself will say what is wrong with the disk
    over = used + b.tail_bytes * STORED_RATIO - limit
    by_id = {book.id: book for book in b.all_books()}
    for klass in range(len(CLASSES)):
        went = True
        while over > 0 and went:
            went = False
            for row, book_id, seq, size, stored in await store.droppable(klass, _CHUNK, b.pending.delete_rows):
                held = b.busy.get(row)
                if over <= 0 or (held is not None and (held.flying or held.gone)):
                    continue
                book = by_id[book_id]
                if held is not None:
                    b.backlog[held.book].remove(held)
                book.drop(1)
                b.dropped.add(book, seq, "size limit")
                b.row_gone(book, row, size)
                over -= stored
                went = True
