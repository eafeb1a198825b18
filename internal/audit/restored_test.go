package audit_test

import (
	"os"
	"path/filepath"
	"testing"

	"perennial/internal/customer"
	"perennial/internal/fault"
	"perennial/internal/id"
	"perennial/internal/journal"
	"perennial/internal/privacy"
	"perennial/internal/store"
	"perennial/internal/test/shop"
)

// A database from before an erasure, with the keys of today: the person stays erased, and what is left still verifies.
func TestARestoredDatabaseOfAnErasedPersonVerifies(t *testing.T) {
	shop.OnlySQLite(t) // it copies the file
	s := shop.Open(t)
	key := s.IDs.New(id.Customer)
	s.Do(journal.Bind(customer.Create{ID: key, Email: "ada@example.org", FirstName: "Ada"}))
	if err := s.Program.Exclusive(t.Context(), func(w *store.Writer) error { return w.Flush(t.Context()) }); err != nil {
		t.Fatal(err)
	}
	before, err := os.ReadFile(filepath.Join(s.Dir, "perennial.db"))
	if err != nil {
		t.Fatal(err)
	}
	s.Do(journal.Bind(privacy.Redact{CustomerID: key, ConfirmEmail: "ada@example.org"}))
	dir := t.TempDir()
	if err := os.CopyFS(filepath.Join(dir, "keys"), os.DirFS(filepath.Join(s.Dir, "keys"))); err != nil {
		t.Fatal(err)
	}
	for _, f := range []string{"root.key"} {
		if err := os.Chmod(filepath.Join(dir, "keys", f), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.WriteFile(filepath.Join(dir, "perennial.db"), before, 0o600); err != nil {
		t.Fatal(err)
	}
	restored := shop.OpenAt(t, dir) // checked when the test ends
	row, err := restored.Store.Load(t.Context(), restored.Store.Read, journal.Ref{Kind: journal.Customer, ID: key})
	if c, ok := row.State.(*customer.Customer); err != nil || !ok || !c.Email.Erased || !c.FirstName.Erased {
		t.Errorf("after the restore: %+v, %v, want everything personal erased", row.State, err)
	}
	// Nothing new is kept about the person, and the erasure can be finished.
	name := "Grace"
	if _, err := restored.Try(journal.Bind(customer.UpdateProfile{ID: key, FirstName: &name})); fault.As(err).Code != "erased" {
		t.Errorf("a new name: %v", err)
	}
	address := customer.AddAddress{ID: s.IDs.New(id.Address), CustomerID: key, Fields: customer.AddressFields{Line1: new("Kanalstr. 1"), City: new("Berlin"), PostalCode: new("10999"), Country: new("DE")}}
	if _, err := restored.Try(journal.Bind(address)); fault.As(err).Code != "erased" {
		t.Errorf("a new address: %v", err)
	}
	restored.Do(journal.Bind(privacy.Redact{CustomerID: key}))
	if _, err := restored.Try(journal.Bind(privacy.Redact{CustomerID: key})); fault.As(err).Code != "status_redacted" {
		t.Errorf("a second erasure: %v", err)
	}
	restored.Do(journal.Bind(customer.Create{ID: s.IDs.New(id.Customer), Email: "ada@example.org"}))
}
