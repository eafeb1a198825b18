package server

import (
	"context"
	"time"

	"perennial/internal/audit"
	"perennial/internal/civil"
	"perennial/internal/fault"
	"perennial/internal/journal"
	"perennial/internal/observe"
	"perennial/internal/program"
	"perennial/internal/settings"
	"perennial/internal/store"
)

const (
	nightlyHour  = 3                // of the shop's day, from which on the journal is checked
	nightlyEvery = 10 * time.Minute // between two looks at the clock
	nightlyLease = 30 * time.Minute // for one of several processes; it is taken again while it checks
)

// prove checks the whole journal once each night, with an entry, which readyz, the metrics and the start page tell of. The entry also says
// when the last check was, so that a server that was not there at night checks when it is there again.
func (s *Server) prove(ctx context.Context) {
	t := time.NewTicker(nightlyEvery)
	defer t.Stop()
	if _, err := s.pastChecks(ctx); err != nil && ctx.Err() == nil { // for the metrics
		s.Config.Log.Error("verify at night", "error", err)
	}
	for {
		select {
		case <-ctx.Done():
			return
		case <-t.C:
		}
		due, err := s.proofDue(ctx)
		if err == nil && due {
			err = s.ProveOnce(ctx)
		}
		if err != nil && ctx.Err() == nil {
			s.Config.Log.Error("verify at night", "error", err)
		}
	}
}

// proofDue says whether a night has come since the last check, or since the journal began. One that could not be finished is tried again
// after an hour.
func (s *Server) proofDue(ctx context.Context) (bool, error) {
	past, err := s.pastChecks(ctx)
	if err != nil {
		return false, err
	}
	now := s.Program.Now()
	if l := past.Last; l != nil && l.Result == observe.Unfinished && now.Before(l.At.Add(time.Hour)) {
		return false, nil
	}
	var last time.Time
	if past.Nightly != nil {
		last = past.Nightly.At
	} else {
		first, err := s.Store.Event(ctx, s.Store.Read, store.Closed, 0)
		if err != nil {
			if fault.As(err).Kind == fault.NotFound {
				err = nil // there is nothing to check
			}
			return false, err
		}
		last = first.RecordedAt
	}
	zone := s.zone(ctx)
	return nightDue(last.In(zone), now.In(zone)), nil
}

// pastChecks reads what the last checks came to, and keeps it for the metrics.
func (s *Server) pastChecks(ctx context.Context) (audit.PastChecks, error) {
	past, err := s.checks.Last(ctx)
	if err == nil {
		s.checked.Store(&past)
	}
	return past, err
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
	r, err := s.check(ctx, nil)
	if ctx.Err() != nil {
		return ctx.Err()
	}
	entry := observe.Verification{Result: observe.Unfinished}
	if err == nil {
		entry = r.Entry()
		if !r.Holds() {
			s.Config.Log.Error("the journal and the database do not agree", "differences", r.Differences, "problems", r.Problems)
		}
		if !r.Finished() {
			s.Config.Log.Error("what is derived could not be read", "what", r.Unread)
		}
	}
	_, derr := s.Program.Do(ctx, &program.Request{Meta: program.Meta{Actor: audit.Nightly, Source: journal.Origin{Channel: journal.ChannelCLI}},
		Command: journal.Bind(entry), Yields: true})
	if err == nil {
		err = store.Fault(derr)
	}
	return err
}

// check checks the whole journal and all that is derived from it, beside whoever works. What the index lacks becomes an entry of its own.
func (s *Server) check(ctx context.Context, progress audit.Progress) (*audit.Report, error) {
	past, err := s.checks.Last(ctx)
	if err != nil {
		return nil, err
	}
	if err := s.Finder.CatchUp(ctx); err != nil { // an index that is behind would prove nothing; what stops it, the comparison says
		s.Config.Log.Warn("verify", "index", err)
	}
	var hidden []int64
	index := indexOf(s.Finder, past.Gaps.Hidden, func(seq int64) { hidden = append(hidden, seq) })
	r, err := audit.Check(ctx, s.Store, audit.Options{Beside: true, Progress: progress, Derived: []audit.Derived{index, figuresOf(s.Analytics)}})
	switch {
	case len(hidden) > 0:
		s.gaps.add(observe.ByCheck, hidden, nil)
	case err == nil && r.Holds() && r.Finished():
		s.Finder.Forget()
	}
	return r, err
}
