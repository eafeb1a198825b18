package archtest

import (
	"flag"
	"fmt"
	"go/parser"
	"go/token"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

var update = flag.Bool("update", false, "write the table of rooms into docs/architecture.md")

// The table of rooms in docs/architecture.md is made from rules.go and the packages' own comments: go test ./internal/test/archtest
// -run Drawn -update.
func TestTheRoomsAreDrawn(t *testing.T) {
	root, module := goList(t, "-m", "-f", "{{.Dir}}\n{{.Path}}")
	var table strings.Builder
	table.WriteString("| layer | room | what it is |\n|---|---|---|\n")
	packages := read(t, root, module)
	for _, l := range slices.Backward(layers) {
		name := l.name
		for _, p := range packages {
			if !has(l.packages, p.path) || ofTests(p.path) {
				continue
			}
			what := comment(t, filepath.Join(root, p.path))
			if what == "" {
				t.Errorf("%s does not say what it is", p.path)
			}
			fmt.Fprintf(&table, "| %s | `%s` | %s |\n", name, strings.TrimPrefix(p.path, "internal/"), what)
			name = ""
		}
	}
	const file, begin, end = "docs/architecture.md", "<!-- rooms -->\n", "<!-- end of rooms -->"
	doc, err := os.ReadFile(filepath.Join(root, file))
	if err != nil {
		t.Fatal(err)
	}
	before, rest, ok := strings.Cut(string(doc), begin)
	was, after, closed := strings.Cut(rest, end)
	switch {
	case !ok || !closed:
		t.Fatalf("%s has no place for the rooms", file)
	case was == table.String():
	case *update:
		if err := os.WriteFile(filepath.Join(root, file), []byte(before+begin+table.String()+end+after), 0o600); err != nil {
			t.Fatal(err)
		}
	default:
		t.Errorf("%s draws other rooms: run with -update", file)
	}
}

// comment is the first sentence of a package's comment, without "Package x".
func comment(t *testing.T, dir string) string {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(dir, "*.go"))
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range files {
		file, err := parser.ParseFile(token.NewFileSet(), name, nil, parser.PackageClauseOnly|parser.ParseComments)
		if err != nil {
			t.Fatal(err)
		}
		text := strings.Join(strings.Fields(file.Doc.Text()), " ")
		if !strings.HasPrefix(text, "Package "+file.Name.Name+" ") && !strings.HasPrefix(text, "Command ") {
			continue
		}
		first, _, _ := strings.Cut(text, ". ")
		return strings.TrimSuffix(strings.Join(strings.Fields(first)[2:], " "), ".")
	}
	return ""
}
