package store

import (
	"bytes"
	"context"
	"database/sql"
	"errors"
	"fmt"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/go-json-experiment/json"

	"perennial/internal/db"
	"perennial/internal/id"
	"perennial/internal/journal"
	"perennial/internal/vault"
)

// SchemaVersion is the form of the states' documents. In 1 they had their empty fields too. A row gets the form of today
// when it is written next.
const SchemaVersion = 2

// Row is a state as it is stored. The zero Row is a thing that does not exist.
type Row struct {
	State   journal.State // nil for a target that is only observed
	Version int64
	LastSeq int64

	personal []byte // the plaintext of the box, to keep the box when nothing in it changed
	box      []byte
	sealed   []byte
	split    *split // what Split gave, until the row is written

	unreadable bool // the key of the box was destroyed
}

type split struct{ doc, personal []byte }

// Split does the part of writing a row that needs no database, for whoever has time for it before. Without it, Write does
// it.
func (r *Row) Split() error {
	if r.State == nil || r.split != nil {
		return nil
	}
	doc, personal, err := journal.Split(r.State)
	if err != nil {
		return err
	}
	r.split = &split{doc, personal}
	return nil
}

// Load reads the row of a target. A target without a row has version 0. When the row's box cannot be opened any more, in a
// database that was restored from before an erasure, the state is made from the row's events, which know what of it was personal.
func (s *Store) Load(ctx context.Context, q db.Querier, ref journal.Ref) (Row, error) {
	r, err := s.load(ctx, q, ref)
	if err != nil || !r.unreadable {
		return r, err
	}
	folded, err := s.stateAt(ctx, q, ref, r, func(*journal.Event) bool { return true })
	r.State = folded.State
	return r, err
}

func (s *Store) load(ctx context.Context, q db.Querier, ref journal.Ref) (Row, error) {
	var r Row
	if key := string(ref.ID); strings.IndexByte(key, 0) >= 0 || !utf8.ValidString(key) {
		return r, nil // PostgreSQL refuses to look for it, and the transaction with it
	}
	if !HasState(ref.Kind) {
		err := q.QueryRowContext(ctx, `SELECT version, last_seq FROM target_head WHERE shop_id = $1 AND kind = $2 AND id = $3`,
			s.Shop, ref.Kind, ref.ID).Scan(&r.Version, &r.LastSeq)
		if errors.Is(err, sql.ErrNoRows) {
			err = nil
		}
		return r, err
	}
	var doc []byte
	var box sql.NullString
	err := q.QueryRowContext(ctx, `SELECT version, last_seq, doc, box, sealed FROM `+quoted(ref.Kind)+` WHERE shop_id = $1 AND id = $2`,
		s.Shop, ref.ID).Scan(&r.Version, &r.LastSeq, &doc, &box, &r.sealed)
	if errors.Is(err, sql.ErrNoRows) {
		return Row{}, nil
	}
	if err != nil {
		return Row{}, err
	}
	if box.Valid {
		r.box = []byte(box.String)
	}
	r.State, err = s.decode(ctx, q, ref, doc, &r)
	return r, err
}

func (s *Store) decode(ctx context.Context, q db.Querier, ref journal.Ref, doc []byte, r *Row) (journal.State, error) {
	m, err := s.mapping(ref.Kind)
	if err != nil {
		return nil, err
	}
	if r.box != nil {
		var b journal.Box
		if err := json.Unmarshal(r.box, &b); err != nil {
			return nil, fmt.Errorf("store: box of %s %s: %w", ref.Kind, ref.ID, err)
		}
		r.personal, err = s.Keys.Opener(ctx, q)(b, r.sealed)
		if err != nil && !errors.Is(err, journal.ErrUnreadable) {
			return nil, fmt.Errorf("store: box of %s %s: %w", ref.Kind, ref.ID, err)
		}
		r.unreadable = err != nil
	}
	return journal.Join(m.Fresh(ref.ID), doc, r.personal, r.box != nil)
}

// List reads rows of a kind. where is SQL over the table's columns after "shop_id = $1 AND", with arguments from $2 on.
func (s *Store) List(ctx context.Context, q db.Querier, kind journal.Kind, where string, args ...any) ([]Row, error) {
	var stored []storedRow
	err := db.Each(ctx, q, func(rows *sql.Rows) error {
		r, err := scanRow(rows.Scan)
		stored = append(stored, r)
		return err
	}, rowText(kind)+where, append([]any{s.Shop}, args...)...)
	if err != nil {
		return nil, db.Fault(err)
	}
	out := make([]Row, len(stored))
	for i, r := range stored { // after the rows were read: opening may ask for a key
		if r.State, err = s.decode(ctx, q, journal.Ref{Kind: kind, ID: r.id}, r.doc, &r.Row); err != nil {
			return nil, db.Fault(err)
		}
		out[i] = r.Row
	}
	return out, nil
}

// Where lists the ids of the rows of a kind whose column has a value, in order of id.
func (s *Store) Where(ctx context.Context, q db.Querier, kind journal.Kind, column, value string) ([]id.ID, error) {
	if err := s.known(kind, column); err != nil {
		return nil, err
	}
	var out []id.ID
	err := db.Each(ctx, q, func(r *sql.Rows) error {
		var key id.ID
		if err := r.Scan(&key); err != nil {
			return err
		}
		out = append(out, key)
		return nil
	}, fmt.Sprintf(`SELECT id FROM %s WHERE shop_id = $1 AND %q = $2 ORDER BY id`, quoted(kind), column), s.Shop, value)
	return out, err
}

func (s *Store) known(kind journal.Kind, column string) error {
	m, err := s.mapping(kind)
	if err != nil {
		return err
	}
	if slices.Contains(m.Columns, column) {
		return nil
	}
	return fmt.Errorf("store: %s has no column %q", kind, column)
}

// ColumnOf gives a state's value of one of its table's columns.
func (s *Store) ColumnOf(st journal.State, column string) (any, error) {
	m, err := s.mapping(st.Ref().Kind)
	if err != nil {
		return nil, err
	}
	for i, c := range m.Columns {
		if c == column {
			return m.Values(st)[i], nil
		}
	}
	return nil, fmt.Errorf("store: %s has no column %q", st.Ref().Kind, column)
}

// encode fills in how the row is stored. prev is the row before, whose box is kept when nothing in it changed.
func (b *Batch) encode(r *Row, prev *Row) (doc []byte, err error) {
	if err := r.Split(); err != nil {
		return nil, err
	}
	doc, personal := r.split.doc, r.split.personal
	r.split = nil
	if personal == nil {
		return doc, nil
	}
	if prev != nil && prev.box != nil && bytes.Equal(prev.personal, personal) {
		r.personal, r.box, r.sealed = prev.personal, prev.box, prev.sealed
		return doc, nil
	}
	class := journal.ClassPerson
	if r.State.Person() == "" {
		class = journal.ClassShop
	}
	sealed, err := b.Seal(class, r.State.Person(), personal)
	if err != nil {
		return nil, err
	}
	if r.box, err = journal.Canonical(sealed.Box); err != nil {
		return nil, err
	}
	r.personal, r.sealed = personal, sealed.Ciphertext
	return doc, nil
}

// Secret reads a secret with its salt; nil when there is none.
func (s *Store) Secret(ctx context.Context, q db.Querier, owner journal.Ref, name string) (value []byte, err error) {
	err = q.QueryRowContext(ctx, `SELECT value FROM secret WHERE shop_id = $1 AND owner_kind = $2 AND owner_id = $3 AND name = $4`,
		s.Shop, owner.Kind, owner.ID, name).Scan(&value)
	if errors.Is(err, sql.ErrNoRows) {
		return nil, nil
	}
	return value, err
}

// SealSecret seals a secret that has to be read again, for its owner.
func (s *Store) SealSecret(owner journal.Ref, name string, value []byte) []byte {
	return s.Keys.folder.Seal(secretPurpose(owner, name), value)
}

// OpenSecret reads a secret that SealSecret sealed; nil when there is none.
func (s *Store) OpenSecret(ctx context.Context, q db.Querier, owner journal.Ref, name string) ([]byte, error) {
	sealed, err := s.Secret(ctx, q, owner, name)
	if err != nil || sealed == nil {
		return nil, err
	}
	return s.Keys.folder.Open(secretPurpose(owner, name), sealed)
}

func secretPurpose(owner journal.Ref, name string) string {
	return "secret " + string(owner.Kind) + " " + string(owner.ID) + " " + name
}

// ReservationHash is what is kept of a reserved name: an HMAC under a key of the shop.
func (s *Store) ReservationHash(scope, value string) []byte {
	key := s.Keys.folder.Derive("reservation " + string(s.Shop))
	return vault.CommitSecret(key[:], []byte(scope+"\x00"+value))
}

// Reserved gives the owner of a name.
func (s *Store) Reserved(ctx context.Context, q db.Querier, scope, value string) (owner id.ID, ok bool, err error) {
	err = q.QueryRowContext(ctx, `SELECT owner FROM reservation WHERE shop_id = $1 AND scope = $2 AND hash = $3`,
		s.Shop, scope, s.ReservationHash(scope, value)).Scan(&owner)
	if errors.Is(err, sql.ErrNoRows) {
		return "", false, nil
	}
	return owner, err == nil, err
}

func stateColumns(m Mapping) string {
	cols := append([]string{"shop_id", "id", "version", "last_seq", "schema_version"}, m.Columns...)
	return strings.Join(append(cols, "doc", "box", "sealed"), ", ")
}
