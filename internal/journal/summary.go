package journal

import (
	"cmp"
	"fmt"
	"strings"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"

	"perennial/internal/civil"
	"perennial/internal/money"
)

// Summary says in one plain sentence what an event did, from the event alone. Personal values never stand in it, so it
// can be searched and shown to everybody who may see the event.
func Summary(e *Event) string {
	if f := sentences[e.Type]; f != nil {
		if s := f(e); s != "" {
			return s
		}
	}
	if strings.HasPrefix(e.Type, External) {
		if s := text(e.Detail("summary")); s != "" {
			return s
		}
	}
	t, ok := Lookup(e.Type)
	if !ok {
		return e.Type
	}
	if e.Corrects != "" {
		return "Undid a change: " + lowerFirst(t.Label)
	}
	return t.Label + changed(e)
}

// changed lists the fields of a change that has no sentence of its own: " (title, status)".
func changed(e *Event) string {
	var names []string
	for _, c := range e.Changes {
		n := strings.ReplaceAll(c.Root(), "_", " ")
		if len(names) == 0 || names[len(names)-1] != n {
			names = append(names, n)
		}
	}
	if len(names) == 0 || e.TargetVersion == 1 {
		return ""
	}
	return ": " + strings.Join(names, ", ")
}

// sentences makes the summary of the types that have more to say than their label. An empty result falls back to it.
var sentences = map[string]func(*Event) string{
	"team_member.role_changed": func(e *Event) string {
		return fmt.Sprintf("Changed a role from %s to %s", before(e, "role"), after(e, "role"))
	},
	"access.denied": func(e *Event) string {
		s := "Was refused access to " + cmp.Or(text(e.Detail("path")), "a page")
		if p := text(e.Detail("permission")); p != "" {
			s += ", which needs the permission " + p
		}
		if n := number(e.Detail("count")); n > 1 {
			s += fmt.Sprintf(" (%d times)", n)
		}
		return s
	},
	"product.created": func(e *Event) string { return named(e, "Created the product %s", "title") },
	"product.updated": updated("product", "title"),
	"variant.created": func(e *Event) string {
		return named(e, "Added the variant %s", "title") + withPrice(e, "price", " at %s")
	},
	"variant.updated": updated("variant", "title"),
	"variant.inventory_changed": func(e *Event) string {
		return fmt.Sprintf("Changed the stock from %s to %s", cmp.Or(before(e, "inventory"), "not counted"), cmp.Or(after(e, "inventory"), "not counted"))
	},
	"product_settings.updated": func(e *Event) string {
		if after(e, "portal_visible") == "true" {
			return "Made a product visible in the portal"
		}
		return "Hid a product from the portal"
	},
	"product_upsell.variant_settings_updated": func(e *Event) string {
		if after(e, "upsell") == "true" {
			return "Offered a product as a one-time addition"
		}
		return "Stopped offering a product as a one-time addition"
	},
	"selling_plan_group.created": func(e *Event) string { return named(e, "Created the selling plan group %s", "name") },
	"selling_plan_group.updated": updated("selling plan group", "name"),
	"selling_plan.created": func(e *Event) string {
		s := named(e, "Created the selling plan %s", "name")
		if p := every(afterOf(e, "billing_policy")); p != "" {
			s += ", billed " + p
		}
		return s
	},
	"selling_plan.updated":      updated("selling plan", "name"),
	"discount.created":          func(e *Event) string { return named(e, "Created the discount %s", "code") },
	"discount.redeemed":         func(e *Event) string { return "Redeemed the discount" },
	"discount.updated":          updated("discount", "code"),
	"account_settings.updated":  updated("account settings", ""),
	"portal_settings.updated":   updated("portal settings", ""),
	"billing_settings.updated":  updated("billing settings", ""),
	"recovery_settings.updated": updated("recovery settings", ""),
	"shipping_settings.updated": updated("shipping settings", ""),
	"log_settings.updated":      updated("log settings", ""),
	"api_key.created":           func(e *Event) string { return named(e, "Created the API key %s", "name") },
	"log.viewed":                func(e *Event) string { return "Viewed the " + logWords(text(e.Detail("log"))) },
	"log.exported": func(e *Event) string {
		return fmt.Sprintf("Downloaded the %s as %s", logWords(text(e.Detail("log"))), strings.ToUpper(text(e.Detail("format"))))
	},
	"customer.redacted":           func(*Event) string { return "Erased the customer's personal data" },
	"customer.data_requested":     func(*Event) string { return "Asked for a copy of the customer's data" },
	"customer.created":            func(*Event) string { return "Created the customer" },
	"customer.email_changed":      func(*Event) string { return "Changed the e-mail address" },
	"customer.profile_updated":    updated("profile", ""),
	"customer.magic_link_created": func(*Event) string { return "Created a link into the portal" },
	"address.added":               func(e *Event) string { return "Added an address" + inCountry(e) },
	"address.updated":             updated("address", ""),
	"payment_method.added":        func(e *Event) string { return "Added a payment method" + brand(e) },
	"payment_method.updated":      updated("payment method", ""),

	"subscription.created": func(e *Event) string {
		s := "Created the subscription"
		if p := every(afterOf(e, "billing_policy")); p != "" {
			s += ", billed " + p
		}
		if d := day(afterOf(e, "next_billing_date")); d != "" {
			s += ", first order on " + d
		}
		return s
	},
	"subscription.renewed": func(e *Event) string {
		s := "Renewed the subscription"
		if n := text(e.Detail("order_number")); n != "" {
			s += " with order " + n
		}
		s += cash(e.Detail("total"), " for %s")
		if d := day(afterOf(e, "next_billing_date")); d != "" {
			s += "; next order on " + d
		}
		return s
	},
	"subscription.paused": func(e *Event) string {
		if d := day(afterOf(e, "paused_until")); d != "" {
			return "Paused the subscription until " + d
		}
		return "Paused the subscription"
	},
	"subscription.resumed": func(e *Event) string {
		return "Resumed the subscription" + withDay(e, "next_billing_date", ", next order on ")
	},
	"subscription.cancelled": func(*Event) string { return "Cancelled the subscription" },
	"subscription.reactivated": func(e *Event) string {
		return "Reactivated the subscription" + withDay(e, "next_billing_date", ", next order on ")
	},
	"subscription.expired": func(*Event) string { return "The subscription ended: all its orders were made" },
	"subscription.merged": func(e *Event) string {
		if _, ok := e.Change("merged_into"); ok {
			return "Merged this subscription into " + text(e.Detail("into"))
		}
		return "Took over the items of " + text(e.Detail("from"))
	},
	"subscription.split": func(e *Event) string {
		return "Split off " + counted(len(removed(e, "items")), "item") + " into " + text(e.Detail("new_subscription_id"))
	},
	"subscription.order_skipped": func(e *Event) string {
		return "Skipped the order of " + cmp.Or(day(e.Detail("date")), "the next date")
	},
	"subscription.order_unskipped": func(e *Event) string {
		return "Put back the skipped order of " + cmp.Or(day(e.Detail("date")), "a date")
	},
	"subscription.next_billing_date_changed": func(e *Event) string {
		from, to := date(beforeOf(e, "next_billing_date")), date(afterOf(e, "next_billing_date"))
		switch {
		case from == nil || to == nil:
			return "Changed the next order's date"
		case from.Year == to.Year:
			return fmt.Sprintf("Moved the next order from %s to %s", from.LongWithoutYear(), to.Long())
		}
		return fmt.Sprintf("Moved the next order from %s to %s", from.Long(), to.Long())
	},
	"subscription.frequency_changed": func(e *Event) string {
		return fmt.Sprintf("Changed the frequency from %s to %s", every(beforeOf(e, "billing_policy")), every(afterOf(e, "billing_policy")))
	},
	"subscription.order_requested_now": func(*Event) string { return "Asked for an extra order now" },
	"subscription.order_gifted":        func(*Event) string { return "Made an order a gift" },
	"subscription.item_added":          func(e *Event) string { return "Added " + lines(added(e, "items")) },
	"subscription.item_removed":        func(e *Event) string { return "Removed " + lines(removed(e, "items")) },
	"subscription.one_time_item_added": func(e *Event) string { return "Added " + lines(added(e, "items")) + " to the next order" },
	"subscription.one_time_item_removed": func(e *Event) string {
		return "Removed " + lines(removed(e, "items")) + " from the next order"
	},
	"subscription.item_quantity_changed": func(e *Event) string {
		c := part(e, "quantity")
		return fmt.Sprintf("Changed the quantity%s from %s to %s", of(e), plainText(c.Before), plainText(c.After))
	},
	"subscription.item_price_overridden": func(e *Event) string {
		c := part(e, "unit_price")
		return fmt.Sprintf("Changed the price%s from %s to %s", of(e), cash(c.Before, "%s"), cash(c.After, "%s"))
	},
	"subscription.item_swapped": func(e *Event) string {
		c := part(e, "title")
		return fmt.Sprintf("Swapped %s for %s", cmp.Or(text(c.Before), "an item"), cmp.Or(text(c.After), "another"))
	},
	"subscription.shipping_address_changed":      func(*Event) string { return "Changed the shipping address" },
	"subscription.payment_method_changed":        func(*Event) string { return "Changed the payment method" },
	"subscription.backup_payment_method_changed": func(*Event) string { return "Changed the backup payment method" },
	"subscription.delivery_price_changed": func(e *Event) string {
		return fmt.Sprintf("Changed the delivery price from %s to %s", cash(beforeOf(e, "delivery_price"), "%s"), cash(afterOf(e, "delivery_price"), "%s"))
	},
	"subscription.discount_applied":   func(e *Event) string { return "Applied the discount " + strings.Join(keys(e, "discounts"), ", ") },
	"subscription.discount_removed":   func(e *Event) string { return "Removed the discount " + strings.Join(keys(e, "discounts"), ", ") },
	"subscription.note_changed":       func(*Event) string { return "Changed the note" },
	"subscription.attributes_changed": func(*Event) string { return "Changed the attributes" },
	"subscription.redacted":           func(*Event) string { return "Erased the personal data of the subscription" },

	"order.created": func(e *Event) string {
		s := "Created order " + after(e, "number") + cash(afterOf(e, "total"), " for %s")
		if d := day(afterOf(e, "billing_date")); d != "" {
			s += ", due on " + d
		}
		return s
	},
	"order.placed":    func(*Event) string { return "Placed the order: it is paid" },
	"order.failed":    func(*Event) string { return "Gave the order up: it could not be charged" },
	"order.cancelled": func(*Event) string { return "Cancelled the order" },
	"order.refunded":  func(e *Event) string { return "Refunded" + cmp.Or(cash(e.Detail("amount"), " %s"), " the order") },
	"order.fulfilled": func(*Event) string { return "Sent the order" },
	"order.redacted":  func(*Event) string { return "Erased the personal data of the order" },
	"billing_attempt.started": func(e *Event) string {
		return fmt.Sprintf("Started payment attempt %d", max(1, number(e.Detail("attempt")))) + cash(e.Detail("amount"), " of %s")
	},
	"billing_attempt.succeeded": func(e *Event) string {
		return fmt.Sprintf("Payment attempt %d succeeded", max(1, number(e.Detail("attempt")))) + cash(e.Detail("amount"), ": %s")
	},
	"billing_attempt.failed": func(e *Event) string {
		return fmt.Sprintf("Payment attempt %d failed", max(1, number(e.Detail("attempt")))) + because(e)
	},
	"billing_attempt.action_required": func(e *Event) string {
		return fmt.Sprintf("Payment attempt %d waits for the customer", max(1, number(e.Detail("attempt")))) + because(e)
	},
	"recovery.entered": func(e *Event) string { return "Recovery began" + because(e) },
	"recovery.retry_scheduled": func(e *Event) string {
		var r struct {
			NextRetry *civil.Date `json:"next_retry"`
		}
		if json.Unmarshal(afterOf(e, "recovery"), &r) == nil && r.NextRetry != nil {
			return "The payment will be tried again on " + r.NextRetry.Long()
		}
		return ""
	},
	"recovery.recovered": func(*Event) string { return "The failed payment was recovered" },
	"recovery.abandoned": func(*Event) string { return "Stopped trying to get the failed payment" },
	"recovery.exhausted": func(*Event) string { return "Gave up on the failed payment: all retries failed" },
}

func updated(what, name string) func(*Event) string {
	return func(e *Event) string {
		s := "Updated the " + what
		if len(e.Changes) == 1 && !e.Changes[0].Personal {
			c := e.Changes[0]
			was, is := plainText(c.Before), plainText(c.After)
			if c.Field == name || (len(was) <= 40 && len(is) <= 40 && (was != "" || is != "")) {
				return fmt.Sprintf("%s: %s from %s to %s", s, strings.ReplaceAll(c.Field, "_", " "), cmp.Or(was, "nothing"), cmp.Or(is, "nothing"))
			}
		}
		return s + changed(e)
	}
}

func named(e *Event, form, field string) string {
	return fmt.Sprintf(form, cmp.Or(after(e, field), "without a name"))
}

func beforeOf(e *Event, field string) jsontext.Value { c, _ := e.Change(field); return c.Before }
func afterOf(e *Event, field string) jsontext.Value  { c, _ := e.Change(field); return c.After }
func before(e *Event, field string) string           { return plainText(beforeOf(e, field)) }
func after(e *Event, field string) string            { return plainText(afterOf(e, field)) }

// text is a JSON string's value, empty for anything else.
func text(j jsontext.Value) string {
	var s string
	if j.Kind() != '"' || json.Unmarshal(j, &s) != nil {
		return ""
	}
	return s
}

// plainText is a value in words: strings without quotes, money and dates as people write them.
func plainText(j jsontext.Value) string {
	switch j.Kind() {
	case '"':
		s := text(j)
		if d, err := civil.Parse(s); err == nil {
			return d.Long()
		}
		return s
	case '{':
		if s := cash(j, "%s"); s != "" {
			return s
		}
		if s := every(j); s != "" {
			return s
		}
		return ""
	case '[', 'n', 0:
		return ""
	}
	return string(j)
}

func number(j jsontext.Value) int {
	var n int
	if json.Unmarshal(j, &n) != nil {
		return 0
	}
	return n
}

func date(j jsontext.Value) *civil.Date {
	d, err := civil.Parse(text(j))
	if err != nil {
		return nil
	}
	return &d
}

func day(j jsontext.Value) string {
	if d := date(j); d != nil {
		return d.Long()
	}
	return ""
}

func withDay(e *Event, field, form string) string {
	if d := day(afterOf(e, field)); d != "" {
		return form + d
	}
	return ""
}

func cash(j jsontext.Value, form string) string {
	var a money.Amount
	if j.Kind() != '{' || json.Unmarshal(j, &a, json.RejectUnknownMembers(true)) != nil || a.Currency == "" {
		return ""
	}
	return fmt.Sprintf(form, a.Format())
}

func withPrice(e *Event, field, form string) string { return cash(afterOf(e, field), form) }

func every(j jsontext.Value) string {
	var i civil.Interval
	if j.Kind() != '{' || json.Unmarshal(j, &i) != nil || i.Count == 0 {
		return ""
	}
	return i.String()
}

func because(e *Event) string {
	if m := text(e.Detail("message")); m != "" {
		return ": " + m
	}
	if c := text(e.Detail("code")); c != "" {
		return ": " + strings.ReplaceAll(c, "_", " ")
	}
	return ""
}

func inCountry(e *Event) string {
	if c := after(e, "country"); c != "" {
		return " in " + c
	}
	return ""
}

func brand(e *Event) string {
	if b := after(e, "brand"); b != "" {
		return ": " + b
	}
	return ""
}

func logWords(log string) string {
	switch log {
	case "customer":
		return "Customer Audit Log"
	case "subscription":
		return "Subscription Audit Log"
	case "explorer":
		return "explorer"
	}
	return "Activity Log"
}

type line struct {
	Title    string `json:"title"`
	Quantity int    `json:"quantity"`
}

// added gives the elements that the event put into a keyed list, removed those that it took out.
func added(e *Event, list string) []line {
	return elements(e, list, func(c Change) jsontext.Value { return c.After })
}

func removed(e *Event, list string) []line {
	return elements(e, list, func(c Change) jsontext.Value { return c.Before })
}

func elements(e *Event, list string, side func(Change) jsontext.Value) []line {
	var out []line
	for _, c := range e.Changes {
		if c.Root() != list || strings.Count(c.Field, ".") != 1 {
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
	var words []string
	for _, l := range ls {
		words = append(words, fmt.Sprintf("%d × %s", l.Quantity, l.Title))
	}
	return cmp.Or(strings.Join(words, ", "), "an item")
}

// part is the change of one field of a list's element: "quantity" of "items.item_x.quantity".
func part(e *Event, name string) Change {
	for _, c := range e.Changes {
		if strings.HasSuffix(c.Field, "."+name) {
			return c
		}
	}
	return Change{}
}

func of(e *Event) string {
	if t := text(e.Detail("title")); t != "" {
		return " of " + t
	}
	return ""
}

// keys are the keys of the elements of a list that the event touched.
func keys(e *Event, list string) []string {
	var out []string
	for _, c := range e.Changes {
		if c.Root() != list {
			continue
		}
		_, key, ok := strings.Cut(c.Field, ".")
		key, _, _ = strings.Cut(key, ".")
		if ok && (len(out) == 0 || out[len(out)-1] != key) {
			out = append(out, key)
		}
	}
	return out
}

func counted(n int, what string) string {
	if n == 1 {
		return "1 " + what
	}
	return fmt.Sprintf("%d %ss", n, what)
}

func lowerFirst(s string) string {
	if s == "" {
		return s
	}
	return strings.ToLower(s[:1]) + s[1:]
}
