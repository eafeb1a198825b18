package store

import (
	"fmt"
	"slices"
	"strings"

	"perennial/internal/db"
	"perennial/internal/journal"
)

// Class says by which rule a table's rows may be written. Every table has one.
type Class string

// The classes, the closed list of the design.
const (
	ClassJournal   Class = "journal"   // append only
	ClassState     Class = "state"     // a row is written with the event that names it, and never deleted
	ClassSecret    Class = "secret"    // written with its owner's event, which carries a commitment to it
	ClassMachinery Class = "machinery" // no event; Holds says what and how it is cleaned
	ClassDerived   Class = "derived"   // rebuilt from the journal; never evidence
)

// Guard is why a row of the machinery, which has no entry, gives no power to who can write to the database.
type Guard string

// The guards. storetest.Exercise holds every table to its own.
const (
	GuardMAC      Guard = "mac"      // authenticated as a whole: see authentic.go
	GuardVerified Guard = "verified" // held against the journal or a sealed value, by triggers and by verify
	GuardNone     Guard = "none"     // Worth says why it needs none
)

// Table is one row of the closed list of tables.
type Table struct {
	Name  string
	Class Class
	Kind  journal.Kind // of a state table
	Holds string       // of machinery: what it may hold, and how it is cleaned
	Guard Guard        // of machinery
	Worth string       // of machinery: what a row is worth to who can write and delete it
	// Copied says that the rows go along when a shop moves to another database.
	Copied bool
	// Writes is what the server's role may do besides reading, in PostgreSQL.
	Writes string
}

// StateKinds are the kinds that have a state table of their own, named like the kind.
var StateKinds = []journal.Kind{
	journal.Subscription, journal.Customer, journal.Address, journal.PaymentMethod, journal.Order, journal.Product, journal.Variant,
	journal.SellingPlanGroup, journal.SellingPlan, journal.Discount, journal.Settings, journal.Team, journal.TeamMember, journal.APIKey,
	journal.CancelFlow, journal.CancelReason, journal.CancelSession, journal.NotificationTemplate,
}

// HasState says whether rows of the kind are in a table of their own; the others have a row in target_head.
func HasState(k journal.Kind) bool { return slices.Contains(StateKinds, k) }

// Tables is the closed list of every table of an engine's database. The partitions of a table are part of it.
func Tables(engine db.Engine) []Table {
	list := []Table{
		{Name: "event", Class: ClassJournal, Writes: "INSERT"},
		{Name: "tree_node", Class: ClassJournal, Writes: "INSERT"},
		{Name: "checkpoint", Class: ClassJournal, Writes: "INSERT"},
		{Name: "target_head", Class: ClassState, Writes: "INSERT, UPDATE"},
		{Name: "secret", Class: ClassSecret, Writes: "INSERT, UPDATE"},
		{
			Name:   "head",
			Class:  ClassMachinery,
			Guard:  GuardVerified,
			Writes: "INSERT, UPDATE",
			Holds:  "one row a shop: the last seq and the right edge of the tree; only grows, together with event",
			Worth:  "it grows only with entries, and verify makes its edge from them",
		},
		{
			Name:   "data_key",
			Class:  ClassMachinery,
			Guard:  GuardVerified,
			Copied: true,
			Writes: "INSERT, UPDATE",
			Holds:  "wrapped data keys; a destroyed one keeps its row without the key",
			Worth:  "wrapped by the root key together with its id; verify opens the boxes with it",
		},
		{
			Name:   "reservation",
			Class:  ClassMachinery,
			Guard:  GuardVerified,
			Copied: true,
			Writes: "DELETE, INSERT",
			Holds:  "HMACs of names held by one owner; released by the change that gives the name up",
			Worth:  "verify holds it against the names that the states have",
		},
		{
			Name:   "idempotency",
			Class:  ClassMachinery,
			Guard:  GuardMAC,
			Copied: true,
			Writes: "DELETE, INSERT",
			Holds:  "sealed first answers by caller and key, unreadable once the person is erased; those of an Idempotency-Key have no expiry, what forms came to is deleted after 8 days",
			Worth:  "another answer, or that of another caller, is none; a row that was deleted lets its request be made once more, which nobody sees",
		},
		{
			Name:   "link",
			Class:  ClassMachinery,
			Guard:  GuardMAC,
			Copied: true,
			Writes: "DELETE, INSERT, UPDATE",
			Holds:  "hashes of magic links; expired ones are deleted after a day",
			Worth:  "what a use did stands in the journal or in its owner, so a row that was put back opens nothing",
		},
		{
			Name:   "session",
			Class:  ClassMachinery,
			Guard:  GuardMAC,
			Copied: true,
			Writes: "DELETE, INSERT, UPDATE",
			Holds:  "sessions: whose they are, when they were used, and a MAC that recognises the secret; deleted a day after their end",
			Worth:  "its beginning and its end are entries, and a new password ends it, so a row that was put back opens nothing; one that was hidden while a customer was signed out everywhere does",
		},
		{
			Name:   "spent",
			Class:  ClassMachinery,
			Guard:  GuardNone,
			Copied: true,
			Writes: "DELETE, INSERT",
			Holds:  "hashes of codes and challenges that were used and are good once; deleted when they are worthless",
			Worth:  "a row only takes away; what a link or a code did stands in the journal; a code of an app is worth its 90 seconds and a challenge its minutes again, beside the password or the passkey",
		},
		{
			Name:   "saved_view",
			Class:  ClassMachinery,
			Guard:  GuardNone,
			Copied: true,
			Writes: "DELETE, INSERT, UPDATE",
			Holds:  "how people of the team like to see a list; nothing of customers; deleted by its owner, or when they leave",
			Worth:  "how a list looks; whoever opens it is asked for the permission",
		},
		{
			Name:   "outbox",
			Class:  ClassMachinery,
			Guard:  GuardMAC,
			Copied: true,
			Writes: "DELETE, INSERT, UPDATE",
			Holds:  "messages: which, to which customer, what caused it, and how far it came; no address, no text; a code or a link sealed, until it is sent or over; deleted 90 days later, when what caused it cannot be told again",
			Worth:  "a message that was changed is not sent so; one that was sent has its entry; one that was taken away is made anew from its entry, a code or a link is lost",
		},
		{
			Name:   "outbox_followed",
			Class:  ClassMachinery,
			Guard:  GuardMAC,
			Copied: true,
			Writes: "INSERT, UPDATE",
			Holds:  "the seq up to which entries were looked at for messages",
			Worth:  "of a row that was changed or taken away the entries of two days are looked at again",
		},
		{Name: "goose_db_version", Class: ClassMachinery, Guard: GuardNone, Holds: "the migrations that were applied",
			Worth: "which migrations run; verify compares what they make"},
	}
	if engine == db.SQLite {
		list = append(
			list,
			Table{
				Name:  "pending",
				Class: ClassMachinery,
				Guard: GuardVerified,
				Holds: "the events of the running batch whose rows are not written yet; empty after every commit",
				Worth: "what is left in it after a commit is refused and shown",
			},
		)
	} else {
		list = append(
			list,
			Table{
				Name:   "lease",
				Class:  ClassMachinery,
				Guard:  GuardNone,
				Writes: "DELETE, INSERT, UPDATE",
				Holds:  "which process does a job that one does at a time; runs out in seconds",
				Worth:  "a job waits for minutes at most, of the day's comparison an hour: no reader believes more",
			},
			Table{
				Name:   "claim",
				Class:  ClassMachinery,
				Guard:  GuardNone,
				Writes: "DELETE, INSERT, UPDATE",
				Holds:  "which process has a due thing in hand; given back when it is done, or runs out",
				Worth:  "a due thing waits for two minutes at most: no reader believes more",
			},
			Table{Name: "posting", Class: ClassDerived, Writes: "DELETE, INSERT"},
			Table{Name: "name_word", Class: ClassDerived, Writes: "DELETE, INSERT"},
			Table{Name: "followed", Class: ClassDerived, Writes: "DELETE, INSERT, UPDATE"},
			Table{Name: "rollup", Class: ClassDerived, Writes: "DELETE, INSERT, UPDATE"},
			Table{Name: "rollup_entry", Class: ClassDerived, Writes: "DELETE, INSERT"},
			Table{Name: "rollup_state", Class: ClassDerived, Writes: "DELETE, INSERT, UPDATE"},
			Table{Name: "rollup_reason", Class: ClassDerived, Writes: "DELETE, INSERT"},
			Table{Name: "rollup_followed", Class: ClassDerived, Writes: "DELETE, INSERT, UPDATE"},
		)
	}
	for _, k := range StateKinds {
		list = append(list, Table{Name: string(k), Class: ClassState, Kind: k, Writes: "INSERT, UPDATE"})
	}
	return list
}

// quoted is a table's name in SQL: "order" is a word of the language.
func quoted(k journal.Kind) string { return `"` + string(k) + `"` }

// Trigger is one trigger of the database, with the statement that makes it.
type Trigger struct {
	Name string
	SQL  string
}

// statements are what makes the trigger, one by one.
func (t Trigger) statements() []string { return strings.Split(t.SQL, "\n--\n") }

// Extra is a trigger that the database should not have.
type Extra struct {
	Name string
	drop string
}

// Triggers gives the triggers of the embedded engine, made from the list of tables. They use only what the stock
// sqlite3 shell has, so that it gives the same refusals.
func Triggers() []Trigger {
	var out []Trigger
	add := func(table, when, body string) {
		name := table + "_" + strings.ToLower(strings.ReplaceAll(when, " ", "_"))
		out = append(out, Trigger{name, fmt.Sprintf("CREATE TRIGGER %s %s ON %q BEGIN\n%s\nEND", name, when, table, body)})
	}
	refuse := func(words string) string { return fmt.Sprintf("  SELECT RAISE(ABORT, 'perennial: %s');", words) }
	sameRow := func(table string, key ...string) string {
		conds := make([]string, len(key))
		for i, k := range key {
			conds[i] = fmt.Sprintf("%s = NEW.%s", k, k)
		}
		return fmt.Sprintf("EXISTS (SELECT 1 FROM %q WHERE rowid = NEW.rowid) OR EXISTS (SELECT 1 FROM %q WHERE %s)", table, table,
			strings.Join(conds, " AND "))
	}
	moved := func(key ...string) string {
		conds := []string{"NEW.rowid IS NOT OLD.rowid"}
		for _, k := range key {
			conds = append(conds, fmt.Sprintf("NEW.%s IS NOT OLD.%s", k, k))
		}
		return strings.Join(conds, " OR ")
	}

	// The journal.
	for _, t := range []string{"event", "tree_node", "checkpoint"} {
		add(t, "BEFORE UPDATE", refuse("the journal is append only: "+t+" cannot be updated"))
		add(t, "BEFORE DELETE", refuse("the journal is append only: "+t+" cannot be deleted"))
	}
	var rowVersion strings.Builder
	rowVersion.WriteString("CASE NEW.target_kind")
	for _, k := range StateKinds {
		fmt.Fprintf(&rowVersion, "\n        WHEN '%s' THEN (SELECT version FROM %s WHERE shop_id = NEW.shop_id AND id = NEW.target_id)",
			k, quoted(k))
	}
	rowVersion.WriteString(
		"\n        ELSE (SELECT version FROM target_head WHERE shop_id = NEW.shop_id AND kind = NEW.target_kind AND id = NEW.target_id) END")
	add("event", "BEFORE INSERT", `  SELECT CASE
    WHEN EXISTS (SELECT 1 FROM event WHERE rowid = NEW.rowid)
      THEN RAISE(ABORT, 'perennial: the journal is append only: event cannot be replaced')
    WHEN NEW.seq IS NOT ifnull((SELECT seq FROM event WHERE shop_id = NEW.shop_id ORDER BY seq DESC LIMIT 1), -1) + 1
      THEN RAISE(ABORT, 'perennial: the seq of an event must be the next one')
    WHEN NEW.recorded_at < (SELECT recorded_at FROM event WHERE shop_id = NEW.shop_id AND seq = NEW.seq - 1)
      THEN RAISE(ABORT, 'perennial: recorded_at is before the last event''s')
    WHEN NEW.target_version < 1 OR (NEW.target_version = 1) IS NOT (NEW.target_prev_seq IS NULL)
      THEN RAISE(ABORT, 'perennial: target_prev_seq belongs to every version but the first')
    WHEN NEW.target_version > 1 AND NOT EXISTS (SELECT 1 FROM event WHERE shop_id = NEW.shop_id AND seq = NEW.target_prev_seq
        AND target_kind = NEW.target_kind AND target_id = NEW.target_id AND target_version = NEW.target_version - 1)
      THEN RAISE(ABORT, 'perennial: target_prev_seq is not the event before this one of the same target')
    WHEN NEW.target_version - 1 IS NOT ifnull((SELECT version FROM pending WHERE shop_id = NEW.shop_id AND kind = NEW.target_kind AND id = NEW.target_id),
      ifnull(`+rowVersion.String()+`, 0))
      THEN RAISE(ABORT, 'perennial: target_version is not one above the target''s')
  END;`)
	add("event", "AFTER INSERT", `  DELETE FROM pending WHERE shop_id = NEW.shop_id AND kind = NEW.target_kind AND id = NEW.target_id;
  INSERT INTO pending (shop_id, kind, id, version, seq) VALUES (NEW.shop_id, NEW.target_kind, NEW.target_id, NEW.target_version, NEW.seq);`)
	add(
		"tree_node",
		"BEFORE INSERT",
		"  SELECT RAISE(ABORT, 'perennial: the journal is append only: tree_node cannot be replaced') WHERE "+sameRow("tree_node",
			"shop_id", "level", "idx")+";",
	)
	add(
		"checkpoint",
		"BEFORE INSERT",
		"  SELECT RAISE(ABORT, 'perennial: the journal is append only: checkpoint cannot be replaced') WHERE "+sameRow("checkpoint",
			"shop_id", "size")+";",
	)

	// The head closes a batch: every event of it has its row, and the head names the last one.
	closes := `  SELECT CASE
    WHEN NEW.seq IS NOT ifnull((SELECT seq FROM event WHERE shop_id = NEW.shop_id ORDER BY seq DESC LIMIT 1), -1)
      THEN RAISE(ABORT, 'perennial: the head must name the last event')
    WHEN EXISTS (SELECT 1 FROM pending WHERE shop_id = NEW.shop_id)
      THEN RAISE(ABORT, 'perennial: an event has no row: nothing shows what it changed')
  END;`
	add("head", "BEFORE INSERT", "  SELECT RAISE(ABORT, 'perennial: a shop has one head') WHERE "+sameRow("head", "shop_id")+";\n"+
		"  SELECT RAISE(ABORT, 'perennial: a database has one shop, and one head') WHERE EXISTS (SELECT 1 FROM head);\n"+closes)
	add(
		"head",
		"BEFORE UPDATE",
		"  SELECT RAISE(ABORT, 'perennial: a head only grows') WHERE "+moved(
			"shop_id")+" OR NEW.seq < OLD.seq OR NEW.recorded_at < OLD.recorded_at;\n"+
			"  SELECT RAISE(ABORT, 'perennial: this journal was moved to another database: it is closed') WHERE OLD.moved_to IS NOT NULL;\n"+closes,
	)
	add("head", "BEFORE DELETE", refuse("a head is never deleted"))

	// States.
	state := func(table, kind, idColumn string, key ...string) {
		entry := fmt.Sprintf(`NOT EXISTS (SELECT 1 FROM event WHERE shop_id = NEW.shop_id AND seq = NEW.last_seq
        AND target_kind = %s AND target_id = NEW.%s AND target_version = NEW.version)
      OR NOT EXISTS (SELECT 1 FROM pending WHERE shop_id = NEW.shop_id AND kind = %s AND id = NEW.%s AND version = NEW.version AND seq = NEW.last_seq)`, kind, idColumn, kind, idColumn)
		done := fmt.Sprintf("  DELETE FROM pending WHERE shop_id = NEW.shop_id AND kind = %s AND id = NEW.%s;", kind, idColumn)
		add(table, "BEFORE INSERT", fmt.Sprintf(`  SELECT CASE
    WHEN %s
      THEN RAISE(ABORT, 'perennial: this row of %s exists: it cannot be replaced')
    WHEN %s
      THEN RAISE(ABORT, 'perennial: nothing changes without an entry: no event names this row of %s and its version')
  END;`, sameRow(table, key...), table, entry, table))
		add(table, "AFTER INSERT", done)
		add(table, "BEFORE UPDATE", fmt.Sprintf(`  SELECT CASE
    WHEN %s
      THEN RAISE(ABORT, 'perennial: the key of a row of %s never changes')
    WHEN NEW.version <= OLD.version OR NEW.last_seq <= OLD.last_seq
      THEN RAISE(ABORT, 'perennial: nothing changes without an entry: version and last_seq of %s must grow')
    WHEN %s
      THEN RAISE(ABORT, 'perennial: nothing changes without an entry: no event names this row of %s and its version')
  END;`, moved(key...), table, table, entry, table))
		add(table, "AFTER UPDATE", done)
		add(table, "BEFORE DELETE", refuse("rows of "+table+" are never deleted"))
	}
	for _, k := range StateKinds {
		state(string(k), "'"+string(k)+"'", "id", "shop_id", "id")
	}
	state("target_head", "NEW.kind", "id", "shop_id", "kind", "id")

	// Secrets: set only together with an event of the running batch that commits to them.
	committed := `  SELECT RAISE(ABORT, 'perennial: nothing changes without an entry: no event of this batch sets this secret')
  WHERE NEW.last_seq <= ifnull((SELECT seq FROM head WHERE shop_id = NEW.shop_id), -1)
    OR NOT EXISTS (SELECT 1 FROM event WHERE shop_id = NEW.shop_id AND seq = NEW.last_seq AND target_kind = NEW.owner_kind
      AND target_id = NEW.owner_id AND target_version = NEW.version AND instr(body, '"name":"' || NEW.name || '"') > 0);`
	secretKey := []string{"shop_id", "owner_kind", "owner_id", "name"}
	add("secret", "BEFORE INSERT",
		"  SELECT RAISE(ABORT, 'perennial: this secret exists: it cannot be replaced') WHERE "+sameRow("secret", secretKey...)+";\n"+committed)
	add("secret", "BEFORE UPDATE", "  SELECT RAISE(ABORT, 'perennial: the key of a secret never changes, and its version grows') WHERE "+
		moved(secretKey...)+" OR NEW.version <= OLD.version OR NEW.last_seq <= OLD.last_seq;\n"+committed)
	add("secret", "BEFORE DELETE", refuse("secrets are never deleted"))
	return out
}
