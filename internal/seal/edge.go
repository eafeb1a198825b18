package seal

import (
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"math/bits"

	"golang.org/x/mod/sumdb/tlog"
)

// NodeLevel is the lowest level whose complete subtrees are stored as a Node: 2^NodeLevel leaves make a block.
const NodeLevel = 8

// Node is the root of a complete subtree: it covers the leaves [Index<<Level, (Index+1)<<Level).
type Node struct {
	Level int // at least NodeLevel
	Index int64
	Hash  Hash
}

// Edge is the right edge of a tree, also called its compact range: the roots of the complete subtrees that its size
// falls into, largest first. The zero Edge is the empty tree. It is a plain value: a copy is independent, and two edges
// of the same leaves are equal by ==.
type Edge struct {
	// Size is the number of leaves. Only Add and ParseEdge set it.
	Size int64

	// The first OnesCount(Size) are in use; the others are zero.
	hashes [53]Hash
}

// Clone gives an independent copy.
func (e *Edge) Clone() Edge { return *e }

// Add appends a leaf. It appends the subtrees of NodeLevel and above that the leaf completes to nodes, lowest first,
// and returns the extended slice.
func (e *Edge) Add(leaf Hash, nodes []Node) []Node {
	hashes, err := tlog.StoredHashesForRecordHash(e.Size, leaf, tlog.HashReaderFunc(e.read))
	if err != nil {
		panic(err) // the subtrees that a new leaf completes have their left halves in the edge, always
	}
	for level := NodeLevel; level < len(hashes); level++ {
		nodes = append(nodes, Node{level, e.Size >> level, hashes[level]})
	}
	// The subtree that the leaf completed takes the place of its left parts.
	n := bits.OnesCount64(uint64(e.Size))
	top := n - (len(hashes) - 1)
	e.hashes[top] = hashes[len(hashes)-1]
	if top < n {
		clear(e.hashes[top+1 : n])
	}
	e.Size++
	return nodes
}

// Root is the root of the tree.
func (e *Edge) Root() Hash {
	root, err := tlog.TreeHash(e.Size, tlog.HashReaderFunc(e.read))
	if err != nil {
		panic(err) // the edge of a size is what its root is made of
	}
	return root
}

// read implements tlog.HashReader for the subtrees of the edge.
func (e *Edge) read(indexes []int64) ([]Hash, error) {
	out := make([]Hash, len(indexes))
	for i, index := range indexes {
		level, n := tlog.SplitStoredHashIndex(index)
		above := e.Size >> level
		if above&1 == 0 || n != above-1 {
			return nil, fmt.Errorf("seal: subtree %d at level %d is not on the edge of %d leaves", n, level, e.Size)
		}
		out[i] = e.hashes[bits.OnesCount64(uint64(above))-1]
	}
	return out, nil
}

// The encoded form: version (1 byte), size (8 bytes, big-endian), hashes (32 bytes each, largest subtree first), and
// SHA-256 of all that. The sum is no protection against malice, which only verifying finds; it keeps a damaged edge
// from being built upon.
const (
	edgeVersion = 1
	edgeHeader  = 1 + 8
)

// MarshalBinary gives the form that ParseEdge reads. It never fails.
func (e *Edge) MarshalBinary() ([]byte, error) {
	n := bits.OnesCount64(uint64(e.Size))
	b := make([]byte, 0, edgeHeader+(n+1)*tlog.HashSize)
	b = append(b, edgeVersion)
	b = binary.BigEndian.AppendUint64(b, uint64(e.Size))
	for _, h := range e.hashes[:n] {
		b = append(b, h[:]...)
	}
	sum := sha256.Sum256(b)
	return append(b, sum[:]...), nil
}

// ParseEdge reads what MarshalBinary wrote, and refuses everything else.
func ParseEdge(b []byte) (Edge, error) {
	if len(b) < edgeHeader+tlog.HashSize {
		return Edge{}, errors.New("seal: edge: cut short")
	}
	if b[0] != edgeVersion {
		return Edge{}, fmt.Errorf("seal: edge: version %d, this program reads %d", b[0], edgeVersion)
	}
	size := binary.BigEndian.Uint64(b[1:])
	if size > MaxSize {
		return Edge{}, fmt.Errorf("seal: edge: size %d is over %d", size, int64(MaxSize))
	}
	n := bits.OnesCount64(size)
	if got, want := len(b), edgeHeader+(n+1)*tlog.HashSize; got != want {
		return Edge{}, fmt.Errorf("seal: edge: %d bytes, %d leaves take %d", got, size, want)
	}
	body, sum := b[:len(b)-tlog.HashSize], b[len(b)-tlog.HashSize:]
	if sha256.Sum256(body) != [sha256.Size]byte(sum) {
		return Edge{}, errors.New("seal: edge: the sum does not fit the content")
	}
	e := Edge{Size: int64(size)}
	for i := range n {
		copy(e.hashes[i][:], body[edgeHeader+i*tlog.HashSize:])
	}
	return e, nil
}
