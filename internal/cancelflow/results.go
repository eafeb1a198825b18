package cancelflow

import (
	"time"

	"perennial/internal/id"
)

// Tally is what came of some sessions. Kept and Accepted are saves.
type Tally struct {
	Sessions  int `json:"sessions"`  // that are over
	Accepted  int `json:"accepted"`  // an offer was accepted
	Kept      int `json:"kept"`      // left, or kept without an offer
	Cancelled int `json:"cancelled"` // cancelled
}

// SaveRate is the share that still subscribes, in parts of ten thousand; 0 of nothing.
func (t Tally) SaveRate() int {
	if t.Sessions == 0 {
		return 0
	}
	return (t.Accepted + t.Kept) * 10_000 / t.Sessions
}

// OfferTally is what came of an offer of a reason.
type OfferTally struct {
	Kind     string `json:"kind"`
	Shown    int    `json:"shown"`
	Accepted int    `json:"accepted"`
}

// Results is what came of the sessions of a time: of all, and by flow, reason and offer. A session without an answer is under the empty
// reason.
type Results struct {
	All     Tally
	Flows   map[id.ID]Tally
	Reasons map[id.ID]Tally
	Offers  map[id.ID]map[string]OfferTally // by reason and kind
	Running int                             // sessions that are open
}

// NewResults begins to count.
func NewResults() *Results {
	return &Results{Flows: map[id.ID]Tally{}, Reasons: map[id.ID]Tally{}, Offers: map[id.ID]map[string]OfferTally{}}
}

// Add counts a session. One that was left open for a day is counted as kept.
func (r *Results) Add(s *Session, now time.Time) {
	if s.Status == Open && now.Sub(s.StartedAt.Time) < reuse {
		r.Running++
		return
	}
	t := Tally{Sessions: 1}
	switch s.Status {
	case Saved:
		t.Accepted = 1
	case Completed:
		t.Cancelled = 1
	default:
		t.Kept = 1
	}
	r.All = r.All.plus(t)
	r.Flows[s.FlowID] = r.Flows[s.FlowID].plus(t)
	r.Reasons[s.ReasonID] = r.Reasons[s.ReasonID].plus(t)
	for _, kind := range s.Shown {
		if r.Offers[s.ReasonID] == nil {
			r.Offers[s.ReasonID] = map[string]OfferTally{}
		}
		o := r.Offers[s.ReasonID][kind]
		o.Kind, o.Shown = kind, o.Shown+1
		if s.Accepted == kind {
			o.Accepted++
		}
		r.Offers[s.ReasonID][kind] = o
	}
}

func (t Tally) plus(o Tally) Tally {
	return Tally{t.Sessions + o.Sessions, t.Accepted + o.Accepted, t.Kept + o.Kept, t.Cancelled + o.Cancelled}
}
