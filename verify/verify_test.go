package verify

import (
	"bytes"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/transparency-dev/merkle/rfc6962"
	"github.com/transparency-dev/merkle/testonly"
	"golang.org/x/mod/sumdb/note"
)

const (
	testShop   = "shop_0123abcd"
	testOrigin = "perennial/" + testShop
)

// constant is a source of no randomness: keys are the same in every run.
type constant byte

func (c constant) Read(b []byte) (int, error) {
	for i := range b {
		b[i] = byte(c)
	}
	return len(b), nil
}

// logKey signs checkpoints.
type logKey struct {
	signer note.Signer
	vkey   string
}

func newKey(tb testing.TB, name string, seed byte) logKey {
	tb.Helper()
	skey, vkey, err := note.GenerateKey(constant(seed), name)
	if err != nil {
		tb.Fatal(err)
	}
	s, err := note.NewSigner(skey)
	if err != nil {
		tb.Fatal(err)
	}
	return logKey{s, vkey}
}

func (k logKey) sign(tb testing.TB, text string) []byte {
	tb.Helper()
	msg, err := note.Sign(&note.Note{Text: text}, k.signer)
	if err != nil {
		tb.Fatal(err)
	}
	return msg
}

// entry is what an event of the test's journal says; zero members are left out.
type entry struct {
	v             int
	id, shop      string
	seq           int64
	recordedAt    string
	target        string
	version, prev int64 // prev -1: none
	boxes         string
}

// body writes an event as the program does.
func (e entry) body() []byte {
	var b bytes.Buffer
	b.WriteString(`{"actor":{"id":"mem_1"},`)
	if e.boxes != "" {
		fmt.Fprintf(&b, `"boxes":%s,`, e.boxes)
	}
	fmt.Fprintf(&b, `"changes":[{"after":"paused","before":"active","field":"status"}],"command_id":"cmd_1","id":"%s",`, e.id)
	fmt.Fprintf(&b, `"recorded_at":"%s","seq":%d,"source":{"channel":"dashboard"},`, e.recordedAt, e.seq)
	if e.prev >= 0 {
		fmt.Fprintf(&b, `"target_prev_seq":%d,`, e.prev)
	}
	fmt.Fprintf(&b, `"target_version":%d,"targets":[{"id":"%s"},{"id":"cus_1"},{"id":"cus_1","kind":"log"}],`, e.version, e.target)
	fmt.Fprintf(&b, `"type":"subscription.paused","v":%d}`, e.v)
	return b.Bytes()
}

var testBoxes = fmt.Sprintf(`[["cus_1","%s","%s"]]`,
	base64.StdEncoding.EncodeToString(bytes.Repeat([]byte{1}, 32)), base64.StdEncoding.EncodeToString(bytes.Repeat([]byte{2}, 32)))

// entries are the events of a sound journal: five subscriptions that take turns, now and then two events at one time.
func entries(n int) []entry {
	start := time.Date(2026, 1, 31, 23, 59, 59, 123456000, time.UTC)
	last := map[string]int64{}
	out := make([]entry, n)
	for i := range out {
		e := entry{v: 1, shop: testShop, seq: int64(i), id: eventID(testShop, int64(i)), prev: -1, version: 1}
		e.recordedAt = start.Add(time.Duration(i/2) * time.Hour).Format(recordedAtLayout)
		e.target = fmt.Sprintf("sub_%d", i%5)
		if prev, ok := last[e.target]; ok {
			e.prev, e.version = prev, out[prev].version+1
		}
		last[e.target] = e.seq
		if i%3 == 0 {
			e.boxes = testBoxes
		}
		out[i] = e
	}
	return out
}

// tree is the journal's tree by another implementation.
func tree(es []entry) *testonly.Tree {
	t := testonly.New(rfc6962.DefaultHasher)
	for _, e := range es {
		t.AppendData(e.body())
	}
	return t
}

func checkpointText(t *testonly.Tree, size int) string {
	return fmt.Sprintf("%s\n%d\n%s\n", testOrigin, size, base64.StdEncoding.EncodeToString(t.HashAt(uint64(size))))
}

func proofOf(hashes [][]byte) [][32]byte {
	out := make([][32]byte, len(hashes))
	for i, h := range hashes {
		out[i] = [32]byte(h)
	}
	return out
}

// wantProblem checks that err is a Problem with a field, a seq and a part of its sentence.
func wantProblem(tb testing.TB, what string, err error, seq int64, field, detail string) {
	tb.Helper()
	p, ok := errors.AsType[*Problem](err)
	if !ok {
		tb.Errorf("%s: %v, want a problem with %s", what, err, field)
		return
	}
	if p.Seq != seq || p.Field != field || !strings.Contains(p.Detail, detail) {
		tb.Errorf("%s: seq %d, field %s, %q, want seq %d, field %s, %q", what, p.Seq, p.Field, p.Detail, seq, field, detail)
	}
}

func TestParseEvent(t *testing.T) {
	es := entries(10)
	got, err := ParseEvent(es[9].body())
	if err != nil {
		t.Fatal(err)
	}
	want := Event{
		ID: "evt_0123abcd0000000000009", ShopID: testShop, Seq: 9, Type: "subscription.paused",
		Targets:       []Target{{"subscription", "sub_4"}, {"customer", "cus_1"}, {"log", "cus_1"}},
		TargetVersion: 2, TargetPrevSeq: 4,
		RecordedAt: time.Date(2026, 2, 1, 3, 59, 59, 123456000, time.UTC),
		Boxes:      []Box{{Key: "cus_1", Commitment: [32]byte(bytes.Repeat([]byte{1}, 32)), Hash: [32]byte(bytes.Repeat([]byte{2}, 32))}},
		LeafHash:   [32]byte(rfc6962.DefaultHasher.HashLeaf(es[9].body())),
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("ParseEvent (-want +got):\n%s", diff)
	}
}

func TestParseEventRefuses(t *testing.T) {
	e := entries(6)[5] // the second version of sub_0
	good := string(e.body())
	replace := func(old, new string) string {
		if !strings.Contains(good, old) {
			t.Fatalf("%q is not in %s", old, good)
		}
		return strings.Replace(good, old, new, 1)
	}
	for _, tc := range []struct {
		name, body    string
		seq           int64
		field, detail string
	}{
		{"nothing", "", -1, "body", "byte 0"},
		{"no object", `[]`, -1, "body", "not an object"},
		{"white space", replace(`,"seq"`, `, "seq"`), -1, "body", "not canonical"},
		{"members out of order", replace(`"seq":5,"source":{"channel":"dashboard"}`, `"source":{"channel":"dashboard"},"seq":5`), -1, "body", "not in order"},
		{"a member twice", replace(`"seq":5`, `"seq":5,"seq":5`), -1, "body", "not in order"},
		{"more after it", good + "\n", -1, "body", "more after the value"},
		{"no version", replace(`,"v":1`, ``), -1, "v", "format version 0"},
		{"a later version", replace(`"v":1`, `"v":2`), -1, "v", "format version 2"},
		{"a version that is no number", replace(`"v":1`, `"v":"1"`), -1, "v", "malformed"},
		{"a shop that is none", replace(`"evt_0123abcd`, `"evt_0123ABCD`), -1, "id", "not the id"},
		{"a shop that is too short", replace(`"evt_0123abcd`, `"evt_0123abc`), -1, "id", "not the id"},
		{"an id of another kind", replace(`"evt_`, `"sub_`), -1, "id", "not the id"},
		{"an id that is cut", replace(`"evt_0123abcd0000000000005"`, `"evt_01"`), -1, "id", "not the id"},
		{"no seq", replace(`"seq":5,`, ``), -1, "seq", "missing"},
		{"a negative seq", replace(`"seq":5`, `"seq":-5`), -1, "seq", "malformed"},
		{"a seq over the greatest", replace(`"seq":5`, `"seq":9007199254740994`), -1, "seq", "malformed"},
		{"a seq with a fraction", replace(`"seq":5`, `"seq":5.5`), -1, "seq", "malformed"},
		{"another seq", replace(`"seq":5`, `"seq":6`), -1, "id", "event at 6"},
		{"no id", replace(`"id":"evt_0123abcd0000000000005",`, ``), -1, "id", `""`},
		{"another id", replace(`"evt_0123abcd0000000000005"`, `"evt_0123abcd0000000000004"`), -1, "id", "evt_0123abcd0000000000004"},
		{"no type", replace(`"type":"subscription.paused",`, ``), 5, "type", "missing"},
		{"no targets", replace(`"targets":[{"id":"sub_0"},{"id":"cus_1"},{"id":"cus_1","kind":"log"}],`, ``), 5, "targets", "missing"},
		{"an empty list of targets", replace(`[{"id":"sub_0"},{"id":"cus_1"},{"id":"cus_1","kind":"log"}]`, `[]`), 5, "targets", "missing"},
		{"targets that are none", replace(`[{"id":"sub_0"},{"id":"cus_1"},{"id":"cus_1","kind":"log"}]`, `"sub_0"`), -1, "targets", "malformed"},
		{"a target that is none", replace(`{"id":"sub_0"}`, `"sub_0"`), -1, "targets", "malformed"},
		{"a target without kind", replace(`{"id":"sub_0"}`, `{"id":"note_0"}`), -1, "targets", "malformed"},
		{"a target with more", replace(`{"id":"sub_0"}`, `{"id":"sub_0","name":"x"}`), -1, "targets", "malformed"},
		{"a target with a number", replace(`{"id":"sub_0"}`, `{"id":0}`), -1, "targets", "malformed"},
		{"no target_version", replace(`"target_version":2,`, ``), 5, "target_version", "count from 1"},
		{"version 1 with a predecessor", replace(`"target_version":2`, `"target_version":1`), 5, "target_prev_seq", "nothing before it"},
		{"version 2 without", replace(`"target_prev_seq":0,`, ``), 5, "target_prev_seq", "missing"},
		{"itself as predecessor", replace(`"target_prev_seq":0`, `"target_prev_seq":5`), 5, "target_prev_seq", "not before"},
		{"no time", replace(`"recorded_at":"2026-02-01T01:59:59.123456Z",`, ``), 5, "recorded_at", "six fractional digits"},
		{"a time with less", replace(`.123456Z`, `.123Z`), 5, "recorded_at", "six fractional digits"},
		{"a time with more", replace(`.123456Z`, `.123456000Z`), 5, "recorded_at", "six fractional digits"},
		{"a time with a comma", replace(`.123456Z`, `,123456Z`), 5, "recorded_at", "six fractional digits"},
		{"a time of another zone", replace(`.123456Z`, `.123456+00:00`), 5, "recorded_at", "six fractional digits"},
		{"a day that is none", replace(`2026-02-01`, `2026-02-30`), 5, "recorded_at", "six fractional digits"},
	} {
		e, err := ParseEvent([]byte(tc.body))
		wantProblem(t, tc.name, err, tc.seq, tc.field, tc.detail)
		if diff := cmp.Diff(Event{}, e); diff != "" {
			t.Errorf("%s: an event all the same: %+v", tc.name, e)
		}
	}
}

func TestParseEventRefusesBoxes(t *testing.T) {
	for _, tc := range []struct{ name, old, new string }{
		{"no commitment", `"AQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQE=",`, ``},
		{"a commitment that is short", `"AQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQE="`, `"AQEB"`},
		{"a hash with spare bits", `"AgICAgICAgICAgICAgICAgICAgICAgICAgICAgICAgI="`, `"AgICAgICAgICAgICAgICAgICAgICAgICAgICAgICAgJ="`},
		{"a hash with a line break", `"AgIC`, `"Ag\nIC`},
		{"no key", `"cus_1"`, `""`},
		{"a key that is a number", `"cus_1"`, `1`},
		{"more values", `"cus_1"`, `"cus_1","person"`},
		{"a box that is a text", `[["cus_1",`, `["cus_1",[`},
		{"an object for the list", `[[`, `{"0":[`},
	} {
		e := entries(1)[0]
		if !strings.Contains(e.boxes, tc.old) {
			t.Fatalf("%s: %q is not in %s", tc.name, tc.old, e.boxes)
		}
		e.boxes = strings.Replace(e.boxes, tc.old, tc.new, 1)
		if strings.HasPrefix(e.boxes, "{") {
			e.boxes = strings.TrimSuffix(e.boxes, "]") + "}"
		}
		_, err := ParseEvent(e.body())
		wantProblem(t, tc.name, err, -1, "boxes", "malformed")
	}
}

func TestEventID(t *testing.T) {
	for seq, want := range map[int64]string{
		0:       "evt_0123abcd0000000000000",
		31:      "evt_0123abcd000000000000z",
		32:      "evt_0123abcd0000000000010",
		maxSize: "evt_0123abcd0080000000000",
	} {
		if got := eventID(testShop, seq); got != want {
			t.Errorf("eventID(%d) = %s, want %s", seq, got, want)
		}
	}
}

func TestCheckConsistency(t *testing.T) {
	key := newKey(t, testOrigin, 1)
	es := entries(40)
	o := tree(es)
	at := func(size int) Checkpoint {
		c, err := OpenCheckpoint(key.sign(t, checkpointText(o, size)), key.vkey+"\n")
		if err != nil {
			t.Fatal(err)
		}
		return c
	}
	for _, sizes := range [][2]int{{1, 1}, {1, 2}, {7, 40}, {8, 40}, {32, 40}, {40, 40}} {
		older, newer := at(sizes[0]), at(sizes[1])
		raw, err := o.ConsistencyProof(uint64(older.Size), uint64(newer.Size))
		if err != nil {
			t.Fatal(err)
		}
		hashes := proofOf(raw)
		if err := CheckConsistency(older, newer, hashes); err != nil {
			t.Errorf("%v: %v", sizes, err)
		}
		for i := range len(hashes) * 256 {
			bad := slices.Clone(hashes)
			bad[i/256][i%256/8] ^= 1 << (i % 8)
			wantProblem(t, fmt.Sprintf("%v, bit %d", sizes, i), CheckConsistency(older, newer, bad), -1, "hashes", "do not prove")
		}
		wantProblem(t, "a hash more", CheckConsistency(older, newer, append(slices.Clone(hashes), [32]byte{})), -1, "hashes", "do not prove")
		for i := range 256 {
			bad := newer
			bad.Root[i/8] ^= 1 << (i % 8)
			wantProblem(t, "another newer root", CheckConsistency(older, bad, hashes), -1, "hashes", "do not prove")
			bad = older
			bad.Root[i/8] ^= 1 << (i % 8)
			wantProblem(t, "another older root", CheckConsistency(bad, newer, hashes), -1, "hashes", "do not prove")
		}
	}
	wantProblem(t, "backwards", CheckConsistency(at(2), at(1), nil), -1, "checkpoint", "2 events, then 1")
	wantProblem(t, "from nothing, with another root", CheckConsistency(Checkpoint{Shop: testShop}, at(1), nil), -1, "hashes", "the hash of nothing")
	nothing := Checkpoint{Shop: testShop, Root: sha256.Sum256(nil)}
	if err := CheckConsistency(nothing, at(1), nil); err != nil {
		t.Errorf("from nothing: %v", err)
	}
	wantProblem(t, "from nothing, with a proof", CheckConsistency(nothing, at(1), [][32]byte{{}}), -1, "hashes", "is empty")
	wantProblem(t, "of two shops", CheckConsistency(Checkpoint{Shop: "shop_00000000", Size: 1}, at(1), nil), -1, "checkpoint", "one is of shop_00000000")
}

func TestOpenCheckpointRefuses(t *testing.T) {
	key := newKey(t, testOrigin, 1)
	text := checkpointText(tree(entries(3)), 3)
	msg := key.sign(t, text)
	for _, tc := range []struct {
		name, msg, key string
		field, detail  string
	}{
		{"a key that is none", string(msg), "key", "key", "malformed verifier id"},
		{"the key of no shop", string(msg), newKey(t, "example.com", 1).vkey, "key", "not the name of a shop's journal"},
		{"the key of something like a shop", string(msg), newKey(t, testOrigin+"0", 1).vkey, "key", "not the name of a shop's journal"},
		{"another key of that name", string(msg), newKey(t, testOrigin, 2).vkey, "checkpoint", "no verifiable signatures"},
		{"no note", text, key.vkey, "checkpoint", "malformed note"},
		{"another text", "x" + string(msg), key.vkey, "checkpoint", "invalid signature"},
		{"the text of another shop", string(key.sign(t, strings.Replace(text, testShop, "shop_00000000", 1))), key.vkey, "checkpoint", "signed by"},
		{"a line more", string(key.sign(t, text+"more\n")), key.vkey, "checkpoint", "4 lines"},
	} {
		_, err := OpenCheckpoint([]byte(tc.msg), tc.key)
		wantProblem(t, tc.name, err, -1, tc.field, tc.detail)
	}
}

// receipt makes the receipt of an event in the journal of the first size events.
func receipt(tb testing.TB, key logKey, es []entry, seq, size int) Receipt {
	tb.Helper()
	o := tree(es)
	hashes, err := o.InclusionProof(uint64(seq), uint64(size))
	if err != nil {
		tb.Fatal(err)
	}
	return Receipt{
		Event: es[seq].body(), Seq: int64(seq), Size: int64(size), Hashes: proofOf(hashes),
		Checkpoint: string(key.sign(tb, checkpointText(o, size))), Key: key.vkey,
	}
}

// encode writes a receipt as the API does.
func encode(tb testing.TB, r Receipt) []byte {
	tb.Helper()
	hashes := make([][]byte, len(r.Hashes))
	for i := range r.Hashes {
		hashes[i] = r.Hashes[i][:]
	}
	b, err := json.Marshal(struct {
		Event      []byte   `json:"event"`
		Seq        int64    `json:"seq"`
		Size       int64    `json:"size"`
		Hashes     [][]byte `json:"hashes"`
		Checkpoint string   `json:"checkpoint"`
		Key        string   `json:"key"`
	}{r.Event, r.Seq, r.Size, hashes, r.Checkpoint, r.Key})
	if err != nil {
		tb.Fatal(err)
	}
	return b
}

func TestReceipt(t *testing.T) {
	key := newKey(t, testOrigin, 1)
	es := entries(40)
	for _, size := range []int{1, 2, 3, 31, 32, 33, 40} {
		for seq := range size {
			want := receipt(t, key, es, seq, size)
			r, err := ParseReceipt(encode(t, want))
			if err != nil {
				t.Fatalf("%d of %d: %v", seq, size, err)
			}
			if diff := cmp.Diff(want, r); diff != "" {
				t.Fatalf("%d of %d (-want +got):\n%s", seq, size, diff)
			}
			e, err := r.Check(key.vkey + "\n")
			if err != nil || e.Seq != int64(seq) {
				t.Fatalf("%d of %d: %+v, %v", seq, size, e, err)
			}
		}
	}
}

// Every flipped bit in any part of a receipt is refused, and the refusal names a part that it touches.
func TestReceiptRefusesFlips(t *testing.T) {
	key := newKey(t, testOrigin, 1)
	good := receipt(t, key, entries(7), 3, 7)
	flip := func(b []byte, i int) []byte {
		b = slices.Clone(b)
		b[i/8] ^= 1 << (i % 8)
		return b
	}
	check := func(name string, r Receipt, fields ...string) {
		t.Helper()
		e, err := r.Check(key.vkey)
		p, ok := errors.AsType[*Problem](err)
		if !ok || !slices.Contains(fields, p.Field) || e.ID != "" {
			t.Errorf("%s: %v, want a problem with one of %q", name, err, fields)
		}
	}
	for i := range len(good.Event) * 8 {
		r := good
		r.Event = flip(good.Event, i)
		// What does not break the form of the event breaks its proof.
		check(fmt.Sprintf("event, bit %d", i), r, "hashes", "body", "v", "id", "shop_id", "seq", "type", "targets", "target_version", "target_prev_seq", "recorded_at", "boxes")
	}
	for i := range len(good.Hashes) * 256 {
		r := good
		r.Hashes = slices.Clone(good.Hashes)
		r.Hashes[i/256] = [32]byte(flip(r.Hashes[i/256][:], i%256))
		check(fmt.Sprintf("hashes, bit %d", i), r, "hashes")
	}
	for i := range len(good.Checkpoint) * 8 {
		r := good
		r.Checkpoint = string(flip([]byte(good.Checkpoint), i))
		check(fmt.Sprintf("checkpoint, bit %d", i), r, "checkpoint")
	}
	for i := range len(good.Key) * 8 { // a hint and no part of the proof
		r := good
		r.Key = string(flip([]byte(good.Key), i))
		if _, err := r.Check(key.vkey); err != nil {
			t.Errorf("key, bit %d: %v", i, err)
		}
	}
	for i := range 63 {
		r := good
		r.Seq ^= 1 << i
		check(fmt.Sprintf("seq, bit %d", i), r, "seq")
		r = good
		r.Size ^= 1 << i
		check(fmt.Sprintf("size, bit %d", i), r, "size")
	}
	file := encode(t, good)
	for i := range file {
		r, err := ParseReceipt(flip(file, i*8+i%8)) // another bit in each byte: all of them take too long
		if err == nil {
			if r.Key != good.Key {
				continue
			}
			_, err = r.Check(key.vkey)
		}
		if _, ok := errors.AsType[*Problem](err); !ok {
			t.Errorf("file, byte %d: %v, want a problem", i, err)
		}
	}
}

// Parts that are each in order and do not belong together prove nothing.
func TestReceiptRefusesMixtures(t *testing.T) {
	key, other := newKey(t, testOrigin, 1), newKey(t, testOrigin, 2)
	es := entries(7)
	good := receipt(t, key, es, 3, 7)
	changed := func(change func(*Receipt)) Receipt {
		r := good
		change(&r)
		return r
	}
	foreign := newKey(t, "perennial/shop_00000000", 1)
	foreignText := strings.Replace(checkpointText(tree(es), 7), testShop, "shop_00000000", 1)
	for _, tc := range []struct {
		name, key     string
		r             Receipt
		seq           int64
		field, detail string
	}{
		{"a key of its own", key.vkey, receipt(t, other, es, 3, 7), -1, "key", "another key than the trusted one"},
		{"a key of its own under the trusted name", key.vkey, changed(func(r *Receipt) { r.Checkpoint = receipt(t, other, es, 3, 7).Checkpoint }), -1, "checkpoint", "no verifiable signatures"},
		{"another event", key.vkey, changed(func(r *Receipt) { r.Event = es[4].body() }), 4, "seq", "the event says 4, the receipt 3"},
		{"another event and its seq", key.vkey, changed(func(r *Receipt) { r.Event, r.Seq = es[4].body(), 4 }), 4, "hashes", "do not prove"},
		{"another checkpoint", key.vkey, changed(func(r *Receipt) { r.Checkpoint = receipt(t, key, es, 3, 6).Checkpoint }), 3, "size", "the checkpoint says 6, the receipt 7"},
		{"another checkpoint and its size", key.vkey, changed(func(r *Receipt) { r.Checkpoint, r.Size = receipt(t, key, es, 3, 6).Checkpoint, 6 }), 3, "hashes", "do not prove"},
		{"an event after the checkpoint", key.vkey, changed(func(r *Receipt) { r.Checkpoint, r.Size = receipt(t, key, es, 2, 3).Checkpoint, 3 }), 3, "hashes", "do not prove"},
		{"a proof without end", key.vkey, changed(func(r *Receipt) { r.Hashes = r.Hashes[:2] }), 3, "hashes", "do not prove"},
		{"a proof with more", key.vkey, changed(func(r *Receipt) { r.Hashes = append(slices.Clone(r.Hashes), [32]byte{}) }), 3, "hashes", "do not prove"},
		{"no proof", key.vkey, changed(func(r *Receipt) { r.Hashes = nil }), 3, "hashes", "do not prove"},
		{"the checkpoint of another shop", foreign.vkey, changed(func(r *Receipt) {
			r.Key, r.Checkpoint = foreign.vkey, string(foreign.sign(t, foreignText))
		}), 3, "shop_id", "the checkpoint of shop_00000000"},
	} {
		_, err := tc.r.Check(tc.key)
		wantProblem(t, tc.name, err, tc.seq, tc.field, tc.detail)
	}
}

func TestParseReceiptRefuses(t *testing.T) {
	key := newKey(t, testOrigin, 1)
	good := string(encode(t, receipt(t, key, entries(7), 3, 7)))
	replace := func(old, new string) string {
		if !strings.Contains(good, old) {
			t.Fatalf("%q is not in %s", old, good)
		}
		return strings.Replace(good, old, new, 1)
	}
	for _, tc := range []struct{ name, receipt, field, detail string }{
		{"nothing", "", "receipt", "not a JSON object"},
		{"an array", "[]", "receipt", "not a JSON object"},
		{"cut", good[:len(good)-1], "receipt", ""},
		{"more after it", good + "{}", "receipt", "more after the object"},
		{"invalid UTF-8", replace("—", "\xe2\x80"), "receipt", "invalid UTF-8"},
		{"a member that is unknown", replace(`{"event"`, `{"data":1,"event"`), "receipt", `"data"`},
		{"a name in another case", replace(`"seq"`, `"Seq"`), "receipt", `"Seq"`},
		{"a member twice", replace(`"seq":3`, `"seq":3,"seq":3`), "receipt", `"seq"`},
		{"no event", replace(`"event":`, `"event":null,"x":`), "event", "malformed"},
		{"no seq", replace(`"seq":3,`, ``), "seq", "missing"},
		{"seq as null", replace(`"seq":3`, `"seq":null`), "seq", "malformed"},
		{"seq as text", replace(`"seq":3`, `"seq":"3"`), "seq", "malformed"},
		{"seq with a fraction", replace(`"seq":3`, `"seq":3.0`), "seq", "malformed"},
		{"seq after the end", replace(`"seq":3`, `"seq":7`), "seq", "not a position among 7"},
		{"seq before the start", replace(`"seq":3`, `"seq":-1`), "seq", "not a position"},
		{"size zero", replace(`"size":7`, `"size":0`), "size", "not a number of events"},
		{"size over the greatest", replace(`"size":7`, `"size":9007199254740993`), "size", "not a number of events"},
		{"hashes as null", replace(`"hashes":[`, `"hashes":null,"x":[`), "hashes", "malformed"},
		{"a hash as null", replace(`"hashes":[`, `"hashes":[null,`), "hashes", "not a hash"},
		{"a hash that is short", replace(`"hashes":[`, `"hashes":["AAAA",`), "hashes", "not a hash"},
		{"event with a line break", replace(`"event":"`, `"event":"\n`), "event", "not in canonical base64"},
		{"event without padding", replace(`"event":"`, `"event":"A`), "event", "not in canonical base64"},
		{"a checkpoint that is no text", replace(`"checkpoint":`, `"checkpoint":1,"x":`), "checkpoint", "malformed"},
	} {
		_, err := ParseReceipt([]byte(tc.receipt))
		wantProblem(t, tc.name, err, -1, tc.field, tc.detail)
	}
	if _, err := ParseReceipt([]byte("\n " + strings.ReplaceAll(good, `,"`, ",\n\t\""))); err != nil {
		t.Errorf("a receipt that was indented: %v", err)
	}
}

func FuzzParseReceipt(f *testing.F) {
	key := newKey(f, testOrigin, 1)
	f.Add(encode(f, receipt(f, key, entries(7), 3, 7)))
	f.Add(encode(f, receipt(f, key, entries(1), 0, 1)))
	f.Add([]byte(`{"event":"e30=","seq":0,"size":1,"hashes":[],"checkpoint":"","key":""}`))
	f.Fuzz(func(t *testing.T, b []byte) {
		r, err := ParseReceipt(b)
		if err != nil {
			if _, ok := errors.AsType[*Problem](err); !ok {
				t.Errorf("%v is not a Problem", err)
			}
			return
		}
		again, err := ParseReceipt(encode(t, r))
		if err != nil {
			t.Fatalf("written again: %v", err)
		}
		if diff := cmp.Diff(r, again); diff != "" {
			t.Errorf("written again (-want +got):\n%s", diff)
		}
		if e, err := r.Check(key.vkey); err == nil && e.Seq != r.Seq {
			t.Errorf("a receipt for %d proves %d", r.Seq, e.Seq)
		}
	})
}
