package subscription

import (
	"slices"

	"perennial/internal/civil"
	"perennial/internal/id"
	"perennial/internal/journal"
	"perennial/internal/money"
)

// Order is what a subscription needs to know of an order.
type Order struct {
	ID      id.ID
	Number  string
	Cycle   *int       // nil for an extra order
	Date    civil.Date // the billing date that it was made for
	Total   money.Amount
	Once    []id.ID       // its items that come once
	Carried *money.Amount // of earlier orders, that is charged with it
	MadeAt  *journal.Time // when it was priced; nil: it is one to come
}

func (o Order) ref() journal.Ref { return journal.Ref{Kind: journal.Order, ID: o.ID} }

type renewed struct {
	OrderID     id.ID        `json:"order_id"`
	OrderNumber string       `json:"order_number"`
	Total       money.Amount `json:"total"`
	Date        civil.Date   `json:"date"`
}

// Renewed gives the subscription's events of an order that was placed, in order: recovery.recovered if it was the order
// in recovery; for an order of the rhythm subscription.renewed, and subscription.expired after the last cycle. After
// the last draft stands the subscription as it is then. There is nothing to say about an extra order that was paid at
// once.
//
// A renewal counts the cycle and goes on to the next date; one-time items and the gift of the order are gone, counted
// discounts have one order less. A payment can come through after the subscription was paused or cancelled: it is
// counted the same, and no next date is set. If the order was skipped in the meantime, it came all the same and is
// not skipped any more.
func Renewed(s *Subscription, o Order) []journal.Draft {
	var drafts []journal.Draft
	if s.Status == Failed && s.Recovery.OrderID == o.ID {
		drafts = append(drafts, Recovered(s))
		s = drafts[0].After.(*Subscription)
	}
	if o.Cycle == nil {
		return drafts
	}
	next := journal.Clone(s)
	next.consume(o)
	next.useGift(o.Date)
	next.advance(o.Date)
	last := next.allBilled() && next.Open()
	if last { // what will not be is not told
		next.NextBillingDate, next.MovedFrom, next.HeldOn = nil, nil, nil
	}
	drafts = append(drafts, change(journal.SubscriptionRenewed, s, next, renewed{o.ID, o.Number, o.Total, o.Date}, o.ref()))
	if last {
		ended := journal.Clone(next)
		ended.stop()
		ended.Status, ended.MovedTo = Expired, nil
		drafts = append(drafts, change(journal.SubscriptionExpired, next, ended, nil, o.ref()))
	}
	return drafts
}

// consume counts an order of the rhythm and takes away what it used up. What was added while it was being paid waits for the next.
func (s *Subscription) consume(o Order) {
	s.Cycle++
	s.Items = slices.DeleteFunc(s.Items, func(it Item) bool { return it.OneTime && slices.Contains(o.Once, it.ID) })
	for i, a := range s.Discounts {
		if a.CyclesLeft != nil && !(a.AppliedAt != nil && o.MadeAt != nil && a.AppliedAt.After(o.MadeAt.Time)) {
			*s.Discounts[i].CyclesLeft--
		}
	}
	if o.Carried != nil && s.CarriedOver != nil {
		s.carry(-o.Carried.Minor)
	}
	s.Discounts = slices.DeleteFunc(s.Discounts, func(a AppliedDiscount) bool { return a.CyclesLeft != nil && *a.CyclesLeft <= 0 })
}

// once are the items that come with the next order only.
func (s *Subscription) once() (ids []id.ID) {
	for _, it := range s.Items {
		if it.OneTime {
			ids = append(ids, it.ID)
		}
	}
	return ids
}

// advance goes on to the date after that of the order that was billed.
func (s *Subscription) advance(billed civil.Date) {
	if i := slices.Index(s.SkippedDates, billed); i >= 0 && (s.NextBillingDate == nil || billed.Before(*s.NextBillingDate)) {
		s.LastBillingDate, s.SkippedDates = &billed, slices.Delete(s.SkippedDates, 0, i+1)
		return
	}
	if s.wentPast(billed) {
		// A pause that ended went past the order while its payment waited: the order that comes next is another one.
		if s.LastBillingDate == nil || s.LastBillingDate.Before(billed) {
			s.LastBillingDate = &billed
		}
		s.SkippedDates = slices.DeleteFunc(s.SkippedDates, func(d civil.Date) bool { return !d.After(billed) })
		return
	}
	if s.NextBillingDate == nil {
		s.LastBillingDate, s.MovedTo = &billed, nil
		if s.Position != civil.Unanchored {
			s.Position++
		}
		return
	}
	// It was the next order that was billed, wherever that may have been moved since.
	dates := s.schedule().Advance()
	dates.Last = billed
	s.follow(dates)
}

// wentPast says whether the order that comes next is a later one than that of a day: it has a rhythm date at least an interval later.
func (s *Subscription) wentPast(billed civil.Date) bool {
	if s.Position == civil.Unanchored || s.NextBillingDate != nil && !s.NextBillingDate.After(billed) {
		return false
	}
	next, following := s.schedule().Rhythm.At(s.Position), civil.Rhythm{Anchor: billed, Every: s.BillingPolicy.Every()}.At(1)
	return !next.IsZero() && !following.IsZero() && !next.Before(following)
}

// carry adds to what is carried over, or takes away.
func (s *Subscription) carry(minor int64) {
	if s.CarriedOver != nil {
		minor += s.CarriedOver.Minor
	}
	if s.CarriedOver = nil; minor > 0 {
		s.CarriedOver = new(money.Of(minor, s.Currency))
	}
}

type carriedOver struct {
	OrderID     id.ID        `json:"order_id"`
	OrderNumber string       `json:"order_number"`
	Amount      money.Amount `json:"amount"`
}

// CarryOver gives the event of an order that was placed, and is charged with the next one.
func CarryOver(s *Subscription, o Order, amount money.Amount) journal.Draft {
	next := journal.Clone(s)
	next.carry(amount.Minor)
	return change(journal.SubscriptionAmountCarriedOver, s, next, carriedOver{o.ID, o.Number, amount}, o.ref())
}

// BillsAgain says whether an order of the rhythm comes after one that is placed now.
func BillsAgain(s *Subscription, o Order) bool {
	after := journal.Clone(s)
	if o.Cycle != nil {
		after.Cycle++
	}
	return s.Open() && !after.allBilled()
}
