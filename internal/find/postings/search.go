package postings

import (
	"context"
	"iter"
	"slices"
	"sort"
)

// Query says which seqs are wanted: those that have, of every list in All, at least one facet. An empty All wants every
// seq of the range; an empty list in it none.
type Query struct {
	All [][]string
	// From is the first seq of the range, To the first after it; 0 as To means no end.
	From, To int64
	// Desc gives the newest first.
	Desc bool
}

// Search gives the seqs that a query wants, in order, each once. They are found while they are taken: who stops early
// pays for what was taken. What is appended after the iteration has begun does not appear. An error ends it: of ctx, of
// the file, ErrClosed, ErrDamaged.
func (x *Index) Search(ctx context.Context, shopID string, q Query) iter.Seq2[int64, error] {
	return func(yield func(int64, error) bool) {
		all := make([][]uint64, len(q.All))
		for i, or := range q.All {
			for _, f := range or {
				all[i] = append(all[i], hashOf(f))
			}
		}
		segments, runs, err := x.snapshot(shopID, q, all)
		defer x.release(runs)
		if err != nil {
			yield(0, err)
			return
		}
		if q.Desc {
			slices.Reverse(segments)
		}
		for _, s := range segments {
			if !s.search(ctx, x, all, q.Desc, yield) {
				return
			}
		}
	}
}

// segment is a run or a tail, as far as a search looks into it.
type segment struct {
	base     int64 // the seq of offset 0
	from, to int64 // seqs, cut to the range of the query
	run      *run
	lists    [][]tailList // those of a tail, in the places of the query's hashes; missing ones left out
}

// snapshot gives what a search has to walk, oldest first, and the runs among it, which the caller releases.
func (x *Index) snapshot(shopID string, q Query, all [][]uint64) (segments []segment, runs []*run, err error) {
	x.mu.RLock()
	defer x.mu.RUnlock()
	if x.closed {
		return nil, nil, ErrClosed
	}
	s := x.shops[shopID]
	if s == nil {
		return nil, nil, nil
	}
	cut := func(base, end int64) (segment, bool) {
		seg := segment{base: base, from: max(base, q.From), to: end}
		if q.To > 0 {
			seg.to = min(end, q.To)
		}
		return seg, seg.from < seg.to
	}
	for _, r := range s.runs {
		if seg, ok := cut(r.from, r.to); ok {
			r.refs.Add(1)
			seg.run = r
			runs = append(runs, r)
			segments = append(segments, seg)
		}
	}
	for i := range len(s.frozen) + 1 {
		t := s.tail
		if i < len(s.frozen) {
			t = s.frozen[i]
		}
		if seg, ok := cut(t.from, t.next()); ok {
			seg.lists = make([][]tailList, len(all))
			for j, or := range all {
				for _, h := range or {
					if k, ok := t.index[h]; ok {
						seg.lists[j] = append(seg.lists[j], t.lists[k])
					}
				}
			}
			segments = append(segments, seg)
		}
	}
	return segments, runs, nil
}

// cursor walks one list in one direction. seek gives the nearest offset from at on, at itself included; successive calls
// go in the cursor's direction. size is how long the list is, in a unit of the segment's own.
type cursor interface {
	seek(at int64) (int64, bool, error)
	size() int
}

// search yields the seqs of a segment; false when the iteration is over.
func (s *segment) search(ctx context.Context, x *Index, all [][]uint64, desc bool, yield func(int64, error) bool) bool {
	groups := s.groups(ctx, x, all, desc)
	if len(groups) < len(all) {
		return true
	}
	lo, hi := s.from-s.base, s.to-s.base-1
	at, dir := lo, int64(1)
	if desc {
		at, dir = hi, -1
	}
	for n := 1; ; n++ {
		if n%1024 == 1 && ctx.Err() != nil {
			yield(0, ctx.Err())
			return false
		}
		// Every group is asked for its nearest offset from at on. One that is further on sends all back to the first, which
		// is the rarest and jumps furthest.
		for i := 0; i < len(groups); i++ {
			found, ok, err := groups[i].seek(at)
			if err != nil {
				yield(0, err)
				return false
			}
			if !ok {
				return true
			}
			if found != at {
				if at = found; at < lo || at > hi {
					return true
				}
				if i > 0 {
					i = -1
				}
			}
		}
		if at < lo || at > hi {
			return true
		}
		if !yield(s.base+at, nil) {
			return false
		}
		at += dir
	}
}

// groups gives a group for every list of the query, rarest first. There are fewer if one of them has nothing here.
func (s *segment) groups(ctx context.Context, x *Index, all [][]uint64, desc bool) []*group {
	groups := make([]*group, 0, len(all))
	for i := range all {
		g := &group{desc: desc}
		if s.run != nil {
			for _, h := range all[i] {
				if s.run.bloom.has(h) {
					g.add(newRunCursor(ctx, x, s.run, h, desc))
				}
			}
		} else {
			for _, l := range s.lists[i] {
				g.add(&tailCursor{list: l, desc: desc})
			}
		}
		if len(g.members) == 0 {
			return nil
		}
		groups = append(groups, g)
	}
	sort.SliceStable(groups, func(i, j int) bool { return groups[i].size < groups[j].size })
	return groups
}

// group is the union of lists.
type group struct {
	desc    bool
	size    int
	members []member
}

// member is a list and where it stands. Its cursor is asked only when at is behind what is wanted.
type member struct {
	cursor cursor
	begun  bool
	at     int64
}

func (g *group) add(c cursor) {
	g.size += c.size()
	g.members = append(g.members, member{cursor: c})
}

// before says whether a comes before b in the group's direction.
func (g *group) before(a, b int64) bool {
	if g.desc {
		return a > b
	}
	return a < b
}

func (g *group) seek(at int64) (best int64, found bool, err error) {
	for i := 0; i < len(g.members); i++ {
		m := &g.members[i]
		if !m.begun || g.before(m.at, at) {
			next, ok, err := m.cursor.seek(at)
			if err != nil {
				return 0, false, err
			}
			if !ok {
				g.members[i] = g.members[len(g.members)-1]
				g.members = g.members[:len(g.members)-1]
				i--
				continue
			}
			m.begun, m.at = true, next
		}
		if !found || g.before(m.at, best) {
			best, found = m.at, true
		}
		if best == at {
			return best, true, nil
		}
	}
	return best, found, nil
}

// runCursor walks a list of a run. It holds the cells of the list in one block.
type runCursor struct {
	ctx  context.Context // of the search that the cursor belongs to
	x    *Index
	run  *run
	hash uint64
	desc bool

	lo, hi int    // the blocks that may have cells of the list
	no     int    // the block that cells come from, -1 for none
	cells  []cell // of the list, in order
	read   int    // the cell that offsets come from, -1 for none
	values []uint32
}

func newRunCursor(ctx context.Context, x *Index, r *run, hash uint64, desc bool) *runCursor {
	c := &runCursor{ctx: ctx, x: x, run: r, hash: hash, desc: desc, no: -1, read: -1}
	c.hi = r.index.find(hash, 1<<32-1)
	c.lo = max(0, r.index.find(hash, 0))
	return c
}

// size is the number of blocks over which the list goes; lists within a block are all small.
func (c *runCursor) size() int { return c.hi - c.lo }

func (c *runCursor) seek(at int64) (int64, bool, error) {
	if at < 0 {
		return 0, false, nil
	}
	want := uint32(min(at, 1<<32-1))
	no := c.blockOf(want)
	if no >= 0 {
		if err := c.load(no); err != nil {
			return 0, false, err
		}
		// The last cell that begins at or before want is in this block, if there is one.
		i := sort.Search(len(c.cells), func(i int) bool { return c.cells[i].first > want }) - 1
		if i >= 0 && (c.desc || c.cells[i].last >= want) {
			v, err := c.within(i, want)
			return int64(v), err == nil, err
		}
		if c.desc {
			return 0, false, nil
		}
		if i+1 < len(c.cells) {
			return int64(c.cells[i+1].first), true, nil
		}
	} else if c.desc {
		return 0, false, nil
	}
	// The key of the next block says where its first cell begins.
	if no++; no < c.run.index.len() && c.run.index.hashes[no] == c.hash {
		return int64(c.run.index.firsts[no]), true, nil
	}
	return 0, false, nil
}

// blockOf gives the last block that begins at or before a place of the list, -1 if none does.
func (c *runCursor) blockOf(want uint32) int {
	x := &c.run.index
	if no := c.no; no >= 0 && (no == c.lo || x.hashes[no] < c.hash || x.firsts[no] <= want) &&
		(no >= c.hi || x.firsts[no+1] > want) {
		return no
	}
	return x.find(c.hash, want)
}

// load reads the list's cells of a block.
func (c *runCursor) load(no int) error {
	if c.no == no {
		return nil
	}
	body, err := c.x.block(c.ctx, c.run, no)
	if err != nil {
		return err
	}
	c.no, c.read, c.cells = no, -1, c.cells[:0]
	r := cellReader{rest: body}
	for r.next() && r.cell.hash <= c.hash {
		if r.cell.hash == c.hash {
			c.cells = append(c.cells, r.cell)
		}
	}
	return r.err
}

// within gives the nearest offset of a cell that begins at or before want, and for an ascending search ends at or after it.
func (c *runCursor) within(i int, want uint32) (uint32, error) {
	switch l := &c.cells[i]; {
	case want >= l.last:
		return l.last, nil
	case want == l.first:
		return l.first, nil
	case l.dense:
		if v, ok := l.bit(want, c.desc); ok {
			return v, nil
		}
		return 0, ErrDamaged
	case c.read != i:
		var err error
		if c.values, err = l.decode(c.values[:0]); err != nil {
			return 0, err
		}
		c.read = i
	}
	k, ok := slices.BinarySearch(c.values, want)
	if c.desc && !ok {
		k--
	}
	return c.values[k], nil
}
