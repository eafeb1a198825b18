package store_test

import (
	"bytes"
	"crypto/rand"
	"crypto/sha256"
	"sync/atomic"
	"testing"
	"time"

	"perennial/internal/customer"
	"perennial/internal/db"
	"perennial/internal/id"
	"perennial/internal/journal"
	"perennial/internal/program"
	"perennial/internal/store"
	"perennial/internal/test/shop"
)

// The hash of a portal link goes a day after the link has ended; its entry stays.
func TestPortalLinksAreSwept(t *testing.T) {
	var at atomic.Int64
	begin := time.Date(2027, 3, 1, 9, 0, 0, 0, time.UTC)
	at.Store(begin.Unix())
	s := shop.OpenWith(t, t.TempDir(), func() time.Time { return time.Unix(at.Load(), 0) }, rand.Reader, db.Options{})
	s.Found()
	ada := s.IDs.New(id.Customer)
	s.Do(journal.Bind(customer.Create{ID: ada, Email: "ada@example.org"}))
	for _, expires := range []time.Time{begin.Add(10 * time.Minute), begin.Add(48 * time.Hour)} {
		c := customer.PortalLink{CustomerID: ada, SignInID: s.IDs.New(id.SignIn), ExpiresAt: expires}
		if _, err := s.Program.Do(t.Context(), &program.Request{Meta: shop.System, Command: journal.Bind(c), Machinery: func(b *store.Batch) error {
			return b.PutLink(store.Link{ID: c.SignInID, Purpose: store.PortalLink, Owner: journal.Ref{Kind: journal.Customer, ID: ada}, ExpiresAt: expires}, "secret")
		}}); err != nil {
			t.Fatal(err)
		}
	}
	head := s.Program.Head()
	for _, step := range []struct {
		after time.Duration
		left  int
	}{{0, 2}, {11 * time.Minute, 2}, {24*time.Hour + 9*time.Minute, 2}, {24*time.Hour + 11*time.Minute, 1}, {73 * time.Hour, 0}} {
		at.Store(begin.Add(step.after).Unix())
		err := s.Program.Exclusive(t.Context(), func(w *store.Writer) error {
			b, err := w.Begin(t.Context(), s.Program.Now())
			if err != nil {
				return err
			}
			defer b.Rollback()
			if err := b.SweepSignIn(time.Hour); err != nil {
				return err
			}
			return b.Commit()
		})
		if err != nil {
			t.Fatal(err)
		}
		var left int
		if err := s.DB.Reader.QueryRowContext(t.Context(), `SELECT count(*) FROM link WHERE shop_id = $1`, s.Store.Shop).Scan(&left); err != nil || left != step.left {
			t.Errorf("after %v: %d links, %v, want %d", step.after, left, err, step.left)
		}
	}
	if s.Program.Head() != head {
		t.Error("the sweep made an entry")
	}
}

// What a form came to goes after 8 days; a kept answer to an Idempotency-Key does not.
func TestFormsAreSwept(t *testing.T) {
	var at atomic.Int64
	begin := time.Date(2027, 3, 1, 9, 0, 0, 0, time.UTC)
	at.Store(begin.Unix())
	s := shop.OpenWith(t, t.TempDir(), func() time.Time { return time.Unix(at.Load(), 0) }, rand.Reader, db.Options{})
	s.Found()
	ada := s.IDs.New(id.Customer)
	s.Do(journal.Bind(customer.Create{ID: ada, Email: "ada@example.org"}))
	rename := func(name string) *program.Request {
		return &program.Request{Meta: shop.System, Command: journal.Bind(customer.UpdateProfile{ID: ada, FirstName: &name})}
	}
	form := sha256.Sum256([]byte("a form"))
	if _, err := s.Program.DoOnce(t.Context(), rename("Ada"), form); err != nil {
		t.Fatal(err)
	}
	key := rename("Augusta")
	key.Idempotency = &program.Idempotency{CallerKey: bytes.Repeat([]byte{1}, 20), RequestHash: bytes.Repeat([]byte{2}, 32)}
	key.Answer = func(program.Query, *program.Outcome) (program.Reply, error) {
		return program.Reply{Status: 200, Body: []byte("{}")}, nil
	}
	if _, err := s.Program.Do(t.Context(), key); err != nil {
		t.Fatal(err)
	}
	for _, step := range []struct {
		after time.Duration
		left  int
	}{{0, 2}, {7 * 24 * time.Hour, 2}, {8*24*time.Hour + time.Minute, 1}, {400 * 24 * time.Hour, 1}} {
		at.Store(begin.Add(step.after).Unix())
		if err := s.Program.Upkeep(t.Context(), func(b *store.Batch) error { return b.SweepForms() }); err != nil {
			t.Fatal(err)
		}
		var left int
		if err := s.DB.Reader.QueryRowContext(t.Context(), `SELECT count(*) FROM idempotency WHERE shop_id = $1`, s.Store.Shop).Scan(&left); err != nil || left != step.left {
			t.Errorf("after %v: %d answers, %v, want %d", step.after, left, err, step.left)
		}
		if step.left == 2 {
			if out, err := s.Program.DoOnce(t.Context(), rename("Ada"), form); err != nil || !out.Replayed {
				t.Errorf("after %v the form is done again: %v", step.after, err)
			}
		}
	}
}
