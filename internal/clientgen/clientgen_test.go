package main

import (
	"bytes"
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"perennial/internal/api"
)

// The files in the repository are those of the document that the server of this repository serves, made twice the same.
func TestTheClientsAreFresh(t *testing.T) {
	files, err := generate(api.Document(""))
	if err != nil {
		t.Fatal(err)
	}
	again, err := generate(api.Document("another version"))
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(files, again); diff != "" {
		t.Errorf("made again it is not the same (-first +second):\n%s", diff)
	}
	for name, want := range files {
		got, err := os.ReadFile(filepath.Join("..", "..", filepath.FromSlash(name)))
		if err != nil || !bytes.Equal(got, want) {
			t.Errorf("%s is not what the API's document says: run go generate ./client (%v)", name, err)
		}
		if lines := bytes.Count(want, []byte("\n")); lines > 6000 {
			t.Errorf("%s has %d lines: nobody reads that", name, lines)
		}
	}
	// Nothing of the document is left out but what is written by hand.
	for _, id := range operationIDs(t) {
		name := strings.ToUpper(id[:1]) + id[1:] + "("
		if !bytes.Contains(files["client/api.gen.go"], []byte(") "+name)) && id != "streamEvents" && id != "ingestEvents" {
			t.Errorf("the client has no %s", id)
		}
	}
}

func operationIDs(t *testing.T) []string {
	t.Helper()
	var d document
	if err := json.Unmarshal(api.Document(""), &d); err != nil {
		t.Fatal(err)
	}
	var out []string
	for _, op := range d.operations() {
		out = append(out, op.ID)
	}
	if len(out) < 140 {
		t.Fatalf("the document has %d operations", len(out))
	}
	return out
}

func TestGoNames(t *testing.T) {
	for name, want := range map[string]string{"payment_method_id": "PaymentMethodID", "product_ids": "ProductIDs", "partially_refunded": "PartiallyRefunded", "line1": "Line1", "image_url": "ImageURL"} {
		if got := goName(name); got != want {
			t.Errorf("%s is %s, want %s", name, got, want)
		}
	}
	got := pathArguments("/customers/{id}/addresses/{part}")
	if diff := cmp.Diff([]string{"id", "address"}, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}
