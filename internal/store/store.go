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
	"errors"
	"fmt"
	"sync"

	"perennial/internal/db"
	"perennial/internal/fault"
	"perennial/internal/id"
	"perennial/internal/journal"
	"perennial/internal/vault"
)

// Mapping says how the states of a kind become rows. Domain types are known only to whoever makes the mapping.
type Mapping struct {
	Kind    journal.Kind
	Fresh   func(key id.ID) journal.State // an empty state for the row of that id
	Columns []string                      // the table's own columns, beside those that every state table has
	Values  func(s journal.State) []any   // their values, in the same order; nil is NULL
	// Reserves gives the names that a state holds; nil for a kind that holds none.
	Reserves func(s journal.State) []journal.Reservation
}

// Store is one shop's part of a database.
type Store struct {
	DB       *db.DB
	Shop     id.ID
	Keys     *Keys
	Read     db.Querier // the readers, with statements prepared once
	mappings map[journal.Kind]Mapping
	// Mended names what the database had lost of what enforces the journal, and got again when it was opened: triggers, keys, grants.
	// Somebody took it away, and should be asked why.
	Mended []string

	writeTexts map[journal.Kind][3]string // the statements that write a row
	rowKey     [32]byte                   // authenticates rows of the machinery; never changes
	forged     forgeries

	runningMu sync.Mutex
	running   map[id.ID]int64 // guarded by runningMu; sessions and the seq up to which no entry ends them
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
		plan, err := Migrate(ctx, d, false)
		if err != nil {
			return nil, err
		}
		s.Mended = append(plan.Mended, plan.Grants...)
		for _, t := range plan.Extra {
			s.Mended = append(s.Mended, t.Name)
		}
	} else if err := checkSchema(ctx, d.Engine, d.Reader); err != nil {
		return nil, err
	}
	fingerprint := folder.Fingerprint()
	err := d.Reader.QueryRowContext(ctx, `SELECT shop_id, fingerprint FROM head ORDER BY shop_id LIMIT 1`).Scan(&s.Shop, &fingerprint)
	if errors.Is(err, sql.ErrNoRows) {
		s.Shop, err = newShop(), nil
		if d.Writer != nil {
			s.Shop, fingerprint, err = found(ctx, d, s.Shop, fingerprint)
		}
	}
	switch {
	case err != nil:
		return nil, db.Fault(err)
	case fingerprint != folder.Fingerprint():
		return nil, fault.New(fault.Unavailable, "wrong_keys",
			"The keys folder does not belong to this database: it was made with the keys %s, these are %s.", fingerprint, folder.Fingerprint())
	}
	s.Read = db.NewPrepared(d.Reader)
	s.Keys = newKeys(s.Shop, folder)
	s.rowKey = folder.Derive("machinery " + string(s.Shop))
	return s, nil
}

// Listen calls got with what other processes say they committed, until the context ends. On an embedded database nobody says anything.
func (s *Store) Listen(ctx context.Context, got func(payload string)) { s.DB.Listen(ctx, got) }

// MoveLog moves what it can of an embedded database's write-ahead log into the file, and gives how many pages the log has.
func (s *Store) MoveLog(ctx context.Context) (pages int, err error) { return s.DB.MoveLog(ctx) }

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

// Querier reads: the store's readers, or a batch.
type Querier = db.Querier

// Placeholders gives "$from, $from+1, …" for n values.
func Placeholders(from, n int) string { return db.Placeholders(from, n) }
