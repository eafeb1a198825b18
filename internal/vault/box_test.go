package vault

import (
	"bytes"
	"crypto/rand"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"math"
	mathrand "math/rand/v2"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"
)

// fixed is a source of the same bytes in every run.
func fixed(seed byte) io.Reader { return mathrand.NewChaCha8([32]byte{seed}) }

func sum(b []byte) []byte {
	h := sha256.Sum256(b)
	return h[:]
}

func mustSeal(tb testing.TB, k Key, class, value string) (Box, []byte) {
	tb.Helper()
	b, ciphertext, err := k.Seal(class, []byte(value), rand.Reader)
	if err != nil {
		tb.Fatal(err)
	}
	return b, ciphertext
}

func TestSealOpen(t *testing.T) {
	k := NewKey("cus_1", rand.Reader)
	rapid.Check(t, func(t *rapid.T) {
		value := rapid.SliceOf(rapid.Byte()).Draw(t, "value")
		b, ciphertext, err := k.Seal("person", value, rand.Reader)
		if err != nil {
			t.Fatal(err)
		}
		if err := CheckCiphertext(b, ciphertext); err != nil {
			t.Fatal(err)
		}
		got, err := k.Open(b, ciphertext)
		if err != nil || !bytes.Equal(got, value) {
			t.Fatalf("Open = %q, %v, want %q", got, err, value)
		}
		if len(value) > 4 && bytes.Contains(ciphertext, value) {
			t.Fatal("the value stands in the ciphertext")
		}
	})
}

// The same value sealed twice has nothing in common, so nobody can tell that it is the same.
func TestSealIsFresh(t *testing.T) {
	k := NewKey("cus_1", rand.Reader)
	b1, c1 := mustSeal(t, k, "person", "ada@example.com")
	b2, c2 := mustSeal(t, k, "person", "ada@example.com")
	if bytes.Equal(b1.Commitment, b2.Commitment) || bytes.Equal(b1.Hash, b2.Hash) || bytes.Equal(c1, c2) {
		t.Error("two boxes of one value are alike")
	}
}

// The format is fixed: these bytes have to be what they are for ever.
func TestSealGolden(t *testing.T) {
	k := NewKey("cus_1", fixed(1))
	b, ciphertext, err := k.Seal("person", []byte(`["Ada"]`), fixed(2))
	if err != nil {
		t.Fatal(err)
	}
	const wantBox = "cus_1 person 547928c825fbdad75e343b7efd176d61dc3d3b7805266f82cf6f8eb0afb522c2 8dbad1f2df2674c4d5563f975a395b86a2d8cc38a109702c476eedad2c02d772"
	if got := fmt.Sprintf("%s %s %x %x", b.Key, b.Class, b.Commitment, b.Hash); got != wantBox {
		t.Errorf("box:\n got %s\nwant %s", got, wantBox)
	}
	const wantCiphertext = "dcc6154d6cb0d833ae29f0424a9218c88f5483a2efa2bc9e327db537d7bcd1e5c65a61584de326"
	if got := fmt.Sprintf("%x", ciphertext); got != wantCiphertext {
		t.Errorf("ciphertext:\n got %s\nwant %s", got, wantCiphertext)
	}
	const wantSecret = "698b90014563aee8ec95e0d19ead9a73ab2e49f77c669c2db7c9f69cc0c8f3fa"
	if got := fmt.Sprintf("%x", CommitSecret([]byte("salt"), []byte("secret"))); got != wantSecret {
		t.Errorf("commitment of a secret:\n got %s\nwant %s", got, wantSecret)
	}
}

// Every flipped bit of a ciphertext or a box is refused, and the refusal says which of them is wrong.
func TestOpenRefusesFlips(t *testing.T) {
	k := NewKey("cus_1", rand.Reader)
	good, ciphertext := mustSeal(t, k, "person", "Ada")
	flip := func(b []byte, i int) []byte {
		b = slices.Clone(b)
		b[i/8] ^= 1 << (i % 8)
		return b
	}
	check := func(name string, b Box, ciphertext []byte, want error) {
		t.Helper()
		value, err := k.Open(b, ciphertext)
		if !errors.Is(err, want) || value != nil {
			t.Errorf("%s: %q, %v, want %v", name, value, err, want)
		}
	}
	for i := range len(ciphertext) * 8 {
		bad := flip(ciphertext, i)
		check(fmt.Sprintf("ciphertext, bit %d", i), good, bad, ErrWrongHash)
		// Also when the hash is made to fit: then the seal does not.
		b := good
		b.Hash = sum(bad)
		check(fmt.Sprintf("ciphertext with its hash, bit %d", i), b, bad, ErrBroken)
	}
	for i := range len(good.Hash) * 8 {
		b := good
		b.Hash = flip(good.Hash, i)
		check(fmt.Sprintf("hash, bit %d", i), b, ciphertext, ErrWrongHash)
	}
	for i := range len(good.Commitment) * 8 { // the first bits are the nonce's too
		b := good
		b.Commitment = flip(good.Commitment, i)
		check(fmt.Sprintf("commitment, bit %d", i), b, ciphertext, ErrBroken)
	}
	for i := range len(good.Class) * 8 {
		b := good
		b.Class = string(flip([]byte(good.Class), i))
		check(fmt.Sprintf("class, bit %d", i), b, ciphertext, ErrBroken)
	}
	for i := range len(good.Key) * 8 {
		b := good
		b.Key = string(flip([]byte(good.Key), i))
		check(fmt.Sprintf("key, bit %d", i), b, ciphertext, ErrBroken)
	}
}

func TestOpenRefuses(t *testing.T) {
	k := NewKey("cus_1", rand.Reader)
	good, ciphertext := mustSeal(t, k, "person", "Ada")
	other := NewKey("cus_2", rand.Reader)
	namesake := NewKey("cus_1", rand.Reader)
	changed := func(change func(*Box)) Box {
		b := good
		change(&b)
		return b
	}
	tiny := []byte("too short")
	for _, tc := range []struct {
		name       string
		key        Key
		box        Box
		ciphertext []byte
		want       error
		detail     string
	}{
		{"no key", Key{}, good, ciphertext, ErrErased, "erased"},
		{"swept", k, good, nil, ErrSwept, "was swept"},
		{"swept is erased", k, good, []byte{}, ErrErased, "was swept"},
		{"another key", other, good, ciphertext, ErrBroken, `a box of key "cus_1" under key "cus_2"`},
		{"another key of that id", namesake, good, ciphertext, ErrBroken, `does not open under key "cus_1", class "person"`},
		{"cut", k, good, ciphertext[:len(ciphertext)-1], ErrWrongHash, ""},
		{"a ciphertext too short", k, changed(func(b *Box) { b.Hash = sum(tiny) }), tiny, ErrBroken, "a ciphertext of 9 bytes"},
		{"no commitment", k, changed(func(b *Box) { b.Commitment = nil }), ciphertext, ErrBroken, "not a box"},
		{"a short hash", k, changed(func(b *Box) { b.Hash = b.Hash[:31] }), ciphertext, ErrBroken, "not a box"},
		{"no class", k, changed(func(b *Box) { b.Class = "" }), ciphertext, ErrBroken, "not a box"},
		{"another commitment", k, changed(func(b *Box) { b.Commitment = make([]byte, 32) }), ciphertext, ErrBroken, "does not open under"},
		{"another commitment with this nonce", k, changed(func(b *Box) { b.Commitment = append(b.Commitment[:nonceSize:nonceSize], make([]byte, 20)...) }), ciphertext, ErrBroken, "not the one committed to"},
	} {
		_, err := tc.key.Open(tc.box, tc.ciphertext)
		if !errors.Is(err, tc.want) || !strings.Contains(err.Error(), tc.detail) {
			t.Errorf("%s: %v, want %v with %q", tc.name, err, tc.want, tc.detail)
		}
	}
	if errors.Is(ErrWrongHash, ErrErased) || errors.Is(ErrBroken, ErrErased) {
		t.Error("tampering reads as erased")
	}
	if _, _, err := (Key{}).Seal("person", nil, rand.Reader); err == nil {
		t.Error("sealed without a key")
	}
	if _, _, err := k.Seal("person", nil, strings.NewReader("not enough")); !errors.Is(err, io.ErrUnexpectedEOF) {
		t.Errorf("with too little randomness: %v", err)
	}
}

func TestKeyIsNotPrinted(t *testing.T) {
	k := NewKey("cus_1", bytes.NewReader(bytes.Repeat([]byte{'S'}, 32)))
	for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%x", "%d"} {
		if got := fmt.Sprintf(verb, k); got != "key cus_1" {
			t.Errorf("%s prints %q", verb, got)
		}
	}
}

func TestSecretCommitment(t *testing.T) {
	salt, value := []byte("0123456789abcdef"), []byte("argon2id$…")
	c := CommitSecret(salt, value)
	if !CheckSecret(salt, value, c) {
		t.Error("a secret does not fit its own commitment")
	}
	for i := range c {
		bad := slices.Clone(c)
		bad[i] ^= 1
		if CheckSecret(salt, value, bad) {
			t.Errorf("a commitment with another byte %d fits", i)
		}
	}
	if CheckSecret(salt, append(value, 0), c) || CheckSecret([]byte("0123456789abcdeF"), value, c) || CheckSecret(salt, value, nil) {
		t.Error("another secret, salt or commitment fits")
	}
	if bytes.Equal(c, mac(salt, value)) {
		t.Error("the commitment of a secret is that of a sealed value")
	}
}

func TestJoinSplit(t *testing.T) {
	for _, parts := range [][][]byte{
		{[]byte("a")},
		{nil},
		{nil, []byte("b"), nil},
		{bytes.Repeat([]byte("c"), 127), bytes.Repeat([]byte("d"), 128), bytes.Repeat([]byte("e"), 70_000)},
	} {
		blob := JoinCiphertexts(parts)
		got, err := SplitCiphertexts(blob, len(parts))
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(parts, got); diff != "" {
			t.Errorf("Split(Join) (-want +got):\n%s", diff)
		}
	}
	if blob := JoinCiphertexts(nil); blob == nil || len(blob) != 0 {
		t.Errorf("no ciphertexts join to %v, want an empty blob that is not nil", blob)
	}
	if got, err := SplitCiphertexts(nil, 0); len(got) != 0 || err != nil {
		t.Errorf("no ciphertexts split to %v, %v", got, err)
	}
	// A part has no room to grow into the next.
	blob := JoinCiphertexts([][]byte{[]byte("a"), []byte("b")})
	parts, err := SplitCiphertexts(blob, 2)
	if err != nil {
		t.Fatal(err)
	}
	_ = append(parts[0], "zz"...)
	if string(parts[1]) != "b" {
		t.Error("appending to one part wrote over the next")
	}
}

func TestSplitRefuses(t *testing.T) {
	for _, tc := range []struct {
		name, blob string
		n          int
		want       string
	}{
		{"bytes where none are due", "\x01", 0, "1 bytes where none are due"},
		{"nothing", "", 1, "none of 1"},
		{"another version", "\x02\x00", 1, "version 2, this program reads 1"},
		{"only the version", "\x01", 1, "1 in 1 bytes"},
		{"a negative number", "\x01\x00", -1, "-1 in 2 bytes"},
		{"more than can be", "\x01\x00", math.MaxInt, "9223372036854775807 in 2 bytes"},
		{"one less", "\x01\x01a\x00", 3, "no length of the one at 2"},
		{"one more", "\x01\x01a\x01b", 1, "2 bytes after the last of 1"},
		{"cut", "\x01\x02a", 1, "the one at 0 has 1 of 2 bytes"},
		{"a length cut short", "\x01\x80", 1, "no length of the one at 0"},
		{"a length longer than needed", "\x01\x81\x00a", 1, "no length of the one at 0"},
		{"a length over 64 bits", "\x01\xff\xff\xff\xff\xff\xff\xff\xff\xff\x02", 1, "no length of the one at 0"},
		{"a length near 64 bits", "\x01\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01", 1, "has 0 of 18446744073709551615 bytes"},
	} {
		got, err := SplitCiphertexts([]byte(tc.blob), tc.n)
		if err == nil || !strings.HasSuffix(err.Error(), tc.want) || got != nil {
			t.Errorf("%s: %q, %v, want %q", tc.name, got, err, tc.want)
		}
	}
}

func FuzzSplitCiphertexts(f *testing.F) {
	f.Add([]byte{}, 0)
	f.Add(JoinCiphertexts([][]byte{nil, []byte("b")}), 2)
	f.Add(JoinCiphertexts([][]byte{bytes.Repeat([]byte("c"), 200)}), 1)
	f.Fuzz(func(t *testing.T, blob []byte, n int) {
		parts, err := SplitCiphertexts(blob, n)
		if err != nil {
			return
		}
		if len(parts) != n {
			t.Fatalf("%d parts, want %d", len(parts), n)
		}
		if again := JoinCiphertexts(parts); !bytes.Equal(again, blob) {
			t.Errorf("%x splits into what joins to %x", blob, again)
		}
	})
}

func BenchmarkSeal(b *testing.B) {
	k := NewKey("cus_0123456789abcdefghjkmnpqrs", rand.Reader)
	value := bytes.Repeat([]byte("x"), 100)
	b.ReportAllocs()
	for b.Loop() {
		if _, _, err := k.Seal("person", value, rand.Reader); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkOpen(b *testing.B) {
	k := NewKey("cus_0123456789abcdefghjkmnpqrs", rand.Reader)
	box, ciphertext := mustSeal(b, k, "person", strings.Repeat("x", 100))
	b.ReportAllocs()
	for b.Loop() {
		if _, err := k.Open(box, ciphertext); err != nil {
			b.Fatal(err)
		}
	}
}
