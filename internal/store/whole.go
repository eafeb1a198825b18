package store

import (
	"context"
	"database/sql"
	"errors"
	"fmt"

	"perennial/internal/db"
	"perennial/internal/journal"
	"perennial/internal/vault"
)

// Whole is an event as it is stored and as it is opened, for whoever takes it to another database.
type Whole struct {
	*journal.Event
	Body        []byte
	Ciphertexts [][]byte
}

// RawRange reads the events with from <= seq < to.
func (s *Store) RawRange(ctx context.Context, q db.Querier, from, to int64) ([]Whole, error) {
	rows, err := packedRows(ctx, q, `SELECT `+eventColumns+` FROM event WHERE shop_id = $1 AND seq >= $2 AND seq < $3 ORDER BY seq`,
		s.Shop, from, to)
	if err != nil {
		return nil, err
	}
	out := make([]Whole, len(rows))
	for i, e := range rows {
		st, err := s.unpack(ctx, q, Opened, e)
		if err != nil {
			return nil, err
		}
		out[i] = Whole{Event: st.Event, Body: e.body}
		if out[i].Ciphertexts, err = vault.SplitCiphertexts(e.boxes, len(st.Boxes)); err != nil {
			return nil, fmt.Errorf("event %d: %w", e.seq, err)
		}
	}
	return out, nil
}

// Secret is a secret as it is stored.
type Secret struct {
	Owner        journal.Ref
	Name         string
	Version, Seq int64
	Salt, Value  []byte
}

// Secrets reads the secrets that were set by the events with from <= seq < to and not set again since.
func (s *Store) Secrets(ctx context.Context, q db.Querier, from, to int64) (out []Secret, err error) {
	err = db.Each(ctx, q, func(r *sql.Rows) error {
		var x Secret
		err := r.Scan(&x.Owner.Kind, &x.Owner.ID, &x.Name, &x.Version, &x.Seq, &x.Salt, &x.Value)
		out = append(out, x)
		return err
	}, `SELECT owner_kind, owner_id, name, version, last_seq, salt, value FROM secret WHERE shop_id = $1 AND last_seq >= $2 AND last_seq < $3`, s.Shop, from, to)
	return out, err
}

// CheckpointsBetween reads the signed checkpoints with from < size <= to.
func (s *Store) CheckpointsBetween(ctx context.Context, q db.Querier, from, to int64) (out []Checkpoint, err error) {
	err = db.Each(ctx, q, func(r *sql.Rows) error {
		var c Checkpoint
		err := r.Scan(&c.Size, &c.Root, &c.Note, &c.SignedAt)
		out = append(out, c)
		return err
	}, `SELECT size, root, note, signed_at FROM checkpoint WHERE shop_id = $1 AND size > $2 AND size <= $3 ORDER BY size`, s.Shop, from, to)
	return out, err
}

// ErrNoKey says that the database does not have a key.
var ErrNoKey = errors.New("store: no such key")

// Known says whether there is a key: nil, ErrNoKey, or vault.ErrErased.
func (k *Keys) Known(ctx context.Context, q db.Querier, name string) error {
	_, found, err := k.get(ctx, q, name)
	if err == nil && !found {
		return ErrNoKey
	}
	return err
}
