package audit_test

import (
	"testing"

	"perennial/internal/audit"
	"perennial/internal/journal"
	"perennial/internal/observe"
	"perennial/internal/program"
	"perennial/internal/server"
	"perennial/internal/test/shop"
)

// Beside a server the journal is read in pieces, and finds what one snapshot finds, while entries are made and checkpoints signed in between.
func TestPieces(t *testing.T) {
	v := base(t)
	i, err := server.Open(t.Context(), v.Config)
	check(t, err)
	defer func() { check(t, i.Close(t.Context())) }()
	whole, err := audit.Verify(t.Context(), i.Store, nil)
	check(t, err)
	grown := int64(0)
	r, err := audit.Check(t.Context(), i.Store, audit.Options{Beside: true, Piece: 11, Progress: func(done, _ int64) {
		if done%3 == 0 && grown < 40 {
			grown++
			_, err := i.Program.Do(t.Context(), &program.Request{Meta: shop.System, Command: journal.Bind(observe.Verification{Result: observe.Unfinished})})
			check(t, err)
			_, err = i.Program.Checkpoint(t.Context())
			check(t, err)
		}
	}})
	check(t, err)
	if !r.Holds() || grown == 0 || r.Entries <= whole.Entries || r.Checkpoints <= whole.Checkpoints || r.Rows != whole.Rows {
		t.Errorf("got %+v\nwhole %+v", r, whole)
	}
	again, err := audit.Verify(t.Context(), i.Store, nil)
	check(t, err)
	r, err = audit.Check(t.Context(), i.Store, audit.Options{Beside: true, Piece: 11})
	check(t, err)
	if r.Root != again.Root || r.Entries != again.Entries || r.Changes != again.Changes || r.Boxes != again.Boxes || !r.Holds() {
		t.Errorf("got %+v\nwant %+v", r, again)
	}
}
