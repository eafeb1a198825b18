package journal

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"
	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"perennial/verify"
)

// FuzzParse holds the quick parser to the general one: what it takes is canonical, and the other one takes it too and reads the
// same.
func FuzzParse(f *testing.F) {
	files, err := filepath.Glob("testdata/golden/*.json")
	if err != nil || len(files) == 0 {
		f.Fatal(files, err)
	}
	for _, name := range files {
		b, err := os.ReadFile(name)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(b[:len(b)-1])
	}
	f.Add([]byte(`{"details":{"a":-0,"b":[1.5,"\u0041"],"c":{"z":1,"a":2}},"seq":01,"v":1}`))
	f.Add([]byte(`{"changes":[],"details":{},"seq":9223372036854775808,"targets":[{"kind":"shop"}],"v":1}`))
	f.Fuzz(func(t *testing.T, body []byte) {
		var quick, general rawEvent
		if !quick.quick(body) {
			return
		}
		if err := verify.CheckCanonical(body); err != nil {
			t.Errorf("it took what is not canonical: %v", err)
		}
		if err := json.Unmarshal(body, &general, json.RejectUnknownMembers(true)); err != nil {
			t.Fatalf("it took what is not a body: %v", err)
		}
		if diff := cmp.Diff(general, quick, cmp.AllowUnexported(rawEvent{}, member[int]{}, member[jsontext.Value]{}), cmpopts.EquateEmpty()); diff != "" {
			t.Errorf("general against quick:\n%s", diff)
		}
	})
}

// TestQuick says that what is written is read the quick way, or it would help nobody.
func TestQuick(t *testing.T) {
	files, err := filepath.Glob("testdata/golden/*.json")
	if err != nil || len(files) == 0 {
		t.Fatal(files, err)
	}
	for _, name := range files {
		b, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		var r rawEvent
		if !r.quick(b[:len(b)-1]) {
			t.Errorf("%s is read the general way", name)
		}
	}
}
