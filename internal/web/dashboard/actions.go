package dashboard

import (
	"fmt"
	"maps"
	"net/url"
	"slices"
	"strconv"
	"strings"

	"github.com/a-h/templ"

	"perennial/internal/act"
	"perennial/internal/billing"
	"perennial/internal/catalog"
	"perennial/internal/civil"
	"perennial/internal/customer"
	"perennial/internal/fault"
	"perennial/internal/id"
	"perennial/internal/journal"
	"perennial/internal/kinds"
	"perennial/internal/money"
	"perennial/internal/program"
	"perennial/internal/query"
	"perennial/internal/subscription"
	"perennial/internal/team"
	"perennial/internal/web/ui"
)

// What can be done to a subscription is a table: each line has a form with a preview of what will happen, and the command that the
// REST API runs too.

// formField is a field of an action's form.
type formField struct {
	ui.Field
	kind    string // "input", "select", "area", "box", "boxes", "ordered", "phases", "radios", "country"
	options []ui.Option
	phases  []phaseRow
}

// subAction is something to do to a subscription.
type subAction struct {
	name, title, icon string // of the address; of the form; of the button
	verb              string // on the button
	lead              string // a sentence over the form; empty: none
	rule              subscription.Action
	danger            bool
	part              bool   // about one item or discount: its id is in the address
	besides           string // what only some looks at the form need, in words
	events            []journal.Name
	useful            func(s *subscription.Subscription) bool // whether menus show it; nil: always
	fields            func(c *call, s *subscription.Subscription, v url.Values) ([]formField, error)
	command           func(c *call, s *subscription.Subscription, in *input) journal.Command
}

// input reads the values of a form, and gathers what is wrong with them.
type input struct {
	url.Values
	wrong fault.Fields
}

func (in *input) text(name string) string { return strings.TrimSpace(in.Get(name)) }

// date reads a date; nil when nothing was given.
func (in *input) date(name string) *civil.Date {
	s := in.text(name)
	if s == "" {
		return nil
	}
	d, err := civil.Parse(s)
	if err != nil {
		in.wrong.Add("/"+name, "date_invalid", "Give a date, such as 2027-03-01.")
		return nil
	}
	return &d
}

// need reads a date that must be there.
func (in *input) need(name string) civil.Date {
	if in.text(name) == "" {
		in.wrong.Add("/"+name, "date_required", "Choose a date.")
	}
	if d := in.date(name); d != nil {
		return *d
	}
	return civil.Date{}
}

func (in *input) number(name string, otherwise int) int {
	s := in.text(name)
	if s == "" {
		return otherwise
	}
	n, err := strconv.Atoi(s)
	if err != nil {
		in.wrong.Add("/"+name, "number_invalid", "Give a whole number.")
	}
	return n
}

// amount reads money as people type it: "12.50".
func (in *input) amount(name, currency string) money.Amount {
	minor, ok := minorOf(in.text(name), money.Digits(currency))
	if !ok {
		in.wrong.Add("/"+name, "amount_invalid", "Give an amount such as {example}.", "example", strings.Fields(money.Of(1250, currency).String())[0])
	}
	return money.Of(minor, currency)
}

// minorOf reads a decimal number as minor units.
func minorOf(s string, digits int) (int64, bool) {
	whole, part, _ := strings.Cut(strings.ReplaceAll(s, ",", "."), ".")
	if whole == "" || len(part) > digits || len(whole) > 12 {
		return 0, false
	}
	n, err := strconv.ParseUint(whole+part+strings.Repeat("0", digits-len(part)), 10, 62)
	return int64(n), err == nil
}

// pairs reads lines of "name: value".
func (in *input) pairs(field string) map[string]string {
	out := map[string]string{}
	for line := range strings.Lines(in.text(field)) {
		if line = strings.TrimSpace(line); line == "" {
			continue
		}
		name, value, ok := strings.Cut(line, ":")
		if name = strings.TrimSpace(name); !ok || name == "" {
			in.wrong.Add("/"+field, "line_invalid", "Write each line as name: value.")
		}
		out[name] = strings.TrimSpace(value)
	}
	return out
}

// needsFor hides a form prefilled with personal data from users who may not see it.
func (c *call) needsFor(thereIsOne bool) error { //nolint:revive // it asks the state, not for another way
	if !thereIsOne {
		return nil
	}
	return c.needs(team.PersonalDataView)
}

func dateField(name, label, value string, today civil.Date, required bool) formField {
	return formField{kind: "input", Field: ui.Field{Name: name, Label: label, Type: "date", Value: value, Min: today.String(), Required: required}}
}

func textField(kind, name, label, value, hint string) formField {
	return formField{kind: kind, Field: ui.Field{Name: name, Label: label, Value: value, Hint: hint}}
}

// filled is what was typed, or what the form begins with.
func filled(v url.Values, name, first string) string {
	if v.Has(name) {
		return v.Get(name)
	}
	return first
}

var intervalOptions = []ui.Option{{Value: "day", Label: "days"}, {Value: "week", Label: "weeks"}, {Value: "month", Label: "months"}, {Value: "year", Label: "years"}}

// ofAct is the form of an act.
func ofAct(a act.Act) subAction {
	return subAction{name: a.Name, title: a.Words.Title, icon: a.Words.Icon, verb: a.Words.Verb, lead: a.Words.Lead, rule: a.Rule, events: a.Events, useful: a.Useful,
		fields: func(c *call, s *subscription.Subscription, v url.Values) (out []formField, err error) {
			first := a.First(s)
			for _, f := range a.Fields {
				made, err := c.widget(f, a, s, v, first[f.Name])
				if err != nil {
					return nil, err
				}
				out = append(out, made)
			}
			return out, nil
		},
		command: func(_ *call, s *subscription.Subscription, in *input) journal.Command { return a.Read(s.ID, in.Get) }}
}

// widget makes the field of a form from that of an act.
func (c *call) widget(f act.Field, a act.Act, s *subscription.Subscription, v url.Values, first string) (out formField, err error) {
	out = formField{kind: "input", Field: ui.Field{Name: f.Name, Label: f.Label, Hint: f.Hint, Value: filled(v, f.Name, first), Required: f.Required}}
	switch f.Widget {
	case "order":
		out.kind, out.Required = "select", false
		out.options, err = c.dateOptions(s, a.Rule == subscription.ActionUnskip)
	case "day":
		out.Type, out.Min = "date", c.today().String()
	case "later":
		out.Type, out.Min = "date", c.today().AddDays(1).String()
	case "number":
		out.Type, out.Min, out.Max = "number", "1", "365"
	case "unit":
		out.kind, out.options, out.Required = "select", intervalOptions, false
	default:
		return out, fmt.Errorf("dashboard: no widget %q for %s of %s", f.Widget, f.Name, a.Name)
	}
	return out, err
}

// subActions are in the order of the menu.
var subActions = []subAction{
	ofAct(act.Skip.Form()),
	ofAct(act.Unskip.Form()),
	{name: "reschedule", title: "Move the next order", icon: "calendar-clock", verb: "Move", rule: subscription.ActionReschedule, events: []journal.Name{journal.SubscriptionNextBillingDateChanged},
		fields: func(c *call, s *subscription.Subscription, v url.Values) ([]formField, error) {
			return []formField{dateField("next_billing_date", "To", filled(v, "next_billing_date", dateText(s.NextBillingDate)), c.today(), true),
				{kind: "radios", Field: ui.Field{Name: "rhythm", Label: "The orders after it", Value: filled(v, "rhythm", "keep")}, options: []ui.Option{
					{Value: "keep", Label: "Stay on their days", Hint: "Only this order moves."}, {Value: "new", Label: "Are counted from the new date", Hint: "The rhythm begins anew."}}}}, nil
		},
		command: func(_ *call, s *subscription.Subscription, in *input) journal.Command {
			return journal.Bind(subscription.Reschedule{ID: s.ID, Date: in.need("next_billing_date"), NewRhythm: in.text("rhythm") == "new"})
		}},
	ofAct(act.ChangeFrequency.Form()),
	ofAct(act.Pause.Form()),
	ofAct(act.Resume.Form()),
	{name: "order-now", title: "Make an extra order now", icon: "zap", verb: "Order and charge now", rule: subscription.ActionOrderNow, lead: "The customer is charged at once. The rhythm stays as it is.",
		events: []journal.Name{journal.OrderCreated, journal.SubscriptionOrderRequestedNow, journal.BillingAttemptStarted, journal.OrderPlaced, journal.VariantInventoryChanged},
		command: func(c *call, s *subscription.Subscription, _ *input) journal.Command {
			return journal.Bind(billing.OrderNow{SubscriptionID: s.ID, OrderID: c.IDs.New(id.Order), AttemptID: c.IDs.New(id.BillingAttempt)})
		}},
	{name: "items", title: "Add an item", icon: "plus", verb: "Add", rule: subscription.ActionAddItem, events: []journal.Name{journal.SubscriptionItemAdded, journal.SubscriptionOneTimeItemAdded},
		fields: func(c *call, _ *subscription.Subscription, v url.Values) ([]formField, error) {
			o, err := c.variantOptions()
			return []formField{{kind: "select", Field: ui.Field{Name: "variant_id", Label: "Product", Value: v.Get("variant_id")}, options: o}, quantityField(v, 1),
				{kind: "radios", Field: ui.Field{Name: "one_time", Label: "How often", Value: filled(v, "one_time", "no")}, options: []ui.Option{{Value: "no", Label: "With every order"}, {Value: "yes", Label: "Only with the next order"}}}}, err
		},
		command: func(c *call, s *subscription.Subscription, in *input) journal.Command {
			return journal.Bind(subscription.AddItem{ID: s.ID, Item: subscription.NewItem{ID: c.IDs.New(id.Item), VariantID: id.ID(in.text("variant_id")), Quantity: in.number("quantity", 1), OneTime: in.text("one_time") == "yes"}})
		}},
	{name: "discounts", title: "Apply a discount code", icon: "badge-percent", verb: "Apply", rule: subscription.ActionDiscount, events: []journal.Name{journal.SubscriptionDiscountApplied, journal.DiscountRedeemed},
		fields: func(_ *call, _ *subscription.Subscription, v url.Values) ([]formField, error) {
			return []formField{textField("input", "code", "Code", v.Get("code"), "")}, nil
		},
		command: func(_ *call, s *subscription.Subscription, in *input) journal.Command {
			return journal.Bind(subscription.ApplyDiscount{ID: s.ID, Code: in.text("code")})
		}},
	{name: "shipping-address", title: "Change the shipping address", icon: "map-pin", verb: "Change", rule: subscription.ActionShippingAddress, events: []journal.Name{journal.SubscriptionShippingAddressChanged},
		fields: func(c *call, s *subscription.Subscription, v url.Values) ([]formField, error) {
			o, err := c.addressOptions(s.CustomerID)
			return []formField{{kind: "select", Field: ui.Field{Name: "address_id", Label: "Address", Value: filled(v, "address_id", string(s.ShippingAddressID)), Hint: "A new address is added on the customer's page."}, options: o},
				{kind: "box", Field: ui.Field{Name: "all_subscriptions", Label: "For all subscriptions of the customer", Value: v.Get("all_subscriptions")}}}, err
		},
		command: func(_ *call, s *subscription.Subscription, in *input) journal.Command {
			return journal.Bind(subscription.ChangeShippingAddress{ID: s.ID, AddressID: id.ID(in.text("address_id")), AllSubscriptions: in.text("all_subscriptions") == "yes"})
		}},
	{name: "payment-method", title: "Change the payment method", icon: "credit-card", verb: "Change", rule: subscription.ActionPaymentMethod, events: []journal.Name{journal.SubscriptionPaymentMethodChanged},
		fields: methodFields("The one to charge", "The customer's default", func(s *subscription.Subscription) id.ID { return s.PaymentMethodID }),
		command: func(_ *call, s *subscription.Subscription, in *input) journal.Command {
			return journal.Bind(subscription.ChangePaymentMethod{ID: s.ID, PaymentMethodID: id.ID(in.text("payment_method_id"))})
		}},
	{name: "backup-payment-method", title: "Change the backup payment method", icon: "credit-card", verb: "Change", rule: subscription.ActionBackupPaymentMethod, events: []journal.Name{journal.SubscriptionBackupPaymentMethodChanged},
		fields: methodFields("The one to try when the first fails", "The customer's backup, if there is one", func(s *subscription.Subscription) id.ID { return s.BackupPaymentMethodID }),
		command: func(_ *call, s *subscription.Subscription, in *input) journal.Command {
			return journal.Bind(subscription.ChangeBackupPaymentMethod{ID: s.ID, PaymentMethodID: id.ID(in.text("payment_method_id"))})
		}},
	{name: "delivery-price", title: "Change the delivery price", icon: "truck", verb: "Change", rule: subscription.ActionDeliveryPrice, events: []journal.Name{journal.SubscriptionDeliveryPriceChanged},
		fields: func(_ *call, s *subscription.Subscription, v url.Values) ([]formField, error) {
			return []formField{textField("input", "delivery_price", "Price of each delivery, in "+s.Currency, filled(v, "delivery_price", s.DeliveryPrice.Decimal()), "")}, nil
		},
		command: func(_ *call, s *subscription.Subscription, in *input) journal.Command {
			return journal.Bind(subscription.ChangeDeliveryPrice{ID: s.ID, Price: in.amount("delivery_price", s.Currency)})
		}},
	{name: "gift", title: "Send an order to somebody else", icon: "gift", verb: "Make it a gift", rule: subscription.ActionGift, events: []journal.Name{journal.SubscriptionOrderGifted},
		fields: func(c *call, s *subscription.Subscription, v url.Values) ([]formField, error) {
			o, err := c.dateOptions(s, false)
			out := []formField{{kind: "select", Field: ui.Field{Name: "date", Label: "Which order", Value: v.Get("date")}, options: o}}
			for _, f := range []struct{ name, label string }{{"first_name", "First name"}, {"last_name", "Last name"}, {"line1", "Street and number"}, {"postal_code", "Postal code"}, {"city", "City"}, {"region", "Region"}, {"country", "Country (two letters)"}} {
				out = append(out, textField("input", f.name, f.label, v.Get(f.name), ""))
			}
			return append(out, textField("area", "message", "Message", v.Get("message"), "Optional. It goes with the parcel.")), err
		},
		command: func(_ *call, s *subscription.Subscription, in *input) journal.Command {
			return journal.Bind(subscription.GiftOrder{ID: s.ID, Date: in.need("date"), Message: in.text("message"), Address: subscription.GiftAddress{FirstName: in.text("first_name"), LastName: in.text("last_name"),
				Line1: in.text("line1"), PostalCode: in.text("postal_code"), City: in.text("city"), Region: in.text("region"), Country: strings.ToUpper(in.text("country"))}})
		}},
	{name: "note", title: "Change the note", icon: "message-square", verb: "Save", rule: subscription.ActionNote, events: []journal.Name{journal.SubscriptionNoteChanged},
		besides: "personal_data.view where there is a note",
		fields: func(c *call, s *subscription.Subscription, v url.Values) ([]formField, error) {
			if err := c.needsFor(s.Note.Value != ""); err != nil {
				return nil, err
			}
			return []formField{textField("area", "note", "Note", filled(v, "note", s.Note.Value), "The team sees it; the customer does not.")}, nil
		},
		command: func(_ *call, s *subscription.Subscription, in *input) journal.Command {
			return journal.Bind(subscription.ChangeNote{ID: s.ID, Note: in.text("note")})
		}},
	{name: "attributes", title: "Change the attributes", icon: "tag", verb: "Save", rule: subscription.ActionAttributes, events: []journal.Name{journal.SubscriptionAttributesChanged},
		besides: "personal_data.view where there are attributes",
		fields: func(c *call, s *subscription.Subscription, v url.Values) ([]formField, error) {
			if err := c.needsFor(len(s.Attributes.Value) > 0); err != nil {
				return nil, err
			}
			var lines []string
			for _, name := range slices.Sorted(maps.Keys(s.Attributes.Value)) {
				lines = append(lines, name+": "+s.Attributes.Value[name])
			}
			return []formField{textField("area", "attributes", "Attributes", filled(v, "attributes", strings.Join(lines, "\n")), "A line each: name: value. Programs read them.")}, nil
		},
		command: func(_ *call, s *subscription.Subscription, in *input) journal.Command {
			return journal.Bind(subscription.ChangeAttributes{ID: s.ID, Attributes: in.pairs("attributes")})
		}},
	{name: "split", title: "Split items off", icon: "split", verb: "Split", rule: subscription.ActionSplit, lead: "What is ticked goes into a new subscription with the same rhythm.", events: []journal.Name{journal.SubscriptionSplit, journal.SubscriptionCreated},
		fields: func(_ *call, s *subscription.Subscription, v url.Values) ([]formField, error) {
			var o []ui.Option
			for _, it := range s.Items {
				o = append(o, ui.Option{Value: string(it.ID), Label: fmt.Sprintf("%d × %s", it.Quantity, it.Title)})
			}
			return []formField{{kind: "boxes", Field: ui.Field{Name: "item_ids", Label: "Items", Value: strings.Join(v["item_ids"], " ")}, options: o}}, nil
		},
		command: func(c *call, s *subscription.Subscription, in *input) journal.Command {
			cmd := subscription.Split{ID: s.ID, NewID: c.IDs.New(id.Subscription)}
			for _, it := range in.Values["item_ids"] {
				cmd.ItemIDs = append(cmd.ItemIDs, id.ID(it))
			}
			return journal.Bind(cmd)
		}},
	{name: "merge", title: "Merge into another subscription", icon: "merge", verb: "Merge", rule: subscription.ActionMerge, lead: "The items move over, and this subscription is cancelled.", events: []journal.Name{journal.SubscriptionMerged},
		fields: func(c *call, s *subscription.Subscription, v url.Values) ([]formField, error) {
			rows, err := c.rows(journal.Subscription, query.Newest, query.Is(query.Customer, s.CustomerID), query.Is(query.Status, subscription.Active))
			o := []ui.Option{{Label: "Choose one"}}
			for _, r := range rows {
				if other := r.State.(*subscription.Subscription); other.ID != s.ID {
					o = append(o, ui.Option{Value: string(other.ID), Label: kinds.Contents(other) + ", next on " + dates(other.NextBillingDate, "no date")})
				}
			}
			return []formField{{kind: "select", Field: ui.Field{Name: "into", Label: "Into", Value: v.Get("into")}, options: o}}, err
		},
		command: func(c *call, s *subscription.Subscription, in *input) journal.Command {
			cmd := subscription.Merge{ID: s.ID, Into: id.ID(in.text("into"))}
			for range subscription.MaxItems {
				cmd.ItemIDs = append(cmd.ItemIDs, c.IDs.New(id.Item))
			}
			return journal.Bind(cmd)
		}},
	ofAct(act.Reactivate.Form()),
	{name: "cancel", title: "Cancel the subscription", icon: "ban", verb: "Cancel the subscription", rule: subscription.ActionCancel, danger: true, events: []journal.Name{journal.SubscriptionCancelled},
		lead: "No order comes any more. It can be reactivated later.",
		fields: func(_ *call, _ *subscription.Subscription, v url.Values) ([]formField, error) {
			return []formField{textField("input", "reason", "The customer's reason", v.Get("reason"), "Optional. It counts in the analytics.")}, nil
		},
		command: func(_ *call, s *subscription.Subscription, in *input) journal.Command {
			return journal.Bind(subscription.Cancel{ID: s.ID, Reason: in.text("reason")})
		}},
	{name: "quantity", part: true, title: "Change the quantity", icon: "pencil", verb: "Change", rule: subscription.ActionChangeQuantity, events: []journal.Name{journal.SubscriptionItemQuantityChanged},
		fields: func(c *call, s *subscription.Subscription, v url.Values) ([]formField, error) {
			return []formField{quantityField(v, c.item(s).Quantity)}, nil
		},
		command: func(c *call, s *subscription.Subscription, in *input) journal.Command {
			return journal.Bind(subscription.ChangeItem{ID: s.ID, ItemID: id.ID(c.r.PathValue("part")), Quantity: new(in.number("quantity", 0))})
		}},
	{name: "price", part: true, title: "Change the price of an item", icon: "tag", verb: "Change", rule: subscription.ActionChangePrice, events: []journal.Name{journal.SubscriptionItemPriceOverridden},
		lead: "The price is for this subscription alone. The plan's discounts still apply to it.",
		fields: func(c *call, s *subscription.Subscription, v url.Values) ([]formField, error) {
			return []formField{textField("input", "unit_price", "Price of one, in "+s.Currency, filled(v, "unit_price", c.item(s).UnitPrice.Decimal()), "")}, nil
		},
		command: func(c *call, s *subscription.Subscription, in *input) journal.Command {
			return journal.Bind(subscription.ChangeItem{ID: s.ID, ItemID: id.ID(c.r.PathValue("part")), UnitPrice: new(in.amount("unit_price", s.Currency))})
		}},
	{name: "swap", part: true, title: "Swap an item", icon: "refresh-cw", verb: "Swap", rule: subscription.ActionSwapItem, events: []journal.Name{journal.SubscriptionItemSwapped},
		fields: func(c *call, s *subscription.Subscription, v url.Values) ([]formField, error) {
			o, err := c.variantOptions()
			return []formField{{kind: "select", Field: ui.Field{Name: "variant_id", Label: "For", Value: filled(v, "variant_id", string(c.item(s).VariantID))}, options: o}, quantityField(v, c.item(s).Quantity)}, err
		},
		command: func(c *call, s *subscription.Subscription, in *input) journal.Command {
			return journal.Bind(subscription.SwapItem{ID: s.ID, ItemID: id.ID(c.r.PathValue("part")), VariantID: id.ID(in.text("variant_id")), Quantity: new(in.number("quantity", 1))})
		}},
	{name: "remove", part: true, title: "Remove an item", icon: "trash-2", verb: "Remove", danger: true, rule: subscription.ActionRemoveItem, events: []journal.Name{journal.SubscriptionItemRemoved, journal.SubscriptionOneTimeItemRemoved},
		command: func(c *call, s *subscription.Subscription, _ *input) journal.Command {
			return journal.Bind(subscription.RemoveItem{ID: s.ID, ItemID: id.ID(c.r.PathValue("part"))})
		}},
	{name: "discount-remove", part: true, title: "Remove a discount", icon: "trash-2", verb: "Remove", danger: true, rule: subscription.ActionDiscount, events: []journal.Name{journal.SubscriptionDiscountRemoved},
		command: func(c *call, s *subscription.Subscription, _ *input) journal.Command {
			return journal.Bind(subscription.RemoveDiscount{ID: s.ID, Code: c.r.PathValue("part")})
		}},
}

func dateText(d *civil.Date) string {
	if d == nil {
		return ""
	}
	return d.String()
}

func quantityField(v url.Values, first int) formField {
	return formField{kind: "input", Field: ui.Field{Name: "quantity", Label: "Quantity", Type: "number", Min: "1", Max: "999", Value: filled(v, "quantity", strconv.Itoa(first)), Required: true}}
}

func methodFields(label, none string, now func(*subscription.Subscription) id.ID) func(c *call, s *subscription.Subscription, v url.Values) ([]formField, error) {
	return func(c *call, s *subscription.Subscription, v url.Values) ([]formField, error) {
		rows, err := c.allRows(journal.PaymentMethod, query.Newest, query.Is(query.Customer, s.CustomerID))
		o := []ui.Option{{Label: none}}
		for _, r := range rows {
			if m := r.State.(*customer.PaymentMethod); m.Status == customer.StatusActive || m.Status == customer.StatusExpired {
				o = append(o, ui.Option{Value: string(m.ID), Label: c.method(m)})
			}
		}
		return []formField{{kind: "select", Field: ui.Field{Name: "payment_method_id", Label: label, Value: filled(v, "payment_method_id", string(now(s)))}, options: o}}, err
	}
}

// item is the one that the address names; an empty one when it is gone.
func (c *call) item(s *subscription.Subscription) subscription.Item {
	for _, it := range s.Items {
		if string(it.ID) == c.r.PathValue("part") {
			return it
		}
	}
	return subscription.Item{UnitPrice: money.Zero(s.Currency)}
}

// dateOptions are the dates of the orders to come that are skipped, or that are not.
func (c *call) dateOptions(s *subscription.Subscription, skipped bool) ([]ui.Option, error) {
	orders, err := c.upcomingOf(s, ahead)
	var out []ui.Option
	for _, o := range orders {
		if o.Skipped == skipped {
			label := o.Date.Long()
			if !skipped {
				label += ", " + c.cash(o.Total)
			}
			out = append(out, ui.Option{Value: o.Date.String(), Label: label})
		}
	}
	if len(out) == 0 {
		out = []ui.Option{{Label: "There is none"}}
	}
	return out, err
}

// variantOptions are what can be subscribed to.
func (c *call) variantOptions() ([]ui.Option, error) {
	products, err := c.allRows(journal.Product, query.Oldest, query.Is(query.Status, catalog.Active))
	if err != nil {
		return nil, err
	}
	titles := map[id.ID]string{}
	for _, r := range products {
		p := r.State.(*catalog.Product)
		titles[p.ID] = p.Title
	}
	rows, err := c.allRows(journal.Variant, query.ByProduct)
	out := []ui.Option{{Label: "Choose a product"}}
	for _, r := range rows {
		v := r.State.(*catalog.Variant)
		title, ok := titles[v.ProductID]
		if !ok || v.Status != catalog.Active {
			continue
		}
		if v.Title != "" && v.Title != title {
			title += ", " + v.Title
		}
		price := c.cash(v.Price)
		if v.SoldOut() {
			price += ", out of stock"
		}
		out = append(out, ui.Option{Value: string(v.ID), Label: title + " (" + price + ")"})
	}
	return out, err
}

func (c *call) addressOptions(who id.ID) ([]ui.Option, error) {
	rows, err := c.allRows(journal.Address, query.Newest, query.Is(query.Customer, who))
	var out []ui.Option
	for _, r := range rows {
		if a := r.State.(*customer.Address); a.Status == customer.StatusActive {
			out = append(out, ui.Option{Value: string(a.ID), Label: strings.Join(c.addressLines(a), ", ")})
		}
	}
	return out, err
}

func (d *Dashboard) registerSubscriptionActions() {
	for _, a := range subActions {
		path := "/subscriptions/{id}/" + a.name
		if a.part {
			path += "/{part}"
		}
		look := route{permission: team.SubscriptionsEdit, besides: a.besides}
		look.pattern = "GET " + path
		d.on(look, func(c *call) (answer, error) { return c.actionForm(a, c.r.URL.Query(), nil) })
		d.on(route{pattern: "POST " + path, permission: team.SubscriptionsEdit, events: a.events}, func(c *call) (answer, error) { return c.act(a) })
		look.pattern = "POST " + path + ui.Preview
		d.on(look, func(c *call) (answer, error) { return c.actionForm(a, c.r.PostForm, nil) })
	}
	d.on(route{pattern: "GET /subscriptions/new", permission: team.SubscriptionsEdit}, func(c *call) (answer, error) { return c.newSubscription(c.r.URL.Query(), nil) })
	d.on(route{pattern: "POST /subscriptions", permission: team.SubscriptionsEdit, events: []journal.Name{journal.SubscriptionCreated}}, (*call).createSubscription)
	d.on(route{pattern: "POST /subscriptions" + ui.Preview, permission: team.SubscriptionsEdit}, func(c *call) (answer, error) { return c.newSubscription(c.r.PostForm, nil) })
}

// actionView is the form of an action.
type actionView struct {
	At, Back, Lead, Verb string
	Danger               bool
	Fields               []formField
	Version              int64
	Comment              string
	Problems             problems
	Foreseen             foreseen
	Refusal              string // in this status it is not possible
}

// foreseen is what a command would come to now.
type foreseen struct {
	Problem   string
	Sentences []string
	Changes   []ui.Change
	Before    []upcomingLine
	After     []upcomingLine
	Nothing   bool // it changes nothing
}

// foresee decides a command without doing it.
func (c *call) foresee(cmd journal.Command, about id.ID) (out foreseen, err error) {
	d, err := cmd.Run(c.reader(), c.Program.Now())
	if err != nil {
		f := fault.As(err)
		if f.Kind == fault.Internal || f.Kind == fault.Unavailable {
			return out, err
		}
		out.Problem = f.Public
		for _, field := range f.Fields {
			out.Problem = field.Detail
		}
		return out, nil
	}
	out.Nothing = len(d.Drafts) == 0
	var last *subscription.Subscription
	times := map[string]int{}
	for _, draft := range d.Drafts {
		e, err := draft.Event()
		if err != nil {
			return out, err
		}
		sentence := journal.Summary(e)
		if times[sentence]++; times[sentence] == 1 {
			out.Sentences = append(out.Sentences, sentence)
		}
		if s, ok := draft.After.(*subscription.Subscription); ok && (s.ID == about || about == "") {
			last = s
		}
	}
	for i, sentence := range out.Sentences {
		if n := times[sentence]; n > 1 {
			out.Sentences[i] = fmt.Sprintf("%s (%d times)", sentence, n)
		}
	}
	if last != nil {
		out.After, err = c.upcomingLines(last, 4, false)
	}
	return out, err
}

func (c *call) actionForm(a subAction, v url.Values, p problems) (answer, error) {
	s, version, err := c.subscription()
	if err != nil {
		return answer{}, err
	}
	back := "/subscriptions/" + string(s.ID)
	view := actionView{At: ui.WithoutPreview(c.r.URL.Path), Back: back, Lead: a.lead, Verb: a.verb, Danger: a.danger, Version: version, Comment: v.Get("comment"), Problems: p}
	out := answer{title: a.title, narrow: true, head: ui.Head{Crumbs: []ui.Link{{Href: "/subscriptions", Text: "Subscriptions"}, {Href: back, Text: kinds.Contents(s)}}}}
	if err := s.May(a.rule); err != nil {
		view.Refusal = fault.As(err).Public
		out.body = actionBody(view)
		return out, nil
	}
	if a.fields != nil {
		if view.Fields, err = a.fields(c, s, v); err != nil {
			return out, err
		}
	}
	// What the form says now is what is foreseen: its first values, until somebody changes them.
	values := url.Values{}
	maps.Copy(values, v)
	for i, f := range view.Fields {
		view.Fields[i].Problem = p[f.Name]
		first := f.Value
		if f.kind == "select" && first == "" && len(f.options) > 0 {
			first = f.options[0].Value
		}
		if !values.Has(f.Name) && f.kind != "boxes" && f.kind != "box" {
			values.Set(f.Name, first)
		}
	}
	in := &input{Values: values}
	cmd := a.command(c, s, in)
	if err := in.wrong.Err(); err != nil {
		view.Foreseen.Problem = fault.As(err).Fields[0].Detail
	} else if view.Foreseen, err = c.foresee(cmd, s.ID); err != nil {
		return out, err
	}
	if view.Foreseen.Before, err = c.upcomingLines(s, 4, false); err != nil {
		return out, err
	}
	out.body = actionBody(view)
	return out, nil
}

func (c *call) act(a subAction) (answer, error) {
	s, _, err := c.subscription()
	if err != nil {
		return answer{}, err
	}
	in := &input{Values: c.r.PostForm}
	cmd := a.command(c, s, in)
	again := func(p problems) answer {
		out, err := c.actionForm(a, c.r.PostForm, p)
		if err != nil {
			return answer{title: a.title, body: boxed(plainBody(fault.As(err).Public))}
		}
		return out
	}
	if err := in.wrong.Err(); err != nil {
		return c.formAgain(a.title, err, again)
	}
	c.comment()
	req := &program.Request{Command: cmd, Target: s.Ref()}
	if version, err := strconv.ParseInt(in.text("version"), 10, 64); err == nil {
		req.IfMatch = &version
	}
	out, err := c.run(req)
	if err != nil && fault.As(err).Kind == fault.Stale {
		return c.refuseStale(again(nil), s.Ref(), in.text("version"), cmd)
	}
	if err != nil {
		return c.formAgain(a.title, err, again)
	}
	at := "/subscriptions/" + string(s.ID)
	if a.name == "split" && len(out.Decision.Created) > 0 {
		at = "/subscriptions/" + string(out.Decision.Created[0])
	}
	// The toast tells of what happened to this subscription.
	events := slices.Clone(out.Events)
	slices.SortStableFunc(events, func(x, y program.Done) int {
		return boolInt(x.Target().ID != s.ID) - boolInt(y.Target().ID != s.ID)
	})
	return after(at, events), nil
}

func boolInt(b bool) int {
	if b {
		return 1
	}
	return 0
}

// newSubscriptionView is the form of a subscription by hand.
type newSubscriptionView struct {
	Q        string
	Found    []ui.Option // customers to choose from
	Customer *ui.Link
	ID       id.ID
	Fields   []formField
	Lines    []formField // variant and quantity, in pairs
	Problems problems
	Foreseen foreseen
	Comment  string
}

// newLines is how many items the form has room for.
const newLines = 4

func (c *call) newSubscription(v url.Values, p problems) (answer, error) {
	out := answer{title: "Create a subscription", narrow: true, head: ui.Head{Crumbs: []ui.Link{{Href: "/subscriptions", Text: "Subscriptions"}}}}
	view := newSubscriptionView{Q: strings.TrimSpace(v.Get("q")), ID: id.ID(v.Get("customer_id")), Problems: p, Comment: v.Get("comment")}
	who, err := journal.Find[customer.Customer](c.reader(), journal.Customer, view.ID)
	if err != nil {
		return out, err
	}
	if who == nil {
		if view.Q != "" {
			people, err := c.meant(view.Q)
			if err != nil {
				return out, err
			}
			found, err := statesOf[*customer.Customer](c, journal.Customer, people)
			if err != nil {
				return out, err
			}
			for _, key := range people[:min(len(people), 20)] {
				if p := found[key]; p != nil && p.Status == customer.Active {
					view.Found = append(view.Found, ui.Option{Value: "/subscriptions/new?customer_id=" + string(key), Label: c.called(p), Hint: c.personal(p.Email)})
				}
			}
		}
		out.body = newSubscriptionBody(view)
		return out, nil
	}
	view.Customer = new(c.thing(string(journal.Customer), string(who.ID), c.called(who)))
	variants, err := c.variantOptions()
	if err != nil {
		return out, err
	}
	for i := range newLines {
		n := strconv.Itoa(i)
		view.Lines = append(view.Lines,
			formField{kind: "select", Field: ui.Field{Name: "variant_" + n, Label: "Product", Value: v.Get("variant_" + n)}, options: variants},
			formField{kind: "input", Field: ui.Field{Name: "quantity_" + n, Label: "Quantity", Type: "number", Min: "1", Max: "999", Value: filled(v, "quantity_"+n, "1")}})
	}
	plans, err := c.allRows(journal.SellingPlan, query.Oldest, query.Is(query.Status, catalog.Active))
	if err != nil {
		return out, err
	}
	planOptions := []ui.Option{{Label: "No plan: a rhythm of its own"}}
	for _, r := range plans {
		plan := r.State.(*catalog.Plan)
		planOptions = append(planOptions, ui.Option{Value: string(plan.ID), Label: plan.Name + ", " + every(plan.BillingPolicy)})
	}
	addresses, err := c.addressOptions(who.ID)
	if err != nil {
		return out, err
	}
	none := func(o []ui.Option) []ui.Option {
		return append([]ui.Option{{Label: "The customer's default"}}, o...)
	}
	methods, err := methodFields("Payment method", "The customer's default", func(*subscription.Subscription) id.ID { return "" })(c, &subscription.Subscription{CustomerID: who.ID}, v)
	if err != nil {
		return out, err
	}
	view.Fields = []formField{
		{kind: "select", Field: ui.Field{Name: "selling_plan_id", Label: "Plan", Value: v.Get("selling_plan_id")}, options: planOptions},
		{kind: "input", Field: ui.Field{Name: "interval_count", Label: "Without a plan: every", Type: "number", Min: "1", Max: "365", Value: filled(v, "interval_count", "1")}},
		{kind: "select", Field: ui.Field{Name: "interval", Label: "Unit", Value: filled(v, "interval", "month")}, options: intervalOptions},
		dateField("next_billing_date", "First order", v.Get("next_billing_date"), c.today(), false),
		{kind: "select", Field: ui.Field{Name: "shipping_address_id", Label: "Address", Value: v.Get("shipping_address_id")}, options: none(addresses)}, methods[0],
		textField("input", "delivery_price", "Delivery price", v.Get("delivery_price"), "Leave it empty for the shop's."),
		textField("area", "note", "Note", v.Get("note"), "The team sees it; the customer does not."),
	}
	view.Fields[3].Hint = "Leave it empty for one interval from today."
	for i, f := range view.Fields {
		view.Fields[i].Problem = p[f.Name]
	}
	if v.Get("variant_0") != "" {
		in := &input{Values: v}
		cmd := c.creation(who.ID, in)
		if err := in.wrong.Err(); err != nil {
			view.Foreseen.Problem = fault.As(err).Fields[0].Detail
		} else if view.Foreseen, err = c.foresee(cmd, ""); err != nil {
			return out, err
		}
	}
	out.body = newSubscriptionBody(view)
	return out, nil
}

// creation is the command that the form means.
func (c *call) creation(who id.ID, in *input) journal.Command {
	cmd := subscription.Create{ID: c.IDs.New(id.Subscription), CustomerID: who, SellingPlanID: id.ID(in.text("selling_plan_id")), NextBillingDate: in.date("next_billing_date"),
		ShippingAddressID: id.ID(in.text("shipping_address_id")), PaymentMethodID: id.ID(in.text("payment_method_id")), Note: in.text("note")}
	if cmd.SellingPlanID == "" {
		cmd.BillingPolicy = &catalog.Policy{Interval: civil.Unit(in.text("interval")), IntervalCount: in.number("interval_count", 1)}
	}
	if in.text("delivery_price") != "" {
		cmd.DeliveryPrice = new(in.amount("delivery_price", c.here().general.Currency))
	}
	for i := range newLines {
		n := strconv.Itoa(i)
		if v := in.text("variant_" + n); v != "" {
			cmd.Items = append(cmd.Items, subscription.NewItem{ID: c.IDs.New(id.Item), VariantID: id.ID(v), Quantity: in.number("quantity_"+n, 1)})
		}
	}
	return journal.Bind(cmd)
}

func (c *call) createSubscription() (answer, error) {
	in := &input{Values: c.r.PostForm}
	cmd := c.creation(id.ID(in.text("customer_id")), in)
	again := func(p problems) answer {
		out, err := c.newSubscription(c.r.PostForm, p)
		if err != nil {
			return answer{title: out.title, body: boxed(plainBody(fault.As(err).Public))}
		}
		return out
	}
	if err := in.wrong.Err(); err != nil {
		return c.formAgain("Create a subscription", err, again)
	}
	c.comment()
	out, err := c.run(&program.Request{Command: cmd})
	if err != nil {
		return c.formAgain("Create a subscription", err, again)
	}
	return after("/subscriptions/"+string(out.Decision.Result.ID), out.Events), nil
}

// subscriptionActions are the buttons on a subscription's page: what is possible in its status.
func subscriptionActions(v subscriptionView) templ.Component {
	at := "/subscriptions/" + string(v.S.ID) + "/"
	var first []subAction
	var more []ui.MenuItem
	if v.MayEdit {
		for _, a := range subActions {
			if a.part || v.S.May(a.rule) != nil || a.useful != nil && !a.useful(v.S) {
				continue
			}
			if len(first) < 2 && slices.Contains([]string{"skip", "reschedule", "resume", "reactivate"}, a.name) {
				first = append(first, a)
				continue
			}
			more = append(more, ui.MenuItem{Href: at + a.name, Label: a.title, Icon: a.icon, Danger: a.danger, Dialog: true})
		}
	}
	return subscriptionButtons(at, first, more)
}
