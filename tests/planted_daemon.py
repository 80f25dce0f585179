"""`labgate` with a bug: of each commit of several rows one vanishes from the file. Says which on standard error.

python -m tests.planted_daemon ARGUMENTS OF labgate
"""

import sys

from gateway.cli import main
from gateway.rows import Commit
from gateway.store import Store

commit = Store.commit


async def lossy(store: Store, c: Commit) -> None:
    await commit(store, c)
    if len(c.rows) > 4:
        row = c.rows[len(c.rows) // 2]
        await commit(store, Commit(delete_rows=[row.id]))
        sys.stderr.write(f"vanished {row.seq}\n")


if __name__ == "__main__":
    Store.commit = lossy
    sys.exit(main())
