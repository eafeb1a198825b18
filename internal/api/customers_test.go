package api_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"perennial/internal/id"
	"perennial/internal/journal"
	"perennial/internal/subscription"
	"perennial/internal/team"
)

// shows fails the test where the answer differs from what is wanted at some paths.
func (a *answer) shows(want map[string]any) *answer {
	a.t.Helper()
	for path, w := range want {
		if got := a.at(path); !cmp.Equal(got, w) {
			a.t.Errorf("%s: %s: got %v, want %v", a.request, path, got, w)
		}
	}
	return a
}

// made fails the test unless the answer says that events of these types were made, in this order.
func (a *answer) made(types ...string) *answer {
	a.t.Helper()
	if got := a.each("events", "type"); !slices.Equal(got, types) {
		a.t.Errorf("%s: made %v, want %v", a.request, got, types)
	}
	return a
}

// refused fails the test unless the answer is a problem with this status and code.
func (a *answer) refused(status int, code string) *answer {
	a.t.Helper()
	if a.want(status); a.code() != code {
		a.t.Errorf("%s: got the code %q, want %q\n%s", a.request, a.code(), code, a.Body)
	}
	return a
}

// created sends a POST and gives the path of what it made, as the answer says.
func (s *shop) created(path string, body any) string {
	s.t.Helper()
	a := s.do("POST", path, body).want(201)
	at := a.Header.Get("Location")
	if want := "/api/v1" + path + "/" + a.text("data.id"); at != want {
		s.t.Errorf("location: got %q, want %q", at, want)
	}
	return strings.TrimPrefix(at, "/api/v1")
}

type fields map[string]any

func TestCustomers(t *testing.T) {
	s := openShop(t)
	made := s.do("POST", "/customers", fields{"email": "Ada@Example.com", "first_name": "Ada", "tags": []string{"vip", "wholesale", "vip"}, "comment": "By phone"}).want(201).made("customer.created")
	made.shows(map[string]any{
		"data.version": 1.0, "data.email": "Ada@Example.com", "data.first_name": "Ada", "data.last_name": "", "data.phone": "", "data.locale": "en",
		"data.tags": []any{"vip", "wholesale"}, "data.default_address_id": nil, "data.default_payment_method_id": nil, "data.backup_payment_method_id": nil,
		"data.subscription_count": 0.0, "data.order_count": 0.0, "data.total_spent.amount": 0.0, "data.total_spent.currency": "EUR", "data.created_at": "2027-03-01T09:00:00.000000Z",
	})
	ada := "/customers/" + made.text("data.id")
	if got := made.Header.Get("Location"); got != "/api/v1"+ada {
		t.Errorf("location: got %q", got)
	}
	read := s.do("GET", ada, nil).want(200)
	if !cmp.Equal(read.at("data"), made.at("data")) || read.Header.Get("ETag") != `"1"` || made.Header.Get("ETag") != `"1"` {
		t.Errorf("read: %v %s", read.Header, read.Body)
	}

	s.do("PATCH", ada, fields{"last_name": "Lovelace", "email": "ada@example.org", "tags": []string{}}, `If-Match: "1"`).want(200).
		made("customer.profile_updated", "customer.email_changed").
		shows(map[string]any{"data.version": 3.0, "data.first_name": "Ada", "data.last_name": "Lovelace", "data.email": "ada@example.org", "data.tags": []any{}})
	s.do("PATCH", ada, fields{"last_name": "Byron"}, `If-Match: "1"`).refused(412, "stale_version")
	s.do("PATCH", ada, fields{"last_name": "Lovelace"}).want(200).made().shows(map[string]any{"data.version": 3.0})
	s.do("PATCH", ada, fields{"last_nam": "Lovelace"}).refused(422, "fields_refused").shows(map[string]any{"errors.0.pointer": "/last_nam"})
	s.do("PATCH", ada, fields{"email": "none", "locale": "?"}).refused(422, "fields_refused").shows(map[string]any{"errors.0.pointer": "/email", "errors.1.pointer": "/locale"})
	s.do("POST", "/customers", fields{"email": "ADA@example.org"}).refused(409, "email_taken")
	s.do("POST", "/customers", fields{}).refused(422, "fields_refused")
	s.do("PATCH", "/customers/cus_00000000000000000000000000", fields{}).refused(404, "unknown_customer")
	s.do("GET", "/customers/cus_00000000000000000000000000", nil).refused(404, "unknown_customer")
	s.do("DELETE", ada, nil).refused(405, "method_not_allowed")
	if got := s.do("GET", "/events?type=customer.created", nil).want(200).at("data.0.comment"); got != "By phone" {
		t.Errorf("comment: got %v", got)
	}
}

func TestListsOfCustomers(t *testing.T) {
	s := openShop(t)
	var ids []string
	for n := range 5 {
		tags := []string{}
		if n%2 == 0 {
			tags = []string{`say "hi"`}
		}
		ids = append(ids, strings.TrimPrefix(s.created("/customers", fields{"email": fmt.Sprintf("c%d@example.com", n), "first_name": fmt.Sprint("Name", n), "tags": tags}), "/customers/"))
	}
	slices.Reverse(ids)
	for query, want := range map[string][]string{
		"": ids, "?status=active": ids, "?status=redacted": nil, "?q=name3": {ids[1]}, "?q=c3%40example.com": {ids[1]}, "?q=" + ids[2]: {ids[2]}, "?q=nobody": nil,
		"?tag=say+%22hi%22": {ids[0], ids[2], ids[4]}, "?tag=say": nil, "?tag=en": nil, "?tag=say+%22hi%22&q=name0": {ids[4]}, "?limit=2": ids[:2],
	} {
		if diff := cmp.Diff(want, s.do("GET", "/customers"+query, nil).want(200).each("data", "id")); diff != "" {
			t.Errorf("%s (-want +got):\n%s", query, diff)
		}
	}
	var tagged []string
	for cursor := ""; len(tagged) < 4; {
		a := s.do("GET", "/customers?limit=1&tag=say+%22hi%22"+cursor, nil).want(200)
		tagged = append(tagged, a.each("data", "id")...)
		next, more := a.at("next_cursor").(string)
		if !more {
			break
		}
		cursor = "&cursor=" + next
	}
	if want := []string{ids[0], ids[2], ids[4]}; !slices.Equal(tagged, want) {
		t.Errorf("page by page: got %v, want %v", tagged, want)
	}
	page := s.do("GET", "/customers?limit=2", nil).want(200)
	cursor := page.text("next_cursor")
	last := s.do("GET", "/customers?limit=3&cursor="+cursor, nil).want(200)
	if got := last.each("data", "id"); !slices.Equal(got, ids[2:]) || last.at("next_cursor") != nil {
		t.Errorf("the second page: got %v", got)
	}
	s.do("GET", "/customers?limit=2&status=active&cursor="+cursor, nil).refused(400, "cursor_invalid")
	s.do("GET", "/customers?status=gone", nil).refused(422, "fields_refused")
}

var street = fields{"first_name": "Ada", "line1": "12 St James's Square", "city": "London", "postal_code": "SW1Y", "country": "GB"}

func TestAddresses(t *testing.T) {
	s := openShop(t)
	ada, bob := "/customers/"+string(s.customer("ada@example.com")), "/customers/"+string(s.customer("bob@example.com"))
	first := s.do("POST", ada+"/addresses", street).want(201).made("address.added", "customer.default_address_changed").
		shows(map[string]any{"data.version": 1.0, "data.line1": "12 St James's Square", "data.line2": "", "data.country": "GB"})
	home := ada + "/addresses/" + first.text("data.id")
	if got := first.Header.Get("Location"); got != "/api/v1"+home {
		t.Errorf("location: got %q", got)
	}
	second := s.created(ada+"/addresses", fields{"line1": "1 Ockham Park", "city": "Ockham", "country": "GB"})
	s.do("GET", ada, nil).want(200).shows(map[string]any{"data.default_address_id": first.text("data.id")})
	s.do("PATCH", home, fields{"line2": "Flat 2"}, `If-Match: "1"`).want(200).made("address.updated").shows(map[string]any{"data.version": 2.0, "data.line2": "Flat 2", "data.city": "London"})
	s.do("PATCH", home, fields{"country": "XX", "line1": ""}).refused(422, "fields_refused").shows(map[string]any{"errors.0.pointer": "/line1", "errors.1.pointer": "/country"})
	s.do("POST", ada+"/addresses", fields{}).refused(422, "fields_refused").shows(map[string]any{"errors.0.pointer": "/line1", "errors.1.pointer": "/city", "errors.2.pointer": "/country"})

	// Of somebody else's address nothing is known.
	foreign := bob + strings.TrimPrefix(home, ada)
	s.do("GET", foreign, nil).refused(404, "unknown_address")
	s.do("PATCH", foreign, fields{"line2": "x"}).refused(404, "unknown_address")
	s.do("DELETE", foreign, nil).refused(404, "unknown_address")
	s.do("PUT", bob+"/default-address", fields{"address_id": first.text("data.id")}).refused(404, "unknown_address")

	s.do("PUT", ada+"/default-address", fields{"address_id": strings.TrimPrefix(second, ada+"/addresses/")}, `If-Match: "2"`).want(200).
		made("customer.default_address_changed").shows(map[string]any{"data.default_address_id": strings.TrimPrefix(second, ada+"/addresses/")})
	s.do("DELETE", second+"?comment=Moved", nil).want(200).made("address.removed", "customer.default_address_changed").shows(map[string]any{"data.version": 2.0})
	s.do("DELETE", second, nil).want(200).made()
	s.do("PATCH", second, fields{"line2": "x"}).refused(409, "status_removed")
	s.do("GET", second, nil).want(200)
	for query, want := range map[string]int{"": 1, "?status=active": 1, "?status=removed": 1, "?status=redacted": 0} {
		if got := len(s.do("GET", ada+"/addresses"+query, nil).want(200).list("data")); got != want {
			t.Errorf("list%s: got %d, want %d", query, got, want)
		}
	}
	s.do("GET", "/customers/x/addresses", nil).refused(404, "unknown_customer")
	cursor := func() string {
		s.created(ada+"/addresses", street)
		return s.do("GET", ada+"/addresses?limit=1", nil).want(200).text("next_cursor")
	}()
	s.do("GET", ada+"/addresses?limit=1&cursor="+cursor, nil).want(200)
	s.do("GET", bob+"/addresses?limit=1&cursor="+cursor, nil).refused(400, "cursor_invalid")
}

var card = fields{"gateway": "simulated", "gateway_reference": "sim_ok", "brand": "Visa", "last4": "4242", "exp_month": 12, "exp_year": 2030}

func TestPaymentMethods(t *testing.T) {
	s := openShop(t)
	ada := "/customers/" + string(s.customer("ada@example.com"))
	first := s.do("POST", ada+"/payment-methods", card).want(201).made("payment_method.added", "payment_method.default_changed").
		shows(map[string]any{"data.gateway": "simulated", "data.gateway_reference": "sim_ok", "data.last4": "4242", "data.exp_year": 2030.0, "data.status": "active"})
	one := ada + "/payment-methods/" + first.text("data.id")
	two := s.created(ada+"/payment-methods", card)
	second := strings.TrimPrefix(two, ada+"/payment-methods/")
	s.do("POST", ada+"/payment-methods", fields{"gateway": "simulated", "gateway_reference": "4242424242424242"}).refused(422, "fields_refused").
		shows(map[string]any{"errors.0.pointer": "/gateway_reference"})
	s.do("PATCH", one, fields{"exp_year": 2031}).want(200).made("payment_method.updated").shows(map[string]any{"data.exp_year": 2031.0, "data.exp_month": 12.0})
	s.do("PATCH", one, fields{"gateway": "other"}).refused(422, "fields_refused")

	s.do("PUT", ada+"/backup-payment-method", fields{"payment_method_id": second}).want(200).made("payment_method.backup_set").
		shows(map[string]any{"data.default_payment_method_id": first.text("data.id"), "data.backup_payment_method_id": second})
	s.do("PUT", ada+"/backup-payment-method", fields{"payment_method_id": first.text("data.id")}).refused(409, "same_as_default")
	s.do("PUT", ada+"/default-payment-method", fields{"payment_method_id": second}).want(200).made("payment_method.backup_set", "payment_method.default_changed").
		shows(map[string]any{"data.default_payment_method_id": second, "data.backup_payment_method_id": nil})
	s.do("PUT", ada+"/backup-payment-method", fields{"payment_method_id": first.text("data.id")}).want(200)
	s.do("PUT", ada+"/backup-payment-method", fields{"payment_method_id": nil}).want(200).shows(map[string]any{"data.backup_payment_method_id": nil})
	s.do("PUT", ada+"/default-payment-method", fields{"payment_method_id": nil}).refused(422, "fields_refused")

	s.do("DELETE", two, nil).want(200).made("payment_method.removed", "payment_method.default_changed").shows(map[string]any{"data.status": "removed"})
	for query, want := range map[string]int{"": 1, "?status=removed": 1, "?status=expired": 0} {
		if got := len(s.do("GET", ada+"/payment-methods"+query, nil).want(200).list("data")); got != want {
			t.Errorf("list%s: got %d, want %d", query, got, want)
		}
	}
	s.do("GET", "/customers/"+string(s.customer("bob@example.com"))+"/payment-methods/"+second, nil).refused(404, "unknown_payment_method")
}

func TestPortalLink(t *testing.T) {
	s := openShop(t)
	ada := s.customer("ada@example.com")
	path := "/customers/" + string(ada) + "/portal-link"
	a := s.do("POST", path, nil, "Idempotency-Key: l1").want(201).made("customer.magic_link_created").shows(map[string]any{"data.expires_at": "2027-03-01T09:10:00.000000Z"})
	token, ok := strings.CutPrefix(a.text("data.url"), s.url+"/portal/link/")
	signIn, secret, _ := strings.Cut(token, ".")
	if !ok || len(secret) != 43 {
		t.Fatalf("the link is %s", a.text("data.url"))
	}
	// Only what recognises it is kept: for the customer and until the link ends.
	l, ok, err := s.Store.Link(t.Context(), s.Store.Read, id.ID(signIn), secret)
	if err != nil || !ok || l.Owner.ID != ada || !l.ExpiresAt.Equal(time.Date(2027, 3, 1, 9, 10, 0, 0, time.UTC)) {
		t.Errorf("the link is for %s until %s", l.Owner, l.ExpiresAt)
	}
	e := s.do("GET", "/events/"+a.text("events.0.id"), nil).want(200).shows(map[string]any{"data.targets.0.kind": "sign_in", "data.targets.0.id": signIn, "data.targets.1.id": string(ada)})
	if strings.Contains(string(e.Body), secret) {
		t.Error("the token is in the event")
	}
	s.do("POST", path, nil, "Idempotency-Key: l1").refused(409, "already_shown")
	if b := s.do("POST", path, fields{"comment": "Asked again"}).want(201); b.text("data.url") == a.text("data.url") {
		t.Error("two links are the same")
	}
	s.do("POST", path, fields{"mail": true}).refused(503, "no_mail")
	s.do("POST", "/customers/x/portal-link", nil).refused(404, "unknown_customer")
}

func TestTheCopyOfACustomersData(t *testing.T) {
	s := openStocked(t)
	ada := "/customers/" + string(s.ada)
	s.created(ada+"/addresses", street)
	s.created(ada+"/payment-methods", card)
	s.order(s.sub)
	s.advance(time.Hour)
	a := s.do("POST", ada+"/data-request", nil).want(202).made("customer.data_requested").
		shows(map[string]any{"data.kind": "data_request", "data.status": "completed", "data.customer_id": string(s.ada), "data.created_at": "2027-03-01T10:00:00.000000Z"})
	job := ada + "/data-request/" + a.text("data.id")
	if id.ID(a.text("data.id")).Prefix() != id.Job || a.text("data.url") != s.url+"/api/v1"+job || a.Header.Get("Location") != "/api/v1"+job {
		t.Errorf("the job is %s", a.Body)
	}
	// Whoever reads the copy sees what is in it.
	desk := s.with(s.key(team.PersonalDataEdit, team.PersonalDataView))
	shown := desk.do("GET", job, nil).want(200).shows(map[string]any{
		"data.job.id": a.text("data.id"), "data.customer.email": "ada@example.com", "data.customer.order_count": 1.0, "data.addresses.0.city": "London",
		"data.payment_methods.0.last4": "4242", "data.subscriptions.0.id": string(s.sub), "data.orders.0.status": "placed", "data.orders.0.ship_to.city": "London",
		"data.log.0.type": "customer.created", "data.log.0.changes.1.after": "ada@example.com",
	})
	if got := shown.each("data.log", "type"); !slices.Contains(got, "order.placed") || !slices.Contains(got, "customer.data_requested") {
		t.Errorf("the log has %v", got)
	}
	// What it says of other people is not hers: from where somebody acted who was not she.
	for i := range shown.list("data.log") {
		if ip := shown.at(fmt.Sprintf("data.log.%d.source.ip", i)); ip != nil {
			t.Errorf("entry %d tells that %v acted from %v", i, shown.at(fmt.Sprintf("data.log.%d.actor", i)), ip)
		}
	}

	bob := "/customers/" + string(s.customer("bob@example.com"))
	s.do("GET", bob+"/data-request/"+a.text("data.id"), nil).refused(404, "unknown_request")
	s.do("GET", ada+"/data-request/job_00000000000000000000000000", nil).refused(404, "unknown_request")
	s.with(s.key(team.CustomersEdit, team.PersonalDataView)).do("GET", job, nil).refused(403, "forbidden")
	s.do("POST", ada+"/redact", fields{"confirm_email": "ada@example.com"}).want(200)
	s.do("GET", job, nil).refused(410, "erased")
	s.do("POST", ada+"/data-request", nil).refused(409, "status_redacted")
}

func TestRedaction(t *testing.T) {
	s := openStocked(t)
	ada := "/customers/" + string(s.ada)
	home := s.created(ada+"/addresses", street)
	s.do("PATCH", ada, fields{"first_name": "Augusta"}, "Idempotency-Key: p1").want(200)
	s.do("POST", ada+"/redact", fields{"confirm_email": "bob@example.com"}).refused(422, "fields_refused").shows(map[string]any{"errors.0.pointer": "/confirm_email"})
	s.do("POST", ada+"/redact", fields{}).refused(422, "fields_refused")
	erased := map[string]any{"erased": true}
	s.do("POST", ada+"/redact", fields{"confirm_email": "ADA@example.com", "comment": "She asked"}, "Idempotency-Key: r1").want(200).
		made("subscription.cancelled", "subscription.redacted", "address.redacted", "customer.redacted").
		shows(map[string]any{"data.email": erased, "data.first_name": erased, "data.phone": erased, "data.subscription_count": 1.0})
	s.do("GET", home, nil).want(200).shows(map[string]any{"data.line1": erased, "data.country": "GB"})
	s.do("GET", "/subscriptions/"+string(s.sub), nil).want(200).shows(map[string]any{"data.status": "cancelled", "data.note": erased})
	s.do("GET", "/customers?status=redacted", nil).want(200).shows(map[string]any{"data.0.id": string(s.ada)})
	if got := s.do("GET", "/customers?q=Lovelace", nil).want(200).list("data"); len(got) != 0 {
		t.Errorf("an erased customer is found by name: %v", got)
	}
	// Answers about her are erased too.
	s.do("PATCH", ada, fields{"first_name": "Augusta"}, "Idempotency-Key: p1").refused(410, "erased")
	s.do("POST", ada+"/redact", fields{"confirm_email": "ADA@example.com"}).refused(409, "status_redacted")
	s.do("POST", ada+"/portal-link", nil).refused(409, "status_redacted")
	s.created("/customers", fields{"email": "ada@example.com"})
}

func TestCountsAndSums(t *testing.T) {
	s := openStocked(t)
	ada := "/customers/" + string(s.ada)
	s.created(ada+"/payment-methods", card)
	version := s.do("GET", ada, nil).want(200).number("data.version")
	order := s.order(s.sub)
	s.shop.subscription(s.ada, s.variant)
	s.do("GET", ada, nil).want(200).shows(map[string]any{"data.subscription_count": 2.0, "data.order_count": 1.0, "data.total_spent.amount": 1200.0, "data.version": float64(version)})
	s.do("POST", "/orders/"+string(order)+"/refund", fields{"amount": fields{"amount": 200, "currency": "EUR"}, "reason": "Late"}).want(200)
	s.do("GET", "/customers", nil).want(200).shows(map[string]any{"data.0.total_spent.amount": 1000.0})
}

// Without the permission to see personal data, names and addresses are masked: in reads, in lists and in the answers to
// changes. What is not there, and what is not personal, is shown.
func TestPersonalFieldsAreMasked(t *testing.T) {
	s := openStocked(t)
	ada := "/customers/" + string(s.ada)
	home, pay := s.created(ada+"/addresses", street), s.created(ada+"/payment-methods", card)
	s.do("POST", "/team", fields{"email": "mona@example.com", "name": "Mona", "role": "member"}).want(201)
	s.run(journal.Bind(subscription.ChangeNote{ID: s.sub, Note: "Ring twice"}))
	s.run(journal.Bind(subscription.ChangeAttributes{ID: s.sub, Attributes: map[string]string{"grind": "fine"}}))
	s.do("POST", "/subscriptions/"+string(s.sub)+"/gift", fields{"date": "2027-04-01", "message": "Enjoy", "address": fields{"last_name": "King", "line1": "1 Ockham Park", "city": "Ockham", "country": "GB"}}).want(200)
	blind := s.with(s.key(team.Everything().Without(team.NewSet([]team.Permission{team.PersonalDataView})).List()...))
	const hidden = "•••"
	blind.do("GET", ada, nil).want(200).shows(map[string]any{"data.email": hidden, "data.first_name": hidden, "data.phone": "", "data.locale": "en"})
	blind.do("GET", "/customers", nil).want(200).shows(map[string]any{"data.0.email": hidden})
	blind.do("PATCH", ada, fields{"phone": "+44 20"}).want(200).shows(map[string]any{"data.phone": hidden})
	blind.do("GET", home, nil).want(200).shows(map[string]any{"data.line1": hidden, "data.line2": "", "data.country": "GB"})
	blind.do("GET", pay, nil).want(200).shows(map[string]any{"data.last4": hidden, "data.gateway_reference": hidden, "data.brand": "Visa"})
	blind.do("GET", "/team", nil).want(200).shows(map[string]any{"data.0.email": hidden, "data.0.name": hidden, "data.0.role": "member"})
	blind.do("GET", "/subscriptions/"+string(s.sub), nil).want(200).shows(map[string]any{"data.note": hidden, "data.cancel_reason": "",
		"data.attributes.grind": hidden, "data.gifts.0.message": hidden, "data.gifts.0.address.city": hidden, "data.gifts.0.address.country": "GB", "data.gifts.0.date": "2027-04-01"})
	order := "/orders/" + string(s.order(s.sub))
	blind.do("GET", order, nil).want(200).shows(map[string]any{"data.ship_to.line1": hidden, "data.ship_to.line2": "", "data.ship_to.country": "GB"})
	s.do("GET", order, nil).want(200).shows(map[string]any{"data.ship_to.line1": street["line1"]})
	// What was masked does not come back as a value.
	sub := "/subscriptions/" + string(s.sub)
	for _, c := range []struct {
		method, path, pointer string
		body                  fields
	}{
		{"PATCH", ada, "/email", fields{"email": hidden}},
		{"PATCH", ada, "/first_name", fields{"first_name": hidden, "phone": "1"}},
		{"PATCH", home, "/line1", fields{"line1": hidden + " "}},
		{"PATCH", pay, "/last4", fields{"last4": hidden}},
		{"PATCH", pay, "/gateway_reference", fields{"gateway_reference": hidden}},
		{"PUT", sub + "/note", "/note", fields{"note": hidden}},
		{"PUT", sub + "/attributes", "/attributes/grind", fields{"attributes": fields{"grind": hidden}}},
		{"POST", sub + "/gift", "/address/city", fields{"date": "2027-05-01", "address": fields{"last_name": "King", "line1": "1 Ockham Park", "city": hidden, "country": "GB"}}},
	} {
		if got := blind.do(c.method, c.path, c.body).want(422).text("errors.0.pointer"); got != c.pointer {
			t.Errorf("%s %s with a mask: %v, want %s", c.method, c.path, got, c.pointer)
		}
	}
	s.do("GET", ada, nil).want(200).shows(map[string]any{"data.email": "ada@example.com", "data.phone": "+44 20"})
	s.do("GET", "/subscriptions/"+string(s.sub), nil).want(200).shows(map[string]any{"data.gifts.0.message": "Enjoy", "data.attributes.grind": "fine"})
}
