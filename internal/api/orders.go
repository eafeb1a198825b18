package api

import (
	"context"
	"net/http"

	"perennial/internal/billing"
	"perennial/internal/fault"
	"perennial/internal/id"
	"perennial/internal/journal"
	"perennial/internal/money"
	"perennial/internal/program"
	"perennial/internal/query"
	"perennial/internal/store"
	"perennial/internal/team"
)

// OrderView is an order as clients see it.
type OrderView struct {
	ID             id.ID             `json:"id"`
	Version        int64             `json:"version"`
	SubscriptionID id.ID             `json:"subscription_id"`
	CustomerID     id.ID             `json:"customer_id"`
	Number         string            `json:"number" doc:"What people call it by."`
	Cycle          *int              `json:"cycle" doc:"Which cycle of the subscription it bills; null for an extra order."`
	Status         billing.Status    `json:"status" enum:"pending,placed,failed,cancelled,refunded,partially_refunded"`
	Items          []orderLine       `json:"items" nullable:"false"`
	Subtotal       money.Amount      `json:"subtotal"`
	Discount       money.Amount      `json:"discount"`
	Delivery       money.Amount      `json:"delivery"`
	Tax            money.Amount      `json:"tax"`
	Total          money.Amount      `json:"total"`
	Attempts       []billing.Attempt `json:"attempts" nullable:"false" doc:"The charges, in the order in which they were started."`
	FulfilledAt    *journal.Time     `json:"fulfilled_at"`
	CreatedAt      journal.Time      `json:"created_at"`

	Deliveries []billing.Delivery `json:"deliveries" nullable:"false" doc:"Of a prepaid order; empty: it is delivered once."`

	Carried     *money.Amount `json:"carried" doc:"Of earlier orders that were too small to be charged: it is charged with this one, beside the total."`
	CarriedOver *money.Amount `json:"carried_over" doc:"What is charged with the next order, because it is too small to be charged; null: nothing."`
	Waived      *money.Amount `json:"waived" doc:"What is not charged at all; null: nothing."`

	ShipTo journal.Personal[*billing.ShipTo] `json:"ship_to" doc:"Where it goes. While it is not paid it follows the subscription's address."`
}

// orderLine is one line of an order: what the subscription's item was when the order was made.
type orderLine struct {
	ItemID    id.ID        `json:"item_id"`
	VariantID id.ID        `json:"variant_id"`
	ProductID id.ID        `json:"product_id"`
	Title     string       `json:"title"`
	Quantity  int          `json:"quantity"`
	UnitPrice money.Amount `json:"unit_price" doc:"After the plan's pricing."`
	Total     money.Amount `json:"total" doc:"Before discounts."`
	Discount  money.Amount `json:"discount" doc:"Its share of the order's discount."`
	OneTime   bool         `json:"one_time"`
}

func (v OrderView) resourceVersion() int64 { return v.Version }

func viewOrder(q program.Query, _ journal.Ref, row store.Row) (OrderView, error) {
	s, ok := row.State.(*billing.Order)
	if !ok {
		return OrderView{}, fault.New(fault.NotFound, "unknown_order", "There is no such order in this shop.")
	}
	lines := make([]orderLine, len(s.Items))
	for i, l := range s.Items {
		lines[i] = orderLine{l.ItemID, l.VariantID, l.ProductID, l.Title, l.Quantity, l.UnitPrice, l.Total, l.Discount, l.OneTime}
	}
	return OrderView{
		ID: s.ID, Version: row.Version, SubscriptionID: s.SubscriptionID, CustomerID: s.CustomerID, Number: s.Number, Cycle: s.Cycle, Status: s.Status,
		Items: lines, Subtotal: s.Subtotal, Discount: s.Discount, Delivery: s.Delivery, Tax: s.Tax, Total: s.Total,
		Attempts: slice(billing.Chronological(s)), FulfilledAt: s.FulfilledAt, CreatedAt: s.CreatedAt, Deliveries: slice(s.Deliveries),
		Carried: s.Carried, CarriedOver: s.CarriedOver, Waived: s.Waived,
		ShipTo: callOf(q.Ctx).shipTo(s.ShipTo),
	}, nil
}

type (
	orderFilter struct {
		Page
		Status         string `query:"status" enum:"pending,placed,failed,cancelled,refunded,partially_refunded"`
		SubscriptionID string `query:"subscription_id"`
		CustomerID     string `query:"customer_id"`
	}
	otherChargeBody struct {
		Commented
		As string `json:"as" enum:"payment,refund" doc:"payment: what was taken is the payment, the rest is waived and what is too much is to be refunded; not in another currency. refund: all of it goes back, and the order is cancelled."`
	}
	refundBody struct {
		Commented
		Amount *money.Amount `json:"amount,omitempty" doc:"All that is left when left out."`
		Reason string        `json:"reason"`
	}
	fulfilBody struct {
		Commented
		TrackingURL string `json:"tracking_url,omitempty"`
	}
)

func (a *API) orders() {
	a.views[journal.Order] = anyView(viewOrder)
	const tag = "Orders"
	view, edit := team.SubscriptionsView, team.SubscriptionsEdit
	list(a, route{method: http.MethodGet, path: "/orders", tag: tag, summary: "List orders, newest first", permission: view},
		func(in *orderFilter) (Page, any) { f := *in; f.Page = Page{}; return in.Page, f },
		func(ctx context.Context, in *orderFilter, limit int, after string) ([]OrderView, error) {
			asked := query.Orders{Status: in.Status, Customer: in.CustomerID, Subscription: in.SubscriptionID}
			return rowsOf(ctx, a, journal.Order, asked.Where(), limit, after, viewOrder)
		}, func(v OrderView) string { return string(v.ID) })
	readThing(a, route{method: http.MethodGet, path: "/orders/{id}", tag: tag, summary: "Read an order", permission: view}, journal.Order, viewOrder)
	read(a, route{method: http.MethodGet, path: "/orders/{id}/explanation", tag: tag, summary: "Why an order costs what it costs, and what became of it", permission: view}, a.explainOrder)
	change(a, route{method: http.MethodPost, path: "/orders/{id}/refund", tag: tag, summary: "Refund an order, in part or all that is left", permission: edit, events: []journal.Name{journal.OrderRefunded}},
		func(_ context.Context, in *onThing[refundBody]) (plan, error) {
			c := billing.Refund{OrderID: id.ID(in.ID), Amount: in.Body.Amount, Reason: in.Body.Reason}
			return plan{command: journal.Bind(c), target: journal.Ref{Kind: journal.Order, ID: c.OrderID}}, nil
		}, viewOrder)
	change(a, route{method: http.MethodPost, path: "/orders/{id}/other-charge", tag: tag, summary: "End a payment for which the gateway took another amount: take it as the payment, or send it back and cancel the order", permission: edit,
		events: []journal.Name{journal.BillingAttemptAmountAccepted, journal.BillingAttemptAmountRefused, journal.OrderPlaced, journal.OrderCancelled, journal.VariantInventoryChanged, journal.RecoveryRecovered, journal.RecoveryAbandoned, journal.SubscriptionRenewed, journal.SubscriptionExpired,
			journal.SubscriptionOrderSkipped, journal.SubscriptionPaused, journal.SubscriptionPaymentMethodChanged}},
		func(_ context.Context, in *onThing[otherChargeBody]) (plan, error) {
			c := billing.EndOtherCharge{OrderID: id.ID(in.ID), Accept: in.Body.As == "payment"}
			return plan{command: journal.Bind(c), target: journal.Ref{Kind: journal.Order, ID: c.OrderID}}, nil
		}, viewOrder)
	change(a, route{method: http.MethodPost, path: "/orders/{id}/fulfil", tag: tag, summary: "Say that a paid order is on its way", permission: edit, events: []journal.Name{journal.OrderFulfilled, journal.OrderDeliveryFulfilled}},
		func(_ context.Context, in *onThingMaybe[fulfilBody]) (plan, error) {
			c := billing.Fulfil{OrderID: id.ID(in.ID), TrackingURL: in.body().TrackingURL}
			return plan{command: journal.Bind(c), target: journal.Ref{Kind: journal.Order, ID: c.OrderID}}, nil
		}, viewOrder)
	change(a, route{method: http.MethodPost, path: "/orders/{id}/cancel", tag: tag, summary: "Cancel an order that is not paid", permission: edit,
		events: []journal.Name{journal.OrderCancelled, journal.VariantInventoryChanged, journal.RecoveryAbandoned, journal.SubscriptionOrderSkipped, journal.SubscriptionPaused}},
		func(_ context.Context, in *onThingMaybe[noBody]) (plan, error) {
			c := billing.CancelOrder{OrderID: id.ID(in.ID)}
			return plan{command: journal.Bind(c), target: journal.Ref{Kind: journal.Order, ID: c.OrderID}}, nil
		}, viewOrder)
}
