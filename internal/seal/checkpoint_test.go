package seal

import (
	"bytes"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	formats "github.com/transparency-dev/formats/log"
	"golang.org/x/mod/sumdb/note"

	"perennial/verify"
)

const testOrigin = "perennial/shop_0123abcd"

// zeros is a source of no randomness: keys are the same in every run.
type zeros byte

func (z zeros) Read(b []byte) (int, error) {
	for i := range b {
		b[i] = byte(z)
	}
	return len(b), nil
}

func newKey(tb testing.TB, name string, seed byte) (note.Signer, note.Verifier, string) {
	tb.Helper()
	skey, vkey, err := note.GenerateKey(zeros(seed), name)
	if err != nil {
		tb.Fatal(err)
	}
	s, err := note.NewSigner(skey)
	if err != nil {
		tb.Fatal(err)
	}
	v, err := note.NewVerifier(vkey)
	if err != nil {
		tb.Fatal(err)
	}
	return s, v, vkey
}

func TestCheckpoint(t *testing.T) {
	signer, verifier, vkey := newKey(t, testOrigin, 1)
	s := grow(300)
	root := s.edge.Root()
	msg, err := SignCheckpoint(signer, testOrigin, s.edge.Size, root)
	if err != nil {
		t.Fatal(err)
	}
	want := Checkpoint{testOrigin, 300, root}
	got, err := OpenCheckpoint(msg, note.VerifierList(verifier), testOrigin)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("OpenCheckpoint (-want +got):\n%s", diff)
	}

	// Two other readers agree.
	other, rest, _, err := formats.ParseCheckpoint(msg, testOrigin, verifier)
	if err != nil {
		t.Fatal(err)
	}
	if len(rest) > 0 || other.Origin != testOrigin || other.Size != 300 || !bytes.Equal(other.Hash, root[:]) {
		t.Errorf("formats reads %+v and %q", other, rest)
	}
	offline, err := verify.OpenCheckpoint(msg, vkey)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(verify.Checkpoint{Shop: "shop_0123abcd", Size: 300, Root: root}, offline); diff != "" {
		t.Errorf("verify reads (-want +got):\n%s", diff)
	}
}

// A witness may add its signature, and cannot speak for the log.
func TestCheckpointOfWitness(t *testing.T) {
	signer, verifier, vkey := newKey(t, testOrigin, 1)
	witness, witnessVerifier, _ := newKey(t, "witness.example", 2)
	msg, err := SignCheckpoint(signer, testOrigin, 1, Hash{})
	if err != nil {
		t.Fatal(err)
	}
	n, err := note.Open(msg, note.VerifierList(verifier))
	if err != nil {
		t.Fatal(err)
	}
	both, err := note.Sign(n, witness)
	if err != nil {
		t.Fatal(err)
	}
	for _, known := range []note.Verifiers{note.VerifierList(verifier), note.VerifierList(witnessVerifier, verifier)} {
		if _, err := OpenCheckpoint(both, known, testOrigin); err != nil {
			t.Errorf("signed by the log and a witness: %v", err)
		}
	}
	if _, err := verify.OpenCheckpoint(both, vkey); err != nil {
		t.Errorf("verify, signed by the log and a witness: %v", err)
	}
	_, err = OpenCheckpoint(both, note.VerifierList(witnessVerifier), testOrigin)
	if want := `seal: checkpoint: not signed by "` + testOrigin + `"`; err == nil || err.Error() != want {
		t.Errorf("with only the witness known: %v, want %q", err, want)
	}
}

func TestSignCheckpointRefuses(t *testing.T) {
	signer, _, _ := newKey(t, testOrigin, 1)
	if _, err := SignCheckpoint(signer, "perennial/shop_00000000", 1, Hash{}); err == nil {
		t.Error("signed for another shop")
	}
	for _, size := range []int64{-1, MaxSize + 1} {
		if _, err := SignCheckpoint(signer, testOrigin, size, Hash{}); err == nil {
			t.Errorf("signed a size of %d", size)
		}
	}
}

// Every flipped bit of a checkpoint is refused, and the refusal names the part.
func TestOpenCheckpointRefusesFlips(t *testing.T) {
	signer, verifier, _ := newKey(t, testOrigin, 1)
	msg, err := SignCheckpoint(signer, testOrigin, 1234, LeafHash(nil))
	if err != nil {
		t.Fatal(err)
	}
	const (
		malformed = "seal: checkpoint: malformed note"
		unknown   = "seal: checkpoint: note has no verifiable signatures"
		spare     = "seal: checkpoint: the signature is not in canonical base64"
	)
	invalid := fmt.Sprintf("seal: checkpoint: invalid signature for key %s+%08x", testOrigin, verifier.KeyHash())
	sigAt := bytes.Index(msg, []byte("\n\n")) + 2
	nameAt := sigAt + len("— ")
	hashAt := nameAt + len(testOrigin) + 1
	var open = func(b []byte) error {
		_, err := OpenCheckpoint(b, note.VerifierList(verifier), testOrigin)
		return err
	}
	seen := map[string]int{}
	for i := range msg {
		for bit := range 8 {
			b := slices.Clone(msg)
			b[i] ^= 1 << bit
			err := open(b)
			if err == nil {
				t.Fatalf("byte %d (%q), bit %d: not refused", i, msg[i], bit)
			}
			got := err.Error()
			seen[got]++
			var want []string
			switch {
			case i < sigAt-2:
				want = []string{invalid, malformed} // another text, or none at all
			case i < nameAt:
				want = []string{malformed, invalid, unknown}
			case i < hashAt-1:
				want = []string{unknown, malformed}
			case i < hashAt+6: // the blank, and the key hash
				want = []string{unknown, malformed, invalid}
			default:
				want = []string{invalid, malformed, spare}
			}
			if !slices.Contains(want, got) {
				t.Errorf("byte %d (%q), bit %d: %q, want one of %q", i, msg[i], bit, got, want)
			}
		}
	}
	for _, e := range []string{malformed, unknown, spare, invalid} {
		if seen[e] == 0 {
			t.Errorf("no flip was refused with %q", e)
		}
	}
}

// A text that is signed with the right key and is not a checkpoint of ours is refused all the same.
func TestOpenCheckpointRefusesSigned(t *testing.T) {
	signer, verifier, vkey := newKey(t, testOrigin, 1)
	root := LeafHash(nil).String()
	for _, tc := range []struct{ name, text, want string }{
		{"another origin", "perennial/shop_00000000\n5\n" + root + "\n", `of "perennial/shop_00000000"`},
		{"a sign", testOrigin + "\n+5\n" + root + "\n", `"+5" is not a size`},
		{"a leading zero", testOrigin + "\n05\n" + root + "\n", `"05" is not a size`},
		{"a negative size", testOrigin + "\n-5\n" + root + "\n", `"-5" is not a size`},
		{"a size over the greatest", testOrigin + "\n9007199254740993\n" + root + "\n", `is not a size`},
		{"a size over int64", testOrigin + "\n9223372036854775808\n" + root + "\n", `is not a size`},
		{"no size", testOrigin + "\n\n" + root + "\n", `"" is not a size`},
		{"a short root", testOrigin + "\n5\nAAAA\n", `"AAAA" is not a root`},
		{"spare bits in the root", testOrigin + "\n5\n" + root[:42] + "B=\n", "is not a root"},
		{"no root", testOrigin + "\n5\n", "lines"},
		{"an extension line", testOrigin + "\n5\n" + root + "\nmore\n", "lines"},
	} {
		msg, err := note.Sign(&note.Note{Text: tc.text}, signer)
		if err != nil {
			t.Fatal(err)
		}
		_, err = OpenCheckpoint(msg, note.VerifierList(verifier), testOrigin)
		if err == nil || !strings.Contains(err.Error(), tc.want) {
			t.Errorf("%s: %v, want %q", tc.name, err, tc.want)
		}
		if _, err := verify.OpenCheckpoint(msg, vkey); err == nil || !strings.Contains(err.Error(), tc.want) {
			t.Errorf("%s: verify: %v, want %q", tc.name, err, tc.want)
		}
	}
}

func FuzzOpenCheckpoint(f *testing.F) {
	signer, verifier, vkey := newKey(f, testOrigin, 1)
	for _, size := range []int64{0, 1, 300, MaxSize} {
		msg, err := SignCheckpoint(signer, testOrigin, size, LeafHash(nil))
		if err != nil {
			f.Fatal(err)
		}
		f.Add(msg)
	}
	f.Fuzz(func(t *testing.T, msg []byte) {
		c, err := OpenCheckpoint(msg, note.VerifierList(verifier), testOrigin)
		offline, offlineErr := verify.OpenCheckpoint(msg, vkey)
		if (err == nil) != (offlineErr == nil) {
			t.Fatalf("seal says %v, verify says %v", err, offlineErr)
		}
		if err != nil {
			return
		}
		if offline.Size != c.Size || offline.Root != c.Root {
			t.Errorf("seal reads %v, verify reads %v", c, offline)
		}
		again, err := SignCheckpoint(signer, testOrigin, c.Size, c.Root)
		if err != nil {
			t.Fatal(err)
		}
		text, _, _ := bytes.Cut(again, []byte("\n\n"))
		if !bytes.HasPrefix(msg, text) {
			t.Errorf("%q is accepted as %q", msg, text)
		}
	})
}
