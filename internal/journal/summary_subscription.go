package journal

import (
	"cmp"
	"fmt"
	"strings"

	"github.com/go-json-experiment/json"

	"perennial/internal/civil"
)

// subscriptionSentences are those of a subscription, whoever changed it, and of its recovery.
var subscriptionSentences = map[Name]sentence{
	SubscriptionCreated: {did: func(e *Event) string {
		return "Created the subscription" + form(", billed %s", every(afterOf(e, "billing_policy"))) + form(", first order on %s", day(afterOf(e, "next_billing_date")))
	}},
	SubscriptionRenewed: {did: func(e *Event) string {
		return "Renewed the subscription" + form(" with order %s", text(detail(e, "order_number"))) + form(" for %s", cash(detail(e, "total"))) +
			form("; next order on %s", day(afterOf(e, "next_billing_date")))
	}},
	SubscriptionPaused: {
		did: func(e *Event) string {
			return "Paused the subscription" + form(" until %s", day(afterOf(e, "paused_until"))) + form(": %s", words(text(detail(e, "reason"))))
		},
		undid: func(e *Event) string {
			return "Undid the resumption: paused" + cmp.Or(form(" until %s", day(afterOf(e, "paused_until"))), " again")
		},
	},
	SubscriptionResumed:     {did: goesOn("Resumed the subscription"), undid: goesOn("Undid the pause")},
	SubscriptionCancelled:   {did: always("Cancelled the subscription"), undid: always("Undid the reactivation: the subscription is cancelled again")},
	SubscriptionReactivated: {did: goesOn("Reactivated the subscription"), undid: goesOn("Undid the cancellation")},
	SubscriptionExpired:     says("The subscription ended: all its orders were made"),
	SubscriptionMerged: {did: func(e *Event) string {
		if _, ok := e.Change("merged_into"); ok {
			return "Merged this subscription into " + cmp.Or(text(detail(e, "into")), "another one")
		}
		return "Took over " + lines(added(e, "items")) + " from " + cmp.Or(text(detail(e, "from")), "another subscription")
	}},
	SubscriptionSplit: {did: func(e *Event) string {
		return "Split off " + lines(removed(e, "items")) + " into the new subscription" + form(" %s", text(detail(e, "new_subscription_id")))
	}},

	SubscriptionOrderSkipped: {
		did: func(e *Event) string {
			return "Skipped " + orderOf(e) + form(": %s", words(text(detail(e, "reason"))))
		},
		undid: func(e *Event) string { return "Undid the return of " + orderOf(e) + ": it is skipped again" },
	},
	SubscriptionAmountCarriedOver: {did: func(e *Event) string {
		return "Carried " + cash(detail(e, "amount")) + " of order " + text(detail(e, "order_number")) + " over to the next one"
	}},
	SubscriptionOrderHeld: {did: func(e *Event) string {
		return "Held " + orderOf(e) + form(": %s", words(text(detail(e, "reason"))))
	}},
	SubscriptionOrderUnskipped: {
		did:   func(e *Event) string { return "Put back " + orderOf(e) + ", which was skipped" },
		undid: func(e *Event) string { return "Undid the skip of " + orderOf(e) },
	},
	SubscriptionNextBillingDateChanged: {
		did: func(e *Event) string {
			return cmp.Or(moved(e, "Moved the next order"), "Changed the date of the next order") + form(": %s", words(text(detail(e, "reason"))))
		},
		undid: func(e *Event) string {
			return cmp.Or(moved(e, "Undid the move of the next order: back"), "Undid the move of the next order")
		},
	},
	SubscriptionFrequencyChanged:  {did: frequency, undid: frequency},
	SubscriptionOrderRequestedNow: says("Asked for an extra order now"),
	SubscriptionOrderGifted: { // the first ones have no date
		did: func(e *Event) string {
			return "Made " + cmp.Or(form("the order of %s", day(detail(e, "date"))), "an order") + " a gift"
		},
		undid: func(e *Event) string {
			return "Undid the change of a gift" + form(" for the order of %s", day(detail(e, "date")))
		},
	},

	SubscriptionItemAdded: {
		did:   func(e *Event) string { return "Added " + lines(added(e, "items")) },
		undid: func(e *Event) string { return "Undid the removal of " + lines(added(e, "items")) },
	},
	SubscriptionItemRemoved: {
		did:   func(e *Event) string { return "Removed " + lines(removed(e, "items")) },
		undid: func(e *Event) string { return "Undid the addition of " + lines(removed(e, "items")) },
	},
	SubscriptionOneTimeItemAdded: {
		did: func(e *Event) string { return "Added " + lines(added(e, "items")) + " to the next order" },
		undid: func(e *Event) string {
			return "Undid the removal of " + lines(added(e, "items")) + " from the next order"
		},
	},
	SubscriptionOneTimeItemRemoved: {
		did: func(e *Event) string { return "Removed " + lines(removed(e, "items")) + " from the next order" },
		undid: func(e *Event) string {
			return "Undid the addition of " + lines(removed(e, "items")) + " to the next order"
		},
	},
	SubscriptionItemQuantityChanged: {did: quantity, undid: quantity},
	SubscriptionItemPriceOverridden: {did: unitPrice, undid: unitPrice},
	SubscriptionItemSwapped: {
		did: func(e *Event) string {
			was, is := swapped(e)
			return "Swapped " + was + " for " + is
		},
		undid: func(e *Event) string {
			is, was := swapped(e)
			return "Undid the swap of " + was + " for " + is
		},
	},

	SubscriptionShippingAddressChanged:     points("the shipping address", "the subscription", "shipping_address_id"),
	SubscriptionPaymentMethodChanged:       follows("the payment method", "payment_method_id", "the subscription is charged to the customer's default"),
	SubscriptionBackupPaymentMethodChanged: follows("the backup payment method", "backup_payment_method_id", "the customer's backup is tried, if there is one"),
	SubscriptionDeliveryPriceChanged:       {did: deliveryPrice, undid: deliveryPrice},
	SubscriptionDiscountApplied: {
		did: func(e *Event) string {
			c := first(e, "discounts")
			var d struct {
				Kind  string `json:"kind"`
				Value int    `json:"value"`
			}
			s := "Applied the discount" + form(" %s", keyOf(c))
			if json.Unmarshal(c.After, &d) == nil && d.Kind == percentage {
				s += fmt.Sprintf(": %d%% off", d.Value)
			}
			return s
		},
		undid: func(e *Event) string {
			return "Undid the removal of the discount" + form(" %s", keyOf(first(e, "discounts")))
		},
	},
	SubscriptionDiscountRemoved: {
		did: func(e *Event) string { return "Removed the discount" + form(" %s", keyOf(first(e, "discounts"))) },
		undid: func(e *Event) string {
			return "Undid the use of the discount" + form(" %s", keyOf(first(e, "discounts")))
		},
	},
	SubscriptionNoteChanged:       {did: always("Changed the note"), undid: always("Undid the change of the note")},
	SubscriptionAttributesChanged: {did: always("Changed the attributes"), undid: always("Undid the change of the attributes")},
	SubscriptionRedacted:          says("Erased the personal data of the subscription"),

	RecoveryEntered: {did: func(e *Event) string {
		return "The payment failed" + form(" (%s)", words(text(detail(e, "code")))) + ": recovery began"
	}},
	RecoveryRetryScheduled: {did: func(e *Event) string {
		// The event that opens the case sets the whole recovery; so does every later one.
		var r struct {
			NextRetry *civil.Date `json:"next_retry"`
		}
		if j := afterOf(e, "recovery"); j == nil || json.Unmarshal(j, &r) != nil || r.NextRetry == nil {
			return ""
		}
		return "The payment will be tried again on " + r.NextRetry.Long()
	}},
	RecoveryCardRequested: {did: func(e *Event) string {
		var r struct {
			EndsOn *civil.Date `json:"ends_on"`
		}
		const needs = "The payment needs a new payment method"
		if j := afterOf(e, "recovery"); j == nil || json.Unmarshal(j, &r) != nil || r.EndsOn == nil {
			return needs
		}
		return needs + " until " + r.EndsOn.Long()
	}},
	RecoveryRecovered: says("The failed payment came in: recovery ended"),
	RecoveryAbandoned: says("Stopped trying to get the failed payment: the order was cancelled"),
	RecoveryExhausted: says("Gave up on the failed payment: all retries failed"),
}

// orderSentences are those of orders and of charging for them.
var orderSentences = map[Name]sentence{
	OrderCreated: {did: func(e *Event) string {
		return "Created order" + called(e, "number") + form(" for %s", cash(afterOf(e, "total"))) + form(", due on %s", day(afterOf(e, "billing_date")))
	}},
	OrderPlaced: {did: func(e *Event) string {
		if small := cash(detail(e, "carried_over")); small != "" {
			return "Placed the order: " + small + " is too little to be charged, so it is charged with the next one"
		}
		if small := cash(detail(e, "waived")); small != "" {
			return "Placed the order: " + small + " is too little to be charged, so it is free"
		}
		return "Placed the order: it is paid"
	}},
	OrderFailed:              says("Gave up the order: it could not be charged"),
	OrderCancelled:           says("Cancelled the order"),
	OrderDisputed:            {did: func(e *Event) string { return "The cardholder contests " + disputed(e) }},
	OrderDisputeWon:          {did: func(e *Event) string { return "The bank left " + disputed(e) + " with the store" }},
	OrderDisputeLost:         {did: func(e *Event) string { return "The bank gave " + disputed(e) + " back to the cardholder" }},
	BillingDifferenceFound:   {did: func(e *Event) string { return "The gateway's books differ: " + differing(e) }},
	BillingDifferenceSettled: {did: func(e *Event) string { return "The gateway's books differ no more: " + differing(e) }},
	OrderRefundCompleted:     {did: func(e *Event) string { return "Sent " + cmp.Or(cash(detail(e, "amount")), "the money") + " back" }},
	OrderRefundFailed: {did: func(e *Event) string {
		return "The gateway refused to send " + cmp.Or(cash(detail(e, "amount")), "the money") + " back" + form(": %s", strings.ReplaceAll(text(detail(e, "code")), "_", " "))
	}},
	OrderRefunded: {did: func(e *Event) string { return "Refunded " + cmp.Or(cash(detail(e, "amount")), "the order") }},
	OrderFulfilled: {did: func(e *Event) string {
		if n := number(detail(e, "delivery")); n > 0 {
			return fmt.Sprintf("Sent the last of %d deliveries of the order", number(detail(e, "of")))
		}
		return "Sent the order"
	}},
	OrderDeliveryFulfilled: {did: func(e *Event) string {
		return fmt.Sprintf("Sent delivery %d of %d of the order", number(detail(e, "delivery")), number(detail(e, "of")))
	}},
	OrderRedacted: says("Erased the personal data of the order"),

	BillingAttemptStarted:   {did: func(e *Event) string { return "Started " + payment(e, "a") }},
	BillingAttemptSucceeded: {did: func(e *Event) string { return upperFirst(payment(e, "the")) + " succeeded" }},
	BillingAttemptFailed:    {did: func(e *Event) string { return upperFirst(payment(e, "the")) + " failed" + because(e) + kept(e) }},
	BillingAttemptAmountDiffers: {did: func(e *Event) string {
		return "The gateway took " + cash(detail(e, "amount")) + " instead of " + cash(detail(e, "asked")) + ": the order waits for a person"
	}},
	BillingAttemptAmountAccepted: {did: func(e *Event) string {
		return "Took " + cash(detail(e, "amount")) + " as the payment of " + cash(detail(e, "asked"))
	}},
	BillingAttemptAmountRefused: {did: func(e *Event) string {
		return "Sent back " + cash(detail(e, "amount")) + ", which the gateway took instead of " + cash(detail(e, "asked"))
	}},
	BillingAttemptDelayed: {did: func(e *Event) string {
		return upperFirst(payment(e, "the")) + " waits: the payment gateway refuses the shop" + form(" (%s)", words(text(detail(e, "code"))))
	}},
	BillingAttemptActionRequired: {did: func(e *Event) string { return upperFirst(payment(e, "the")) + " waits for the customer to confirm it" }},
}

func goesOn(what string) func(*Event) string {
	return func(e *Event) string { return what + form(": next order on %s", day(afterOf(e, "next_billing_date"))) }
}

func orderOf(e *Event) string {
	return "the order" + cmp.Or(form(" of %s", day(detail(e, "date"))), " of a date")
}

// moved says from which day to which the next order went; the year stands once if it is the same.
func moved(e *Event, what string) string {
	from, to := date(beforeOf(e, "next_billing_date")), date(afterOf(e, "next_billing_date"))
	switch {
	case from == nil || to == nil:
		return ""
	case from.Year == to.Year:
		return what + " from " + from.LongWithoutYear() + " to " + to.Long()
	}
	return what + " from " + from.Long() + " to " + to.Long()
}

func frequency(e *Event) string {
	return changed(e, "the frequency", every(beforeOf(e, "billing_policy")), every(afterOf(e, "billing_policy")))
}

func quantity(e *Event) string {
	c := part(e, "quantity")
	return changed(e, "the quantity"+form(" of %s", text(detail(e, "title"))), value(c.Before), value(c.After))
}

func unitPrice(e *Event) string {
	c := part(e, "unit_price")
	return changed(e, "the price"+form(" of %s", text(detail(e, "title"))), cash(c.Before), cash(c.After))
}

func deliveryPrice(e *Event) string {
	return changed(e, "the delivery price", cash(beforeOf(e, "delivery_price")), cash(afterOf(e, "delivery_price")))
}

// swapped names what was swapped for what, with the quantities if they differ.
func swapped(e *Event) (was, is string) {
	t, q := part(e, "title"), part(e, "quantity")
	was, is = cmp.Or(text(t.Before), text(detail(e, "title")), "an item"), cmp.Or(text(t.After), "another")
	if n, m := number(q.Before), number(q.After); n > 0 && m > 0 {
		was, is = fmt.Sprintf("%d × %s", n, was), fmt.Sprintf("%d × %s", m, is)
	}
	return was, is
}

// payment is "a payment of $24.50 (attempt 2)".
func payment(e *Event, article string) string {
	return article + " payment" + form(" of %s", cash(detail(e, "amount"))) + fmt.Sprintf(" (attempt %d)", max(1, number(detail(e, "attempt"))))
}

// because says why a payment failed, in the gateway's words if it has any.
func because(e *Event) string {
	return form(": %s", cmp.Or(strings.TrimRight(text(detail(e, "message")), "."), words(text(detail(e, "code")))))
}

// kept says that the campaign keeps a failure from the customer.
func kept(e *Event) string {
	if string(e.Detail("silent")) == "true" {
		return " (no message to the customer)"
	}
	return ""
}

// line is what an element of items says of itself.
type line struct {
	Title    string `json:"title"`
	Quantity int    `json:"quantity"`
}

// added gives the elements that the event put into a keyed list, removed those that it took out.
func added(e *Event, list string) []line {
	return elements(e, list, func(c Change) []byte { return c.After })
}

func removed(e *Event, list string) []line {
	return elements(e, list, func(c Change) []byte { return c.Before })
}

func elements(e *Event, list string, side func(Change) []byte) []line {
	var out []line
	for _, c := range e.Changes {
		if c.Root() != list || strings.Count(c.Field, ".") != 1 || c.Personal {
			continue
		}
		var l line
		if j := side(c); j != nil && json.Unmarshal(j, &l) == nil {
			out = append(out, l)
		}
	}
	return out
}

func lines(ls []line) string {
	var out []string
	for _, l := range ls {
		out = append(out, fmt.Sprintf("%d × %s", l.Quantity, l.Title))
	}
	return cmp.Or(listed(out), "an item")
}

// part is the change of one field of a list's element: "quantity" of "items.item_x.quantity".
func part(e *Event, name string) Change {
	for _, c := range e.Changes {
		if strings.Count(c.Field, ".") == 2 && strings.HasSuffix(c.Field, "."+name) && !c.Personal {
			return c
		}
	}
	return Change{}
}

// first is the first change within a list.
func first(e *Event, list string) Change {
	for _, c := range e.Changes {
		if c.Root() == list && !c.Personal {
			return c
		}
	}
	return Change{}
}

// keyOf is the key of the element that a change is about: "WELCOME10" of "discounts.WELCOME10".
func keyOf(c Change) string {
	_, k, _ := strings.Cut(c.Field, ".")
	k, _, _ = strings.Cut(k, ".")
	return k
}

func disputed(e *Event) string {
	return cmp.Or(cash(detail(e, "amount")), "the charge") + form(" (%s)", strings.ReplaceAll(text(detail(e, "reason")), "_", " "))
}

// differing says what the two sides know of a movement of money.
func differing(e *Event) string {
	ours, theirs := cash(detail(e, "ours")), cash(detail(e, "theirs"))
	what := "a charge"
	if strings.HasSuffix(text(detail(e, "what")), "_refund") {
		what = "a refund"
	}
	switch {
	case ours == "":
		return what + " of " + theirs + " that the order does not have"
	case theirs == "":
		return what + " of " + ours + " that the gateway does not have"
	}
	return what + " of " + theirs + ", which the order has as " + ours
}
