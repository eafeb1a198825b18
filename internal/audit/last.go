package audit

import (
	"context"
	"time"

	"perennial/internal/journal"
	"perennial/internal/observe"
	"perennial/internal/store"
)

// Nightly is who acts when the server checks the journal by itself.
var Nightly = journal.Actor{Kind: journal.ActorSystem, ID: "verify"}

// Past is a check of the whole journal that is over, as its entry tells.
type Past struct {
	observe.Verification
	Seq int64
	At  time.Time
}

// PastChecks are the newest checks, each nil when there is none among the newest ones.
type PastChecks struct {
	Last    *Past // the newest
	Ended   *Past // the newest that came to an end
	Nightly *Past // the newest that the server made by itself, and that came to an end
}

// pastChecks is how many entries LastChecks looks back over.
const pastChecks = 200

// LastChecks reads the entries of checks from the chain that they are on, so that no index can hide one.
func LastChecks(ctx context.Context, s *store.Store) (p PastChecks, err error) {
	row, err := s.Load(ctx, s.Read, observe.Whole)
	if err != nil || row.Version == 0 {
		return p, store.Fault(err)
	}
	for seq, n := row.LastSeq, 0; seq != journal.NoPrev && n < pastChecks && p.Nightly == nil; n++ {
		st, err := s.Event(ctx, s.Read, store.Closed, seq)
		if err != nil {
			return p, store.Fault(err)
		}
		seq = st.TargetPrevSeq
		v, ok := observe.ReadVerification(st.Event)
		if !ok {
			continue
		}
		is := &Past{Verification: v, Seq: st.Seq, At: st.RecordedAt}
		if p.Last == nil {
			p.Last = is
		}
		if v.Result == observe.Unfinished {
			continue
		}
		if p.Ended == nil {
			p.Ended = is
		}
		if st.Actor.Kind == Nightly.Kind && st.Actor.ID == Nightly.ID {
			p.Nightly = is
		}
	}
	return p, nil
}
