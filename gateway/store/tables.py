"""The gateway's tables, in SQLAlchemy Core so that SQLite and PostgreSQL share them.

Identities (`lines`, `progress`) are never deleted: they are what makes a line count once, for ever.
Times are Unix ms of the gateway's clock unless the column says otherwise.
"""

from __future__ import annotations

from typing import Final

from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    ForeignKey,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    String,
    Table,
    Text,
    UniqueConstraint,
)

SCHEMA_VERSION: Final = 2
"""2 added orders (`commands`, `wanted_settings`) and `log`; see database.py for the upgrade."""

metadata = MetaData()

schema = Table("schema", metadata, Column("version", Integer, primary_key=True))

bins = Table(
    "bins",
    metadata,
    Column("bin", String(7), primary_key=True),
    Column("station", String(14), nullable=False, index=True),
    Column("name", Text, nullable=False),
    Column("key", LargeBinary, nullable=False),  # 32 bytes in the clear: the file is 0600 (README)
    Column("created_ms", BigInteger, nullable=False),
    Column("last_seen_ms", BigInteger),
    Column("online", Boolean, nullable=False, default=False),
    Column("health", LargeBinary),  # the verified JSON as the bin wrote it
    Column("health_ms", BigInteger),
)

# Orders: what a bin is to do or to be. A row is an identity (the bin does an id once for ever) and
# is never deleted. `next_ms` is when the sender has to look at it again, NULL for not until the bin
# is heard again, or never.
commands = Table(
    "commands",
    metadata,
    Column("bin", String(7), primary_key=True),
    Column("id", Integer, primary_key=True, autoincrement=False),
    Column("do", String(16), nullable=False),
    Column("args", LargeBinary, nullable=False),  # JSON object
    Column("until_ms", BigInteger, nullable=False),
    Column("by", Text, nullable=False),
    Column("at_ms", BigInteger, nullable=False),
    Column("state", String(12), nullable=False),  # waiting, sent, done, refused, expired
    Column("state_ms", BigInteger, nullable=False),
    Column("why", Text, nullable=False),
    Column("data", LargeBinary),  # JSON object of the answer; only the newest keep theirs
    Column("tries", Integer, nullable=False),
    Column("next_ms", BigInteger, index=True),
)

wanted_settings = Table(
    "wanted_settings",
    metadata,
    Column("bin", String(7), primary_key=True),
    Column("version", Integer, primary_key=True, autoincrement=False),
    Column("document", LargeBinary, nullable=False),  # JSON object: the changes to the defaults
    Column("by", Text, nullable=False),
    Column("at_ms", BigInteger, nullable=False),
    # waiting, sent, in_force, replaced (by a newer version), refused, rolled_back
    Column("state", String(12), nullable=False),
    Column("state_ms", BigInteger, nullable=False),
    Column("why", Text, nullable=False),
    Column("tries", Integer, nullable=False),
    Column("next_ms", BigInteger, index=True),
)

# Who did what, appended only. `number` names the order that a row is about, if it is about one:
# how that ended stands there. Rows with who "" are what a bin told by itself.
log = Table(
    "log",
    metadata,
    Column("seq", Integer, primary_key=True, autoincrement=True),
    Column("at_ms", BigInteger, nullable=False),
    Column("who", Text, nullable=False),
    Column("what", String(16), nullable=False),
    Column("bin", String(7), nullable=False),
    Column("number", Integer),
    Column("detail", Text, nullable=False),
    Index("log_bin_who", "bin", "who", "seq"),
    sqlite_autoincrement=True,
)

secrets = Table(
    "secrets",
    metadata,
    Column("name", String(32), primary_key=True),
    Column("value", LargeBinary, nullable=False),
)

lines = Table(
    "lines",
    metadata,
    Column("bin", String(7), primary_key=True),
    Column("epoch", String(8), primary_key=True),
    Column("n", Integer, primary_key=True, autoincrement=False),
    Column("t_ms", BigInteger, nullable=False),  # the bin's clock, as good as `clock` says
    Column("clock", String(8), nullable=False),
    Column("kind", String(16), nullable=False),  # "" when the line was odd (wire.Line)
    Column("station", String(14), nullable=False),  # the bin's when the line came
    Column("raw", LargeBinary, nullable=False),  # evidence: the bytes the bin wrote; see prune()
    Column("received_ms", BigInteger, nullable=False, index=True),
    sqlite_with_rowid=False,
)

# n: every line 1..n is in `lines`. top: the highest n there is; more than n only after a gap.
progress = Table(
    "progress",
    metadata,
    Column("bin", String(7), primary_key=True),
    Column("epoch", String(8), primary_key=True),
    Column("n", Integer, nullable=False),
    Column("top", Integer, nullable=False),
    Column("updated_ms", BigInteger, nullable=False),
)

quarantine = Table(
    "quarantine",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("bin", String(7), nullable=False),  # as the topic said; "" when it said none
    Column("reason", String(24), nullable=False),
    Column("digest", String(32), nullable=False),  # of the payload: one that comes again counts up
    Column("topic", Text, nullable=False),
    Column("payload", LargeBinary, nullable=False),
    Column("size_bytes", Integer, nullable=False),  # before the payload was cut to its limit
    Column("times", Integer, nullable=False),
    Column("first_ms", BigInteger, nullable=False),
    Column("last_ms", BigInteger, nullable=False, index=True),
    UniqueConstraint("bin", "reason", "digest"),
)

# `item` is the JSON that goes to points, fixed when the line is committed: a retry must be the
# same to the byte, whatever has changed here since.
outbox = Table(
    "outbox",
    metadata,
    Column("seq", Integer, primary_key=True, autoincrement=True),
    Column("bin", String(7), nullable=False),
    Column("epoch", String(8), nullable=False),
    Column("n", Integer, nullable=False),
    Column("item", LargeBinary, nullable=False),
    Column("queued_ms", BigInteger, nullable=False),
    UniqueConstraint("bin", "epoch", "n"),
    sqlite_autoincrement=True,
)

# Items that points fails on while it takes others: each is tried alone, not before its time.
put_off = Table(
    "put_off",
    metadata,
    Column("seq", ForeignKey("outbox.seq", ondelete="CASCADE"), primary_key=True),
    Column("not_before_ms", BigInteger, nullable=False, index=True),
)

outcomes = Table(
    "outcomes",
    metadata,
    Column("bin", String(7), primary_key=True),
    Column("epoch", String(8), primary_key=True),
    Column("n", Integer, primary_key=True, autoincrement=False),
    Column("status", String(16), nullable=False),
    Column("points", BigInteger, nullable=False),
    Column("balance", BigInteger, nullable=False),
    Column("code", String(24), nullable=False),
    Column("why", Text, nullable=False),
    Column("received_ms", BigInteger, nullable=False),
    Index("outcomes_received", "received_ms"),
)

dead_letters = Table(
    "dead_letters",
    metadata,
    Column("bin", String(7), primary_key=True),
    Column("epoch", String(8), primary_key=True),
    Column("n", Integer, primary_key=True, autoincrement=False),
    Column("reason", Text, nullable=False),
    Column("item", LargeBinary, nullable=False),
    Column("buried_ms", BigInteger, nullable=False),
)
