package subscription

import (
	"slices"
	"time"

	"perennial/internal/civil"
	"perennial/internal/fault"
	"perennial/internal/id"
	"perennial/internal/journal"
	"perennial/internal/plain"
)

const (
	maxAddressLine = 200
	maxGiftMessage = 500
)

// GiftOrder sends one order to somebody else; from active. The date is that of an order to come. A second gift of the
// same order replaces the first. If the order is moved, the gift goes with it; if it is skipped, the gift waits for the
// order after it (GiftFor). Refusals: not_scheduled, order_skipped, too_many_gifts.
type GiftOrder struct {
	ID      id.ID
	Date    civil.Date
	Address GiftAddress
	Message string // at most 500 characters; may be empty
}

func (c GiftOrder) Load(r journal.Reader) (World, error) {
	w, err := load(r, c.ID)
	if err != nil {
		return w, err
	}
	return w, w.shipping(r)
}

func (c GiftOrder) Decide(w World, _ time.Time) (journal.Decision, error) {
	s := w.Subscription
	if err := s.May(ActionGift); err != nil {
		return journal.Decision{}, err
	}
	var f fault.Fields
	if !c.Date.Valid() {
		f.Add("/date", "date_invalid", "Give a date in the form 2006-01-02.")
	}
	c.Address.check(&f, "/address")
	if plain.Country(c.Address.Country) == nil {
		w.country(&f, "/address/country", c.Address.Country)
	}
	if why := plain.MultiLine(c.Message, maxGiftMessage); why != nil {
		f.Refuse("/message", why)
	}
	if err := f.Err(); err != nil {
		return journal.Decision{}, err
	}
	if slices.Contains(s.SkippedDates, c.Date) {
		return journal.Decision{}, fault.New(fault.Conflict, "order_skipped", "The order of {date} is skipped. Put it back first.").With("date", c.Date)
	}
	if !s.comes(c.Date) {
		return journal.Decision{}, refuse(civil.ErrNotOnSchedule, c.Date)
	}
	next := journal.Clone(s)
	gifts := slices.DeleteFunc(next.Gifts.Value, func(g Gift) bool { return g.Date == c.Date })
	if len(gifts) >= MaxGifts {
		return journal.Decision{}, fault.New(fault.Conflict, "too_many_gifts", "At most {count} orders can be gifts at once.").With("count", MaxGifts)
	}
	next.Gifts.Value = append(gifts, Gift{Date: c.Date, Address: c.Address, Message: c.Message})
	slices.SortFunc(next.Gifts.Value, byDate)
	return decide(journal.SubscriptionOrderGifted, s, next, onDate{c.Date})
}

func (a GiftAddress) check(f *fault.Fields, at string) {
	for _, line := range []struct{ name, value string }{
		{"first_name", a.FirstName}, {"last_name", a.LastName}, {"company", a.Company}, {"line1", a.Line1}, {"line2", a.Line2}, {"city", a.City},
		{"region", a.Region}, {"postal_code", a.PostalCode}, {"phone", a.Phone},
	} {
		if why := plain.Text(line.value, maxAddressLine); why != nil {
			f.Refuse(at+"/"+line.name, why)
		}
	}
	if a.FirstName == "" && a.LastName == "" && a.Company == "" {
		f.Add(at+"/last_name", "gift_who", "Say who the parcel is for.")
	}
	if a.Line1 == "" {
		f.Add(at+"/line1", "required", "This must not be empty.")
	}
	if a.City == "" {
		f.Add(at+"/city", "required", "This must not be empty.")
	}
	if why := plain.Country(a.Country); why != nil {
		f.Refuse(at+"/country", why)
	}
}

// GiftFor gives the gift that the order of a date is: the one of that date, or else the earliest that waits, because
// its own order was skipped or the rhythm changed. Erased gifts are none.
func (s *Subscription) GiftFor(date civil.Date) (Gift, bool) {
	gifts := s.Gifts.Value
	if i := slices.IndexFunc(gifts, func(g Gift) bool { return g.Date == date }); i >= 0 {
		return gifts[i], true
	}
	if len(gifts) > 0 && gifts[0].Date.Before(date) {
		return gifts[0], true
	}
	return Gift{}, false
}

// moveGift lets the gift of an order that is moved go with it.
func (s *Subscription) moveGift(from, to civil.Date) {
	g, ok := s.GiftFor(from)
	if !ok || from == to {
		return
	}
	gifts := slices.DeleteFunc(s.Gifts.Value, func(o Gift) bool { return o.Date == g.Date || o.Date == to })
	g.Date = to
	s.Gifts.Value = append(gifts, g)
	slices.SortFunc(s.Gifts.Value, byDate)
}

// useGift takes out the gift that the order of a date was.
func (s *Subscription) useGift(date civil.Date) {
	if g, ok := s.GiftFor(date); ok {
		s.Gifts.Value = slices.DeleteFunc(s.Gifts.Value, func(o Gift) bool { return o.Date == g.Date })
	}
}

func byDate(a, b Gift) int { return a.Date.Compare(b.Date) }
