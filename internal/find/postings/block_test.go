package postings

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"
)

// TestHash keeps the hash as it is: it is part of the format.
func TestHash(t *testing.T) {
	for facet, want := range map[string]uint64{"": 0xefd01f60ba992926, "t:sub_01": 0xfd974bc793e70422} {
		if got := hashOf(facet); got != want {
			t.Errorf("hashOf(%q): got %#x, want %#x", facet, got, want)
		}
	}
}

// drawLists draws lists of very different densities, by hash.
func drawLists(t *rapid.T) map[uint64][]uint32 {
	out := map[uint64][]uint32{}
	for range rapid.IntRange(1, 12).Draw(t, "lists") {
		at, gap := rapid.Uint32Range(0, 1000).Draw(t, "first"), rapid.SampledFrom([]uint32{1, 1, 3, 20, 5000}).Draw(t, "gap")
		n := rapid.SampledFrom([]int{1, 1, 2, 3, 40, 300, 10_000}).Draw(t, "n")
		every := rapid.IntRange(1, 50).Draw(t, "every")
		list := make([]uint32, 0, n)
		for i := range n {
			list = append(list, at)
			if at++; i%every == 0 {
				at += gap - 1
			}
		}
		out[rapid.Uint64().Draw(t, "hash")] = list
	}
	return out
}

func build(t interface{ Fatal(...any) }, run int64, lists map[uint64][]uint32) (*builder, [][]byte) {
	var blocks [][]byte
	b := newBuilder(run, int64(len(lists)), func(no int, body []byte) error {
		if no != len(blocks) || len(body) > blockSize {
			return fmt.Errorf("block %d of %d bytes after %d", no, len(body), len(blocks))
		}
		blocks = append(blocks, body)
		return nil
	})
	hashes := make([]uint64, 0, len(lists))
	for h := range lists {
		hashes = append(hashes, h)
	}
	slices.Sort(hashes)
	for _, h := range hashes {
		b.list(h)
		for _, at := range lists[h] {
			b.add(at)
		}
	}
	if err := b.finish(); err != nil {
		t.Fatal(err)
	}
	return b, blocks
}

// read gives the lists of blocks, every offset moved by shift.
func read(t interface{ Fatal(...any) }, run int64, blocks [][]byte) (lists map[uint64][]uint32, cells []cell) {
	lists = map[uint64][]uint32{}
	for no, body := range blocks {
		p, err := openBlock(run, no, body)
		if err != nil {
			t.Fatal(err)
		}
		r := cellReader{rest: p}
		for r.next() {
			cells = append(cells, r.cell)
			if lists[r.cell.hash], err = r.cell.decode(lists[r.cell.hash]); err != nil {
				t.Fatal(err)
			}
		}
		if r.err != nil {
			t.Fatal(r.err)
		}
	}
	return lists, cells
}

func TestBlocks(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		want := drawLists(t)
		b, blocks := build(t, 7, want)
		got, cells := read(t, 7, blocks)
		if !maps.EqualFunc(want, got, slices.Equal) {
			t.Fatalf("(-want +got):\n%s", cmp.Diff(want, got))
		}
		for h := range want {
			if !b.bloom.has(h) {
				t.Fatalf("the filter lacks %#x", h)
			}
		}
		if len(bloomOf(b.bloom.bytes())) != len(b.bloom) {
			t.Fatal("the filter cannot be read")
		}
		if diff := cmp.Diff(b.index, blockIndexOf(b.index.bytes()), cmp.AllowUnexported(blockIndex{})); diff != "" {
			t.Fatalf("index (-want +got):\n%s", diff)
		}

		// The cells, taken twice, are the lists twice.
		const shift = 20_000_000
		again := newBuilder(8, int64(2*len(want)), nil)
		var merged [][]byte
		again.sink = func(no int, body []byte) error { merged = append(merged, body); return nil }
		for i := 0; i < len(cells); {
			j := i
			again.list(cells[i].hash)
			for ; j < len(cells) && cells[j].hash == cells[i].hash; j++ {
				again.take(&cells[j], 0)
			}
			for k := i; k < j; k++ {
				again.take(&cells[k], shift)
			}
			i = j
		}
		if err := again.finish(); err != nil {
			t.Fatal(err)
		}
		for h, list := range want {
			for _, at := range slices.Clone(list) {
				want[h] = append(want[h], at+shift)
			}
		}
		got, _ = read(t, 8, merged)
		if !maps.EqualFunc(want, got, slices.Equal) {
			t.Fatalf("merged (-want +got):\n%s", cmp.Diff(want, got))
		}
		if len(again.bloom) != len(newBloom(int64(len(want)))) {
			t.Fatalf("a filter of %d words for %d lists", len(again.bloom), len(want))
		}
	})
}

// TestDense keeps a list that is nearly everywhere at about a bit for a seq.
func TestDense(t *testing.T) {
	list := make([]uint32, 0, 1<<17)
	for i := range uint32(1 << 17) {
		if i%10 != 0 {
			list = append(list, i)
		}
	}
	b, _ := build(t, 1, map[uint64][]uint32{1: list})
	if got, want := b.bytes, int64(1<<17/8*11/10); got > want {
		t.Errorf("%d bytes, want at most %d", got, want)
	}
}

func TestBloomErrors(t *testing.T) {
	const n = 10_000
	b := newBloom(n)
	for i := range n {
		b.add(hashOf(fmt.Sprint("in", i)))
	}
	wrong := 0
	for i := range n {
		if !b.has(hashOf(fmt.Sprint("in", i))) {
			t.Fatalf("%d is missing", i)
		}
		if b.has(hashOf(fmt.Sprint("out", i))) {
			wrong++
		}
	}
	if wrong > n*3/100 {
		t.Errorf("%d of %d absent hashes are taken for present", wrong, n)
	}
}

func TestCache(t *testing.T) {
	var c blockCache
	for i := range 3 * cacheBlocks {
		c.put(blockKey{1, i}, []byte{byte(i)})
		c.get(blockKey{1, 7}) // stays, because it is always in use
		for _, no := range []int{i, 7} {
			if got := c.get(blockKey{1, no}); no <= i && (len(got) != 1 || got[0] != byte(no)) {
				t.Fatalf("after %d, block %d: got %v", i, no, got)
			}
		}
	}
	if len(c.slots) != cacheBlocks || len(c.at) != cacheBlocks || c.get(blockKey{1, 8}) != nil {
		t.Errorf("%d slots, %d known", len(c.slots), len(c.at))
	}
}

func TestBlockRefusesEveryFlippedBit(t *testing.T) {
	_, blocks := build(t, 3, map[uint64][]uint32{1: {1, 5, 9}, 2: {4}})
	for i := range len(blocks[0]) * 8 {
		body := slices.Clone(blocks[0])
		body[i/8] ^= 1 << (i % 8)
		if _, err := openBlock(3, 0, body); !errors.Is(err, ErrDamaged) {
			t.Fatalf("bit %d: got %v, want ErrDamaged", i, err)
		}
	}
	for _, other := range []struct {
		run int64
		no  int
	}{{4, 0}, {3, 1}} {
		if _, err := openBlock(other.run, other.no, blocks[0]); !errors.Is(err, ErrDamaged) {
			t.Errorf("as block %d of run %d: got %v, want ErrDamaged", other.no, other.run, err)
		}
	}
}

// FuzzCells reads anything as cells, without the checksum that would stop it.
func FuzzCells(f *testing.F) {
	_, blocks := build(f, 1, map[uint64][]uint32{9: {0, 1, 2, 3, 700}, 10: {4}, 1 << 60: {5, 6}})
	f.Add(blocks[0][:len(blocks[0])-crcSize])
	dense := make([]uint32, 100)
	for i := range dense {
		dense[i] = uint32(i) + 3
	}
	_, blocks = build(f, 1, map[uint64][]uint32{1: dense})
	f.Add(blocks[0][:len(blocks[0])-crcSize])
	f.Fuzz(func(t *testing.T, p []byte) {
		r := cellReader{rest: p}
		for r.next() {
			c := r.cell
			if c.last < c.first || c.count == 0 {
				t.Fatalf("%+v", c)
			}
			offsets, err := c.decode(nil)
			if err == nil && !slices.IsSorted(offsets) {
				t.Fatalf("%v is not in order", offsets)
			}
			if c.dense {
				c.bit(c.first, false)
				c.bit(c.last, true)
			}
		}
	})
}
