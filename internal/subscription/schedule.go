package subscription

import (
	"time"

	"perennial/internal/catalog"
	"perennial/internal/civil"
	"perennial/internal/fault"
	"perennial/internal/id"
	"perennial/internal/journal"
)

type onDate struct {
	Date civil.Date `json:"date"`
}

// Skip skips one order; from active. The rhythm stays: the order's place in it is used up, and next_billing_date goes
// to the next rhythm date that is not skipped. An order after the next one can be skipped too. Refusals: not_scheduled,
// already_skipped, too_many_skipped.
type Skip struct {
	ID   id.ID
	Date *civil.Date // nil: the next order
}

func (c Skip) Load(r journal.Reader) (World, error) { return load(r, c.ID) }

func (c Skip) Decide(w World, _ time.Time) (journal.Decision, error) {
	s := w.Subscription
	if err := s.May(ActionSkip); err != nil {
		return journal.Decision{}, err
	}
	date := *s.NextBillingDate
	if c.Date != nil {
		date = *c.Date
	}
	skipped, err := s.schedule().Skip(date)
	if err != nil {
		return journal.Decision{}, refuse(err, date)
	}
	next := journal.Clone(s)
	next.follow(skipped)
	return decide(journal.SubscriptionOrderSkipped, s, next, onDate{date})
}

type held struct {
	Date   civil.Date `json:"date"`
	Reason string     `json:"reason"`
}

// Hold gives the event of the next order waiting, for a reason that is a code. ok is false when it does already: the draft
// is not to be used then.
func Hold(s *Subscription, reason string) (d journal.Draft, ok bool) {
	if s.NextBillingDate == nil || s.HeldOn != nil {
		return journal.Draft{}, false
	}
	next := journal.Clone(s)
	next.HeldOn = new(*s.NextBillingDate)
	return change(journal.SubscriptionOrderHeld, s, next, held{*s.NextBillingDate, reason}), true
}

// Unskip puts a skipped order back, today or later; from active. If it comes before the next order it becomes the next
// one. Refusals: not_skipped, date_passed, next_moved.
type Unskip struct {
	ID   id.ID
	Date civil.Date
}

func (c Unskip) Load(r journal.Reader) (World, error) { return load(r, c.ID) }

func (c Unskip) Decide(w World, now time.Time) (journal.Decision, error) {
	s := w.Subscription
	if err := s.May(ActionUnskip); err != nil {
		return journal.Decision{}, err
	}
	if err := given("/date", c.Date); err != nil {
		return journal.Decision{}, err
	}
	back, err := s.schedule().Unskip(c.Date, w.today(now))
	if err != nil {
		return journal.Decision{}, refuse(err, c.Date)
	}
	next := journal.Clone(s)
	next.follow(back)
	return decide(journal.SubscriptionOrderUnskipped, s, next, onDate{c.Date})
}

// Reschedule moves the next order to another day, today or later; from active. Only this order moves, and it must stay
// between the orders before and after it (not_after_previous, not_before_following), a prepaid one between their deliveries and its own
// second one (not_after_deliveries, not_before_delivery). With NewRhythm the day becomes the
// anchor of a new rhythm, and orders that were skipped on the old one are forgotten. A gift goes with its order.
type Reschedule struct {
	ID        id.ID
	Date      civil.Date
	NewRhythm bool // keep_rhythm: false
}

func (c Reschedule) Load(r journal.Reader) (World, error) { return load(r, c.ID) }

func (c Reschedule) Decide(w World, now time.Time) (journal.Decision, error) {
	s := w.Subscription
	if err := s.May(ActionReschedule); err != nil {
		return journal.Decision{}, err
	}
	today := w.today(now)
	var f fault.Fields
	ahead(&f, "/next_billing_date", c.Date, today, 0)
	if err := f.Err(); err != nil {
		return journal.Decision{}, err
	}
	move := civil.Schedule.Move
	if c.NewRhythm {
		move = civil.Schedule.Restart
	}
	moved, err := move(s.schedule(), c.Date, today)
	if err != nil {
		return journal.Decision{}, refuse(err, c.Date)
	}
	if !c.NewRhythm {
		if err := s.prepaidStays(c.Date); err != nil {
			return journal.Decision{}, err
		}
	}
	next := journal.Clone(s)
	next.follow(moved)
	next.moveGift(*s.NextBillingDate, c.Date)
	return decide(journal.SubscriptionNextBillingDateChanged, s, next, nil)
}

// ChangeFrequency sets another interval; from active and paused. The next order keeps its date, from which the new
// rhythm counts; while paused it counts from the resume. Orders that were skipped on the old rhythm are forgotten. A
// delivery policy that the new interval is not a multiple of is dropped: an order is one delivery then.
type ChangeFrequency struct {
	ID            id.ID
	Interval      civil.Unit
	IntervalCount int
}

func (c ChangeFrequency) Load(r journal.Reader) (World, error) { return load(r, c.ID) }

func (c ChangeFrequency) Decide(w World, _ time.Time) (journal.Decision, error) {
	s := w.Subscription
	if err := s.May(ActionFrequency); err != nil {
		return journal.Decision{}, err
	}
	policy := catalog.Policy{Interval: c.Interval, IntervalCount: c.IntervalCount}
	var f fault.Fields
	policy.Check(&f, "")
	if err := f.Err(); err != nil {
		return journal.Decision{}, err
	}
	rebase := civil.Schedule.Rebase
	if s.Status == Paused {
		rebase = civil.Schedule.RebaseOnResume
	}
	rebased, err := rebase(s.schedule(), policy.Every())
	if err != nil {
		return journal.Decision{}, err
	}
	next := journal.Clone(s)
	next.follow(rebased)
	if s.Status == Paused {
		next.stop() // where the next order was moved stays, and it has no date until it resumes
		next.PausedUntil = s.PausedUntil
	}
	if catalog.DeliveriesPerOrder(next.BillingPolicy, next.DeliveryPolicy) == 0 {
		next.DeliveryPolicy = nil
	}
	if err := next.fits(); err != nil {
		return journal.Decision{}, err
	}
	return decide(journal.SubscriptionFrequencyChanged, s, next, nil)
}

type forOrder struct {
	OrderID id.ID `json:"order_id"`
}

// OrderedNow gives the subscription's event of an extra order, which package billing makes; from active. The order is
// outside the rhythm: dates, cycle, one-time items and counted discounts stay as they are.
func OrderedNow(s *Subscription, order id.ID) (journal.Draft, error) {
	if err := s.May(ActionOrderNow); err != nil {
		return journal.Draft{}, err
	}
	next := journal.Clone(s)
	next.ExtraOrders++
	return change(journal.SubscriptionOrderRequestedNow, s, next, forOrder{order}, journal.Ref{Kind: journal.Order, ID: order}), nil
}

// given refuses a date that is missing.
func given(at string, d civil.Date) error {
	var f fault.Fields
	if !d.Valid() {
		f.Add(at, "date_invalid", "Give a date in the form 2006-01-02.")
	}
	return f.Err()
}
