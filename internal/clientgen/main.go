// Command clientgen writes what of the clients comes from the OpenAPI document: methods and types of the Go client, and the table of
// operations of the TypeScript client. `go generate ./client` runs it.
package main

import (
	"fmt"
	"os"
	"path/filepath"

	"perennial/internal/api"
)

func main() {
	root := "."
	if len(os.Args) > 1 {
		root = os.Args[1]
	}
	files, err := generate(api.Document(""))
	for name, text := range files {
		if err == nil {
			err = os.WriteFile(filepath.Join(root, filepath.FromSlash(name)), text, 0o644) //nolint:gosec // source code
		}
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "clientgen:", err)
		os.Exit(1)
	}
}
