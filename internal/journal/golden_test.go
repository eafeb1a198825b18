package journal_test

import (
	"bytes"
	"encoding/base64"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"

	"perennial/internal/journal"
	"perennial/internal/seal"
	"perennial/internal/vault"
	"perennial/verify"
)

// The golden corpus in testdata/golden is of events that real commands made. It was written once and is never written
// again, not by any flag either: an entry of a journal has to stay readable for as long as there is a program, so what
// fails here is the program. A new form of event gets new files.
//
//	<name>.json    the body, and a newline that is not part of it
//	<name>.boxes   the blob of its ciphertexts in base64, if it has boxes
//	<name>.opened  what the event says when its boxes are opened
//	leaves.txt     the leaf hash of each body
//	keys/          a keys folder: the root key, the list of erased keys; and wrapped.txt, the data keys as table data_key holds
//	               them, one of which was erased
const corpus = "testdata/golden"

func TestGolden(t *testing.T) {
	leaves := map[string]string{}
	for _, line := range corpusLines(t, "leaves.txt") {
		leaf, name, _ := strings.Cut(line, "  ")
		leaves[name] = leaf
	}
	files, err := filepath.Glob(corpus + "/*.json")
	if err != nil || len(files) == 0 || len(files) != len(leaves) {
		t.Fatalf("got %d bodies and %d leaf hashes, %v", len(files), len(leaves), err)
	}
	open := corpusKeys(t)
	for _, file := range files {
		name := filepath.Base(file)
		t.Run(name, func(t *testing.T) {
			body := bytes.TrimSuffix(read(t, name), []byte("\n"))
			if got, want := seal.LeafHash(body).String(), leaves[name]; got != want {
				t.Errorf("leaf hash: got %s, want %s", got, want)
			}
			canonical(t, body)
			if _, err := journal.Decode(body, nil, nil); err != nil {
				t.Fatal(err)
			}
			if name == "v1-full.json" { // made by sample, whose boxes are no real ones
				if got, _ := encode(t, sample(t)); !bytes.Equal(got, body) {
					t.Errorf("the same event is written otherwise today:\n got %s\nwant %s", got, body)
				}
				return
			}
			if e, err := verify.ParseEvent(body); err != nil || seal.Hash(e.LeafHash).String() != leaves[name] {
				t.Errorf("the verifier: got leaf hash %s, %v", seal.Hash(e.LeafHash), err)
			}
			e := decodeWithBoxes(t, body, strings.TrimSuffix(name, ".json"), open)
			if got, want := opened(t, e), string(read(t, strings.TrimSuffix(name, ".json")+".opened")); got != want {
				t.Errorf("opened:\n got %s\nwant %s", got, want)
			}
		})
	}
}

// TestFormatDocument holds docs/journal-format.md to the corpus: it names every member that a body has, and its example is
// the body that it says, with that leaf hash and that content.
func TestFormatDocument(t *testing.T) {
	b, err := os.ReadFile("../../docs/journal-format.md")
	if err != nil {
		t.Fatal(err)
	}
	doc := string(b)
	files, err := filepath.Glob(corpus + "/*.json")
	if err != nil {
		t.Fatal(err)
	}
	for _, file := range files {
		var members map[string]jsontext.Value
		if err := json.Unmarshal(read(t, filepath.Base(file)), &members); err != nil {
			t.Fatal(err)
		}
		for name := range members {
			if !strings.Contains(doc, "\n| `"+name+"` | ") {
				t.Errorf("the document has no member %s", name)
			}
		}
	}
	const example = "v1-sealed-details"
	_, rest, _ := strings.Cut(doc, "```json\n")
	shown, _, _ := strings.Cut(rest, "```")
	body := jsontext.Value(shown)
	if err := body.Compact(); err != nil {
		t.Fatal(err)
	}
	if got, want := string(body)+"\n", string(read(t, example+".json")); got != want {
		t.Errorf("the example:\n got %s\nwant %s", got, want)
	}
	e := decodeWithBoxes(t, body, example, corpusKeys(t))
	content, err := journal.Canonical([]string{text(e.Detail("reason")), e.Comment.Value})
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{seal.LeafHash(body).String(), string(content)} {
		if !strings.Contains(doc, "`"+want+"`") {
			t.Errorf("the document does not say %s of its example", want)
		}
	}
}

func text(j jsontext.Value) string {
	var s string
	if err := json.Unmarshal(j, &s); err != nil {
		return err.Error()
	}
	return s
}

func decodeWithBoxes(t *testing.T, body []byte, name string, open journal.Opener) *journal.Event {
	t.Helper()
	closed, err := journal.Decode(body, nil, nil)
	if err != nil {
		t.Fatal(err)
	}
	var blob []byte
	if len(closed.Boxes) > 0 {
		if blob, err = base64.StdEncoding.DecodeString(strings.TrimSpace(string(read(t, name+".boxes")))); err != nil {
			t.Fatal(err)
		}
	}
	ciphertexts, err := vault.SplitCiphertexts(blob, len(closed.Boxes))
	if err != nil {
		t.Fatal(err)
	}
	e, err := journal.Decode(body, ciphertexts, open)
	if err != nil {
		t.Fatal(err)
	}
	return e
}

// corpusKeys opens boxes with the keys of the corpus, as a shop does with its own.
func corpusKeys(t *testing.T) journal.Opener {
	t.Helper()
	dir := t.TempDir()
	for _, name := range []string{"root.key", "erased"} {
		// A key file that others may read is refused, and a checkout cannot keep a mode of 0600.
		if err := os.WriteFile(filepath.Join(dir, name), read(t, "keys/"+name), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	folder, err := vault.OpenReadOnly(dir)
	if err != nil {
		t.Fatal(err)
	}
	keys := map[string]vault.Key{}
	erased := 0
	for _, line := range corpusLines(t, "keys/wrapped.txt") {
		id, b64, _ := strings.Cut(line, " ")
		wrapped, err := base64.StdEncoding.DecodeString(b64)
		if err != nil {
			t.Fatal(err)
		}
		key, err := folder.Unwrap(id, wrapped)
		if errors.Is(err, vault.ErrErased) {
			erased++
			continue
		}
		if err != nil {
			t.Fatal(err)
		}
		keys[id] = key
	}
	if erased != 1 {
		t.Errorf("%d of the keys are erased, want 1", erased)
	}
	return func(b journal.Box, ciphertext []byte) ([]byte, error) {
		v, err := keys[b.Key].Open(vault.Box(b), ciphertext)
		if errors.Is(err, vault.ErrErased) {
			return nil, journal.ErrUnreadable
		}
		return v, err
	}
}

// opened is what an event says, a line for each value.
func opened(t *testing.T, e *journal.Event) string {
	t.Helper()
	var b strings.Builder
	line := func(name string, values ...jsontext.Value) {
		fmt.Fprintf(&b, "%s", name)
		for _, v := range values {
			if v == nil {
				v = jsontext.Value("-")
			}
			fmt.Fprintf(&b, "\t%s", v)
		}
		b.WriteByte('\n')
	}
	personal := func(p journal.Personal[string]) jsontext.Value {
		v, err := journal.Canonical(p)
		if err != nil {
			t.Fatal(err)
		}
		return v
	}
	for _, c := range e.Changes {
		line("change "+c.Field, c.Before, c.After)
	}
	for _, d := range e.Details {
		line("detail "+d.Name, d.Value)
	}
	line("comment", personal(e.Comment))
	line("ip", personal(e.Source.IP))
	line("user_agent", personal(e.Source.UserAgent))
	for _, s := range e.Secrets {
		line("secret "+s.Name, jsontext.Value(base64.StdEncoding.EncodeToString(s.Commitment)))
	}
	return b.String()
}

func read(t *testing.T, name string) []byte {
	t.Helper()
	b, err := os.ReadFile(filepath.Join(corpus, filepath.FromSlash(name)))
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func corpusLines(t *testing.T, name string) []string {
	t.Helper()
	return strings.Split(strings.TrimSuffix(string(read(t, name)), "\n"), "\n")
}
