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

SCHEMA_VERSION = 2  # 2: withdrawals, labels_again; only tables were added (database.py)
ISSUED = "programme:issued"  # the account that points come from, and go back to

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
    # A withdrawal takes no more than there is (withdrawals.owed); nor may a redemption, a later
    # issue.
    CheckConstraint("balance IS NULL OR balance >= 0", name="balance_not_negative"),
    CheckConstraint("(member IS NULL) = (balance IS NULL)", name="members_keep_a_balance"),
)

transfers = Table(
    "transfers",
    metadata,
    # "deposit:B-7K2QA.5f3a9c01.42": one for a line, ever; "withdrawn:…": of a deposit, once.
    Column("id", Text, primary_key=True),
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

# What was asked and answered about deposits taken back, for ever. `of` may name a deposit that has
# not come yet; `reverses` is set when this one took the points of a deposit back. `owed` is what of
# them was spent already and could not be taken: a debt on record, which nobody collects so far.
withdrawals = Table(
    "withdrawals",
    metadata,
    Column("id", Text, primary_key=True),
    Column("of", Text, nullable=False, index=True),
    Column("reverses", Text, ForeignKey("deposits.id"), unique=True),
    Column("body_hash", LargeBinary, nullable=False),
    Column("decided_ms", Integer, nullable=False),
    Column("status", Text, nullable=False),
    Column("code", Text, nullable=False),
    Column("why", Text, nullable=False),
    Column("points", Integer, nullable=False),
    Column("owed", Integer, nullable=False),
    Column("balance", Integer, nullable=False),
    Column("member", Text, ForeignKey("members.id")),
    Column("bin", Text, nullable=False),
    Column("station", Text, nullable=False),
    Column("t_ms", Integer, nullable=False),
    Column("clock", Text, nullable=False),
    Column("clock_poor", Boolean, nullable=False),
    Column("mass_g", Integer, nullable=False),
    CheckConstraint("status = 'withdrawn'", name="status_known"),
    CheckConstraint("points <= 0 AND owed >= 0", name="takes_only"),
    CheckConstraint("(reverses IS NULL) = (owed - points = 0)", name="reverses_what_was_given"),
)

# The deposit that earned first with a label.
labels = Table(
    "labels",
    metadata,
    Column("label_hash", LargeBinary, primary_key=True),
    Column("deposit", Text, ForeignKey("deposits.id"), nullable=False),
)

# Deposits that earned with it later: turn 1 after the first was taken back, 2 after that one was.
labels_again = Table(
    "labels_again",
    metadata,
    Column("label_hash", LargeBinary, primary_key=True),
    Column("turn", Integer, primary_key=True, autoincrement=False),
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

_FOR_EVER = (
    *("transfers", "entries", "deposits", "withdrawals"),
    *("labels", "labels_again", "pass_bindings", "statement"),
)

# The house rule "entries never change" is held by the database, not by good manners.
GUARDS = tuple(
    f"CREATE TRIGGER IF NOT EXISTS {table}_no_{verb.lower()} BEFORE {verb} ON {table} "
    f"BEGIN SELECT RAISE(ABORT, '{table}: rows are for ever'); END"
    for table in _FOR_EVER
    for verb in ("UPDATE", "DELETE")
)
