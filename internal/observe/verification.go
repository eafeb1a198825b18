package observe

import (
	"time"

	"perennial/internal/id"
	"perennial/internal/journal"
)

// Outcome is what a check of the whole journal came to.
type Outcome string

// The outcomes, a closed list.
const (
	Holds      Outcome = "holds"
	Differs    Outcome = "differs"
	Unfinished Outcome = "unfinished" // it could not be told
)

// Verification is the entry of a check of the whole journal, when it is over.
type Verification struct {
	Result      Outcome `json:"result"`
	Entries     int64   `json:"entries"`
	Changes     int64   `json:"changes"` // of state, each with its entry
	Differences int64   `json:"differences"`
	Checkpoints int64   `json:"checkpoints"`      // signed over these entries, or fewer
	Root        string  `json:"root,omitzero"`    // of the tree of the entries, in hexadecimal
	Problem     Problem `json:"problem,omitzero"` // the first one
	Derived     bool    `json:"derived,omitzero"` // the index and the figures were compared too
}

// Problem says where the first difference is. What stands there may be personal, and is in the server's log alone.
type Problem struct {
	Seq   int64  `json:"seq"` // -1 when it is not about an entry
	ID    id.ID  `json:"id"`
	Field string `json:"field"`
}

// Whole is the journal as a target: all logs at once.
var Whole = journal.Ref{Kind: journal.Log, ID: "journal"}

func (Verification) Load(journal.Reader) (World, error) { return World{}, nil }

func (c Verification) Decide(World, time.Time) (journal.Decision, error) {
	return journal.Decision{Drafts: []journal.Draft{{Type: journal.LogVerified, Target: Whole, Details: c}}, Result: Whole}, nil
}

// ReadVerification reads the entry of a check; false when it is another one.
func ReadVerification(e *journal.Event) (v Verification, ok bool) {
	if e.Type != journal.LogVerified {
		return v, false
	}
	err := read(
		e,
		map[string]any{
			"result":      &v.Result,
			"entries":     &v.Entries,
			"changes":     &v.Changes,
			"differences": &v.Differences,
			"checkpoints": &v.Checkpoints,
			"root":        &v.Root,
			"problem":     &v.Problem,
			"derived":     &v.Derived,
		},
	)
	return v, err == nil
}
