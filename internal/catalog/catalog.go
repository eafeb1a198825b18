// Package catalog holds what is sold: products and their variants, selling plan groups and plans, discounts. Every rule
// is a pure function of a world, a command and a time.
//
// The contract: Check accepts every state that a command comes to (TestMachine). Nothing is ever deleted: a thing that
// was archived keeps its row, and cannot change until that is undone. What can be sold is a matter of a thing and of the
// one it belongs to (Sellable, Offered), so that one entry takes all of it out of sale and undoing that entry brings all of it
// back. Subscriptions keep what they were made with: their price, their rhythm, their discounts.
//
// Percentages are whole numbers, 1 to 100.
package catalog

import (
	"perennial/internal/civil"
	"perennial/internal/id"
	"perennial/internal/journal"
	"perennial/internal/money"
)

// Status of a thing of the catalogue.
type Status string

// The statuses. A draft product is not sold yet; an archived one is not sold any more and its row stays.
const (
	Active   Status = "active"
	Draft    Status = "draft"
	Archived Status = "archived"
	Inactive Status = "inactive" // a discount that was deactivated
)

// Product is something that subscribers receive; what is priced and counted are its variants.
type Product struct {
	ID            id.ID        `json:"id"`
	Title         string       `json:"title"`
	Description   string       `json:"description"`
	ImageURL      string       `json:"image_url"`
	Status        Status       `json:"status"` // active, draft, archived
	PortalVisible bool         `json:"portal_visible"`
	Upsell        bool         `json:"upsell"` // offered as a one-time addition in the portal
	CreatedAt     journal.Time `json:"created_at"`

	UpsellDiscount int `json:"upsell_discount"` // percent off as a one-time addition while it is offered, 0 to 100
	UpsellLimit    int `json:"upsell_limit"`    // pieces of it that a subscriber may add to one order, 0 to 999; 0: as many as they like
}

// SoldOut says whether the variant's stock is counted and nothing is left of it.
func (v *Variant) SoldOut() bool { return v.Inventory != nil && *v.Inventory < 1 }

// OncePrice is what a variant costs as a one-time addition: while its product is offered as one, with the discount of that. A
// fraction of a minor unit is rounded half up.
func OncePrice(p *Product, v *Variant) money.Amount {
	if !p.Upsell {
		return v.Price
	}
	price, err := v.Price.PercentOff(int64(p.UpsellDiscount))
	if err != nil { // cannot be: at most the price, which is an amount
		return v.Price
	}
	return price
}

// Variant is one form of a product, with its price.
type Variant struct {
	ID          id.ID        `json:"id"`
	ProductID   id.ID        `json:"product_id"`
	Title       string       `json:"title"`
	SKU         string       `json:"sku"`
	Price       money.Amount `json:"price"`
	WeightGrams int          `json:"weight_grams"`
	Inventory   *int64       `json:"inventory"` // null: not counted
	Status      Status       `json:"status"`    // active, archived
	CreatedAt   journal.Time `json:"created_at"`

	BackupVariantID id.ID `json:"backup_variant_id"` // sent when this one is out of stock, where the store chose that; empty: none
}

// Group is a selling plan group: plans that are offered together for some products.
type Group struct {
	ID         id.ID        `json:"id"`
	Name       string       `json:"name"`
	ProductIDs []id.ID      `json:"product_ids"` // sorted, without duplicates
	Status     Status       `json:"status"`      // active, archived
	CreatedAt  journal.Time `json:"created_at"`
}

// Policy is a rhythm: of billing or of delivery.
type Policy struct {
	Interval      civil.Unit `json:"interval"`
	IntervalCount int        `json:"interval_count"`
	AnchorDay     *int       `json:"anchor_day"` // 1 to 31, only for month and year; null: the day of the anchor date
	MaxCycles     *int       `json:"max_cycles"` // null: no end
}

// Every gives the policy's interval.
func (p Policy) Every() civil.Interval {
	return civil.Interval{Unit: p.Interval, Count: p.IntervalCount}
}

// Pricing is one step of a plan's price: from the order after AfterCycle orders on.
type Pricing struct {
	Kind       string `json:"kind"`        // "percentage" (0 to 100 off), "amount" (minor units off), "price" (minor units: the price)
	Value      int64  `json:"value"`       // see Kind; never negative
	AfterCycle int    `json:"after_cycle"` // 0: from the first order on
}

// Plan is a selling plan.
type Plan struct {
	ID             id.ID        `json:"id"`
	GroupID        id.ID        `json:"group_id"`
	Name           string       `json:"name"`
	BillingPolicy  Policy       `json:"billing_policy"`
	DeliveryPolicy *Policy      `json:"delivery_policy"` // null: the same as billing
	Pricing        []Pricing    `json:"pricing"`
	MinCycles      *int         `json:"min_cycles"`
	MaxCycles      *int         `json:"max_cycles"`
	Status         Status       `json:"status"` // active, archived
	CreatedAt      journal.Time `json:"created_at"`
}

// Discount is a code that takes money off.
type Discount struct {
	ID             id.ID         `json:"id"`
	Code           string        `json:"code"` // upper case, A-Z 0-9 - _, 3 to 40 characters; reserved under scope "discount_code"
	Kind           string        `json:"kind"` // "percentage" (1 to 100) or "amount" (minor units of the shop's currency)
	Value          int64         `json:"value"`
	MaxCycles      *int          `json:"max_cycles"`      // how many orders of one subscription; null: all
	MaxRedemptions *int          `json:"max_redemptions"` // how many subscriptions; null: no limit
	Redemptions    int           `json:"redemptions"`
	EndsAt         *journal.Time `json:"ends_at"`
	Status         Status        `json:"status"` // active, inactive
	CreatedAt      journal.Time  `json:"created_at"`
}

func (p *Product) Ref() journal.Ref  { return journal.Ref{Kind: journal.Product, ID: p.ID} }
func (v *Variant) Ref() journal.Ref  { return journal.Ref{Kind: journal.Variant, ID: v.ID} }
func (g *Group) Ref() journal.Ref    { return journal.Ref{Kind: journal.SellingPlanGroup, ID: g.ID} }
func (p *Plan) Ref() journal.Ref     { return journal.Ref{Kind: journal.SellingPlan, ID: p.ID} }
func (d *Discount) Ref() journal.Ref { return journal.Ref{Kind: journal.Discount, ID: d.ID} }

func (*Product) Person() id.ID  { return "" }
func (*Variant) Person() id.ID  { return "" }
func (*Group) Person() id.ID    { return "" }
func (*Plan) Person() id.ID     { return "" }
func (*Discount) Person() id.ID { return "" }
