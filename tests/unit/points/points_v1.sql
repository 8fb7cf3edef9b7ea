-- A points database of schema 1, as the code of commit 3b469da made it. Read by test_upgrade.py.
BEGIN TRANSACTION;
CREATE TABLE accounts (
	id TEXT NOT NULL, 
	member TEXT, 
	balance INTEGER, 
	PRIMARY KEY (id), 
	CONSTRAINT balance_not_negative CHECK (balance IS NULL OR balance >= 0), 
	CONSTRAINT members_keep_a_balance CHECK ((member IS NULL) = (balance IS NULL)), 
	UNIQUE (member), 
	FOREIGN KEY(member) REFERENCES members (id)
);
INSERT INTO "accounts" VALUES('programme:issued',NULL,NULL);
INSERT INTO "accounts" VALUES('member:M-K5VJ0J46','M-K5VJ0J46',20);
CREATE TABLE deposits (
	id TEXT NOT NULL, 
	body_hash BLOB NOT NULL, 
	decided_ms INTEGER NOT NULL, 
	status TEXT NOT NULL, 
	code TEXT NOT NULL, 
	why TEXT NOT NULL, 
	points INTEGER NOT NULL, 
	balance INTEGER NOT NULL, 
	member TEXT, 
	handle TEXT, 
	step INTEGER, 
	bin TEXT, 
	station TEXT, 
	t_ms INTEGER, 
	clock TEXT, 
	scanned_ms INTEGER, 
	clock_poor BOOLEAN NOT NULL, 
	mass_g INTEGER, 
	PRIMARY KEY (id), 
	CONSTRAINT status_known CHECK (status IN ('credited', 'refused')), 
	CONSTRAINT points_when_credited CHECK ((status = 'credited') = (points > 0)), 
	FOREIGN KEY(member) REFERENCES members (id)
);
INSERT INTO "deposits" VALUES('B-7K2QA.5f3a9c01.1',X'032653801331CD030D1903014075C749AB94526FE74F9BBAFDF4289406E7D7F2',1668153600123,'credited','','Credited.',10,10,'M-K5VJ0J46','AWPFJRAG',55605119,'B-7K2QA','S-DEMO',1668153600123,'ntp',1668153594893,0,312);
INSERT INTO "deposits" VALUES('B-7K2QA.5f3a9c01.2',X'73DCFB0B93B9A9DAD753CFE9FC99D16AA8D647701BED4F0C6D594F54C1AB3ABD',1668153600123,'credited','','Credited.',10,20,'M-K5VJ0J46','AWPFJRAG',55605119,'B-7K2QA','S-DEMO',1668153600123,'ntp',1668153594893,0,312);
INSERT INTO "deposits" VALUES('B-7K2QA.5f3a9c01.3',X'E3E22F52BE5353F8D26263FDE70ABDC929866587AB78AA30E1CFC707ED84ACFA',1668153600123,'refused','label_seen','This carton''s label has earned points before.',0,20,'M-K5VJ0J46','AWPFJRAG',55605119,'B-7K2QA','S-DEMO',1668153600123,'ntp',1668153594893,0,312);
CREATE TABLE enrolments (
	code_hash BLOB NOT NULL, 
	member TEXT NOT NULL, 
	created_ms INTEGER NOT NULL, 
	expires_ms INTEGER NOT NULL, 
	used_ms INTEGER, 
	PRIMARY KEY (code_hash), 
	FOREIGN KEY(member) REFERENCES members (id)
);
INSERT INTO "enrolments" VALUES(X'C008E2EF192092253C5F967B6629A01FD283308D4E63B98369A9E3A79C5252B4','M-K5VJ0J46',1668153600123,1668154500123,1668153600123);
CREATE TABLE entries (
	transfer TEXT NOT NULL, 
	account TEXT NOT NULL, 
	debit INTEGER NOT NULL, 
	credit INTEGER NOT NULL, 
	PRIMARY KEY (transfer, account), 
	CONSTRAINT one_side_only CHECK ((debit > 0 AND credit = 0) OR (debit = 0 AND credit > 0)), 
	FOREIGN KEY(transfer) REFERENCES transfers (id), 
	FOREIGN KEY(account) REFERENCES accounts (id)
);
INSERT INTO "entries" VALUES('deposit:B-7K2QA.5f3a9c01.1','programme:issued',10,0);
INSERT INTO "entries" VALUES('deposit:B-7K2QA.5f3a9c01.1','member:M-K5VJ0J46',0,10);
INSERT INTO "entries" VALUES('deposit:B-7K2QA.5f3a9c01.2','programme:issued',10,0);
INSERT INTO "entries" VALUES('deposit:B-7K2QA.5f3a9c01.2','member:M-K5VJ0J46',0,10);
CREATE TABLE handles (
	handle TEXT NOT NULL, 
	member TEXT NOT NULL, 
	secret BLOB NOT NULL, 
	created_ms INTEGER NOT NULL, 
	PRIMARY KEY (handle), 
	FOREIGN KEY(member) REFERENCES members (id)
);
INSERT INTO "handles" VALUES('AWPFJRAG','M-K5VJ0J46',X'3708E53117BC4EFE47F0CEA1BE284388CB08F29A',1668153600123);
CREATE TABLE labels (
	label_hash BLOB NOT NULL, 
	deposit TEXT NOT NULL, 
	PRIMARY KEY (label_hash), 
	FOREIGN KEY(deposit) REFERENCES deposits (id)
);
INSERT INTO "labels" VALUES(X'4B569D4A07B63699E571C4BEA15DC5EFE965559E88D710677D78B5028B530584','B-7K2QA.5f3a9c01.1');
INSERT INTO "labels" VALUES(X'CE6580C54070891C4E4DC869A85F9B46AD95E8179E6DF54428D467935985741C','B-7K2QA.5f3a9c01.2');
CREATE TABLE members (
	id TEXT NOT NULL, 
	name TEXT NOT NULL, 
	created_ms INTEGER NOT NULL, 
	PRIMARY KEY (id)
);
INSERT INTO "members" VALUES('M-K5VJ0J46','Lin',1668153600123);
CREATE TABLE pass_bindings (
	handle TEXT NOT NULL, 
	step INTEGER NOT NULL, 
	bin TEXT NOT NULL, 
	deposit TEXT NOT NULL, 
	PRIMARY KEY (handle, step), 
	FOREIGN KEY(handle) REFERENCES handles (handle), 
	FOREIGN KEY(deposit) REFERENCES deposits (id)
);
INSERT INTO "pass_bindings" VALUES('AWPFJRAG',55605119,'B-7K2QA','B-7K2QA.5f3a9c01.1');
CREATE TABLE sessions (
	token_hash BLOB NOT NULL, 
	handle TEXT NOT NULL, 
	created_ms INTEGER NOT NULL, 
	expires_ms INTEGER NOT NULL, 
	PRIMARY KEY (token_hash), 
	FOREIGN KEY(handle) REFERENCES handles (handle)
);
INSERT INTO "sessions" VALUES(X'161096767F19821F5348D49037911834DC9105FC4AB60E80D6467B3F3ED4E88D','AWPFJRAG',1668153600123,1668157200123);
CREATE TABLE statement (
	seq INTEGER NOT NULL PRIMARY KEY AUTOINCREMENT, 
	member TEXT NOT NULL, 
	at_ms INTEGER NOT NULL, 
	code TEXT NOT NULL, 
	points INTEGER NOT NULL, 
	balance INTEGER NOT NULL, 
	deposit TEXT, 
	FOREIGN KEY(member) REFERENCES members (id), 
	FOREIGN KEY(deposit) REFERENCES deposits (id)
);
INSERT INTO "statement" VALUES(1,'M-K5VJ0J46',1668153600123,'deposit.credited',10,10,'B-7K2QA.5f3a9c01.1');
INSERT INTO "statement" VALUES(2,'M-K5VJ0J46',1668153600123,'deposit.credited',10,20,'B-7K2QA.5f3a9c01.2');
INSERT INTO "statement" VALUES(3,'M-K5VJ0J46',1668153600123,'deposit.label_seen',0,20,'B-7K2QA.5f3a9c01.3');
CREATE TABLE transfers (
	id TEXT NOT NULL, 
	kind TEXT NOT NULL, 
	at_ms INTEGER NOT NULL, 
	PRIMARY KEY (id)
);
INSERT INTO "transfers" VALUES('deposit:B-7K2QA.5f3a9c01.1','deposit',1668153600123);
INSERT INTO "transfers" VALUES('deposit:B-7K2QA.5f3a9c01.2','deposit',1668153600123);
CREATE INDEX entries_by_account ON entries (account);
CREATE INDEX statement_by_member ON statement (member, seq);
CREATE TRIGGER transfers_no_update BEFORE UPDATE ON transfers BEGIN SELECT RAISE(ABORT, 'transfers: rows are for ever'); END;
CREATE TRIGGER transfers_no_delete BEFORE DELETE ON transfers BEGIN SELECT RAISE(ABORT, 'transfers: rows are for ever'); END;
CREATE TRIGGER entries_no_update BEFORE UPDATE ON entries BEGIN SELECT RAISE(ABORT, 'entries: rows are for ever'); END;
CREATE TRIGGER entries_no_delete BEFORE DELETE ON entries BEGIN SELECT RAISE(ABORT, 'entries: rows are for ever'); END;
CREATE TRIGGER deposits_no_update BEFORE UPDATE ON deposits BEGIN SELECT RAISE(ABORT, 'deposits: rows are for ever'); END;
CREATE TRIGGER deposits_no_delete BEFORE DELETE ON deposits BEGIN SELECT RAISE(ABORT, 'deposits: rows are for ever'); END;
CREATE TRIGGER labels_no_update BEFORE UPDATE ON labels BEGIN SELECT RAISE(ABORT, 'labels: rows are for ever'); END;
CREATE TRIGGER labels_no_delete BEFORE DELETE ON labels BEGIN SELECT RAISE(ABORT, 'labels: rows are for ever'); END;
CREATE TRIGGER pass_bindings_no_update BEFORE UPDATE ON pass_bindings BEGIN SELECT RAISE(ABORT, 'pass_bindings: rows are for ever'); END;
CREATE TRIGGER pass_bindings_no_delete BEFORE DELETE ON pass_bindings BEGIN SELECT RAISE(ABORT, 'pass_bindings: rows are for ever'); END;
CREATE TRIGGER statement_no_update BEFORE UPDATE ON statement BEGIN SELECT RAISE(ABORT, 'statement: rows are for ever'); END;
CREATE TRIGGER statement_no_delete BEFORE DELETE ON statement BEGIN SELECT RAISE(ABORT, 'statement: rows are for ever'); END;
DELETE FROM "sqlite_sequence";
INSERT INTO "sqlite_sequence" VALUES('statement',3);
COMMIT;
PRAGMA user_version=1;
