// Package billing holds the rules of orders and of charging for them: an order is created before it is charged, and
// placed once it is paid.
package billing

import (
	"perennial/internal/civil"
	"perennial/internal/id"
	"perennial/internal/journal"
	"perennial/internal/money"
)

// Status of an order.
type Status string

// The statuses.
const (
	Pending           Status = "pending" // created, not paid yet
	Placed            Status = "placed"  // paid
	Failed            Status = "failed"  // given up
	Cancelled         Status = "cancelled"
	Refunded          Status = "refunded"
	PartiallyRefunded Status = "partially_refunded"
)

// Line is one line of an order: what the subscription's item was when the order was made.
type Line struct {
	ItemID    id.ID        `json:"item_id"`
	VariantID id.ID        `json:"variant_id"`
	ProductID id.ID        `json:"product_id"`
	Title     string       `json:"title"`
	Quantity  int          `json:"quantity"`
	UnitPrice money.Amount `json:"unit_price"` // after the plan's pricing
	Total     money.Amount `json:"total"`      // before discounts
	OneTime   bool         `json:"one_time"`
}

// Attempt is one charge of an order.
type Attempt struct {
	ID              id.ID         `json:"id"` // also the gateway's idempotency key
	PaymentMethodID id.ID         `json:"payment_method_id"`
	Amount          money.Amount  `json:"amount"`
	Status          string        `json:"status"` // started, succeeded, failed, action_required
	Code            string        `json:"code"`   // of the failure
	Message         string        `json:"message"`
	GatewayID       string        `json:"gateway_id"`
	StartedAt       journal.Time  `json:"started_at"`
	FinishedAt      *journal.Time `json:"finished_at"`
}

// ShipTo is the copy of the address that the order goes to.
type ShipTo struct {
	FirstName  string `json:"first_name"`
	LastName   string `json:"last_name"`
	Company    string `json:"company"`
	Line1      string `json:"line1"`
	Line2      string `json:"line2"`
	City       string `json:"city"`
	Region     string `json:"region"`
	PostalCode string `json:"postal_code"`
	Country    string `json:"country"`
	Phone      string `json:"phone"`
}

// Order is one order of a subscription.
type Order struct {
	ID             id.ID                     `json:"id"`
	SubscriptionID id.ID                     `json:"subscription_id"`
	CustomerID     id.ID                     `json:"customer_id"`
	Number         string                    `json:"number"` // "<number of the subscription's order>", see OrderNumber
	Cycle          *int                      `json:"cycle"`  // which cycle of the subscription it bills; null for an extra order
	BillingDate    civil.Date                `json:"billing_date"`
	Status         Status                    `json:"status"`
	Items          []Line                    `json:"items"`
	Subtotal       money.Amount              `json:"subtotal"`
	Discount       money.Amount              `json:"discount"`
	Delivery       money.Amount              `json:"delivery"`
	Tax            money.Amount              `json:"tax"`
	Total          money.Amount              `json:"total"`
	Refunded       money.Amount              `json:"refunded"`
	Attempts       []Attempt                 `json:"attempts" journal:"key=id"`
	ShipTo         journal.Personal[*ShipTo] `json:"ship_to"`
	GiftMessage    journal.Personal[string]  `json:"gift_message"`
	TrackingURL    journal.Personal[string]  `json:"tracking_url"`
	PlacedAt       *journal.Time             `json:"placed_at"`
	FulfilledAt    *journal.Time             `json:"fulfilled_at"`
	CancelledAt    *journal.Time             `json:"cancelled_at"`
	CreatedAt      journal.Time              `json:"created_at"`
}

func (o *Order) Ref() journal.Ref { return journal.Ref{Kind: journal.Order, ID: o.ID} }

// Person is the customer, whose key seals where the order goes.
func (o *Order) Person() id.ID { return o.CustomerID }
