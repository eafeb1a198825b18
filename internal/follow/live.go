package follow

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"runtime/debug"
	"sync"
	"time"

	"perennial/internal/gate"
)

// Journal is what a live follower hears commits from.
type Journal interface {
	Head() int64
	Watch() (<-chan struct{}, func())
	Now() time.Time
}

const (
	defaultEvery   = time.Minute
	defaultLongest = time.Minute
	leased         = 30 * time.Second // after which others take over what a process that hangs had
)

// status is how the rounds of a follower went.
type status struct {
	mu       sync.Mutex
	failures int       // in a row; guarded by mu, as all of it
	since    time.Time // of the first of them
	err      error     // of the last
}

// Figure says how a follower is.
type Figure struct {
	Name  string
	Lag   int64     // entries that are committed and not taken; 0 where another process follows, -1 for one that takes none
	Since time.Time // when it began to fail; zero: it does not
	Err   error     // why, as of the last try
}

// Group are followers that live.
type Group struct {
	journal Journal
	log     *slog.Logger
	list    []*Follower
	stop    context.CancelFunc
	work    sync.WaitGroup
}

// New makes a group of followers.
func New(j Journal, log *slog.Logger, list ...*Follower) *Group {
	return &Group{journal: j, log: log, list: list, stop: func() {}}
}

// Start lets the followers live: each does a round at once, and then whenever something was committed or its Every has passed, until Stop
// or the end of the context.
func (g *Group) Start(ctx context.Context) {
	ctx, g.stop = context.WithCancel(ctx)
	for _, f := range g.list {
		g.work.Go(func() { g.live(ctx, f) })
	}
}

// Stop ends the followers, and waits for what they have under way. It may be called more than once.
func (g *Group) Stop() {
	g.stop()
	g.work.Wait()
}

// Figures says how the followers are, in the order in which they were given. A nil Group has none.
func (g *Group) Figures() []Figure {
	if g == nil {
		return nil
	}
	out := make([]Figure, len(g.list))
	for i, f := range g.list {
		out[i] = f.figure(g.journal.Head())
	}
	return out
}

func (f *Follower) figure(head int64) Figure {
	f.live.mu.Lock()
	defer f.live.mu.Unlock()
	return Figure{f.Name, f.Lag(head), f.live.since, f.live.err}
}

// Lag is how many entries up to a head are not taken: 0 where another process follows, -1 for a follower that only has rounds.
func (f *Follower) Lag(head int64) int64 {
	if f.Take == nil {
		return -1
	}
	if (f.Lease != "" || f.May != nil) && !f.holding.Load() {
		return 0
	}
	return max(0, head+1-f.Next())
}

// live does rounds until the context ends.
func (g *Group) live(ctx context.Context, f *Follower) {
	grown, done := g.journal.Watch()
	defer done()
	every := time.NewTicker(cmp.Or(f.Every, defaultEvery))
	defer every.Stop()
	for due := true; ; {
		err := f.guarded(ctx, due)
		if ctx.Err() != nil {
			g.release(f)
			return
		}
		wait := f.ended(err, g.journal.Now())
		if err != nil && !gate.Held(err) { // the gate says it once
			g.log.Error(f.Name, "error", err, "again_in", wait)
		}
		select {
		case <-ctx.Done():
			g.release(f)
			return
		case <-time.After(wait):
		}
		select {
		case <-ctx.Done():
			g.release(f)
			return
		case <-every.C:
			due = true
		case <-grown:
			due = false
		}
	}
}

// release gives the lease to whoever wants it.
func (g *Group) release(f *Follower) {
	if f.Lease == "" || !f.holding.Swap(false) {
		return
	}
	if err := f.Store.Yield(context.Background(), f.Lease, f.Holder); err != nil {
		g.log.Warn("another process takes over when the lease has run out", "follower", f.Name, "error", err)
	}
}

// ended notes how a round ended, and gives how long to wait at least.
func (f *Follower) ended(err error, now time.Time) time.Duration {
	s := &f.live
	s.mu.Lock()
	defer s.mu.Unlock()
	if err == nil || gate.Held(err) {
		s.failures, s.since, s.err = 0, time.Time{}, nil
		return f.Pause
	}
	if s.failures++; s.failures == 1 {
		s.since = now
	}
	s.err = err
	longest := cmp.Or(f.Longest, defaultLongest)
	wait := max(f.Pause, 100*time.Millisecond)
	for range s.failures {
		if wait *= 2; wait >= longest {
			return longest
		}
	}
	return wait
}

// guarded is Do, and a panic is an error of its.
func (f *Follower) guarded(ctx context.Context, due bool) (err error) {
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("follow: %s: panic: %v\n%s", f.Name, p, debug.Stack())
		}
	}()
	return f.Do(ctx, due)
}

// Do does one round, if this process may and has the lease. While it has it, the lease is kept up; when it is lost, the round's context
// ends. due says that something besides new entries may be due.
func (f *Follower) Do(ctx context.Context, due bool) error {
	if f.May != nil {
		if err := f.May(); err != nil {
			f.holding.Store(false)
			return err
		}
	}
	if f.Lease == "" || !f.Store.Shared() {
		f.holding.Store(true)
		return f.round(ctx, due)
	}
	ours, err := f.Store.Lease(ctx, f.Lease, f.Holder, leased)
	f.holding.Store(ours && err == nil)
	if err != nil || !ours {
		return err
	}
	ctx, end := context.WithCancelCause(ctx)
	var keep sync.WaitGroup
	keep.Go(func() { f.keepUp(ctx, end) })
	if err = f.round(ctx, due); err != nil && ctx.Err() != nil {
		err = context.Cause(ctx)
	}
	end(nil)
	keep.Wait()
	return err
}

func (f *Follower) round(ctx context.Context, due bool) error {
	if f.Round != nil {
		return f.Round(ctx, due)
	}
	return f.CatchUp(ctx, nil)
}

// keepUp prolongs the lease until the context ends, and ends it when another process has the lease or it may have run out.
func (f *Follower) keepUp(ctx context.Context, end context.CancelCauseFunc) {
	t := time.NewTicker(leased / 6)
	defer t.Stop()
	for failed := 0; ; {
		select {
		case <-ctx.Done():
			return
		case <-t.C:
		}
		ours, err := f.Store.Lease(ctx, f.Lease, f.Holder, leased)
		switch {
		case err == nil && ours:
			failed = 0
			continue
		case err != nil && ctx.Err() != nil:
			return
		}
		if failed++; err == nil || failed == 3 {
			f.holding.Store(false)
			end(errors.Join(fmt.Errorf("follow: %s: the lease is lost", f.Name), err))
			return
		}
	}
}

// Tail is a follower without a place: its reader knows where it is, as a browser does.
type Tail struct {
	Journal Journal
	Beat    time.Duration   // after which Alive is called when there is nothing new
	End     <-chan struct{} // closed when the process ends
	// Read gives what comes after a seq to the reader, and the seq up to which it looked. more says that it did not come to the head.
	Read func(ctx context.Context, after int64) (upTo int64, more bool, err error)
	// Alive tells the reader up to where everything was looked at.
	Alive func(upTo int64) error
}

// Follow reads after a seq, now and whenever something is committed, until the context or the process ends, or an error. Each Tail reads
// for itself, so that a slow reader holds up nobody.
func (t Tail) Follow(ctx context.Context, after int64) error {
	committed, unwatch := t.Journal.Watch()
	defer unwatch()
	beat := time.NewTicker(t.Beat)
	defer beat.Stop()
	for {
		upTo, more, err := t.Read(ctx, after)
		if err != nil {
			return err
		}
		after = upTo
		if more {
			select {
			case <-ctx.Done():
				return nil
			case <-t.End:
				return nil
			default:
				continue
			}
		}
		select {
		case <-ctx.Done():
			return nil
		case <-t.End:
			return nil
		case <-committed:
		case <-beat.C:
			if err := t.Alive(after); err != nil {
				return err
			}
		}
	}
}
