package audit_test

import (
	"bytes"
	"database/sql"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"perennial/internal/audit"
	"perennial/internal/db"
	"perennial/internal/fault"
	"perennial/internal/journal"
	"perennial/internal/observe"
	"perennial/internal/privacy"
	"perennial/internal/program"
	"perennial/internal/server"
	"perennial/internal/store"
	"perennial/internal/test/pgtest"
	"perennial/internal/test/shop"
	"perennial/internal/test/upgrade"
)

// Who changes the database.
const (
	byServer = "the server's role" // with every trigger in place
	byOwner  = "the owner"         // who takes the triggers off, and puts them back as they were
	byFile   = "the file"
	byKeys   = "the keys folder"
	byWriter = "whoever writes there" // what is derived: files of their own, or tables that the server may write
)

// What comes of it, beside words of the problem that verify names.
const (
	refused  = "refused: "   // by the database, with these words
	cannotBe = "exit 2: "    // verify cannot be made; the fault has this code
	unseen   = "unseen: "    // nobody can see it; the words say why
	noted    = "not looked " // verify says that it did not look at it, with these words
	unread   = "unread: "    // verify says that it could not read it, with these words, beside what it found
)

// last begins a statement that comes after the triggers were put back.
const last = "LAST "

// sabotage is one way to change a database.
type sabotage struct {
	row  string // of docs/threat-model.md, of which this is an example
	name string
	by   string
	sql  []string                                   // {names} stand for what is in the shop; see victim.fill
	do   func(t *testing.T, v *victim, d *sql.Conn) // instead
	want string
}

// victim is a copy of the shop.
type victim struct {
	server.Config
	names map[string]string
}

func (v *victim) fill(text string) string {
	for name, value := range v.names {
		text = strings.ReplaceAll(text, "{"+name+"}", value)
	}
	return text
}

// open opens the database as the tools of its engine would.
func (v *victim) open(t *testing.T) *sql.Conn {
	t.Helper()
	driver, source := "sqlite", filepath.Join(v.Data, "perennial.db")
	if v.Database != "" {
		driver, source = "pgx", v.Database
	}
	d, err := sql.Open(driver, source)
	check(t, err)
	c, err := d.Conn(t.Context())
	check(t, err)
	t.Cleanup(func() {
		if err := errors.Join(c.Close(), d.Close()); err != nil && !errors.Is(err, sql.ErrConnDone) {
			t.Error(err)
		}
	})
	return c
}

func check(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func exec(t *testing.T, c *sql.Conn, text string) {
	t.Helper()
	if _, err := c.ExecContext(t.Context(), text); err != nil {
		t.Fatalf("%s: %v", text, err)
	}
}

func texts(t *testing.T, c *sql.Conn, query string) (out []string) {
	t.Helper()
	check(t, db.Each(t.Context(), c, func(r *sql.Rows) error {
		var s string
		err := r.Scan(&s)
		out = append(out, s)
		return err
	}, query))
	return out
}

// quiet takes every trigger off, and gives what puts them back as they were.
func quiet(t *testing.T, c *sql.Conn) (back func()) {
	t.Helper()
	if shop.Engine() == db.SQLite {
		var names []string
		made := map[string]string{}
		check(t, db.Each(t.Context(), c, func(r *sql.Rows) error {
			var name, text string
			err := r.Scan(&name, &text)
			names = append(names, name)
			made[name] = text
			return err
		}, `SELECT name, sql FROM sqlite_master WHERE type = 'trigger' ORDER BY rowid`))
		for _, name := range names {
			exec(t, c, `DROP TRIGGER `+name)
		}
		return func() {
			for _, name := range names {
				exec(t, c, made[name])
			}
		}
	}
	off := texts(t, c, `SELECT format('ALTER TABLE public.%I DISABLE TRIGGER ALL', relname) FROM pg_class WHERE relnamespace = 'public'::regnamespace AND relkind = 'r' AND NOT relispartition`)
	on := texts(t, c, `SELECT format('ALTER TABLE public.%I ENABLE TRIGGER ALL', relname) FROM pg_class WHERE relnamespace = 'public'::regnamespace AND relkind = 'r' AND NOT relispartition`)
	on = append(on, texts(t, c, `SELECT format('ALTER TABLE public.%I ENABLE ALWAYS TRIGGER %I', c.relname, g.tgname) FROM pg_trigger g JOIN pg_class c ON c.oid = g.tgrelid WHERE c.relnamespace = 'public'::regnamespace AND NOT g.tgisinternal`)...)
	for _, text := range off {
		exec(t, c, text)
	}
	return func() {
		for _, text := range on {
			exec(t, c, text)
		}
	}
}

// base makes the shop that is copied: a year of a small one, somebody who was erased, a month that ended, a check, two checkpoints.
func base(t *testing.T) *victim {
	t.Helper()
	up := upgrade.Open(t)
	now := up.Now
	c := server.Config{Data: up.Dir, Database: up.Database, Clock: func() time.Time { return now }, Log: slog.New(slog.DiscardHandler)}
	i, err := server.Open(t.Context(), c)
	check(t, err)
	meta := program.Meta{Actor: journal.Actor{Kind: journal.ActorSystem, ID: "test"}, Source: journal.Origin{Channel: journal.ChannelCLI}}
	do := func(c journal.Command) {
		t.Helper()
		_, err := i.Program.Do(t.Context(), &program.Request{Meta: meta, Command: c})
		check(t, err)
	}
	_, err = i.Program.Checkpoint(t.Context())
	check(t, err)
	do(journal.Bind(privacy.Redact{CustomerID: up.ID(t, "dispute_lost_customer"), ConfirmEmail: "dispute_lost@mail.example"}))
	r, err := audit.Verify(t.Context(), i.Store, nil)
	check(t, err)
	if !r.Holds() {
		t.Fatalf("before anything was changed: %v", r.Problems)
	}
	do(journal.Bind(observe.Verification{Result: observe.Holds, Entries: r.Entries, Changes: r.Changes, Checkpoints: r.Checkpoints, Root: fmt.Sprintf("%x", r.Root[:])}))
	_, err = i.Program.Checkpoint(t.Context())
	check(t, err)
	do(journal.Bind(observe.Verification{Result: observe.Unfinished}))
	check(t, i.Program.Upkeep(t.Context(), func(b *store.Batch) error { // a row of each table without entries
		paid, later := journal.Ref{Kind: journal.Customer, ID: up.ID(t, "paid_customer")}, now.Add(time.Hour)
		return errors.Join(b.PutSession(store.Session{ID: "ses_x", Owner: paid, ExpiresAt: later}, "secret"),
			b.PutLink(store.Link{ID: "lnk_x", Purpose: "invitation", Owner: paid, ExpiresAt: later}, "secret"),
			b.Post(store.Posted{ID: "msg_x", Cause: "cause", DueAt: later, Body: "{}"}), b.Follow(store.Following{Next: 7, SinceAt: now}),
			b.KeepAnswers([]store.Answer{{CallerKey: []byte("caller"), RequestHash: []byte("request"), Bytes: []byte("once")}}))
	}))
	check(t, i.Finder.CatchUp(t.Context()))
	check(t, i.Analytics.CatchUp(t.Context()))
	months, err := i.Store.Keys.NetworkMonths(t.Context(), i.Store.Read)
	check(t, err)
	names := map[string]string{"shop": string(i.Store.Shop), "head": fmt.Sprint(i.Program.Head()), "month": i.Store.Keys.NetworkKey(months[0]),
		"zeros": "zeroblob(32)", "erased": up.Name(t, "dispute_lost_customer"), "size": fmt.Sprint(r.Entries)}
	if c.Database != "" {
		names["zeros"] = `decode(repeat('00', 32), 'hex')`
	}
	for to, from := range map[string]string{"cus": "paid_customer", "other": "refunding_customer", "sub": "paid", "card": "paid_card", "charged": "charged"} {
		names[to] = up.Name(t, from)
	}
	check(t, i.Close(t.Context()))
	return &victim{c, names}
}

// copyOf copies a shop. The base must not be open.
func (v *victim) copyOf(t *testing.T) *victim {
	t.Helper()
	c := v.Config
	c.Data = t.TempDir()
	check(t, filepath.WalkDir(v.Data, func(path string, d os.DirEntry, err error) error {
		if err != nil {
			return err
		}
		to := filepath.Join(c.Data, strings.TrimPrefix(path, v.Data))
		if d.IsDir() {
			return os.MkdirAll(to, 0o700)
		}
		b, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		return os.WriteFile(to, b, 0o600)
	}))
	if v.Database != "" {
		u, err := pgtest.Process(t).Create(pgtest.Name(v.Database))
		check(t, err)
		c.Database = u
		t.Cleanup(func() { check(t, pgtest.Process(t).Exec("DROP DATABASE IF EXISTS "+pgtest.Name(u)+" WITH (FORCE)")) })
	}
	return &victim{c, v.names}
}

// TestSabotage changes a database in every way that we could think of, and says what comes of each: the database refuses it, verify
// names it, or nobody can see it, and why.
func TestSabotage(t *testing.T) {
	if testing.Short() {
		t.Skip("one goroutine does it all, and takes long")
	}
	whole := base(t)
	if r, err := server.Verify(t.Context(), whole.Config, nil); err != nil || !r.Holds() {
		t.Fatalf("before anything was changed: %+v, %v", r, err)
	}
	list := sabotages()
	if len(list) < 60 {
		t.Errorf("there are %d ways to change a database in this table, want 60 at least", len(list))
	}
	for _, s := range list {
		t.Run(s.by+"/"+s.name, func(t *testing.T) { s.run(t, whole.copyOf(t)) })
	}
}

func (s *sabotage) run(t *testing.T, v *victim) {
	err := s.commit(t, v)
	want, isRefused := strings.CutPrefix(s.want, refused)
	if isRefused {
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("got %v, want the database to refuse it: %s", err, want)
		}
		return
	}
	if err != nil {
		t.Fatalf("it could not be done: %v", err)
	}
	r, err := server.Check(t.Context(), v.Config, false, nil)
	if code, ok := strings.CutPrefix(s.want, cannotBe); ok {
		if err == nil || fault.As(err).Code != code || fault.As(err).Kind.ExitCode() != 2 || strings.Contains(fault.As(err).Public, "Run perennial verify") {
			t.Errorf("got %v, want the fault %s", err, code)
		}
		return
	}
	if err != nil {
		t.Fatal(err)
	}
	if words, ok := strings.CutPrefix(s.want, noted); ok {
		if !r.Holds() || !strings.Contains(strings.Join(r.Missed, "; "), v.fill(words)) {
			t.Errorf("got %v and the words %q, want nothing wrong and the words %q", r.Problems, r.Missed, words)
		}
		return
	}
	if words, ok := strings.CutPrefix(s.want, unread); ok {
		if !r.Holds() || r.Finished() || !strings.Contains(strings.Join(r.Unread, "; "), words) {
			t.Errorf("got %v and the words %q, want nothing wrong and the words %q", r.Problems, r.Unread, words)
		}
		return
	}
	if !r.Finished() {
		t.Errorf("it could not be read: %v", r.Unread)
	}
	if strings.HasPrefix(s.want, unseen) {
		if !r.Holds() {
			t.Errorf("verify sees it now: got %v; say so in this table", r.Problems)
		}
		return
	}
	s.names(t, v, r)
	if s.row == rowEntry || s.row == rowCut || s.row == rowCheckpoint || s.row == rowMoved { // as the server does at night, in pieces
		opened, done, err := server.OpenReadOnly(t.Context(), v.Config)
		check(t, err)
		defer done()
		r, err := audit.Check(t.Context(), opened, audit.Options{Beside: true, Piece: 7})
		check(t, err)
		s.names(t, v, r)
	}
}

func (s *sabotage) names(t *testing.T, v *victim, r *audit.Report) {
	t.Helper()
	for _, p := range r.Problems {
		if strings.Contains(p.String(), v.fill(s.want)) {
			return
		}
	}
	t.Errorf("got %v, want a problem with the words %q", r.Problems, v.fill(s.want))
}

// commit does it. An error is one of the database.
func (s *sabotage) commit(t *testing.T, v *victim) (err error) {
	if s.by == byKeys || s.by == byFile || s.by == byWriter {
		s.do(t, v, nil)
		return nil
	}
	c := v.open(t)
	back := func() {}
	if s.by == byOwner {
		back = quiet(t, c)
	} else if v.Database != "" {
		exec(t, c, `SET ROLE `+db.Role)
	}
	if s.do != nil {
		s.do(t, v, c)
	}
	var after []string
	for _, text := range s.sql {
		if text, ok := strings.CutPrefix(text, last); ok {
			after = append(after, text)
			continue
		}
		if _, err := c.ExecContext(t.Context(), v.fill(text)); err != nil {
			return err
		}
	}
	back()
	for _, text := range after {
		exec(t, c, v.fill(text))
	}
	if v.Database == "" { // what reads the file alone sees it too
		exec(t, c, `PRAGMA wal_checkpoint(TRUNCATE)`)
	}
	return c.Close()
}

func sabotages() []sabotage {
	list := append(journalSabotages(), rowSabotages()...)
	list = slices.Concat(list, keySabotages(), derivedSabotages(), machinerySabotages())
	if shop.Engine() == db.Postgres {
		return append(list, postgresSabotages()...)
	}
	return append(list, sqliteSabotages()...)
}

// The rows of the tables in docs/threat-model.md.
const (
	rowJournal    = "UPDATE, DELETE or REPLACE an entry, a tree node, a checkpoint"
	rowState      = "change, insert or delete a row of state"
	rowSecret     = "put in another password or API-key hash"
	rowTriggers   = "drop or change triggers, or leave a batch open"
	rowEntry      = "change an entry or its hash, with the triggers off"
	rowCut        = "cut off the newest entries, or take one out"
	rowCheckpoint = "change or delete checkpoints"
	rowSealed     = "swap or empty a ciphertext, or a wrapped key"
	rowDestroy    = "destroy a key, or bring one back"
	rowKeyColumns = "change the class or the times of a data key"
	rowShop       = "make a second shop, or put in rows of another one"
	rowMoved      = "say that the shop was moved"
	rowNames      = "take, free or give away a name that is held"
	rowIndex      = "leave rows out of an index, or drop one"
	rowSchema     = "add or change a table, column, view, rule, function, owner or grant"
	rowHidden     = "hide rows from the server's role"
	rowDerived    = "change or delete what is derived: the index, the names, the figures"
	rowFile       = "damage the file"
	rowErased     = "put a person on the list of erased keys"
	rowMachinery  = "empty or change machinery"
	rowForge      = "append an entry that keeps every rule"
)

func journalSabotages() []sabotage {
	return []sabotage{
		{rowJournal, "update an entry", byServer, []string{`UPDATE event SET type = 'customer.created' WHERE seq = 5`}, nil, refused + deniedOr("event cannot be updated")},
		{rowJournal, "delete an entry", byServer, []string{`DELETE FROM event WHERE seq = {head}`}, nil, refused + deniedOr("event cannot be deleted")},
		{rowJournal, "update a tree node", byServer, []string{`UPDATE tree_node SET hash = {zeros}`}, nil, refused + deniedOr("tree_node cannot be updated")},
		{rowJournal, "delete a checkpoint", byServer, []string{`DELETE FROM checkpoint`}, nil, refused + deniedOr("checkpoint cannot be deleted")},
		{rowTriggers, "an entry without its row", byServer, []string{`INSERT INTO event SELECT shop_id, seq + 1, recorded_at, type, target_kind, target_id, target_version + 1, seq, leaf_hash, body, boxes FROM event WHERE seq = {head}`,
			`UPDATE head SET seq = seq + 1`}, nil, refused + map[db.Engine]string{db.SQLite: "an event has no row", db.Postgres: "not closed by the head"}[shop.Engine()]},
		{rowEntry, "a byte of a body", byOwner, []string{`UPDATE event SET body = replace(body, '"setup"', '"setuq"') WHERE seq = 2`}, nil, "seq 2, "},
		{rowEntry, "a leaf hash", byOwner, []string{`UPDATE event SET leaf_hash = {zeros} WHERE seq = 8`}, nil, "field leaf_hash"},
		{rowEntry, "the body and hash of another entry", byOwner, []string{`UPDATE event SET leaf_hash = (SELECT leaf_hash FROM event WHERE seq = 7), body = (SELECT body FROM event WHERE seq = 7), boxes = (SELECT boxes FROM event WHERE seq = 7) WHERE seq = 8`}, nil, "seq 8, "},
		{rowEntry, "the type", byOwner, []string{`UPDATE event SET type = 'product.created' WHERE seq = 3`}, nil, "field type"},
		{rowEntry, "the time", byOwner, []string{`UPDATE event SET recorded_at = '2099-01-01T00:00:00.000000Z' WHERE seq = 8`}, nil, "field recorded_at"},
		{rowEntry, "the chain", byOwner, []string{`UPDATE event SET target_prev_seq = target_prev_seq - 1 WHERE seq = (SELECT max(seq) FROM event WHERE target_prev_seq > 0)`}, nil, "field target_prev_seq"},
		{rowEntry, "the seq", byOwner, []string{`UPDATE event SET seq = seq + 1000000 WHERE seq = {head}`}, nil, "field seq"},
		{rowEntry, "the shop", byOwner, []string{`UPDATE event SET shop_id = 'shop_zzzzzzzz' WHERE seq = {head}`}, nil, "field event: the table has rows of this shop"},
		{rowCut, "an entry in the middle", byOwner, []string{`DELETE FROM event WHERE seq = 9`}, nil, "seq 9, "},
		{rowCut, "the last entry", byOwner, []string{`DELETE FROM event WHERE seq = {head}`}, nil, "field head"},
		{rowCut, "half of the journal, and the head with it", byOwner, []string{`DELETE FROM event WHERE seq > 100`, `UPDATE head SET seq = 100`, `DELETE FROM checkpoint`}, nil, "it was signed over"},
		{rowCut, "the edge of the tree", byOwner, []string{`UPDATE head SET edge = (SELECT leaf_hash FROM event WHERE seq = 1)`}, nil, "field head"},
		{rowCut, "the head's time", byOwner, []string{`UPDATE head SET recorded_at = '2001-01-01T00:00:00.000000Z'`}, nil, "field head.recorded_at"},
		{rowCut, "a tree node", byOwner, []string{`UPDATE tree_node SET hash = {zeros} WHERE idx = 0`}, nil, "tree_node"},
		{rowCut, "a tree node that is gone", byOwner, []string{`DELETE FROM tree_node`}, nil, "the node is missing"},
		{rowCut, "a tree node too many", byOwner, []string{`INSERT INTO tree_node SELECT shop_id, level, idx + 1000, hash FROM tree_node WHERE idx = 0`}, nil, "the tree has no such node"},
		{rowCheckpoint, "its text", byOwner, []string{`UPDATE checkpoint SET note = replace(note, 'perennial/', 'perennial:')`}, nil, "field note"},
		{rowCheckpoint, "its root", byOwner, []string{`UPDATE checkpoint SET root = {zeros}`}, nil, "another tree than its row"},
		{rowCheckpoint, "its time, to none", byOwner, []string{`UPDATE checkpoint SET signed_at = 'yesterday'`}, nil, "field signed_at"},
		{rowCheckpoint, "its time, to before its entries", byOwner, []string{`UPDATE checkpoint SET signed_at = '2001-01-01T00:00:00.000000Z'`}, nil, "field signed_at"},
		{rowCheckpoint, "all deleted", byOwner, []string{`DELETE FROM checkpoint`}, nil, "an entry of a check counted"},
		{rowCheckpoint, "the newest deleted", byOwner, []string{`DELETE FROM checkpoint WHERE size = (SELECT max(size) FROM checkpoint)`}, nil, "the database lost it"},
		{rowCheckpoint, "the oldest deleted", byOwner, []string{`DELETE FROM checkpoint WHERE size = (SELECT min(size) FROM checkpoint)`}, nil, "an entry of a check counted"},
		{rowShop, "a second head, with the triggers", byServer, []string{`INSERT INTO head (shop_id, seq, recorded_at, edge, fingerprint) SELECT 'shop_00000000', -1, recorded_at, edge, fingerprint FROM head`}, nil, refused + "a database has one shop"},
		{rowShop, "a second head before the first", byOwner, []string{`INSERT INTO head (shop_id, seq, recorded_at, edge, fingerprint) SELECT 'shop_00000000', -1, recorded_at, edge, fingerprint FROM head`}, nil, "shop_00000000, field head"},
		{rowShop, "a second head after the first", byOwner, []string{`INSERT INTO head (shop_id, seq, recorded_at, edge, fingerprint) SELECT 'shop_zzzzzzzz', -1, recorded_at, edge, fingerprint FROM head`}, nil, "shop_zzzzzzzz, field head"},
		{rowShop, "the keys of another shop", byOwner, []string{`UPDATE head SET fingerprint = '00000000000000000000000000000000'`}, nil, cannotBe + "wrong_keys"},
		{rowMoved, "moved", byServer, []string{`UPDATE head SET moved_to = 'elsewhere'`}, nil, "field head.moved_to"},
		{rowMoved, "moved, and the entries cut", byOwner, []string{`DELETE FROM event WHERE seq > 100`, `UPDATE head SET seq = 100, moved_to = 'elsewhere'`}, nil, "it was signed over"},
		{rowForge, "the operator's word that a restored database is right", byServer, nil, accept, "no checkpoint in the keys folder covers it"},
		{rowForge, "a new entry with everything that belongs to it", byServer, nil, forge, unseen + "whoever may write can append; only what was signed cannot be changed"},
	}
}

// accept forges the operator's word by which a cut journal would be a restored one, and takes the checkpoint away that a clean end signs.
func accept(t *testing.T, v *victim, _ *sql.Conn) {
	file := filepath.Join(v.Data, "keys", v.fill("checkpoint-{shop}"))
	last, err := os.ReadFile(file)
	check(t, err)
	i, err := server.Open(t.Context(), v.Config)
	check(t, err)
	_, err = i.Program.Do(t.Context(), &program.Request{Meta: shop.System, Command: journal.Bind(observe.AcceptRestore{Shop: i.Store.Shop, Found: "database_behind", Ours: 10, Signed: 5000,
		Root: "kz8=", Since: journal.At(v.Clock()), Operator: observe.Operator{By: "nobody", Because: "it is forged"}})})
	check(t, err)
	check(t, i.Close(t.Context()))
	check(t, os.WriteFile(file, last, 0o600))
}

// machinerySabotages empty every table of which no check can say what should be in it, with what that is worth.
func machinerySabotages() (list []sabotage) {
	for _, t := range store.Tables(shop.Engine()) {
		if t.Class == store.ClassMachinery && (t.Guard == store.GuardMAC || t.Guard == store.GuardNone) && t.Name != "goose_db_version" {
			list = append(list, sabotage{rowMachinery, "empty " + t.Name, byOwner, []string{`DELETE FROM ` + t.Name}, nil, unseen + t.Worth})
		}
	}
	return append(list, []sabotage{
		{rowMachinery, "the session of somebody else", byServer, []string{`UPDATE session SET owner_id = '{other}'`}, nil, "ses_x, field session.mac"},
		{rowMachinery, "a session without end", byServer, []string{`UPDATE session SET expires_at = '2099-01-01T00:00:00.000000Z'`}, nil, "ses_x, field session.mac"},
		{rowMachinery, "a session that somebody made", byServer, []string{`INSERT INTO session SELECT shop_id, 'ses_y', mac, opens, owner_kind, '{other}', viewer, cause, basis, created_at, seen_at, expires_at, ended_at FROM session`}, nil, "ses_y, field session.mac"},
		{rowMachinery, "a link that was used, unused again", byServer, []string{`UPDATE link SET used_at = '2027-01-01T00:00:00.000000Z'`}, nil, "lnk_x, field link.mac"},
		{rowMachinery, "a link that somebody made", byServer, []string{`INSERT INTO link SELECT shop_id, 'lnk_y', {zeros}, {zeros}, purpose, owner_kind, '{other}', basis, expires_at, used_at FROM link`}, nil, "lnk_y, field link.mac"},
		{rowMachinery, "a message to somebody else", byServer, []string{`UPDATE outbox SET body = '{"customer":"{other}"}'`}, nil, "msg_x, field outbox.mac"},
		{rowMachinery, "a message that was not sent, and says so", byServer, []string{`UPDATE outbox SET state = 'sent', due_at = NULL`}, nil, "msg_x, field outbox.mac"},
		{rowMachinery, "how far the messages have come", byServer, []string{`UPDATE outbox_followed SET next = 1000000`}, nil, "next 1000000, field outbox_followed.mac"},
		{rowMachinery, "the answer to another request", byServer, []string{`INSERT INTO idempotency (shop_id, caller_key, request_hash, key_id, answer, created_at, mac) SELECT shop_id, {zeros}, request_hash, key_id, answer, created_at, mac FROM idempotency`}, nil, "caller_key 00000000, field idempotency.mac"},
		{rowMachinery, "a message without a MAC", byServer, []string{`UPDATE outbox SET mac = NULL`}, nil, unseen + "it may be of a build that wrote none; it is sent by nobody, and the running server tells of it"},
	}...)
}

// deniedOr gives the words of a refusal: by grants in PostgreSQL, by a trigger in SQLite.
func deniedOr(trigger string) string {
	if shop.Engine() == db.Postgres {
		return "permission denied"
	}
	return trigger
}

// forge appends an entry by the program's own means, as somebody who has them could, in the name of the system.
func forge(t *testing.T, v *victim, _ *sql.Conn) {
	i, err := server.Open(t.Context(), v.Config)
	check(t, err)
	_, err = i.Program.Do(t.Context(), &program.Request{Meta: shop.System, Command: journal.Bind(observe.Verification{Result: observe.Unfinished})})
	check(t, err)
	check(t, i.Close(t.Context()))
}

func rowSabotages() []sabotage {
	return []sabotage{
		{rowState, "change a row", byServer, []string{`UPDATE subscription SET due_date = NULL`}, nil, refused + "nothing changes without an entry"},
		{rowState, "delete a row", byServer, []string{`DELETE FROM customer`}, nil, refused + deniedOr("never deleted")},
		{rowState, "a column", byOwner, []string{`UPDATE subscription SET due_date = NULL WHERE id = '{sub}'`}, nil, "field due_date"},
		{rowState, "a NULL that becomes a text", byOwner, []string{`UPDATE "order" SET open_attempt = '<nil>' WHERE open_attempt IS NULL`}, nil, "field open_attempt"},
		{rowState, "a customer of another", byOwner, []string{`UPDATE subscription SET customer_id = '{other}' WHERE id = '{sub}'`}, nil, "field customer_id"},
		{rowState, "the money that was paid", byOwner, []string{`UPDATE "order" SET paid = 0`}, nil, "field paid"},
		{rowState, "a document", byOwner, []string{`UPDATE subscription SET doc = replace(doc, '"quantity":1', '"quantity":2') WHERE id = '{sub}'`}, nil, "{sub}, field"},
		{rowState, "the form of a document", byOwner, []string{`UPDATE customer SET schema_version = 99 WHERE id = '{cus}'`}, nil, "field schema_version"},
		{rowState, "a version", byOwner, []string{`UPDATE customer SET version = version + 1 WHERE id = '{cus}'`}, nil, "{cus}, field version"},
		{rowState, "a place in the journal", byOwner, []string{`UPDATE customer SET last_seq = last_seq - 1 WHERE id = '{cus}'`}, nil, "{cus}, field last_seq"},
		{rowState, "a row that is gone", byOwner, []string{`DELETE FROM payment_method WHERE id = '{card}'`}, nil, "{card}, field payment_method: the row is missing"},
		{rowState, "a row too many", byOwner, []string{`INSERT INTO product (shop_id, id, version, last_seq, schema_version, status, doc) SELECT shop_id, 'prod_x', version, last_seq, schema_version, status, doc FROM product LIMIT 1`}, nil, "no entry ever made this row"},
		{rowState, "the head of a thing that is observed", byOwner, []string{`UPDATE target_head SET version = version + 1`}, nil, "field target_head"},
		{rowState, "a head that is gone", byOwner, []string{`DELETE FROM target_head`}, nil, "the row is missing"},
		{rowState, "a head too many", byOwner, []string{`INSERT INTO target_head SELECT shop_id, kind, 'x', version, last_seq FROM target_head LIMIT 1`}, nil, "no entry ever made this row"},
		{rowSecret, "with the triggers", byServer, []string{`UPDATE secret SET value = {zeros}`}, nil, refused + "secret"},
		{rowSecret, "a password", byOwner, []string{`UPDATE secret SET value = {zeros}`}, nil, "not the value that the entry committed to"},
		{rowSecret, "a salt", byOwner, []string{`UPDATE secret SET salt = {zeros}`}, nil, "not the value that the entry committed to"},
		{rowSecret, "a secret that is gone", byOwner, []string{`DELETE FROM secret`}, nil, "the secret that this entry set is missing"},
		{rowSecret, "a version", byOwner, []string{`UPDATE secret SET last_seq = last_seq + 1`}, nil, "it was last set at"},
		{rowSealed, "the ciphertexts of an entry", byOwner, []string{`UPDATE event SET boxes = (SELECT boxes FROM event WHERE seq = (SELECT max(seq) FROM event WHERE target_id = '{other}' AND length(boxes) > 0)) WHERE seq = (SELECT max(seq) FROM event WHERE target_id = '{cus}' AND length(boxes) > 0)`}, nil, "field boxes"},
		{rowSealed, "no ciphertext", byOwner, []string{`UPDATE customer SET sealed = NULL WHERE id = '{cus}'`}, nil, "{cus}, field sealed"},
		{rowSealed, "the boxes of two people", byOwner, []string{`UPDATE customer SET box = (SELECT box FROM customer WHERE id = '{other}'), sealed = (SELECT sealed FROM customer WHERE id = '{other}') WHERE id = '{cus}'`}, nil, "{cus}, field box"},
		{rowSealed, "the keys of two people", byServer, []string{`UPDATE data_key SET wrapped = (SELECT wrapped FROM data_key WHERE id = '{other}') WHERE id = '{cus}'`}, nil, "{cus}, field data_key.wrapped"},
		{rowNames, "a name that is freed", byServer, []string{`DELETE FROM reservation WHERE owner = '{cus}'`}, nil, "is not held"},
		{rowNames, "a name that is given away", byOwner, []string{`UPDATE reservation SET owner = '{other}' WHERE owner = '{cus}'`}, nil, "field reservation"},
		{rowNames, "a name that is taken", byServer, []string{`INSERT INTO reservation (shop_id, scope, hash, owner) VALUES ('{shop}', 'customer_email', {zeros}, '{cus}')`}, nil, "its entries do not give it"},
		{rowShop, "a state of another shop", byOwner, []string{`INSERT INTO product (shop_id, id, version, last_seq, schema_version, status, doc) SELECT 'shop_zzzzzzzz', id, version, last_seq, schema_version, status, doc FROM product LIMIT 1`}, nil, "shop_zzzzzzzz, field product"},
		{rowShop, "a session of another shop", byServer, []string{`INSERT INTO spent (shop_id, hash, expires_at) VALUES ('shop_00000000', {zeros}, '2099-01-01T00:00:00.000000Z')`}, nil, "shop_00000000, field spent"},
		{rowMachinery, "messages that are never sent", byServer, []string{`UPDATE outbox_followed SET next = next + 1000000`, `DELETE FROM outbox`}, nil, "field outbox_followed.mac"},
		{rowMachinery, "codes that are good again", byServer, []string{`DELETE FROM spent`}, nil, unseen + "machinery has no entry"},
		{rowMachinery, "answers that are forgotten", byServer, []string{`DELETE FROM idempotency`}, nil, unseen + "machinery has no entry; a change under its key is made again"},
		{rowMachinery, "views that are lost", byServer, []string{`DELETE FROM saved_view`}, nil, unseen + "machinery has no entry"},
	}
}

func keySabotages() []sabotage {
	erase := func(key string) func(*testing.T, *victim, *sql.Conn) {
		return func(t *testing.T, v *victim, _ *sql.Conn) {
			f, err := os.OpenFile(filepath.Join(v.Data, "keys", "erased"), os.O_APPEND|os.O_WRONLY, 0)
			check(t, err)
			_, err = io.WriteString(f, v.fill(key)+"\n")
			check(t, errors.Join(err, f.Close()))
		}
	}
	return []sabotage{
		{rowDestroy, "of a person", byServer, []string{`UPDATE data_key SET wrapped = NULL, destroyed_at = '2027-01-01T00:00:00.000000Z' WHERE id = '{cus}'`}, nil, "{cus}, field data_key: it was destroyed, and no entry destroyed it"},
		{rowDestroy, "of a person, and the names", byServer, []string{`UPDATE data_key SET wrapped = NULL, destroyed_at = '2027-01-01T00:00:00.000000Z' WHERE id = '{cus}'`, `DELETE FROM reservation WHERE owner = '{cus}'`}, nil, "no entry destroyed it"},
		{rowDestroy, "of a month", byServer, []string{`UPDATE data_key SET wrapped = NULL, destroyed_at = '2027-01-01T00:00:00.000000Z' WHERE id = '{month}'`}, nil, "{month}, field data_key: it was destroyed, and no entry destroyed it"},
		{rowDestroy, "without saying when", byServer, []string{`UPDATE data_key SET wrapped = NULL WHERE id = '{month}'`}, nil, "{month}, field data_key.wrapped"},
		{rowDestroy, "the row of one", byOwner, []string{`DELETE FROM data_key WHERE id = '{cus}'`}, nil, "data key {cus} is missing"},
		{rowDestroy, "one that was destroyed is there again", byServer, []string{`UPDATE data_key SET wrapped = (SELECT wrapped FROM data_key WHERE id = '{cus}'), destroyed_at = NULL WHERE id = '{erased}'`}, nil, "it is there again"},
		{rowKeyColumns, "the class", byServer, []string{`UPDATE data_key SET class = 'person' WHERE id = '{month}'`}, nil, "{month}, field data_key.class"},
		{rowKeyColumns, "when it was made", byServer, []string{`UPDATE data_key SET created_at = 'long ago' WHERE id = '{cus}'`}, nil, "field data_key.created_at"},
		{rowKeyColumns, "when it was destroyed", byServer, []string{`UPDATE data_key SET destroyed_at = '2027-01-01T00:00:00.000000Z' WHERE id = '{erased}'`}, nil, "field data_key.destroyed_at"},
		{rowKeyColumns, "when it was destroyed, to no time", byServer, []string{`UPDATE data_key SET destroyed_at = 'now' WHERE id = '{erased}'`}, nil, "field data_key.destroyed_at"},
		{rowErased, "a customer", byKeys, nil, erase("{cus}"), "{cus}, field data_key: it is on the list of erased keys"},
		{rowErased, "a month", byKeys, nil, erase("{month}"), noted + "{month} is on the list of erased keys"},
		{rowCheckpoint, "the one in the keys folder is gone", byKeys, nil, func(t *testing.T, v *victim, _ *sql.Conn) {
			check(t, os.Remove(filepath.Join(v.Data, "keys", v.fill("checkpoint-{shop}"))))
		}, noted + "the keys folder has no last checkpoint"},
		{rowCheckpoint, "the one in the keys folder is another text", byKeys, nil, func(t *testing.T, v *victim, _ *sql.Conn) {
			change(t, filepath.Join(v.Data, "keys", v.fill("checkpoint-{shop}")), "\n"+v.fill("{size}")+"\n", "\n7\n")
		}, "last checkpoint in the keys folder, field note"},
	}
}

// derived changes what is derived: in a file beside SQLite, or in the tables of PostgreSQL.
func derived(file string, list ...string) func(*testing.T, *victim, *sql.Conn) {
	return func(t *testing.T, v *victim, _ *sql.Conn) {
		if v.Database != "" {
			c := v.open(t)
			exec(t, c, `SET ROLE `+db.Role)
			for _, text := range list {
				exec(t, c, v.fill(text))
			}
			check(t, c.Close())
			return
		}
		d, err := sql.Open("sqlite", filepath.Join(v.Data, file))
		check(t, err)
		for _, text := range list {
			if _, err := d.ExecContext(t.Context(), v.fill(text)); err != nil {
				t.Fatalf("%s: %v", text, err)
			}
		}
		check(t, d.Close())
	}
}

func derivedSabotages() []sabotage {
	return []sabotage{
		{rowDerived, "a sum of the figures", byWriter, nil, derived("analytics.db", `UPDATE rollup SET amount = amount + 100 WHERE figure = 'mrr.new' AND product = ''`), "mrr.new on "},
		{rowDerived, "how many subscriptions run", byWriter, nil, derived("analytics.db", `UPDATE rollup SET count = count + 1 WHERE figure = 'gauge.running' AND product = ''`), "gauge.running on "},
		{rowDerived, "all sums", byWriter, nil, derived("analytics.db", `DELETE FROM rollup`), "the sum is 0 times 0"},
		{rowDerived, "a sale, with its sum", byWriter, nil, derived("analytics.db", `DELETE FROM rollup_entry WHERE figure LIKE 'sales.%'`, `DELETE FROM rollup WHERE figure LIKE 'sales.%'`), "does not count this entry"},
		{rowDerived, "what the figures know of a subscription", byWriter, nil, derived("analytics.db", `DELETE FROM rollup_state WHERE id = '{sub}'`), "{sub}, field figures of the reports: the figures do not know it"},
		{rowDerived, "the orders to come", byWriter, nil, derived("analytics.db", `UPDATE rollup_state SET due = '[]', covered = '9999-12-31'`, `DELETE FROM rollup WHERE figure = 'due'`), "its orders to come are not what its schedule says"},
		{rowDerived, "that the figures are counted", byWriter, nil, derived("analytics.db", `DELETE FROM rollup_followed`), noted + "entries in the figures: they are not counted yet"},
		{rowDerived, "the words of people", byWriter, nil, derived("find.db", `DELETE FROM name_word`), "{cus}, field index of the logs"},
	}
}

// change puts a text in the place of another in a file, or fails.
func change(t *testing.T, file, from, to string) {
	t.Helper()
	b, err := os.ReadFile(file)
	check(t, err)
	after := bytes.Replace(b, []byte(from), []byte(to), 1)
	if bytes.Equal(after, b) {
		after = append([]byte("x"), b...)
	}
	check(t, os.WriteFile(file, after, 0o600))
}

// hole makes an index leave out the row of a subscription, and its text say nothing of it.
func hole(index, columns, where string) func(*testing.T, *victim, *sql.Conn) {
	return func(t *testing.T, v *victim, c *sql.Conn) {
		was := texts(t, c, `SELECT sql FROM sqlite_master WHERE name = '`+index+`'`)[0]
		set := func(text string) {
			exec(t, c, `PRAGMA writable_schema = ON`)
			exec(t, c, `UPDATE sqlite_master SET sql = '`+strings.ReplaceAll(text, "'", "''")+`' WHERE name = '`+index+`'`)
			exec(t, c, `PRAGMA writable_schema = RESET`)
		}
		set(v.fill(`CREATE INDEX ` + index + ` ON subscription (` + columns + `) WHERE ` + where))
		exec(t, c, `REINDEX `+index)
		set(was)
	}
}

// flip changes a byte of the file where a text is for the n-th time, beginning with 0.
func flip(text string, n int) func(*testing.T, *victim, *sql.Conn) {
	return func(t *testing.T, v *victim, _ *sql.Conn) {
		file := filepath.Join(v.Data, "perennial.db")
		b, err := os.ReadFile(file)
		check(t, err)
		at := 0
		for range n + 1 {
			i := bytes.Index(b[at:], []byte(v.fill(text)))
			if i < 0 {
				t.Fatalf("the file has no %q", text)
			}
			at += i + 1
		}
		b[at+3] ^= 1
		check(t, os.WriteFile(file, b, 0o600))
	}
}

func sqliteSabotages() []sabotage {
	return []sabotage{
		{rowTriggers, "dropped", byServer, []string{`DROP TRIGGER event_before_update`}, nil, "event_before_update, field trigger"},
		{rowTriggers, "changed", byServer, []string{`DROP TRIGGER event_before_update`, `CREATE TRIGGER event_before_update BEFORE UPDATE ON event BEGIN SELECT 1; END`}, nil, "event_before_update, field trigger"},
		{rowTriggers, "one more", byServer, []string{`CREATE TRIGGER helpful AFTER INSERT ON session BEGIN DELETE FROM spent; END`}, nil, "helpful, field trigger"},
		{rowTriggers, "a batch that was left open", byServer, []string{`INSERT INTO pending (shop_id, kind, id, version, seq) VALUES ('{shop}', 'customer', '{cus}', 99, 1)`}, nil, "field pending"},
		{rowIndex, "what is due", byServer, nil, hole("subscription_due", "shop_id, due_date, id", "id <> '{charged}'"), "subscription_due, field index"},
		{rowIndex, "a customer's list", byServer, nil, hole("subscription_customer", "shop_id, customer_id, id", "customer_id <> '{cus}'"), "subscription_customer, field index"},
		{rowIndex, "dropped", byServer, []string{`DROP INDEX order_open`}, nil, "index order_open, field schema"},
		{rowIndex, "of other columns", byServer, []string{`DROP INDEX order_customer`, `CREATE INDEX order_customer ON "order" (shop_id, id)`}, nil, "index order_customer, field schema"},
		{rowIndex, "one more", byServer, []string{`CREATE UNIQUE INDEX once ON outbox (shop_id)`}, nil, "index once, field schema"},
		{rowSchema, "a view", byServer, []string{`CREATE VIEW helpful AS SELECT 1`}, nil, "view helpful, field schema"},
		{rowSchema, "a table", byServer, []string{`CREATE TABLE helpful (x)`}, nil, "table helpful, field schema"},
		{rowSchema, "a column", byServer, []string{`ALTER TABLE customer ADD COLUMN helpful TEXT`}, nil, "table customer, field schema"},
		{rowSchema, "a table that is not strict", byServer, []string{`PRAGMA writable_schema = ON`, `UPDATE sqlite_master SET sql = replace(sql, ') STRICT', ')') WHERE name = 'customer'`, `PRAGMA writable_schema = RESET`}, nil, "table customer, field schema"},
		{rowDerived, "a block of postings", byWriter, nil, derived("find.db", `DELETE FROM run_block`), "the index of the logs: postings: damaged"},
		{rowDerived, "all postings", byWriter, nil, derived("find.db", `DELETE FROM run`), noted + "entries in the index of the logs: they are not written into it yet"},
		{rowDerived, "no index", byFile, nil, removed("find.db"), noted + "the index of the logs: there is no find.db"},
		{rowDerived, "no figures", byFile, nil, removed("analytics.db"), noted + "the figures: there is no analytics.db"},
		{rowDerived, "an index that cannot be read", byFile, nil, scribbled("find.db"), unread + "the index of the logs: "},
		{rowDerived, "figures that cannot be read", byFile, nil, scribbled("analytics.db"), unread + "the figures: "},
		{rowFile, "the shop of an entry, in the table", byFile, nil, flip("{shop}2", 0), "field index"},
		{rowFile, "the first page", byFile, nil, func(t *testing.T, v *victim, _ *sql.Conn) { overwrite(t, v, 100, 60) }, cannotBe + "database_damaged"},
		{rowFile, "the middle", byFile, nil, func(t *testing.T, v *victim, _ *sql.Conn) {
			info, err := os.Stat(filepath.Join(v.Data, "perennial.db"))
			check(t, err)
			overwrite(t, v, info.Size()/2/8192*8192, 8*8192)
		}, cannotBe + "database_damaged"},
		{rowFile, "the end", byFile, nil, func(t *testing.T, v *victim, _ *sql.Conn) {
			file := filepath.Join(v.Data, "perennial.db")
			info, err := os.Stat(file)
			check(t, err)
			check(t, os.Truncate(file, info.Size()/2))
		}, cannotBe + "database_damaged"},
	}
}

// removed removes a file of the data folder.
func removed(name string) func(*testing.T, *victim, *sql.Conn) {
	return func(t *testing.T, v *victim, _ *sql.Conn) { check(t, os.Remove(filepath.Join(v.Data, name))) }
}

// scribbled fills a file of the data folder with nothing.
func scribbled(name string) func(*testing.T, *victim, *sql.Conn) {
	return func(t *testing.T, v *victim, _ *sql.Conn) {
		check(t, os.WriteFile(filepath.Join(v.Data, name), bytes.Repeat([]byte("nothing "), 4096), 0o600))
	}
}

func overwrite(t *testing.T, v *victim, at int64, n int) {
	t.Helper()
	f, err := os.OpenFile(filepath.Join(v.Data, "perennial.db"), os.O_WRONLY, 0)
	check(t, err)
	_, err = f.WriteAt(bytes.Repeat([]byte{0xa5}, n), at)
	check(t, errors.Join(err, f.Close()))
}

func postgresSabotages() []sabotage {
	return []sabotage{
		{rowTriggers, "dropped", byOwner, []string{`LAST DROP TRIGGER event_before_update ON event`}, nil, "event_before_update, field trigger"},
		{rowTriggers, "off", byOwner, []string{`LAST ALTER TABLE event DISABLE TRIGGER event_before_update`}, nil, "event_before_update, field trigger"},
		{rowTriggers, "not always", byOwner, []string{`LAST ALTER TABLE event ENABLE TRIGGER event_before_update`}, nil, "event_before_update, field trigger"},
		{rowTriggers, "another function", byOwner, []string{`CREATE OR REPLACE FUNCTION event_before_update() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NEW; END'`}, nil, "event_before_update, field trigger"},
		{rowTriggers, "one more", byOwner, []string{`LAST CREATE TRIGGER helpful BEFORE INSERT ON spent FOR EACH ROW EXECUTE FUNCTION event_before_update()`}, nil, "helpful, field trigger"},
		{rowTriggers, "the key to the journal", byOwner, []string{`ALTER TABLE customer DROP CONSTRAINT customer_entry`}, nil, "customer_entry, field trigger"},
		{rowTriggers, "the key to the journal, not validated", byOwner, []string{`ALTER TABLE customer DROP CONSTRAINT customer_entry`,
			`ALTER TABLE customer ADD CONSTRAINT customer_entry FOREIGN KEY (shop_id, last_seq, kind, id, version) REFERENCES event (shop_id, seq, target_kind, target_id, target_version) NOT VALID`}, nil, "customer.customer_entry, field schema"},
		{rowTriggers, "the key to the journal, to itself", byOwner, []string{`ALTER TABLE customer DROP CONSTRAINT customer_entry`,
			`ALTER TABLE customer ADD CONSTRAINT customer_entry FOREIGN KEY (shop_id, id) REFERENCES customer (shop_id, id)`}, nil, "customer.customer_entry, field schema"},
		{rowHidden, "by a policy", byOwner, []string{`ALTER TABLE subscription ENABLE ROW LEVEL SECURITY`, `CREATE POLICY hide ON subscription TO perennial_app USING (id <> '{sub}')`}, nil, "{sub}, field subscription: the row is missing"},
		{rowHidden, "by a policy, as the owner sees it", byOwner, []string{`ALTER TABLE session ENABLE ROW LEVEL SECURITY`, `INSERT INTO spent (shop_id, hash, expires_at) VALUES ('{shop}', {zeros}, '2099-01-01T00:00:00.000000Z')`,
			`ALTER TABLE spent ENABLE ROW LEVEL SECURITY`}, nil, "spent, field rows: the server's role sees 0 rows"},
		{rowHidden, "a policy without row security", byOwner, []string{`CREATE POLICY hide ON subscription USING (true)`}, nil, "policy subscription.hide, field schema"},
		{rowHidden, "a view in the place of a table", byOwner, []string{`LAST ALTER TABLE saved_view RENAME TO saved_views`, `LAST CREATE VIEW saved_view AS SELECT * FROM saved_views`, `LAST GRANT SELECT ON saved_view TO perennial_app`}, nil, cannotBe + "schema_incomplete"},
		{rowSchema, "a rule", byOwner, []string{`CREATE RULE keep AS ON DELETE TO spent DO INSTEAD NOTHING`}, nil, "rule spent.keep, field schema"},
		{rowSchema, "a view", byOwner, []string{`CREATE VIEW helpful AS SELECT 1 AS x`}, nil, "view helpful, field schema"},
		{rowSchema, "a table", byOwner, []string{`CREATE TABLE helpful (x int)`}, nil, "table helpful, field schema"},
		{rowSchema, "a table that is inherited from", byOwner, []string{`CREATE SCHEMA elsewhere`, `CREATE TABLE elsewhere.more () INHERITS (spent)`}, nil, "table spent, field schema"},
		{rowSchema, "a column", byOwner, []string{`ALTER TABLE customer ADD COLUMN helpful text`}, nil, "column customer.helpful, field schema"},
		{rowSchema, "a column that may be missing", byOwner, []string{`ALTER TABLE customer ALTER COLUMN status DROP NOT NULL`}, nil, "column customer.status, field schema"},
		{rowSchema, "a default", byOwner, []string{`ALTER TABLE outbox ALTER COLUMN state SET DEFAULT 'sent'`}, nil, "column outbox.state, field schema"},
		{rowSchema, "a condition", byOwner, []string{`ALTER TABLE outbox ADD CONSTRAINT never CHECK (id <> 'x')`}, nil, "constraint outbox.never, field schema"},
		{rowSchema, "a table that a crash empties", byOwner, []string{`ALTER TABLE outbox SET UNLOGGED`}, nil, "table outbox, field schema"},
		{rowSchema, "a function", byOwner, []string{`CREATE FUNCTION helpful() RETURNS int LANGUAGE sql SECURITY DEFINER AS 'SELECT 1'`}, nil, "function helpful(), field schema"},
		{rowSchema, "the function that makes partitions", byOwner, []string{`CREATE OR REPLACE FUNCTION perennial_posting_partition(n bigint) RETURNS void LANGUAGE plpgsql SECURITY DEFINER AS 'BEGIN END'`}, nil, "function perennial_posting_partition(n bigint), field schema"},
		{rowSchema, "an event trigger", byOwner, []string{`CREATE FUNCTION told() RETURNS event_trigger LANGUAGE plpgsql AS 'BEGIN END'`, `CREATE EVENT TRIGGER told ON ddl_command_end EXECUTE FUNCTION told()`}, nil, "event trigger told, field schema"},
		{rowSchema, "an owner", byOwner, []string{`LAST GRANT CREATE ON SCHEMA public TO perennial_app`, `LAST ALTER TABLE outbox OWNER TO perennial_app`, `LAST REVOKE CREATE ON SCHEMA public FROM perennial_app`}, nil, "outbox, field owner"},
		{rowSchema, "a grant", byOwner, []string{`GRANT UPDATE ON event TO perennial_app`}, nil, "event, field grant"},
		{rowSchema, "a grant on a column", byOwner, []string{`GRANT UPDATE (body) ON event TO perennial_app`}, nil, "event, field grant"},
		{rowSchema, "a grant to everybody", byOwner, []string{`GRANT DELETE ON checkpoint TO PUBLIC`}, nil, "checkpoint, field grant"},
		{rowSchema, "a grant to somebody else", byOwner, []string{`GRANT INSERT ON link TO pg_monitor`}, nil, "link, field grant"},
		{rowSchema, "a schema in which the server may make things", byOwner, []string{`GRANT CREATE ON SCHEMA public TO perennial_app`}, nil, "public, field grant"},
		{rowSchema, "a partition with a policy", byOwner, []string{`ALTER TABLE posting_1 ENABLE ROW LEVEL SECURITY`}, nil, "posting_1, field schema"},
		{rowDerived, "all postings", byServer, []string{`DELETE FROM posting`}, nil, "field index of the logs"},
		{rowIndex, "dropped", byOwner, []string{`DROP INDEX order_open`}, nil, "index order_open, field schema"},
		{rowIndex, "of other columns", byOwner, []string{`DROP INDEX order_customer`, `CREATE INDEX order_customer ON "order" (shop_id, id)`}, nil, "index order_customer, field schema"},
		{rowIndex, "one more", byOwner, []string{`CREATE UNIQUE INDEX once ON outbox (shop_id)`}, nil, "index once, field schema"},
		{rowIndex, "that nobody reads by", byOwner, []string{`UPDATE pg_index SET indisvalid = false WHERE indexrelid = 'subscription_due'::regclass`}, nil, "index subscription_due, field schema"},
		{rowIndex, "what is due", byOwner, pgHole, nil, "subscription_due, field index"},
		{rowIndex, "what is due, seen by amcheck", byOwner, append([]string{`CREATE EXTENSION amcheck`}, pgHole...), nil, "subscription_due, field index: amcheck says"},
		{rowMachinery, "a lease until 2099", byServer, []string{`INSERT INTO lease (shop_id, name, holder, until) VALUES ('{shop}', 'billing', 'nobody', '2099-01-01')`}, nil, unseen + "machinery has no entry; a holder that is not alive loses it"},
		{rowMachinery, "a claim until 2099", byServer, []string{`INSERT INTO claim (shop_id, job, id, holder, until) VALUES ('{shop}', 'charge', '{sub}', 'nobody', '2099-01-01')`}, nil, unseen + "machinery has no entry; a holder that is not alive loses it"},
	}
}

// pgHole writes a row while an index is not kept, and says that it was.
var pgHole = []string{
	`UPDATE pg_index SET indisready = false WHERE indexrelid = 'subscription_due'::regclass`,
	`CREATE TEMP TABLE was AS SELECT due_date FROM subscription WHERE id = '{charged}'`,
	`UPDATE subscription SET due_date = '2099-01-01' WHERE id = '{charged}'`,
	`UPDATE subscription SET due_date = (SELECT due_date FROM was) WHERE id = '{charged}'`,
	`UPDATE pg_index SET indisready = true WHERE indexrelid = 'subscription_due'::regclass`,
}

// Each row of the threat model's first table has an example above, on one engine at least.
func TestEveryRowHasASabotage(t *testing.T) {
	b, err := os.ReadFile("../../docs/threat-model.md")
	check(t, err)
	_, text, _ := strings.Cut(string(b), "| they do | what happens |\n|---|---|\n")
	text, _, _ = strings.Cut(text, "\n\n")
	has := map[string]bool{}
	for _, s := range slices.Concat(journalSabotages(), rowSabotages(), keySabotages(), derivedSabotages(), sqliteSabotages(), postgresSabotages()) {
		has[s.row] = true
	}
	rows := map[string]bool{}
	for line := range strings.Lines(text) {
		row := strings.TrimSpace(strings.Split(line, "|")[1])
		if rows[row] = true; !has[row] {
			t.Errorf("nothing in the table of sabotages is an example of the row %q", row)
		}
	}
	for row := range has {
		if !rows[row] {
			t.Errorf("docs/threat-model.md has no row %q", row)
		}
	}
}
