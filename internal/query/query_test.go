package query_test

import (
	"fmt"
	"testing"

	"github.com/google/go-cmp/cmp"

	"perennial/internal/catalog"
	"perennial/internal/id"
	"perennial/internal/journal"
	"perennial/internal/kinds"
	"perennial/internal/query"
	"perennial/internal/store"
	"perennial/internal/test/shop"
)

// Each column is of a table's, and each table's columns can be asked for.
func TestEveryColumn(t *testing.T) {
	s := shop.Open(t)
	known := map[query.Column]bool{query.ID: true}
	for _, c := range []query.Column{query.Status, query.Role, query.Customer, query.Subscription, query.Product, query.Group, query.Flow, query.Products, query.Next, query.Due, query.OpenAttempt, query.GatewayData} {
		known[c] = false
	}
	for _, m := range kinds.Mappings() {
		for _, c := range append(m.Columns, "id") {
			if _, ok := known[query.Column(c)]; !ok {
				if c != "paid" { // a sum, see store.Totals
					t.Errorf("%s has the column %s, which no list can ask for", m.Kind, c)
				}
				continue
			}
			known[query.Column(c)] = true
			_, err := query.Rows(t.Context(), s.Store, query.List{Kind: m.Kind, Where: []query.Filter{
				query.Is(query.Column(c), "a"), query.Not(query.Column(c), "b"), query.From(query.Column(c), "a"), query.Before(query.Column(c), "b"), query.After(query.Column(c), "a"), query.To(query.Column(c), "b"),
				query.Set(query.Column(c)), query.In(query.Column(c), []string{"a", "b"}), query.Holds(query.Column(c), "a"), query.Any(query.Is(query.Column(c), "a"), query.Mentions(`"a"`)),
				query.Past(query.Column(c), "a", "b"), query.KeyDestroyed(),
			}, Steady: true})
			if err != nil {
				t.Errorf("%s by %s: %v", m.Kind, c, err)
			}
		}
	}
	for c, ok := range known {
		if !ok {
			t.Errorf("no table has the column %s", c)
		}
	}
}

func TestLists(t *testing.T) {
	s := shop.Open(t)
	var all []id.ID
	for i := range 7 {
		key := s.IDs.New(id.Product)
		s.Do(journal.Bind(catalog.CreateProduct{ID: key, Title: fmt.Sprintf("Coffee %d", i), Status: catalog.Active}))
		all = append(all, key)
	}
	s.Do(journal.Bind(catalog.ArchiveProduct{ID: all[3]}))
	ask := func(l query.List) (out []id.ID) {
		l.Kind = journal.Product
		rows, err := query.Rows(t.Context(), s.Store, l)
		if err != nil {
			t.Fatal(err)
		}
		return keys(rows)
	}
	for _, tt := range []struct {
		name string
		list query.List
		want []id.ID
	}{
		{"all", query.List{}, all},
		{"newest", query.List{Order: query.Newest, Limit: 2}, []id.ID{all[6], all[5]}},
		{"of a status", query.List{Where: []query.Filter{query.Is(query.Status, catalog.Archived)}}, all[3:4]},
		{"on the shelf", query.List{Where: query.Shelf("", catalog.Archived), Limit: 4}, []id.ID{all[0], all[1], all[2], all[4]}},
		{"of none", query.List{Where: []query.Filter{query.In(query.ID, []id.ID(nil))}}, nil},
		{"of some", query.List{Where: []query.Filter{query.In(query.ID, all[2:4])}}, all[2:4]},
		{"of any of none", query.List{Where: []query.Filter{query.Any()}}, nil},
		{"of any", query.List{Where: []query.Filter{query.Any(query.Is(query.ID, all[0]), query.Is(query.ID, all[6]))}}, []id.ID{all[0], all[6]}},
		{"what is said is data", query.List{Where: []query.Filter{query.Is(query.Status, "x' OR '1'='1")}}, nil},
	} {
		if diff := cmp.Diff(tt.want, ask(tt.list)); diff != "" {
			t.Errorf("%s (-want +got):\n%s", tt.name, diff)
		}
	}
	for _, order := range []query.Order{query.Oldest, query.Newest} {
		var got []id.ID
		pages := 0
		for rows, err := range query.Pages(t.Context(), s.Store, query.List{Kind: journal.Product, Order: order, Limit: 3}, "") {
			if err != nil {
				t.Fatal(err)
			}
			got, pages = append(got, keys(rows)...), pages+1
		}
		if diff := cmp.Diff(ask(query.List{Order: order}), got); diff != "" || pages != 3 {
			t.Errorf("%d pages, %s (-want +got):\n%s", pages, order, diff)
		}
	}
	if n, err := query.Count(t.Context(), s.Store, journal.Product, query.Is(query.Status, catalog.Active)); n != 6 || err != nil {
		t.Errorf("counted %d, %v; want 6", n, err)
	}
	many := append(make([]id.ID, 0, 500), all...)
	for range 400 {
		many = append(many, s.IDs.New(id.Product))
	}
	if rows, err := query.ByID(t.Context(), s.Store, journal.Product, many); len(rows) != 7 || err != nil {
		t.Errorf("%d rows by id, %v; want 7", len(rows), err)
	}
}

func keys(rows []store.Row) (out []id.ID) {
	for _, r := range rows {
		out = append(out, r.State.Ref().ID)
	}
	return out
}
