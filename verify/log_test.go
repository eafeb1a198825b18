package verify

import (
	"bytes"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"
)

// check runs a journal and its checkpoints through a Log.
func check(es []entry, vkey string, checkpoints ...[]byte) (*Log, error) {
	l := NewLog(testShop)
	for _, c := range checkpoints {
		if err := l.Checkpoint(c, vkey); err != nil {
			return l, err
		}
	}
	for _, e := range es {
		if err := l.Add(e.body(), nil); err != nil {
			return l, err
		}
	}
	return l, l.End()
}

func TestLog(t *testing.T) {
	key := newKey(t, testOrigin, 1)
	es := entries(300)
	o := tree(es)
	l := NewLog(testShop)
	// Checkpoints in any order, one twice, one of nothing, one of everything.
	for _, size := range []int{300, 7, 0, 256, 7, 1} {
		if err := l.Checkpoint(key.sign(t, checkpointText(o, size)), key.vkey); err != nil {
			t.Fatal(err)
		}
	}
	for i, e := range es {
		if err := l.Add(e.body(), o.LeafHash(uint64(i))); err != nil {
			t.Fatal(err)
		}
		if root := l.Root(); l.Size() != int64(i+1) || !bytes.Equal(root[:], o.HashAt(uint64(i+1))) {
			t.Fatalf("after %d: size %d, root %x", i+1, l.Size(), root)
		}
	}
	if err := l.Checkpoint(key.sign(t, checkpointText(o, 300)), key.vkey); err != nil {
		t.Errorf("a checkpoint that comes at the end: %v", err)
	}
	if err := l.End(); err != nil {
		t.Error(err)
	}
}

// Whatever is done to a journal is found, at the first entry that shows it.
func TestLogRefuses(t *testing.T) {
	renumber := func(es []entry) []entry {
		for i := range es {
			es[i].seq, es[i].id = int64(i), eventID(es[i].shop, int64(i))
		}
		return es
	}
	shift := func(e *entry, d time.Duration) {
		at, err := time.Parse(recordedAtLayout, e.recordedAt)
		if err != nil {
			t.Fatal(err)
		}
		e.recordedAt = at.Add(d).Format(recordedAtLayout)
	}
	for _, tc := range []struct {
		name          string
		change        func(es []entry) []entry
		seq           int64
		field, detail string
	}{
		{"the first taken out", func(es []entry) []entry { return es[1:] }, 0, "seq", "1, where 0 is next"},
		{"one taken out", func(es []entry) []entry { return slices.Delete(es, 11, 12) }, 11, "seq", "12, where 11 is next"},
		{"one taken out, the rest renumbered", func(es []entry) []entry { return renumber(slices.Delete(es, 11, 12)) }, 15, "target_version", `4 of "sub_1", where 3 is next`},
		{"one twice", func(es []entry) []entry { return slices.Insert(es, 11, es[10]) }, 11, "seq", "10, where 11 is next"},
		{"two swapped", func(es []entry) []entry { es[10], es[11] = es[11], es[10]; return es }, 10, "seq", "11, where 10 is next"},
		{"one of another shop", func(es []entry) []entry {
			es[10].shop, es[10].id = "shop_00000000", eventID("shop_00000000", 10)
			return es
		}, 10, "shop_id", "shop_00000000, in the journal of shop_0123abcd"},
		{"a time a microsecond too early", func(es []entry) []entry { shift(&es[11], -time.Microsecond); return es }, 11, "recorded_at", "after an event of"},
		{"a time too late", func(es []entry) []entry { shift(&es[10], time.Hour+time.Microsecond); return es }, 11, "recorded_at", "after an event of"},
		{"a version left out", func(es []entry) []entry { es[10].version++; return es }, 10, "target_version", `4 of "sub_0", where 3 is next`},
		{"a version again", func(es []entry) []entry { es[10].version--; return es }, 10, "target_version", "2 of"},
		{"a thing that starts at 2", func(es []entry) []entry { es[10].target, es[10].version, es[10].prev = "sub_new", 2, 5; return es }, 10, "target_version", `2 of "sub_new", where 1 is next`},
		{"a thing that starts again", func(es []entry) []entry { es[10].version, es[10].prev = 1, -1; return es }, 10, "target_version", "1 of"},
		{"another predecessor", func(es []entry) []entry { es[10].prev--; return es }, 10, "target_prev_seq", `4, and the last event of "sub_0" is at 5`},
		{"bytes that are not canonical", func(es []entry) []entry { es[10].boxes = " " + testBoxes; return es }, 10, "body", "not canonical"},
		{"a field changed", func(es []entry) []entry { es[10].boxes = strings.Replace(testBoxes, "cus_1", "cus_2", 1); return es }, 10, "leaf_hash", "the stored one is"},
	} {
		es := entries(20)
		o := tree(es)
		l := NewLog(testShop)
		var err error
		changed := tc.change(slices.Clone(es))
		for i, e := range changed {
			var leaf []byte
			if tc.field == "leaf_hash" {
				leaf = o.LeafHash(uint64(i))
			}
			if err = l.Add(e.body(), leaf); err != nil {
				break
			}
		}
		wantProblem(t, tc.name, err, tc.seq, tc.field, tc.detail)
		// And it stays so.
		if again := l.Add(es[l.Size()].body(), nil); again != err || l.End() != err || l.Size() != tc.seq {
			t.Errorf("%s: goes on after it with %v, %v, at %d", tc.name, again, l.End(), l.Size())
		}
	}
}

// Every flipped bit of an event's bytes is found by its stored leaf hash, or by a checkpoint over it.
func TestLogRefusesFlips(t *testing.T) {
	key := newKey(t, testOrigin, 1)
	es := entries(4)
	o := tree(es)
	base, err := check(es[:3], key.vkey)
	if err != nil {
		t.Fatal(err)
	}
	if err := base.Checkpoint(key.sign(t, checkpointText(o, 4)), key.vkey); err != nil {
		t.Fatal(err)
	}
	fork := func() *Log {
		l := *base
		l.edge, l.heads, l.signed = slices.Clone(l.edge), maps.Clone(l.heads), maps.Clone(l.signed)
		return &l
	}
	good, leaf := es[3].body(), o.LeafHash(3)
	if err := fork().Add(good, leaf); err != nil {
		t.Fatal(err)
	}
	flip := func(b []byte, i int) []byte {
		b = slices.Clone(b)
		b[i/8] ^= 1 << (i % 8)
		return b
	}
	for i := range len(good) * 8 {
		for _, leaf := range [][]byte{leaf, nil} {
			if err := fork().Add(flip(good, i), leaf); err == nil {
				t.Errorf("bit %d: not found", i)
			}
		}
	}
	for i := range len(leaf) * 8 {
		wantProblem(t, fmt.Sprintf("leaf hash, bit %d", i), fork().Add(good, flip(leaf, i)), 3, "leaf_hash", "the stored one is")
	}
}

func TestLogCheckpointRefuses(t *testing.T) {
	key, other := newKey(t, testOrigin, 1), newKey(t, testOrigin, 2)
	es := entries(20)
	o := tree(es)
	sign := func(size int) []byte { return key.sign(t, checkpointText(o, size)) }
	forkText := strings.Replace(checkpointText(o, 12), "\n12\n", "\n11\n", 1) // the root of 12 as that of 11
	fork := key.sign(t, forkText)
	foreign := newKey(t, "perennial/shop_00000000", 1)

	_, err := check(es, key.vkey, fork)
	wantProblem(t, "another history was signed", err, -1, "checkpoint", "the first 11 events are not those that were signed")
	_, err = check(es, key.vkey, sign(11), fork)
	wantProblem(t, "two histories were signed", err, -1, "checkpoint", "two different journals of 11 events")
	_, err = check(es[:15], key.vkey, sign(11), sign(20), sign(16))
	wantProblem(t, "the end is missing", err, -1, "checkpoint", "20 events were signed, and the journal ends after 15")
	_, err = check(nil, key.vkey, sign(20))
	wantProblem(t, "everything is missing", err, -1, "checkpoint", "20 events were signed, and the journal ends after 0")
	_, err = check(es, other.vkey, sign(20))
	wantProblem(t, "another key", err, -1, "checkpoint", "no verifiable signatures")
	_, err = check(es, foreign.vkey, foreign.sign(t, strings.Replace(checkpointText(o, 20), testShop, "shop_00000000", 1)))
	wantProblem(t, "another shop", err, -1, "checkpoint", "it is of shop_00000000")
	empty := strings.Replace(checkpointText(o, 1), "\n1\n", "\n0\n", 1)
	_, err = check(es, key.vkey, key.sign(t, empty))
	wantProblem(t, "another nothing", err, -1, "checkpoint", "the first 0 events")

	l, err := check(es[:12], key.vkey)
	if err != nil {
		t.Fatal(err)
	}
	wantProblem(t, "too late", l.Checkpoint(sign(11), key.vkey), -1, "checkpoint", "over 11 events, and came after 12")
	wantProblem(t, "at its size, and another", l.Checkpoint(key.sign(t, strings.Replace(checkpointText(o, 11), "\n11\n", "\n12\n", 1)), key.vkey), -1, "checkpoint", "the first 12 events")
}

func TestProblem(t *testing.T) {
	for _, tc := range []struct {
		p    Problem
		want string
	}{
		{Problem{Seq: 5, ID: "evt_0123abcd0000000000005", Field: "seq", Detail: "6, where 5 is next"}, "event evt_0123abcd0000000000005 (seq 5): seq: 6, where 5 is next"},
		{Problem{Seq: 5, Field: "body", Detail: "not an object"}, "event at seq 5: body: not an object"},
		{Problem{Seq: -1, Field: "key", Detail: "malformed"}, "key: malformed"},
	} {
		if got := tc.p.Error(); got != tc.want {
			t.Errorf("Error() = %q, want %q", got, tc.want)
		}
	}
}

func BenchmarkLogAdd(b *testing.B) {
	const n = 1000
	var bodies [][]byte
	for _, e := range entries(n) {
		bodies = append(bodies, e.body())
	}
	b.ReportAllocs()
	l, i := NewLog(testShop), 0
	for b.Loop() {
		if i == n {
			l, i = NewLog(testShop), 0
		}
		if err := l.Add(bodies[i], nil); err != nil {
			b.Fatal(err)
		}
		i++
	}
}
