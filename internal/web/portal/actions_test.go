package portal

import (
	"cmp"
	"net/http"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"perennial/internal/catalog"
	"perennial/internal/civil"
	"perennial/internal/customer"
	"perennial/internal/fault"
	"perennial/internal/id"
	"perennial/internal/journal"
	"perennial/internal/kinds"
	"perennial/internal/settings"
	"perennial/internal/subscription"
)

// another makes a second subscription of ada's, with one item and the first order on a day.
func (w *world) another(first civil.Date, plan id.ID) id.ID {
	w.t.Helper()
	sub := w.IDs.New(id.Subscription)
	cmd := subscription.Create{ID: sub, CustomerID: w.ada, Items: []subscription.NewItem{{ID: w.IDs.New(id.Item), VariantID: w.other, Quantity: 1}}, NextBillingDate: &first, SellingPlanID: plan}
	if plan == "" {
		cmd.BillingPolicy = &catalog.Policy{Interval: civil.Month, IntervalCount: 1}
	}
	w.Do(journal.Bind(cmd))
	return sub
}

// spare adds a second payment method of ada's.
func (w *world) spare() id.ID {
	w.t.Helper()
	method := w.IDs.New(id.PaymentMethod)
	w.Do(journal.Bind(customer.AddPaymentMethod{ID: method, CustomerID: w.ada, Gateway: "simulated", Fields: customer.PaymentMethodFields{GatewayReference: new("tok_2"), Brand: new("mastercard"), Last4: new("4444"), ExpMonth: new(1), ExpYear: new(2031)}}))
	return method
}

func (w *world) subscription(key id.ID) *subscription.Subscription {
	w.t.Helper()
	row, err := w.Store.Load(w.t.Context(), w.Store.Read, journal.Ref{Kind: journal.Subscription, ID: key})
	if err != nil {
		w.t.Fatal(err)
	}
	return row.State.(*subscription.Subscription)
}

// charged is the payment method of a subscription: its own, or the customer's default.
func (w *world) charged(key id.ID) id.ID {
	w.t.Helper()
	s := w.subscription(key)
	row, err := w.Store.Load(w.t.Context(), w.Store.Read, journal.Ref{Kind: journal.Customer, ID: s.CustomerID})
	if err != nil {
		w.t.Fatal(err)
	}
	return cmp.Or(s.PaymentMethodID, row.State.(*customer.Customer).DefaultPaymentMethodID)
}

// did looks at the newest entry of a type: it is ada's, by the Portal.
func (w *world) did(typ journal.Name) *journal.Event {
	w.t.Helper()
	e := w.last(typ)
	if e.Actor != (journal.Actor{Kind: journal.ActorCustomer, ID: string(w.ada)}) || e.Source.Channel != journal.ChannelPortal {
		w.t.Errorf("the entry: %+v", e)
	}
	return e
}

func TestMerging(t *testing.T) {
	w := newWorld(t)
	v := w.signIn("ada@example.com")
	at := "/portal/subscriptions/" + string(w.hers)
	if strings.Contains(v.get(at).body, at+"/merge") {
		t.Error("merging is shown with nothing to merge with")
	}
	w.want(v.get(at+"/merge"), 200, at+"/merge", "Choose")
	other := w.another(civil.Date{Year: 2027, Month: 3, Day: 20}, "")
	into := "/portal/subscriptions/" + string(other)
	w.want(v.get(at), 200, at, at+"/merge")
	// The one that there is is chosen; both subscriptions' orders are shown, before and after.
	w.want(v.get(at+"/merge"), 200, at+"/merge", "This cannot be undone", "Merged into another subscription", "Took over 1 × Coffee, 250 g, 1 × Coffee, 1 kg from another subscription", "1 × Coffee, 1 kg (Next order on 20 March 2027)", "€40.00", "€30.00", "€70.00")
	for _, wrong := range []string{string(w.his), "sub_nothing"} { // what belongs to somebody else is as unknown as what is not there
		w.want(v.post(at+"/merge/preview", "into", wrong), 200, at+"/merge/preview", "There is no such subscription.")
		w.want(v.post(at+"/merge", "into", wrong), http.StatusNotFound, at+"/merge", "There is no such subscription.")
	}
	for _, wrong := range []string{"", string(w.hers)} {
		w.want(v.post(at+"/merge", "into", wrong), 422, at+"/merge", "Choose another of your subscriptions.")
	}
	w.want(v.post(at+"/merge", "into", string(other)), 200, into, "Took over 1 × Coffee, 250 g, 1 × Coffee, 1 kg from another subscription")
	if s := v.get(into).body; strings.Contains(s, "/portal/undo/") {
		t.Error("an undo of a merge is offered")
	}
	w.did("subscription.merged")
	if s := w.subscription(w.hers); s.Status != subscription.Cancelled || s.MergedInto != other || len(w.subscription(other).Items) != 3 {
		t.Errorf("after the merge: %+v", s)
	}
	w.want(v.get("/portal/history"), 200, "/portal/history", "Merged into another subscription", "Took over")
	if strings.Contains(v.get(at).body, at+"/reactivate") {
		t.Error("what was merged away can be started again")
	}
}

// TestMergingIsNoWayRound looks at what binds a subscriber: the least number of orders, and the cut-off of both subscriptions.
func TestMergingIsNoWayRound(t *testing.T) {
	w := newWorld(t)
	v := w.signIn("ada@example.com")
	at := "/portal/subscriptions/" + string(w.hers)
	group, plan := w.IDs.New(id.SellingPlanGroup), w.IDs.New(id.SellingPlan)
	w.Do(journal.Bind(catalog.CreateGroup{ID: group, Name: "Plans"}))
	w.Do(journal.Bind(catalog.CreatePlan{ID: plan, GroupID: group, Name: "Bound", BillingPolicy: catalog.Policy{Interval: civil.Month, IntervalCount: 1}, MinCycles: new(3)}))
	tied := w.another(civil.Date{Year: 2027, Month: 3, Day: 5}, plan)
	from := "/portal/subscriptions/" + string(tied) + "/merge"
	w.want(v.post(from, "into", string(w.hers)), 422, from, "minimum number of orders")

	w.Do(journal.Bind(settings.Update{Document: &settings.Billing{BillingHour: 6, CutoffDays: 5, MaxCatchUpOrders: 1}}))
	w.want(v.post(at+"/merge", "into", string(tied)), 422, at+"/merge", "The next order of another subscription that this changes is being prepared already")
	split := "/portal/subscriptions/" + string(tied) + "/split"
	w.want(v.post(split, "item_ids", "x"), 422, split, "The order of 5 March 2027 is being prepared already")
	// An address for all subscriptions changes the orders of all of them.
	address := w.IDs.New(id.Address)
	w.Do(journal.Bind(customer.AddAddress{ID: address, CustomerID: w.ada, Fields: customer.AddressFields{Line1: new("Lane 2"), City: new("Basel"), Country: new("CH")}}))
	w.want(v.post(at+"/shipping-address", "address_id", string(address), "all", "all"), 422, at+"/shipping-address", "The next order of another subscription")
	w.want(v.post(at+"/shipping-address", "address_id", string(address), "all", "one"), 200, at)
	w.Do(journal.Bind(settings.Update{Document: &settings.Billing{BillingHour: 6, MaxCatchUpOrders: 1}}))
	w.want(v.post(at+"/shipping-address", "address_id", string(address), "all", "all"), 200, at)
	if got := w.subscription(tied).ShippingAddressID; got != address {
		t.Errorf("the other subscription ships to %s", got)
	}
	// What is not in the Portal any more, and was there before, moves along.
	product := w.subscription(w.hers).Items[0].ProductID
	w.Do(journal.Bind(catalog.UpdateProduct{ID: product, PortalVisible: new(false)}))
	w.want(v.post(at+"/merge", "into", string(tied)), 200, "/portal/subscriptions/"+string(tied))
}

func TestSplitting(t *testing.T) {
	w := newWorld(t)
	v := w.signIn("ada@example.com")
	at := "/portal/subscriptions/" + string(w.hers)
	items := w.subscription(w.hers).Items
	first, second := string(items[0].ID), string(items[1].ID)
	s := v.get(at + "/split")
	w.want(s, 200, at+"/split", `type="checkbox" name="item_ids" value="`+first, "1 × Coffee, 1 kg", "This cannot be undone")
	if strings.Contains(s.body, "Your history will say") || strings.Contains(s.body, "banner") {
		t.Errorf("before anything is chosen:\n%s", s.body)
	}
	w.want(v.post(at+"/split/preview", "item_ids", second), 200, at+"/split/preview", "Moved into a subscription of its own: 1 × Coffee, 1 kg", "€40.00", "€10.00", "€30.00", `value="`+second+`" checked`)
	w.want(v.post(at+"/split"), 422, at+"/split", "Choose what goes into the new subscription.")
	w.want(v.post(at+"/split", "item_ids", first, "item_ids", second), 422, at+"/split", "has to stay here")
	w.want(v.post(at+"/split", "item_ids", string(w.subscription(w.his).Items[0].ID)), 422, at+"/split", "not in the subscription")
	w.want(v.post(at+"/split", "item_ids", second), 200, at, "Moved into a subscription of its own: 1 × Coffee, 1 kg")
	e := w.did("subscription.split")
	made := w.subscription(id.ID(strings.Trim(string(e.Detail("new_subscription_id")), `"`)))
	if len(made.Items) != 1 || made.CustomerID != w.ada || len(w.subscription(w.hers).Items) != 1 {
		t.Errorf("the new one: %+v", made)
	}
	if strings.Contains(v.get(at).body, at+"/split") {
		t.Error("one item can be split")
	}
}

func TestGivingAnOrder(t *testing.T) {
	w := newWorld(t)
	v := w.signIn("ada@example.com")
	at := "/portal/subscriptions/" + string(w.hers)
	s := v.get(at + "/gift")
	w.want(s, 200, at+"/gift", `<option value="2027-04-03"`, "Message", "Postal code")
	if strings.Contains(s.body, "banner") {
		t.Errorf("an empty form is in trouble:\n%s", s.body)
	}
	given := []string{"date", "2027-04-03", "first_name", "Grace", "last_name", "Hopper", "line1", "Lane 2", "city", "Basel", "country", "ch", "message", "Happy birthday"}
	w.want(v.send(http.MethodPost, at+"/gift/preview", values(given)), 200, at+"/gift/preview", "Your history will say", "Made the order of 3 April 2027 a gift", "a gift for Grace Hopper")
	for field, wrong := range map[string]string{"last_name": "Say who the parcel is for.", "line1": "must not be empty", "country": "two letters"} {
		form := values(given)
		form.Set(field, "")
		if field == "last_name" {
			form.Del("first_name")
		}
		s := v.send(http.MethodPost, at+"/gift", form)
		w.want(s, 422, at+"/gift", wrong, `id="`+field+`-problem"`)
	}
	s = v.send(http.MethodPost, at+"/gift", values(given))
	w.want(s, 200, at, "Made the order of 3 April 2027 a gift", "a gift for Grace Hopper", "/portal/undo/")
	w.did("subscription.order_gifted")
	if g := w.subscription(w.hers).Gifts.Value; len(g) != 1 || g[0].Address.Country != "CH" || g[0].Message != "Happy birthday" || g[0].Date != (civil.Date{Year: 2027, Month: 4, Day: 3}) {
		t.Errorf("the gifts: %+v", g)
	}
	if strings.Count(s.body, "Grace Hopper") != 1 {
		t.Error("more than one order is the gift")
	}
	w.want(v.post(regexp.MustCompile(`/portal/undo/evt_[a-z0-9_]+`).FindString(s.body)), 200, at, "Undone")
	if g := w.subscription(w.hers).Gifts.Value; len(g) != 0 {
		t.Errorf("after the undo: %+v", g)
	}
	// It can be taken back later too, by the line of its order, until that is prepared.
	if s := v.get(at); strings.Contains(s.body, "Not a gift any more") {
		t.Error("what is no gift is offered to be taken back")
	}
	back := regexp.MustCompile(`action="(/portal/undo/evt_[a-z0-9_]+)"><input[^>]*><button[^>]*>Not a gift any more<`)
	w.want(v.send(http.MethodPost, at+"/gift", values(given)), 200, at)
	offer := back.FindStringSubmatch(v.get(at).body)
	if offer == nil {
		t.Fatalf("it cannot be taken back:\n%s", v.get(at).body)
	}
	w.Do(journal.Bind(settings.Update{Document: &settings.Billing{BillingHour: 6, CutoffDays: 30, MaxCatchUpOrders: 1}}))
	w.pass(2 * 24 * time.Hour)
	if back.MatchString(v.get(at).body) {
		t.Error("the gift of an order that is being prepared can be taken back")
	}
	w.want(v.post(offer[1]), 409, offer[1], "The order of 3 April 2027 is being prepared already")
	w.Do(journal.Bind(settings.Update{Document: &settings.Billing{BillingHour: 6, MaxCatchUpOrders: 1}}))
	w.want(v.post(offer[1]), 200, at, "Undone: Made the order of 3 April 2027 a gift")
	if g := w.subscription(w.hers).Gifts.Value; len(g) != 0 {
		t.Errorf("after it was taken back: %+v", g)
	}
	w.Do(journal.Bind(settings.Update{Document: &settings.Shipping{DefaultDeliveryPrice: w.subscription(w.hers).DeliveryPrice, Countries: []string{"DE"}}}))
	w.want(v.send(http.MethodPost, at+"/gift", values(given)), 422, at+"/gift", "The store does not send there.")
}

// No undo leads round what the store offers: not past the cut-off of the order that it changes, and not to an action that is switched off.
func TestUndosAreHeldToTheStoresRules(t *testing.T) {
	w := newWorld(t)
	v := w.signIn("ada@example.com")
	at := "/portal/subscriptions/" + string(w.hers)
	next := w.subscription(w.hers).NextBillingDate
	undo := regexp.MustCompile(`/portal/undo/evt_[a-z0-9_]+`)
	s := v.send(http.MethodPost, at+"/skip", values([]string{"date", next.String()}))
	w.want(s, 200, at)
	path := undo.FindString(s.body)
	if path == "" {
		t.Fatalf("the skip cannot be undone:\n%s", s.body)
	}
	portal := settings.Default(settings.PagePortal, &settings.General{}).(*settings.Portal)
	w.Do(journal.Bind(settings.Update{Document: &settings.Billing{BillingHour: 6, CutoffDays: 30, MaxCatchUpOrders: 1}}))
	w.pass(2 * 24 * time.Hour)
	w.want(v.post(path), 409, path, "is being prepared already")
	if body := v.get(at).body; strings.Contains(body, path) {
		t.Error("the page offers an undo that is refused")
	}
	w.Do(journal.Bind(settings.Update{Document: &settings.Billing{BillingHour: 6, MaxCatchUpOrders: 1}}))
	portal.Actions = slices.DeleteFunc(portal.Actions, func(a string) bool { return a == settings.ActionUnskip })
	w.Do(journal.Bind(settings.Update{Document: portal}))
	w.want(v.post(path), 409, path, "does not offer this here")
	if after := w.subscription(w.hers).NextBillingDate; *after == *next {
		t.Error("the skip was undone")
	}
	w.Do(journal.Bind(settings.Update{Document: settings.Default(settings.PagePortal, &settings.General{})}))
	w.want(v.post(path), 200, at, "Undone")
}

func TestTheBackupPaymentMethod(t *testing.T) {
	w := newWorld(t)
	v := w.signIn("ada@example.com")
	at := "/portal/subscriptions/" + string(w.hers)
	path := at + "/backup-payment-method"
	if strings.Contains(v.get(at).body, path) {
		t.Error("a backup is offered with nothing to choose from")
	}
	spare := w.spare()
	w.want(v.get(at), 200, at, path)
	s := v.get(path)
	w.want(s, 200, path, "No backup", "Mastercard ending in 4444")
	if strings.Contains(s.body, "4242") {
		t.Error("the first one is offered as its own backup")
	}
	w.want(v.post(path+"/preview", "payment_method_id", string(spare)), 200, path+"/preview", "Your history will say")
	w.want(v.post(path, "payment_method_id", string(w.charged(w.his))), 422, path)
	w.want(v.post(path, "payment_method_id", string(w.charged(w.hers))), 422, path, "first payment method already")
	s = v.post(path, "payment_method_id", string(spare))
	w.want(s, 200, at, "If that fails", "Mastercard ending in 4444", "/portal/undo/")
	w.did("subscription.backup_payment_method_changed")
	w.want(v.post(regexp.MustCompile(`/portal/undo/evt_[a-z0-9_]+`).FindString(s.body)), 200, at)
	if got := w.subscription(w.hers).BackupPaymentMethodID; got != "" {
		t.Errorf("after the undo: %s", got)
	}
	v.post(path, "payment_method_id", string(spare))
	w.want(v.post(path, "payment_method_id", ""), 200, at)
	if got := w.subscription(w.hers).BackupPaymentMethodID; got != "" {
		t.Errorf("none is %s", got)
	}
	other := w.another(civil.Date{Year: 2027, Month: 3, Day: 20}, "")
	w.want(v.get(at+"/payment-method"), 200, at+"/payment-method", "all my subscriptions")
	w.want(v.post(at+"/payment-method", "payment_method_id", string(spare), "all", "all"), 200, at)
	if a, b := w.subscription(w.hers), w.subscription(other); a.PaymentMethodID != spare || b.PaymentMethodID != spare {
		t.Errorf("paid with %s and %s", a.PaymentMethodID, b.PaymentMethodID)
	}
}

// TestWhatAStoreSwitchedOffIsOff goes through every action that the store does not offer: it is not shown, its form says so, and it is refused.
func TestWhatAStoreSwitchedOffIsOff(t *testing.T) {
	w := newWorld(t)
	v := w.signIn("ada@example.com")
	at := "/portal/subscriptions/" + string(w.hers)
	w.spare()
	w.another(civil.Date{Year: 2027, Month: 3, Day: 20}, "")
	item := string(w.subscription(w.hers).Items[0].ID)
	for _, a := range actions {
		path := at + "/" + a.name
		if a.part {
			path += "/" + item
		}
		if w.subscription(w.hers).May(a.rule) != nil {
			continue
		}
		rest := slices.DeleteFunc(settings.PortalActions(), func(name string) bool { return name == string(a.rule) })
		w.Do(journal.Bind(settings.Update{Document: &settings.Portal{Actions: rest, MaxDaysAhead: 90}}))
		if strings.Contains(v.get(at).body, `"`+path+`"`) {
			t.Errorf("%s is shown", a.name)
		}
		head := w.Program.Head()
		w.want(v.get(path), 200, path, "does not offer this")
		if s := v.send(http.MethodPost, path, url.Values{}); s.status != 422 || !strings.Contains(s.body, "does not offer this") || w.Program.Head() != head {
			t.Errorf("%s: %d", a.name, s.status)
		}
	}
}

// TestALaterOrderAfterTheCutoff skips and gives the order after the one that is being prepared.
func TestALaterOrderAfterTheCutoff(t *testing.T) {
	w := newWorld(t)
	w.Do(journal.Bind(settings.Update{Document: &settings.Billing{BillingHour: 6, CutoffDays: 5, MaxCatchUpOrders: 1}}))
	w.pass(28 * 24 * time.Hour) // 31 March: the order of 3 April is being prepared
	v := w.signIn("ada@example.com")
	at := "/portal/subscriptions/" + string(w.hers)
	w.want(v.get(at), 200, at, at+"/gift", at+"/skip?date=2027-05-03")
	for _, action := range []string{"/skip", "/gift"} {
		s := v.get(at + action)
		w.want(s, 200, at+action, `<option value="2027-05-03"`)
		if strings.Contains(s.body, "2027-04-03") || strings.Contains(s.body, "being prepared") {
			t.Errorf("%s is about the order that is being prepared:\n%s", action, s.body)
		}
		w.want(v.get(at+action+"?date=2027-06-03"), 200, at+action, `<option value="2027-06-03" selected`)
		w.want(v.get(at+action+"?date=2027-04-03"), 200, at+action, "The order of 3 April 2027 is being prepared already") // when it is meant
		w.want(v.post(at+action, "date", "2027-04-03", "last_name", "Hopper", "line1", "Lane 2", "city", "Basel", "country", "ch"), 422, at+action, "The order of 3 April 2027 is being prepared already")
	}
	w.want(v.post(at+"/skip", "date", "2027-06-03"), 200, at, "Skipped the order of 3 June 2027")
	w.want(v.get(at+"/unskip"), 200, at+"/unskip", `<option value="2027-06-03"`)
	if s := v.get(at + "/reschedule"); !strings.Contains(s.body, "not possible") {
		t.Errorf("the next order can be moved:\n%s", s.body)
	}
}

// An entry that is not about a subscription is undone under the rules that its action has.
func TestUndosOfTheCustomerAreHeldToTheStoresRules(t *testing.T) {
	w := newWorld(t)
	v := w.signIn("ada@example.com")
	v.get("/portal/payment-methods/new")
	w.want(v.post("/portal/payment-methods/new", "number", "5555 5555 5555 4444", "expiry", "01/2031", "use", "all"), 200, "/portal/account")
	changed := "/portal/undo/" + string(w.did("payment_method.default_changed").ID)
	card := w.charged(w.hers)
	portal := settings.Default(settings.PagePortal, &settings.General{}).(*settings.Portal)
	portal.Actions = slices.DeleteFunc(portal.Actions, func(a string) bool { return a == string(subscription.ActionPaymentMethod) })
	w.Do(journal.Bind(settings.Update{Document: portal}))
	w.want(v.post(changed), 409, changed, "does not offer this here")
	if w.charged(w.hers) != card {
		t.Error("the default card was changed back")
	}
	w.Do(journal.Bind(settings.Update{Document: settings.Default(settings.PagePortal, &settings.General{})}))
	w.want(v.post(changed), 200, "/portal", "Undone")

	// An address goes back to no country that the shop does not send to.
	at := "/portal/addresses/" + string(w.subscription(w.hers).ShippingAddressID)
	v.get(at)
	s := v.post(at, "first_name", "", "last_name", "", "company", "", "line1", "Street 1", "line2", "", "postal_code", "", "city", "Ulm", "region", "", "country", "DE", "phone", "")
	w.want(s, 200, "/portal/account", "/portal/undo/")
	moved := regexp.MustCompile(`/portal/undo/evt_[a-z0-9_]+`).FindString(s.body)
	w.Do(journal.Bind(settings.Update{Document: &settings.Shipping{DefaultDeliveryPrice: w.subscription(w.hers).DeliveryPrice, Countries: []string{"DE"}}}))
	w.want(v.post(moved), 409, moved, "The store does not send there.")
	if _, err := w.Try(journal.Bind(kinds.Undo{Event: id.ID(strings.TrimPrefix(moved, "/portal/undo/"))})); fault.As(err).Code != "undo_country" {
		t.Errorf("the team's undo: %v", err)
	}
}

// What was done to all subscriptions at once is undone for all of them, under the rules of each.
func TestTheUndoOfAllSubscriptions(t *testing.T) {
	w := newWorld(t)
	v := w.signIn("ada@example.com")
	at := "/portal/subscriptions/" + string(w.hers)
	undo := regexp.MustCompile(`/portal/undo/evt_[a-z0-9_]+`)
	spare := w.spare()
	other := w.another(civil.Date{Year: 2027, Month: 3, Day: 20}, "")
	first := []id.ID{w.subscription(w.hers).PaymentMethodID, w.subscription(other).PaymentMethodID}
	s := v.post(at+"/payment-method", "payment_method_id", string(spare), "all", "all")
	w.want(s, 200, at)
	w.want(v.post(undo.FindString(s.body)), 200, at, "Undone")
	if now := []id.ID{w.subscription(w.hers).PaymentMethodID, w.subscription(other).PaymentMethodID}; !slices.Equal(now, first) {
		t.Errorf("charged to %v after the undo, and to %v before", now, first)
	}

	home := w.subscription(w.hers).ShippingAddressID
	second := w.IDs.New(id.Address)
	w.Do(journal.Bind(customer.AddAddress{ID: second, CustomerID: w.ada, Fields: customer.AddressFields{Line1: new("Lane 2"), City: new("Basel"), Country: new("CH")}}))
	s = v.post(at+"/shipping-address", "address_id", string(second), "all", "all")
	w.want(s, 200, at)
	path := undo.FindString(s.body)
	w.Do(journal.Bind(settings.Update{Document: &settings.Billing{BillingHour: 6, CutoffDays: 18, MaxCatchUpOrders: 1}})) // of the other's order alone
	w.want(v.post(path), 409, path, "another subscription")
	if w.subscription(other).ShippingAddressID != second || w.subscription(w.hers).ShippingAddressID != second {
		t.Error("an order that is being prepared goes elsewhere")
	}
	w.Do(journal.Bind(settings.Update{Document: &settings.Billing{BillingHour: 6, MaxCatchUpOrders: 1}}))
	w.Do(journal.Bind(customer.RemoveAddress{ID: home, CustomerID: w.ada}))
	w.want(v.post(path), 409, path, "was removed since")
	if w.subscription(w.hers).ShippingAddressID != second {
		t.Error("a subscription ships to an address that was removed")
	}
}
