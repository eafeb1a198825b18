package store_test

import (
	"bytes"
	"context"
	"fmt"
	"slices"
	"testing"
	"time"

	"perennial/internal/customer"
	"perennial/internal/db"
	"perennial/internal/fault"
	"perennial/internal/id"
	"perennial/internal/journal"
	"perennial/internal/program"
	"perennial/internal/settings"
	"perennial/internal/store"
	"perennial/internal/test/shop"
)

// worths make a row of each authenticated table, and give what says whether it is worth anything.
var worths = map[string]func(t *testing.T, s *shop.Shop, who id.ID) func() bool{
	"session": func(t *testing.T, s *shop.Shop, who id.ID) func() bool {
		key, owner := s.IDs.New(id.Session), journal.Ref{Kind: journal.Customer, ID: who}
		do(t, s, journal.Bind(customer.LogIn{Session: key, CustomerID: who, Method: customer.ByCode}), func(b *store.Batch) error {
			return b.PutSession(store.Session{ID: key, Owner: owner, Viewer: "mem_x", Cause: "evt_x", Basis: "basis", ExpiresAt: b.Now.Add(time.Hour)}, "secret")
		})
		return func() bool {
			got, ok, err := s.Store.Session(t.Context(), s.Store.Read, key, "secret")
			list, lerr := s.Store.Sessions(t.Context(), s.Store.Read, owner, time.Now(), time.Time{})
			if err != nil || lerr != nil {
				t.Error(err, lerr)
			}
			if listed := slices.ContainsFunc(list, func(x store.Session) bool { return x.ID == key }); listed != (ok && !got.Ended) {
				t.Errorf("the session is listed: %v", listed)
			}
			return ok && !got.Ended
		}
	},
	"link": func(t *testing.T, s *shop.Shop, who id.ID) func() bool {
		key := s.IDs.New(id.SignIn)
		upkeep(t, s, func(b *store.Batch) error {
			return b.PutLink(store.Link{ID: key, Purpose: store.PortalLink, Owner: journal.Ref{Kind: journal.Customer, ID: who}, Basis: "basis", ExpiresAt: b.Now.Add(time.Hour)}, "secret")
		})
		return func() bool {
			l, ok, err := s.Store.Link(t.Context(), s.Store.Read, key, "secret")
			if err != nil {
				t.Error(err)
			}
			return ok && !l.Used
		}
	},
	"outbox": func(t *testing.T, s *shop.Shop, _ id.ID) func() bool {
		p := store.Posted{ID: s.IDs.New(id.Message), Cause: "cause", DueAt: time.Now().Add(-time.Hour), Body: "{}"}
		upkeep(t, s, func(b *store.Batch) error { return b.Post(p) })
		return func() bool {
			list, _, err := s.Store.DuePosts(t.Context(), s.Store.Read, time.Now(), 10)
			if err != nil {
				t.Error(err)
			}
			return slices.ContainsFunc(list, func(x store.Posted) bool { return x.ID == p.ID && x.Cause == p.Cause && x.Body == p.Body })
		}
	},
	"outbox_followed": func(t *testing.T, s *shop.Shop, _ id.ID) func() bool {
		upkeep(t, s, func(b *store.Batch) error { return b.Follow(store.Following{Next: 1, Since: 1, SinceAt: b.Now}) })
		return func() bool {
			_, how, err := s.Store.Followed(t.Context(), s.Store.Read)
			if err != nil {
				t.Error(err)
			}
			return how == store.FollowingGenuine
		}
	},
	"idempotency": func(t *testing.T, s *shop.Shop, who id.ID) func() bool {
		text := "Ada"
		ask := func() *program.Outcome {
			out, err := s.Program.Do(t.Context(), &program.Request{Meta: shop.System, Command: journal.Bind(customer.UpdateProfile{ID: who, FirstName: &text}),
				Idempotency: &program.Idempotency{CallerKey: bytes.Repeat([]byte{1}, 32), RequestHash: bytes.Repeat([]byte{2}, 32)},
				Answer: func(program.Query, *program.Outcome) (program.Reply, error) {
					return program.Reply{Status: 200, Body: []byte("once")}, nil
				}})
			if err != nil && fault.As(err).Code != "answer_unknown" && fault.As(err).Code != "idempotency_key_reused" {
				t.Error(err)
			}
			return out
		}
		ask()
		return func() bool { out := ask(); return out != nil && out.Replayed }
	},
}

func do(t *testing.T, s *shop.Shop, c journal.Command, machinery func(b *store.Batch) error) {
	t.Helper()
	if _, err := s.Program.Do(t.Context(), &program.Request{Meta: shop.System, Command: c, Machinery: machinery}); err != nil {
		t.Fatal(err)
	}
}

func upkeep(t *testing.T, s *shop.Shop, f func(b *store.Batch) error) {
	t.Helper()
	if err := s.Program.Upkeep(context.Background(), f); err != nil {
		t.Fatal(err)
	}
}

// TestWhatMachineryIsWorth goes through the catalogue of tables. Of each that is authenticated it makes a row and changes column after
// column, as whoever writes to the database can: the row is worth nothing then. A table that says nothing of what its rows are worth,
// or of which nobody knows here how to make one, fails.
func TestWhatMachineryIsWorth(t *testing.T) {
	s := shop.Open(t)
	who := s.IDs.New(id.Customer)
	s.Do(journal.Bind(customer.Create{ID: who, Email: "ada@example.org"}))
	for _, table := range store.Tables(s.DB.Engine) {
		if table.Class != store.ClassMachinery {
			continue
		}
		if table.Worth == "" || table.Guard == "" {
			t.Errorf("%s does not say what its rows are worth to who can write them", table.Name)
		}
		if table.Guard != store.GuardMAC {
			continue
		}
		make := worths[table.Name]
		if make == nil {
			t.Errorf("nobody tried what a changed row of %s is worth", table.Name)
			continue
		}
		worth := make(t, s, who)
		if !worth() {
			t.Errorf("a row of %s is worth nothing from the start", table.Name)
			continue
		}
		putBack := s.Copy(table.Name)
		rows, err := s.DB.Reader.QueryContext(t.Context(), `SELECT * FROM `+table.Name)
		if err != nil {
			t.Fatal(err)
		}
		columns, err := rows.Columns()
		if err := errorsOf(err, rows.Err(), rows.Close()); err != nil { //nolint:sqlclosecheck // in a loop
			t.Fatal(err)
		}
		for _, c := range columns {
			for _, value := range []string{`'x'`, `'2099-01-01T00:00:00.000000Z'`, `7`, `NULL`, hexOf(s.DB.Engine, "07")} {
				changed, err := s.Shell(fmt.Sprintf(`UPDATE %s SET %s = %s`, table.Name, c, value))
				if err != nil || changed == 0 {
					continue // the database refuses it
				}
				// What was NULL and is so again was not changed.
				var same bool
				if value == "NULL" {
					same = worth() && (c == "ended_at" || c == "used_at")
				}
				if !same && worth() {
					t.Errorf("a row of %s with another %s (%s) is worth as much as before", table.Name, c, value)
				}
				putBack()
				if !worth() {
					t.Fatalf("%s: the row that was put back is worth nothing", table.Name)
				}
			}
		}
		// Another row's mac.
		if _, err := s.Shell(fmt.Sprintf(`UPDATE %s SET mac = %s`, table.Name, hexOf(s.DB.Engine, "00112233445566778899aabbccddeeff00112233445566778899aabbccddeeff"))); err != nil {
			continue // the server's role may not
		}
		if worth() {
			t.Errorf("a row of %s with another mac is worth as much as before", table.Name)
		}
		putBack()
	}
}

func errorsOf(list ...error) error {
	for _, err := range list {
		if err != nil {
			return err
		}
	}
	return nil
}

func hexOf(e db.Engine, digits string) string {
	if e == db.Postgres {
		return `'\x` + digits + `'`
	}
	return `x'` + digits + `'`
}

// TestNothingIsHeldForEver writes leases and claims until 2099 for a holder that lives.
func TestNothingIsHeldForEver(t *testing.T) {
	s := shop.Open(t)
	if s.DB.Engine != db.Postgres {
		t.Skip("an embedded database has one process")
	}
	if _, err := s.Store.Lease(t.Context(), "process alive", "alive", time.Minute); err != nil {
		t.Fatal(err)
	}
	for _, text := range []string{
		`INSERT INTO lease (shop_id, name, holder, until) VALUES ($1, 'messages', 'alive', '2099-01-01')`,
		`INSERT INTO claim (shop_id, job, id, holder, until) SELECT $1, 'settings', id, 'alive', '2099-01-01' FROM settings`,
	} {
		if _, err := s.Shell(text, string(s.Store.Shop)); err != nil {
			t.Fatal(err)
		}
	}
	if ours, err := s.Store.Lease(t.Context(), "messages", "us", 30*time.Second); err != nil || !ours {
		t.Errorf("a lease until 2099 holds: %v", err)
	}
	claim := func() int {
		rows, err := s.Store.Claim(t.Context(), journal.Settings, "us", time.Minute, `id > $2`, `id`, 100, "")
		if err != nil {
			t.Fatal(err)
		}
		return len(rows)
	}
	if n := claim(); n != len(settings.Defaults("", "UTC", "EUR")) {
		t.Errorf("claims until 2099 hold: %d rows were free", n)
	}
	// What was claimed a moment ago by a holder that lives is left alone.
	if _, err := s.Shell(`UPDATE claim SET holder = 'alive'`); err != nil {
		t.Fatal(err)
	}
	if n := claim(); n != 0 {
		t.Errorf("%d rows that another has in hand were taken", n)
	}
	if _, err := s.Shell(`UPDATE lease SET until = '2099-01-01' WHERE holder = 'alive'`); err != nil {
		t.Fatal(err)
	}
	if n := claim(); n == 0 {
		t.Error("a process that lives until 2099 keeps what it has in hand")
	}
}
