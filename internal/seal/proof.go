package seal

import (
	"errors"
	"fmt"

	"golang.org/x/mod/sumdb/tlog"
)

// Source reads the stored hashes of one tree.
type Source interface {
	// Leaves gives the leaf hashes of [from, to), all of them or an error.
	Leaves(from, to int64) ([]Hash, error)
	// Node gives the root of a complete subtree at NodeLevel or above.
	Node(level int, index int64) (Hash, error)
}

// ErrRange says that a proof was asked for positions or sizes that make no sense together.
var ErrRange = errors.New("seal: out of range")

// Inclusion proves that the leaf at seq is in the tree of the first size leaves (RFC 6962, section 2.1.1). It wants
// 0 <= seq < size; the caller knows that size is not over what src holds. The proof of a tree of one leaf is empty, not nil.
func Inclusion(src Source, seq, size int64) ([]Hash, error) {
	if seq < 0 || seq >= size || size > MaxSize {
		return nil, fmt.Errorf("%w: entry %d in a tree of %d", ErrRange, seq, size)
	}
	return tlog.ProveRecord(size, seq, newReader(src, size))
}

// Consistency proves that the tree of the first to leaves begins with the tree of the first from (RFC 6962, section 2.1.2). It wants
// 0 <= from <= to. Every tree begins with the empty one, and there is nothing to prove: that proof is empty, not nil, as is that of
// a tree with itself.
func Consistency(src Source, from, to int64) ([]Hash, error) {
	if from < 0 || from > to || to > MaxSize {
		return nil, fmt.Errorf("%w: a tree of %d within a tree of %d", ErrRange, from, to)
	}
	if from == 0 {
		return []Hash{}, nil
	}
	return tlog.ProveTree(to, from, newReader(src, to))
}

// RootAt is the root of the first size leaves; the empty tree has one too (SHA-256 of nothing).
func RootAt(src Source, size int64) (Hash, error) {
	if size < 0 || size > MaxSize {
		return Hash{}, fmt.Errorf("%w: a tree of %d", ErrRange, size)
	}
	return tlog.TreeHash(size, newReader(src, size))
}

// reader implements tlog.HashReader for one call: it keeps the blocks that it recomputed.
type reader struct {
	src    Source
	size   int64
	blocks map[int64][]Hash // by block; in the order of tlog.StoredHashIndex within the block
}

func newReader(src Source, size int64) *reader {
	return &reader{src: src, size: size, blocks: map[int64][]Hash{}}
}

func (r *reader) ReadHashes(indexes []int64) ([]Hash, error) {
	out := make([]Hash, len(indexes))
	for i, index := range indexes {
		level, n := tlog.SplitStoredHashIndex(index)
		if level >= NodeLevel {
			h, err := r.src.Node(level, n)
			if err != nil {
				return nil, err
			}
			out[i] = h
			continue
		}
		b := n >> (NodeLevel - level)
		block, err := r.block(b)
		if err != nil {
			return nil, err
		}
		within := tlog.StoredHashIndex(level, n-b<<(NodeLevel-level))
		if within >= int64(len(block)) {
			return nil, fmt.Errorf("seal: subtree %d at level %d is not in a tree of %d", n, level, r.size)
		}
		out[i] = block[within]
	}
	return out, nil
}

// block computes the lower levels of a block from its leaves. A complete subtree of the big tree is a tree of its own
// with the same hashes, so a block is a tree of up to 2^NodeLevel leaves.
func (r *reader) block(b int64) ([]Hash, error) {
	if block, ok := r.blocks[b]; ok {
		return block, nil
	}
	from := b << NodeLevel
	to := min(from+1<<NodeLevel, r.size)
	leaves, err := r.src.Leaves(from, to)
	if err != nil {
		return nil, err
	}
	if int64(len(leaves)) != to-from {
		return nil, fmt.Errorf("seal: %d leaves of [%d, %d)", len(leaves), from, to)
	}
	block := make([]Hash, 0, tlog.StoredHashCount(to-from))
	read := tlog.HashReaderFunc(func(indexes []int64) ([]Hash, error) {
		out := make([]Hash, len(indexes))
		for i, index := range indexes {
			out[i] = block[index]
		}
		return out, nil
	})
	for i, leaf := range leaves {
		hashes, err := tlog.StoredHashesForRecordHash(int64(i), leaf, read)
		if err != nil {
			return nil, err
		}
		block = append(block, hashes...)
	}
	r.blocks[b] = block
	return block, nil
}
