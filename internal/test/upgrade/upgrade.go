// Package upgrade opens a shop that the build before this one made (5b98bc0), so that tests hold this one to what it finds there: a
// year of a small shop's history, and attempts, a refund and disputes that were open when it stopped. testdata/make_test.go.txt
// made it.
//
// The names of what is in it (see [Shop.Names]): paid (its first order was refunded in part; an extra order was charged and the
// answer lost), refunding (a refund is on its way), disputed, dispute_won, dispute_lost, failed (in recovery), waiting (the bank asks
// the customer), confirmed (the same, and the customer said yes), charged (the answer to its charge was lost), unheard
// (the gateway never heard of its charge). Each is a subscription; with _customer or _card it is its customer or card. Besides
// there are api_key, owner_email, owner_password, variant, demo_customer, demo_subscription and now, the time when it stopped.
package upgrade

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"context"
	"embed"
	"encoding/json"
	"errors"
	"io"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"perennial/internal/db"
	"perennial/internal/id"
	"perennial/internal/store"
	"perennial/internal/test/pgtest"
	"perennial/internal/test/shop"
)

//go:embed testdata/*.tar.gz
var made embed.FS

// Shop is a folder with the shop, as the build before left it, and the schema of this build.
type Shop struct {
	Dir      string // with perennial.db, keys and the gateway's ledger gateway.jsonl
	Database string // its address; empty for the file in Dir
	Now      time.Time
	names    map[string]string
}

// Open gives a copy of the shop for a test, on the engine of the tests. Its schema is brought up to date.
func Open(t testing.TB) *Shop {
	t.Helper()
	return OpenAfter(t, nil)
}

// OpenAfter is Open, after something was done to the database with the schema of the build before.
func OpenAfter(t testing.TB, do func(s *Shop, d *db.DB)) *Shop {
	t.Helper()
	s, err := unpack(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	ctx := context.Background()
	path := filepath.Join(s.Dir, "perennial.db")
	opener := db.Open
	if shop.Engine() == db.Postgres {
		if s.Database, err = restore(ctx, t, filepath.Join(s.Dir, "perennial.sql")); err != nil {
			t.Fatal(err)
		}
		path, opener = s.Database, db.OpenPostgres
	}
	shop.Adopt(s.Dir, s.Database)
	d, err := opener(ctx, path, db.Options{})
	if err != nil {
		t.Fatal(err)
	}
	if do != nil {
		do(s, d)
	}
	if _, err := store.Migrate(ctx, d, false); err != nil {
		t.Fatal(errors.Join(err, d.Close()))
	}
	if err := d.Close(); err != nil {
		t.Fatal(err)
	}
	return s
}

// Name gives the id, or the text, of something in the shop.
func (s *Shop) Name(t testing.TB, name string) string {
	t.Helper()
	value, ok := s.names[name]
	if !ok {
		t.Fatalf("nothing in the shop is called %q", name)
	}
	return value
}

// ID is Name for what has an id.
func (s *Shop) ID(t testing.TB, name string) id.ID { return id.ID(s.Name(t, name)) }

func unpack(dir string) (*Shop, error) {
	data, err := made.ReadFile("testdata/" + string(shop.Engine()) + ".tar.gz")
	if err != nil {
		return nil, err
	}
	z, err := gzip.NewReader(bytes.NewReader(data))
	if err != nil {
		return nil, err
	}
	root, err := os.OpenRoot(dir)
	if err != nil {
		return nil, err
	}
	defer func() { _ = root.Close() }() // it only wrote files that are closed
	for r := tar.NewReader(z); ; {
		h, err := r.Next()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return nil, err
		}
		if h.FileInfo().IsDir() {
			err = root.MkdirAll(h.Name, 0o700)
		} else {
			var b []byte
			if b, err = io.ReadAll(r); err == nil {
				err = root.WriteFile(h.Name, b, h.FileInfo().Mode().Perm())
			}
		}
		if err != nil {
			return nil, err
		}
	}
	b, err := root.ReadFile("names.json")
	if err != nil {
		return nil, err
	}
	s := &Shop{Dir: dir}
	if err := json.Unmarshal(b, &s.names); err != nil {
		return nil, err
	}
	s.Now, err = time.Parse(time.RFC3339, s.names["now"])
	return s, err
}

// restore runs what pg_dump wrote in an empty database, and gives its address.
func restore(ctx context.Context, t testing.TB, file string) (string, error) {
	script, err := os.ReadFile(file)
	if err != nil {
		return "", err
	}
	u := pgtest.URL(t)
	c, err := pgx.Connect(ctx, u)
	if err != nil {
		return "", err
	}
	defer func() { _ = c.Close(ctx) }()
	role := `DO $$ BEGIN CREATE ROLE ` + db.Role + ` NOLOGIN; EXCEPTION WHEN duplicate_object OR unique_violation THEN NULL; END $$;`
	_, err = c.PgConn().Exec(ctx, role+"\n"+string(script)).ReadAll()
	return u, err
}

// Clock gives a clock that stands some time after the shop was stopped.
func (s *Shop) Clock(after time.Duration) func() time.Time {
	return func() time.Time { return s.Now.Add(after) }
}
