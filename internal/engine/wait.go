package engine

import "time"

// How long to wait before asking again what had no answer: the first time, and at most about an attempt and for the
// gateway. In between the wait doubles.
const (
	firstWait   = 10 * time.Second
	attemptWait = time.Hour
	gatewayWait = 5 * time.Minute
	oursWait    = time.Hour // while it refuses the shop
	heldWait    = 10 * time.Minute
)

// wait is when to ask again about what had no answer.
type wait struct {
	until time.Time
	pause time.Duration
}

// longer is the wait after one more time without an answer.
func (w wait) longer(now time.Time, most time.Duration) wait {
	w.pause = min(max(2*w.pause, firstWait), most)
	w.until = now.Add(w.pause)
	return w
}

// over says whether it is time to ask.
func (w wait) over(now time.Time) bool { return !now.Before(w.until) }
