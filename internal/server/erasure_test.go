package server

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"perennial/internal/auth"
	"perennial/internal/billing"
	"perennial/internal/catalog"
	"perennial/internal/civil"
	"perennial/internal/customer"
	"perennial/internal/engine"
	"perennial/internal/fault"
	"perennial/internal/id"
	"perennial/internal/journal"
	"perennial/internal/money"
	"perennial/internal/payment/simulated"
	"perennial/internal/privacy"
	"perennial/internal/program"
	"perennial/internal/store"
	"perennial/internal/subscription"
	"perennial/internal/team"
	"perennial/verify"
)

// caller calls the API of a running server.
type caller struct {
	t          testing.TB
	base, key  string
	idempotent int // counts the keys
}

func (c *caller) send(method, path, body, idempotencyKey string) (int, []byte) {
	c.t.Helper()
	req, err := http.NewRequestWithContext(c.t.Context(), method, c.base+path, strings.NewReader(body))
	if err != nil {
		c.t.Fatal(err)
	}
	req.Header.Set("Authorization", "Bearer "+c.key)
	if idempotencyKey != "" {
		req.Header.Set("Idempotency-Key", idempotencyKey)
	}
	res, err := client.Do(req)
	if err != nil {
		c.t.Fatal(err)
	}
	defer res.Body.Close()
	b, err := io.ReadAll(res.Body)
	if err != nil {
		c.t.Fatal(err)
	}
	return res.StatusCode, b
}

// do makes a change, with an Idempotency-Key of its own, that must be accepted, and gives the id of what it changed.
func (c *caller) do(method, path, body string) string {
	c.t.Helper()
	c.idempotent++
	code, b := c.send(method, path, body, fmt.Sprintf("key-%d", c.idempotent))
	var out struct{ Data struct{ ID string } }
	if code/100 != 2 || json.Unmarshal(b, &out) != nil {
		c.t.Fatalf("%s %s: %d %s", method, path, code, b)
	}
	return out.Data.ID
}

// refused makes a change that must be refused.
func (c *caller) refused(method, path, body string, status int, code string) {
	c.t.Helper()
	got, b := c.send(method, path, body, "")
	var p struct{ Code, Detail string }
	if err := json.Unmarshal(b, &p); err != nil || got != status || p.Code != code || p.Detail == "" {
		c.t.Errorf("%s %s: %d %s, want %d %s", method, path, got, b, status, code)
	}
}

// erasable is everything personal that the customer of the test brings along, and nothing else holds.
var erasable = map[string]string{
	"email": "zeldanora@quuxenberg.example", "first name": "Zeldanora", "last name": "Quuxenberg", "phone": "+49 555 0199 777", "street": "Wombatgasse 77",
	"city": "Quuxhausen", "postal code": "QX-4711-A", "company": "Marmoset & Sons", "gateway reference": "sim_flaky_0_77553311", "note": "Leave it with Wilhelmina",
	"attribute": "blue-axolotl", "gift": "Happy tapir day", "gift street": "Okapiweg 13b", "comment": "She rang about the pangolin", "refund reason": "A torn ocelot bag",
	"cancel reason": "Moves to Ulaanbaatar", "tracking": "https://track.example/zq-99817", "erasure comment": "Her letter of Whitsunday",
}

// forms are the ways in which a value could stand in a file.
func forms(value []byte) map[string][]byte {
	quoted, _ := json.Marshal(string(value)) // a string always can
	out := map[string][]byte{"as it is": value, "in lower case": bytes.ToLower(value), "in JSON": bytes.Trim(quoted, `"`),
		"in hex": []byte(hex.EncodeToString(value)), "in capital hex": []byte(strings.ToUpper(hex.EncodeToString(value)))}
	for shift := range 3 { // where the value begins in a group of base64
		padded := append(make([]byte, shift), value...)
		from, whole := (shift*4+2)/3, len(padded)/3*4 // only digits that no neighbour has a part in
		out[fmt.Sprintf("in base64, %d", shift)] = []byte(base64.StdEncoding.EncodeToString(padded)[from:whole])
		out[fmt.Sprintf("in base64 for URLs, %d", shift)] = []byte(base64.URLEncoding.EncodeToString(padded)[from:whole])
	}
	return out
}

// traces names the files below a folder in which one of the values stands, in any form.
func traces(t testing.TB, dir string, values map[string][]byte) (found []string) {
	t.Helper()
	err := filepath.WalkDir(dir, func(path string, e fs.DirEntry, err error) error {
		if err != nil || !e.Type().IsRegular() {
			return err
		}
		content, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		name, _ := filepath.Rel(dir, path)
		for what, value := range values {
			for how, form := range forms(value) {
				if bytes.Contains(content, form) {
					found = append(found, fmt.Sprintf("%s: %s, %s", name, what, how))
				}
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	slices.Sort(found)
	return found
}

// An erasure from end to end: through the API, on real files, with everything that a customer can bring along.
func TestErasure(t *testing.T) {
	c, log := config(t.TempDir())
	i := open(t, c)
	found(t, i)
	gateway := simulated.New(time.Now, simulated.Options{})
	s, err := Start(t.Context(), i, gateway, nil, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := s.Stop(context.Background()); err != nil {
			t.Error(err)
		}
	}()
	keyID := i.IDs.New(id.APIKey)
	text, hash := auth.NewAPIKey(keyID)
	do(t, i, journal.Bind(team.CreateKey{ID: keyID, Name: "Test", Permissions: team.Everything().List(), Hash: hash, Actor: setup.Actor}))
	h := &caller{t: t, base: "http://" + s.Addr + "/api/v1", key: text}
	e := erasable

	prod := h.do("POST", "/products", `{"title":"Tea"}`)
	variant := h.do("POST", "/products/"+prod+"/variants", `{"title":"1 kg","sku":"T1","price":{"amount":1200,"currency":"USD"}}`)
	create := fmt.Sprintf(`{"email":%q,"first_name":%q,"last_name":%q,"phone":%q,"comment":%q}`, e["email"], e["first name"], e["last name"], e["phone"], e["comment"])
	cus := h.do("POST", "/customers", create)
	createKey := fmt.Sprintf("key-%d", h.idempotent)
	ada := "/customers/" + cus
	addr := h.do("POST", ada+"/addresses", fmt.Sprintf(`{"first_name":%q,"last_name":%q,"company":%q,"line1":%q,"city":%q,"postal_code":%q,"country":"DE","phone":%q}`,
		e["first name"], e["last name"], e["company"], e["street"], e["city"], e["postal code"], e["phone"]))
	pay := h.do("POST", ada+"/payment-methods", fmt.Sprintf(`{"gateway":"simulated","gateway_reference":%q,"brand":"Visa","last4":"4242","exp_month":12,"exp_year":2090}`, e["gateway reference"]))
	sub := h.do("POST", "/subscriptions", fmt.Sprintf(`{"customer_id":%q,"items":[{"variant_id":%q,"quantity":1}],"billing_policy":{"interval":"month","interval_count":1},
		"shipping_address_id":%q,"payment_method_id":%q,"note":%q,"attributes":{"door":%q}}`, cus, variant, addr, pay, e["note"], e["attribute"]))
	month := time.Now().AddDate(0, 0, 40).Format(time.DateOnly)
	h.do("POST", "/subscriptions/"+sub+"/gift", fmt.Sprintf(`{"date":%q,"message":%q,"address":{"last_name":%q,"line1":%q,"city":%q,"country":"DE"}}`,
		upcoming(t, h, sub, month), e["gift"], e["last name"], e["gift street"], e["city"]))
	h.do("POST", "/subscriptions/"+sub+"/order-now", `{}`)
	ord := placed(t, i, h, sub)
	h.do("POST", "/orders/"+ord+"/refund", fmt.Sprintf(`{"amount":{"amount":100,"currency":"USD"},"reason":%q,"comment":%q}`, e["refund reason"], e["comment"]))
	h.do("POST", "/orders/"+ord+"/fulfil", fmt.Sprintf(`{"tracking_url":%q}`, e["tracking"]))
	other := h.do("POST", "/subscriptions", fmt.Sprintf(`{"customer_id":%q,"items":[{"variant_id":%q,"quantity":2}],"billing_policy":{"interval":"week","interval_count":2}}`, cus, variant))
	h.do("POST", "/subscriptions/"+other+"/cancel", fmt.Sprintf(`{"reason":%q}`, e["cancel reason"]))
	h.do("POST", ada+"/portal-link", `{}`)

	ctx := t.Context()
	values := map[string][]byte{}
	for what, v := range e {
		values[what] = []byte(v)
	}
	var wrapped []byte
	if err := i.DB.Reader.QueryRowContext(ctx, `SELECT wrapped FROM data_key WHERE shop_id = $1 AND id = $2`, i.Store.Shop, cus).Scan(&wrapped); err != nil {
		t.Fatal(err)
	}
	values["the wrapped data key"] = wrapped
	if err := errors.Join(i.Finder.CatchUp(ctx), i.Analytics.CatchUp(ctx)); err != nil {
		t.Fatal(err)
	}
	// Before, only the index has words of names and addresses, and the database the key.
	kinds := map[string]bool{}
	for _, where := range traces(t, c.Data, values) {
		file, what, _ := strings.Cut(where, ": ")
		kind := strings.TrimSuffix(file, "-wal") + ": " + what
		kinds[kind] = true
		if !strings.HasPrefix(kind, "find.db: ") && kind != "perennial.db: the wrapped data key, as it is" {
			t.Errorf("before the erasure a value stands open in %s", where)
		}
	}
	if !kinds["find.db: email, as it is"] || !kinds["find.db: last name, in lower case"] || !kinds["perennial.db: the wrapped data key, as it is"] {
		t.Errorf("the search for traces finds too little: %v", kinds)
	}
	_, first := h.send("GET", ada+"/log?order=asc", "", "")
	created := event(t, first, "customer.created")
	_, receipt := h.send("GET", "/events/"+created+"/receipt", "", "")
	_, logKey := h.send("GET", "/log-key", "", "")

	h.refused("POST", ada+"/redact", `{"confirm_email":"somebody@else.example"}`, 422, "fields_refused")
	h.do("POST", ada+"/redact", fmt.Sprintf(`{"confirm_email":%q,"comment":%q}`, strings.ToUpper(e["email"]), e["erasure comment"]))
	if err := i.Finder.CatchUp(ctx); err != nil {
		t.Fatal(err)
	}
	if left := traces(t, c.Data, values); len(left) > 0 {
		t.Errorf("after the erasure:\n%s", strings.Join(left, "\n"))
	}
	if strings.Contains(log.String(), "an erasure is not finished") {
		t.Errorf("the log:\n%s", log)
	}

	// What was is still told, without the person; and it is still proved.
	code, b := h.send("GET", ada, "", "")
	if code != 200 || !bytes.Contains(b, []byte(`"email":{"erased":true}`)) {
		t.Errorf("the customer: %d %s", code, b)
	}
	for _, path := range []string{ada + "/log?order=asc", ada + "/log?format=ndjson", ada + "/log?format=csv", "/subscriptions/" + sub, "/subscriptions/" + sub + "/log", "/orders/" + ord,
		ada + "/addresses?status=any", "/events", "/subscriptions/" + sub + "?at_seq=" + fmt.Sprint(i.Program.Head()-9)} {
		code, b := h.send("GET", path, "", "")
		if code != 200 && !strings.Contains(path, "status=any") {
			t.Errorf("%s: %d %s", path, code, b)
		}
		for what, v := range e {
			if bytes.Contains(b, []byte(v)) {
				t.Errorf("%s still shows the %s", path, what)
			}
		}
	}
	_, again := h.send("GET", ada+"/log?order=asc", "", "")
	if event(t, again, "customer.created") != created || !bytes.Contains(again, []byte(`"customer.redacted"`)) {
		t.Errorf("the log:\n%s", again)
	}
	for _, q := range []string{e["email"], "Zeldanora", "Quuxenberg"} {
		if people, err := i.Finder.People(ctx, q, 10); err != nil || len(people) > 0 {
			t.Errorf("%s is found: %v, %v", q, people, err)
		}
	}
	r, err := verify.ParseReceipt(receipt)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := r.Check(strings.TrimSpace(string(logKey))); err != nil {
		t.Errorf("the receipt from before: %v", err)
	}
	if code, b := h.send("GET", "/events/"+created+"/receipt", "", ""); code != 200 {
		t.Errorf("a receipt from after: %d %s", code, b)
	}
	holds(t, c)

	// Nothing new is kept about the person. What says nothing about them goes on.
	if code, b := h.send("POST", "/customers", create, createKey); code != 410 || !bytes.Contains(b, []byte(`"erased"`)) {
		t.Errorf("the first answer, again: %d %s", code, b)
	}
	h.refused("POST", "/orders/"+ord+"/refund", `{"reason":"Lost"}`, 409, "erased")
	h.refused("POST", "/orders/"+ord+"/refund", `{"reason":"","comment":"As she asked"}`, 409, "erased")
	h.refused("PUT", "/subscriptions/"+sub+"/note", `{"note":"Ring twice"}`, 409, "erased")
	h.refused("POST", ada+"/redact", fmt.Sprintf(`{"confirm_email":%q}`, e["email"]), 409, "status_redacted")
	h.do("POST", "/orders/"+ord+"/refund", `{"reason":""}`)
	h.do("POST", "/customers", `{"email":"grace@example.org"}`)
	holds(t, c)

	if err := s.Stop(ctx); err != nil {
		t.Fatal(err)
	}
	if left := traces(t, c.Data, values); len(left) > 0 {
		t.Errorf("after the end:\n%s", strings.Join(left, "\n"))
	}
}

// event gives the id of the first event of a type in a list.
func event(t testing.TB, list []byte, typ string) string {
	t.Helper()
	var out struct{ Data []struct{ ID, Type string } }
	if err := json.Unmarshal(list, &out); err != nil {
		t.Fatal(err)
	}
	for _, e := range out.Data {
		if e.Type == typ {
			return e.ID
		}
	}
	t.Fatalf("there is no %s in %s", typ, list)
	return ""
}

// upcoming gives the first date of a subscription's orders that is not before a day.
func upcoming(t testing.TB, c *caller, sub, notBefore string) string {
	t.Helper()
	_, b := c.send("GET", "/subscriptions/"+sub+"/upcoming", "", "")
	var out struct{ Data []struct{ Date string } }
	if err := json.Unmarshal(b, &out); err != nil {
		t.Fatalf("%s: %v", b, err)
	}
	for _, o := range out.Data {
		if o.Date >= notBefore {
			return o.Date
		}
	}
	t.Fatalf("no order from %s on in %s", notBefore, b)
	return ""
}

// placed waits until an order of a subscription is paid.
func placed(t testing.TB, i *Instance, c *caller, sub string) string {
	t.Helper()
	grown, done := i.Program.Watch()
	defer done()
	for {
		_, b := c.send("GET", "/orders?subscription_id="+sub, "", "")
		var out struct{ Data []struct{ ID, Status string } }
		if err := json.Unmarshal(b, &out); err != nil {
			t.Fatalf("%s: %v", b, err)
		}
		if len(out.Data) > 0 && out.Data[0].Status == "placed" {
			return out.Data[0].ID
		}
		select {
		case <-grown:
		case <-t.Context().Done():
			t.Fatal("the order was never paid")
		}
	}
}

// A reader, such as verify, keeps the write-ahead log as it is: the erasure does not wait for it, and the log is emptied when it
// has gone.
func TestErasureBesideAReader(t *testing.T) {
	c, log := config(t.TempDir())
	i := open(t, c)
	found(t, i)
	key := i.IDs.New(id.Customer)
	do(t, i, journal.Bind(customer.Create{ID: key, Email: "ada@mail.example"}))
	var wrapped []byte
	if err := i.DB.Reader.QueryRowContext(t.Context(), `SELECT wrapped FROM data_key WHERE shop_id = $1 AND id = $2`, i.Store.Shop, key).Scan(&wrapped); err != nil {
		t.Fatal(err)
	}
	values := map[string][]byte{"the wrapped data key": wrapped}
	reader, err := i.DB.Reader.BeginTx(t.Context(), nil)
	if err != nil {
		t.Fatal(err)
	}
	var n int
	if err := reader.QueryRowContext(t.Context(), `SELECT count(*) FROM event`).Scan(&n); err != nil {
		t.Fatal(err)
	}
	began := time.Now()
	do(t, i, journal.Bind(privacy.Redact{CustomerID: key, ConfirmEmail: "ada@mail.example"}))
	product(t, i)
	if took := time.Since(began); took > 3*time.Second {
		t.Errorf("the erasure waited %v for a reader", took)
	}
	if len(traces(t, c.Data, values)) == 0 {
		t.Error("the reader was not in the way: this test shows nothing")
	}
	if err := reader.Rollback(); err != nil {
		t.Fatal(err)
	}
	if err := i.Program.Exclusive(t.Context(), func(*store.Writer) error { return nil }); err != nil { // as the server's sweep does
		t.Fatal(err)
	}
	if left := traces(t, c.Data, values); len(left) > 0 {
		t.Errorf("after the reader had gone: %v", left)
	}
	if err := i.Close(t.Context()); err != nil {
		t.Fatal(err)
	}
	if log.String() != "" {
		t.Errorf("the log:\n%s", log)
	}
	holds(t, c)
}

// A whole data folder from before an erasure, beside the keys of today: the person stays erased in every file, work goes on, and
// the erasure can be finished.
func TestARestoredFolderOfAnErasedPerson(t *testing.T) {
	c, _ := config(t.TempDir())
	i := open(t, c)
	found(t, i)
	ids := i.IDs
	cus, variant, sub := ids.New(id.Customer), ids.New(id.Variant), ids.New(id.Subscription)
	tea := ids.New(id.Product)
	do(t, i, journal.Bind(catalog.CreateProduct{ID: tea, Title: "Tea"}))
	do(t, i, journal.Bind(catalog.CreateVariant{ID: variant, ProductID: tea, Title: "1 kg", Price: money.Of(1200, "USD")}))
	do(t, i, journal.Bind(customer.Create{ID: cus, Email: erasable["email"], FirstName: erasable["first name"], LastName: erasable["last name"]}))
	addr, pay := ids.New(id.Address), ids.New(id.PaymentMethod)
	do(t, i, journal.Bind(customer.AddAddress{ID: addr, CustomerID: cus, Fields: customer.AddressFields{LastName: new(erasable["last name"]), Line1: new(erasable["street"]), City: new(erasable["city"]),
		PostalCode: new("1"), Country: new("DE")}}))
	do(t, i, journal.Bind(customer.AddPaymentMethod{ID: pay, CustomerID: cus, Gateway: "simulated", Fields: customer.PaymentMethodFields{GatewayReference: new(erasable["gateway reference"])}}))
	do(t, i, journal.Bind(subscription.Create{ID: sub, CustomerID: cus, Items: []subscription.NewItem{{ID: ids.New(id.Item), VariantID: variant, Quantity: 1}},
		BillingPolicy: &catalog.Policy{Interval: civil.Month, IntervalCount: 1}, NextBillingDate: new(civil.Of(time.Now(), time.UTC)),
		ShippingAddressID: addr, PaymentMethodID: pay, Note: erasable["note"]}))
	// An order whose payment is on its way, which a restored engine will ask about.
	do(t, i, journal.Bind(billing.CreateOrder{SubscriptionID: sub, Due: civil.Of(time.Now(), time.UTC), OrderID: ids.New(id.Order), AttemptID: ids.New(id.BillingAttempt)}))
	if err := i.Finder.CatchUp(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := i.Close(t.Context()); err != nil {
		t.Fatal(err)
	}
	old, log := config(t.TempDir())
	old.Keys = filepath.Join(c.Data, "keys")
	for _, f := range []string{"perennial.db", "find.db"} {
		b, err := os.ReadFile(filepath.Join(c.Data, f))
		if err == nil {
			err = os.WriteFile(filepath.Join(old.Data, f), b, 0o600)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	values := map[string][]byte{}
	for _, what := range []string{"email", "first name", "last name", "street", "city", "note"} {
		values[what] = []byte(erasable[what])
	}
	if len(traces(t, old.Data, values)) == 0 {
		t.Error("the old index knows nobody: this test shows nothing")
	}
	i = open(t, c)
	do(t, i, journal.Bind(privacy.Redact{CustomerID: cus, ConfirmEmail: erasable["email"]}))
	if err := i.Close(t.Context()); err != nil {
		t.Fatal(err)
	}

	holds(t, old) // also before anybody opened it for writing
	i = open(t, old)
	if err := i.Finder.CatchUp(t.Context()); err != nil {
		t.Fatal(err)
	}
	if left := traces(t, old.Data, values); len(left) > 0 {
		t.Errorf("after the restore: %v", left)
	}
	gateway := simulated.New(time.Now, simulated.Options{})
	if err := engine.New(i.Program, i.Store, gateway, i.Config.Log).Run(t.Context()); err != nil {
		t.Errorf("the engine: %v", err)
	}
	for what, cmd := range map[string]journal.Command{
		"a note":   journal.Bind(subscription.ChangeNote{ID: sub, Note: "Ring twice"}),
		"a name":   journal.Bind(customer.UpdateProfile{ID: cus, FirstName: new("Zelda")}),
		"a reason": journal.Bind(subscription.Cancel{ID: sub, Reason: "Moves"}),
	} {
		if _, err := i.Program.Do(t.Context(), &program.Request{Meta: setup, Command: cmd}); err == nil || fault.As(err).Code != "erased" {
			t.Errorf("%s: %v", what, err)
		}
	}
	m := setup
	m.Comment = "As she asked"
	if _, err := i.Program.Do(t.Context(), &program.Request{Meta: m, Command: journal.Bind(subscription.Pause{ID: sub})}); err == nil || fault.As(err).Code != "erased" {
		t.Errorf("a comment: %v", err)
	}
	do(t, i, journal.Bind(subscription.Pause{ID: sub}))
	do(t, i, journal.Bind(privacy.Redact{CustomerID: cus}))
	if n := strings.Count(log.String(), "customer="+string(cus)); n != 1 {
		t.Errorf("the log names the customer %d times:\n%s", n, log)
	}
	row, err := i.Store.Load(t.Context(), i.Store.Read, journal.Ref{Kind: journal.Subscription, ID: sub})
	if s, ok := row.State.(*subscription.Subscription); err != nil || !ok || s.Status != subscription.Cancelled || !s.Note.Erased {
		t.Errorf("the subscription: %+v, %v", row.State, err)
	}
	if err := i.Close(t.Context()); err != nil {
		t.Fatal(err)
	}
	if left := traces(t, old.Data, values); len(left) > 0 {
		t.Errorf("at the end: %v", left)
	}
	i = open(t, old) // finished: nobody is named again
	if err := i.Close(t.Context()); err != nil {
		t.Fatal(err)
	}
	if n := strings.Count(log.String(), "customer="+string(cus)); n != 1 {
		t.Errorf("the log names the customer again:\n%s", log)
	}
	holds(t, old)
}

// The server asks the gateway by itself to delete who was erased, and nobody else.
func TestTheServerDeletesAtTheGateway(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, _ := config(t.TempDir())
		i := open(t, c)
		found(t, i)
		gateway := simulated.New(time.Now, simulated.Options{})
		s := &Server{Instance: i, engine: newEngine(i, gateway)}
		who, other := i.IDs.New(id.Customer), i.IDs.New(id.Customer)
		for _, key := range []id.ID{who, other} {
			do(t, i, journal.Bind(customer.Create{ID: key, Email: string(key) + "@example.com"}))
		}
		do(t, i, journal.Bind(privacy.Redact{CustomerID: who, ConfirmEmail: string(who) + "@example.com"}))
		ctx, stop := context.WithCancel(t.Context())
		s.work.Go(func() { s.sweep(ctx) })
		synctest.Wait()
		stop()
		s.work.Wait()
		if l := gateway.Ledger(); len(l) != 1 || l[0].Kind != simulated.Erasure || l[0].Customer != who {
			t.Errorf("the ledger: %+v", l)
		}
		if err := i.Close(t.Context()); err != nil {
			t.Fatal(err)
		}
	})
}
