package server

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"perennial/internal/catalog"
	"perennial/internal/civil"
	"perennial/internal/customer"
	"perennial/internal/engine"
	"perennial/internal/fault"
	"perennial/internal/id"
	"perennial/internal/journal"
	"perennial/internal/money"
	"perennial/internal/observe"
	"perennial/internal/payment/simulated"
	"perennial/internal/settings"
	"perennial/internal/store"
	"perennial/internal/subscription"
	"perennial/internal/test/pgtest"
	"perennial/internal/test/shop"
)

// onEngine is a configuration of a shop in a new folder, in the engine of the test.
func onEngine(t testing.TB) (Config, *logged) {
	t.Helper()
	c, log := config(t.TempDir())
	c.Database = shop.URL(t, c.Data)
	return c, log
}

// copied gives a configuration of a copy of a shop that nobody has open, with the same keys folder.
func copied(t testing.TB, c Config) (Config, *logged) {
	t.Helper()
	to, log := config(t.TempDir())
	to.Keys = c.keysPath()
	if c.Database != "" {
		u, err := pgtest.Process(t).Create(pgtest.Name(c.Database))
		if err != nil {
			t.Fatal(err)
		}
		to.Database = u
		return to, log
	}
	b, err := os.ReadFile(filepath.Join(c.Data, "perennial.db"))
	if err == nil {
		err = os.WriteFile(filepath.Join(to.Data, "perennial.db"), b, 0o600)
	}
	if err != nil {
		t.Fatal(err)
	}
	return to, log
}

// dueToday makes a subscription that is billed today.
func dueToday(t testing.TB, i *Instance) (sub id.ID) {
	t.Helper()
	ids := i.IDs
	cus, tea, variant, pay := ids.New(id.Customer), ids.New(id.Product), ids.New(id.Variant), ids.New(id.PaymentMethod)
	sub = ids.New(id.Subscription)
	anyHour := *settings.Default(settings.PageBilling, nil).(*settings.Billing)
	anyHour.BillingHour = 0 // the test runs at any time of the day
	do(t, i, journal.Bind(settings.Update{Document: &anyHour}))
	do(t, i, journal.Bind(catalog.CreateProduct{ID: tea, Title: "Tea"}))
	do(t, i, journal.Bind(catalog.CreateVariant{ID: variant, ProductID: tea, Title: "1 kg", Price: money.Of(1200, "USD")}))
	do(t, i, journal.Bind(customer.Create{ID: cus, Email: string(cus) + "@mail.example"}))
	do(t, i, journal.Bind(customer.AddPaymentMethod{ID: pay, CustomerID: cus, Gateway: "simulated", Fields: customer.PaymentMethodFields{GatewayReference: new(simulated.OK)}}))
	today := civil.Of(i.Program.Now(), time.UTC)
	do(t, i, journal.Bind(subscription.Create{ID: sub, CustomerID: cus, Items: []subscription.NewItem{{ID: ids.New(id.Item), VariantID: variant, Quantity: 1}},
		BillingPolicy: &catalog.Policy{Interval: civil.Month, IntervalCount: 1}, NextBillingDate: &today, PaymentMethodID: pay}))
	return sub
}

// charges are how often a gateway took money.
func charges(g *simulated.Gateway) (n int) {
	for _, e := range g.Ledger() {
		if e.Kind == simulated.Charge && e.Status == "succeeded" {
			n++
		}
	}
	return n
}

// billed waits until the server has looked for what is due.
func billed(t testing.TB, s *Server) {
	t.Helper()
	for t.Context().Err() == nil {
		for _, outcome := range []string{"done", "failed", "held"} {
			if n := metric(t, s, `perennial_billing_runs_total{outcome="`+outcome+`"}`); n != "none" && n != "0" {
				return
			}
		}
	}
}

// A copy of the database that is put back beside newer keys charges nobody again, until whoever runs the server says so.
func TestARestoredDatabaseChargesNobody(t *testing.T) {
	c, _ := onEngine(t)
	gateway := simulated.New(time.Now, simulated.Options{})
	i := open(t, c)
	found(t, i)
	dueToday(t, i)
	if err := i.Close(t.Context()); err != nil {
		t.Fatal(err)
	}
	old, log := copied(t, c)

	i = open(t, c)
	if err := engine.New(i.Program, i.Store, gateway, i.Config.Log).Run(t.Context()); err != nil {
		t.Fatal(err)
	}
	if n := charges(gateway); n != 1 {
		t.Fatalf("%d charges before the restore", n)
	}
	if _, err := i.Program.Checkpoint(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := i.Close(t.Context()); err != nil {
		t.Fatal(err)
	}

	s, err := Start(t.Context(), open(t, old), gateway, nil, nil)
	if err != nil {
		t.Fatal(err)
	}
	billed(t, s)
	if n := charges(gateway); n != 1 {
		t.Errorf("after the restore there are %d charges for one order of the rhythm:\n%s", n, log)
	}
	if code, body, _ := get(t, "http://"+s.Addr+"/readyz"); code != 503 || !strings.Contains(body, "database_behind") {
		t.Errorf("readyz: %d %s", code, body)
	}
	if err := s.Stop(t.Context()); err != nil {
		t.Error(err)
	}
}

// The word of whoever runs the server makes an entry, keeps the old checkpoint, and lets everything go on.
func TestGoingOnFromARestoredDatabase(t *testing.T) {
	c, _ := onEngine(t)
	i := open(t, c)
	found(t, i)
	if _, err := i.AcceptRestore(t.Context(), observe.Operator{By: "mara", Because: "why not"}); fault.As(err).Code != "nothing_to_accept" {
		t.Errorf("with nothing to accept: %v", err)
	}
	if err := i.Close(t.Context()); err != nil {
		t.Fatal(err)
	}
	old, _ := copied(t, c)
	i = open(t, c)
	product(t, i)
	if _, err := i.Program.Checkpoint(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := i.Close(t.Context()); err != nil {
		t.Fatal(err)
	}
	i = open(t, old)
	for _, by := range []observe.Operator{{}, {By: "mara"}, {Because: "x"}, {By: "mara", Because: "two\nlines"}, {By: "mara", Because: strings.Repeat("x", 501)}} {
		if _, err := i.AcceptRestore(t.Context(), by); fault.As(err).Kind != fault.Refused {
			t.Errorf("%+v: %v", by, err)
		}
	}
	g, err := i.AcceptRestore(t.Context(), observe.Operator{By: "mara", Because: "the disk is gone"})
	if err != nil || g.Found != "database_behind" || g.Size != 7 || g.Ours != 6 {
		t.Fatalf("%+v, %v", g, err)
	}
	s := serve(t, i, nil)
	if code, body, _ := get(t, "http://"+s.Addr+"/readyz"); code != 200 {
		t.Errorf("readyz: %d %s", code, body)
	}
	last := ""
	for st, err := range i.Store.Events(t.Context(), i.Store.Read, store.Closed, 6, 7) {
		if err != nil {
			t.Fatal(err)
		}
		said, err := observe.ReadRestore(st.Event)
		if err != nil || said.By != "mara" || said.Because != "the disk is gone" || said.Signed != 7 || said.Ours != 6 || said.Root != g.Root.String() || said.Since.Time.IsZero() {
			t.Errorf("the entry: %+v, %v", said, err)
		}
		last = string(st.Type)
	}
	if last != string(observe.RestoreAccepted) {
		t.Errorf("the last entry is %q", last)
	}
	if kept, err := filepath.Glob(filepath.Join(c.keysPath(), "given-up-*-7")); err != nil || len(kept) != 1 {
		t.Errorf("kept: %v, %v", kept, err)
	}
	if r, err := Verify(t.Context(), old, nil); err != nil || !r.Holds() {
		t.Errorf("verify: %+v, %v", r, err)
	}
}

// The database says which shop it is, and the keys folder has the keys of another one under the same root key.
func TestKeysOfAnotherShop(t *testing.T) {
	c, _ := onEngine(t)
	i := open(t, c)
	found(t, i)
	if _, err := i.Program.Checkpoint(t.Context()); err != nil { // the first makes the shop's log key
		t.Fatal(err)
	}
	if err := i.Close(t.Context()); err != nil {
		t.Fatal(err)
	}
	own := filepath.Join(c.keysPath(), "log-"+string(i.Store.Shop)+".key")
	if err := os.Rename(own, filepath.Join(c.keysPath(), "log-shop_zzzzzzzz.key")); err != nil {
		t.Fatal(err)
	}
	if i, err := Open(t.Context(), c); codeOf(err) != "keys_of_another_shop" {
		t.Errorf("it is served: %v", err)
		if err == nil {
			_ = i.Close(t.Context())
		}
	}
}

// A keys folder that is as old as the copy says nothing. The gateway does: what it charged after the last entry is noticed before
// anything is charged, stays noticed over sign-ins and restarts, and is gone on from by the operator's word.
func TestARestoredDatabaseWithKeysAsOld(t *testing.T) {
	c, _ := onEngine(t)
	gateway := simulated.New(time.Now, simulated.Options{})
	i := open(t, c)
	found(t, i)
	dueToday(t, i)
	if _, err := i.Program.Checkpoint(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := i.Close(t.Context()); err != nil {
		t.Fatal(err)
	}
	old, _ := copied(t, c)
	old.Keys = filepath.Join(old.Data, "keys-of-then")
	if err := os.CopyFS(old.Keys, os.DirFS(c.keysPath())); err != nil {
		t.Fatal(err)
	}
	files, err := filepath.Glob(filepath.Join(old.Keys, "*"))
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range files {
		if err := os.Chmod(f, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	lives := func(c Config) (readyz string, ready bool) {
		t.Helper()
		i := open(t, c)
		s, err := Start(t.Context(), i, gateway, nil, nil)
		if err != nil {
			t.Fatal(err)
		}
		billed(t, s)
		code, body, _ := get(t, "http://"+s.Addr+"/readyz")
		product(t, i) // people go on
		if err := s.Stop(t.Context()); err != nil {
			t.Error(err)
		}
		return body, code == 200
	}
	if _, ok := lives(c); !ok || charges(gateway) != 1 {
		t.Fatalf("%d charges before the restore", charges(gateway))
	}
	for range 2 {
		if body, ok := lives(old); ok || charges(gateway) != 1 || !strings.Contains(body, "gateway_ahead: The payment gateway charged for this shop after the last entry") {
			t.Errorf("after the restore: %d charges, %s", charges(gateway), body)
		}
	}
	i = open(t, old)
	g, err := i.AcceptRestore(t.Context(), observe.Operator{By: "mara", Because: "both disks are gone"})
	if err != nil || g.Found != "gateway_ahead" || g.Size != 0 {
		t.Errorf("%+v, %v", g, err)
	}
	if _, err := i.AcceptRestore(t.Context(), observe.Operator{By: "mara", Because: "once more"}); codeOf(err) != "nothing_to_accept" {
		t.Errorf("once more: %v", err)
	}
	if err := i.Close(t.Context()); err != nil {
		t.Fatal(err)
	}
	for range 2 {
		if body, ok := lives(old); !ok || charges(gateway) != 1 {
			t.Errorf("after the word: %d charges, %s", charges(gateway), body)
		}
	}
	if r, err := Verify(t.Context(), old, nil); err != nil || !r.Holds() {
		t.Errorf("verify: %+v, %v", r, err)
	}
}
