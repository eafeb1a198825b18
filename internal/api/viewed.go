package api

import (
	"context"
	"sync"
	"time"

	"perennial/internal/journal"
	"perennial/internal/observe"
	"perennial/internal/program"
)

// viewed remembers who looked at which log in the running hour, so that each of them has one entry an hour. It is only
// in memory: after a restart an hour may have a second entry, which says nothing wrong.
type viewed struct {
	mu     sync.Mutex
	hour   time.Time          // guarded by mu
	seen   map[glance]bool    // guarded by mu; of that hour
	closed bool               // guarded by mu; nothing is recorded any more
	work   sync.WaitGroup     // entries that are being made; added to only under mu while not closed
	ctx    context.Context    // of the entries: a reader that goes away leaves the entry behind
	cancel context.CancelFunc // ends what is still waiting for the writer
}

// glance is somebody's look at a log.
type glance struct {
	key string
	log journal.Ref
}

func (v *viewed) init() {
	v.seen = map[glance]bool{}
	v.ctx, v.cancel = context.WithCancel(context.Background())
}

// first says whether this is the first look of the hour; work then counts the entry that is due.
func (v *viewed) first(g glance, now time.Time) bool {
	v.mu.Lock()
	defer v.mu.Unlock()
	if hour := now.Truncate(time.Hour); !hour.Equal(v.hour) {
		v.hour = hour
		clear(v.seen)
	}
	if v.closed || v.seen[g] {
		return false
	}
	v.seen[g] = true
	v.work.Add(1)
	return true
}

// forget lets the next look try again.
func (v *viewed) forget(g glance) {
	v.mu.Lock()
	defer v.mu.Unlock()
	delete(v.seen, g)
}

// close ends the recording and waits for what is under way.
func (v *viewed) close() {
	v.mu.Lock()
	v.closed = true
	v.mu.Unlock()
	v.work.Wait()
	v.cancel()
}

// view records that a caller looks at a log, beside the answer: a read never waits for it, nor fails because of it.
func (a *API) view(c *call, l observe.Log) {
	g := glance{string(c.key.ID), l.Ref()}
	if !a.viewed.first(g, a.now()) {
		return
	}
	pending, err := a.Program.Submit(a.viewed.ctx, &program.Request{Meta: c.meta, Command: journal.Bind(observe.ViewLog{Log: l})})
	if err != nil {
		a.viewed.forget(g)
		a.viewed.work.Done()
		return
	}
	go func() {
		defer a.viewed.work.Done()
		if _, err := pending.Wait(); err != nil {
			a.viewed.forget(g)
			a.Log.Error("record the reading of a log", "request_id", c.requestID, "error", err)
		}
	}()
}
