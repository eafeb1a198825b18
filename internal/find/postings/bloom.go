package postings

import (
	"encoding/binary"
	"math/bits"
)

// bloom is a Bloom filter of hashes. Its length is a power of two, so that it can be made for more keys than come and
// folded afterwards. With 8 to 16 bits a key and 5 probes it errs for 2.2 to 0.2 % of the absent hashes.
type bloom []uint64

const (
	bloomBits   = 8
	bloomProbes = 5
)

func newBloom(keys int64) bloom {
	words := max(1, uint64(keys)*bloomBits/64)
	return make(bloom, 1<<bits.Len64(words-1))
}

// probe gives the i-th bit of h before it is cut to the filter's length. The hash is uniform already: its halves serve
// as two hashes (Kirsch and Mitzenmacher, "Less Hashing, Same Performance", 2006).
func probe(h, i uint64) uint64 { return h + i*(bits.RotateLeft64(h, 32)|1) }

func (b bloom) add(h uint64) {
	mask := uint64(len(b))*64 - 1
	for i := range uint64(bloomProbes) {
		p := probe(h, i) & mask
		b[p/64] |= 1 << (p % 64)
	}
}

func (b bloom) has(h uint64) bool {
	mask := uint64(len(b))*64 - 1
	for i := range uint64(bloomProbes) {
		p := probe(h, i) & mask
		if b[p/64]&(1<<(p%64)) == 0 {
			return false
		}
	}
	return true
}

// fold gives the filter the length that newBloom would give it for this many keys.
func (b bloom) fold(keys int64) bloom {
	for want := len(newBloom(keys)); len(b) > want; {
		half := len(b) / 2
		for i := range half {
			b[i] |= b[half+i]
		}
		b = b[:half]
	}
	return append(bloom(nil), b...)
}

func (b bloom) bytes() []byte {
	out := make([]byte, 0, 8*len(b))
	for _, w := range b {
		out = binary.LittleEndian.AppendUint64(out, w)
	}
	return out
}

// bloomOf reads what bytes gave; nil when it is none.
func bloomOf(p []byte) bloom {
	if n := len(p) / 8; len(p)%8 != 0 || n == 0 || n&(n-1) != 0 {
		return nil
	}
	b := make(bloom, len(p)/8)
	for i := range b {
		b[i] = binary.LittleEndian.Uint64(p[8*i:])
	}
	return b
}
