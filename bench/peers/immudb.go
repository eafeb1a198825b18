package main

import (
	"context"
	"errors"
	"io"
	"time"

	"github.com/codenotary/immudb/embedded/logger"
	immudb "github.com/codenotary/immudb/embedded/store"
)

// immudbStore is immudb's store in the process: a key is a subject, and its value the last entry about it. Its tree
// index follows the commits by itself.
type immudbStore struct {
	dir  string
	sync time.Duration // how long it waits for more before it flushes, at most
	s    *immudb.ImmuStore
}

const immudbSync = time.Millisecond // when tuned

func openImmudb(dir string, sync time.Duration) (peer, error) {
	i := &immudbStore{dir: dir, sync: sync}
	return i, i.open(true)
}

func (i *immudbStore) open(durable bool) (err error) { //nolint:revive // a flag of its options
	i.s, err = immudb.Open(i.dir, immudb.DefaultOptions().WithSynced(durable).WithSyncFrequency(i.sync).WithMaxConcurrency(1024).WithMaxActiveTransactions(4096).
		WithLogger(logger.NewSimpleLogger("", io.Discard)))
	return err
}

func (i *immudbStore) put(ctx context.Context, about int, e []byte) error {
	tx, err := i.s.NewWriteOnlyTx(ctx)
	if err != nil {
		return err
	}
	if err := tx.Set([]byte(subjectName(about)), nil, e); err != nil {
		return errors.Join(err, tx.Cancel())
	}
	_, err = tx.AsyncCommit(ctx) // on the disk; the index is not waited for
	return err
}

// Fill implements peer. Durability is off meanwhile.
func (i *immudbStore) Fill(ctx context.Context, entries int64) error {
	if err := errors.Join(i.s.Close(), i.open(false)); err != nil {
		return err
	}
	for n := int64(i.s.TxCount()) + 1; n <= entries; n++ {
		if err := i.put(ctx, int(n%subjects), entry(n, int(n%subjects))); err != nil {
			return err
		}
	}
	return errors.Join(i.s.WaitForIndexingUpto(ctx, i.s.LastCommittedTxID()), i.s.Sync(), i.s.Close(), i.open(true))
}

// Writer implements peer.
func (i *immudbStore) Writer(_ context.Context, callers int) (func(context.Context, int, int) error, func() error, error) {
	end := func() error { return i.s.WaitForIndexingUpto(context.Background(), i.s.LastCommittedTxID()) } // so that the next does not pay for it
	return func(ctx context.Context, caller, n int) error {
		about := subject(callers, caller, n)
		return i.put(ctx, about, entry(int64(i.s.TxCount()), about))
	}, end, nil
}

// Read implements peer. A subject's history is in its index; anything else is looked for from the newest back.
func (i *immudbStore) Read(ctx context.Context, q question) (found int, err error) {
	if q.kind == ofSubject {
		if err := i.s.WaitForIndexingUpto(ctx, i.s.LastCommittedTxID()); err != nil {
			return 0, err
		}
		refs, _, err := i.s.History([]byte(subjectName(q.subject)), 0, true, q.limit())
		if err != nil {
			return 0, err
		}
		for _, r := range refs {
			if _, err := r.Resolve(); err != nil {
				return 0, err
			}
		}
		return len(refs), nil
	}
	pool, err := i.s.NewTxHolderPool(1, false)
	if err != nil {
		return 0, err
	}
	tx, err := pool.Alloc()
	if err != nil {
		return 0, err
	}
	defer pool.Release(tx)
	r, err := i.s.NewTxReader(i.s.LastCommittedTxID(), true, tx)
	if err != nil {
		return 0, err
	}
	for found < q.limit() {
		tx, err := r.Read()
		if errors.Is(err, immudb.ErrNoMoreEntries) {
			break
		}
		if err != nil {
			return found, err
		}
		for _, e := range tx.Entries() {
			v, err := i.s.ReadValue(e)
			if err != nil {
				return found, err
			}
			if q.matches(v) {
				found++
			}
		}
	}
	return found, nil
}

// Close implements peer.
func (i *immudbStore) Close() error { return i.s.Close() }
