package server

import (
	"bytes"
	"context"
	"database/sql"
	"maps"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"perennial/internal/customer"
	"perennial/internal/fault"
	"perennial/internal/id"
	"perennial/internal/journal"
	"perennial/internal/privacy"
	"perennial/internal/program"
	"perennial/internal/store"
)

func holds(t *testing.T, c Config) {
	t.Helper()
	r, err := Verify(context.Background(), c, nil)
	if err != nil || !r.Holds() {
		t.Errorf("verify: %+v, %v", r, err)
	}
}

func TestFilesThatAreNoDatabase(t *testing.T) {
	c, _ := config(t.TempDir())
	i := open(t, c)
	found(t, i)
	if err := i.Program.Exclusive(t.Context(), func(w *store.Writer) error { return w.Flush(t.Context()) }); err != nil {
		t.Fatal(err)
	}
	if err := i.Close(t.Context()); err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(c.Data, "perennial.db")
	good, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	newer := bytes.Clone(good)
	for name, file := range map[string][]byte{
		"a text":         []byte(strings.Repeat("This is not a database.\n", 1000)),
		"cut short":      good[:len(good)/2],
		"a damaged page": append(append(bytes.Clone(good[:8192]), make([]byte, 8192)...), good[16384:]...),
		"no pages":       newer[:100],
	} {
		if err := os.WriteFile(path, file, 0o600); err != nil {
			t.Fatal(err)
		}
		i, err := Open(t.Context(), c)
		if err == nil {
			// Damage that opening does not meet is found by verify.
			if err := i.Close(t.Context()); err != nil {
				t.Logf("%s: close: %v", name, err)
			}
			if r, err := Verify(t.Context(), c, nil); err == nil && r.Holds() {
				t.Errorf("%s was taken for the database, and verify finds nothing", name)
			}
			continue
		}
		if f := fault.As(err); f.Kind != fault.Unavailable || f.Code == "internal" {
			t.Errorf("%s: %v", name, err)
		}
		if got, err := os.ReadFile(path); err != nil || !bytes.Equal(got, file) {
			t.Errorf("%s: the file was changed, %v", name, err)
		}
	}
	if err := os.WriteFile(path, good, 0o600); err != nil {
		t.Fatal(err)
	}
	holds(t, c)
}

func TestADatabaseOfANewerVersion(t *testing.T) {
	c, _ := config(t.TempDir())
	i := open(t, c)
	found(t, i)
	if err := i.Close(t.Context()); err != nil {
		t.Fatal(err)
	}
	d := sqlite(t, c)
	if _, err := d.Exec(`INSERT INTO goose_db_version (version_id, is_applied) VALUES (9999, 1)`); err != nil {
		t.Fatal(err)
	}
	for name, err := range map[string]error{"open": func() error { _, err := Open(t.Context(), c); return err }(), "verify": func() error { _, err := Verify(t.Context(), c, nil); return err }()} {
		if err == nil || fault.As(err).Code != "schema_newer" {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// copyOf gives a configuration of a copy of the database as it is now, with the same keys folder.
func copyOf(t *testing.T, i *Instance) Config {
	t.Helper()
	if err := i.Program.Exclusive(t.Context(), func(w *store.Writer) error { return w.Flush(t.Context()) }); err != nil {
		t.Fatal(err)
	}
	b, err := os.ReadFile(filepath.Join(i.Config.Data, "perennial.db"))
	if err != nil {
		t.Fatal(err)
	}
	c, _ := config(t.TempDir())
	c.Keys = i.Config.keysPath()
	if err := os.WriteFile(filepath.Join(c.Data, "perennial.db"), b, 0o600); err != nil {
		t.Fatal(err)
	}
	return c
}

func TestARestoredDatabaseSignsNothing(t *testing.T) {
	c, _ := config(t.TempDir())
	i := open(t, c)
	found(t, i)
	old := copyOf(t, i)
	product(t, i)
	if _, err := i.Program.Checkpoint(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := i.Close(t.Context()); err != nil {
		t.Fatal(err)
	}
	restored := open(t, old)
	if _, err := restored.Program.Checkpoint(t.Context()); err == nil || fault.As(err).Code != "database_behind" {
		t.Errorf("behind the last checkpoint: %v", err)
	}
	product(t, restored) // another history from here on
	product(t, restored)
	if _, err := restored.Program.Checkpoint(t.Context()); err == nil || fault.As(err).Code != "database_forked" {
		t.Errorf("another history: %v", err)
	}
	if err := restored.Close(t.Context()); err != nil {
		t.Error(err)
	}
	if r, err := Verify(t.Context(), old, nil); err != nil || r.Holds() {
		t.Errorf("verify does not see it: %+v, %v", r, err)
	}
	holds(t, c)
}

// A crash after the commit of an erasure, before the keys folder heard of it.
func TestAnErasureIsFinishedAfterACrash(t *testing.T) {
	c, _ := config(t.TempDir())
	i := open(t, c)
	found(t, i)
	key := i.IDs.New(id.Customer)
	do(t, i, journal.Bind(customer.Create{ID: key, Email: "ada@mail.example", FirstName: "Ada"}))
	do(t, i, journal.Bind(privacy.Redact{CustomerID: key, ConfirmEmail: "ada@mail.example"}))
	if err := i.Close(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := os.Remove(filepath.Join(c.Data, "keys", "erased")); err != nil {
		t.Fatal(err)
	}
	i = open(t, c)
	if !i.Store.Keys.Folder().Erased(string(key)) {
		t.Error("the keys folder does not know of the erasure")
	}
	if err := i.Close(t.Context()); err != nil {
		t.Error(err)
	}
	holds(t, c)
}

// sqlite opens the file as the stock shell would.
func sqlite(t *testing.T, c Config) *sql.DB {
	t.Helper()
	d, err := sql.Open("sqlite", "file:"+filepath.Join(c.Data, "perennial.db"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { d.Close() })
	return d
}

// Whoever took a trigger away is told of in the log, once; the trigger is back.
func TestMissingTriggersAreLogged(t *testing.T) {
	c, log := config(t.TempDir())
	i := open(t, c)
	found(t, i)
	if err := i.Close(t.Context()); err != nil {
		t.Fatal(err)
	}
	if log.String() != "" {
		t.Errorf("of a new database the log says:\n%s", log)
	}
	d := sqlite(t, c)
	for _, text := range []string{`DROP TRIGGER event_before_update`, `CREATE TRIGGER sly AFTER INSERT ON event BEGIN DELETE FROM pending; END`} {
		if _, err := d.Exec(text); err != nil {
			t.Fatal(err)
		}
	}
	if r, err := Verify(t.Context(), c, nil); err != nil || r.Differences != 2 {
		t.Errorf("verify: %+v, %v", r, err)
	}
	for range 2 {
		if err := open(t, c).Close(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	for _, name := range []string{"event_before_update", "sly"} {
		if n := strings.Count(log.String(), name); n != 1 {
			t.Errorf("%s is named %d times:\n%s", name, n, log)
		}
	}
	if _, err := d.Exec(`UPDATE event SET type = 'product.created'`); err == nil {
		t.Error("the trigger is not back")
	}
	holds(t, c)
}

func TestKeysOfAnotherDatabase(t *testing.T) {
	var shops [2]Config
	for n := range shops {
		shops[n], _ = config(t.TempDir())
		i := open(t, shops[n])
		found(t, i)
		if _, err := i.Program.Checkpoint(t.Context()); err != nil {
			t.Fatal(err)
		}
		if err := i.Close(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	files := func() map[string]string {
		t.Helper()
		out := map[string]string{}
		for _, c := range shops {
			err := filepath.WalkDir(c.Data, func(path string, e os.DirEntry, err error) error {
				if err != nil || e.IsDir() {
					return err
				}
				b, err := os.ReadFile(path)
				if name := filepath.Base(path); !strings.HasSuffix(name, "-shm") && !strings.HasSuffix(name, "-wal") {
					out[path] = string(b)
				}
				return err
			})
			if err != nil {
				t.Fatal(err)
			}
		}
		return out
	}
	before := files()
	mixed := shops[0]
	mixed.Keys = filepath.Join(shops[1].Data, "keys")
	if i, err := Open(t.Context(), mixed); err == nil || fault.As(err).Code != "wrong_keys" {
		t.Errorf("open: %v, %v", i, err)
	}
	if _, err := Verify(t.Context(), mixed, nil); err == nil || fault.As(err).Code != "wrong_keys" {
		t.Errorf("verify: %v", err)
	}
	if !maps.Equal(files(), before) {
		t.Error("a file was changed")
	}
	for _, c := range shops {
		holds(t, c)
	}
}

// Shops that share a keys folder erase nothing of each other.
func TestShopsThatShareAKeysFolder(t *testing.T) {
	keys := filepath.Join(t.TempDir(), "keys")
	m := setup
	m.Source = journal.Origin{Channel: journal.ChannelAPI, IP: journal.Secluded("203.0.113.7"), UserAgent: journal.Secluded("curl/8")}
	var shops [2]*Instance
	var months [2]string
	for n := range shops {
		c, _ := config(t.TempDir())
		c.Keys = keys
		shops[n] = open(t, c)
		found(t, shops[n])
		if _, err := shops[n].Program.Do(t.Context(), &program.Request{Meta: m, Command: journal.Bind(customer.Create{ID: shops[n].IDs.New(id.Customer), Email: "ada@mail.example"})}); err != nil {
			t.Fatal(err)
		}
		list, err := shops[n].Store.Keys.NetworkMonths(t.Context(), shops[n].Store.Read)
		if err != nil || len(list) != 1 {
			t.Fatalf("months: %v, %v", list, err)
		}
		months[n] = list[0]
	}
	if err := shops[0].Store.Keys.Folder().Erase(shops[0].Store.Keys.NetworkKey(months[0])); err != nil {
		t.Fatal(err)
	}
	for n, i := range shops {
		st, err := i.Store.Event(t.Context(), i.Store.Read, store.Opened, i.Program.Head())
		if err != nil || st.Source.IP.Erased != (n == 0) {
			t.Errorf("shop %d: %+v, %v", n, st.Source.IP, err)
		}
		if err := i.Close(t.Context()); err != nil {
			t.Fatal(err)
		}
		holds(t, i.Config)
	}
}
