package postings

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"hash/crc32"
	"sync/atomic"
)

// run is a run whose row is in the file. Only refs changes.
type run struct {
	shop     string
	id       int64
	from, to int64 // seqs
	keys     int64
	bytes    int64 // of its blocks
	index    blockIndex
	bloom    bloom

	// refs counts shop.runs as one and every search and merge that reads the run. It grows only under Index.mu while the
	// run is in shop.runs; whoever brings it to 0 hands the run to be swept.
	refs atomic.Int64
}

func (r *run) sum(index, bloom []byte) int64 {
	return int64(crc32.Update(crc32.Checksum(index, castagnoli), castagnoli, bloom))
}

// unref gives a reference back. The caller holds mu.
func (x *Index) unref(r *run) {
	if r.refs.Add(-1) == 0 {
		x.dead = append(x.dead, r)
		x.idle = false
		wake(x.tidy)
	}
}

// release gives references back.
func (x *Index) release(runs []*run) {
	for _, r := range runs {
		if r.refs.Add(-1) == 0 {
			x.mu.Lock()
			x.dead = append(x.dead, r)
			x.idle = false
			x.mu.Unlock()
			wake(x.tidy)
		}
	}
}

// finished gives the run that a builder has made.
func (b *builder) finished(shopID string, from, to int64) *run {
	r := &run{shop: shopID, id: b.run, from: from, to: to, keys: b.keys, bytes: b.bytes, index: b.index, bloom: b.bloom}
	r.refs.Store(1)
	return r
}

type numberedBlock struct {
	no   int
	body []byte
}

func insertBlocks(ctx context.Context, tx *sql.Tx, shopID string, run int64, blocks []numberedBlock) error {
	if len(blocks) == 0 {
		return nil
	}
	insert, err := tx.PrepareContext(ctx, `INSERT INTO run_block (shop_id, run, no, body) VALUES ($1, $2, $3, $4)`)
	if err != nil {
		return err
	}
	defer insert.Close()
	for _, b := range blocks {
		if _, err := insert.ExecContext(ctx, shopID, run, b.no, b.body); err != nil {
			return err
		}
	}
	return nil
}

func insertRun(ctx context.Context, tx *sql.Tx, r *run) error {
	index, bloom := r.index.bytes(), r.bloom.bytes()
	_, err := tx.ExecContext(ctx, `INSERT INTO run (shop_id, run, seq_from, seq_to, keys, bytes, sum, block_index, bloom) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9)`,
		r.shop, r.id, r.from, r.to, r.keys, r.bytes, r.sum(index, bloom), index, bloom)
	return err
}

// loadRuns reads all runs of all shops.
func loadRuns(ctx context.Context, q *sql.DB) (map[string]*shop, error) {
	rows, err := q.QueryContext(ctx, `SELECT shop_id, run, seq_from, seq_to, keys, bytes, sum, block_index, bloom FROM run ORDER BY shop_id, seq_from`)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	shops := map[string]*shop{}
	for rows.Next() {
		r := &run{}
		var index, bits sql.RawBytes
		var sum int64
		if err := rows.Scan(&r.shop, &r.id, &r.from, &r.to, &r.keys, &r.bytes, &sum, &index, &bits); err != nil {
			return nil, err
		}
		r.index, r.bloom = blockIndexOf(index), bloomOf(bits)
		r.refs.Store(1)
		s := shops[r.shop]
		if s == nil {
			s = &shop{id: r.shop, tail: newTail(0, 0)}
			shops[r.shop] = s
		}
		if sum != r.sum(index, bits) || r.bloom == nil || r.from != s.tail.from || r.to <= r.from {
			return nil, fmt.Errorf("%w: run %d of %s", ErrDamaged, r.id, r.shop)
		}
		s.runs = append(s.runs, r)
		s.tail.from = r.to
	}
	return shops, rows.Err()
}

// loadOrphans finds what runs have blocks and no row: those that were being written or swept at the end of a process.
func loadOrphans(ctx context.Context, q *sql.DB) ([]*run, error) {
	var orphans []*run
	at := &run{id: -1}
	for {
		next := &run{}
		var live bool
		err := q.QueryRowContext(ctx, `SELECT b.shop_id, b.run, EXISTS (SELECT 1 FROM run r WHERE r.shop_id = b.shop_id AND r.run = b.run)
			FROM run_block b WHERE (b.shop_id, b.run) > ($1, $2) ORDER BY b.shop_id, b.run LIMIT 1`, at.shop, at.id).Scan(&next.shop, &next.id, &live)
		if errors.Is(err, sql.ErrNoRows) {
			return orphans, nil
		}
		if err != nil {
			return nil, err
		}
		if !live {
			orphans = append(orphans, next)
		}
		at = next
	}
}

// block reads the cells of a block.
func (x *Index) block(ctx context.Context, r *run, no int) ([]byte, error) {
	key := blockKey{r.id, no}
	if cells := x.cache.get(key); cells != nil {
		return cells, nil
	}
	var body []byte
	err := x.readBlock.QueryRowContext(ctx, r.shop, r.id, no).Scan(&body)
	if errors.Is(err, sql.ErrNoRows) {
		return nil, fmt.Errorf("%w: block %d of run %d is missing", ErrDamaged, no, r.id)
	}
	if err != nil {
		if ctx.Err() != nil {
			return nil, ctx.Err()
		}
		return nil, x.fileError("read", err)
	}
	cells, err := openBlock(r.id, no, body)
	if err == nil {
		x.cache.put(key, cells)
	}
	return cells, err
}

// writeLoop writes frozen tails, oldest first, until ctx ends. After a failure it waits for the next Append or Flush.
func (x *Index) writeLoop(ctx context.Context) {
	for {
		select {
		case <-ctx.Done():
			return
		case <-x.write:
		}
		for {
			s, t := x.oldestFrozen()
			if t == nil {
				break
			}
			x.mu.Lock()
			x.begun++
			x.mu.Unlock()
			err := x.writeTail(ctx, s, t)
			if ctx.Err() != nil {
				return
			}
			x.mu.Lock()
			x.failed, x.ended = err, x.begun
			x.announce()
			x.mu.Unlock()
			if err != nil {
				x.logf("entries from %d of %s stay in memory: %v", t.from, s.id, err)
				break
			}
			wake(x.tidy)
		}
	}
}

func (x *Index) oldestFrozen() (*shop, *tail) {
	x.mu.RLock()
	defer x.mu.RUnlock()
	for _, s := range x.shops {
		if len(s.frozen) > 0 {
			return s, s.frozen[0]
		}
	}
	return nil, nil
}

func (x *Index) newRunID() int64 {
	x.mu.Lock()
	defer x.mu.Unlock()
	id := x.nextRun
	x.nextRun++
	return id
}

// writeTail makes the oldest frozen tail of a shop a run, in one transaction.
func (x *Index) writeTail(ctx context.Context, s *shop, t *tail) error {
	var blocks []numberedBlock
	b := newBuilder(x.newRunID(), int64(len(t.lists)), func(no int, body []byte) error {
		blocks = append(blocks, numberedBlock{no, body})
		return nil
	})
	t.build(b)
	if err := b.finish(); err != nil {
		return err
	}
	r := b.finished(s.id, t.from, t.next())

	x.live.Lock()
	defer x.live.Unlock()
	current := func() bool { return len(s.frozen) > 0 && s.frozen[0] == t }
	x.mu.RLock()
	dropped := !current()
	x.mu.RUnlock()
	if dropped {
		return nil
	}
	err := x.inTx(ctx, func(tx *sql.Tx) error {
		if err := insertBlocks(ctx, tx, s.id, r.id, blocks); err != nil {
			return err
		}
		return insertRun(ctx, tx, r)
	})
	if err != nil {
		return x.fileError("write", err)
	}
	x.mu.Lock()
	defer x.mu.Unlock()
	s.runs = append(s.runs[:len(s.runs):len(s.runs)], r)
	s.frozen = s.frozen[1:]
	x.idle = false
	return nil
}

// inTx runs f in a transaction of the writer.
func (x *Index) inTx(ctx context.Context, f func(tx *sql.Tx) error) error {
	tx, err := x.writer.BeginTx(ctx, nil)
	if err != nil {
		return err
	}
	if err := f(tx); err != nil {
		return errors.Join(err, tx.Rollback())
	}
	return tx.Commit()
}
