package store_test

import (
	"crypto/rand"
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
