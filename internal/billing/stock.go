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

// instead puts a variant's backup in the place of each line whose own has not enough pieces, where there is one that has.
func (s Stock) instead(o *Order, products map[id.ID]*catalog.Product) {
	used := map[id.ID]int64{}
	enough := func(v *catalog.Variant, n int64) bool {
		return v != nil && (v.Inventory == nil || *v.Inventory-used[v.ID] >= n)
	}
	for i := range o.Items {
		l := &o.Items[i]
		n := int64(l.Quantity) * o.times(*l)
		if v := s[l.VariantID]; v != nil && !enough(v, n) {
			if b := s[v.BackupVariantID]; enough(b, n) {
				l.InsteadOf, l.VariantID, l.ProductID, l.Title = v.ID, b.ID, b.ProductID, b.Title
				if p := products[b.ProductID]; p != nil && p.Title != b.Title {
					l.Title = p.Title + ", " + b.Title
				}
			}
		}
		used[l.VariantID] += n
	}
}

// giveBack puts back what take took, as far as the stock is still counted.
func (s Stock) giveBack(o *Order, cause int) ([]journal.Draft, error) { return s.move(o, 1, cause) }

func (s Stock) move(o *Order, sign int64, cause int) ([]journal.Draft, error) {
	pieces := map[id.ID]int64{}
	for _, l := range o.Items {
		if l.FromStock {
			pieces[l.VariantID] += sign * int64(l.Quantity) * o.times(l)
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
