package store

import (
	"context"
	"crypto/rand"
	"database/sql"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
	"time"

	"perennial/internal/db"
	"perennial/internal/id"
	"perennial/internal/journal"
	"perennial/internal/vault"
)

// Keys gives the data keys of a shop. A key's id is its owner: a person's id, a month of network data, the shop. So a
// person has one key, ever, and one that was destroyed is never made again.
type Keys struct {
	shop   id.ID
	folder *vault.Folder

	mu   sync.RWMutex
	open map[string]vault.Key // guarded by mu; opened keys
}

func newKeys(shop id.ID, folder *vault.Folder) *Keys {
	return &Keys{shop: shop, folder: folder, open: map[string]vault.Key{}}
}

// Folder is the keys folder.
func (k *Keys) Folder() *vault.Folder { return k.folder }

// KeyID is the id of the key for a class and owner at a time. It names the shop, as shops may share a keys folder, whose list of
// erased keys knows only ids.
func (k *Keys) KeyID(class string, owner id.ID, at time.Time) string {
	switch class {
	case journal.ClassNetwork:
		return k.NetworkKey(at.UTC().Format("2006-01"))
	case journal.ClassShop:
		return string(k.shop)
	}
	return string(owner)
}

// NetworkKey is the id of the key of a month ("2027-03") of network data.
func (k *Keys) NetworkKey(month string) string {
	return "net_" + strings.TrimPrefix(string(k.shop), id.Shop+"_") + "_" + month
}

// NetworkMonths lists the months whose network data can be read, oldest first.
func (k *Keys) NetworkMonths(ctx context.Context, q db.Querier) (months []string, err error) {
	prefix := k.NetworkKey("")
	err = db.Each(ctx, q, func(r *sql.Rows) error {
		var name string
		err := r.Scan(&name)
		months = append(months, strings.TrimPrefix(name, prefix))
		return err
	}, `SELECT id FROM data_key WHERE shop_id = $1 AND class = $2 AND destroyed_at IS NULL ORDER BY id`, k.shop, journal.ClassNetwork)
	return months, db.Fault(err)
}

func (k *Keys) cached(key string) (vault.Key, bool) {
	k.mu.RLock()
	defer k.mu.RUnlock()
	v, ok := k.open[key]
	return v, ok
}

// get gives a key, reading it from q when it is not open yet. found is false when there is none; a destroyed one is
// vault.ErrErased.
func (k *Keys) get(ctx context.Context, q db.Querier, key string) (v vault.Key, found bool, err error) {
	if k.folder.Erased(key) {
		return v, false, vault.ErrErased
	}
	if v, ok := k.cached(key); ok {
		return v, true, nil
	}
	var wrapped []byte
	var destroyed sql.NullString
	err = q.QueryRowContext(ctx, `SELECT wrapped, destroyed_at FROM data_key WHERE shop_id = $1 AND id = $2`, k.shop, key).Scan(&wrapped,
		&destroyed)
	switch {
	case errors.Is(err, sql.ErrNoRows):
		return v, false, nil
	case err != nil:
		return v, false, err
	case destroyed.Valid || wrapped == nil:
		return v, false, vault.ErrErased
	}
	if v, err = k.folder.Unwrap(key, wrapped); err != nil {
		return v, false, fmt.Errorf("data key %s: %w", key, err)
	}
	k.keep(map[string]vault.Key{key: v})
	return v, true, nil
}

// openAll opens the keys of people that are not open yet: what to ask of a PostgreSQL, and what to do when it has answered. Those that
// there are not, or not any more, are left out.
func (k *Keys) openAll(keys []string) (ask []db.Statement, open func() error) {
	closed := slices.DeleteFunc(slices.Clone(keys), func(key string) bool {
		_, ok := k.cached(key)
		return ok || k.folder.Erased(key)
	})
	if len(closed) == 0 {
		return nil, noKeys
	}
	wrapped := make(map[string][]byte, len(closed))
	ask = []db.Statement{
		{Text: `SELECT id, wrapped FROM data_key WHERE shop_id = $1 AND id = ANY($2) AND destroyed_at IS NULL AND wrapped IS NOT NULL`,
			Args: []any{k.shop, closed}, Each: func(scan func(...any) error) error {
				var key string
				var w []byte
				err := scan(&key, &w)
				wrapped[key] = w
				return err
			}},
	}
	return ask, func() (err error) {
		opened := make(map[string]vault.Key, len(wrapped))
		for key, w := range wrapped {
			if opened[key], err = k.folder.Unwrap(key, w); err != nil {
				return fmt.Errorf("data key %s: %w", key, err)
			}
		}
		k.keep(opened)
		return nil
	}
}

func noKeys() error { return nil }

func (k *Keys) keep(keys map[string]vault.Key) {
	if len(keys) == 0 {
		return
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	if len(k.open) > 20_000 { // a key that is open takes 1 kB, and one that is not a look-up
		clear(k.open)
	}
	maps.Copy(k.open, keys)
}

func (k *Keys) forget(key string) {
	k.mu.Lock()
	defer k.mu.Unlock()
	delete(k.open, key)
}

// Opener opens the boxes of events with keys read from q.
func (k *Keys) Opener(ctx context.Context, q db.Querier) journal.Opener {
	return func(b journal.Box, ciphertext []byte) ([]byte, error) {
		key, found, err := k.get(ctx, q, b.Key)
		return openBox(key, found, err, b, ciphertext)
	}
}

func openBox(key vault.Key, found bool, err error, b journal.Box, ciphertext []byte) ([]byte, error) {
	if errors.Is(err, vault.ErrErased) {
		return nil, journal.ErrUnreadable
	}
	if err != nil {
		return nil, err
	}
	if !found {
		return nil, fmt.Errorf("data key %s is missing", b.Key)
	}
	v, err := key.Open(vault.Box(b), ciphertext)
	if errors.Is(err, vault.ErrErased) {
		return nil, journal.ErrUnreadable
	}
	return v, err
}

// OpenerOnce is an Opener that asks for each key once, for whoever reads a whole journal as it was at one time. Several
// goroutines may use it.
func (k *Keys) OpenerOnce(ctx context.Context, q db.Querier) journal.Opener {
	type answer struct {
		key   vault.Key
		found bool
		err   error
	}
	var asked sync.Map // key id -> answer
	return func(b journal.Box, ciphertext []byte) ([]byte, error) {
		known, ok := asked.Load(b.Key)
		if !ok {
			var a answer
			a.key, a.found, a.err = k.get(ctx, q, b.Key)
			known, _ = asked.LoadOrStore(b.Key, a)
		}
		a := known.(answer)
		return openBox(a.key, a.found, a.err, b, ciphertext)
	}
}

// TrySeal seals under a key that is open already; ok is false when it is not. It needs no transaction, so it serves
// whoever prepares a command before the writer has it.
func (k *Keys) TrySeal(class string, owner id.ID, at time.Time, value []byte) (s journal.Sealed, ok bool, err error) {
	name := k.KeyID(class, owner, at)
	key, ok := k.cached(name)
	if !ok || k.folder.Erased(name) {
		return s, false, nil
	}
	s, err = sealWith(key, class, value)
	return s, err == nil, err
}

func sealWith(key vault.Key, class string, value []byte) (journal.Sealed, error) {
	box, ciphertext, err := key.Seal(class, value, rand.Reader)
	if err != nil {
		return journal.Sealed{}, err
	}
	return journal.Sealed{Box: journal.Box(box), Ciphertext: ciphertext}, nil
}
