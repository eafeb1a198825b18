package billing_test

import (
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"perennial/internal/billing"
	"perennial/internal/id"
	"perennial/internal/journal"
	"perennial/internal/money"
)

func TestDiffer(t *testing.T) {
	from := time.Date(2027, 3, 1, 0, 0, 0, 0, time.UTC)
	at, to := from.Add(time.Hour), from.Add(72*time.Hour)
	five, four := money.Of(500, "USD"), money.Of(400, "USD")
	paid := billing.Attempt{ID: "att_1", Amount: five, Status: billing.AttemptSucceeded, GatewayID: "ch_1", StartedAt: journal.At(at), FinishedAt: journal.AtPtr(at)}
	open := billing.Attempt{ID: "att_1", Amount: five, Status: billing.AttemptStarted, StartedAt: journal.At(at)}
	repaid := billing.Repayment{Number: "001", AttemptID: "att_1", Amount: four, Status: billing.AttemptSucceeded, GatewayID: "re_1", StartedAt: journal.At(at), FinishedAt: journal.AtPtr(at)}
	charge := billing.Moved{ID: "ch_1", Key: "att_1", Attempt: "att_1", Amount: five, At: at}
	refund := billing.Moved{ID: "re_1", ChargeID: "ch_1", Amount: four, At: at}
	list := func(m ...billing.Moved) []billing.Moved { return m }
	change := func(m billing.Moved, f func(*billing.Moved)) billing.Moved { f(&m); return m }
	for name, tt := range map[string]struct {
		attempts   []billing.Attempt
		repayments []billing.Repayment
		charges    []billing.Moved
		refunds    []billing.Moved
		confirmed  []id.ID
		want       []string
	}{
		"both have it":                   {attempts: []billing.Attempt{paid}, charges: list(charge)},
		"told twice":                     {attempts: []billing.Attempt{paid}, charges: list(charge, charge)},
		"no result yet":                  {attempts: []billing.Attempt{open}, charges: list(charge)},
		"the gateway has none":           {attempts: []billing.Attempt{paid}, want: []string{"missing_charge:ch_1"}},
		"it says so when asked":          {attempts: []billing.Attempt{paid}, confirmed: []id.ID{"att_1"}},
		"the order has none":             {charges: list(charge), want: []string{"extra_charge:ch_1"}},
		"charged twice under one key":    {attempts: []billing.Attempt{paid}, charges: list(charge, change(charge, func(m *billing.Moved) { m.ID = "ch_2" })), want: []string{"extra_charge:ch_2"}},
		"another amount":                 {attempts: []billing.Attempt{paid}, charges: list(change(charge, func(m *billing.Moved) { m.Amount = four })), want: []string{"other_charge:ch_1"}},
		"another currency":               {attempts: []billing.Attempt{paid}, charges: list(change(charge, func(m *billing.Moved) { m.Amount.Currency = "EUR" })), want: []string{"other_charge:ch_1"}},
		"on another day":                 {charges: list(change(charge, func(m *billing.Moved) { m.At = to }))},
		"the last instant before":        {charges: list(change(charge, func(m *billing.Moved) { m.At = from.Add(-1) }))},
		"the first instant":              {charges: list(change(charge, func(m *billing.Moved) { m.At = from })), want: []string{"extra_charge:ch_1"}},
		"given back":                     {attempts: []billing.Attempt{paid}, repayments: []billing.Repayment{repaid}, charges: list(charge), refunds: list(refund)},
		"not given back":                 {attempts: []billing.Attempt{paid}, repayments: []billing.Repayment{repaid}, charges: list(charge), want: []string{"missing_refund:re_1"}},
		"given back elsewhere":           {attempts: []billing.Attempt{paid}, charges: list(charge), refunds: list(refund), want: []string{"extra_refund:re_1"}},
		"another amount back":            {attempts: []billing.Attempt{paid}, repayments: []billing.Repayment{repaid}, charges: list(charge), refunds: list(change(refund, func(m *billing.Moved) { m.Amount = five })), want: []string{"other_refund:re_1"}},
		"taken for nothing, and back":    {charges: list(charge), refunds: list(change(refund, func(m *billing.Moved) { m.Amount = five }))},
		"taken for nothing, partly back": {charges: list(charge), refunds: list(refund), want: []string{"extra_charge:ch_1", "extra_refund:re_1"}},
	} {
		t.Run(name, func(t *testing.T) {
			o := &billing.Order{ID: "ord_1", Total: five, Attempts: tt.attempts, Repayments: tt.repayments}
			var got []string
			for _, d := range billing.Differ(o, billing.Books{From: from, To: to, Charges: tt.charges, Refunds: tt.refunds, Confirmed: tt.confirmed}) {
				got = append(got, d.ID)
			}
			if diff := cmp.Diff(tt.want, got); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
}

// An entry from before strays had details names them all the same.
func TestOldReconciled(t *testing.T) {
	d, err := billing.ReadReconciled(&journal.Event{Details: []journal.Detail{{Name: "open", Value: []byte("1")}, {Name: "unknown", Value: []byte(`["ch_1"]`)}}})
	if want := (billing.ReconciledDetails{Open: 1, Strays: []billing.Stray{{GatewayID: "ch_1"}}}); err != nil || !cmp.Equal(d, want) {
		t.Errorf("got %+v, %v", d, err)
	}
}

// What was found once is not found again, and books that agree with the order settle all of it.
func TestReconcileTellsOnce(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		now := time.Date(2027, 3, 2, 0, 0, 0, 0, time.UTC)
		b := billing.Books{From: now.Add(-time.Hour), To: now.Add(time.Hour)}
		moved := rapid.Custom(func(t *rapid.T) billing.Moved {
			return billing.Moved{ID: rapid.SampledFrom([]string{"m_1", "m_2", "m_3"}).Draw(t, "id"), Amount: money.Of(rapid.Int64Range(1, 3).Draw(t, "amount"), "USD"), At: now}
		})
		b.Charges, b.Refunds = rapid.SliceOfN(moved, 0, 4).Draw(t, "charges"), rapid.SliceOfN(moved, 0, 4).Draw(t, "refunds")
		o := &billing.Order{ID: "ord_1", Total: money.Zero("USD")}
		step := func(b billing.Books, typ journal.Name, want int) {
			d, err := billing.Reconcile{OrderID: o.ID, Books: b}.Decide(billing.World{Order: o}, now)
			if err != nil {
				t.Fatal(err)
			}
			for _, draft := range d.Drafts {
				if draft.Type != typ {
					t.Fatalf("got %s", draft.Type)
				}
				o = draft.After.(*billing.Order)
			}
			if len(d.Drafts) != want {
				t.Fatalf("got %d of %s, want %d", len(d.Drafts), typ, want)
			}
			if !slices.IsSortedFunc(o.Differences, func(x, y billing.Difference) int { return map[bool]int{true: -1, false: 1}[x.ID < y.ID] }) {
				t.Fatalf("not in order: %v", o.Differences)
			}
		}
		n := len(billing.Differ(o, b))
		step(b, "billing.difference_found", n)
		step(b, "", 0)
		step(billing.Books{From: b.To, To: b.To.Add(time.Hour)}, "", 0)
		step(billing.Books{From: b.From, To: b.To}, "billing.difference_settled", n)
		if len(o.Differences) != 0 {
			t.Fatalf("left: %v", o.Differences)
		}
	})
}
