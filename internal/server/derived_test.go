package server

import (
	"strings"
	"testing"

	"perennial/internal/journal"
	"perennial/internal/observe"
)

// The command line looks at what is derived also while a server has the files open, and says how far they are written.
func TestVerifyBesideAServer(t *testing.T) {
	c, _ := config(t.TempDir())
	i := open(t, c)
	defer func() {
		if err := i.Close(t.Context()); err != nil {
			t.Error(err)
		}
	}()
	found(t, i)
	look := func() (covered, missed string) {
		t.Helper()
		r, err := Check(t.Context(), c, true, nil)
		if err != nil || !r.Holds() || !r.Finished() {
			t.Fatalf("got %+v and %v", r, err)
		}
		return strings.Join(r.Covered, "; "), strings.Join(r.Missed, "; ")
	}
	if _, missed := look(); !strings.Contains(missed, "entries in the figures: they are not counted yet") || !strings.Contains(missed, "entries in the index of the logs") {
		t.Errorf("before anything is followed: got %q", missed)
	}
	for _, f := range []error{i.Finder.CatchUp(t.Context()), i.Analytics.CatchUp(t.Context())} {
		if f != nil {
			t.Fatal(f)
		}
	}
	covered, missed := look()
	if !strings.Contains(covered, "the figures, counted again from all entries") || strings.Contains(missed, "the figures") {
		t.Errorf("with counted figures: got %q and %q", covered, missed)
	}
	do(t, i, journal.Bind(observe.Verification{Result: observe.Unfinished}))
	if _, missed := look(); !strings.Contains(missed, "the newest 1 of ") {
		t.Errorf("after an entry more: got %q", missed)
	}
}
