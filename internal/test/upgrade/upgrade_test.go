package upgrade_test

import (
	"crypto/rand"
	"testing"

	"perennial/internal/db"
	"perennial/internal/journal"
	"perennial/internal/subscription"
	"perennial/internal/test/shop"
	"perennial/internal/test/upgrade"
)

// The shop of the build before opens, holds what it held, and its whole journal checks (at the end, by shop.OpenWith).
func TestOpen(t *testing.T) {
	old := upgrade.Open(t)
	s := shop.OpenWith(t, old.Dir, old.Clock(0), rand.Reader, db.Options{})
	row, err := s.Store.Load(t.Context(), s.Store.Read, journal.Ref{Kind: journal.Subscription, ID: old.ID(t, "failed")})
	if err != nil {
		t.Fatal(err)
	}
	if got, ok := row.State.(*subscription.Subscription); !ok || got.Status != subscription.Failed {
		t.Errorf("got %+v", row.State)
	}
	if s.Program.Head() != 645 {
		t.Errorf("the last entry is %d", s.Program.Head())
	}
}
