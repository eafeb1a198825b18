package verify

import (
	"bytes"
	"fmt"
	"math/bits"
	"time"

	"golang.org/x/mod/sumdb/tlog"
)

// Log checks a whole journal as it streams by. Give it every checkpoint that was ever signed (Checkpoint), then every
// event in order (Add), then call End. It keeps, for each thing that was changed, its last version, and of the tree the
// right edge.
//
// After the first Problem it stays with that: later calls give the same one. It is not safe for concurrent use.
type Log struct {
	shop       string
	edge       []tlog.Hash // roots of the complete subtrees that size falls into, largest first
	size       int64
	recordedAt time.Time
	heads      map[Target]head
	signed     map[int64][32]byte // roots that are signed, by a size not reached yet
	longest    int64              // the greatest size that was signed
	failed     *Problem
}

// head is where the chain of one thing's events stands.
type head struct {
	version int64
	seq     int64
}

// NewLog starts the check of a shop's journal.
func NewLog(shop string) *Log {
	return &Log{shop: shop, heads: map[Target]head{}, signed: map[int64][32]byte{}}
}

// Checkpoint holds the journal to a checkpoint signed with key: at its size, the root has to be the one that it says. The
// order of checkpoints does not matter, but one that comes after the events went beyond it cannot be checked any more
// and is refused. Every error is a *Problem.
func (l *Log) Checkpoint(msg []byte, key string) error {
	if l.failed != nil {
		return l.failed
	}
	c, p := openCheckpoint(msg, key)
	if p != nil {
		return l.fail(p)
	}
	if c.Shop != l.shop {
		return l.fail(problem("checkpoint", "it is of %s, not of %s", c.Shop, l.shop))
	}
	if root, ok := l.signed[c.Size]; ok && root != c.Root {
		return l.fail(problem("checkpoint", "two different journals of %d events were signed", c.Size))
	}
	if c.Size < l.size {
		return problem("checkpoint", "it is over %d events, and came after %d", c.Size, l.size)
	}
	l.signed[c.Size] = c.Root
	l.longest = max(l.longest, c.Size)
	return l.reached()
}

// Add checks the next event: its bytes, its leaf hash as stored (nil when the source has none), and its place: no gap in
// seq, no step back in recorded_at, no gap in its target's versions. Every error is a *Problem.
func (l *Log) Add(body, leafHash []byte) error {
	if l.failed != nil {
		return l.failed
	}
	e, p := parseEvent(body)
	if p == nil {
		if p = l.place(&e, leafHash); p != nil {
			p.ID = e.ID
		}
	}
	if p != nil {
		p.Seq = l.size
		return l.fail(p)
	}
	l.heads[e.Targets[0]] = head{e.TargetVersion, e.Seq}
	l.recordedAt = e.RecordedAt
	l.append(e.LeafHash)
	return l.reached()
}

func (l *Log) place(e *Event, leafHash []byte) *Problem {
	last := l.heads[e.Targets[0]]
	switch {
	case leafHash != nil && !bytes.Equal(leafHash, e.LeafHash[:]):
		return problem("leaf_hash", "the stored one is %x, the bytes have %x", leafHash, e.LeafHash)
	case e.ShopID != l.shop:
		return problem("shop_id", "%s, in the journal of %s", e.ShopID, l.shop)
	case e.Seq != l.size:
		return problem("seq", "%d, where %d is next", e.Seq, l.size)
	case e.RecordedAt.Before(l.recordedAt):
		return problem("recorded_at", "%s, after an event of %s", e.RecordedAt.Format(recordedAtLayout), l.recordedAt.Format(recordedAtLayout))
	case e.TargetVersion != last.version+1:
		return problem("target_version", "%d of %q, where %d is next", e.TargetVersion, e.Targets[0].ID, last.version+1)
	case last.version > 0 && e.TargetPrevSeq != last.seq:
		return problem("target_prev_seq", "%d, and the last event of %q is at %d", e.TargetPrevSeq, e.Targets[0].ID, last.seq)
	}
	return nil
}

// append puts a leaf into the tree. The subtrees that it completes have their left halves at the end of the edge, the
// largest first, which is the order in which tlog asks for them.
func (l *Log) append(leaf tlog.Hash) {
	hashes, err := tlog.StoredHashesForRecordHash(l.size, leaf, tlog.HashReaderFunc(func(indexes []int64) ([]tlog.Hash, error) {
		return l.edge[len(l.edge)-len(indexes):], nil
	}))
	if err != nil {
		panic(err) // the reader gives what was asked for
	}
	completed := len(hashes) - 1
	l.edge = append(l.edge[:len(l.edge)-completed], hashes[completed])
	l.size++
}

// reached checks the root at a size that was signed.
func (l *Log) reached() error {
	root, ok := l.signed[l.size]
	if !ok {
		return nil
	}
	if l.Root() != root {
		return l.fail(problem("checkpoint", "the first %d events are not those that were signed", l.size))
	}
	delete(l.signed, l.size)
	return nil
}

// End says that the journal ends here: a checkpoint that it has not reached means that entries are missing. The error
// is a *Problem.
func (l *Log) End() error {
	if l.failed == nil && l.longest > l.size {
		_ = l.fail(problem("checkpoint", "%d events were signed, and the journal ends after %d", l.longest, l.size))
	}
	if l.failed != nil {
		return l.failed
	}
	return nil
}

// Size is the number of events that hold so far.
func (l *Log) Size() int64 { return l.size }

// Root is the root of the tree of the events that hold so far.
func (l *Log) Root() [32]byte {
	if bits.OnesCount64(uint64(l.size)) != len(l.edge) {
		panic(fmt.Sprintf("verify: %d subtrees for %d events", len(l.edge), l.size))
	}
	root, err := tlog.TreeHash(l.size, tlog.HashReaderFunc(func(indexes []int64) ([]tlog.Hash, error) {
		return l.edge, nil
	}))
	if err != nil {
		panic(err) // the reader gives what was asked for
	}
	return root
}

func (l *Log) fail(p *Problem) error {
	l.failed = p
	return p
}
