package server

import (
	"context"
	"time"

	"perennial/internal/db"
	"perennial/internal/fault"
	"perennial/internal/gate"
	"perennial/internal/journal"
	"perennial/internal/observe"
	"perennial/internal/payment"
	"perennial/internal/program"
	"perennial/internal/store"
)

// What is asked of those who know the time, and how often.
const (
	maxGap       = 30 * 24 * time.Hour // at the start, since the last entry, without anybody to ask
	witnessEvery = 10 * time.Second
	gatewayEvery = time.Hour // while nothing is in doubt
	askWithin    = 5 * time.Second
)

// newSteady gives a clock that nobody can set. The monotonic clock stands still while a machine sleeps, and is not wrong for that: the
// other one goes on. The later of both is right.
func newSteady() func() time.Duration {
	began, boot := time.Now(), awake()
	return func() time.Duration { return max(time.Since(began), awake()-boot) }
}

// RealClock makes the instance live by the machine's clock, moved by an offset, and hold it against everything else that tells the time.
func (c *Config) RealClock(offset time.Duration) {
	c.Clock = time.Now
	if offset != 0 {
		c.Clock = func() time.Time { return time.Now().Add(offset) }
	}
	c.Steady, c.Witnesses, c.MaxGap = newSteady(), true, maxGap
}

// Released makes the instance hold its clock against the steady one from now on: it was simulated until now.
func (i *Instance) Released(ctx context.Context) error {
	i.Config.Steady, i.Config.Witnesses = newSteady(), true
	return i.Heed(ctx)
}

// Heed judges the instance's clock from now on.
func (i *Instance) Heed(ctx context.Context) error {
	i.clock = gate.NewClock(i.Config.Clock(), i.Config.Steady)
	head, err := i.Store.ReadHead(ctx, i.Store.Read)
	if err != nil {
		return db.Fault(err)
	}
	i.clock.Gap(head.RecordedAt, i.Config.MaxGap)
	i.Gate.Heed(i.clock)
	i.askDatabase(ctx)
	return nil
}

// askDatabase holds the clock against that of a database server. One that does not answer says so elsewhere.
func (i *Instance) askDatabase(ctx context.Context) {
	if !i.Config.Witnesses || i.DB.Engine != db.Postgres {
		return
	}
	ctx, cancel := context.WithTimeout(ctx, askWithin)
	defer cancel()
	if said, err := i.DB.Clock(ctx); err == nil {
		i.clock.Witness("the database", said, i.Config.Clock())
	}
}

// doubted says whether the clock is not believed now.
func (i *Instance) doubted() bool {
	_, doubted := i.clock.Judge(i.Config.Clock())
	return doubted
}

// askGateway asks the gateway whose account it charges for, and takes its date for a witness.
func (s *Server) askGateway(ctx context.Context) (payment.Account, error) {
	g, ok := s.gateway.(payment.Identified)
	if !ok {
		return payment.Account{}, nil
	}
	ctx, cancel := context.WithTimeout(ctx, askWithin)
	defer cancel()
	a, err := g.Account(ctx)
	if err == nil && !a.Date.IsZero() && s.Config.Witnesses {
		s.clock.Witness("the payment gateway", a.Date, s.Config.Clock())
	}
	return a, err
}

// acceptClock goes on beside a clock that nobody vouches for, by the word of whoever runs the server. A clock that somebody else
// contradicts is not accepted.
func (s *Server) acceptClock(ctx context.Context, by observe.Operator) error {
	now := s.Config.Clock()
	head, err := s.Store.ReadHead(ctx, s.Store.Read)
	if err != nil {
		return db.Fault(err)
	}
	behind := head.RecordedAt.Sub(now) > gate.Tolerance
	if _, gap := s.clock.Unvouched(now); !gap && !behind {
		s.Config.Log.Warn("there is nothing to accept about the clock: start the server without --accept-clock from now on")
		return nil
	}
	if err := s.fresh(ctx, observe.ClockAccepted, by); err != nil {
		return err
	}
	s.clock.Accept(now)
	_, err = s.Program.Do(ctx, &program.Request{Meta: operated(by), Command: journal.Bind(observe.AcceptClock{Shop: s.Store.Shop, Last: journal.At(head.RecordedAt),
		Says: journal.At(now), Operator: by})})
	return err
}

// fresh refuses a word without who and why, and one that was said before: a flag that was left in a service's file accepts nothing more.
func (s *Server) fresh(ctx context.Context, what journal.Name, by observe.Operator) error {
	if err := by.Check(); err != nil {
		return err
	}
	for st, err := range s.shopLog(ctx) {
		if err != nil {
			return err
		}
		if st.Type == what && observe.Because(st.Event) == by.Because {
			return fault.New(fault.Conflict, "said_before", "This was said before, in entry %d, and is not said again by a flag that was left behind. Take the flag away, or say why this time.", st.Seq)
		}
	}
	return nil
}

// shopLog gives the entries about the shop itself, newest first.
func (i *Instance) shopLog(ctx context.Context) func(yield func(store.Stored, error) bool) {
	return func(yield func(store.Stored, error) bool) {
		row, err := i.Store.Load(ctx, i.Store.Read, journal.Ref{Kind: journal.Shop, ID: i.Store.Shop})
		if err != nil || row.Version == 0 {
			if err != nil {
				yield(store.Stored{}, db.Fault(err))
			}
			return
		}
		for st, err := range i.Store.Chain(ctx, i.Store.Read, store.Closed, row.LastSeq) {
			if !yield(st, db.Fault(err)) || err != nil {
				return
			}
		}
	}
}
