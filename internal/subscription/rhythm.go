package subscription

import (
	"cmp"
	"errors"
	"slices"

	"perennial/internal/catalog"
	"perennial/internal/civil"
	"perennial/internal/fault"
)

// schedule gives the dates of the subscription to package civil, which knows how to count with them. While nothing is
// billed its NextDate is zero, or the date that an order was moved to.
func (s *Subscription) schedule() civil.Schedule {
	r := civil.Rhythm{Anchor: s.AnchorDate, Every: s.BillingPolicy.Every()}
	if s.BillingPolicy.AnchorDay != nil {
		r.AnchorDay = *s.BillingPolicy.AnchorDay
	}
	return civil.Schedule{Rhythm: r, NextK: s.Position, NextDate: day(cmp.Or(s.NextBillingDate, s.MovedTo)), Last: day(s.LastBillingDate), Skipped: s.SkippedDates}
}

// follow takes over the dates that package civil came to.
func (s *Subscription) follow(c civil.Schedule) {
	s.AnchorDate, s.Position, s.SkippedDates = c.Rhythm.Anchor, c.NextK, c.Skipped
	s.BillingPolicy.Interval, s.BillingPolicy.IntervalCount = c.Rhythm.Every.Unit, c.Rhythm.Every.Count
	s.BillingPolicy.AnchorDay = nil
	if c.Rhythm.AnchorDay != 0 {
		s.BillingPolicy.AnchorDay = new(c.Rhythm.AnchorDay)
	}
	s.NextBillingDate, s.LastBillingDate, s.MovedFrom, s.MovedTo = maybe(c.NextDate), maybe(c.Last), nil, nil
	s.HeldOn = nil
	if c.Moved() {
		s.MovedFrom = maybe(c.Rhythm.At(c.NextK))
	}
}

// DeliveryDates gives the days on which what the next order pays for is delivered: its own date first, and then those of
// the delivery rhythm up to the order after it. There is one for an order that is not prepaid.
func (s *Subscription) DeliveryDates() []civil.Date {
	out := []civil.Date{*s.NextBillingDate}
	n := catalog.DeliveriesPerOrder(s.BillingPolicy, s.DeliveryPolicy)
	if n < 2 {
		return out
	}
	r := s.schedule().Rhythm
	r.Every = s.DeliveryPolicy.Every()
	for k := s.Position*n + 1; len(out) < n; k++ {
		if d := r.At(k); d.After(out[len(out)-1]) { // an order that was moved is delivered in order all the same
			out = append(out, d)
		}
	}
	return out
}

// prepaidStays refuses to move the next order of a prepaid subscription among the deliveries of the order before (not_after_deliveries), or past
// its own second one (not_before_delivery): its first delivery moves with it, the others keep their dates.
func (s *Subscription) prepaidStays(date civil.Date) error {
	n := catalog.DeliveriesPerOrder(s.BillingPolicy, s.DeliveryPolicy)
	if n < 2 {
		return nil
	}
	r := s.schedule().Rhythm
	r.Every = s.DeliveryPolicy.Every()
	if second := r.At(s.Position*n + 1); !date.Before(second) {
		return fault.New(fault.Conflict, "not_before_delivery", "The order pays for {count} deliveries, and the second is on {date}. Choose an earlier day, or move all orders.").
			With("count", n, "date", second)
	}
	if s.Position == 0 {
		return nil
	}
	if last := r.At(s.Position*n - 1); !date.After(last) {
		return fault.New(fault.Conflict, "not_after_deliveries", "The order before is delivered until {date}. Choose a later day, or move all orders.").With("date", last)
	}
	return nil
}

// comes says whether an order that is not skipped comes on a date: the next one, or one of the rhythm after it.
func (s *Subscription) comes(date civil.Date) bool {
	if s.NextBillingDate == nil || *s.NextBillingDate == date {
		return s.NextBillingDate != nil
	}
	k, ok := s.schedule().Rhythm.Position(date)
	return ok && k > s.Position && !slices.Contains(s.SkippedDates, date)
}

// stop takes away what only a subscription that bills has: the next order's date. The rhythm and the position stay, and
// where the next order was moved.
func (s *Subscription) stop() {
	if s.MovedFrom != nil {
		s.MovedTo = s.NextBillingDate
	}
	s.NextBillingDate, s.MovedFrom, s.PausedUntil, s.Recovery, s.HeldOn = nil, nil, nil, nil, nil
}

func day(d *civil.Date) civil.Date {
	if d == nil {
		return civil.Date{}
	}
	return *d
}

func maybe(d civil.Date) *civil.Date {
	if d.IsZero() {
		return nil
	}
	return &d
}

// refusals are what package civil refuses, in words.
var refusals = []struct {
	err            error
	code, sentence string
}{
	{civil.ErrNotOnSchedule, "not_scheduled", "No order comes on {date}."},
	{civil.ErrAlreadySkipped, "already_skipped", "The order of {date} is skipped already."},
	{civil.ErrNotSkipped, "not_skipped", "No order of {date} was skipped."},
	{civil.ErrPast, "date_passed", "The order of {date} cannot be put back: the day has passed."},
	{civil.ErrNextMoved, "next_moved", "The order of {date} cannot be put back while the order after it is moved. Move that one back first."},
	{civil.ErrNotAfterPrevious, "not_after_previous", "{date} is not after the order before it, which was billed or skipped. Choose a later day."},
	{civil.ErrNotBeforeFollowing, "not_before_following", "{date} is not before the order that follows. Choose an earlier day, or move all orders."},
}

// refuse says why package civil refused a date (Conflict).
func refuse(err error, date civil.Date) error {
	if errors.Is(err, civil.ErrTooManySkipped) {
		return fault.New(fault.Conflict, "too_many_skipped", "At most {count} orders can be skipped at once. Pause the subscription instead.").With("count", civil.MaxSkipped)
	}
	for _, r := range refusals {
		if errors.Is(err, r.err) {
			return fault.New(fault.Conflict, r.code, "%s", r.sentence).With("date", date)
		}
	}
	return err
}
