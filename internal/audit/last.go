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

// PastChecks are the newest checks, each nil when there is none among the newest ones, and the gaps that none of them saw closed.
type PastChecks struct {
	Last    *Past // the newest
	Ended   *Past // the newest that came to an end
	Nightly *Past // the newest that the server made by itself, and that came to an end
	// Doubt is the newest that found a difference, unless one that looked at all that the server looks at found none since.
	Doubt   *Past
	Gaps    Gaps
	Version int64 // of the chain that all this was read from
}

// Gaps are entries that logs were without, and that no check has found in their places since.
type Gaps struct {
	Hidden     []int64 // by the index
	Unreadable []int64 // by the database
	Since      time.Time
}

// Count is how many entries that are.
func (g Gaps) Count() int64 { return int64(len(g.Hidden) + len(g.Unreadable)) }

// all says whether a check looked at all that the server looks at each night. Entries of builds that did not say so are told by who made them.
func (p *Past) all(actor journal.Actor) bool { return p.Derived || actor == Nightly }

// pastChecks is how many entries LastChecks looks back over.
const pastChecks = 200

// LastChecks reads the entries of checks and of gaps from the chain that they are on, so that no index can hide one.
func LastChecks(ctx context.Context, s *store.Store) (p PastChecks, err error) {
	row, err := s.Load(ctx, s.Read, observe.Whole)
	if err != nil || row.Version == 0 {
		return p, store.Fault(err)
	}
	p.Version = row.Version
	settled := false
	for seq, n := row.LastSeq, 0; seq != journal.NoPrev && n < pastChecks && (p.Nightly == nil || !settled); n++ {
		st, err := s.Event(ctx, s.Read, store.Closed, seq)
		if err != nil {
			return p, store.Fault(err)
		}
		seq = st.TargetPrevSeq
		if g, ok := observe.ReadGap(st.Event); ok && !settled {
			p.Gaps.Hidden, p.Gaps.Unreadable, p.Gaps.Since = append(p.Gaps.Hidden, g.Hidden...), append(p.Gaps.Unreadable, g.Unreadable...), st.RecordedAt
		}
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
		if p.Nightly == nil && st.Actor == Nightly {
			p.Nightly = is
		}
		if settled {
			continue
		}
		if p.Doubt == nil && v.Result == observe.Differs {
			p.Doubt = is
		}
		settled = v.Result == observe.Holds && is.all(st.Actor)
	}
	return p, nil
}
