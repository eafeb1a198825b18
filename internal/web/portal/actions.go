package portal

import (
	"cmp"
	"fmt"
	"maps"
	"net/url"
	"slices"
	"strconv"
	"strings"

	"perennial/internal/act"
	"perennial/internal/billing"
	"perennial/internal/catalog"
	"perennial/internal/civil"
	"perennial/internal/customer"
	"perennial/internal/fault"
	"perennial/internal/id"
	"perennial/internal/journal"
	"perennial/internal/query"
	"perennial/internal/subscription"
	"perennial/internal/web/ui"
)

// field is a field of an action's form: one with options is a choice, of one or of many (Value are those, with spaces between them).
type field struct {
	ui.Field
	options     []ui.Option
	many, lines bool
}

func (f field) has(value string) bool { return slices.Contains(strings.Fields(f.Value), value) }

// action is something a subscriber can do. Its command runs inside subscription.Asked, which holds it against what the store offers.
type action struct {
	name, icon        string
	title, verb, lead string // keys
	rule              subscription.Action
	events            []journal.Name // the types that it may make
	danger, part      bool
	date, with        string // the fields that name a day, and another subscription, for what the store allows
	// sense says whether there is a use in showing it; nil: always.
	sense   func(c *call, s *subscription.Subscription) (bool, error)
	fields  func(c *call, s *subscription.Subscription, v url.Values) ([]field, error)
	command func(c *call, s *subscription.Subscription, v url.Values) journal.Command
}

func dateOf(v url.Values, name string) *civil.Date {
	d, err := civil.Parse(strings.TrimSpace(v.Get(name)))
	if err != nil {
		return nil
	}
	return &d
}

func must(d *civil.Date) civil.Date {
	if d == nil {
		return civil.Date{}
	}
	return *d
}

func count(v url.Values, name string) int {
	n, _ := strconv.Atoi(strings.TrimSpace(v.Get(name))) // what is no number is 0, which the rules refuse
	return n
}

func filled(v url.Values, name, first string) string {
	if v.Has(name) {
		return v.Get(name)
	}
	return first
}

// ofAct is the form of an act. Its words stand below "action." and its name.
func ofAct(a act.Act) action {
	words := "action." + strings.ReplaceAll(a.Name, "-", "_") + "."
	out := action{name: a.Name, icon: a.Words.Icon, title: words + "title", verb: words + "verb", rule: a.Rule, events: a.Events, date: a.Day(),
		sense: func(_ *call, s *subscription.Subscription) (bool, error) { return a.Useful(s), nil },
		fields: func(c *call, s *subscription.Subscription, v url.Values) (out []field, err error) {
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
		command: func(_ *call, s *subscription.Subscription, v url.Values) journal.Command { return a.Read(s.ID, v.Get) }}
	if _, ok := catalogue().Variables(words + "lead"); ok {
		out.lead = words + "lead"
	}
	return out
}

// widget makes the field of a form from that of an act.
func (c *call) widget(f act.Field, a act.Act, s *subscription.Subscription, v url.Values, first string) (field, error) {
	key := "field." + f.Word
	out := field{Field: ui.Field{Name: f.Name, Label: c.say(key), Value: filled(v, f.Name, first), Required: f.Required}}
	if hint := key + "_hint"; c.words().Knows(hint) {
		out.Hint = c.say(hint)
	}
	switch f.Widget {
	case "order":
		made, err := c.dateField(s, v, a.Rule)
		return made[0], err
	case "day":
		out.Type, out.Min = "date", c.today().String()
	case "later":
		out.Type, out.Min = "date", c.today().AddDays(1).String()
	case "number":
		out.Type, out.Min, out.Max = "number", "1", "365"
	case "unit":
		out.Required = false
		out.options = []ui.Option{{Value: "day", Label: c.say("field.days")}, {Value: "week", Label: c.say("field.weeks")}, {Value: "month", Label: c.say("field.months")},
			{Value: "year", Label: c.say("field.years")}}
	default:
		return out, fmt.Errorf("portal: no widget %q for %s of %s", f.Widget, f.Name, a.Name)
	}
	return out, nil
}

var actions = []action{
	ofAct(act.Skip.Form()),
	ofAct(act.Unskip.Form()),
	{name: "reschedule", title: "action.reschedule.title", icon: "calendar-clock", verb: "action.reschedule.verb", rule: subscription.ActionReschedule, date: "next_billing_date",
		events: []journal.Name{journal.SubscriptionNextBillingDateChanged},
		fields: func(c *call, s *subscription.Subscription, v url.Values) ([]field, error) {
			now := ""
			if s.NextBillingDate != nil {
				now = s.NextBillingDate.String()
			}
			return []field{{Field: ui.Field{Name: "next_billing_date", Label: c.say("field.to"), Type: "date", Value: filled(v, "next_billing_date", now), Min: c.today().AddDays(c.offer().MinDaysAhead).String(), Max: c.today().AddDays(c.offer().MaxDaysAhead).String(), Required: true}},
				{Field: ui.Field{Name: "rhythm", Label: c.say("field.rhythm"), Value: filled(v, "rhythm", "keep")}, options: []ui.Option{{Value: "keep", Label: c.say("field.rhythm_keep")}, {Value: "new", Label: c.say("field.rhythm_new")}}}}, nil
		},
		command: func(_ *call, s *subscription.Subscription, v url.Values) journal.Command {
			return journal.Bind(subscription.Reschedule{ID: s.ID, Date: must(dateOf(v, "next_billing_date")), NewRhythm: v.Get("rhythm") == "new"})
		}},
	ofAct(act.ChangeFrequency.Form()),
	ofAct(act.Pause.Form()),
	ofAct(act.Resume.Form()),
	{name: "order-now", title: "action.order_now.title", icon: "zap", verb: "action.order_now.verb", rule: subscription.ActionOrderNow, lead: "action.order_now.lead",
		events: []journal.Name{journal.OrderCreated, journal.SubscriptionOrderRequestedNow, journal.BillingAttemptStarted, journal.OrderPlaced, journal.VariantInventoryChanged},
		command: func(c *call, s *subscription.Subscription, _ url.Values) journal.Command {
			return journal.Bind(billing.OrderNow{SubscriptionID: s.ID, OrderID: c.IDs.New(id.Order), AttemptID: c.IDs.New(id.BillingAttempt)})
		}},
	{name: "items", title: "action.items.title", icon: "plus", verb: "action.items.verb", rule: subscription.ActionAddItem,
		events: []journal.Name{journal.SubscriptionItemAdded},
		fields: func(c *call, _ *subscription.Subscription, v url.Values) ([]field, error) {
			return c.adding(v, false)
		},
		command: func(c *call, s *subscription.Subscription, v url.Values) journal.Command {
			return journal.Bind(subscription.AddItem{ID: s.ID, Item: subscription.NewItem{ID: c.IDs.New(id.Item), VariantID: id.ID(v.Get("variant_id")), Quantity: count(v, "quantity")}})
		}},
	{name: "once", title: "action.once.title", icon: "plus", verb: "action.once.verb", rule: subscription.ActionAddItem,
		events: []journal.Name{journal.SubscriptionOneTimeItemAdded},
		fields: func(c *call, _ *subscription.Subscription, v url.Values) ([]field, error) {
			return c.adding(v, true)
		},
		command: func(c *call, s *subscription.Subscription, v url.Values) journal.Command {
			return journal.Bind(subscription.AddItem{ID: s.ID, Item: subscription.NewItem{ID: c.IDs.New(id.Item), VariantID: id.ID(v.Get("variant_id")), Quantity: count(v, "quantity"), OneTime: true}})
		}},
	{name: "discounts", title: "action.discounts.title", icon: "badge-percent", verb: "action.discounts.verb", rule: subscription.ActionDiscount,
		events: []journal.Name{journal.SubscriptionDiscountApplied, journal.DiscountRedeemed},
		fields: func(c *call, _ *subscription.Subscription, v url.Values) ([]field, error) {
			return []field{{Field: ui.Field{Name: "code", Label: c.say("field.code"), Value: v.Get("code")}}}, nil
		},
		command: func(_ *call, s *subscription.Subscription, v url.Values) journal.Command {
			return journal.Bind(subscription.ApplyDiscount{ID: s.ID, Code: strings.TrimSpace(v.Get("code"))})
		}},
	{name: "shipping-address", title: "action.address.title", icon: "map-pin", verb: "action.address.verb", rule: subscription.ActionShippingAddress,
		events: []journal.Name{journal.SubscriptionShippingAddressChanged},
		fields: func(c *call, s *subscription.Subscription, v url.Values) ([]field, error) {
			rows, err := c.rows(journal.Address, query.Oldest, 50)
			var o []ui.Option
			for _, r := range rows {
				if a := r.State.(*customer.Address); a.Status == customer.StatusActive {
					o = append(o, ui.Option{Value: string(a.ID), Label: addressWords(a)})
				}
			}
			return []field{{Field: ui.Field{Name: "address_id", Label: c.say("field.address"), Value: filled(v, "address_id", string(s.ShippingAddressID)), Hint: c.say("field.address_hint")}, options: o},
				c.forAll(v)}, err
		},
		command: func(_ *call, s *subscription.Subscription, v url.Values) journal.Command {
			return journal.Bind(subscription.ChangeShippingAddress{ID: s.ID, AddressID: id.ID(v.Get("address_id")), AllSubscriptions: v.Get("all") == "all"})
		}},
	{name: "payment-method", title: "action.method.title", icon: "credit-card", verb: "action.method.verb", rule: subscription.ActionPaymentMethod,
		events: []journal.Name{journal.SubscriptionPaymentMethodChanged},
		fields: func(c *call, s *subscription.Subscription, v url.Values) ([]field, error) {
			o, err := c.methods("")
			if c.who.DefaultPaymentMethodID != "" {
				o = slices.Insert(o, 0, ui.Option{Label: c.say("field.default_method")})
			}
			return []field{{Field: ui.Field{Name: "payment_method_id", Label: c.say("field.pay_with"), Value: filled(v, "payment_method_id", string(s.PaymentMethodID))}, options: o}, c.forAll(v)}, err
		},
		command: func(_ *call, s *subscription.Subscription, v url.Values) journal.Command {
			return journal.Bind(subscription.ChangePaymentMethod{ID: s.ID, PaymentMethodID: id.ID(v.Get("payment_method_id")), AllSubscriptions: v.Get("all") == "all"})
		}},
	{name: "backup-payment-method", title: "action.backup.title", icon: "credit-card", verb: "action.backup.verb", rule: subscription.ActionBackupPaymentMethod, lead: "action.backup.lead",
		events: []journal.Name{journal.SubscriptionBackupPaymentMethodChanged},
		sense: func(c *call, s *subscription.Subscription) (bool, error) {
			o, err := c.methods(cmp.Or(s.PaymentMethodID, c.who.DefaultPaymentMethodID))
			return len(o) > 0 || s.BackupPaymentMethodID != "", err
		},
		fields: func(c *call, s *subscription.Subscription, v url.Values) ([]field, error) {
			o, err := c.methods(cmp.Or(s.PaymentMethodID, c.who.DefaultPaymentMethodID))
			return []field{{Field: ui.Field{Name: "payment_method_id", Label: c.say("field.backup"), Value: filled(v, "payment_method_id", string(s.BackupPaymentMethodID))}, options: append([]ui.Option{{Label: c.say("field.no_backup")}}, o...)}}, err
		},
		command: func(_ *call, s *subscription.Subscription, v url.Values) journal.Command {
			return journal.Bind(subscription.ChangeBackupPaymentMethod{ID: s.ID, PaymentMethodID: id.ID(v.Get("payment_method_id"))})
		}},
	{name: "gift", title: "action.gift.title", icon: "gift", verb: "action.gift.verb", rule: subscription.ActionGift, date: "date", lead: "action.gift.lead",
		events: []journal.Name{journal.SubscriptionOrderGifted},
		fields: func(c *call, s *subscription.Subscription, v url.Values) ([]field, error) {
			out, err := c.dateField(s, v, subscription.ActionGift)
			for _, f := range addressNames {
				if f.name != "phone" {
					out = append(out, field{Field: ui.Field{Name: f.name, Label: c.say(f.label), Value: v.Get(f.name), Complete: "off", Required: slices.Contains(addressNeeds, f.name)}})
				}
			}
			return append(out, field{Field: ui.Field{Name: "message", Label: c.say("field.message"), Hint: c.say("field.message_hint"), Value: v.Get("message"), Length: "500"}, lines: true}), err
		},
		command: func(_ *call, s *subscription.Subscription, v url.Values) journal.Command {
			given := func(name string) string { return strings.TrimSpace(v.Get(name)) }
			return journal.Bind(subscription.GiftOrder{ID: s.ID, Date: must(dateOf(v, "date")), Message: given("message"), Address: subscription.GiftAddress{FirstName: given("first_name"), LastName: given("last_name"), Company: given("company"),
				Line1: given("line1"), Line2: given("line2"), PostalCode: given("postal_code"), City: given("city"), Region: given("region"), Country: strings.ToUpper(given("country"))}})
		}},
	{name: "merge", title: "action.merge.title", icon: "merge", verb: "action.merge.verb", rule: subscription.ActionMerge, with: "into", lead: "action.merge.lead",
		events: []journal.Name{journal.SubscriptionMerged},
		sense: func(c *call, s *subscription.Subscription) (bool, error) {
			o, err := c.others(s)
			return len(o) > 0, err
		},
		fields: func(c *call, s *subscription.Subscription, v url.Values) ([]field, error) {
			o, err := c.others(s)
			if len(o) != 1 {
				o = append([]ui.Option{{Label: c.say("field.choose")}}, o...)
			}
			return []field{{Field: ui.Field{Name: "into", Label: c.say("field.into"), Value: v.Get("into")}, options: o}}, err
		},
		command: func(c *call, s *subscription.Subscription, v url.Values) journal.Command {
			cmd := subscription.Merge{ID: s.ID, Into: id.ID(v.Get("into"))}
			for range s.Items {
				cmd.ItemIDs = append(cmd.ItemIDs, c.IDs.New(id.Item))
			}
			return journal.Bind(cmd)
		}},
	{name: "split", title: "action.split.title", icon: "split", verb: "action.split.verb", rule: subscription.ActionSplit, lead: "action.split.lead",
		events: []journal.Name{journal.SubscriptionSplit, journal.SubscriptionCreated},
		sense: func(_ *call, s *subscription.Subscription) (bool, error) {
			lasting := 0
			for _, it := range s.Items {
				if !it.OneTime {
					lasting++
				}
			}
			return lasting > 1, nil
		},
		fields: func(c *call, s *subscription.Subscription, v url.Values) ([]field, error) {
			var o []ui.Option
			for _, it := range s.Items {
				o = append(o, ui.Option{Value: string(it.ID), Label: fmt.Sprintf("%d × %s", it.Quantity, it.Title)})
			}
			return []field{{Field: ui.Field{Name: "item_ids", Label: c.say("field.goes"), Value: strings.Join(v["item_ids"], " ")}, options: o, many: true}}, nil
		},
		command: func(c *call, s *subscription.Subscription, v url.Values) journal.Command {
			cmd := subscription.Split{ID: s.ID, NewID: c.IDs.New(id.Subscription)}
			for _, it := range v["item_ids"] {
				cmd.ItemIDs = append(cmd.ItemIDs, id.ID(it))
			}
			return journal.Bind(cmd)
		}},
	ofAct(act.Reactivate.Form()),
	{name: "cancel", title: "action.cancel.title", icon: "ban", verb: "action.cancel.verb", danger: true, rule: subscription.ActionCancel, lead: "action.cancel.lead",
		events: []journal.Name{journal.SubscriptionCancelled},
		fields: func(c *call, _ *subscription.Subscription, v url.Values) ([]field, error) {
			return []field{{Field: ui.Field{Name: "reason", Label: c.say("field.reason"), Value: v.Get("reason"), Length: "300"}}}, nil
		},
		command: func(_ *call, s *subscription.Subscription, v url.Values) journal.Command {
			return journal.Bind(subscription.Cancel{ID: s.ID, Reason: strings.TrimSpace(v.Get("reason"))})
		}},
	{name: "quantity", part: true, title: "action.quantity.title", icon: "pencil", verb: "action.quantity.verb", rule: subscription.ActionChangeQuantity,
		events: []journal.Name{journal.SubscriptionItemQuantityChanged},
		fields: func(c *call, s *subscription.Subscription, v url.Values) ([]field, error) {
			return []field{{Field: ui.Field{Name: "quantity", Label: c.say("field.quantity"), Type: "number", Min: "1", Max: "999", Value: filled(v, "quantity", strconv.Itoa(c.item(s).Quantity))}}}, nil
		},
		command: func(c *call, s *subscription.Subscription, v url.Values) journal.Command {
			return journal.Bind(subscription.ChangeItem{ID: s.ID, ItemID: id.ID(c.r.PathValue("part")), Quantity: new(count(v, "quantity"))})
		}},
	{name: "swap", part: true, title: "action.swap.title", icon: "refresh-cw", verb: "action.swap.verb", rule: subscription.ActionSwapItem,
		events: []journal.Name{journal.SubscriptionItemSwapped},
		fields: func(c *call, s *subscription.Subscription, v url.Values) ([]field, error) {
			o, err := c.products(c.item(s).OneTime)
			return []field{{Field: ui.Field{Name: "variant_id", Label: c.say("field.swap_for"), Value: filled(v, "variant_id", string(c.item(s).VariantID))}, options: o}}, err
		},
		command: func(c *call, s *subscription.Subscription, v url.Values) journal.Command {
			return journal.Bind(subscription.SwapItem{ID: s.ID, ItemID: id.ID(c.r.PathValue("part")), VariantID: id.ID(v.Get("variant_id"))})
		}},
	{name: "remove", part: true, title: "action.remove.title", icon: "trash-2", verb: "action.remove.verb", danger: true, rule: subscription.ActionRemoveItem,
		events: []journal.Name{journal.SubscriptionItemRemoved, journal.SubscriptionOneTimeItemRemoved},
		command: func(c *call, s *subscription.Subscription, _ url.Values) journal.Command {
			return journal.Bind(subscription.RemoveItem{ID: s.ID, ItemID: id.ID(c.r.PathValue("part"))})
		}},
}

func (c *call) lead(a action) string {
	if a.lead == "" {
		return ""
	}
	return c.say(a.lead)
}

func (c *call) item(s *subscription.Subscription) subscription.Item {
	for _, it := range s.Items {
		if string(it.ID) == c.r.PathValue("part") {
			return it
		}
	}
	return subscription.Item{}
}

// hasPart refuses an item that the subscription does not have.
func (c *call) hasPart(a action, s *subscription.Subscription) error {
	if a.part && c.item(s).ID == "" {
		return fault.New(fault.NotFound, "unknown_item", "There is no such item in this subscription.")
	}
	return nil
}

// dateField is the choice of an order: those that the action is offered for, and the one that was asked for.
func (c *call) dateField(s *subscription.Subscription, v url.Values, a subscription.Action) ([]field, error) {
	days, _, err := c.days(s, a)
	if d := dateOf(v, "date"); d != nil && !slices.Contains(days, *d) {
		days = append(days, *d)
	}
	var o []ui.Option
	for _, d := range days {
		o = append(o, ui.Option{Value: d.String(), Label: c.words().Date(d)})
	}
	if len(o) == 0 {
		o = []ui.Option{{Label: c.say("field.no_date")}}
	}
	return []field{{Field: ui.Field{Name: "date", Label: c.say("field.date"), Value: v.Get("date")}, options: o}}, err
}

// forAll asks whether the customer's other subscriptions follow.
func (c *call) forAll(v url.Values) field {
	return field{Field: ui.Field{Name: "all", Label: c.say("field.for"), Value: filled(v, "all", "one")}, options: []ui.Option{{Value: "one", Label: c.say("field.for_one")}, {Value: "all", Label: c.say("field.for_all")}}}
}

// methods are the customer's payment methods that can be charged, without one of them.
func (c *call) methods(without id.ID) ([]ui.Option, error) {
	rows, err := c.rows(journal.PaymentMethod, query.Oldest, 50)
	var o []ui.Option
	for _, r := range rows {
		if m := r.State.(*customer.PaymentMethod); m.Status == customer.StatusActive && m.ID != without {
			o = append(o, ui.Option{Value: string(m.ID), Label: c.methodWords(m)})
		}
	}
	return o, err
}

// others are the customer's subscriptions that one could be merged into.
func (c *call) others(s *subscription.Subscription) ([]ui.Option, error) {
	rows, err := c.rows(journal.Subscription, query.Newest, 100)
	var out []ui.Option
	for _, r := range rows {
		if o := r.State.(*subscription.Subscription); o.ID != s.ID && o.Status == subscription.Active && o.Currency == s.Currency {
			out = append(out, ui.Option{Value: string(o.ID), Label: contents(o) + " (" + c.nextWords(o) + ")"})
		}
	}
	return out, err
}

// adding are the fields of a form that adds something to each order, or once.
func (c *call) adding(v url.Values, once bool) ([]field, error) {
	o, err := c.products(once)
	return []field{{Field: ui.Field{Name: "variant_id", Label: c.say("field.what"), Value: v.Get("variant_id")}, options: o},
		{Field: ui.Field{Name: "quantity", Label: c.say("field.quantity"), Type: "number", Min: "1", Max: "999", Value: filled(v, "quantity", "1")}}}, err
}

// products are what the store offers in the Portal for each order, or as a one-time addition.
func (c *call) products(once bool) ([]ui.Option, error) {
	rows, err := query.Rows(c.ctx, c.Store, query.List{Kind: journal.Product, Where: []query.Filter{query.Is(query.Status, catalog.Active)}})
	if err != nil {
		return nil, err
	}
	offered := map[id.ID]*catalog.Product{}
	for _, r := range rows {
		if p := r.State.(*catalog.Product); once && p.Upsell || !once && p.PortalVisible {
			offered[p.ID] = p
		}
	}
	variants, err := query.Rows(c.ctx, c.Store, query.List{Kind: journal.Variant, Order: query.ByProduct})
	out := []ui.Option{{Label: c.say("field.choose")}}
	for _, r := range variants {
		x := r.State.(*catalog.Variant)
		p := offered[x.ProductID]
		if p == nil || x.Status != catalog.Active || x.SoldOut() {
			continue
		}
		title, price := p.Title, c.cash(x.Price)
		if x.Title != title {
			title += ", " + x.Title
		}
		if now := catalog.OncePrice(p, x); once && now != x.Price {
			price = c.say("field.instead", "now", c.cash(now), "before", price)
		}
		if once && p.UpsellLimit > 0 {
			price = c.say("field.at_most", "price", price, "count", p.UpsellLimit)
		}
		out = append(out, ui.Option{Value: string(x.ID), Label: title + " (" + price + ")"})
	}
	if len(out) == 1 {
		out[0].Label = c.say("field.nothing_offered")
	}
	return out, err
}

// inOrder gives the actions as the store wants them.
func (c *call) inOrder() []action {
	place := func(a action) int { return slices.Index(c.offer().Actions, string(a.rule)) }
	return slices.SortedStableFunc(slices.Values(actions), func(a, b action) int { return place(a) - place(b) })
}

// shows says whether an action is possible in the subscription's status, offered by the store, and of any use.
func (c *call) shows(s *subscription.Subscription, a action) (bool, error) {
	possible := c.notNow(a, s) == nil
	if !possible || a.sense == nil {
		return possible, nil
	}
	return a.sense(c, s)
}

func (p *Portal) registerActions() {
	for _, a := range actions {
		if a.name == "cancel" {
			p.registerCancel(a)
			continue
		}
		path := "/portal/subscriptions/{id}/" + a.name
		if a.part {
			path += "/{part}"
		}
		p.on(route{pattern: "GET " + path, who: subscriber}, func(c *call) (answer, error) { return c.form(a, c.r.URL.Query(), nil) })
		p.on(route{pattern: "POST " + path, who: subscriber, events: a.events}, func(c *call) (answer, error) { return c.act(a) })
		p.on(route{pattern: "POST " + path + ui.Preview, who: subscriber}, func(c *call) (answer, error) { return c.form(a, c.r.PostForm, nil) })
	}
}

// asked is the command of an action, held against what the store offers.
func (c *call) asked(a action, s *subscription.Subscription, v url.Values) journal.Command {
	cmd := subscription.Asked{ID: s.ID, Customer: c.who.ID, Action: a.rule, Do: a.command(c, s, v)}
	if a.date != "" {
		cmd.Date = dateOf(v, a.date)
	}
	if a.with != "" {
		cmd.With = id.ID(v.Get(a.with))
	}
	return cmd
}

type formView struct {
	At, Back, Lead, Verb string
	Version              int64 // of what it is about; 0: nothing that is there
	Danger               bool
	Fields               []field
	Plain                []ui.Field
	Problems             ui.Problems
	Refusal              string   // why it cannot be done now, whatever is filled in
	Visitor              bool     // nobody is signed in
	Effect               []string // what will happen
	Trouble              string   // why it cannot, as the form stands
	Orders               []ordersThen
}

// ordersThen are the next orders of a subscription, before and after.
type ordersThen struct {
	Title         string
	Before, After []line
}

func (c *call) form(a action, v url.Values, p ui.Problems) (answer, error) {
	s, err := c.mine()
	if err != nil {
		return answer{}, err
	}
	back := "/portal/subscriptions/" + string(s.ID)
	if err := c.hasPart(a, s); err != nil {
		return answer{}, err
	}
	view := formView{At: ui.WithoutPreview(c.r.URL.Path), Version: c.version, Back: back, Lead: c.lead(a), Verb: c.say(a.verb), Danger: a.danger, Problems: p}
	out := answer{title: c.say(a.title), crumbs: []ui.Link{{Href: "/portal", Text: c.say("home.title")}, {Href: back, Text: contents(s)}}}
	if why := c.notNow(a, s); why != nil {
		view.Refusal = c.refusal(fault.As(why))
		out.body = formBody(view)
		return out, nil
	}
	if a.fields != nil {
		if view.Fields, err = a.fields(c, s, v); err != nil {
			return out, err
		}
	}
	values := url.Values{}
	maps.Copy(values, v)
	for i, f := range view.Fields {
		view.Fields[i].Problem = p[f.Name]
		first := f.Value
		if len(f.options) > 0 && first == "" {
			first = f.options[0].Value
		}
		if !values.Has(f.Name) && !f.many {
			values.Set(f.Name, first)
		}
	}
	if err := c.foresee(&view, s, c.asked(a, s, values)); err != nil {
		return out, err
	}
	out.body = formBody(view)
	return out, nil
}

// days are the dates of the orders to come that an action is offered for; refusal says why the first of the others is not among them.
func (c *call) days(s *subscription.Subscription, a subscription.Action) (days []civil.Date, refusal, err error) {
	orders, err := c.upcoming(s, 12)
	for _, o := range orders {
		if o.Skipped != (a == subscription.ActionUnskip) {
			continue
		}
		if why := c.offered(s, a, &o.Date); why == nil {
			days = append(days, o.Date)
		} else if refusal == nil {
			refusal = why
		}
	}
	return days, refusal, err
}

// notNow says why an action is not possible, whatever its form says, or nil. An action on one order is possible while it is for any.
func (c *call) notNow(a action, s *subscription.Subscription) error {
	if err := s.May(a.rule); err != nil {
		return err
	}
	if a.date != "date" {
		return c.offered(s, a.rule, nil)
	}
	days, refusal, err := c.days(s, a.rule)
	if err != nil || len(days) > 0 {
		return err
	}
	if refusal == nil { // there is no order to ask about
		refusal = c.offered(s, a.rule, nil)
	}
	return refusal
}

// foresee says what a command would come to now, without doing it.
func (c *call) foresee(v *formView, s *subscription.Subscription, cmd journal.Command) error {
	d, err := cmd.Run(c.reader(), c.Program.Now())
	if err != nil {
		f := fault.As(err)
		if f.Kind == fault.Internal || f.Kind == fault.Unavailable {
			return err
		}
		if len(f.Fields) == 0 {
			v.Trouble = c.refusal(f)
		}
		for _, wrong := range f.Fields {
			empty := func(f field) bool { return f.Name == fieldOf(wrong) && f.Value == "" }
			if !slices.ContainsFunc(v.Fields, empty) { // what is still to be filled in is no trouble
				v.Trouble = c.wrong(wrong)
			}
		}
		return nil
	}
	for _, draft := range d.Drafts {
		e, err := draft.Event()
		if err != nil {
			return err
		}
		if e.Target().Kind == journal.CancelSession {
			continue // the page says itself what an offer is
		}
		if told := c.sentence(e); told != "" && len(v.Effect) < 3 && !slices.Contains(v.Effect, told) {
			v.Effect = append(v.Effect, told)
		}
		if after, ok := draft.After.(*subscription.Subscription); ok {
			before, _ := draft.Before.(*subscription.Subscription)
			if err := c.compare(v, before, after, s); err != nil {
				return err
			}
		}
	}
	return nil
}

// compare adds what becomes of the next orders of a subscription; of another one than s only if something does. before may be nil.
func (c *call) compare(v *formView, before, after, s *subscription.Subscription) (err error) {
	then := ordersThen{Title: contents(after)}
	if before != nil {
		then.Title = contents(before)
		if then.Before, err = c.lines(before, 3); err != nil {
			return err
		}
	}
	if then.After, err = c.lines(after, 3); err != nil {
		return err
	}
	if after.ID == s.ID || !slices.Equal(then.Before, then.After) {
		v.Orders = append(v.Orders, then)
	}
	return nil
}

func (c *call) act(a action) (answer, error) {
	s, err := c.mine()
	if err != nil {
		return answer{}, err
	}
	if err := c.hasPart(a, s); err != nil {
		return answer{}, err
	}
	out, err := c.runOn(s.Ref(), c.asked(a, s, c.r.PostForm))
	if err != nil {
		status := fault.As(err).Kind
		p, err := c.wrongWith(err)
		if err != nil {
			return answer{}, err
		}
		again, err := c.form(a, c.r.PostForm, p)
		again.status = formStatus(status)
		return again, err
	}
	about := s.ID
	if a.with != "" {
		about = id.ID(c.r.PostFormValue(a.with))
	}
	to := "/portal/subscriptions/" + string(about)
	for _, e := range out.Events {
		if e.Target().ID == about {
			return answer{to: fmt.Sprintf("%s?done=%s", to, e.ID)}, nil
		}
	}
	return done(to, out.Events), nil
}
