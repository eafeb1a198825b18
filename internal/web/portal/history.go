package portal

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"

	"perennial/internal/billing"
	"perennial/internal/catalog"
	"perennial/internal/civil"
	"perennial/internal/customer"
	"perennial/internal/find"
	"perennial/internal/id"
	"perennial/internal/journal"
	"perennial/internal/money"
	"perennial/internal/store"
	"perennial/internal/subscription"
	"perennial/internal/view"
)

// entry is a line of the customer's own history: who acted is said without names of the team.
type entry struct {
	When, Who, Text, Reason string
	About                   []string // what it is about, by the names of its time
	Icon                    string
}

// kept are entries that a subscriber is not shown: steps of the machinery between what people care about, and what is the team's own.
// What is neither among them nor among the sentences is not shown either; a test demands a decision for every type.
var kept = []journal.Name{journal.CustomerLoginCodeSent, journal.BillingAttemptStarted, journal.BillingAttemptDelayed, journal.BillingAttemptAmountDiffers, journal.SubscriptionAmountCarriedOver, journal.CustomerQuickActionViewed, journal.PaymentMethodExpiring, journal.OrderDisputed, journal.OrderDisputeWon, journal.OrderDisputeLost, journal.OrderRefundCompleted, journal.OrderRefundFailed, journal.BillingDifferenceFound, journal.BillingDifferenceSettled, journal.NotificationSent, journal.NotificationFailed, journal.CancelSessionStarted, journal.CancelSessionOfferShown, journal.CancelSessionCompleted, journal.RecoveryRetryScheduled, journal.SubscriptionNoteChanged, journal.SubscriptionAttributesChanged, journal.DiscountRedeemed, "external.*"}

// inShort is how many lines the page of a subscription has. What was looked at and found whole is said where all of it is.
const inShort = 8

// history reads the newest n lines of what happened as the subscriber may see it: no names or addresses of the team, no internal
// notes. held says what came of holding it against chains.
func (c *call) history(flt find.Filter, n int) (out []entry, held string, err error) {
	var hidden, lost int
	whole := true
	names := view.InWords(c.ctx, c.Store, c.named)
	for after, more := int64(-1), true; more && len(out) < n; {
		page, err := c.Finder.Page(c.ctx, store.Opened, flt, after, 2*n)
		if err != nil {
			return nil, "", store.Fault(err)
		}
		if more = page.More; more {
			after = page.Entries[len(page.Entries)-1].Seq
		}
		whole = whole && !page.Check.Partly
		hidden, lost = hidden+len(page.Check.Hidden), lost+len(page.Check.Unreadable)
		lines, err := c.linesOf(page.Entries, names, flt.Scope)
		if err != nil {
			return nil, "", err
		}
		out = append(out, lines...)
	}
	switch {
	case lost > 0:
		held = c.say("history.lost")
	case hidden > 0:
		held = c.say("history.hidden")
	case whole && n > inShort:
		held = c.say("history.held")
	}
	return out[:min(len(out), n)], held, nil
}

// named is what a subscriber calls a thing. Nobody of the team has a name here.
func (c *call) named(s journal.State) string {
	switch s := s.(type) {
	case *subscription.Subscription:
		return contents(s)
	case *customer.Address:
		return cmp.Or(strings.Trim(s.Line1.Value+", "+s.City.Value, ", "), s.Country)
	case *customer.PaymentMethod:
		return c.cardWords(s)
	case *billing.Order:
		return s.Number
	}
	return ""
}

// about are the names of what an entry is about, besides the thing whose history is read and what its sentence says already.
func about(e *journal.Event, names *view.Renderer, of id.ID, text string) (out []string) {
	for _, ref := range e.Targets {
		switch ref.Kind {
		case journal.Subscription, journal.Address, journal.PaymentMethod, journal.Order:
			name := names.Thing(ref, e.Seq).Display
			if ref.ID != of && name != "" && !strings.Contains(text, name) && !slices.Contains(out, name) {
				out = append(out, name)
			}
		}
	}
	return out
}

func (c *call) linesOf(found []store.Stored, names *view.Renderer, of id.ID) (out []entry, err error) {
	if err := names.Learn(found); err != nil {
		return nil, err
	}
	for _, st := range found {
		t, _ := journal.Lookup(st.Type)
		text := c.sentence(st.Event)
		if text == "" || t.Log == journal.ActivityLog {
			continue
		}
		e := entry{When: c.words().Time(st.RecordedAt.In(c.zone())), Text: text, About: about(st.Event, names, of, text)}
		switch {
		case st.Actor.Kind == journal.ActorCustomer:
			e.Who, e.Icon = c.say("history.you"), "user"
			e.Reason = st.Comment.Value
		case st.Actor.Kind == journal.ActorTeamMember || st.Actor.Kind == journal.ActorAPIKey:
			e.Who, e.Icon = c.say("history.team"), "store"
		default:
			e.Who, e.Icon = c.say("history.automatic"), "zap"
		}
		out = append(out, e)
	}
	return out, nil
}

func (c *call) historyPage() (answer, error) {
	list, held, err := c.history(find.Filter{Scope: c.who.ID}, 100)
	return answer{title: c.say("history.title"), body: historyBody(list, held)}, err
}

// sentence says to the subscriber what an entry did, from the entry alone; nothing for what they are not shown.
func (c *call) sentence(e *journal.Event) string {
	if slices.Contains(kept, e.Type) {
		return ""
	}
	key, args := "log."+string(e.Type), []any(nil)
	if fill, ok := told[e.Type]; ok {
		var more string
		if more, args = fill(c, e); more != "" {
			key += "." + more
		}
	}
	if !c.words().Knows(key) {
		return ""
	}
	text := c.say(key, args...)
	if e.Corrects != "" {
		return c.say("log.undone", "what", text)
	}
	return text
}

// told are what the sentences of a type are filled with, and which of several it is: the rest of its key.
var told = map[journal.Name]func(c *call, e *journal.Event) (more string, args []any){
	journal.CustomerLoggedIn: func(_ *call, e *journal.Event) (string, []any) {
		return text(e.Detail("method")), nil
	},
	journal.CustomerLoggedOut: func(_ *call, e *journal.Event) (string, []any) {
		if text(e.Detail("why")) == "revoked" {
			return "revoked", nil
		}
		return "", nil
	},
	journal.SubscriptionCreated: func(c *call, e *journal.Event) (string, []any) {
		return "", []any{"rhythm", c.every(read[catalog.Policy](after(e, "billing_policy"))), "date", date(after(e, "next_billing_date"))}
	},
	journal.SubscriptionRenewed: func(c *call, e *journal.Event) (string, []any) {
		args := []any{"number", text(e.Detail("order_number")), "total", c.amount(e.Detail("total"))}
		if next := date(after(e, "next_billing_date")); !next.IsZero() {
			return "next", append(args, "date", next)
		}
		return "", args
	},
	journal.SubscriptionPaused:      dated("paused_until", "until"),
	journal.SubscriptionResumed:     dated("next_billing_date", "next"),
	journal.SubscriptionReactivated: dated("next_billing_date", "next"),
	journal.SubscriptionMerged: func(c *call, e *journal.Event) (string, []any) {
		if text(e.Detail("from")) == string(e.Target().ID) {
			return "away", nil
		}
		return items(added)(c, e)
	},
	journal.SubscriptionSplit: items(removed),
	journal.SubscriptionOrderSkipped: func(_ *call, e *journal.Event) (string, []any) {
		more := ""
		if text(e.Detail("reason")) == "out_of_stock" {
			more = "stock"
		}
		return more, []any{"date", date(e.Detail("date"))}
	},
	journal.SubscriptionOrderHeld: func(_ *call, e *journal.Event) (string, []any) {
		more := ""
		if text(e.Detail("reason")) == "country_not_shipped" {
			more = "address"
		}
		return more, []any{"date", date(e.Detail("date"))}
	},
	journal.SubscriptionOrderUnskipped: detailed,
	journal.SubscriptionOrderGifted: func(_ *call, e *journal.Event) (string, []any) {
		if d := date(e.Detail("date")); !d.IsZero() {
			return "date", []any{"date", d}
		}
		return "", nil // the first ones have none
	},
	journal.SubscriptionNextBillingDateChanged: func(_ *call, e *journal.Event) (string, []any) {
		return "", []any{"from", date(before(e, "next_billing_date")), "to", date(after(e, "next_billing_date"))}
	},
	journal.SubscriptionFrequencyChanged: func(c *call, e *journal.Event) (string, []any) {
		return "", []any{"rhythm", c.every(read[catalog.Policy](after(e, "billing_policy")))}
	},
	journal.SubscriptionItemAdded:          items(added),
	journal.SubscriptionItemRemoved:        items(removed),
	journal.SubscriptionOneTimeItemAdded:   items(added),
	journal.SubscriptionOneTimeItemRemoved: items(removed),
	journal.SubscriptionItemQuantityChanged: func(c *call, e *journal.Event) (string, []any) {
		q := part(e, "quantity")
		return "", []any{"item", c.title(e), "from", read[int](q.Before), "to", read[int](q.After)}
	},
	journal.SubscriptionItemPriceOverridden: func(c *call, e *journal.Event) (string, []any) {
		p := part(e, "unit_price")
		return "", []any{"item", c.title(e), "from", c.amount(p.Before), "to", c.amount(p.After)}
	},
	journal.SubscriptionItemSwapped: func(c *call, e *journal.Event) (string, []any) {
		t := part(e, "title")
		return "", []any{"from", cmp.Or(text(t.Before), c.title(e)), "to", cmp.Or(text(t.After), c.say("log.an_item"))}
	},
	journal.SubscriptionDeliveryPriceChanged: func(c *call, e *journal.Event) (string, []any) {
		return "", []any{"to", c.amount(after(e, "delivery_price"))}
	},
	journal.SubscriptionDiscountApplied: code,
	journal.SubscriptionDiscountRemoved: code,
	journal.OrderCreated: func(c *call, e *journal.Event) (string, []any) {
		return "", []any{"number", text(after(e, "number")), "total", c.amount(after(e, "total"))}
	},
	journal.OrderRefunded: paid,
	journal.OrderDeliveryFulfilled: func(_ *call, e *journal.Event) (string, []any) {
		return "", []any{"number", read[int](e.Detail("delivery")), "count", read[int](e.Detail("of"))}
	},
	journal.BillingAttemptSucceeded:      paid,
	journal.BillingAttemptAmountAccepted: paid,
	journal.BillingAttemptAmountRefused:  paid,
	journal.BillingAttemptFailed:         paid,
	journal.BillingAttemptActionRequired: paid,
}

// dated chooses the sentence with a day, if the field has one now.
func dated(field, more string) func(*call, *journal.Event) (string, []any) {
	return func(_ *call, e *journal.Event) (string, []any) {
		if d := date(after(e, field)); !d.IsZero() {
			return more, []any{"date", d}
		}
		return "", nil
	}
}

func detailed(_ *call, e *journal.Event) (string, []any) {
	return "", []any{"date", date(e.Detail("date"))}
}

func paid(c *call, e *journal.Event) (string, []any) {
	return "", []any{"amount", c.amount(e.Detail("amount"))}
}

func code(_ *call, e *journal.Event) (string, []any) {
	for _, ch := range e.Changes {
		if name, ok := strings.CutPrefix(ch.Field, "discounts."); ok {
			name, _, _ = strings.Cut(name, ".")
			return "", []any{"code", name}
		}
	}
	return "", []any{"code", ""}
}

func added(ch journal.Change) jsontext.Value   { return ch.After }
func removed(ch journal.Change) jsontext.Value { return ch.Before }

// items names what came to a subscription, or went.
func items(side func(journal.Change) jsontext.Value) func(*call, *journal.Event) (string, []any) {
	return func(c *call, e *journal.Event) (string, []any) {
		var out []string
		for _, ch := range e.Changes {
			if ch.Root() != "items" || strings.Count(ch.Field, ".") != 1 || side(ch) == nil {
				continue
			}
			l := read[struct {
				Title    string `json:"title"`
				Quantity int    `json:"quantity"`
			}](side(ch))
			out = append(out, fmt.Sprintf("%d × %s", l.Quantity, l.Title))
		}
		return "", []any{"items", cmp.Or(strings.Join(out, ", "), c.say("log.an_item"))}
	}
}

func (c *call) title(e *journal.Event) string {
	return cmp.Or(text(e.Detail("title")), c.say("log.an_item"))
}

// What follows reads an entry; a personal value is never among it.

func before(e *journal.Event, field string) jsontext.Value { return plainly(e.Change(field)).Before }
func after(e *journal.Event, field string) jsontext.Value  { return plainly(e.Change(field)).After }

func plainly(ch journal.Change, _ bool) journal.Change {
	if ch.Personal {
		return journal.Change{}
	}
	return ch
}

// part is the change of one field of an item.
func part(e *journal.Event, name string) journal.Change {
	for _, ch := range e.Changes {
		if ch.Root() == "items" && strings.Count(ch.Field, ".") == 2 && strings.HasSuffix(ch.Field, "."+name) {
			return plainly(ch, true)
		}
	}
	return journal.Change{}
}

// read decodes a value; what is not of its form is the zero value.
func read[T any](v jsontext.Value) (out T) {
	if v == nil || json.Unmarshal(v, &out) != nil {
		var none T
		return none
	}
	return out
}

func text(v jsontext.Value) string { return read[string](v) }

func date(v jsontext.Value) civil.Date {
	if d := read[*civil.Date](v); d != nil {
		return *d
	}
	return civil.Date{}
}

func (c *call) amount(v jsontext.Value) string { return c.cash(read[money.Amount](v)) }

// why says what an order's total is made of.
func (c *call) why(o *billing.Order, reasons []billing.Reason) []string {
	var out []string
	lines := slices.Clone(o.Items)
	var title string
	for _, r := range reasons {
		day := civil.Of(r.Event.RecordedAt, c.zone())
		var what string
		switch r.Kind {
		case billing.ReasonPlan:
			if o.Cycle == nil {
				out = append(out, c.say("why.extra", "date", day))
			} else {
				out = append(out, c.say("why.order", "number", *o.Cycle, "date", o.BillingDate))
			}
			continue
		case billing.ReasonItem: // in the order's order
			if len(lines) > 0 {
				title = lines[0].Title
				what, lines = c.say("why.item", "quantity", lines[0].Quantity, "title", title), lines[1:]
			}
		case billing.ReasonPricing:
			what = c.say("why.pricing", "title", title)
		case billing.ReasonDiscount:
			what = c.say("why.discount", "code", r.Code)
		case billing.ReasonDelivery:
			what = c.say("why.delivery")
		case billing.ReasonTax:
			what = c.say("why.tax")
		default:
			continue
		}
		if r.Kind != billing.ReasonPricing && r.Event.Type != journal.OrderCreated {
			what = c.say("why.since", "what", what, "date", day)
		}
		if r.Amount != nil {
			what = c.say("why.amount", "what", what, "amount", c.cash(*r.Amount))
		}
		out = append(out, what)
	}
	return out
}
