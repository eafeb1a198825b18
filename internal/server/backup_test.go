package server

import (
	"os"
	"path/filepath"
	"sync"
	"testing"

	"perennial/internal/backup"
	"perennial/internal/catalog"
	"perennial/internal/db"
	"perennial/internal/fault"
	"perennial/internal/id"
	"perennial/internal/journal"
	"perennial/internal/program"
)

// Backups are made while people work and checkpoints are signed: each is of one moment, verifies, and can be restored.
func TestBackupsBesideWriters(t *testing.T) {
	c, _ := config(t.TempDir())
	i := open(t, c)
	found(t, i)
	s := serve(t, i, nil)
	for range 300 { // so that copying takes several steps
		product(t, i)
	}
	stop := make(chan struct{})
	var writers sync.WaitGroup
	for range 4 {
		writers.Go(func() {
			for n := 0; ; n++ {
				select {
				case <-stop:
					return
				default:
				}
				make := journal.Bind(catalog.CreateProduct{ID: i.IDs.New(id.Product), Title: "Tea"})
				if _, err := i.Program.Do(t.Context(), &program.Request{Meta: setup, Command: make}); err != nil {
					t.Error(err)
					return
				}
				if n%10 == 0 {
					s.checkpoint(t.Context())
				}
			}
		})
	}
	lock := &backup.Lock{Passphrase: "correct horse"}
	to := filepath.Join(t.TempDir(), "copies") + "/"
	if err := os.Mkdir(to, 0o700); err != nil {
		t.Fatal(err)
	}
	var last *Backed
	rounds := 3
	if testing.Short() { // a key from a passphrase takes half a minute beside the race detector
		rounds = 1
	}
	for n := range rounds {
		before := i.Program.Head()
		b, err := Backup(t.Context(), c, filepath.Join(to, string(rune('a'+n))+".db"), lock, Steps{})
		if err != nil || !b.Report.Holds() || b.Report.Entries <= before {
			t.Fatalf("backup %d after %d: %+v, %v", n, before, b, err)
		}
		last = b
	}
	close(stop)
	writers.Wait()
	if entries, err := os.ReadDir(to); err != nil || len(entries) != 2*rounds {
		t.Errorf("the folder holds %v, %v", entries, err)
	}
	// On a machine that has nothing.
	fresh, _ := config(t.TempDir())
	r, err := Restore(t.Context(), fresh, last.File, last.Keys, backup.Unlock{Passphrase: "correct horse"}, Steps{})
	if err != nil || !r.Holds() || r.Entries != last.Report.Entries || r.Root != last.Report.Root {
		t.Fatalf("restored: %+v, %v", r, err)
	}
	i = open(t, fresh)
	product(t, i)
	if err := i.Close(t.Context()); err != nil {
		t.Fatal(err)
	}
	if r, err := Verify(t.Context(), fresh, nil); err != nil || !r.Holds() {
		t.Errorf("afterwards: %+v, %v", r, err)
	}
}

// A copy of a database that does not verify is not kept.
func TestABadBackupIsNotKept(t *testing.T) {
	c, _ := config(t.TempDir())
	i := open(t, c)
	found(t, i)
	if err := i.Close(t.Context()); err != nil {
		t.Fatal(err)
	}
	d, err := db.Open(t.Context(), filepath.Join(c.Data, "perennial.db"), db.Options{})
	if err != nil {
		t.Fatal(err)
	}
	for _, statement := range []string{`DROP TRIGGER event_before_update`, `UPDATE event SET body = replace(body, '"test"', '"tset"') WHERE seq = 2`} {
		if _, err := d.Writer.ExecContext(t.Context(), statement); err != nil {
			t.Fatal(err)
		}
	}
	if err := d.Close(); err != nil {
		t.Fatal(err)
	}
	to := t.TempDir()
	b, err := Backup(t.Context(), c, to, &backup.Lock{Passphrase: "x"}, Steps{})
	if err != nil || b.Report.Holds() {
		t.Errorf("got %+v, %v", b, err)
	}
	if entries, err := os.ReadDir(to); err != nil || len(entries) > 0 {
		t.Errorf("it left %v, %v", entries, err)
	}
}

func TestBackupRefuses(t *testing.T) {
	c, _ := config(t.TempDir())
	if _, err := Backup(t.Context(), c, t.TempDir(), nil, Steps{}); err == nil {
		t.Error("of nothing")
	}
	i := open(t, c)
	found(t, i)
	if err := i.Close(t.Context()); err != nil {
		t.Fatal(err)
	}
	if _, err := Backup(t.Context(), c, filepath.Join(t.TempDir(), "none", "b.db"), nil, Steps{}); fault.As(err).Code != "backup_unwritable" {
		t.Errorf("into a folder that is not there: %v", err)
	}
	if _, err := Restore(t.Context(), c, "x", "", backup.Unlock{}, Steps{}); fault.As(err).Code != "database_exists" {
		t.Errorf("over a database: %v", err)
	}
	c.Database = "postgres://127.0.0.1/shop"
	if _, err := Restore(t.Context(), c, "x", "", backup.Unlock{}, Steps{}); fault.As(err).Code != "backup_engine" {
		t.Errorf("into a PostgreSQL: %v", err)
	}
}

func TestAPostgresIsNotBackedUpHere(t *testing.T) {
	shared, url := share(t, 1)
	c := shared[0].Config
	c.Database = url
	if _, err := Backup(t.Context(), c, t.TempDir(), nil, Steps{}); fault.As(err).Code != "backup_engine" {
		t.Errorf("got %v", err)
	}
}
