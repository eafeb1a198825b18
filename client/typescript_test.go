package client_test

import (
	"bytes"
	"flag"
	"os"
	"path/filepath"
	"testing"

	"perennial/internal/api"
	"perennial/internal/test/node"
)

var update = flag.Bool("update", false, "write the types of the TypeScript client anew")

// The TypeScript client has the types of the served document, passes the strictest checks of the compiler, and does what it promises
// against a real server.
func TestTypeScript(t *testing.T) {
	const source, pins = "../clients/typescript", "../tools/generators"
	node.Need(t)
	home := node.Modules(t, pins)
	work := t.TempDir()
	must(t, os.WriteFile(filepath.Join(work, "openapi.json"), api.Document(""), 0o600))
	modules := filepath.Join(home, "node_modules")
	node.Run(t, work, "node", filepath.Join(modules, "openapi-typescript/bin/cli.js"), "openapi.json", "-o", "schema.ts")
	made, err := os.ReadFile(filepath.Join(work, "schema.ts"))
	must(t, err)
	types := filepath.Join(source, "src", "schema.ts")
	if *update {
		must(t, os.WriteFile(types, made, 0o644))
	}
	if committed, err := os.ReadFile(types); err != nil || !bytes.Equal(committed, made) {
		t.Fatal("clients/typescript/src/schema.ts is not what the API's document says: run go test ./client -run TestTypeScript -update")
	}
	out, err := filepath.Abs(filepath.Join(work, "out"))
	must(t, err)
	node.Run(t, source, "node", filepath.Join(modules, "typescript/bin/tsc"), "-p", "test", "--outDir", out)
	must(t, os.WriteFile(filepath.Join(out, "package.json"), []byte(`{"type":"module"}`), 0o600))
	s := openShop(t)
	t.Setenv("PERENNIAL_ADDRESS", "http://"+s.config.Listen+"/api/v1")
	t.Setenv("PERENNIAL_KEY", s.key)
	node.Run(t, out, "node", "test/run.js")
}
