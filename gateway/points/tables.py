"""Tables of the points backend. Money-like rows are guarded by the database itself.

Ledger: every transfer has entries whose debits and credits are equal; an account's kept balance
is credits minus debits. Only members' accounts keep one: the programme's account takes part in
every transfer, a kept balance there would be one row that every writer waits for.
"""

from __future__ import annotations

from sqlalchemy import (
    Boolean,
    CheckConstraint,
    Column,
    ForeignKey,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    Table,
    Text,
)

SCHEMA_VERSION = 1
ISSUED = "programme:issued"  # the account that all points come from

metadata = MetaData()

members = Table(
    "members",
    metadata,
    Column("id", Text, primary_key=True),
    Column("name", Text, nullable=False),
    Column("created_ms", Integer, nullable=False),
)

enrolments = Table(
    "enrolments",
    metadata,
    Column("code_hash", LargeBinary, primary_key=True),
    Column("member", Text, ForeignKey("members.id"), nullable=False),
    Column("created_ms", Integer, nullable=False),
    Column("expires_ms", Integer, nullable=False),
    Column("used_ms", Integer),
)

# One enrolled phone. The secret must lie here as it is: HMAC needs it to check a pass.
handles = Table(
    "handles",
    metadata,
    Column("handle", Text, primary_key=True),
    Column("member", Text, ForeignKey("members.id"), nullable=False),
    Column("secret", LargeBinary, nullable=False),
    Column("created_ms", Integer, nullable=False),
)

sessions = Table(
    "sessions",
    metadata,
    Column("token_hash", LargeBinary, primary_key=True),
    Column("handle", Text, ForeignKey("handles.handle"), nullable=False),
    Column("created_ms", Integer, nullable=False),
    Column("expires_ms", Integer, nullable=False),
)

accounts = Table(
    "accounts",
    metadata,
    Column("id", Text, primary_key=True),
    Column("member", Text, ForeignKey("members.id"), unique=True),
    Column("balance", Integer),
    # Credits can only add; a redemption (a later issue) must never take more than there is.
    CheckConstraint("balance IS NULL OR balance >= 0", name="balance_not_negative"),
    CheckConstraint("(member IS NULL) = (balance IS NULL)", name="members_keep_a_balance"),
)

transfers = Table(
    "transfers",
    metadata,
    Column("id", Text, primary_key=True),  # "deposit:B-7K2QA.5f3a9c01.42": one for a line, ever
    Column("kind", Text, nullable=False),
    Column("at_ms", Integer, nullable=False),
)

entries = Table(
    "entries",
    metadata,
    Column("transfer", Text, ForeignKey("transfers.id"), primary_key=True),
    Column("account", Text, ForeignKey("accounts.id"), primary_key=True),
    Column("debit", Integer, nullable=False),
    Column("credit", Integer, nullable=False),
    CheckConstraint(
        "(debit > 0 AND credit = 0) OR (debit = 0 AND credit > 0)", name="one_side_only"
    ),
    Index("entries_by_account", "account"),
)

# What was asked and what was answered, for ever. Refusals too.
deposits = Table(
    "deposits",
    metadata,
    Column("id", Text, primary_key=True),
    Column("body_hash", LargeBinary, nullable=False),
    Column("decided_ms", Integer, nullable=False),
    Column("status", Text, nullable=False),
    Column("code", Text, nullable=False),
    Column("why", Text, nullable=False),
    Column("points", Integer, nullable=False),
    Column("balance", Integer, nullable=False),
    Column("member", Text, ForeignKey("members.id")),
    Column("handle", Text),
    Column("step", Integer),
    Column("bin", Text),
    Column("station", Text),
    Column("t_ms", Integer),
    Column("clock", Text),
    Column("scanned_ms", Integer),
    Column("clock_poor", Boolean, nullable=False),
    Column("mass_g", Integer),
    CheckConstraint("status IN ('credited', 'refused')", name="status_known"),
    CheckConstraint("(status = 'credited') = (points > 0)", name="points_when_credited"),
)

labels = Table(
    "labels",
    metadata,
    Column("label_hash", LargeBinary, primary_key=True),
    Column("deposit", Text, ForeignKey("deposits.id"), nullable=False),
)

pass_bindings = Table(
    "pass_bindings",
    metadata,
    Column("handle", Text, ForeignKey("handles.handle"), primary_key=True),
    Column("step", Integer, primary_key=True),
    Column("bin", Text, nullable=False),
    Column("deposit", Text, ForeignKey("deposits.id"), nullable=False),
)

# What a member reads: one row for each thing that happened to them. `seq` grows in the order of
# commits (one writer at a time), so "newer than seq" misses nothing.
statement = Table(
    "statement",
    metadata,
    Column("seq", Integer, primary_key=True, autoincrement=True),
    Column("member", Text, ForeignKey("members.id"), nullable=False),
    Column("at_ms", Integer, nullable=False),
    Column("code", Text, nullable=False),
    Column("points", Integer, nullable=False),
    Column("balance", Integer, nullable=False),
    Column("deposit", Text, ForeignKey("deposits.id")),
    Index("statement_by_member", "member", "seq"),
    sqlite_autoincrement=True,
)

_FOR_EVER = ("transfers", "entries", "deposits", "labels", "pass_bindings", "statement")

# The house rule "entries never change" is held by the database, not by good manners.
GUARDS = tuple(
    f"CREATE TRIGGER IF NOT EXISTS {table}_no_{verb.lower()} BEFORE {verb} ON {table} "
    f"BEGIN SELECT RAISE(ABORT, '{table}: rows are for ever'); END"
    for table in _FOR_EVER
    for verb in ("UPDATE", "DELETE")
)
