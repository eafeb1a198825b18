package api

import (
	"sync"
	"time"

	"golang.org/x/time/rate"

	"perennial/internal/fault"
	"perennial/internal/id"
)

// limits hold how often each API key may ask. There are as many as keys that were used, and keys are not forgotten.
type limits struct {
	by sync.Map // id.ID to *rate.Limiter
}

// take counts one request. It refuses the one that comes too early, and says when it may come.
func (l *limits) take(key id.ID, perSecond int, now time.Time) error {
	if perSecond <= 0 {
		return nil
	}
	v, ok := l.by.Load(key)
	if !ok {
		v, _ = l.by.LoadOrStore(key, rate.NewLimiter(rate.Limit(perSecond), 2*perSecond))
	}
	lim := v.(*rate.Limiter)
	if lim.AllowN(now, 1) {
		return nil
	}
	f := fault.New(fault.TooMany, "too_many_requests", "This API key may ask %d times a second. Try again in a second.", perSecond)
	f.RetryAfter = time.Second
	return f
}
