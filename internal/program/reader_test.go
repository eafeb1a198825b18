package program_test

import (
	"testing"

	"perennial/internal/catalog"
	"perennial/internal/fault"
	"perennial/internal/id"
	"perennial/internal/journal"
	"perennial/internal/program"
	"perennial/internal/test/shop"
)

func TestReaderSeesWhatCommandsSee(t *testing.T) {
	s := shop.Open(t)
	key, c := product(s, "Coffee")
	first := s.Do(c).Events[0]
	for _, title := range []string{"Tea", "Cocoa"} {
		s.Do(journal.Bind(catalog.UpdateProduct{ID: key, Title: &title}))
	}
	r := program.NewReader(t.Context(), s.Store, s.Store.Read)
	if p, err := journal.Get[catalog.Product](r, journal.Product, key); err != nil || p.Title != "Cocoa" {
		t.Errorf("state: got %+v, %v", p, err)
	}
	if ids, err := r.Where(journal.Product, "status", string(catalog.Active)); err != nil || len(ids) != 1 || ids[0] != key {
		t.Errorf("where: got %v, %v", ids, err)
	}
	if _, ok, err := r.Reserved("customer_email", "nobody@example.com"); ok || err != nil {
		t.Errorf("reserved: got %v, %v", ok, err)
	}
	e, later, err := r.Event(first.ID)
	if err != nil || e.ID != first.ID || len(later) != 2 || later[0].TargetVersion != 2 || later[1].TargetVersion != 3 {
		t.Errorf("event: got %v, %v, %v", e, later, err)
	}
	if _, _, err := r.Event(id.Event(s.Store.Shop, 999)); fault.As(err).Kind != fault.NotFound {
		t.Errorf("an unknown event: got %v", err)
	}
}
