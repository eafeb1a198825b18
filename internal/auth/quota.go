package auth

import (
	"sync"
	"time"

	"golang.org/x/time/rate"
)

// Quota bounds how often something may be done for each of several keys: Burst times at once, and then once Every so often. It is in
// memory: a restart forgives.
type Quota struct {
	Burst int
	Every time.Duration

	mu sync.Mutex
	by map[string]*rate.Limiter // guarded by mu
}

// Take counts one more for a key. refused, which is more than zero when it is one too many, is when the next one may be.
func (q *Quota) Take(key string, now time.Time) (refused time.Duration) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if len(q.by) > entriesKept {
		for k, lim := range q.by {
			if lim.TokensAt(now) >= float64(lim.Burst()) {
				delete(q.by, k)
			}
		}
		if len(q.by) > entriesKept/2 {
			clear(q.by)
		}
	}
	if q.by == nil {
		q.by = map[string]*rate.Limiter{}
	}
	lim := q.by[key]
	if lim == nil {
		lim = rate.NewLimiter(rate.Every(q.Every), q.Burst)
		q.by[key] = lim
	}
	r := lim.ReserveN(now, 1)
	if refused = r.DelayFrom(now); refused > 0 {
		r.CancelAt(now)
	}
	return refused
}
