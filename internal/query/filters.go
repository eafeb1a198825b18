package query

import (
	"perennial/internal/id"
	"perennial/internal/journal"
)

// Subscriptions says which subscriptions to list. What is empty leaves nothing out.
type Subscriptions struct {
	Status, Customer, Product string
	NextFrom, NextBefore      string // days of the next order, such as 2027-03-01
	// Meant are those that somebody's words led to; nil when nobody searched.
	Meant *Meant
}

// Meant is where the words of a search led: people, a subscription by its own id, or products.
type Meant struct {
	Things   []id.ID // customers or subscriptions
	Products []id.ID
}

// Where gives the filters.
func (f Subscriptions) Where() []Filter {
	where := append(IsGiven(Status, f.Status), IsGiven(Customer, f.Customer)...)
	if f.Product != "" {
		where = append(where, Holds(Products, f.Product))
	}
	if f.NextFrom != "" {
		where = append(where, From(Next, f.NextFrom))
	}
	if f.NextBefore != "" {
		where = append(where, Before(Next, f.NextBefore))
	}
	if m := f.Meant; m != nil {
		any := []Filter{In(Customer, m.Things), In(ID, m.Things)}
		for _, p := range m.Products {
			any = append(any, Holds(Products, p))
		}
		where = append(where, Any(any...))
	}
	return where
}

// Orders says which orders to list. What is empty leaves nothing out.
type Orders struct{ Status, Customer, Subscription string }

// Where gives the filters.
func (f Orders) Where() []Filter {
	return append(append(IsGiven(Status, f.Status), IsGiven(Customer, f.Customer)...), IsGiven(Subscription, f.Subscription)...)
}

// Shelf gives the filters for things of a status. Without one, those that were taken away (archived, removed, revoked, deactivated)
// are left out.
func Shelf[T ~string](status string, gone T) []Filter {
	if status == "" {
		return []Filter{Not(Status, gone)}
	}
	return []Filter{Is(Status, status)}
}

// Owner is the column that says to whom a thing of a kind belongs: a variant to its product, an address to its customer.
func Owner(kind journal.Kind) Column {
	switch kind {
	case journal.Variant:
		return Product
	case journal.SellingPlan:
		return Group
	case journal.CancelReason:
		return Flow
	}
	return Customer
}
