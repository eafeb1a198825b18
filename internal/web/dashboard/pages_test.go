package dashboard

import (
	"fmt"
	"net/http"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"perennial/internal/auth"
	"perennial/internal/billing"
	"perennial/internal/cancelflow"
	"perennial/internal/catalog"
	"perennial/internal/civil"
	"perennial/internal/customer"
	"perennial/internal/id"
	"perennial/internal/journal"
	"perennial/internal/message"
	"perennial/internal/money"
	"perennial/internal/plain"
	"perennial/internal/program"
	"perennial/internal/settings"
	"perennial/internal/store"
	"perennial/internal/subscription"
	"perennial/internal/team"
	"perennial/internal/test/htmlcheck"
	"perennial/internal/test/shop"
	"perennial/internal/web/ui"
	"perennial/verify"
)

// furnished is a shop with one of everything.
type furnished struct {
	*world
	ada, home, card, product, variant, group, plan, discount, sub, order id.ID
}

func furnish(w *world) *furnished {
	w.t.Helper()
	f := &furnished{w, w.IDs.New(id.Customer), w.IDs.New(id.Address), w.IDs.New(id.PaymentMethod), w.IDs.New(id.Product), w.IDs.New(id.Variant), w.IDs.New(id.SellingPlanGroup), w.IDs.New(id.SellingPlan),
		w.IDs.New(id.Discount), w.IDs.New(id.Subscription), w.IDs.New(id.Order)}
	attempt, flow := w.IDs.New(id.BillingAttempt), w.IDs.New(id.CancelFlow)
	for _, c := range []journal.Command{
		journal.Bind(catalog.CreateProduct{ID: f.product, Title: "Coffee", Description: "From far away", ImageURL: "https://pictures.example/coffee.jpg"}),
		journal.Bind(catalog.CreateVariant{ID: f.variant, ProductID: f.product, Title: "250 g", Price: money.Of(1000, "EUR"), Inventory: new(int64(50))}),
		journal.Bind(catalog.CreateGroup{ID: f.group, Name: "Subscribe and save", ProductIDs: []id.ID{f.product}}),
		journal.Bind(catalog.CreatePlan{ID: f.plan, GroupID: f.group, Name: "Monthly", BillingPolicy: catalog.Policy{Interval: civil.Month, IntervalCount: 1}, Pricing: []catalog.Pricing{{Kind: "percentage", Value: 10}}}),
		journal.Bind(catalog.CreateDiscount{ID: f.discount, Code: "WELCOME", Kind: "percentage", Value: 10}),
		journal.Bind(message.Disable{Name: message.Resumed}),
		journal.Bind(cancelflow.CreateFlow{ID: flow, Fields: cancelflow.FlowFields{Name: new("Everybody"), Status: new(cancelflow.Active)}}),
		journal.Bind(cancelflow.CreateReason{ID: w.IDs.New(id.CancelReason), FlowID: flow, Fields: cancelflow.ReasonFields{Label: new("Too <expensive>"), Offers: &[]cancelflow.Offer{{Kind: cancelflow.OfferSwap, VariantID: f.variant}, {Kind: cancelflow.OfferPause, Days: 21}}}}),
		journal.Bind(customer.Create{ID: f.ada, Email: "ada@example.com", FirstName: "Ada", LastName: "Lovelace", Phone: "+44 20 7946 0000", Tags: []string{"early"}}),
		journal.Bind(customer.AddAddress{ID: f.home, CustomerID: f.ada, Fields: customer.AddressFields{FirstName: new("Ada"), LastName: new("Lovelace"), Line1: new("12 St James's Square"), City: new("London"), Country: new("GB")}}),
		journal.Bind(customer.AddAddress{ID: w.IDs.New(id.Address), CustomerID: f.ada, Fields: customer.AddressFields{Line1: new("Ockham Park"), City: new("Ockham"), Country: new("GB")}}),
		journal.Bind(customer.AddPaymentMethod{ID: f.card, CustomerID: f.ada, Gateway: "simulated", Fields: customer.PaymentMethodFields{GatewayReference: new("sim_ok"), Brand: new("visa"), Last4: new("4242"), ExpMonth: new(1), ExpYear: new(2030)}}),
		journal.Bind(customer.AddPaymentMethod{ID: w.IDs.New(id.PaymentMethod), CustomerID: f.ada, Gateway: "simulated", Fields: customer.PaymentMethodFields{GatewayReference: new("sim_2"), Brand: new("visa"), Last4: new("1881"), ExpMonth: new(1), ExpYear: new(2031)}}),
		journal.Bind(subscription.Create{ID: f.sub, CustomerID: f.ada, SellingPlanID: f.plan, Note: "Likes it strong", Items: []subscription.NewItem{{ID: w.IDs.New(id.Item), VariantID: f.variant, Quantity: 2}}}),
		journal.Bind(subscription.ApplyDiscount{ID: f.sub, Code: "WELCOME"}),
		journal.Bind(subscription.Skip{ID: f.sub}),
		journal.Bind(billing.OrderNow{SubscriptionID: f.sub, OrderID: f.order, AttemptID: attempt}),
		journal.Bind(billing.FinishAttempt{OrderID: f.order, AttemptID: attempt, Result: billing.Succeeded}),
	} {
		w.Do(c)
	}
	return f
}

// pattern is the route that an address belongs to; empty: none.
func (w *world) pattern(method, address string) string {
	w.t.Helper()
	r, err := http.NewRequest(method, address, http.NoBody)
	if err != nil {
		w.t.Fatalf("%s %s: %v", method, address, err)
	}
	p := w.d.mux.Pattern(r)
	return p
}

// TestEveryPage walks from the start page along every link and form. Each page keeps the rules of htmlcheck (browser.send looks), each
// link leads to a page, each form to a route; and each page of the Dashboard can be reached so.
func TestEveryPage(t *testing.T) {
	if testing.Short() {
		t.Skip("one goroutine does it all, and takes long")
	}
	w, b, _ := owned(t, auth.ProviderConfig{})
	f := furnish(w)
	w.hire(b, "ben@example.com", "192.0.2.3", "role", "member", "defaults", "yes")
	w.want(b.post("/api-keys", "name", "Warehouse", "permission", "events.view"), 200, "/api-keys", "This is the key")
	// What is possible in another status.
	for _, end := range []func(id.ID) journal.Command{
		func(s id.ID) journal.Command { return journal.Bind(subscription.Pause{ID: s}) }, func(s id.ID) journal.Command { return journal.Bind(subscription.Cancel{ID: s}) },
		func(s id.ID) journal.Command {
			return journal.Bind(billing.OrderNow{SubscriptionID: s, OrderID: w.IDs.New(id.Order), AttemptID: w.IDs.New(id.BillingAttempt)})
		},
	} {
		sub := w.IDs.New(id.Subscription)
		w.Do(journal.Bind(subscription.Create{ID: sub, CustomerID: f.ada, SellingPlanID: f.plan, Items: []subscription.NewItem{{ID: w.IDs.New(id.Item), VariantID: f.variant, Quantity: 1}}}))
		w.Do(end(sub))
	}
	odd, attempt := w.IDs.New(id.Order), w.IDs.New(id.BillingAttempt)
	w.Do(journal.Bind(billing.OrderNow{SubscriptionID: f.sub, OrderID: odd, AttemptID: attempt}))
	w.Do(journal.Bind(billing.NoteOtherCharge{OrderID: odd, AttemptID: attempt, GatewayID: "pi_odd", Amount: money.Of(99, "EUR")}))
	walked := htmlcheck.Walk{From: []string{"/messages/resumed", "/", "/ui", "/customers/" + string(f.ada), "/search?q=" + string(f.sub)}, Elsewhere: []string{"/portal", "/api/", "/assets/", "/demo/", "http"}, Route: w.pattern,
		Get: func(address string) (int, string, string) {
			if strings.HasSuffix(address, "/preview") { // a mail, which has rules of its own
				return 200, "message/rfc822", ""
			}
			s := b.get(address)
			return s.status, s.header.Get("Content-Type"), s.body
		}}.Run(t)
	// What no link leads to: pages between a form and its answer, answers to scripts, and what comes by mail.
	for _, p := range []string{"/setup/{token}", "/join/{token}", "/password/{token}", "/signin", "/signin/code", "/signin/provider", "/signin/provider/callback", "/find", "/customers/{id}/data/{part}",
		"/customers/{id}/data/{part}/copy.json", "/account/authenticator/code.png", "/account/authenticator", "/account/confirm"} {
		walked["GET "+p]++
	}
	for _, r := range w.d.routes {
		if strings.HasPrefix(r.pattern, "GET ") && !r.stream && walked[r.pattern] == 0 {
			t.Errorf("no link leads to %s", r.pattern)
		}
	}
}

// TestForgedFormsAnywhere sends every form from another site.
// Who types a slash at the end means the page, and what nobody is called is an empty list for the palette's script.
func TestTyped(t *testing.T) {
	w, b, _ := owned(t, auth.ProviderConfig{})
	w.want(b.get("/products/?status=active"), 200, "/products", "Products")
	w.want(b.get("/portal-that-is-not/"), 404, "/portal-that-is-not", "There is nothing here")
	if s := b.get("/find?q=zzzzzz"); strings.TrimSpace(s.body) != "[]" {
		t.Errorf("the palette got %q", s.body)
	}
}

// The settings say what it would mean to take cancelling away.
func TestCancellingIsNotTakenAwayByMistake(t *testing.T) {
	w, b, _ := owned(t, auth.ProviderConfig{})
	const warning = "Subscribers could not cancel"
	if s := b.get("/settings/portal"); strings.Contains(s.body, warning) {
		t.Error("it warns of what is not so")
	}
	form := []string{"version", "1", "max_skips_in_row", "3", "max_days_ahead", "90", "min_days_ahead", "0"}
	w.want(b.post("/settings/portal/preview", append(form, "actions", "skip")...), 200, "/settings/portal/preview", warning)
	if s := b.post("/settings/portal/preview", append(form, "actions", "cancel")...); strings.Contains(s.body, warning) {
		t.Errorf("it warns although one can cancel")
	}
}

func TestForgedFormsAnywhere(t *testing.T) {
	w, b, _ := owned(t, auth.ProviderConfig{})
	from := w.next()
	for _, r := range w.d.routes {
		method, path, _ := strings.Cut(r.pattern, " ")
		if method != http.MethodPost {
			continue
		}
		path = strings.NewReplacer("{id}", "x", "{part}", "x", "{token}", "x", "{passkey}", "x", "{session}", "x").Replace(path)
		if s := b.send(method, path, url.Values{}, "Sec-Fetch-Site", "cross-site"); s.status != http.StatusForbidden || !strings.Contains(s.body, "came from another site") {
			t.Errorf("%s from another site: %d", r.pattern, s.status)
		}
		if s := b.send(method, path, url.Values{}, "Sec-Fetch-Site", "", "Origin", "https://evil.example"); s.status != http.StatusForbidden {
			t.Errorf("%s from another origin: %d", r.pattern, s.status)
		}
	}
	w.made(from)
}

// TestWhatIsMasked looks at every page that shows a person with the eyes of who may not see personal data.
func TestWhatIsMasked(t *testing.T) {
	// Ids, the numbers of forms and of orders are random, and may have the digits of a card in them.
	random := regexp.MustCompile(`[A-Za-z0-9_-]{16,}|[A-Z0-9]{7}-[0-9]+`)
	w, owner, _ := owned(t, auth.ProviderConfig{})
	f := furnish(w)
	ben := w.hire(owner, "ben@example.com", "192.0.2.3", "role", "member", "defaults", "yes")
	benID := w.memberID("ben@example.com")
	allow := func(list ...team.Permission) {
		t.Helper()
		w.Do(journal.Bind(team.ChangePermissions{ID: benID, Permissions: &list, Actor: journal.Actor{Kind: journal.ActorSystem, ID: "test"}}))
	}
	most := slices.DeleteFunc(team.Everything().List(), func(p team.Permission) bool {
		return p == team.PersonalDataView || p == team.PersonalDataEdit || p == team.RevealedDataView
	})
	allow(most...)
	at := "/customers/" + string(f.ada)
	values := []string{"Lovelace", "ada@example.com", "7946", "St James", "Ockham", "4242", "Likes it strong"}
	for _, path := range []string{"/", "/customers", at, at + "/log", "/subscriptions", "/subscriptions?view=cards", "/subscriptions/" + string(f.sub), "/subscriptions/" + string(f.sub) + "/log", "/subscriptions/" + string(f.sub) + "?at_seq=99999",
		"/subscriptions/" + string(f.sub) + "/shipping-address", "/subscriptions/" + string(f.sub) + "/payment-method", "/subscriptions/new?customer_id=" + string(f.ada), "/orders", "/orders/" + string(f.order), "/upcoming", "/events", "/events?q=Lovelace",
		"/past/customer/" + string(f.ada) + "?at_seq=99999", "/past/address/" + string(f.home) + "?at_seq=99999", "/search?q=Lovelace", "/customers?q=Lovelace", at + "/addresses/" + string(f.home) + "/remove"} {
		s := ben.get(path)
		for _, v := range values {
			body := strings.ReplaceAll(s.body, "?q=Lovelace", "")
			if strings.Trim(v, "0123456789") == "" {
				body = random.ReplaceAllString(body, "")
			}
			alone := regexp.MustCompile(`\b` + regexp.QuoteMeta(v) + `\b`)
			if alone.MatchString(body) && (v != "Lovelace" || !strings.Contains(path, "q=Lovelace")) {
				t.Errorf("%s shows %s (%d)", path, v, s.status)
			}
		}
		if strings.Contains(s.body, `/reveal"`) {
			t.Errorf("%s offers to reveal", path)
		}
	}
	// A message to look at has the name and the card of a subscriber.
	letter := "/messages/payment_failed"
	w.want(owner.get(letter), 200, letter, "Visa 4242")
	if s := w.want(ben.get(letter), 200, letter, "Hello "+plain.Mask); strings.Contains(s.body, "Visa") {
		t.Errorf("%s shows a card:\n%s", letter, s.body)
	}
	letter = "/messages/team_invitation"
	w.want(owner.get(letter), 200, letter, "Olivia Hart") // as the demo's owner is called
	if s := w.want(ben.get(letter), 200, letter, plain.Mask); strings.Contains(s.body, "Olivia Hart") {
		t.Errorf("%s shows who invites:\n%s", letter, s.body)
	}
	// What begins with personal values, or leads to them, needs the permission.
	for _, path := range []string{at + "/edit", at + "/addresses/" + string(f.home) + "/edit", "/subscriptions/" + string(f.sub) + "/note"} {
		w.want(ben.get(path), 403, path, "personal_data.view")
	}
	w.want(ben.post(at+"/view-as"), 403, at+"/view-as", "personal_data.view")
	w.want(ben.post(at+"/portal-link"), 403, at+"/portal-link", "personal_data.view")
	w.want(ben.post(at+"/reveal", "value", "email"), 403, at+"/reveal", "revealed_data.view")

	allow(append(most, team.RevealedDataView)...)
	s := w.want(ben.get(at), 200, at, "Reveal")
	for _, v := range values {
		if strings.Contains(s.body, v) {
			t.Errorf("%s stands on the page before it is revealed", v)
		}
	}
	for _, r := range []struct{ value, address, shows string }{{"email", "", "ada@example.com"}, {"name", "", "Ada Lovelace"}, {"phone", "", "7946"}, {"address", string(f.home), "St James"}} {
		from := w.next()
		s := w.want(ben.post(at+"/reveal", "value", r.value, "address_id", r.address), 200, at+"/reveal", r.shows)
		for _, v := range values {
			if !strings.Contains(r.shows, v) && strings.Contains(s.body, v) && !(r.value == "address" && v == "Lovelace") {
				t.Errorf("revealing %s shows %s too", r.value, v)
			}
		}
		w.made(from, "personal_data.revealed")
		if e := w.entries(from)[0]; e.Actor.ID != string(benID) || string(e.Detail("value")) != fmt.Sprintf("%q", r.value) || !slices.Contains(e.Targets, journal.Ref{Kind: journal.Customer, ID: f.ada}) || strings.Contains(w.body(from), r.shows) {
			t.Errorf("the entry: %+v", e)
		}
	}
	w.want(ben.get(at), 200, at, "Reveal")
	w.want(owner.get("/activity"), 200, "/activity", "Revealed a customer&#39;s name")
	w.want(ben.post(at+"/reveal", "value", "password"), 422, at+"/reveal", "no value that can be revealed")
}

func TestManyProductsAtOnce(t *testing.T) {
	w, b, _ := owned(t, auth.ProviderConfig{})
	f := furnish(w)
	tea := w.IDs.New(id.Product)
	w.Do(journal.Bind(catalog.CreateProduct{ID: tea, Title: "Tea", PortalVisible: new(false)}))
	form := []string{"product", string(f.product), "product", string(tea)}
	from := w.next()
	w.want(b.post("/products/bulk", append(form, "change", "offered")...), 200, "/products", "Offered 2 products as an addition")
	w.made(from, "product_settings.bulk_updated", "product_upsell.variant_settings_updated", "product_upsell.variant_settings_updated")
	e := w.entries(from)
	if e[1].CausationID != e[0].ID || e[2].CorrelationID != e[0].CorrelationID || len(e[0].Targets) != 3 {
		t.Errorf("the entries do not belong together: %+v", e)
	}
	from = w.next()
	w.want(b.post("/products/bulk", append(form, "change", "offered")...), 200, "/products", "nothing changed")
	w.want(b.post("/products/bulk", "change", "offered"), 200, "/products", "Tick the products first")
	w.want(b.post("/products/bulk", append(form, "change", "painted")...), 422, "/products/bulk", "Choose what to change")
	w.made(from)
	w.want(b.post("/products/bulk", append(form, "change", "hidden")...), 200, "/products", "Hid 1 product in the portal")
}

func TestPortalSessionsOfACustomer(t *testing.T) {
	w, b, _ := owned(t, auth.ProviderConfig{})
	f := furnish(w)
	at := "/customers/" + string(f.ada)
	session := w.IDs.New(id.Session)
	if _, err := w.Program.Do(t.Context(), &program.Request{Meta: program.Meta{Actor: journal.Actor{Kind: journal.ActorCustomer, ID: string(f.ada)}, Source: journal.Origin{Channel: journal.ChannelPortal, IP: journal.Secluded("203.0.113.9")}},
		Command: journal.Bind(customer.LogIn{CustomerID: f.ada, Session: session, Method: "code"}),
		Machinery: func(b *store.Batch) error {
			return b.PutSession(store.Session{ID: session, Owner: journal.Ref{Kind: journal.Customer, ID: f.ada}, ExpiresAt: b.Now.Add(time.Hour)}, "secret")
		}}); err != nil {
		t.Fatal(err)
	}
	w.want(b.get(at), 200, at, "203.0.113.9")
	w.want(b.post(at+"/sessions-end"), 200, at, "signed out of the portal everywhere")
	if e := w.lastOf("customer.logged_out"); e.Target().ID != session || e.Actor.Kind != journal.ActorTeamMember {
		t.Errorf("the entry: %+v", e)
	}
	if s := b.get(at); strings.Contains(s.body, "Sign out everywhere") {
		t.Error("the session is still there")
	}
}

// The receipt of an entry is checked with nothing of ours but package verify, as `perennial verify --receipt` does.
func TestReceipts(t *testing.T) {
	w, b, _ := owned(t, auth.ProviderConfig{})
	furnish(w)
	e := w.lastOf("subscription.created")
	at := "/events/" + string(e.ID)
	w.want(b.get(at), 200, at, at+"/receipt.json")
	got, key := b.get(at+"/receipt.json"), strings.TrimSpace(b.get("/log-key.txt").body)
	r, err := verify.ParseReceipt([]byte(got.body))
	if err != nil {
		t.Fatalf("%s: %v", got.body, err)
	}
	if proved, err := r.Check(key); err != nil || proved.ID != string(e.ID) {
		t.Errorf("%+v: %v", proved, err)
	}
	if !strings.Contains(got.header.Get("Content-Disposition"), "attachment") {
		t.Error("the receipt is shown and not kept")
	}
}

// Whoever comes too late sees both versions, and may send theirs once more.
func TestStaleForms(t *testing.T) {
	w, b, _ := owned(t, auth.ProviderConfig{})
	f := furnish(w)
	w.hire(b, "ben@example.com", "192.0.2.3", "role", "member", "permission", "team.view")
	version := regexp.MustCompile(`name="version" value="(\d+)"`)
	for _, tt := range []struct {
		form, to        string // where it is, and where it goes when that is another address
		theirs          journal.Command
		yours           []string
		theirsAre, mine string
	}{
		{"/products/" + string(f.product) + "/edit", "", journal.Bind(catalog.UpdateProduct{ID: f.product, Title: new("Java")}), []string{"title", "Mocha", "status", "active"}, "Java", "Mocha"},
		{"/subscriptions/" + string(f.sub) + "/delivery-price", "", journal.Bind(subscription.ChangeDeliveryPrice{ID: f.sub, Price: money.Of(333, "EUR")}), []string{"delivery_price", "4.44"}, "€3.33", "€4.44"},
		{"/settings/general", "", journal.Bind(settings.Update{Document: &settings.General{Name: "Their shop", TimeZone: "Europe/Berlin", Currency: "EUR", Locale: "en"}}), []string{"name", "My shop", "time_zone", "Europe/Berlin", "currency", "EUR", "locale", "en"}, "Their shop", "My shop"},
		{"/team/" + string(w.memberID("ben@example.com")), "/permissions", journal.Bind(team.ChangePermissions{ID: w.memberID("ben@example.com"), Permissions: &[]team.Permission{team.EventsView}, Actor: shop.System.Actor}), []string{"permission", "exports.view"}, "Events: see", "Exports: see"},
		{"/team/defaults", "", journal.Bind(team.ChangeDefaults{Permissions: []team.Permission{team.EventsView}, Actor: shop.System.Actor}), []string{"permission", "exports.view"}, "Events: see", "Exports: see"},
	} {
		first := version.FindStringSubmatch(b.get(tt.form).body)
		if first == nil {
			t.Fatalf("%s has no version", tt.form)
		}
		w.Do(tt.theirs)
		from := w.next()
		s := w.want(b.post(tt.form+tt.to, append(tt.yours, "version", first[1])...), 412, tt.form+tt.to, "Somebody else changed this")
		_, rest, _ := strings.Cut(s.body, "Changed meanwhile")
		theirs, mine, _ := strings.Cut(rest, "Yours, now")
		mine, _, _ = strings.Cut(mine, "<form")
		if !strings.Contains(theirs, tt.theirsAre) || !strings.Contains(mine, tt.mine) {
			t.Errorf("%s: theirs %q, yours %q", tt.form, theirs, mine)
		}
		if slices.ContainsFunc(w.events(from), func(typ string) bool { return typ != "log.viewed" }) {
			t.Errorf("%s: a stale form made %v", tt.form, w.events(from))
		}
		again := version.FindStringSubmatch(s.body)
		if s := b.post(tt.form+tt.to, append(tt.yours, "version", again[1])...); s.status != 200 {
			t.Errorf("%s, once more: %d", tt.form, s.status)
		}
	}
}

func TestSavedViews(t *testing.T) {
	w, b, _ := owned(t, auth.ProviderConfig{})
	f := furnish(w)
	ben := w.hire(b, "ben@example.com", "192.0.2.3", "role", "member", "defaults", "yes")
	w.want(b.get("/subscriptions?q=coffee"), 200, "/subscriptions", "Ada Lovelace")
	w.want(b.get("/subscriptions?q="+string(f.product)), 200, "/subscriptions", "Ada Lovelace")
	w.want(b.get("/subscriptions?q=tea"), 200, "/subscriptions", "No subscription matches")
	from := w.next()
	view := []string{"status", "active", "sort", "next", "view", "cards", "q", "Lovelace", "after", "x"}
	w.want(b.post("/saved-views", append(view, "name", "Due <soon>")...), 200, "/subscriptions", "The view is saved")
	address := "/subscriptions?sort=next&amp;status=active&amp;view=cards"
	s := w.want(b.get("/subscriptions"), 200, "/subscriptions", `href="`+address+`"`)
	if !strings.Contains(s.body, "Due &lt;soon&gt;") || strings.Contains(s.body, "q=Lovelace") {
		t.Errorf("the view is not there:\n%s", s.body)
	}
	s = w.want(b.get(strings.ReplaceAll(address, "&amp;", "&")), 200, "/subscriptions", "Forget this view")
	if n := strings.Count(s.body, `aria-current="page"`); n != 2 { // in the menu, and this one
		t.Errorf("%d places are marked as this one", n)
	}
	if strings.Contains(ben.get("/subscriptions").body, "Due &lt;soon&gt;") {
		t.Error("others see it")
	}
	w.want(b.post("/saved-views", "name", "Nothing"), 422, "/saved-views", "choose something to see")
	w.want(b.post("/saved-views", append(view, "name", strings.Repeat("x", 41))...), 422, "/saved-views", "")
	w.want(b.post("/saved-views/forget", "name", "Due <soon>"), 200, "/subscriptions", "The view is forgotten")
	if strings.Contains(b.get("/subscriptions").body, "Due &lt;soon&gt;") {
		t.Error("it is still there")
	}
	if slices.ContainsFunc(w.events(from), func(typ string) bool { return typ != "log.viewed" }) {
		t.Errorf("a preference made %v", w.events(from))
	}
	// Whoever leaves takes them along.
	benID := w.memberID("ben@example.com")
	w.want(ben.post("/saved-views", "status", "failed", "name", "Trouble"), 200, "/subscriptions", "The view is saved")
	w.want(b.post("/team/"+string(benID)+"/remove"), 200, "/team", "Removed from the team")
	if left, err := w.Store.SavedViews(t.Context(), w.Store.Read, benID, subscriptionsList); err != nil || len(left) > 0 {
		t.Errorf("%v are left, %v", left, err)
	}
}

// The confirmation of an erasure names what will happen, before anything is typed and when what is typed is wrong.
func TestErasureNamesWhatWillHappen(t *testing.T) {
	w, b, _ := owned(t, auth.ProviderConfig{})
	f := furnish(w)
	at := "/customers/" + string(f.ada)
	from := w.next()
	for _, s := range []seen{b.get(at + "/redact"), b.post(at+"/redact", "confirm_email", "eve@example.com")} {
		for _, words := range []string{"The log will say", "Cancelled the subscription", "Erased the address (2 times)", "Erased the payment method (2 times)", "Erased the customer&#39;s personal data"} {
			if !strings.Contains(s.body, words) {
				t.Errorf("%d: it does not say %q:\n%s", s.status, words, s.body)
			}
		}
	}
	if slices.ContainsFunc(w.events(from), func(typ string) bool { return typ != "log.viewed" }) {
		t.Errorf("a preview made %v", w.events(from))
	}
	w.want(b.post(at+"/redact", "confirm_email", "ADA@example.com"), 200, at, "Erased")
}

func TestAttributes(t *testing.T) {
	w, b, _ := owned(t, auth.ProviderConfig{})
	f := furnish(w)
	at := "/subscriptions/" + string(f.sub)
	w.want(b.post(at+"/attributes", "attributes", "grind: fine\n\n roast : dark: very \n"), 200, at, "dark: very")
	w.want(b.get(at+"/attributes"), 200, at+"/attributes", "grind: fine\nroast: dark: very</textarea>")
	w.want(b.post(at+"/attributes", "attributes", "fine"), 422, at+"/attributes", "Write each line as name: value")
	w.want(b.post(at+"/attributes", "attributes", ""), 200, at, "Changed the attributes")
}

// TestPreviewsChangeNothing asks for the preview of every form that has one: what was typed goes in the body, and nothing happens.
func TestPreviewsChangeNothing(t *testing.T) {
	w, b, _ := owned(t, auth.ProviderConfig{})
	f := furnish(w)
	at := "/customers/" + string(f.ada) + "/edit"
	page := b.get(at)
	w.want(page, 200, at, `hx-post="`+at+ui.Preview+`"`)
	if strings.Contains(page.body, "hx-get") || strings.Contains(page.body, `formmethod="get"`) {
		t.Error("what is typed goes into an address")
	}
	from := w.next()
	w.want(b.post(at+ui.Preview, "email", "ada@example.com", "first_name", "Augusta"), 200, at+ui.Preview, `value="Augusta"`)
	w.want(b.post("/subscriptions"+ui.Preview, "customer_id", string(f.ada), "variant_0", string(f.variant), "quantity_0", "1", "interval", "month", "interval_count", "1"), 200, "/subscriptions"+ui.Preview, "Created the subscription")
	fill := strings.NewReplacer("{id}", string(f.sub), "{part}", "en")
	for _, r := range w.d.routes {
		method, path, _ := strings.Cut(r.pattern, " ")
		if method != http.MethodPost || !strings.HasSuffix(path, ui.Preview) {
			continue
		}
		if len(r.events) > 0 {
			t.Errorf("%s announces %v", r.pattern, r.events)
		}
		if s := b.send(method, fill.Replace(path), url.Values{}); s.status != 200 && s.status != 404 {
			t.Errorf("%s: got %d", r.pattern, s.status)
		}
	}
	if slices.ContainsFunc(w.events(from), func(typ string) bool { return typ != "log.viewed" }) {
		t.Errorf("previews made %v", w.events(from))
	}
}

// TestTheFirstChangeOfAMessage undoes it: the program's own text is back. What came after it in another language stays.
func TestTheFirstChangeOfAMessage(t *testing.T) {
	w, b, _ := owned(t, auth.ProviderConfig{})
	at := "/messages/paused"
	undo := func(typ journal.Name) string { return "/events/" + string(w.lastOf(typ).ID) + "/undo" }
	w.want(b.post(at+"/en/edit", "subject", "A break", "body", "See you."), 200, at, "Changed the message")
	first := undo("notification_template.updated")
	w.want(b.get(at+"?language=en"), 200, at, "The store's own.")
	w.want(b.get(first), 200, first, "Undo this?")
	w.want(b.post(at+"/de/edit", "subject", "Pause", "body", "Bis bald."), 200, at, "Changed the message")
	w.want(b.post(first, "back", at), 200, at, "Undid the change of the message")
	w.want(b.get(at+"?language=en"), 200, at, "As the program has it.")
	w.want(b.get(at+"?language=de"), 200, at, "Bis bald.")
	w.want(b.post(first, "back", at), 422, first, "This was undone already")
	w.want(b.post(undo("notification_template.updated"), "back", at), 200, at, "Undid the change of the message") // and back again
	w.want(b.get(at+"?language=en"), 200, at, "The store's own.")

	at = "/messages/skipped"
	w.want(b.post(at+"/disable"), 200, at, "Switched the message off")
	w.want(b.post(at+"/en/edit", "subject", "Left out", "body", "See you."), 200, at, "Changed the message")
	w.want(b.post(undo("notification_template.disabled"), "back", at), 200, at, "Undid the switching off of the message")
	s := w.want(b.get(at+"?language=en"), 200, at, "Left out")
	if !strings.Contains(s.body, ">On<") {
		t.Errorf("it is still off:\n%s", s.body)
	}
}
