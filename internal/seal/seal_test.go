package seal

import (
	"encoding/binary"
	"errors"
	"fmt"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/transparency-dev/merkle/compact"
	"github.com/transparency-dev/merkle/proof"
	"github.com/transparency-dev/merkle/rfc6962"
	"github.com/transparency-dev/merkle/testonly"
	"golang.org/x/mod/sumdb/tlog"
	"pgregory.net/rapid"
)

// stored is what a database would keep: leaf hashes and nodes.
type stored struct {
	edge   Edge
	leaves []Hash
	nodes  map[[2]int64]Hash
	reads  int // leaves read
}

func grow(n int) *stored {
	s := &stored{nodes: map[[2]int64]Hash{}}
	for i := range n {
		s.add(LeafHash(fmt.Appendf(nil, "event %d", i)))
	}
	return s
}

func (s *stored) add(leaf Hash) {
	for _, n := range s.edge.Add(leaf, nil) {
		s.nodes[[2]int64{int64(n.Level), n.Index}] = n.Hash
	}
	s.leaves = append(s.leaves, leaf)
}

func (s *stored) Leaves(from, to int64) ([]Hash, error) {
	if from < 0 || from > to || to > int64(len(s.leaves)) {
		return nil, fmt.Errorf("no leaves [%d, %d)", from, to)
	}
	s.reads += int(to - from)
	return s.leaves[from:to], nil
}

func (s *stored) Node(level int, index int64) (Hash, error) {
	h, ok := s.nodes[[2]int64{int64(level), index}]
	if !ok {
		return h, fmt.Errorf("no node %d/%d", level, index)
	}
	return h, nil
}

func bytesOf(hashes []Hash) [][]byte {
	out := make([][]byte, len(hashes))
	for i := range hashes {
		out[i] = hashes[i][:]
	}
	return out
}

// other builds the same tree with the other implementation.
func other(leaves []Hash) *testonly.Tree {
	t := testonly.New(rfc6962.DefaultHasher)
	t.Append(bytesOf(leaves)...)
	return t
}

func TestLeafHash(t *testing.T) {
	got := LeafHash([]byte("event"))
	if want := rfc6962.DefaultHasher.HashLeaf([]byte("event")); !slices.Equal(got[:], want) {
		t.Errorf("LeafHash = %x, want %x", got, want)
	}
}

// The tree of every size has the root of the other implementation, and its edge is the other's compact range.
func TestEdge(t *testing.T) {
	s := grow(0)
	if got, want := s.edge.Root(), [32]byte(rfc6962.DefaultHasher.EmptyRoot()); got != want {
		t.Errorf("root of nothing = %x, want %x", got, want)
	}
	ranges := compact.RangeFactory{Hash: rfc6962.DefaultHasher.HashChildren}
	wantRange := ranges.NewEmptyRange(0)
	wantNodes := map[[2]int64]Hash{}
	for i := range 1100 {
		s.add(LeafHash(fmt.Appendf(nil, "event %d", i)))
		err := wantRange.Append(s.leaves[i][:], func(id compact.NodeID, hash []byte) {
			if id.Level >= NodeLevel {
				wantNodes[[2]int64{int64(id.Level), int64(id.Index)}] = Hash(hash)
			}
		})
		if err != nil {
			t.Fatal(err)
		}
		wantRoot, err := wantRange.GetRootHash(nil)
		if err != nil {
			t.Fatal(err)
		}
		got := s.edge.Root()
		if !slices.Equal(got[:], wantRoot) {
			t.Fatalf("root of %d = %x, want %x", i+1, got, wantRoot)
		}
		inUse := bytesOf(s.edge.hashes[:len(wantRange.Hashes())])
		if diff := cmp.Diff(wantRange.Hashes(), inUse); diff != "" {
			t.Fatalf("edge of %d (-want +got):\n%s", i+1, diff)
		}
		if s.edge.Size != int64(i+1) || s.edge.hashes[len(inUse)] != (Hash{}) {
			t.Fatalf("edge of %d has size %d, and after it %x", i+1, s.edge.Size, s.edge.hashes[len(inUse)])
		}
	}
	if diff := cmp.Diff(wantNodes, s.nodes); diff != "" {
		t.Errorf("nodes (-want +got):\n%s", diff)
	}
	if len(s.nodes) != 4+2+1 {
		t.Errorf("%d nodes for 1100 leaves, want 7", len(s.nodes))
	}
}

// The arithmetic holds up to the last leaf there can be.
func TestEdgeAtTheEnd(t *testing.T) {
	full := Edge{Size: MaxSize - 1}
	for i := range full.hashes {
		full.hashes[i] = LeafHash([]byte{byte(i)})
	}
	parsed := roundTrip(t, &full)
	nodes := full.Add(LeafHash([]byte("last")), nil)
	if got, want := len(nodes), 53-NodeLevel+1; got != want {
		t.Errorf("%d nodes, want %d", got, want)
	}
	if top := nodes[len(nodes)-1]; top.Level != 53 || top.Index != 0 || top.Hash != full.Root() {
		t.Errorf("the last node is %d/%d, and not the root", top.Level, top.Index)
	}
	roundTrip(t, &full)
	if full == parsed {
		t.Error("a copy of the edge changed with it")
	}
}

func roundTrip(t *testing.T, e *Edge) Edge {
	t.Helper()
	b, err := e.MarshalBinary()
	if err != nil {
		t.Fatal(err)
	}
	parsed, err := ParseEdge(b)
	if err != nil {
		t.Fatalf("ParseEdge(%x): %v", b, err)
	}
	if parsed != *e {
		t.Fatalf("ParseEdge(MarshalBinary(%d leaves)) has %d leaves, or other hashes", e.Size, parsed.Size)
	}
	return parsed
}

func TestEdgeClone(t *testing.T) {
	s := grow(7)
	before := s.edge
	c := s.edge.Clone()
	c.Add(Hash{1}, nil)
	if s.edge != before {
		t.Error("adding to a clone changed the edge")
	}
}

// Every flipped bit of an encoded edge is refused, and the refusal names what is wrong.
func TestParseEdgeRefuses(t *testing.T) {
	s := grow(300) // 0b100101100: four hashes
	good, err := s.edge.MarshalBinary()
	if err != nil {
		t.Fatal(err)
	}
	const sum = "seal: edge: the sum does not fit the content"
	for i := range good {
		for bit := range 8 {
			b := slices.Clone(good)
			b[i] ^= 1 << bit
			_, err := ParseEdge(b)
			if err == nil {
				t.Fatalf("byte %d, bit %d: not refused", i, bit)
			}
			want := sum
			switch {
			case i == 0:
				want = fmt.Sprintf("seal: edge: version %d, this program reads 1", b[0])
			case i < edgeHeader:
				if size := binary.BigEndian.Uint64(b[1:]); size > MaxSize {
					want = fmt.Sprintf("seal: edge: size %d is over %d", size, int64(MaxSize))
				} else { // a bit more or less is a hash more or less
					want = fmt.Sprintf("seal: edge: %d bytes, %d leaves take %d", len(good), size, edgeHeader+32*(1+popcount(size)))
				}
			}
			if err.Error() != want {
				t.Errorf("byte %d, bit %d: %q, want %q", i, bit, err, want)
			}
		}
	}
	moved := slices.Clone(good)
	binary.BigEndian.PutUint64(moved[1:], 300<<1) // as many bits: the same hashes under another size
	for _, tc := range []struct {
		name, want string
		b          []byte
	}{
		{"nothing", "seal: edge: cut short", nil},
		{"cut", "seal: edge: 168 bytes, 300 leaves take 169", good[:len(good)-1]},
		{"longer", "seal: edge: 170 bytes, 300 leaves take 169", append(slices.Clone(good), 0)},
		{"another size", sum, moved},
	} {
		if _, err := ParseEdge(tc.b); err == nil || err.Error() != tc.want {
			t.Errorf("%s: %v, want %q", tc.name, err, tc.want)
		}
	}
}

func popcount(n uint64) int {
	c := 0
	for ; n > 0; n &= n - 1 {
		c++
	}
	return c
}

// Every proof of trees of all shapes around the blocks is the other implementation's, and both sides accept it.
func TestProofs(t *testing.T) {
	s := grow(1030)
	o := other(s.leaves)
	sizes := []int64{1, 2, 3, 7, 8, 255, 256, 257, 511, 512, 513, 700, 767, 768, 1023, 1024, 1025, 1030}
	for _, size := range sizes {
		root, err := RootAt(s, size)
		if err != nil {
			t.Fatalf("RootAt(%d): %v", size, err)
		}
		if want := Hash(o.HashAt(uint64(size))); root != want {
			t.Fatalf("RootAt(%d) = %v, want %v", size, root, want)
		}
		for _, seq := range sizes {
			seq--
			if seq >= size {
				break
			}
			checkInclusion(t, s, o, seq, size, root)
		}
		for _, from := range sizes {
			if from > size {
				break
			}
			checkConsistency(t, s, o, from, size, root)
		}
	}
	root, err := RootAt(s, 0)
	var empty Edge
	if err != nil || root != empty.Root() {
		t.Errorf("RootAt(0) = %v, %v, want %v", root, err, empty.Root())
	}
}

func checkInclusion(t interface{ Fatalf(string, ...any) }, s *stored, o *testonly.Tree, seq, size int64, root Hash) {
	s.reads = 0
	got, err := Inclusion(s, seq, size)
	if err != nil {
		t.Fatalf("Inclusion(%d, %d): %v", seq, size, err)
	}
	if s.reads > 2<<NodeLevel {
		t.Fatalf("Inclusion(%d, %d) read %d leaves", seq, size, s.reads)
	}
	want, err := o.InclusionProof(uint64(seq), uint64(size))
	if err != nil {
		t.Fatalf("the other InclusionProof(%d, %d): %v", seq, size, err)
	}
	if got == nil || !slices.EqualFunc(bytesOf(got), want, slices.Equal) {
		t.Fatalf("Inclusion(%d, %d) = %v, want %x", seq, size, got, want)
	}
	if err := tlog.CheckRecord(got, size, root, seq, s.leaves[seq]); err != nil {
		t.Fatalf("tlog refuses Inclusion(%d, %d): %v", seq, size, err)
	}
	if err := proof.VerifyInclusion(rfc6962.DefaultHasher, uint64(seq), uint64(size), s.leaves[seq][:], bytesOf(got), root[:]); err != nil {
		t.Fatalf("merkle refuses Inclusion(%d, %d): %v", seq, size, err)
	}
}

func checkConsistency(t interface{ Fatalf(string, ...any) }, s *stored, o *testonly.Tree, from, to int64, root Hash) {
	s.reads = 0
	got, err := Consistency(s, from, to)
	if err != nil {
		t.Fatalf("Consistency(%d, %d): %v", from, to, err)
	}
	if s.reads > 2<<NodeLevel {
		t.Fatalf("Consistency(%d, %d) read %d leaves", from, to, s.reads)
	}
	want, err := o.ConsistencyProof(uint64(from), uint64(to))
	if err != nil {
		t.Fatalf("the other ConsistencyProof(%d, %d): %v", from, to, err)
	}
	if got == nil || !slices.EqualFunc(bytesOf(got), want, slices.Equal) {
		t.Fatalf("Consistency(%d, %d) = %v, want %x", from, to, got, want)
	}
	older := Hash(o.HashAt(uint64(from)))
	if err := tlog.CheckTree(got, to, root, from, older); err != nil {
		t.Fatalf("tlog refuses Consistency(%d, %d): %v", from, to, err)
	}
	if err := proof.VerifyConsistency(rfc6962.DefaultHasher, uint64(from), uint64(to), bytesOf(got), older[:], root[:]); err != nil {
		t.Fatalf("merkle refuses Consistency(%d, %d): %v", from, to, err)
	}
}

func TestProofsOfAnyTree(t *testing.T) {
	s := grow(3000)
	o := other(s.leaves)
	rapid.Check(t, func(t *rapid.T) {
		size := rapid.Int64Range(1, int64(len(s.leaves))).Draw(t, "size")
		seq := rapid.Int64Range(0, size-1).Draw(t, "seq")
		root, err := RootAt(s, size)
		if err != nil {
			t.Fatal(err)
		}
		checkInclusion(t, s, o, seq, size, root)
		checkConsistency(t, s, o, seq+1, size, root)
	})
}

func TestProofsRefuse(t *testing.T) {
	s := grow(300)
	for _, tc := range []struct {
		name string
		do   func() error
	}{
		{"an entry before the first", func() error { _, err := Inclusion(s, -1, 300); return err }},
		{"an entry after the last", func() error { _, err := Inclusion(s, 300, 300); return err }},
		{"an empty tree", func() error { _, err := Inclusion(s, 0, 0); return err }},
		{"a tree over the greatest", func() error { _, err := Inclusion(s, 0, MaxSize+1); return err }},
		{"a negative older tree", func() error { _, err := Consistency(s, -1, 300); return err }},
		{"an older tree that is larger", func() error { _, err := Consistency(s, 300, 299); return err }},
		{"a newer tree over the greatest", func() error { _, err := Consistency(s, 1, MaxSize+1); return err }},
		{"a negative size", func() error { _, err := RootAt(s, -1); return err }},
		{"a size over the greatest", func() error { _, err := RootAt(s, MaxSize+1); return err }},
	} {
		if err := tc.do(); !errors.Is(err, ErrRange) {
			t.Errorf("%s: %v, want ErrRange", tc.name, err)
		}
	}
}

// Every tree begins with the empty one, also the empty tree.
func TestConsistencyFromNothing(t *testing.T) {
	for _, to := range []int64{0, 1, 300} {
		if got, err := Consistency(grow(300), 0, to); err != nil || got == nil || len(got) != 0 {
			t.Errorf("to %d: got %v, %v", to, got, err)
		}
	}
}

// A source that fails, or gives too little, gives no proof.
func TestProofsOfBrokenSource(t *testing.T) {
	s := grow(600)
	s.nodes = nil
	if _, err := Inclusion(s, 0, 600); err == nil || err.Error() != "no node 8/1" {
		t.Errorf("without nodes: %v", err)
	}
	s = grow(600)
	s.leaves = s.leaves[:599]
	if _, err := RootAt(s, 600); err == nil || err.Error() != "no leaves [512, 600)" {
		t.Errorf("with a leaf less: %v", err)
	}
	if _, err := RootAt(short{s}, 600); err == nil || err.Error() != "seal: 87 leaves of [512, 600)" {
		t.Errorf("with a source that gives less: %v", err)
	}
}

type short struct{ *stored }

func (s short) Leaves(from, to int64) ([]Hash, error) { return s.stored.Leaves(from, to-1) }

func FuzzParseEdge(f *testing.F) {
	for _, n := range []int{0, 1, 5, 300} {
		s := grow(n)
		b, err := s.edge.MarshalBinary()
		if err != nil {
			f.Fatal(err)
		}
		f.Add(b)
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		e, err := ParseEdge(b)
		if err != nil {
			return
		}
		again, err := e.MarshalBinary()
		if err != nil || !slices.Equal(again, b) {
			t.Errorf("%x reads as an edge that is written %x, %v", b, again, err)
		}
		if e.Size < MaxSize {
			e.Add(e.Root(), nil)
		}
	})
}

func BenchmarkEdgeAdd(b *testing.B) {
	var e Edge
	leaf := LeafHash([]byte("event"))
	nodes := make([]Node, 0, 64)
	b.ReportAllocs()
	for b.Loop() {
		nodes = e.Add(leaf, nodes[:0])
	}
}

func BenchmarkInclusion(b *testing.B) {
	s := grow(100_000)
	for b.Loop() {
		if _, err := Inclusion(s, 50_123, 99_999); err != nil {
			b.Fatal(err)
		}
	}
}
