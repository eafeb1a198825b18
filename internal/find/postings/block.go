package postings

import (
	"encoding/binary"
	"fmt"
	"hash/crc32"
	"math/bits"
	"sort"
)

// A block is cells followed by a CRC-32C of the run's number, the block's number and the cells. A cell is
//
//	uvarint  hash minus the hash of the cell before (0 before the first)
//	uvarint  count*2, plus 1 if dense
//	uvarint  first: the first offset, counted from the run's first seq
//	uvarint  last - first                    (count > 1)
//	uvarint  length of what follows          (count > 2, not dense)
//	uvarints each offset minus the one before, without the first and the last
//	bytes    (last-first)/8 + 1 of them      (dense): bit i of byte j stands for first + 8*j + i
//
// A list is one or more cells of the same hash with growing offsets. Distances do not depend on where the run begins, so
// a merge copies whole cells.
const (
	pageSize  = 4096
	blockSize = pageSize - 100 // a row of run_block then fills a page and needs no second one
	crcSize   = 4
	// headerSize bounds the bytes of a cell before its distances or bits.
	headerSize = 10 + 3 + 5 + 5 + 2
	// sparseCount is how many offsets a cell with distances holds at most; they are decoded together.
	sparseCount = 256
	// denseSpan is how many neighbouring seqs a cell with bits covers at most.
	denseSpan = 8192
	// denseCount is from how many offsets on bits are considered.
	denseCount = 32
)

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

func blockSum(run int64, no int, cells []byte) uint32 {
	var key [16]byte
	binary.LittleEndian.PutUint64(key[:], uint64(run))
	binary.LittleEndian.PutUint64(key[8:], uint64(no))
	return crc32.Update(crc32.Checksum(key[:], castagnoli), castagnoli, cells)
}

// openBlock checks a block and gives its cells.
func openBlock(run int64, no int, body []byte) ([]byte, error) {
	n := len(body) - crcSize
	if n <= 0 || binary.LittleEndian.Uint32(body[n:]) != blockSum(run, no, body[:n]) {
		return nil, fmt.Errorf("%w: block %d of run %d", ErrDamaged, no, run)
	}
	return body[:n], nil
}

// cell is one cell as it is read. payload is the distances or the bits.
type cell struct {
	hash        uint64
	count       int
	dense       bool
	first, last uint32
	payload     []byte
}

// cellReader reads the cells of a block one after the other.
type cellReader struct {
	rest []byte
	cell cell
	err  error
}

// next reads a cell; false at the end and at an error.
func (r *cellReader) next() bool {
	if len(r.rest) == 0 || r.err != nil {
		return false
	}
	ok := r.read()
	if !ok {
		r.err = fmt.Errorf("%w: a cell cannot be read", ErrDamaged)
	}
	return ok
}

func (r *cellReader) read() bool {
	p := r.rest
	ok := true
	number := func() uint64 {
		if len(p) > 0 && p[0] < 0x80 {
			v := uint64(p[0])
			p = p[1:]
			return v
		}
		v, n := binary.Uvarint(p)
		if n <= 0 {
			ok, p = false, nil
			return 0
		}
		p = p[n:]
		return v
	}
	delta, kind, first := number(), number(), number()
	c := cell{hash: r.cell.hash + delta, count: int(kind / 2), dense: kind%2 == 1, first: uint32(first)}
	span, size := uint64(0), uint64(0)
	if kind/2 > 1 {
		span = number()
	}
	switch {
	case c.dense:
		size = span/8 + 1
	case kind/2 > 2:
		size = number()
	}
	if !ok || kind/2 == 0 || kind/2 > denseSpan || first+span > 1<<32-1 || span+1 < kind/2 || size > uint64(len(p)) {
		return false
	}
	c.last = c.first + uint32(span)
	c.payload = p[:size]
	r.rest, r.cell = p[size:], c
	return true
}

// decode appends all offsets.
func (c *cell) decode(to []uint32) ([]uint32, error) {
	if c.dense {
		for j, b := range c.payload {
			for ; b != 0; b &= b - 1 {
				to = append(to, c.first+uint32(8*j+bits.TrailingZeros8(b)))
			}
		}
		return to, nil
	}
	to = append(to, c.first)
	at := uint64(c.first)
	for p := c.payload; len(p) > 0; {
		d, n := uint64(p[0]), 1
		if d >= 0x80 {
			d, n = binary.Uvarint(p)
		}
		if n <= 0 || d == 0 || d >= uint64(c.last)-at {
			return to, fmt.Errorf("%w: distances of a cell", ErrDamaged)
		}
		at += d
		to = append(to, uint32(at))
		p = p[n:]
	}
	if c.count > 1 {
		to = append(to, c.last)
	}
	return to, nil
}

// bit gives the first set bit of a dense cell at or after the offset at, or the last at or before it. at lies between
// first and last.
func (c *cell) bit(at uint32, desc bool) (uint32, bool) {
	i := at - c.first
	j := int(i / 8)
	if desc {
		b := c.payload[j] & (0xff >> (7 - i%8))
		for b == 0 {
			if j--; j < 0 {
				return 0, false
			}
			b = c.payload[j]
		}
		return c.first + uint32(8*j+bits.Len8(b)-1), true
	}
	b := c.payload[j] & (0xff << (i % 8))
	for b == 0 {
		if j++; j >= len(c.payload) {
			return 0, false
		}
		b = c.payload[j]
	}
	return c.first + uint32(8*j+bits.TrailingZeros8(b)), true
}

// blockIndex is the first key of every block of a run: hash and first offset.
type blockIndex struct {
	hashes []uint64
	firsts []uint32
}

func (x *blockIndex) len() int { return len(x.hashes) }

func (x *blockIndex) add(hash uint64, first uint32) {
	x.hashes, x.firsts = append(x.hashes, hash), append(x.firsts, first)
}

// find gives the last block that begins at or before a key, -1 if none does.
func (x *blockIndex) find(hash uint64, at uint32) int {
	return sort.Search(len(x.hashes), func(i int) bool {
		return x.hashes[i] > hash || x.hashes[i] == hash && x.firsts[i] > at
	}) - 1
}

func (x *blockIndex) bytes() []byte {
	out := make([]byte, 0, 12*len(x.hashes))
	for i := range x.hashes {
		out = binary.LittleEndian.AppendUint64(out, x.hashes[i])
		out = binary.LittleEndian.AppendUint32(out, x.firsts[i])
	}
	return out
}

func blockIndexOf(p []byte) blockIndex {
	var x blockIndex
	for ; len(p) >= 12; p = p[12:] {
		x.add(binary.LittleEndian.Uint64(p), binary.LittleEndian.Uint32(p[8:]))
	}
	return x
}

// builder packs lists into blocks. Lists come in order of hash, offsets of a list in order.
type builder struct {
	run  int64
	sink func(no int, body []byte) error // may keep body
	err  error                           // of sink

	index blockIndex
	bloom bloom
	keys  int64
	bytes int64

	body    []byte
	prev    uint64 // hash of the last cell in body
	hash    uint64 // of the list that is being written
	pending []uint32
	scratch []byte
	decoded []uint32
}

// newBuilder builds for at most this many lists.
func newBuilder(run, keys int64, sink func(no int, body []byte) error) *builder {
	return &builder{run: run, sink: sink, bloom: newBloom(keys), pending: make([]uint32, 0, denseSpan)}
}

// list begins a list.
func (b *builder) list(hash uint64) {
	b.flush(0)
	b.hash = hash
	b.keys++
	b.bloom.add(hash)
}

// add appends an offset.
func (b *builder) add(at uint32) {
	b.pending = append(b.pending, at)
	if len(b.pending) == denseSpan {
		b.flush(denseSpan / 2)
	}
}

// take appends a cell of a run that begins shift seqs later than this one. Big ones are copied as they are.
func (b *builder) take(c *cell, shift uint32) {
	if c.dense && c.last-c.first >= denseSpan/2 || !c.dense && c.count >= sparseCount/2 {
		b.flush(0)
		b.cell(c.count, c.dense, c.first+shift, c.last+shift, c.payload)
		return
	}
	var err error
	if b.decoded, err = c.decode(b.decoded[:0]); err != nil && b.err == nil {
		b.err = err
	}
	for _, at := range b.decoded {
		b.add(at + shift)
	}
}

// flush turns pending offsets into cells until at most keep remain.
func (b *builder) flush(keep int) {
	p := b.pending
	for len(p) > keep {
		k := len(p)
		if k > 1 && p[k-1]-p[0] >= denseSpan {
			k = sort.Search(k, func(i int) bool { return p[i]-p[0] >= denseSpan })
		}
		if span := p[k-1] - p[0]; k >= denseCount && int(span/8)+1 < distancesSize(p[:k]) {
			b.scratch = append(b.scratch[:0], make([]byte, span/8+1)...)
			for _, at := range p[:k] {
				b.scratch[(at-p[0])/8] |= 1 << ((at - p[0]) % 8)
			}
			b.cell(k, true, p[0], p[k-1], b.scratch)
		} else {
			k = min(len(p), sparseCount)
			b.scratch = b.scratch[:0]
			for i := 1; i < k-1; i++ {
				b.scratch = binary.AppendUvarint(b.scratch, uint64(p[i]-p[i-1]))
			}
			b.cell(k, false, p[0], p[k-1], b.scratch)
		}
		p = p[k:]
	}
	b.pending = b.pending[:copy(b.pending, p)]
}

// distancesSize is how many bytes the distances between offsets take.
func distancesSize(p []uint32) int {
	n := 0
	for i := 1; i < len(p); i++ {
		n += (bits.Len32(p[i]-p[i-1]) + 6) / 7
	}
	return n
}

func (b *builder) cell(count int, dense bool, first, last uint32, payload []byte) {
	if len(b.body)+headerSize+len(payload)+crcSize > blockSize {
		b.closeBlock()
	}
	if len(b.body) == 0 {
		b.prev = 0
		b.index.add(b.hash, first)
	}
	kind := uint64(count) * 2
	if dense {
		kind++
	}
	p := binary.AppendUvarint(b.body, b.hash-b.prev)
	p = binary.AppendUvarint(p, kind)
	p = binary.AppendUvarint(p, uint64(first))
	if count > 1 {
		p = binary.AppendUvarint(p, uint64(last-first))
	}
	if count > 2 && !dense {
		p = binary.AppendUvarint(p, uint64(len(payload)))
	}
	b.body = append(p, payload...)
	b.prev = b.hash
}

func (b *builder) closeBlock() {
	if len(b.body) == 0 {
		return
	}
	no := b.index.len() - 1
	body := binary.LittleEndian.AppendUint32(b.body, blockSum(b.run, no, b.body))
	b.bytes += int64(len(body))
	if b.err == nil {
		b.err = b.sink(no, body)
	}
	b.body = make([]byte, 0, blockSize)
}

// finish writes what is left and gives the finished run's fields.
func (b *builder) finish() error {
	b.flush(0)
	b.closeBlock()
	b.bloom = b.bloom.fold(b.keys)
	return b.err
}
