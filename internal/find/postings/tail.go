package postings

import (
	"cmp"
	"slices"
	"sort"
)

// tail holds the lists of entries that are not written yet. It grows under Index.mu until it is frozen.
type tail struct {
	from  int64
	n     int              // entries
	index map[uint64]int32 // place in lists of a hash
	lists []tailList
}

// tailList is a list of offsets from tail.from. Most facets of a tail have one entry only, which needs no allocation.
// Nothing below len(rest) is ever changed, so a copy taken under Index.mu stays good without it.
type tailList struct {
	first uint32
	rest  []uint32
}

// newTail makes a tail for about this many different facets.
func newTail(from int64, facets int) *tail {
	return &tail{from: from, index: make(map[uint64]int32, facets), lists: make([]tailList, 0, facets)}
}

func (t *tail) next() int64 { return t.from + int64(t.n) }

// add appends one entry.
func (t *tail) add(hashes []uint64) {
	at := uint32(t.n)
	for _, h := range hashes {
		i, ok := t.index[h]
		if !ok {
			t.index[h] = int32(len(t.lists))
			t.lists = append(t.lists, tailList{first: at})
			continue
		}
		if l := &t.lists[i]; l.last() != at {
			l.rest = append(l.rest, at)
		}
	}
	t.n++
}

func (l *tailList) last() uint32 {
	if n := len(l.rest); n > 0 {
		return l.rest[n-1]
	}
	return l.first
}

// build writes the lists in order of hash.
func (t *tail) build(b *builder) {
	type place struct {
		hash uint64
		i    int32
	}
	order := make([]place, 0, len(t.lists))
	for h, i := range t.index {
		order = append(order, place{h, i})
	}
	slices.SortFunc(order, func(a, b place) int { return cmp.Compare(a.hash, b.hash) })
	for _, p := range order {
		l := t.lists[p.i]
		b.list(p.hash)
		b.add(l.first)
		for _, at := range l.rest {
			b.add(at)
		}
	}
}

// tailCursor walks a tailList.
type tailCursor struct {
	list tailList
	desc bool
}

func (c *tailCursor) size() int { return 1 + len(c.list.rest) }

func (c *tailCursor) seek(at int64) (int64, bool, error) {
	rest := c.list.rest
	if c.desc {
		i := sort.Search(len(rest), func(i int) bool { return int64(rest[i]) > at })
		if i > 0 {
			return int64(rest[i-1]), true, nil
		}
		return int64(c.list.first), int64(c.list.first) <= at, nil
	}
	if int64(c.list.first) >= at {
		return int64(c.list.first), true, nil
	}
	i := sort.Search(len(rest), func(i int) bool { return int64(rest[i]) >= at })
	if i < len(rest) {
		return int64(rest[i]), true, nil
	}
	return 0, false, nil
}
