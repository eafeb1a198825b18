package billing

import (
	"maps"
	"slices"

	"perennial/internal/catalog"
	"perennial/internal/id"
	"perennial/internal/journal"
)

// Stock is the variants of orders, as they are at a point of a decision. A rule works on a clone, which its own changes
// move on.
type Stock map[id.ID]*catalog.Variant

// LoadStock loads the variants of orders' lines.
func LoadStock(r journal.Reader, orders ...*Order) (Stock, error) {
	var ids []id.ID
	for _, o := range orders {
		for _, l := range o.Items {
			ids = append(ids, l.VariantID)
		}
	}
	return loadStock(r, ids)
}

func loadStock(r journal.Reader, ids []id.ID) (Stock, error) {
	s := Stock{}
	for _, key := range ids {
		v, err := journal.Find[catalog.Variant](r, journal.Variant, key)
		if err != nil {
			return nil, err
		}
		if v != nil {
			s[key] = v
		}
	}
	return s, nil
}

func (s Stock) clone() Stock { return maps.Clone(s) }

// take takes the pieces of an order's lines, one event for each variant whose stock is counted, and marks those lines.
// It refuses with out_of_stock.
func (s Stock) take(o *Order, cause int) ([]journal.Draft, error) {
	for i, l := range o.Items {
		v := s[l.VariantID]
		o.Items[i].FromStock = v != nil && v.Inventory != nil
	}
	return s.move(o, -1, cause)
}

// giveBack puts back what take took, as far as the stock is still counted.
func (s Stock) giveBack(o *Order, cause int) ([]journal.Draft, error) { return s.move(o, 1, cause) }

func (s Stock) move(o *Order, sign int64, cause int) ([]journal.Draft, error) {
	pieces := map[id.ID]int64{}
	for _, l := range o.Items {
		if l.FromStock {
			pieces[l.VariantID] += sign * int64(l.Quantity)
		}
	}
	var out []journal.Draft
	for _, key := range slices.Sorted(maps.Keys(pieces)) {
		if s[key] == nil {
			continue
		}
		d, next, ok, err := catalog.ChangeInventory(s[key], pieces[key], o.Ref(), journal.Ref{Kind: journal.Subscription, ID: o.SubscriptionID})
		if err != nil {
			return nil, err
		}
		if ok {
			d.CausedByDraft = cause
			s[key] = next
			out = append(out, d)
		}
	}
	return out, nil
}
