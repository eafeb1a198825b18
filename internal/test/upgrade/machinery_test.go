package upgrade_test

import (
	"context"
	"crypto/rand"
	"fmt"
	"iter"
	"log/slog"
	"testing"
	"time"

	"perennial/internal/db"
	"perennial/internal/id"
	"perennial/internal/journal"
	"perennial/internal/mail"
	"perennial/internal/notify"
	"perennial/internal/store"
	"perennial/internal/test/shop"
	"perennial/internal/test/upgrade"
)

// sent is a mail server that takes everything.
type sent map[string]int

func (s sent) Send(_ context.Context, m mail.Message) error {
	s[m.ID]++
	return nil
}

// first starts this build on what the one before left, runs its messages, and gives the shop and what was sent.
func first(t *testing.T, rows func(s *upgrade.Shop, d *db.DB)) (*shop.Shop, sent) {
	t.Helper()
	old := upgrade.OpenAfter(t, rows)
	s := shop.OpenWith(t, old.Dir, old.Clock(time.Hour), rand.Reader, db.Options{})
	post := sent{}
	n := notify.New(notify.Config{Program: s.Program, Store: s.Store, Mail: post, Log: slog.New(slog.DiscardHandler), Portal: "https://shop.example/portal",
		Links: func(notify.Link) (string, error) { return "https://shop.example/portal/quick/x", nil },
		SignIns: func(context.Context, id.ID, int64) iter.Seq2[*journal.Event, error] {
			return func(func(*journal.Event, error) bool) {}
		}})
	for range 3 {
		if err := n.Run(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	return s, post
}

func exec(t *testing.T, d *db.DB, text string, args ...any) {
	t.Helper()
	if _, err := d.Writer.ExecContext(t.Context(), text, args...); err != nil {
		t.Fatalf("%s: %v", text, err)
	}
}

const shopID = "shop_zk9xhspz"

func causes(t *testing.T, s *shop.Shop) (out []string) {
	t.Helper()
	rows, err := s.Store.Read.QueryContext(t.Context(), `SELECT cause FROM outbox WHERE state = 'sent' ORDER BY id`)
	if err != nil {
		t.Fatal(err)
	}
	defer rows.Close()
	for rows.Next() {
		var c string
		if err := rows.Scan(&c); err != nil {
			t.Fatal(err)
		}
		out = append(out, c)
	}
	if err := rows.Err(); err != nil {
		t.Fatal(err)
	}
	return out
}

// TestTheFirstStart holds what docs/operations.md says of it: rows without entries of the build before have no MAC. What waited and tells of an
// entry of the last two days is sent, once; what was sent is not sent again; a code is dropped; sessions and links are over; an answer from
// before is refused; and none of it is taken for somebody's who writes beside the program.
func TestTheFirstStart(t *testing.T) {
	followed := func(d *db.DB) { exec(t, d, `INSERT INTO outbox_followed (shop_id, next) VALUES ($1, 646)`, shopID) }
	control, all := first(t, func(_ *upgrade.Shop, d *db.DB) { followed(d) })
	news := causes(t, control)
	if len(news) < 3 || len(all) != len(news) {
		t.Fatalf("%d messages tell of the last two days, %d were sent: too few for this test", len(news), len(all))
	}
	s, got := first(t, func(old *upgrade.Shop, d *db.DB) {
		followed(d)
		at := old.Now.Add(-time.Minute).Format(journal.TimeLayout)
		later := old.Now.Add(24 * time.Hour).Format(journal.TimeLayout)
		post := func(n int, cause, state string, due any, body string) {
			exec(t, d, `INSERT INTO outbox (shop_id, id, cause, state, due_at, body) VALUES ($1, $2, $3, $4, $5, $6)`, shopID,
				id.Of(id.Message, old.Now.Add(time.Duration(n)*time.Second-time.Hour), [32]byte{byte(n)}), cause, state, due, body)
		}
		for n, cause := range news {
			switch n {
			case 0: // it waited
				post(n, cause, "queued", at, `{"name":"subscription_created"}`)
			case 1: // the build before had not come to it
			default:
				post(n, cause, "sent", nil, `{"name":"subscription_created"}`)
			}
		}
		post(50, "code", "queued", at, `{"name":"login_code","customer":"`+old.Name(t, "paid_customer")+`","secret":"x"}`)
		hash := make([]byte, 32)
		exec(t, d, `INSERT INTO session (shop_id, id, mac, owner_kind, owner_id, created_at, seen_at, expires_at) VALUES ($1, 'ses_x', $2, 'customer', $3, $4, $4, $5)`,
			shopID, hash, old.Name(t, "paid_customer"), at, later)
		exec(t, d, `INSERT INTO link (shop_id, token_hash, sign_in_id, owner_id, expires_at) VALUES ($1, $2, 'sgn_x', $3, $4)`, shopID, hash, old.Name(t, "paid_customer"), later)
		exec(t, d, `INSERT INTO team_link (shop_id, id, mac, purpose, owner_id, expires_at) VALUES ($1, 'lnk_x', $2, 'invitation', 'mem_x', $3)`, shopID, hash, later)
		exec(t, d, `INSERT INTO idempotency (shop_id, caller_key, request_hash, key_id, answer, created_at) VALUES ($1, $2, $2, '', $3, $4)`, shopID, hash, []byte("answer"), at)
	})
	if len(got) != 2 {
		t.Errorf("%d messages were sent, want the one that waited and the one that was not looked at", len(got))
	}
	for m, n := range got {
		if n != 1 {
			t.Errorf("%s was sent %d times", m, n)
		}
	}
	for _, table := range []string{"session", "link"} {
		var n int
		if err := s.Store.Read.QueryRowContext(t.Context(), `SELECT count(*) FROM `+table).Scan(&n); err != nil || n != 0 {
			t.Errorf("%d rows of %s are left: %v", n, table, err)
		}
	}
	err := s.Program.Exclusive(t.Context(), func(w *store.Writer) error {
		b, err := w.Begin(t.Context(), time.Now())
		if err != nil {
			return err
		}
		defer b.Rollback()
		a, err := b.FindAnswer(make([]byte, 32))
		if err == nil && (a == nil || !a.Unknown || a.Answer != nil) {
			t.Errorf("an answer of the build before is %+v", a)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	if n := s.Store.ForgedTables(); len(n) > 0 {
		t.Errorf("rows of the build before are taken for somebody's: %s", fmt.Sprint(s.Store.Forged()))
	}
}
