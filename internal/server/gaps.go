package server

import (
	"context"
	"slices"
	"sync"
	"time"

	"perennial/internal/fault"
	"perennial/internal/journal"
	"perennial/internal/observe"
	"perennial/internal/program"
	"perennial/internal/store"
)

const (
	gapsEvery = time.Minute // between two entries of gaps at least
	gapsMost  = 500         // entries that one of them names
	gapsWait  = 20 * gapsMost
)

// logCheck is who acts when a gap in a log is found.
var logCheck = journal.Actor{Kind: journal.ActorSystem, ID: "log_check"}

// gaps are entries that logs were without, and that are not in the journal yet. Readers add to them and never wait. Each entry waits once,
// and gapsWait of them at most: what is dropped is met again by the next reader.
type gaps struct {
	mu      sync.Mutex
	found   []observe.FindGap // guarded by mu
	waiting map[int64]bool    // guarded by mu; the seqs in found
	wake    chan struct{}     // holds one token while there may be something
}

func (g *gaps) add(by observe.FoundBy, hidden, unreadable []int64) {
	g.mu.Lock()
	more := observe.FindGap{By: by, Hidden: g.fresh(hidden), Unreadable: g.fresh(unreadable)}
	if len(more.Hidden)+len(more.Unreadable) > 0 {
		g.found = append(g.found, more)
	}
	g.mu.Unlock()
	select {
	case g.wake <- struct{}{}:
	default:
	}
}

// fresh takes down the seqs that are not waiting yet. The caller holds mu.
func (g *gaps) fresh(seqs []int64) (out []int64) {
	if g.waiting == nil {
		g.waiting = map[int64]bool{}
	}
	for _, seq := range seqs {
		if !g.waiting[seq] && len(g.waiting) < gapsWait {
			g.waiting[seq] = true
			out = append(out, seq)
		}
	}
	return out
}

// take gives what is waiting of those who found the first of it, at most gapsMost entries.
func (g *gaps) take() (out observe.FindGap, some bool) {
	g.mu.Lock()
	defer g.mu.Unlock()
	room := gapsMost
	move := func(to, from *[]int64) {
		n := min(room, len(*from))
		for _, seq := range (*from)[:n] {
			delete(g.waiting, seq)
		}
		*to, *from = append(*to, (*from)[:n]...), (*from)[n:]
		room -= n
	}
	for len(g.found) > 0 && room > 0 && (out.By == "" || out.By == g.found[0].By) {
		first := &g.found[0]
		out.By = first.By
		move(&out.Hidden, &first.Hidden)
		move(&out.Unreadable, &first.Unreadable)
		if len(first.Hidden)+len(first.Unreadable) == 0 {
			g.found = g.found[1:]
		}
	}
	return out, out.By != ""
}

// recordGaps makes an entry of what a log was without, once for each gap and at most one a minute.
func (s *Server) recordGaps(ctx context.Context) {
	for {
		select {
		case <-ctx.Done():
			return
		case <-s.gaps.wake:
		}
		for s.recordNext(ctx) {
			if !pause(ctx, gapsEvery) {
				return
			}
		}
	}
}

func (s *Server) flushGaps(ctx context.Context) {
	for s.recordNext(ctx) {
	}
}

func (s *Server) recordNext(ctx context.Context) (some bool) {
	g, some := s.gaps.take()
	if !some {
		return false
	}
	if err := s.recordGap(context.WithoutCancel(ctx), g); err != nil { // what was taken is lost otherwise
		s.Config.Log.Error("a gap in a log", "error", err, "hidden", g.Hidden, "unreadable", g.Unreadable)
	}
	return true
}

func pause(ctx context.Context, d time.Duration) bool {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-ctx.Done():
		return false
	case <-t.C:
		return true
	}
}

// recordGap makes the entry of a gap, without what an earlier one tells of that no check saw closed. Another process may be about to tell
// of the same: the version of the chain decides.
func (s *Server) recordGap(ctx context.Context, g observe.FindGap) error {
	for {
		past, err := s.checks.Last(ctx)
		if err != nil {
			return err
		}
		fresh := observe.FindGap{By: g.By, Hidden: without(g.Hidden, past.Gaps.Hidden), Unreadable: without(g.Unreadable, past.Gaps.Unreadable)}
		if len(fresh.Hidden)+len(fresh.Unreadable) == 0 {
			return nil
		}
		_, err = s.Program.Do(ctx, &program.Request{Meta: program.Meta{Actor: logCheck, Source: journal.Origin{Channel: journal.ChannelCLI}},
			Target: observe.Whole, IfMatch: &past.Version, Command: journal.Bind(fresh), Yields: true})
		if err == nil || fault.As(err).Kind != fault.Stale {
			return store.Fault(err)
		}
	}
}

func without(seqs, known []int64) (out []int64) {
	has := make(map[int64]bool, len(known))
	for _, seq := range known {
		has[seq] = true
	}
	for _, seq := range seqs {
		if !has[seq] {
			has[seq] = true
			out = append(out, seq)
		}
	}
	slices.Sort(out)
	return out
}
