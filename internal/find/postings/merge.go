package postings

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"math"
	"slices"
)

const (
	// fanOut is how many times bigger a level is than the one below.
	fanOut = 8
	// topLevels is how many levels there are above a full tail: runs are not merged beyond fanOut^topLevels tails
	// (8 million entries with the default), because a Bloom filter makes a few more of them cheap and a merge has to end.
	topLevels = 3
	// step is how many blocks a merge reads, writes or sweeps at a time: what other users of the writer wait for.
	step = 256
)

// levels gives the sizes that pick looks at.
func levels(tail int64) []int64 {
	var out []int64
	for n := tail; n > 1; n /= fanOut {
		out = append(out, n)
	}
	slices.Reverse(out)
	n := tail
	for range topLevels {
		n *= fanOut
		out = append(out, n)
	}
	return out
}

// pick gives neighbours that should become one run, nil if there are none: those that are all smaller than a level and
// reach it together, lowest level first.
func pick(levels []int64, runs []*run) []*run {
	for _, level := range levels {
		start, sum := 0, int64(0)
		for i, r := range runs {
			n := r.to - r.from
			if n >= level {
				start, sum = i+1, 0
				continue
			}
			if sum += n; sum >= level {
				return runs[start : i+1]
			}
		}
	}
	return nil
}

// tidyLoop merges and sweeps until ctx ends.
func (x *Index) tidyLoop(ctx context.Context) {
	for {
		select {
		case <-ctx.Done():
			return
		case <-x.tidy:
		}
		for worked := true; worked; {
			var err error
			worked, err = x.tidyOnce(ctx)
			if ctx.Err() != nil {
				return
			}
			if err != nil {
				x.logf("merging waits: %v", err)
				break
			}
		}
		x.mu.Lock()
		x.idle = len(x.tidy) == 0
		x.announce()
		x.mu.Unlock()
	}
}

// tidyOnce sweeps one dead run or does one merge, and says whether there was something to do.
func (x *Index) tidyOnce(ctx context.Context) (worked bool, err error) {
	x.mu.RLock()
	var dead *run
	if len(x.dead) > 0 {
		dead = x.dead[0]
	}
	x.mu.RUnlock()
	if dead != nil {
		if err := x.sweep(ctx, dead); err != nil {
			return false, err
		}
		x.mu.Lock()
		x.dead = x.dead[1:]
		x.mu.Unlock()
		return true, nil
	}
	x.mu.RLock()
	var s *shop
	var inputs []*run
	for _, s = range x.shops {
		if inputs = pick(x.levels, s.runs); inputs != nil {
			for _, r := range inputs {
				r.refs.Add(1)
			}
			break
		}
	}
	x.mu.RUnlock()
	if inputs == nil {
		return false, nil
	}
	defer x.release(inputs)
	return true, x.merge(ctx, s, inputs)
}

// sweep deletes the blocks of a run that has no row and no reader.
func (x *Index) sweep(ctx context.Context, r *run) (err error) {
	c, err := x.writer.Conn(ctx)
	if err != nil {
		return x.fileError("sweep", err)
	}
	defer c.Close()
	// Hashes are nothing to wipe, and wiping would double what a merge writes.
	if _, err := c.ExecContext(ctx, `PRAGMA secure_delete = OFF`); err != nil {
		return x.fileError("sweep", err)
	}
	defer func() {
		_, on := c.ExecContext(context.WithoutCancel(ctx), `PRAGMA secure_delete = ON`)
		err = errors.Join(err, on)
	}()
	for {
		// The row is looked for because a commit that reports a failure may have succeeded.
		done, err := c.ExecContext(ctx, `DELETE FROM run_block WHERE shop_id = $1 AND run = $2 AND no IN
			(SELECT no FROM run_block WHERE shop_id = $1 AND run = $2 ORDER BY no LIMIT $3)
			AND NOT EXISTS (SELECT 1 FROM run WHERE shop_id = $1 AND run = $2)`, r.shop, r.id, step)
		if err != nil {
			return x.fileError("sweep", err)
		}
		if n, err := done.RowsAffected(); err != nil || n < step {
			return err
		}
	}
}

// merge makes neighbouring runs one. The caller holds references to them.
func (x *Index) merge(ctx context.Context, s *shop, inputs []*run) (err error) {
	first, last := inputs[0], inputs[len(inputs)-1]
	if last.to-first.from > math.MaxUint32 {
		return fmt.Errorf("postings: runs %d to %d of %s are too long together", first.id, last.id, s.id)
	}
	id := x.newRunID()
	var blocks []numberedBlock
	defer func() {
		if err != nil && ctx.Err() == nil {
			x.discard(s.id, id)
		}
	}()
	keys := int64(0)
	for _, r := range inputs {
		keys += r.keys
	}
	b := newBuilder(id, keys, func(no int, body []byte) error {
		if blocks = append(blocks, numberedBlock{no, body}); len(blocks) < step {
			return nil
		}
		err := x.inTx(ctx, func(tx *sql.Tx) error { return insertBlocks(ctx, tx, s.id, id, blocks) })
		blocks = blocks[:0]
		return err
	})
	if err := x.mergeInto(ctx, b, inputs); err != nil {
		return x.fileError("merge", err)
	}
	r := b.finished(s.id, first.from, last.to)

	x.live.Lock()
	defer x.live.Unlock()
	x.mu.RLock()
	at := slices.Index(s.runs, first)
	x.mu.RUnlock()
	if at < 0 { // the shop was dropped
		x.discard(s.id, id)
		return nil
	}
	err = x.inTx(ctx, func(tx *sql.Tx) error {
		for _, old := range inputs {
			if _, err := tx.ExecContext(ctx, `DELETE FROM run WHERE shop_id = $1 AND run = $2`, s.id, old.id); err != nil {
				return err
			}
		}
		if err := insertBlocks(ctx, tx, s.id, id, blocks); err != nil {
			return err
		}
		return insertRun(ctx, tx, r)
	})
	if err != nil {
		return x.fileError("merge", err)
	}
	x.mu.Lock()
	defer x.mu.Unlock()
	runs := slices.Clone(s.runs)
	s.runs = slices.Replace(runs, at, at+len(inputs), r)
	for _, old := range inputs {
		x.unref(old)
	}
	return nil
}

// discard has the blocks of a run swept that never got its row.
func (x *Index) discard(shopID string, id int64) {
	x.mu.Lock()
	defer x.mu.Unlock()
	x.dead = append(x.dead, &run{shop: shopID, id: id})
	x.idle = false
	wake(x.tidy)
}

// mergeInto gives the lists of neighbouring runs to a builder.
func (x *Index) mergeInto(ctx context.Context, b *builder, inputs []*run) error {
	sources := make([]*source, 0, len(inputs))
	for _, r := range inputs {
		src := &source{x: x, run: r, shift: uint32(r.from - inputs[0].from)}
		ok, err := src.next(ctx)
		if err != nil {
			return err
		}
		if ok {
			sources = append(sources, src)
		}
	}
	for len(sources) > 0 && b.err == nil {
		hash := sources[0].cells.cell.hash
		for _, src := range sources[1:] {
			hash = min(hash, src.cells.cell.hash)
		}
		b.list(hash)
		ended := false
		for _, src := range sources {
			for !src.ended && src.cells.cell.hash == hash {
				b.take(&src.cells.cell, src.shift)
				ok, err := src.next(ctx)
				if err != nil {
					return err
				}
				src.ended = !ok
			}
			ended = ended || src.ended
		}
		if ended {
			sources = slices.DeleteFunc(sources, func(src *source) bool { return src.ended })
		}
	}
	return b.finish()
}

// source reads a run's cells in order, some blocks at a time.
type source struct {
	x      *Index
	run    *run
	shift  uint32
	cells  cellReader
	blocks [][]byte // read and not begun
	no     int      // of the next block to read
	ended  bool
}

// sourceBlocks is how many blocks a source keeps in memory.
const sourceBlocks = 32

func (s *source) next(ctx context.Context) (bool, error) {
	for !s.cells.next() {
		if s.cells.err != nil {
			return false, s.cells.err
		}
		if len(s.blocks) == 0 {
			if s.no == s.run.index.len() {
				return false, nil
			}
			if err := s.read(ctx); err != nil {
				return false, err
			}
		}
		s.cells = cellReader{rest: s.blocks[0]}
		s.blocks = s.blocks[1:]
	}
	return true, nil
}

func (s *source) read(ctx context.Context) (err error) {
	rows, err := s.x.reader.QueryContext(ctx, `SELECT no, body FROM run_block WHERE shop_id = $1 AND run = $2 AND no >= $3 AND no < $4 ORDER BY no`,
		s.run.shop, s.run.id, s.no, s.no+sourceBlocks)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, rows.Close()) }()
	end := min(s.no+sourceBlocks, s.run.index.len())
	for rows.Next() {
		var no int
		var body []byte
		if err := rows.Scan(&no, &body); err != nil {
			return err
		}
		if no != s.no {
			break
		}
		cells, err := openBlock(s.run.id, no, body)
		if err != nil {
			return err
		}
		s.blocks = append(s.blocks, cells)
		s.no++
	}
	if err := rows.Err(); err != nil {
		return err
	}
	if s.no != end {
		return fmt.Errorf("%w: block %d of run %d is missing", ErrDamaged, s.no, s.run.id)
	}
	return nil
}
