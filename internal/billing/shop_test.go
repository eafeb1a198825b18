package billing_test

import (
	"fmt"
	"maps"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"perennial/internal/billing"
	"perennial/internal/catalog"
	"perennial/internal/civil"
	"perennial/internal/customer"
	"perennial/internal/fault"
	"perennial/internal/id"
	"perennial/internal/journal"
	"perennial/internal/journal/journaltest"
	"perennial/internal/money"
	"perennial/internal/settings"
	"perennial/internal/subscription"
)

// tester is what *testing.T and *rapid.T share.
type tester interface {
	Helper()
	Errorf(string, ...any)
	Fatalf(string, ...any)
}

// shop is a shop in memory, with a customer, two cards, two variants (var_1 is counted, var_2 is not) and one monthly
// subscription, sub_k3m8qt, to 2 of var_1 and 1 of var_2, first billed on 10 March 2027.
type shop struct {
	*journaltest.World
	t   tester
	now time.Time
}

const sub id.ID = "sub_k3m8qt"

var (
	first   = date(2027, 3, 10)
	monthly = catalog.Policy{Interval: civil.Month, IntervalCount: 1}
)

func date(y, m, d int) civil.Date { return civil.Date{Year: y, Month: time.Month(m), Day: d} }

func usd(minor int64) money.Amount { return money.Of(minor, "USD") }

func newShop(t tester, change ...func(*subscription.Create)) *shop {
	t.Helper()
	s := &shop{World: journaltest.NewWorld("shop_0a1b2c3d"), t: t}
	s.Fresh = map[journal.Kind]func(id.ID) func() journal.State{
		journal.PaymentMethod: fresh[customer.PaymentMethod],
		journal.Product:       fresh[catalog.Product],
		journal.Variant:       fresh[catalog.Variant],
		journal.Subscription:  fresh[subscription.Subscription],
		journal.Order:         fresh[billing.Order],
	}
	s.Columns = map[journal.Kind]map[string]journaltest.Column{
		journal.Order:        {"subscription_id": func(s journal.State) string { return string(s.(*billing.Order).SubscriptionID) }},
		journal.Subscription: {"customer_id": func(s journal.State) string { return string(s.(*subscription.Subscription).CustomerID) }},
	}
	made := journal.At(time.Date(2027, 2, 1, 0, 0, 0, 0, time.UTC))
	for _, st := range []journal.State{
		&settings.General{Name: "Beans", TimeZone: "Europe/Berlin", Currency: "USD", Locale: "en"},
		&settings.Recovery{RetryDays: []int{1, 3}, EndAction: settings.EndSkip},
		&customer.Customer{ID: "cus_1", DefaultAddressID: "addr_1", DefaultPaymentMethodID: "pm_1", Status: customer.Active, CreatedAt: made},
		&customer.Address{ID: "addr_1", CustomerID: "cus_1", LastName: journal.Secluded("Moreau"), Line1: journal.Secluded("1 Main St"),
			City: journal.Secluded("Lyon"), Country: "FR", Status: customer.StatusActive, CreatedAt: made},
		&customer.PaymentMethod{ID: "pm_1", CustomerID: "cus_1", Gateway: "simulated", Status: customer.StatusActive, CreatedAt: made},
		&customer.PaymentMethod{ID: "pm_2", CustomerID: "cus_1", Gateway: "simulated", Status: customer.StatusActive, CreatedAt: made},
	} {
		s.States[st.Ref()] = st
	}
	s.on(date(2027, 3, 1))
	s.must(journal.Bind(catalog.CreateProduct{ID: "prod_1", Title: "Coffee"}))
	s.must(journal.Bind(catalog.CreateVariant{ID: "var_1", ProductID: "prod_1", Title: "250 g", Price: usd(1000), Inventory: new(int64(10))}))
	s.must(journal.Bind(catalog.CreateVariant{ID: "var_2", ProductID: "prod_1", Title: "Filter", Price: usd(300)}))
	c := subscription.Create{
		ID: sub, CustomerID: "cus_1", BillingPolicy: &monthly, NextBillingDate: &first, DeliveryPrice: new(usd(490)),
		Items: []subscription.NewItem{{ID: "item_1", VariantID: "var_1", Quantity: 2}, {ID: "item_2", VariantID: "var_2", Quantity: 1}},
	}
	for _, f := range change {
		f(&c)
	}
	s.must(journal.Bind(c))
	return s
}

func fresh[T any, P interface {
	*T
	journal.State
}](id.ID) func() journal.State {
	return func() journal.State { return P(new(T)) }
}

// set puts a state into the shop without an event: for what these tests do not look at.
func (s *shop) set(st journal.State) { s.States[st.Ref()] = st }

func (s *shop) on(d civil.Date) {
	zone, _ := time.LoadLocation("Europe/Berlin")
	s.now = d.At(6, 0, zone).UTC()
}

func (s *shop) today() civil.Date { return settings.Today(s.general(), s.now) }

func (s *shop) general() *settings.General {
	return s.States[journal.Ref{Kind: journal.Settings, ID: settings.PageGeneral}].(*settings.General)
}

func (s *shop) must(c journal.Command) []*journal.Event {
	s.t.Helper()
	_, events, err := s.Run(c, s.now)
	if err != nil {
		s.t.Fatalf("%+v: %v", c, err)
	}
	return events
}

// do runs a command and gives the types of its events, or the code of the refusal.
func (s *shop) do(c journal.Command) string {
	_, events, err := s.Run(c, s.now)
	if err != nil {
		return refusal(err)
	}
	var out []string
	for _, e := range events {
		out = append(out, string(e.Type))
	}
	return strings.Join(out, " ")
}

func refusal(err error) string {
	f := fault.As(err)
	if f.Kind == fault.Internal {
		return "broken: " + err.Error()
	}
	var out strings.Builder
	out.WriteString("refused " + f.Code)
	for _, field := range f.Fields {
		out.WriteString(" " + field.Pointer)
	}
	return out.String()
}

func (s *shop) order(n int) *billing.Order {
	o, ok := s.States[journal.Ref{Kind: journal.Order, ID: orderID(n)}].(*billing.Order)
	if !ok {
		s.t.Fatalf("there is no order %d", n)
	}
	return o
}

func (s *shop) subscription() *subscription.Subscription {
	return s.States[journal.Ref{Kind: journal.Subscription, ID: sub}].(*subscription.Subscription)
}

func (s *shop) stock() int64 {
	return *s.States[journal.Ref{Kind: journal.Variant, ID: "var_1"}].(*catalog.Variant).Inventory
}

func orderID(n int) id.ID   { return id.ID(fmt.Sprintf("ord_%03d", n)) }
func attemptID(n int) id.ID { return id.ID(fmt.Sprintf("att_%03d", n)) }

// create makes the order n with the attempt n, due today.
func (s *shop) create(n int) string {
	return s.do(journal.Bind(billing.CreateOrder{SubscriptionID: sub, OrderID: orderID(n), AttemptID: attemptID(n), Due: s.today()}))
}

func (s *shop) extra(n int) string {
	return s.do(journal.Bind(billing.OrderNow{SubscriptionID: sub, OrderID: orderID(n), AttemptID: attemptID(n)}))
}

func (s *shop) finish(order, attempt int, r billing.Result) string {
	return s.do(journal.Bind(billing.FinishAttempt{OrderID: orderID(order), AttemptID: attemptID(attempt), Result: r, Code: "card_declined", Message: "No.", GatewayID: "ch_1"}))
}

func (s *shop) retry(order, attempt int) string {
	return s.do(journal.Bind(billing.RetryOrder{OrderID: orderID(order), AttemptID: attemptID(attempt), Today: s.today()}))
}

// check checks every state, what holds between them, and that the events alone come to the same states.
func (s *shop) check() {
	s.t.Helper()
	live := map[journal.Ref]journal.State{}
	waiting := 0
	billed := map[int]int{}
	for ref, st := range s.States {
		switch v := st.(type) {
		case *billing.Order:
			if err := billing.Check(v); err != nil {
				s.t.Errorf("%v", err)
			}
			if v.Cycle == nil {
				break
			}
			if v.Status == billing.Pending {
				waiting++
				if owner, _, _ := s.Reserved(billing.ScopeOpenOrder, string(sub)); owner != v.ID {
					s.t.Errorf("%s waits for money, and %q is reserved", v.ID, owner)
				}
			}
			if v.PlacedAt != nil {
				billed[*v.Cycle]++
			}
		case *subscription.Subscription:
			if err := subscription.Check(v); err != nil {
				s.t.Errorf("%v", err)
			}
		case *catalog.Variant:
			if err := catalog.Check(v); err != nil {
				s.t.Errorf("%v", err)
			}
		case *catalog.Product:
		default:
			continue
		}
		live[ref] = st
	}
	if waiting > 1 {
		s.t.Errorf("%d orders of one rhythm wait for money", waiting)
	}
	if owner, ok, _ := s.Reserved(billing.ScopeOpenOrder, string(sub)); ok && waiting == 0 {
		s.t.Errorf("no order waits for money, and %s is reserved", owner)
	}
	for cycle := 1; cycle <= s.subscription().Cycle; cycle++ {
		if billed[cycle] != 1 {
			s.t.Errorf("cycle %d was billed %d times", cycle, billed[cycle])
		}
	}
	if len(billed) != s.subscription().Cycle {
		s.t.Errorf("%d cycles were billed, the subscription counts %d", len(billed), s.subscription().Cycle)
	}
	replayed, err := s.Rebuild()
	if err != nil {
		s.t.Errorf("replay: %v", err)
	}
	maps.DeleteFunc(replayed, func(ref journal.Ref, _ journal.State) bool { return ref.Kind == journal.PaymentMethod }) // they were here before
	if diff := cmp.Diff(live, replayed, cmpopts.EquateEmpty()); diff != "" {
		s.t.Errorf("states and replay differ (-live +replay):\n%s", diff)
	}
}

func check(t *testing.T, step, got, want string) {
	t.Helper()
	if got != want {
		t.Errorf("%s:\n got %s\nwant %s", step, got, want)
	}
}

// explain explains an order from the shop's entries.
func (s *shop) explain(o *billing.Order) []billing.Reason {
	s.t.Helper()
	h := billing.History{Order: o, Zone: settings.Zone(s.general())}
	for _, e := range s.Events {
		switch e.Target() {
		case o.Ref():
			h.Of = append(h.Of, e)
		case journal.Ref{Kind: journal.Subscription, ID: o.SubscriptionID}:
			h.Subscription = append(h.Subscription, e)
		case journal.Ref{Kind: journal.SellingPlan, ID: "plan_1"}:
			h.Plan = append(h.Plan, e)
		case journal.Ref{Kind: journal.Settings, ID: settings.PageBilling}:
			h.Billing = append(h.Billing, e)
		}
	}
	out, err := billing.Explain(h)
	if err != nil {
		s.t.Fatalf("explain %s: %v", o.ID, err)
	}
	return out
}

// explained holds an explanation against its order: what it names adds up to the total, and each line rests on an entry.
func (s *shop) explained(o *billing.Order) {
	s.t.Helper()
	sum := int64(0)
	for _, r := range s.explain(o) {
		if r.Amount != nil {
			sum += r.Amount.Minor
		}
		if r.Event == nil || r.Text == "" {
			s.t.Errorf("a line without an entry or a sentence: %+v", r)
		}
	}
	if sum != o.Due().Minor {
		s.t.Errorf("order %s comes to %d, its explanation to %d", o.ID, o.Due().Minor, sum)
	}
}
