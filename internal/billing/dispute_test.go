package billing

import (
	"testing"
	"time"

	"pgregory.net/rapid"

	"perennial/internal/fault"
	"perennial/internal/id"
	"perennial/internal/journal"
	"perennial/internal/money"
)

// paidOrder is an order that one charge, or two, paid for.
func paidOrder(charges int) *Order {
	at := journal.At(time.Date(2027, 1, 15, 12, 0, 0, 0, time.UTC))
	ten := money.Of(1000, "USD")
	o := &Order{ID: "ord_1", SubscriptionID: "sub_1", CustomerID: "cus_1", Number: "1", Status: Placed, Items: []Line{{ItemID: "it_1", VariantID: "var_1", Quantity: 1, UnitPrice: ten, Total: ten, Discount: money.Zero("USD")}},
		Subtotal: ten, Discount: money.Zero("USD"), Delivery: money.Zero("USD"), Tax: money.Zero("USD"), Total: ten, Refunded: money.Zero("USD"), PlacedAt: &at, CreatedAt: at}
	for i := range charges {
		key := id.ID("att_" + string(rune('1'+i)))
		o.Attempts = append(o.Attempts, Attempt{ID: key, PaymentMethodID: "pm_1", Amount: ten, Status: AttemptSucceeded, GatewayID: "ch_" + string(rune('1'+i)), StartedAt: at, FinishedAt: &at})
	}
	return o
}

// decided runs a command on an order; refused commands leave it as it is.
func decided(t interface{ Fatalf(string, ...any) }, o *Order, c interface {
	Decide(World, time.Time) (journal.Decision, error)
}) (*Order, error) {
	d, err := c.Decide(World{Order: o}, time.Date(2027, 2, 1, 12, 0, 0, 0, time.UTC))
	for _, draft := range d.Drafts {
		o = draft.After.(*Order)
	}
	if cerr := Check(o); cerr != nil {
		t.Fatalf("%v", cerr)
	}
	return o, err
}

// Two disputes of one order are two, each ends once, and a report that comes again changes nothing.
func TestDisputesAreAList(t *testing.T) {
	o := paidOrder(2)
	entries := 0
	for range 3 {
		for _, c := range []RecordDispute{
			{DisputeID: "dp_1", ChargeID: "ch_1", Status: DisputeOpen}, {DisputeID: "dp_2", ChargeID: "ch_2", Status: DisputeOpen},
			{DisputeID: "dp_1", ChargeID: "ch_1", Status: DisputeLost}, {DisputeID: "dp_2", ChargeID: "ch_2", Status: DisputeLost},
		} {
			c.Amount = money.Of(400, "USD")
			d, err := c.Decide(World{Order: o}, time.Time{})
			if err != nil {
				t.Fatal(err)
			}
			entries += len(d.Drafts)
			o, _ = decided(t, o, c)
		}
	}
	if all := AllDisputes(o); entries != 4 || len(all) != 2 || all[0].Status != DisputeLost || all[1].Status != DisputeLost || all[0].AttemptID != "att_1" {
		t.Errorf("%d entries, %+v", entries, all)
	}
	if got := Refundable(o).Minor; got != 1200 {
		t.Errorf("%d can be refunded of 2000, of which the bank gave 800 back", got)
	}
}

// What the build before recorded is one of the list.
func TestADisputeOfTheBuildBefore(t *testing.T) {
	o := paidOrder(1)
	o.Dispute = &Dispute{ID: "dp_1", Amount: money.Of(1000, "USD"), Reason: "fraudulent", Status: DisputeLost}
	o, _ = decided(t, o, RecordDispute{DisputeID: "dp_2", Amount: money.Of(10, "USD"), Status: DisputeOpen})
	if all := AllDisputes(o); len(all) != 2 || all[0].ID != "dp_1" || o.Dispute.ID != "dp_2" {
		t.Errorf("got %+v", all)
	}
	if _, err := decided(t, o, Refund{}); fault.As(err).Code != "disputed" {
		t.Errorf("a refund: %v", err)
	}
}

// An inquiry takes no money, so a refund can end it; when it becomes a dispute, the money is held.
func TestAnInquiry(t *testing.T) {
	o := paidOrder(1)
	c := RecordDispute{DisputeID: "dp_1", ChargeID: "ch_1", Amount: money.Of(1000, "USD"), Status: DisputeOpen, Inquiry: true}
	if o, _ = decided(t, o, c); Refundable(o).Minor != 1000 {
		t.Errorf("%v can be refunded", Refundable(o))
	}
	c.Inquiry = false
	if o, _ = decided(t, o, c); !Refundable(o).IsZero() {
		t.Errorf("%v can be refunded", Refundable(o))
	}
}

// Money goes back once: whatever refunds, late failures of them and disputes come in whatever order, no refund is taken that would send
// back, with what banks hold or gave back, more than came in; and what a bank left with the store can be refunded again.
func TestMoneyGoesBackOnce(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		o := paidOrder(rapid.IntRange(1, 2).Draw(t, "charges"))
		gone := func(o *Order) (sum int64) {
			for _, d := range AllDisputes(o) {
				if d.holds() {
					sum += d.Amount.Minor
				}
			}
			return sum + o.Refunded.Minor
		}
		for range rapid.IntRange(1, 12).Draw(t, "steps") {
			was := o
			switch rapid.SampledFrom([]string{"refund", "all", "answer", "fails late", "dispute"}).Draw(t, "step") {
			case "refund":
				o, _ = decided(t, o, Refund{Amount: new(money.Of(rapid.Int64Range(1, 1500).Draw(t, "amount"), "USD"))})
			case "all":
				o, _ = decided(t, o, Refund{})
			case "answer":
				if r, _, open := OpenRepayment(o); open {
					o, _ = decided(t, o, FinishRepayment{Number: r.Number, Succeeded: rapid.Bool().Draw(t, "succeeded"), GatewayID: "re_" + r.Number})
				}
			case "fails late":
				if len(o.Repayments) > 0 {
					r := rapid.SampledFrom(o.Repayments).Draw(t, "which")
					o, _ = decided(t, o, FinishRepayment{Number: r.Number, Code: "declined"})
				}
			case "dispute":
				o, _ = decided(t, o, RecordDispute{DisputeID: rapid.SampledFrom([]string{"dp_1", "dp_2"}).Draw(t, "dispute"), Amount: money.Of(500, "USD"),
					ChargeID: rapid.SampledFrom([]string{"ch_1", ""}).Draw(t, "charge"), Status: rapid.SampledFrom([]string{DisputeOpen, DisputeLost, DisputeWon}).Draw(t, "status"), Asked: rapid.Bool().Draw(t, "asked")})
			}
			if o.Refunded.Minor > was.Refunded.Minor && gone(o) > Paid(o).Minor {
				t.Fatalf("%d of %d went back: %+v", gone(o), Paid(o).Minor, AllDisputes(o))
			}
			if want := max(0, Paid(o).Minor-gone(o)); Refundable(o).Minor != want {
				t.Fatalf("%d can be refunded, want %d", Refundable(o).Minor, want)
			}
			for _, a := range o.Attempts {
				var back int64
				for _, r := range o.Repayments {
					if r.AttemptID == a.ID && r.Status != AttemptFailed {
						back += r.Amount.Minor
					}
				}
				if back > a.Amount.Minor {
					t.Fatalf("%d of the charge %s went back", back, a.ID)
				}
			}
			var sent int64
			for _, r := range o.Repayments {
				if r.Status != AttemptFailed {
					sent += r.Amount.Minor
				}
			}
			if sent != o.Refunded.Minor {
				t.Fatalf("%d were refunded, and %d are on their way", o.Refunded.Minor, sent)
			}
		}
	})
}
