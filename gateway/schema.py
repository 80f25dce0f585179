"""The tables of the buffer's file. Any version opens files of its own major number."""

MAJOR, MINOR = 2, 0

_TABLES = """
CREATE TABLE meta(key TEXT PRIMARY KEY, value) WITHOUT ROWID;
CREATE TABLE run(id INTEGER PRIMARY KEY, gateway TEXT NOT NULL, run TEXT NOT NULL UNIQUE, boot TEXT NOT NULL,
                 started INTEGER NOT NULL, state TEXT NOT NULL);
CREATE TABLE book(id INTEGER PRIMARY KEY, run INTEGER NOT NULL, device TEXT NOT NULL, kept INTEGER NOT NULL DEFAULT 0,
                  last INTEGER, dropped INTEGER NOT NULL DEFAULT 0, checksum INTEGER NOT NULL, UNIQUE(run, device));
CREATE TABLE origin(id INTEGER PRIMARY KEY, origin TEXT NOT NULL);
CREATE TABLE sample(id INTEGER PRIMARY KEY, book INTEGER NOT NULL, seq INTEGER NOT NULL, wall INTEGER NOT NULL,
                    boot INTEGER NOT NULL, synced INTEGER NOT NULL, class INTEGER NOT NULL, size INTEGER NOT NULL,
                    body BLOB NOT NULL);
CREATE TABLE note(id INTEGER PRIMARY KEY, gateway TEXT NOT NULL, run TEXT NOT NULL, body BLOB NOT NULL,
                  checksum INTEGER NOT NULL);
CREATE TABLE topic(topic TEXT PRIMARY KEY, device TEXT NOT NULL) WITHOUT ROWID;
CREATE TABLE aside(id INTEGER PRIMARY KEY, gateway TEXT NOT NULL, run TEXT NOT NULL, device TEXT NOT NULL,
                   seq INTEGER NOT NULL, reason TEXT NOT NULL, body BLOB NOT NULL);
"""
# `origin` names each book (GATEWAY/DEVICE/RUN) a second time: whose the samples are must not hang on one page.

# What the checksum behind a sample's body is over, as gateway.rows.is_sealed takes it.
SEALED = "book, id||' '||seq||' '||wall||' '||boot||' '||synced||' '||class||' '||size, body"
NEW = f"BEGIN;{_TABLES}INSERT INTO meta VALUES('major',{MAJOR}),('minor',{MINOR});PRAGMA user_version={MAJOR};COMMIT;"
# Measured with rows of 100 readings (0.7 kB): 27 bytes written a reading, 31 on pages of 1 kB, of which each holds only
# one, and more on 4 kB. Freed pages are used again, so nothing is vacuumed.
PAGE = "PRAGMA page_size=2048"
SETTINGS = "PRAGMA synchronous=FULL;PRAGMA wal_autocheckpoint=1000;PRAGMA journal_size_limit=4000000;"
# The pages of all; and the indices, which only these tables have.
CHECKS = ("PRAGMA quick_check(1)", *(f"PRAGMA integrity_check('{table}')" for table in ("run", "book")))
