package portal

import (
	"cmp"
	"strings"

	"perennial/internal/civil"
	"perennial/internal/fault"
	"perennial/internal/subscription"
)

// refusal says a failure in the reader's language: by its code where there is a text for it, else as it stands, in English. s is the
// subscription that it is about, nil for none.
func (c *call) refusal(f *fault.Error, s *subscription.Subscription) string {
	if f.Code == "fields_refused" {
		return c.say("frame.look_again")
	}
	if words, ok := c.known(f.Public); ok && f.Kind == fault.Conflict {
		return words
	}
	key := "refusal." + f.Code
	if !c.words().Knows(key) {
		return f.Public
	}
	var date civil.Date
	if s != nil && s.NextBillingDate != nil {
		date = *s.NextBillingDate
	}
	return c.say(key, "date", date, "first", c.today().AddDays(c.offer().MinDaysAhead), "last", c.today().AddDays(c.offer().MaxDaysAhead), "count", c.offer().MaxSkipsInRow, "most", subscription.MaxQuantity)
}

// wrongs are what the rules say of a field, or by a code that has several reasons, with the keys of what the Portal says of it. A sentence
// is known by its beginning: its end holds names and numbers.
var wrongs = []struct{ begins, key string }{
	{"Give a date in the form", "refusal.date"},
	{"The date must be ", "refusal.date_early"},
	{"The date must not be more", "refusal.date_late"},
	{"This must not be empty", "refusal.empty"},
	{"A quantity is 1 to", "refusal.quantity"},
	{"There is no discount with this code", "refusal.no_discount"},
	{"The shop does not send to", "refusal.no_country"},
	{"This is not a country", "refusal.country"},
	{"This is longer than", "refusal.too_long"},
	{"This is not valid UTF-8", "refusal.characters"},
	{"This holds a c", "refusal.characters"},
	{"There is no variant", "refusal.variant"},
	{"This address was removed", "refusal.status_removed"},
	{"The customer has no address", "refusal.unknown_address"},
	{"This payment method cannot be used", "refusal.no_payment_method"},
	{"This is the payment method itself", "refusal.backup_itself"},
	{"Say who the parcel is for", "refusal.gift_who"},
	{"There is no subscription", "refusal.merge_into"},
	{"Choose another subscription", "refusal.merge_into"},
	{"Choose the items", "refusal.split_items"},
	{"Nothing would stay", "refusal.split_rest"},
	{"The new subscription needs", "refusal.split_made"},
	{"There is no item", "refusal.unknown_item"},
	{"The customer has no payment method", "refusal.no_payment_method"},
}

// known says what one of wrongs says.
func (c *call) known(detail string) (string, bool) {
	for _, w := range wrongs {
		if strings.HasPrefix(detail, w.begins) {
			return c.say(w.key, "most", subscription.MaxQuantity), true
		}
	}
	return "", false
}

// wrong says what is wrong with a field; what is not known stands as it is, in English.
func (c *call) wrong(detail string) string {
	if words, ok := c.known(detail); ok {
		return words
	}
	if strings.HasSuffix(detail, " is not sold at the moment.") {
		return c.say("refusal.not_sold")
	}
	return cmp.Or(detail, c.say("frame.look_again"))
}
