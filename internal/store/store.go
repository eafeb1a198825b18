// Package store keeps the journal, the states, the secrets and the machinery in a database. It knows how rows look and
// nothing of what they mean.
//
// The contract: a batch of events, with the tree, the states and the machinery that belong to it, is committed in one
// transaction or not at all; and the database itself refuses a change without its entry (Triggers). Every statement
// names the shop.
package store

import (
	"context"
	"database/sql"
	"embed"
	"errors"
	"fmt"
	"io/fs"
	"strings"

	"github.com/pressly/goose/v3"

	"perennial/internal/db"
	"perennial/internal/fault"
	"perennial/internal/id"
	"perennial/internal/journal"
	"perennial/internal/vault"
)

//go:embed migrations/*.sql
var migrations embed.FS

// Mapping says how the states of a kind become rows. Domain types are known only to whoever makes the mapping.
type Mapping struct {
	Kind    journal.Kind
	Fresh   func(key id.ID) journal.State // an empty state for the row of that id
	Columns []string                      // the table's own columns, beside those that every state table has
	Values  func(s journal.State) []any   // their values, in the same order; nil is NULL
}

// Store is one shop's part of a database.
type Store struct {
	DB       *db.DB
	Shop     id.ID
	Keys     *Keys
	Read     db.Querier // the readers, with statements prepared once
	mappings map[journal.Kind]Mapping

	writeTexts map[journal.Kind][3]string // the statements that write a row
}

// Open brings the schema up to date, makes the triggers that are missing, and gives the store of the database's shop.
// A new database gets the shop that newShop names. It refuses a schema that is newer than this program, and keys that
// are not the ones the database was made with.
func Open(ctx context.Context, d *db.DB, folder *vault.Folder, mappings []Mapping, newShop func() id.ID) (*Store, error) {
	s := &Store{DB: d, mappings: map[journal.Kind]Mapping{}, writeTexts: map[journal.Kind][3]string{}}
	for _, m := range mappings {
		s.mappings[m.Kind], s.writeTexts[m.Kind] = m, writeTexts(m)
	}
	if d.Writer != nil {
		if err := migrate(ctx, d.Writer); err != nil {
			return nil, err
		}
		if err := makeTriggers(ctx, d.Writer); err != nil {
			return nil, err
		}
	} else if err := checkSchema(ctx, d.Reader); err != nil {
		return nil, err
	}
	var fingerprint string
	err := d.Reader.QueryRowContext(ctx, `SELECT shop_id, fingerprint FROM head ORDER BY shop_id LIMIT 1`).Scan(&s.Shop, &fingerprint)
	switch {
	case errors.Is(err, sql.ErrNoRows):
		s.Shop = newShop()
	case err != nil:
		return nil, db.Fault(err)
	case fingerprint != folder.Fingerprint():
		return nil, fault.New(fault.Unavailable, "wrong_keys",
			"The keys folder does not belong to this database: it was made with the keys %s, these are %s.", fingerprint, folder.Fingerprint())
	}
	s.Read = db.NewPrepared(d.Reader)
	s.Keys = newKeys(s.Shop, folder)
	return s, nil
}

func provider(d *sql.DB) (*goose.Provider, error) {
	files, err := fs.Sub(migrations, "migrations")
	if err != nil {
		return nil, err
	}
	return goose.NewProvider(goose.DialectSQLite3, d, files)
}

func migrate(ctx context.Context, d *sql.DB) error {
	p, err := provider(d)
	if err != nil {
		return db.Fault(err)
	}
	now, newest, err := p.GetVersions(ctx)
	if err != nil {
		return db.Fault(err)
	}
	if now > newest {
		return newer(now, newest)
	}
	if now == newest {
		return nil
	}
	_, err = p.Up(ctx)
	return db.Fault(err)
}

func newer(has, knows int64) error {
	return fault.New(fault.Unavailable, "schema_newer",
		"The database has schema %d, this program knows %d: it was used by a newer perennial. Start that version.", has, knows)
}

func checkSchema(ctx context.Context, d *sql.DB) error {
	entries, err := fs.ReadDir(migrations, "migrations")
	if err != nil {
		return err
	}
	newest := int64(len(entries))
	var now sql.NullInt64
	if err := d.QueryRowContext(ctx, `SELECT MAX(version_id) FROM goose_db_version WHERE is_applied = 1`).Scan(&now); err != nil {
		return fault.Wrap(db.Fault(err), fault.Unavailable, "schema_unknown", "The file is not a database of perennial.")
	}
	switch {
	case now.Int64 > newest:
		return newer(now.Int64, newest)
	case now.Int64 < newest:
		return fault.New(fault.Unavailable, "schema_older", "The database has schema %d, this program needs %d: start perennial serve once.", now.Int64, newest)
	}
	return nil
}

// makeTriggers makes the database's triggers those of Triggers. It leaves them alone when they are.
func makeTriggers(ctx context.Context, d *sql.DB) error {
	missing, extra, err := CompareTriggers(ctx, d)
	if err != nil {
		return db.Fault(err)
	}
	if len(missing) == 0 && len(extra) == 0 {
		return nil
	}
	tx, err := d.BeginTx(ctx, nil)
	if err != nil {
		return db.Fault(err)
	}
	defer tx.Rollback()
	for _, name := range extra {
		if _, err := tx.ExecContext(ctx, fmt.Sprintf(`DROP TRIGGER %q`, name)); err != nil {
			return db.Fault(err)
		}
	}
	for _, t := range missing {
		if _, err := tx.ExecContext(ctx, t.SQL); err != nil {
			return fmt.Errorf("store: trigger %s: %w", t.Name, err)
		}
	}
	return db.Fault(tx.Commit())
}

// CompareTriggers gives the triggers that the database should have and has not (or has otherwise), and the names of
// those that it has and should not.
func CompareTriggers(ctx context.Context, q db.Querier) (missing []Trigger, extra []string, err error) {
	has := map[string]string{}
	err = db.Each(ctx, q, func(r *sql.Rows) error {
		var name, text string
		if err := r.Scan(&name, &text); err != nil {
			return err
		}
		has[name] = strings.TrimSpace(text)
		return nil
	}, `SELECT name, sql FROM sqlite_master WHERE type = 'trigger' ORDER BY name`)
	if err != nil {
		return nil, nil, err
	}
	for _, t := range Triggers() {
		if has[t.Name] == t.SQL {
			delete(has, t.Name)
			continue
		}
		missing = append(missing, t)
	}
	for name := range has {
		extra = append(extra, name)
	}
	return missing, extra, nil
}

// mapping gives the mapping of a kind that has states.
func (s *Store) mapping(k journal.Kind) (Mapping, error) {
	m, ok := s.mappings[k]
	if !ok {
		return m, fmt.Errorf("store: no mapping for kind %s", k)
	}
	return m, nil
}

// Fresh gives a maker of empty states for a row.
func (s *Store) Fresh(ref journal.Ref) (func() journal.State, error) {
	m, err := s.mapping(ref.Kind)
	if err != nil {
		return nil, err
	}
	return func() journal.State { return m.Fresh(ref.ID) }, nil
}

// Fault turns an engine's error into one that a person understands; it keeps faults as they are.
func Fault(err error) error { return db.Fault(err) }

// Placeholders gives "$from, $from+1, …" for n values.
func Placeholders(from, n int) string { return db.Placeholders(from, n) }
