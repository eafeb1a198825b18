package server

import (
	"context"
	"fmt"
	"time"

	"perennial/internal/audit"
	"perennial/internal/civil"
	"perennial/internal/id"
	"perennial/internal/journal"
	"perennial/internal/program"
	"perennial/internal/reading"
	"perennial/internal/settings"
	"perennial/internal/store"
)

const (
	nightlyHour  = 3                // of the shop's day, from which on the journal is checked
	nightlyEvery = 10 * time.Minute // between two looks at the clock
	nightlyLease = 30 * time.Minute // for one of several processes; it is taken again while it checks
)

// proof is how the last check of the whole journal in this process came out.
type proof struct {
	at          time.Time
	differences int64
	first       string // where the first one is
}

// prove checks the whole journal once each night, with an entry, and tells what it came to: see ready and metrics. A server that was
// not there at night checks when it is there again; one that never was waits for its first night.
func (s *Server) prove(ctx context.Context) {
	t := time.NewTicker(nightlyEvery)
	defer t.Stop()
	last := s.Program.Now()
	for {
		select {
		case <-ctx.Done():
			return
		case <-t.C:
		}
		now := s.Program.Now()
		zone := s.zone(ctx)
		if !nightDue(last.In(zone), now.In(zone)) {
			continue
		}
		if err := s.ProveOnce(ctx); err != nil {
			if ctx.Err() == nil {
				s.Config.Log.Error("verify at night", "error", err)
			}
			continue // at the next look
		}
		last = now
	}
}

// nightDue says whether a night's hour has come between two times of the shop's zone.
func nightDue(last, now time.Time) bool {
	at := time.Date(now.Year(), now.Month(), now.Day(), nightlyHour, 0, 0, 0, now.Location())
	if now.Before(at) {
		at = at.AddDate(0, 0, -1)
	}
	return last.Before(at)
}

// zone is the shop's; UTC before it has settings.
func (s *Server) zone(ctx context.Context) *time.Location {
	general, err := journal.Find[settings.General](program.NewReader(ctx, s.Store, s.Store.Read), journal.Settings, settings.PageGeneral)
	if err != nil || general == nil {
		return time.UTC
	}
	zone, err := civil.Zone(general.TimeZone)
	if err != nil {
		return time.UTC
	}
	return zone
}

// ProveOnce checks the whole journal now, beside whoever works, and makes the entry that says what came of it.
func (s *Server) ProveOnce(ctx context.Context) error {
	if ours, err := s.Store.Lease(ctx, "verify", s.nightly, nightlyLease); err != nil || !ours {
		return err
	}
	defer func() {
		if _, err := s.Store.Lease(context.WithoutCancel(ctx), "verify", s.nightly, 0); err != nil {
			s.Config.Log.Warn("lease", "error", err)
		}
	}()
	r, err := audit.Check(ctx, s.Store, audit.Options{Beside: true, Derived: []audit.Derived{indexOf(s.Finder), figuresOf(s.Analytics)}})
	if ctx.Err() != nil {
		return ctx.Err()
	}
	entry := reading.Verify{Result: reading.Unfinished}
	if err == nil {
		entry = reading.Verify{Result: reading.Holds, Entries: r.Entries, Changes: r.Changes, Differences: r.Differences, Checkpoints: r.Checkpoints, Root: fmt.Sprintf("%x", r.Root[:])}
		p := &proof{at: s.Program.Now(), differences: r.Differences}
		if !r.Holds() {
			first := r.Problems[0]
			entry.Result, entry.Problem = reading.Differs, reading.Problem{Seq: first.Seq, ID: id.ID(first.ID), Field: first.Field}
			p.first = first.ID + ", field " + first.Field
			s.Config.Log.Error("the journal and the database do not agree", "differences", r.Differences, "problems", r.Problems)
		}
		s.checked.Store(p)
	}
	_, derr := s.Program.Do(ctx, &program.Request{Meta: program.Meta{Actor: journal.Actor{Kind: journal.ActorSystem, ID: "verify"}, Source: journal.Origin{Channel: journal.ChannelCLI}},
		Command: journal.Bind(entry), Yields: true})
	if err == nil {
		err = store.Fault(derr)
	}
	return err
}
