// Package generators holds that the served OpenAPI document takes generators of clients: four that people use make a client of it,
// with every operation, and what they make compiles. Their versions are pinned in tools/generators.
package generators

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"io"
	"os"
	"path/filepath"
	"regexp"
	"runtime"
	"strings"
	"testing"

	"perennial/internal/api"
	"perennial/internal/test/node"
)

const pins = "../../../tools/generators"

// TestGoClients makes clients by ogen and oapi-codegen and checks them.
func TestGoClients(t *testing.T) {
	doc, ids := document(t)
	passed := once(t, doc, "go.mod", "go.sum", "ogen.yml", "oapi-codegen.yml")
	work := t.TempDir()
	for _, name := range []string{"go.mod", "go.sum", "ogen.yml", "oapi-codegen.yml"} {
		copyFile(t, filepath.Join(pins, name), filepath.Join(work, name))
	}
	must(t, os.WriteFile(filepath.Join(work, "openapi.json"), doc, 0o600))
	for _, dir := range []string{"ogenclient", "oapiclient"} {
		must(t, os.Mkdir(filepath.Join(work, dir), 0o700))
	}
	node.Run(t, work, "go", "tool", "ogen", "--config", "ogen.yml", "--target", "ogenclient", "--package", "ogenclient", "--loglevel", "error", "openapi.json")
	node.Run(t, work, "go", "tool", "oapi-codegen", "-config", "oapi-codegen.yml", "openapi.json")
	// ogen leaves out what it cannot make, if it is told to; oapi-codegen names a function for each body that it can send.
	for _, file := range []string{"ogenclient/oas_client_gen.go", "oapiclient/client.go"} {
		code := read(t, filepath.Join(work, file))
		for _, id := range ids {
			if !regexp.MustCompile(`\) (?i:` + id + `)(With\w+)?\(ctx `).MatchString(code) {
				t.Errorf("%s: there is no %s", file, id)
			}
		}
		if null := regexp.MustCompile(`\bData +(\*\[\]|OptNil)`).FindString(code); null != "" {
			t.Errorf("%s: a list may be null: %s", file, null)
		}
	}
	// vet reads the types of everything, which is what compiling would find, for a quarter of the time.
	node.Run(t, work, "go", "vet", "-atomic", "./ogenclient", "./oapiclient")
	passed()
}

// TestTypeScriptClients makes clients by openapi-typescript and @hey-api/openapi-ts and compiles them, with a program that uses them.
func TestTypeScriptClients(t *testing.T) {
	node.Need(t)
	doc, ids := document(t)
	passed := once(t, doc, "package.json", "package-lock.json", "use.ts", "tsconfig.json")
	home := node.Modules(t, pins)
	work := t.TempDir()
	must(t, os.WriteFile(filepath.Join(work, "openapi.json"), doc, 0o600))
	must(t, os.Symlink(filepath.Join(home, "node_modules"), filepath.Join(work, "node_modules")))
	for _, name := range []string{"package.json", "use.ts", "tsconfig.json"} {
		copyFile(t, filepath.Join(pins, name), filepath.Join(work, name))
	}
	node.Run(t, work, "node", "node_modules/openapi-typescript/bin/cli.js", "openapi.json", "-o", "types.ts")
	node.Run(t, work, "node", "node_modules/@hey-api/openapi-ts/bin/run.js", "-i", "openapi.json", "-o", "heyapi", "--no-log-file")
	for _, file := range []string{"types.ts", "heyapi/sdk.gen.ts"} {
		code := read(t, filepath.Join(work, file))
		for _, id := range ids {
			if !regexp.MustCompile(`\b(?i:` + id + `)\b`).MatchString(code) {
				t.Errorf("%s: there is no %s", file, id)
			}
		}
	}
	node.Run(t, work, "node", "node_modules/typescript/bin/tsc", "-p", ".")
	passed()
}

// document gives the document and the ids of its operations.
func document(t *testing.T) (doc []byte, ids []string) {
	t.Helper()
	doc = api.Document("test")
	var read struct {
		Paths map[string]map[string]struct {
			ID string `json:"operationId"`
		} `json:"paths"`
	}
	must(t, json.Unmarshal(doc, &read))
	for _, item := range read.Paths {
		for _, op := range item {
			ids = append(ids, op.ID)
		}
	}
	if len(ids) < 100 {
		t.Fatalf("the document has %d operations", len(ids))
	}
	return doc, ids
}

// once skips a test that passed before with the same document, the same pins and the same test: it takes half a minute of CPU. passed
// notes that it did.
func once(t *testing.T, doc []byte, files ...string) (passed func()) {
	t.Helper()
	sum := sha256.New()
	for _, b := range [][]byte{doc, []byte(runtime.Version()), []byte(t.Name()), []byte(read(t, "generators_test.go"))} {
		_, err := sum.Write(b)
		must(t, err)
	}
	for _, name := range files {
		_, err := io.WriteString(sum, read(t, filepath.Join(pins, name)))
		must(t, err)
	}
	note := filepath.Join(node.Cache(t), "passed-"+hex.EncodeToString(sum.Sum(nil)[:16]))
	if _, err := os.Stat(note); err == nil {
		t.Skipf("passed before with this document and these generators: %s", note)
	}
	return func() {
		if !t.Failed() {
			must(t, os.WriteFile(note, []byte(strings.Join(files, " ")), 0o600))
		}
	}
}

func copyFile(t *testing.T, from, to string) {
	t.Helper()
	must(t, os.WriteFile(to, []byte(read(t, from)), 0o600))
}

func read(t *testing.T, file string) string {
	t.Helper()
	b, err := os.ReadFile(file)
	must(t, err)
	return string(b)
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}
