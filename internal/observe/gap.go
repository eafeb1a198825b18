package observe

import (
	"time"

	"perennial/internal/journal"
)

// FoundBy says who met a gap in a log.
type FoundBy string

// A closed list.
const (
	ByReading FoundBy = "reading" // a log that somebody read
	ByCheck   FoundBy = "check"   // a check of the whole journal
)

// FindGap is the entry of entries that a log was without.
type FindGap struct {
	By         FoundBy `json:"found_by"`
	Hidden     []int64 `json:"hidden,omitempty"`     // seqs that the index left out, and that could be read all the same
	Unreadable []int64 `json:"unreadable,omitempty"` // seqs that are named elsewhere, and that the database does not give
}

func (FindGap) Load(journal.Reader) (World, error) { return World{}, nil }

// Decide refuses nothing. It stands on the chain of the checks of the whole journal, by which no index is asked for it.
func (c FindGap) Decide(World, time.Time) (journal.Decision, error) {
	return journal.Decision{Drafts: []journal.Draft{{Type: journal.LogGapFound, Target: Whole, Details: c}}, Result: Whole}, nil
}

// ReadGap reads the entry of a gap; false when it is another one.
func ReadGap(e *journal.Event) (g FindGap, ok bool) {
	if e.Type != journal.LogGapFound {
		return g, false
	}
	err := read(e, map[string]any{"found_by": &g.By, "hidden": &g.Hidden, "unreadable": &g.Unreadable})
	return g, err == nil
}
