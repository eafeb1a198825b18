// Package subscription holds the rules of a subscription: what may be done to it, from which status, and what comes
// of it. Every rule is a pure function of a world, a command and a time.
//
// One file holds one family of rules: status.go what may be done from which status; create.go, lifecycle.go,
// schedule.go (skip, unskip, reschedule, frequency), items.go, delivery.go, discounts.go, gifts.go, notes.go and merge.go
// the commands; renew.go and recovery.go what billing brings about; price.go and upcoming.go what orders cost and when
// they come; undo.go and check.go what must hold afterwards. The arithmetic of dates is package civil's.
//
// The invariants are those of Check. A refusal is a fault: Conflict with the code status_<status> or the rule's own,
// or Refused with a JSON pointer for each wrong field. The rules are written down in docs/billing-rules.md.
package subscription

import (
	"perennial/internal/catalog"
	"perennial/internal/civil"
	"perennial/internal/id"
	"perennial/internal/journal"
	"perennial/internal/money"
)

// Status of a subscription.
type Status string

// The statuses.
const (
	Active    Status = "active"
	Paused    Status = "paused"
	Cancelled Status = "cancelled"
	Expired   Status = "expired" // all its cycles are billed
	Failed    Status = "failed"  // a charge failed and is being recovered
)

// Item is one line of a subscription.
type Item struct {
	ID        id.ID        `json:"id"`
	VariantID id.ID        `json:"variant_id"`
	ProductID id.ID        `json:"product_id"`
	Title     string       `json:"title"`    // of product and variant, as it was when added
	Quantity  int          `json:"quantity"` // 1 to 999
	UnitPrice money.Amount `json:"unit_price"`
	OneTime   bool         `json:"one_time"` // only in the next order
}

// AppliedDiscount is a discount on a subscription.
type AppliedDiscount struct {
	Code       string `json:"code"`
	DiscountID id.ID  `json:"discount_id"`
	Kind       string `json:"kind"` // "percentage" or "amount"
	Value      int64  `json:"value"`
	CyclesLeft *int   `json:"cycles_left"` // null: all orders
	// AppliedAt is when it was put on; null in those from before there was this. An order that was made earlier does not count for it.
	AppliedAt *journal.Time `json:"applied_at,omitzero"`
}

// Gift is an order that goes to somebody else.
type Gift struct {
	Date    civil.Date  `json:"date"`
	Address GiftAddress `json:"address"`
	Message string      `json:"message"`
}

// GiftAddress is where a gift goes; the same fields as a customer's address.
type GiftAddress struct {
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

// Recovery is the state of getting a failed order paid.
type Recovery struct {
	OrderID   id.ID       `json:"order_id"`
	Attempts  int         `json:"attempts"`   // charges tried so far
	Code      string      `json:"code"`       // of the last failure
	NextRetry *civil.Date `json:"next_retry"` // null: no retry is scheduled
	RetryDays []int       `json:"retry_days"` // the schedule that the case began with
	EndAction string      `json:"end_action"` // "cancel", "pause", "skip" or "keep"
	EnteredOn civil.Date  `json:"entered_on"`

	RepeatDays int         `json:"repeat_days"` // between the retries after the last of RetryDays; 0: there are none
	RetryHour  *int        `json:"retry_hour"`  // of the day in the shop's zone; null: the billing hour
	NeedsCard  bool        `json:"needs_card"`  // nothing that may be charged is left: a new payment method is waited for
	EndsOn     *civil.Date `json:"ends_on"`     // while one is waited for: when the case ends without it; null: never

	SilentDays []int `json:"silent_days,omitzero"` // 0, for the first failure, and those of RetryDays whose failures the customer is not told of
}

// Subscription is the state of one subscription.
type Subscription struct {
	ID                    id.ID                               `json:"id"`
	Status                Status                              `json:"status"`
	CustomerID            id.ID                               `json:"customer_id"`
	Currency              string                              `json:"currency"`
	Items                 []Item                              `json:"items" journal:"key=id"`
	SellingPlanID         id.ID                               `json:"selling_plan_id"`
	BillingPolicy         catalog.Policy                      `json:"billing_policy"`
	DeliveryPolicy        *catalog.Policy                     `json:"delivery_policy"`
	AnchorDate            civil.Date                          `json:"anchor_date"`       // rhythm date 0
	Position              int                                 `json:"position"`          // k of the next order; civil.Unanchored: the rhythm begins with the resume
	Cycle                 int                                 `json:"cycle"`             // orders billed
	NextBillingDate       *civil.Date                         `json:"next_billing_date"` // only while active or failed
	MovedFrom             *civil.Date                         `json:"moved_from"`        // the next order's rhythm date, when it was moved
	MovedTo               *civil.Date                         `json:"moved_to"`          // while nothing is billed: where the next order was moved, if it was
	LastBillingDate       *civil.Date                         `json:"last_billing_date"` // of the last order of the rhythm
	PausedUntil           *civil.Date                         `json:"paused_until"`      // the first day active again
	SkippedDates          []civil.Date                        `json:"skipped_dates"`     // after the last order, sorted; what date each had when it was skipped
	ShippingAddressID     id.ID                               `json:"shipping_address_id"`
	PaymentMethodID       id.ID                               `json:"payment_method_id"`
	BackupPaymentMethodID id.ID                               `json:"backup_payment_method_id"`
	DeliveryPrice         money.Amount                        `json:"delivery_price"`
	Discounts             []AppliedDiscount                   `json:"discounts" journal:"key=code"`
	Gifts                 journal.Personal[[]Gift]            `json:"gifts"`
	Recovery              *Recovery                           `json:"recovery"`
	Note                  journal.Personal[string]            `json:"note"`
	Attributes            journal.Personal[map[string]string] `json:"attributes"`
	ExtraOrders           int                                 `json:"extra_orders"` // orders made outside the rhythm (order-now)
	CancelledAt           *journal.Time                       `json:"cancelled_at"`
	CancelReason          journal.Personal[string]            `json:"cancel_reason"`
	MergedInto            id.ID                               `json:"merged_into"`
	CreatedAt             journal.Time                        `json:"created_at"`
	HeldOn                *civil.Date                         `json:"held_on"`      // the next order's date, while that order waits for stock
	CarriedOver           *money.Amount                       `json:"carried_over"` // of orders that were too small to be charged: it is charged with the next one; null: nothing
}

func (s *Subscription) Ref() journal.Ref { return journal.Ref{Kind: journal.Subscription, ID: s.ID} }

// Person is the customer, whose key seals note, gifts, attributes and the reason of a cancellation.
func (s *Subscription) Person() id.ID { return s.CustomerID }
