package subscription

import (
	"time"

	"perennial/internal/civil"
	"perennial/internal/customer"
	"perennial/internal/fault"
	"perennial/internal/id"
	"perennial/internal/journal"
	"perennial/internal/plain"
)

const maxReason = 500

// Pause stops orders, until a day or until somebody resumes; from active and failed. The rhythm stays, with
// what was skipped or moved. Giving up an order whose payment failed is billing's.
type Pause struct {
	ID    id.ID
	Until *civil.Date // the first day active again, after today; nil: open end
}

func (c Pause) Load(r journal.Reader) (World, error) { return load(r, c.ID) }

func (c Pause) Decide(w World, now time.Time) (journal.Decision, error) {
	s := w.Subscription
	if err := s.May(ActionPause); err != nil {
		return journal.Decision{}, err
	}
	if c.Until != nil {
		var f fault.Fields
		ahead(&f, "/until", *c.Until, w.today(now), 1)
		if err := f.Err(); err != nil {
			return journal.Decision{}, err
		}
	}
	return decide(journal.SubscriptionPaused, s, s.paused(c.Until), nil)
}

func (s *Subscription) paused(until *civil.Date) *Subscription {
	next := journal.Clone(s)
	next.stop()
	next.Status = Paused
	if until != nil {
		next.PausedUntil = new(*until)
	}
	return next
}

// Resume ends a pause. Orders go on at the first date of the rhythm from today on that was not billed or skipped, or,
// with a date, on that day as the anchor of a new rhythm (not_after_previous when an order of that day was billed).
type Resume struct {
	ID              id.ID
	NextBillingDate *civil.Date // today or later
}

func (c Resume) Load(r journal.Reader) (World, error) { return load(r, c.ID) }

func (c Resume) Decide(w World, now time.Time) (journal.Decision, error) {
	s := w.Subscription
	if err := s.May(ActionResume); err != nil {
		return journal.Decision{}, err
	}
	next, err := s.restarted(c.NextBillingDate, w.today(now))
	if err != nil {
		return journal.Decision{}, err
	}
	return decide(journal.SubscriptionResumed, s, next, nil)
}

// restarted is the subscription active again from today, with its next order.
func (s *Subscription) restarted(at *civil.Date, today civil.Date) (*Subscription, error) {
	dates := s.schedule()
	if at == nil {
		dates = dates.ResumeFrom(today)
	} else {
		var f fault.Fields
		ahead(&f, "/next_billing_date", *at, today, 0)
		if err := f.Err(); err != nil {
			return nil, err
		}
		var err error
		if dates, err = dates.Restart(*at, today); err != nil {
			return nil, refuse(err, *at)
		}
	}
	next := journal.Clone(s)
	next.Status, next.PausedUntil = Active, nil
	next.follow(dates)
	return next, nil
}

// ResumeDue resumes a subscription whose pause was until today or earlier. Its orders go on from that day, however
// late this runs, so that a downtime changes no date. A subscription that is not due stays as it is.
type ResumeDue struct{ ID id.ID }

func (c ResumeDue) Load(r journal.Reader) (World, error) { return load(r, c.ID) }

func (c ResumeDue) Decide(w World, now time.Time) (journal.Decision, error) {
	s := w.Subscription
	if s.Status != Paused || s.PausedUntil == nil || s.PausedUntil.After(w.today(now)) {
		return journal.Decision{Result: s.Ref()}, nil
	}
	next, err := s.restarted(nil, *s.PausedUntil)
	if err != nil {
		return journal.Decision{}, err
	}
	return decide(journal.SubscriptionResumed, s, next, nil)
}

// Cancel ends a subscription; from active, paused and failed. It can be reactivated. It needs nothing of the world but
// the subscription.
type Cancel struct {
	ID     id.ID
	Reason string // at most 500 characters; may be empty
}

func (c Cancel) Load(r journal.Reader) (w World, err error) {
	w.Subscription, err = journal.Get[Subscription](r, journal.Subscription, c.ID)
	return w, err
}

func (c Cancel) Decide(w World, now time.Time) (journal.Decision, error) {
	s := w.Subscription
	if err := s.May(ActionCancel); err != nil {
		return journal.Decision{}, err
	}
	var f fault.Fields
	if why := plain.MultiLine(c.Reason, maxReason); why != nil {
		f.Refuse("/reason", why)
	}
	if err := f.Err(); err != nil {
		return journal.Decision{}, err
	}
	return decide(journal.SubscriptionCancelled, s, s.cancelled(c.Reason, now), nil)
}

func (s *Subscription) cancelled(reason string, now time.Time) *Subscription {
	next := journal.Clone(s)
	next.stop()
	next.Status, next.CancelledAt, next.CancelReason = Cancelled, journal.AtPtr(now), journal.Secluded(reason)
	return next
}

// Reactivate takes up a cancelled subscription again, with dates as Resume. Refusals: merged_away, erased,
// cycles_billed.
type Reactivate struct {
	ID              id.ID
	NextBillingDate *civil.Date // today or later
}

func (c Reactivate) Load(r journal.Reader) (World, error) { return withCustomer(r, c.ID) }

func (c Reactivate) Decide(w World, now time.Time) (journal.Decision, error) {
	s := w.Subscription
	if err := s.May(ActionReactivate); err != nil {
		return journal.Decision{}, err
	}
	if s.MergedInto != "" {
		return journal.Decision{}, fault.New(fault.Conflict, "merged_away", "The subscription was merged into {into}, which has its items now.").With("into", s.MergedInto)
	}
	if err := erased(w.Customer); err != nil {
		return journal.Decision{}, err
	}
	if s.allBilled() {
		return journal.Decision{}, fault.New(fault.Conflict, "cycles_billed", "All {count} orders of the subscription were made. Create a new one.").With("count", s.Cycle)
	}
	next, err := s.restarted(c.NextBillingDate, w.today(now))
	if err != nil {
		return journal.Decision{}, err
	}
	next.CancelledAt, next.CancelReason = nil, journal.Secluded("")
	return decide(journal.SubscriptionReactivated, s, next, nil)
}

// allBilled says whether no cycle is left.
func (s *Subscription) allBilled() bool {
	m := s.BillingPolicy.MaxCycles
	return m != nil && s.Cycle >= *m
}

func withCustomer(r journal.Reader, key id.ID) (World, error) {
	w, err := load(r, key)
	if err != nil {
		return w, err
	}
	w.Customer, err = journal.Find[customer.Customer](r, journal.Customer, w.Subscription.CustomerID)
	return w, err
}
