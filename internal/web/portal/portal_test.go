package portal

import (
	"context"
	"crypto/rand"
	"io"
	"iter"
	"log/slog"
	"maps"
	"net"
	"net/http"
	"net/http/cookiejar"
	"net/http/httptest"
	"net/url"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"perennial/internal/catalog"
	"perennial/internal/civil"
	"perennial/internal/customer"
	"perennial/internal/db"
	"perennial/internal/find"
	"perennial/internal/id"
	"perennial/internal/journal"
	"perennial/internal/mail"
	"perennial/internal/money"
	"perennial/internal/notify"
	"perennial/internal/payment/simulated"
	"perennial/internal/settings"
	"perennial/internal/store"
	"perennial/internal/subscription"
	"perennial/internal/test/htmlcheck"
	"perennial/internal/test/shop"
	"perennial/internal/web/ui"
)

// world is a running portal over a real shop with two customers. The whole journal is checked at its end.
type world struct {
	*shop.Shop
	t    *testing.T
	p    *Portal
	http *httptest.Server
	mail *box
	log  lines
	// letters writes into mail.
	letters *notify.Notifier

	ada, ben       id.ID // customers
	hers, his      id.ID // their subscriptions
	variant, other id.ID

	mu  sync.Mutex
	now time.Time
}

// patterns are the routes of the portal.
func (w *world) patterns() (out []string) {
	for _, r := range w.p.routes {
		out = append(out, r.pattern)
	}
	return out
}

// lines is a log.
type lines struct {
	mu sync.Mutex
	b  strings.Builder
}

func (l *lines) Write(b []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(b)
}

func (l *lines) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}

// box keeps messages.
type box struct {
	mu   sync.Mutex
	sent []mail.Message
}

func (b *box) Send(_ context.Context, m mail.Message) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.sent = append(b.sent, m)
	return nil
}

func (w *world) clock() time.Time {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.now
}

func (w *world) pass(d time.Duration) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.now = w.now.Add(d)
}

func newWorld(t *testing.T) *world {
	t.Helper()
	w := &world{t: t, now: time.Date(2027, 3, 3, 12, 0, 0, 0, time.UTC), mail: &box{}}
	w.Shop = shop.OpenWith(t, t.TempDir(), w.clock, rand.Reader, db.Options{})
	w.Found()
	product := w.IDs.New(id.Product)
	w.variant, w.other = w.IDs.New(id.Variant), w.IDs.New(id.Variant)
	w.Do(journal.Bind(catalog.CreateProduct{ID: product, Title: "Coffee", Upsell: true, UpsellDiscount: 10, UpsellLimit: 2}))
	w.Do(journal.Bind(catalog.CreateVariant{ID: w.variant, ProductID: product, Title: "250 g", Price: money.Of(1000, "EUR")}))
	w.Do(journal.Bind(catalog.CreateVariant{ID: w.other, ProductID: product, Title: "1 kg", Price: money.Of(3000, "EUR")}))
	make := func(email string) (id.ID, id.ID) {
		who, sub, address, method := w.IDs.New(id.Customer), w.IDs.New(id.Subscription), w.IDs.New(id.Address), w.IDs.New(id.PaymentMethod)
		w.Do(journal.Bind(customer.Create{ID: who, Email: email, FirstName: strings.ToUpper(email[:1]) + email[1:3]}))
		w.Do(journal.Bind(customer.AddAddress{ID: address, CustomerID: who, Fields: customer.AddressFields{Line1: new("Street 1"), City: new("Bern"), Country: new("CH")}}))
		w.Do(journal.Bind(customer.AddPaymentMethod{ID: method, CustomerID: who, Gateway: "simulated", Fields: customer.PaymentMethodFields{GatewayReference: new("tok_1"), Brand: new("visa"), Last4: new("4242"), ExpMonth: new(1), ExpYear: new(2030)}}))
		w.Do(journal.Bind(subscription.Create{ID: sub, CustomerID: who, Items: []subscription.NewItem{{ID: w.IDs.New(id.Item), VariantID: w.variant, Quantity: 1}, {ID: w.IDs.New(id.Item), VariantID: w.other, Quantity: 1}},
			BillingPolicy: &catalog.Policy{Interval: civil.Month, IntervalCount: 1}}))
		return who, sub
	}
	w.ada, w.hers = make("ada@example.com")
	w.ben, w.his = make("ben@example.com")
	finder, err := find.Open(t.Context(), w.Store, filepath.Join(w.Dir, "find.db"), nil)
	if err != nil {
		t.Fatal(err)
	}
	var handler http.Handler
	w.http = httptest.NewServer(http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
		r.RemoteAddr = net.JoinHostPort(r.Header.Get("X-Test-IP"), "1")
		handler.ServeHTTP(rw, r)
	}))
	w.p, err = New(Config{Program: w.Program, Store: w.Store, Finder: finder, IDs: w.IDs, Log: slog.New(slog.NewTextHandler(&w.log, nil)), BaseURL: w.http.URL, Mails: true, Gateway: simulated.New(w.clock, simulated.Options{})})
	if err != nil {
		t.Fatal(err)
	}
	handler = w.p.Handler()
	w.letters = notify.New(notify.Config{Program: w.Program, Store: w.Store, Mail: w.mail, Log: slog.New(slog.DiscardHandler), Portal: w.http.URL + "/portal", Links: w.p.QuickLink,
		SignIns: func(context.Context, id.ID, int64) iter.Seq2[*journal.Event, error] {
			return func(func(*journal.Event, error) bool) {}
		}})
	w.deliver() // what was before is not told
	t.Cleanup(func() {
		w.http.Close()
		w.p.Drain()
		for line := range strings.Lines(w.log.String()) {
			if strings.Contains(line, "did not announce") {
				t.Error(line)
			}
		}
		if err := w.p.Finder.Close(context.Background()); err != nil {
			t.Error(err)
		}
	})
	return w
}

// visitor is somebody's browser.
type visitor struct {
	w        *world
	client   *http.Client
	language string // what the browser asks for
}

type seen struct {
	status     int
	path, body string
	policy     string // its Content-Security-Policy
	header     http.Header
}

func (w *world) visitor() *visitor {
	jar, err := cookiejar.New(nil)
	if err != nil {
		w.t.Fatal(err)
	}
	return &visitor{w: w, client: &http.Client{Jar: jar}}
}

func (v *visitor) send(method, path string, form url.Values) seen {
	v.w.t.Helper()
	if method == http.MethodPost && !form.Has(ui.Number) { // as on a page that was just opened
		form = maps.Clone(form)
		if form == nil {
			form = url.Values{}
		}
		form.Set(ui.Number, rand.Text())
	}
	req, err := http.NewRequestWithContext(v.w.t.Context(), method, v.w.http.URL+path, strings.NewReader(form.Encode()))
	if err != nil {
		v.w.t.Fatal(err)
	}
	req.Header.Set("X-Test-IP", "192.0.2.1")
	req.Header.Set("Accept-Language", v.language)
	if method == http.MethodPost {
		req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
		req.Header.Set("Sec-Fetch-Site", "same-origin")
	}
	res, err := v.client.Do(req)
	if err != nil {
		v.w.t.Fatal(err)
	}
	defer res.Body.Close()
	b, err := io.ReadAll(res.Body)
	if err != nil {
		v.w.t.Fatal(err)
	}
	if strings.HasPrefix(res.Header.Get("Content-Type"), "text/html") {
		for _, wrong := range htmlcheck.Check(string(b)).Problems {
			v.w.t.Errorf("%s %s: %s", method, path, wrong)
		}
	}
	return seen{res.StatusCode, res.Request.URL.Path, string(b), res.Header.Get("Content-Security-Policy"), res.Header}
}

func (v *visitor) get(path string) seen { return v.send(http.MethodGet, path, nil) }

func (v *visitor) post(path string, pairs ...string) seen {
	form := url.Values{}
	for i := 0; i < len(pairs); i += 2 {
		form.Add(pairs[i], pairs[i+1])
	}
	return v.send(http.MethodPost, path, form)
}

func (w *world) want(s seen, status int, path string, parts ...string) {
	w.t.Helper()
	ok := s.status == status && s.path == path
	for _, p := range parts {
		ok = ok && strings.Contains(s.body, p)
	}
	if !ok {
		w.t.Fatalf("got %d %s, want %d %s with %q:\n%s", s.status, s.path, status, path, parts, s.body)
	}
}

var codes = regexp.MustCompile(`\b[` + codeLetters + `]{4}-[` + codeLetters + `]{4}\b`)

// deliver sends the messages that are on their way.
func (w *world) deliver() {
	w.t.Helper()
	w.p.Drain()
	if err := w.letters.Run(w.t.Context()); err != nil {
		w.t.Fatal(err)
	}
}

// code reads the newest code that was mailed.
func (w *world) code() string {
	w.t.Helper()
	w.deliver()
	w.mail.mu.Lock()
	defer w.mail.mu.Unlock()
	for _, m := range slices.Backward(w.mail.sent) {
		if code := codes.FindString(m.Subject); code != "" && strings.Contains(m.Text, code) && strings.Contains(m.HTML, code) {
			return code
		}
	}
	w.t.Fatal("no code was mailed")
	return ""
}

func (w *world) signIn(email string) *visitor {
	w.t.Helper()
	v := w.visitor()
	w.want(v.post("/portal/signin", "email", email), 200, "/portal/code", "on its way")
	w.want(v.post("/portal/code", "code", w.code()), 200, "/portal")
	return v
}

// last is the newest entry of a type.
func (w *world) last(typ journal.Name) *journal.Event {
	w.t.Helper()
	w.p.Drain()
	for seq := w.Program.Head(); seq >= 0; seq-- {
		st, err := w.Store.Event(w.t.Context(), w.Store.Read, store.Opened, seq)
		if err != nil {
			w.t.Fatal(err)
		}
		if st.Type == typ {
			return st.Event
		}
	}
	w.t.Fatalf("no %s", typ)
	return nil
}

func TestSigningIn(t *testing.T) {
	w := newWorld(t)
	ada := w.signIn("Ada@example.com")
	w.want(ada.get("/portal"), 200, "/portal", "Hello Ada", "1 × Coffee")
	e := w.last("customer.logged_in")
	if e.Actor.ID != string(w.ada) || e.Source.Channel != journal.ChannelPortal || e.Source.IP.Value != "192.0.2.1" {
		t.Errorf("the entry: %+v", e)
	}
	w.last("customer.login_code_sent")
	w.want(ada.post("/portal/signout"), 200, "/portal/signin")
	w.want(ada.get("/portal/history"), 200, "/portal/signin")
	w.last("customer.logged_out")
}

// unnumbered is a page without the numbers of its forms.
func unnumbered(page string) string {
	return regexp.MustCompile(`name="form_number" value="[^"]*"`).ReplaceAllString(page, "")
}

func TestNobodyIsToldWhoIsACustomer(t *testing.T) {
	w := newWorld(t)
	known, unknown := w.visitor(), w.visitor()
	a := known.post("/portal/signin", "email", "ada@example.com")
	b := unknown.post("/portal/signin", "email", "eve@example.com")
	if unnumbered(strings.ReplaceAll(a.body, "ada@", "")) != unnumbered(strings.ReplaceAll(b.body, "eve@", "")) || a.status != b.status {
		t.Errorf("the answers differ:\n%s\n%s", a.body, b.body)
	}
	w.deliver()
	if n := len(w.mail.sent); n != 1 {
		t.Errorf("%d messages", n)
	}
	w.want(unknown.post("/portal/code", "code", "123456"), 422, "/portal/code", "not right")
}

func TestCodesAreGoodOnceAndNotForLong(t *testing.T) {
	w := newWorld(t)
	v := w.visitor()
	v.post("/portal/signin", "email", "ada@example.com")
	first := w.code()
	v.post("/portal/signin", "email", "ada@example.com")
	second := w.code()
	if first != second {
		w.want(v.post("/portal/code", "code", first), 422, "/portal/code", "not right") // a new code takes the place of the old one
	}
	other := w.visitor()
	other.post("/portal/signin", "email", "ben@example.com")
	w.want(other.post("/portal/code", "code", second), 422, "/portal/code", "not right") // it is for one browser
	w.want(v.post("/portal/code", "code", second), 200, "/portal")
	w.want(w.visitor().post("/portal/code", "code", second), 410, "/portal/code")

	late := w.visitor()
	late.post("/portal/signin", "email", "ada@example.com")
	code := w.code()
	w.pass(11 * time.Minute)
	w.want(late.post("/portal/code", "code", code), 410, "/portal/code", "too old")
}

func TestCodesCannotBeGuessed(t *testing.T) {
	w := newWorld(t)
	v := w.visitor()
	v.post("/portal/signin", "email", "ada@example.com")
	code := w.code()
	wrong := "000000"
	if code == wrong {
		wrong = "000001"
	}
	for range codeTries {
		w.want(v.post("/portal/code", "code", wrong), 422, "/portal/code")
	}
	w.want(v.post("/portal/code", "code", code), 429, "/portal/code", "Too many")
	if e := w.last("customer.login_code_rejected"); string(e.Detail("why")) != `"too_many"` {
		t.Errorf("the entry: %+v", e)
	}
	refused := 0
	for range 12 { // codes are not sent without end either
		if w.visitor().post("/portal/signin", "email", "ada@example.com").status == 429 {
			refused++
		}
	}
	if refused == 0 {
		t.Error("any number of codes is sent")
	}
}

// TestEveryActionOfASubscriber does each by its form, with its preview, and looks at the entry.
func TestEveryActionOfASubscriber(t *testing.T) {
	w := newWorld(t)
	v := w.signIn("ada@example.com")
	at := "/portal/subscriptions/" + string(w.hers)
	state := func() *subscription.Subscription {
		row, err := w.Store.Load(t.Context(), w.Store.Read, journal.Ref{Kind: journal.Subscription, ID: w.hers})
		if err != nil {
			t.Fatal(err)
		}
		return row.State.(*subscription.Subscription)
	}
	item := func() string { return string(state().Items[0].ID) }
	act := func(path string, typ journal.Name, form ...string) {
		t.Helper()
		w.want(v.send(http.MethodPost, path+"/preview", values(form)), 200, path+"/preview", "Your history will say")
		w.want(v.send(http.MethodPost, path, values(form)), 200, at)
		if e := w.last(typ); e.Actor != (journal.Actor{Kind: journal.ActorCustomer, ID: string(w.ada)}) || e.Source.Channel != journal.ChannelPortal || e.Seq < w.Program.Head()-3 {
			t.Errorf("%s: the entry %+v", path, e)
		}
	}
	w.want(v.get(at), 200, at, "Next order on 3 April 2027", "Skip an order")
	act(at+"/skip", "subscription.order_skipped", "date", "2027-04-03")
	act(at+"/unskip", "subscription.order_unskipped", "date", "2027-04-03")
	act(at+"/reschedule", "subscription.next_billing_date_changed", "next_billing_date", "2027-04-10", "rhythm", "keep")
	act(at+"/frequency", "subscription.frequency_changed", "interval", "week", "interval_count", "2")
	w.want(v.get(at+"/once"), 200, at+"/once", "Coffee, 1 kg (€27.00 instead of €30.00, at most 2)")
	act(at+"/once", "subscription.one_time_item_added", "variant_id", string(w.other), "quantity", "2")
	w.want(v.post(at+"/once", "variant_id", string(w.variant), "quantity", "1"), 422, at+"/once", "no more than this")
	act(at+"/quantity/"+item(), "subscription.item_quantity_changed", "quantity", "3")
	act(at+"/remove/"+string(state().Items[len(state().Items)-1].ID), "subscription.one_time_item_removed")
	act(at+"/swap/"+item(), "subscription.item_swapped", "variant_id", string(w.other))
	act(at+"/pause", "subscription.paused", "until", "2027-05-01")
	act(at+"/resume", "subscription.resumed")
	act(at+"/cancel", "subscription.cancelled", "reason", "Too much coffee")
	act(at+"/reactivate", "subscription.reactivated")
	act(at+"/order-now", "subscription.order_requested_now")

	s := v.post(at+"/pause", "until", "2027-06-01")
	w.want(s, 200, at, "Paused the subscription until 1 June 2027", "/portal/undo/")
	undo := regexp.MustCompile(`/portal/undo/evt_[a-z0-9_]+`).FindString(s.body)
	w.want(v.post(undo), 200, at)
	if state().Status != subscription.Active {
		t.Error("the undo did nothing")
	}
	w.want(v.get("/portal/history"), 200, "/portal/history", "You ·", "Paused the subscription until 1 June 2027")
	w.want(v.post(at+"/pause", "until", "2020-01-01"), 422, at+"/pause")
}

func values(pairs []string) url.Values {
	form := url.Values{}
	for i := 0; i+1 < len(pairs); i += 2 {
		form.Set(pairs[i], pairs[i+1])
	}
	return form
}

func TestWhatTheStoreDoesNotOffer(t *testing.T) {
	w := newWorld(t)
	v := w.signIn("ada@example.com")
	at := "/portal/subscriptions/" + string(w.hers)
	w.Do(journal.Bind(settings.Update{Document: &settings.Portal{Actions: []string{settings.ActionSkip, settings.ActionReschedule}, MaxSkipsInRow: 1, MaxDaysAhead: 60}}))
	w.want(v.get(at+"/pause"), 200, at+"/pause", "does not offer")
	w.want(v.post(at+"/pause"), 422, at+"/pause", "does not offer")
	if s := v.get(at); strings.Contains(s.body, at+"/cancel") {
		t.Error("cancelling is offered")
	}
	w.want(v.post(at+"/skip", "date", "2027-04-03"), 200, at)
	w.want(v.post(at+"/skip", "date", "2027-05-03"), 422, at+"/skip", "No more than 1 order in a row")
	w.want(v.post(at+"/reschedule", "next_billing_date", "2027-07-01"), 422, at+"/reschedule", "Choose a day up to 2 May 2027")
	w.Do(journal.Bind(settings.Update{Document: &settings.Billing{BillingHour: 6, CutoffDays: 30, MaxCatchUpOrders: 1}}))
	w.pass(40 * 24 * time.Hour)
	again := w.signIn("ada@example.com")
	w.want(again.post(at+"/reschedule", "next_billing_date", "2027-05-20"), 422, at+"/reschedule", "being prepared")
}

func TestProfileAndAddresses(t *testing.T) {
	w := newWorld(t)
	v := w.signIn("ada@example.com")
	w.want(v.post("/portal/account", "first_name", "Augusta <b>", "last_name", "King", "phone", ""), 200, "/portal/account", "Augusta &lt;b&gt;")
	w.want(v.post("/portal/addresses/new", "line1", "Lane 2", "city", "Basel", "country", "ch"), 200, "/portal/account", "Lane 2")
	w.want(v.post("/portal/addresses/new", "line1", "", "city", "", "country", "Switzerland"), 422, "/portal/addresses/new")
	other := w.signIn("ada@example.com")
	s := v.get("/portal/account")
	end := regexp.MustCompile(`/portal/sessions/ses_[a-z0-9]+/end`).FindString(s.body)
	w.want(v.post(end), 200, "/portal/account", "is over")
	w.want(other.get("/portal"), 200, "/portal/signin")
}

// TestLookingAsACustomer is the team's look: both are named on every entry, and the customer's history names nobody of the team.
func TestLookingAsACustomer(t *testing.T) {
	w := newWorld(t)
	member := w.olga()
	v := w.with(w.look(member, w.ada))
	at := "/portal/subscriptions/" + string(w.hers)
	w.want(v.get("/portal"), 200, "/portal", "You see the portal as ada@example.com")
	w.want(v.post(at+"/skip", "date", "2027-04-03"), 200, at)
	e := w.last("subscription.order_skipped")
	if e.Actor.ID != string(member) || e.OnBehalfOf == nil || e.OnBehalfOf.ID != string(w.ada) || e.Source.Channel != journal.ChannelPortal {
		t.Errorf("the entry: %+v", e)
	}
	mailed := w.link("skip", "2027-05-03")
	w.want(v.post(mailed), 200, mailed, "Done")
	if e := w.last("subscription.order_skipped"); e.Actor.ID != string(member) || e.OnBehalfOf == nil || e.OnBehalfOf.ID != string(w.ada) || e.Source.Channel != journal.ChannelQuickAction {
		t.Errorf("the entry of a link in a mail: %+v", e)
	}
	ada := w.signIn("ada@example.com")
	if s := ada.get("/portal/history"); !strings.Contains(s.body, "The store’s team") || strings.Contains(s.body, "Olga") {
		t.Errorf("the customer's history:\n%s", s.body)
	}
	// A look is over after an hour.
	w.pass(61 * time.Minute)
	w.want(v.get("/portal"), 200, "/portal/signin")
}
