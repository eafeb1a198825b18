package audit

import (
	"cmp"
	"context"
	"slices"
	"sync"
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

// PastChecks are the newest checks, each nil when there is none, and the gaps that none of them saw closed.
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

// Checks reads the entries of checks and of gaps from the chain that they are on, so that no index can hide one, and remembers what it read.
type Checks struct {
	Store *store.Store

	mu     sync.Mutex
	known  PastChecks // guarded by mu
	newest int64      // the entry of the chain up to which that is known; guarded by mu
}

// LastChecks reads them once.
func LastChecks(ctx context.Context, s *store.Store) (PastChecks, error) {
	return (&Checks{Store: s}).Last(ctx)
}

// Last gives what the newest checks came to.
func (c *Checks) Last(ctx context.Context) (PastChecks, error) {
	row, err := c.Store.Load(ctx, c.Store.Read, observe.Whole)
	if err != nil || row.Version == 0 {
		return PastChecks{}, store.Fault(err)
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.known.Version > row.Version { // an older copy took the place of the database
		c.known = PastChecks{}
	}
	if c.known.Version == row.Version {
		return c.known, nil
	}
	stop := journal.NoPrev
	if c.known.Version > 0 {
		stop = c.newest
	}
	p, settled, err := c.since(ctx, row.LastSeq, stop)
	if err != nil {
		return PastChecks{}, err
	}
	p.Last, p.Ended, p.Nightly = cmp.Or(p.Last, c.known.Last), cmp.Or(p.Ended, c.known.Ended), cmp.Or(p.Nightly, c.known.Nightly)
	if !settled {
		p.Doubt, p.Gaps = cmp.Or(p.Doubt, c.known.Doubt), p.Gaps.after(c.known.Gaps)
	}
	p.Version = row.Version
	c.known, c.newest = p, row.LastSeq
	return p, nil
}

// after gives these gaps and those that were known before.
func (g Gaps) after(was Gaps) Gaps {
	if was.Count() == 0 {
		return g
	}
	return Gaps{Hidden: slices.Concat(g.Hidden, was.Hidden), Unreadable: slices.Concat(g.Unreadable, was.Unreadable), Since: was.Since}
}

// since reads the chain back from an entry to another, or as far as it matters. It says whether a check that looked at everything, and found
// it in its place, is among them.
func (c *Checks) since(ctx context.Context, from, stop int64) (p PastChecks, settled bool, err error) {
	for seq := from; seq != journal.NoPrev && seq > stop && (p.Nightly == nil || !settled); {
		st, err := c.Store.Event(ctx, c.Store.Read, store.Closed, seq)
		if err != nil {
			return p, false, store.Fault(err)
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
		p.Last = cmp.Or(p.Last, is)
		if v.Result == observe.Unfinished {
			continue
		}
		p.Ended = cmp.Or(p.Ended, is)
		if st.Actor == Nightly {
			p.Nightly = cmp.Or(p.Nightly, is)
		}
		if settled {
			continue
		}
		if v.Result == observe.Differs {
			p.Doubt = cmp.Or(p.Doubt, is)
		}
		settled = v.Result == observe.Holds && is.all(st.Actor)
	}
	return p, settled, nil
}
