package program_test

import (
	"bytes"
	"context"
	"database/sql"
	"errors"
	"fmt"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"

	"perennial/internal/catalog"
	"perennial/internal/db"
	"perennial/internal/fault"
	"perennial/internal/id"
	"perennial/internal/journal"
	"perennial/internal/kinds"
	"perennial/internal/program"
	"perennial/internal/team"
	"perennial/internal/test/shop"
)

func product(s *shop.Shop, title string) (id.ID, journal.Command) {
	key := s.IDs.New(id.Product)
	return key, journal.Bind(catalog.CreateProduct{ID: key, Title: title})
}

type panics struct{}

func (panics) Run(journal.Reader, time.Time) (journal.Decision, error) { panic("a bug in a rule") }

func TestNobodyFailsForANeighbour(t *testing.T) {
	s := shop.Open(t)
	var wg sync.WaitGroup
	for n := range 300 {
		wg.Go(func() {
			switch n % 3 {
			case 0:
				if _, err := s.Try(panics{}); fault.As(err).Kind != fault.Internal {
					t.Errorf("a panicking command: got %v", err)
				}
			case 1:
				_, c := product(s, "")
				if _, err := s.Try(c); fault.As(err).Kind != fault.Refused {
					t.Errorf("a refused command: got %v", err)
				}
			default:
				key, c := product(s, fmt.Sprintf("Coffee %d", n))
				out, err := s.Try(c)
				if err != nil || len(out.Events) != 1 || out.Events[0].Target().ID != key {
					t.Errorf("an accepted command: got %+v, %v", out, err)
				}
			}
		})
	}
	wg.Wait()
	if got, want := s.Program.Head(), int64(6+100-1); got != want {
		t.Errorf("head: got %d, want %d", got, want)
	}
}

func TestACallerThatWentAwayIsNotServed(t *testing.T) {
	s := shop.Open(t)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	_, c := product(s, "Coffee")
	if _, err := s.Program.Do(ctx, &program.Request{Meta: shop.System, Command: c}); fault.As(err).Code != "cancelled" {
		t.Errorf("got %v, want cancelled", err)
	}
}

// blocks holds the writer until it is let go.
type blocks struct{ began, release chan struct{} }

func (b blocks) Run(journal.Reader, time.Time) (journal.Decision, error) {
	close(b.began)
	<-b.release
	return journal.Decision{}, nil
}

func TestAFullQueueIsRefusedWithRetryAfter(t *testing.T) {
	s := shop.Open(t)
	b := blocks{make(chan struct{}), make(chan struct{})}
	held, err := s.Program.Submit(t.Context(), &program.Request{Meta: shop.System, Command: b})
	if err != nil {
		t.Fatal(err)
	}
	<-b.began
	var waiting []program.Pending
	for range program.QueueLength {
		_, c := product(s, "Coffee")
		p, err := s.Program.Submit(t.Context(), &program.Request{Meta: shop.System, Command: c})
		if err != nil {
			t.Fatal(err)
		}
		waiting = append(waiting, p)
	}
	_, c := product(s, "One too many")
	_, err = s.Try(c)
	if f := fault.As(err); f.Code != "queue_full" || f.RetryAfter <= 0 {
		t.Errorf("got %v, want queue_full with a RetryAfter", err)
	}
	close(b.release)
	for _, p := range append(waiting, held) {
		if _, err := p.Wait(); err != nil {
			t.Error(err)
		}
	}
}

func TestIdempotency(t *testing.T) {
	s := shop.Open(t)
	do := func(title string, caller, hash string) (*program.Outcome, error) {
		_, c := product(s, title)
		return s.Program.Do(t.Context(), &program.Request{Meta: shop.System, Command: c,
			Idempotency: &program.Idempotency{CallerKey: []byte(caller), RequestHash: []byte(hash)},
			Answer: func(_ program.Query, o *program.Outcome) (program.Reply, error) {
				return program.Reply{Status: 201, ETag: `"1"`, Location: "/x", Body: []byte(o.Decision.Result.ID)}, nil
			},
			Refusal: func(err error) program.Reply {
				return program.Reply{Status: 422, Body: []byte(fault.As(err).Code)}
			},
		})
	}
	first, err := do("Coffee", "a", "1")
	if err != nil {
		t.Fatal(err)
	}
	again, err := do("Coffee", "a", "1")
	if err != nil || !again.Replayed || !bytes.Equal(again.Reply.Body, first.Reply.Body) || again.Reply.ETag != `"1"` {
		t.Errorf("the same request again: got %+v, %v, want %+v", again, err, first.Reply)
	}
	if _, err := do("Coffee", "a", "2"); fault.As(err).Code != "idempotency_key_reused" {
		t.Errorf("another request with the key: got %v", err)
	}
	if _, err := do("", "b", "1"); fault.As(err).Kind != fault.Refused {
		t.Errorf("a refused request: got %v", err)
	}
	kept, err := do("", "b", "1")
	if err != nil || !kept.Replayed || kept.Reply.Status != 422 {
		t.Errorf("a refused request again: got %+v, %v, want the kept refusal", kept, err)
	}
	// Duplicates at once: one change, one answer.
	before := s.Program.Head()
	var wg sync.WaitGroup
	bodies := make([]string, 50)
	for n := range bodies {
		wg.Go(func() {
			out, err := do("Tea", "c", "1")
			if err != nil {
				t.Error(err)
				return
			}
			bodies[n] = string(out.Reply.Body)
		})
	}
	wg.Wait()
	for _, b := range bodies {
		if b != bodies[0] {
			t.Errorf("answers differ: %q and %q", b, bodies[0])
		}
	}
	if got := s.Program.Head() - before; got != 1 {
		t.Errorf("50 duplicates made %d events", got)
	}
}

func TestOneTimePerBatchAndNeverBackwards(t *testing.T) {
	s := shop.Open(t)
	_, c := product(s, "Coffee")
	first := s.Do(c).Events[0]
	_, c = product(s, "Tea")
	second := s.Do(c).Events[0]
	if second.RecordedAt.Before(first.RecordedAt) {
		t.Errorf("recorded_at went from %v to %v", first.RecordedAt, second.RecordedAt)
	}
}

// raw opens the shop's file as the stock shell would: no code of ours between.
func raw(t *testing.T, s *shop.Shop) *sql.DB {
	t.Helper()
	driver, source := "sqlite", "file:"+filepath.Join(s.Dir, "perennial.db")+"?_pragma=busy_timeout(5000)"
	if u := shop.URL(t, s.Dir); u != "" {
		driver, source = "pgx", u
	}
	d, err := sql.Open(driver, source)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { d.Close() })
	return d
}

func TestVerifyNamesWhatWasChanged(t *testing.T) {
	for name, c := range map[string]struct{ text, field string }{
		"a byte of a body":     {`UPDATE event SET body = replace(body, 'Espresso', 'Esprezzo') WHERE seq = 8`, "leaf_hash"},
		"a leaf hash":          {`UPDATE event SET leaf_hash = zeroblob(32) WHERE seq = 8`, "leaf_hash"},
		"a body and its hash":  {`UPDATE event SET leaf_hash = (SELECT leaf_hash FROM event WHERE seq = 7), body = (SELECT body FROM event WHERE seq = 7), boxes = (SELECT boxes FROM event WHERE seq = 7) WHERE seq = 8`, "seq"},
		"a type column":        {`UPDATE event SET type = 'product.created' WHERE seq = 8`, "type"},
		"a time column":        {`UPDATE event SET recorded_at = '2099-01-01T00:00:00.000000Z' WHERE seq = 8`, "recorded_at"},
		"a target column":      {`UPDATE event SET target_id = 'prod_x' WHERE seq = 8`, "target_id"},
		"a version column":     {`UPDATE event SET target_version = 9 WHERE seq = 8`, "target_version"},
		"a chain column":       {`UPDATE event SET target_prev_seq = 1 WHERE seq = 8`, "target_prev_seq"},
		"a missing event":      {`DELETE FROM event WHERE seq = 8`, "seq"},
		"a state's document":   {`UPDATE product SET doc = replace(doc, 'Espresso', 'Esprezzo')`, "title"},
		"a state's column":     {`UPDATE product SET status = 'archived'`, "status"},
		"a state's version":    {`UPDATE product SET version = version + 1`, "version"},
		"a state's last_seq":   {`UPDATE product SET last_seq = 1`, "last_seq"},
		"a document's form":    {`UPDATE product SET schema_version = 9`, "schema_version"},
		"a missing state":      {`DELETE FROM product`, "product"},
		"a state too many":     {`INSERT INTO product SELECT shop_id, 'prod_x', version, last_seq, schema_version, status, doc, box, sealed FROM product LIMIT 1`, "product"},
		"a swapped secret":     {`UPDATE secret SET value = zeroblob(32)`, "secret api_key"},
		"a missing secret":     {`DELETE FROM secret`, "secret api_key"},
		"a sealed value":       {`UPDATE event SET boxes = zeroblob(length(boxes)) WHERE length(boxes) > 0`, "boxes"},
		"a signed checkpoint":  {`UPDATE checkpoint SET note = replace(note, 'perennial', 'perennias')`, "note"},
		"the head":             {`UPDATE head SET seq = seq - 1`, "head"},
		"the edge of the tree": {`UPDATE head SET edge = zeroblob(length(edge))`, "head"},
		"a name of another":    {`UPDATE reservation SET owner = 'disc_x'`, "reservation"},
		"a name too many":      {`INSERT INTO reservation SELECT shop_id, 'team_email', zeroblob(32), 'mem_x' FROM reservation`, "reservation"},
		"a name not held":      {`DELETE FROM reservation`, "reservation"},
		"a trigger":            {`SELECT 1`, "trigger"},
	} {
		t.Run(name, func(t *testing.T) {
			s := shop.Open(t)
			s.Broken()
			key, create := product(s, "Coffee")
			s.Do(create)
			_, create = product(s, "Tea")
			s.Do(create)
			title := "Espresso"
			if _, err := s.Program.Do(t.Context(), &program.Request{Meta: program.Meta{Actor: shop.System.Actor, Source: shop.System.Source, Comment: "a better name"},
				Command: journal.Bind(catalog.UpdateProduct{ID: key, Title: &title})}); err != nil {
				t.Fatal(err)
			}
			s.Do(journal.Bind(team.CreateKey{ID: s.IDs.New(id.APIKey), Name: "Key", Permissions: []team.Permission{team.ProductsView}, Hash: bytes.Repeat([]byte{7}, 32), Actor: shop.System.Actor}))
			s.Do(journal.Bind(catalog.CreateDiscount{ID: s.IDs.New(id.Discount), Code: "SPRING", Kind: catalog.KindPercentage, Value: 10}))
			if _, err := s.Program.Checkpoint(t.Context()); err != nil {
				t.Fatal(err)
			}
			if r := s.Verify(); !r.Holds() {
				t.Fatalf("before the damage: %v", r.Problems)
			}
			d := raw(t, s)
			if _, err := d.Exec(dropTriggers(t, d)); err != nil {
				t.Fatal(err)
			}
			if _, err := d.Exec(inSQL(c.text)); err != nil {
				t.Fatal(err)
			}
			r := s.Verify()
			if r.Holds() {
				t.Fatal("verify found nothing")
			}
			if c.field != "" && r.Problems[0].Field != c.field {
				t.Errorf("the first thing wrong: got %s, want the field %s", r.Problems[0], c.field)
			}
		})
	}
}

// inSQL gives a statement for SQLite in the SQL of the engine under test.
func inSQL(text string) string {
	if shop.Engine() == db.Postgres {
		text = regexp.MustCompile(`zeroblob\((\d+|length\(\w+\))\)`).ReplaceAllString(text, `decode(repeat('00', $1), 'hex')`)
		text = strings.Replace(text, "INSERT INTO product SELECT shop_id, 'prod_x', version, last_seq, schema_version, status, doc, box, sealed",
			"INSERT INTO product (shop_id, id, version, last_seq, schema_version, status, doc) SELECT shop_id, 'prod_x', version, last_seq, schema_version, status, doc", 1)
	}
	return text
}

// dropTriggers gives what takes away everything by which the database refuses.
func dropTriggers(t *testing.T, d *sql.DB) string {
	t.Helper()
	query := `SELECT 'DROP TRIGGER ' || name FROM sqlite_master WHERE type = 'trigger'`
	if shop.Engine() == db.Postgres {
		query = `SELECT format('DROP TRIGGER %I ON %I', t.tgname, c.relname) FROM pg_trigger t JOIN pg_class c ON c.oid = t.tgrelid WHERE NOT t.tgisinternal
			UNION ALL SELECT format('ALTER TABLE %I DROP CONSTRAINT %I', c.relname, k.conname) FROM pg_constraint k JOIN pg_class c ON c.oid = k.conrelid WHERE k.contype = 'f'`
	}
	rows, err := d.Query(query)
	if err != nil {
		t.Fatal(err)
	}
	defer rows.Close()
	var b strings.Builder
	for rows.Next() {
		var name string
		if err := rows.Scan(&name); err != nil {
			t.Fatal(err)
		}
		b.WriteString(name + ";\n")
	}
	if err := rows.Err(); err != nil {
		t.Fatal(err)
	}
	return b.String()
}

func TestAShopGoesOnAfterAReopening(t *testing.T) {
	dir := t.TempDir()
	s := shop.OpenAt(t, dir)
	s.Found()
	_, c := product(s, "Coffee")
	s.Do(c)
	s2 := shop.OpenAt(t, dir)
	_, c = product(s2, "Tea")
	if got, want := s2.Do(c).Events[0].Seq, int64(7); got != want {
		t.Errorf("seq: got %d, want %d", got, want)
	}
	// The first writer sees that the head moved under it.
	_, c = product(s, "Cocoa")
	if got, want := s.Do(c).Events[0].Seq, int64(8); got != want {
		t.Errorf("seq: got %d, want %d", got, want)
	}
}

func TestStaleVersionsAreRefused(t *testing.T) {
	s := shop.Open(t)
	key, c := product(s, "Coffee")
	s.Do(c)
	title := "Espresso"
	update := journal.Bind(catalog.UpdateProduct{ID: key, Title: &title})
	req := &program.Request{Meta: shop.System, Command: update, Target: journal.Ref{Kind: journal.Product, ID: key}, IfMatch: new(int64(7))}
	if _, err := s.Program.Do(t.Context(), req); fault.As(err).Kind != fault.Stale {
		t.Errorf("got %v, want stale", err)
	}
	req.IfMatch = new(int64(1))
	if _, err := s.Program.Do(t.Context(), req); err != nil {
		t.Error(err)
	}
	out, err := s.Program.Do(t.Context(), &program.Request{Meta: shop.System, Command: update})
	if err != nil || len(out.Events) != 0 {
		t.Errorf("a change that changes nothing: got %v, %v, want no events", out, err)
	}
}

func TestUndo(t *testing.T) {
	s := shop.Open(t)
	key, c := product(s, "Coffee")
	created := s.Do(c).Events[0]
	title, text := "Espresso", "Dark"
	renamed := s.Do(journal.Bind(catalog.UpdateProduct{ID: key, Title: &title})).Events[0]
	s.Do(journal.Bind(catalog.UpdateProduct{ID: key, Description: &text}))
	undone := s.Do(journal.Bind(kinds.Undo{Event: renamed.ID})).Events[0]
	if undone.Corrects != renamed.ID {
		t.Errorf("corrects: got %q, want %q", undone.Corrects, renamed.ID)
	}
	row, err := s.Store.Load(t.Context(), s.Store.Read, journal.Ref{Kind: journal.Product, ID: key})
	if p := row.State.(*catalog.Product); err != nil || p.Title != "Coffee" || p.Description != "Dark" {
		t.Errorf("after the undo: got %+v, %v", p, err)
	}
	for event, code := range map[id.ID]string{created.ID: "not_undoable", renamed.ID: "undone_already"} {
		if _, err := s.Try(journal.Bind(kinds.Undo{Event: event})); fault.As(err).Code != code {
			t.Errorf("got %v, want %s", err, code)
		}
	}
	second := s.Do(journal.Bind(catalog.UpdateProduct{ID: key, Title: &title})).Events[0]
	third := "Ristretto"
	s.Do(journal.Bind(catalog.UpdateProduct{ID: key, Title: &third}))
	if _, err := s.Try(journal.Bind(kinds.Undo{Event: second.ID})); fault.As(err).Code != "changed_since" {
		t.Errorf("got %v, want changed_since", err)
	}
}

func TestTimeTravel(t *testing.T) {
	s := shop.Open(t)
	key, c := product(s, "A")
	first := s.Do(c).Events[0]
	ref := journal.Ref{Kind: journal.Product, ID: key}
	var seqs []int64
	for _, title := range []string{"B", "C", "D"} {
		seqs = append(seqs, s.Do(journal.Bind(catalog.UpdateProduct{ID: key, Title: &title})).Events[0].Seq)
	}
	for seq, want := range map[int64]string{first.Seq: "A", seqs[0]: "B", seqs[1]: "C", seqs[2]: "D"} {
		row, err := s.Store.StateAt(t.Context(), s.Store.Read, ref, func(e *journal.Event) bool { return e.Seq <= seq })
		if err != nil || row.State.(*catalog.Product).Title != want {
			t.Errorf("at %d: got %+v, %v, want %s", seq, row.State, err, want)
		}
	}
	if row, err := s.Store.StateAt(t.Context(), s.Store.Read, ref, func(e *journal.Event) bool { return e.Seq < first.Seq }); err != nil || row.Version != 0 {
		t.Errorf("before it was made: got %+v, %v", row, err)
	}
}

func TestAStoppedProgramRefuses(t *testing.T) {
	s := shop.Open(t)
	if err := s.Program.Stop(); err != nil {
		t.Fatal(err)
	}
	_, c := product(s, "Coffee")
	if _, err := s.Try(c); fault.As(err).Code != "stopping" {
		t.Errorf("got %v, want stopping", err)
	}
	if errors.Is(s.Program.Stop(), nil) == false {
		t.Error("a second Stop failed")
	}
}
