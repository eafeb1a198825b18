package portal

import (
	"maps"
	"net/http"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"

	"perennial/internal/cancelflow"
	"perennial/internal/catalog"
	"perennial/internal/civil"
	"perennial/internal/customer"
	"perennial/internal/id"
	"perennial/internal/journal"
	"perennial/internal/subscription"
	"perennial/internal/test/htmlcheck"
	"perennial/internal/web/ui"
)

// formOf is the form of a page that goes to an address.
func formOf(t *testing.T, page, action string) url.Values {
	t.Helper()
	for _, f := range htmlcheck.Check(page).Forms {
		if f.Action == action {
			return f.Values
		}
	}
	t.Fatalf("no form goes to %s:\n%s", action, page)
	return nil
}

// An order that is asked for now is made once, however often its form is sent: by a double click, a reload, the way back, or from two tabs.
func TestAnOrderIsMadeOnce(t *testing.T) {
	w := newWorld(t)
	v := w.signIn("ada@example.com")
	at := "/portal/subscriptions/" + string(w.hers)
	first, tab := formOf(t, v.get(at+"/order-now").body, at+"/order-now"), formOf(t, v.get(at+"/order-now").body, at+"/order-now")
	made := func() int {
		rows, err := w.Store.List(t.Context(), w.Store.Read, journal.Order, "1 = 1")
		if err != nil {
			t.Fatal(err)
		}
		return len(rows)
	}
	var all sync.WaitGroup
	for range 3 {
		all.Go(func() { v.send(http.MethodPost, at+"/order-now", first) })
	}
	all.Wait()
	again := v.send(http.MethodPost, at+"/order-now", first)
	w.want(again, 200, at, "Order")
	if n := made(); n != 1 {
		t.Fatalf("%d orders were made of one form", n)
	}
	// Another tab was opened before: it is about what is no more.
	late := v.send(http.MethodPost, at+"/order-now", tab)
	w.want(late, http.StatusPreconditionFailed, at+"/order-now", "This was changed after you opened the page.")
	if n := made(); n != 1 {
		t.Fatalf("%d orders were made of two tabs", n)
	}
	w.want(v.send(http.MethodPost, at+"/order-now", formOf(t, late.body, at+"/order-now")), 200, at)
	if n := made(); n != 2 {
		t.Errorf("%d orders, want the second that was meant", n)
	}
	w.want(v.send(http.MethodPost, at+"/order-now", url.Values{ui.Number: {""}}), 400, at+"/order-now", "This form is not complete.")
}

// TestEveryFormIsSentOnce walks to every form of the Portal and sends it twice as it stands: the second time changes nothing.
func TestEveryFormIsSentOnce(t *testing.T) {
	if testing.Short() {
		t.Skip("one goroutine does it all, and takes long")
	}
	w := newWorld(t)
	for _, cmd := range []func(id.ID) journal.Command{
		func(s id.ID) journal.Command { return journal.Bind(subscription.Pause{ID: s}) },
		func(s id.ID) journal.Command { return journal.Bind(subscription.Cancel{ID: s}) },
		func(s id.ID) journal.Command { return journal.Bind(subscription.Skip{ID: s}) },
	} {
		sub := w.IDs.New(id.Subscription)
		w.Do(journal.Bind(subscription.Create{ID: sub, CustomerID: w.ada, Items: []subscription.NewItem{{ID: w.IDs.New(id.Item), VariantID: w.variant, Quantity: 1},
			{ID: w.IDs.New(id.Item), VariantID: w.other, Quantity: 1}}, BillingPolicy: &catalog.Policy{Interval: civil.Month, IntervalCount: 1}}))
		w.Do(cmd(sub))
	}
	spare, away := w.spare(), w.IDs.New(id.Address)
	w.Do(journal.Bind(customer.AddAddress{ID: away, CustomerID: w.ada, Fields: customer.AddressFields{Line1: new("Street 9"), City: new("Basel"), Country: new("CH")}}))
	w.Do(journal.Bind(catalog.CreateDiscount{ID: w.IDs.New(id.Discount), Code: "TENOFF", Kind: catalog.KindPercentage, Value: 10}))
	dear, _ := w.flow()
	order, _ := w.waits(w.hers, "pi_1")
	session := w.IDs.New(id.CancelSession)
	w.Do(journal.Bind(cancelflow.Start{ID: session, SubscriptionID: w.hers}))
	w.Do(journal.Bind(cancelflow.Choose{Session: session, ReasonID: dear}))
	ada, elsewhere := w.signIn("ada@example.com"), w.signIn("ada@example.com")
	elsewhere.post("/portal/signout")
	w.signIn("ada@example.com")
	route := func(method, address string) string {
		r, err := http.NewRequestWithContext(t.Context(), method, address, http.NoBody)
		if err != nil {
			t.Fatal(err)
		}
		return w.p.mux.Pattern(r)
	}
	type sent struct{ page, action string }
	var forms []sent
	known := map[string]int{}
	htmlcheck.Walk{From: []string{"/portal", "/portal/subscriptions/" + string(w.hers) + "/cancel/offers", "/portal/orders/" + string(order) + "/confirm"}, Elsewhere: []string{"/assets/", "http"}, Route: route,
		Get: func(address string) (int, string, string) {
			s := ada.get(address)
			return s.status, "text/html", s.body
		},
		Form: func(page, action string, _ htmlcheck.Form) {
			if r := route(http.MethodPost, action); known[r] < 3 && !slices.Contains(forms, sent{page, action}) {
				known[r]++
				forms = append(forms, sent{page, action})
			}
		}}.Run(t)
	// What a form says when it is filled in.
	filled := map[string][]string{
		"once": {"variant_id", string(w.other), "quantity", "1"}, "items": {"variant_id", string(w.other), "quantity", "1"}, "frequency": {"interval_count", "2"},
		"reschedule": {"next_billing_date", "2027-03-25"}, "pause": {"until", "2027-06-01"}, "quantity": {"quantity", "7"}, "swap": {"variant_id", string(w.other)},
		"discounts": {"code", "TENOFF"}, "shipping-address": {"address_id", string(away)}, "merge": {"into", string(w.hers)},
		"account": {"first_name", "Augusta"}, "new": {"line1", "Street 2", "city", "Bern", "country", "CH"}, "language": {"language", "de"}, "answer": {"reason_id", string(dear)},
		"backup-payment-method": {"payment_method_id", string(spare)},
		"gift":                  {"first_name", "Grace", "last_name", "Hopper", "line1", "Street 3", "city", "Bern", "country", "CH"},
	}
	// What ends something comes last, and leaving at the very end.
	ends := func(f sent) int {
		words := []string{"/split", "/payment-method", "/remove", "/merge", "/pause", "/cancel", "/sessions/", "/signout"}
		return 1 + slices.IndexFunc(words, func(word string) bool { return strings.Contains(f.action, word) })
	}
	slices.SortStableFunc(forms, func(a, b sent) int { return ends(a) - ends(b) })
	changed := map[string]bool{}
	for _, f := range forms {
		if strings.HasSuffix(f.action, ui.Preview) {
			continue
		}
		var values url.Values
		for _, form := range htmlcheck.Check(ada.get(f.page).body).Forms {
			if form.Method == "post" && (form.Action == f.action || form.Action == "" && f.action == f.page) {
				values = maps.Clone(form.Values)
			}
		}
		if values == nil {
			continue // something before this ended it
		}
		word := f.action[strings.LastIndexByte(f.action, '/')+1:]
		if strings.Contains(route(http.MethodPost, f.action), "/{part}") {
			word = strings.Split(f.action, "/")[4]
		}
		for pairs := range slices.Chunk(filled[word], 2) {
			values.Set(pairs[0], pairs[1])
		}
		switch word {
		case "split":
			values.Set("item_ids", regexp.MustCompile(`name="item_ids" value="([^"]+)"`).FindStringSubmatch(ada.get(f.page).body)[1])
		case "payment-method":
			values.Set("payment_method_id", string(spare))
			values.Set("all", "all")
		case "new":
			if strings.HasPrefix(f.page, "/portal/payment-methods") {
				values.Set("number", "4242 4242 4242 4242")
				values.Set("expiry", "04/31")
			}
		}
		before := w.Things()
		first := ada.send(http.MethodPost, f.action, values)
		once := w.Things()
		second := ada.send(http.MethodPost, f.action, values)
		if twice := w.Things(); twice != once {
			t.Errorf("%s sent twice: %s, then %s, then %s (%d, %d)", f.action, before, once, twice, first.status, second.status)
		}
		if once != before {
			changed[route(http.MethodPost, f.action)] = true
		}
		if undo := regexp.MustCompile(`/portal/undo/evt_[a-z0-9_]+`).FindString(first.body); undo != "" && !changed["POST /portal/undo/{event}"] {
			values, changed["POST /portal/undo/{event}"] = formOf(t, first.body, undo), true
			ada.send(http.MethodPost, undo, values)
			once = w.Things()
			if ada.send(http.MethodPost, undo, values); w.Things() != once {
				t.Errorf("%s sent twice: %s, then %s", undo, once, w.Things())
			}
		}
	}
	for _, p := range w.patterns() {
		switch {
		case !strings.HasPrefix(p, "POST ") || changed[p] || strings.HasSuffix(p, ui.Preview):
		case slices.Contains([]string{"POST /portal/signin", "POST /portal/code", "POST /portal/link/{token}", "POST /portal/quick/{token}"}, p): // below, and in quick_test.go
		case slices.Contains([]string{"POST /portal/orders/{order}/confirm", "POST /portal/language"}, p): // the first asks the gateway; the second keeps a choice in the browser
		default:
			t.Errorf("%s was never sent with an effect", p)
		}
	}
	// The code of a sign-in is sent once, and used once.
	v := w.visitor()
	form := formOf(t, v.get("/portal/signin").body, "/portal/signin")
	form.Set("email", "ben@example.com")
	v.send(http.MethodPost, "/portal/signin", form)
	w.p.Drain() // it is sent after the answer
	before := w.Things()
	w.want(v.send(http.MethodPost, "/portal/signin", form), 200, "/portal/code")
	w.p.Drain()
	if after := w.Things(); after != before {
		t.Errorf("a code is sent twice: %s, then %s", before, after)
	}
}
