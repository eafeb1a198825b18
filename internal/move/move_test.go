package move_test

import (
	"context"
	"database/sql"
	"errors"
	"path/filepath"
	"sync"
	"testing"

	"perennial/internal/audit"
	"perennial/internal/catalog"
	"perennial/internal/customer"
	"perennial/internal/db"
	"perennial/internal/fault"
	"perennial/internal/id"
	"perennial/internal/journal"
	"perennial/internal/kinds"
	"perennial/internal/move"
	"perennial/internal/privacy"
	"perennial/internal/program"
	"perennial/internal/store"
	"perennial/internal/team"
	"perennial/internal/test/pgtest"
	"perennial/internal/test/shop"
	"perennial/internal/vault"
)

// open opens the database that a shop is moved to: a file in a new folder, or a PostgreSQL.
func open(t *testing.T, engine db.Engine, s *shop.Shop, folder *vault.Folder) *store.Store {
	t.Helper()
	var d *db.DB
	var err error
	if engine == db.Postgres {
		d, err = db.OpenPostgres(t.Context(), pgtest.URL(t), db.Options{})
	} else {
		d, err = db.Open(t.Context(), filepath.Join(t.TempDir(), "perennial.db"), db.Options{})
	}
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { d.Close() })
	to, err := store.Join(t.Context(), d, folder, kinds.Mappings(), s.Store.Shop)
	if err != nil {
		t.Fatal(err)
	}
	return to
}

// lived makes a shop with all that a move has to take along: states, secrets, reservations, kept answers, an erased person, a
// signed checkpoint, and more entries than go over in one batch.
func lived(t *testing.T) *shop.Shop {
	t.Helper()
	s := shop.Open(t)
	ada, bob := s.IDs.New(id.Customer), s.IDs.New(id.Customer)
	s.Do(journal.Bind(customer.Create{ID: ada, Email: "ada@mail.example", FirstName: "Ada"}))
	s.Do(journal.Bind(customer.Create{ID: bob, Email: "bob@mail.example", FirstName: "Bob"}))
	s.Do(journal.Bind(privacy.Redact{CustomerID: bob, ConfirmEmail: "bob@mail.example"}))
	s.Do(journal.Bind(team.CreateKey{ID: s.IDs.New(id.APIKey), Name: "Key", Permissions: []team.Permission{team.ProductsView}, Hash: make([]byte, 32), Actor: shop.System.Actor}))
	if _, err := s.Program.Checkpoint(t.Context()); err != nil {
		t.Fatal(err)
	}
	var wg sync.WaitGroup
	for range 64 {
		wg.Go(func() {
			for range 40 {
				if _, err := s.Try(product(s)); err != nil {
					t.Error(err)
				}
			}
		})
	}
	wg.Wait()
	return s
}

func product(s *shop.Shop) journal.Command {
	return journal.Bind(catalog.CreateProduct{ID: s.IDs.New(id.Product), Title: "Coffee", Status: catalog.Active})
}

func TestAShopMoves(t *testing.T) {
	for _, engine := range []db.Engine{db.Postgres, db.SQLite} {
		t.Run("to "+string(engine), func(t *testing.T) {
			s := lived(t)
			to := open(t, engine, s, s.Store.Keys.Folder())
			// It is stopped after each batch, and somebody goes on working meanwhile.
			stops := 0
			for {
				ctx, stop := context.WithCancel(t.Context())
				began := int64(-1)
				r, err := move.Shop(ctx, s.Store, to, s.Program, shop.System, move.Steps{Copying: func(done, _ int64) {
					if began < 0 {
						began = done
						s.Do(product(s))
					} else if done > began && stops < 2 {
						stop()
					}
				}})
				stop()
				if err == nil {
					if head, herr := to.ReadHead(t.Context(), to.Read); herr != nil || head.Seq+1 != r.Entries || head.Edge.Root().String() != r.Root {
						t.Errorf("the report: %+v, %v", r, herr)
					}
					break
				}
				if !errors.Is(err, context.Canceled) {
					t.Fatal(err)
				}
				if stops++; stops > 10 {
					t.Fatal("it does not come to an end")
				}
			}
			if stops == 0 {
				t.Error("it was never stopped")
			}
			// The source is closed, by the database itself; the copy goes on.
			if _, err := s.Try(product(s)); err == nil || fault.As(err).Code != "journal_moved" {
				t.Errorf("a change in the source: %v", err)
			}
			driver, source := "sqlite", "file:"+filepath.Join(s.Dir, "perennial.db")
			if u := shop.URL(t, s.Dir); u != "" {
				driver, source = "pgx", u
			}
			raw, err := sql.Open(driver, source)
			if err != nil {
				t.Fatal(err)
			}
			defer raw.Close()
			if _, err := raw.ExecContext(t.Context(), `UPDATE head SET moved_to = NULL`); db.Refusal(err) == "" {
				t.Errorf("the source was opened again: %v", err)
			}
			p, err := program.Start(t.Context(), to, s.IDs, s.Program.Now, nil)
			if err != nil {
				t.Fatal(err)
			}
			if _, err := p.Do(t.Context(), &program.Request{Meta: shop.System, Command: journal.Bind(customer.Create{ID: s.IDs.New(id.Customer), Email: "ada@mail.example"})}); err == nil || fault.As(err).Kind != fault.Conflict {
				t.Errorf("an e-mail address that is taken: %v", err)
			}
			if _, err := p.Do(t.Context(), &program.Request{Meta: shop.System, Command: product(s)}); err != nil {
				t.Error(err)
			}
			if _, err := p.Checkpoint(t.Context()); err != nil {
				t.Error(err)
			}
			if err := p.Stop(); err != nil {
				t.Error(err)
			}
			if r, err := audit.Verify(t.Context(), to, nil); err != nil || !r.Holds() {
				t.Errorf("the copy: %+v, %v", r, err)
			}
		})
	}
}

func TestAMoveRefusesWhatIsThere(t *testing.T) {
	s, other := lived(t), shop.Open(t)
	d, err := db.Open(t.Context(), filepath.Join(other.Dir, "perennial.db"), db.Options{})
	if u := shop.URL(t, other.Dir); u != "" {
		d, err = db.OpenPostgres(t.Context(), u, db.Options{})
	}
	if err != nil {
		t.Fatal(err)
	}
	defer d.Close()
	if _, err := store.Join(t.Context(), d, s.Store.Keys.Folder(), kinds.Mappings(), s.Store.Shop); err == nil {
		t.Error("another shop's database was taken")
	}
	to := open(t, db.SQLite, s, s.Store.Keys.Folder())
	if _, err := move.Shop(t.Context(), s.Store, to, s.Program, shop.System, move.Steps{}); err != nil {
		t.Fatal(err)
	}
	p, err := program.Start(t.Context(), to, s.IDs, s.Program.Now, nil)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := p.Do(t.Context(), &program.Request{Meta: shop.System, Command: product(s)}); err != nil {
		t.Error(err)
	}
	if err := p.Stop(); err != nil {
		t.Error(err)
	}
	if _, err := move.Shop(t.Context(), s.Store, to, s.Program, shop.System, move.Steps{}); err == nil || fault.As(err).Code != "copy_ahead" {
		t.Errorf("a shop that goes on elsewhere: %v", err)
	}
}
