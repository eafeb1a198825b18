package billing_test

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	"perennial/internal/billing"
	"perennial/internal/catalog"
	"perennial/internal/customer"
	"perennial/internal/journal"
	"perennial/internal/settings"
	"perennial/internal/subscription"
)

// The story of an order with everything in it: a plan whose price changes, a discount, delivery and tax, what people changed
// before it, a card that declines and a new one.
func TestExplain(t *testing.T) {
	s := newShop(t)
	s.Fresh[journal.SellingPlanGroup], s.Fresh[journal.SellingPlan] = fresh[catalog.Group], fresh[catalog.Plan]
	s.Fresh[journal.Discount], s.Fresh[journal.Settings] = fresh[catalog.Discount], settings.Fresh
	s.must(journal.Bind(catalog.CreateGroup{ID: "grp_1", Name: "Club", ProductIDs: nil}))
	s.must(journal.Bind(catalog.CreatePlan{ID: "plan_1", GroupID: "grp_1", Name: "Club", BillingPolicy: monthly, Pricing: []catalog.Pricing{{Kind: catalog.KindPercentage, Value: 10}}}))
	s.must(journal.Bind(settings.Update{Document: &settings.Billing{BillingHour: 6, MaxCatchUpOrders: 1, TaxBasisPoints: 1900}}))
	planned := subscription.Create{ID: "sub_planned", CustomerID: "cus_1", SellingPlanID: "plan_1", NextBillingDate: &first, DeliveryPrice: new(usd(490)),
		Items: []subscription.NewItem{{ID: "item_9", VariantID: "var_2", Quantity: 2}}}
	s.must(journal.Bind(planned))
	s.must(journal.Bind(catalog.CreateDiscount{ID: "disc_1", Code: "SPRING", Kind: catalog.KindAmount, Value: 100}))
	s.on(date(2027, 3, 2))
	s.must(journal.Bind(subscription.ApplyDiscount{ID: planned.ID, Code: "SPRING"}))
	s.on(date(2027, 3, 5))
	s.must(journal.Bind(subscription.ChangeItem{ID: planned.ID, ItemID: "item_9", Quantity: new(3)}))
	s.on(first)
	s.must(journal.Bind(billing.CreateOrder{SubscriptionID: planned.ID, OrderID: orderID(1), AttemptID: attemptID(1), Due: s.today()}))
	s.finish(1, 1, billing.Declined)
	c := journal.Clone(s.States[journal.Ref{Kind: journal.Customer, ID: "cus_1"}].(*customer.Customer))
	c.DefaultPaymentMethodID = "pm_2"
	s.set(c)
	s.on(first.AddDays(1))
	s.retry(1, 2)
	s.finish(1, 2, billing.Succeeded)

	var got []string
	for _, r := range s.explain(s.order(1)) {
		line := string(r.Kind) + ": " + r.Text
		if r.Amount != nil {
			line += " = " + r.Amount.Format()
		}
		if r.About.ID != "" {
			line += " [" + string(r.About.ID) + "]"
		}
		got = append(got, line+" < "+string(r.Event.Type))
	}
	want := []string{
		"plan: Order 1 of a subscription that comes every month since 1 March 2027, due on 10 March 2027 [plan_1] < subscription.created",
		"item: 3 × Coffee, Filter at $3.00, since 5 March 2027 = $9.00 [var_2] < subscription.item_quantity_changed",
		"pricing: The plan's price of Coffee, Filter is $2.70 = -$0.90 [var_2] < selling_plan.created",
		"discount: The code SPRING takes $1.00 off, since 2 March 2027 = -$1.00 [disc_1] < subscription.discount_applied",
		"delivery: Delivery, at this price since 1 March 2027 = $4.90 < subscription.created",
		"tax: Tax, at the rate since 1 March 2027 = $2.28 [billing] < billing_settings.updated",
		"change: Applied the discount SPRING < subscription.discount_applied",
		"change: Changed the quantity of Coffee, Filter from 2 to 3 < subscription.item_quantity_changed",
		"story: Created order LANNED-1 for $14.28, due on 10 March 2027 < order.created",
		"story: Started a payment of $14.28 (attempt 1) [pm_1] < billing_attempt.started",
		"story: The payment of $14.28 (attempt 1) failed: No [pm_1] < billing_attempt.failed",
		"story: The payment failed (card declined): recovery began < recovery.entered",
		"story: The payment will be tried again on 11 March 2027 < recovery.retry_scheduled",
		"story: Started a payment of $14.28 (attempt 2) [pm_2] < billing_attempt.started",
		"story: The payment of $14.28 (attempt 2) succeeded [pm_2] < billing_attempt.succeeded",
		"story: Placed the order: it is paid [pm_2] < order.placed",
		"story: The failed payment came in: recovery ended < recovery.recovered",
		"story: Renewed the subscription with order LANNED-1 for $14.28; next order on 10 April 2027 < subscription.renewed",
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	s.explained(s.order(1))
}
