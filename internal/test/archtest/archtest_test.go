package archtest

import (
	"encoding/json"
	"errors"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"perennial/internal/journal"
)

func TestArchitecture(t *testing.T) {
	house := rules{layers: layers, homes: homes, empty: emptyNames, sql: sqlPlaces, database: databasePlaces, routes: router}
	root, module := goList(t, "-m", "-f", "{{.Dir}}\n{{.Path}}")
	house.module = module
	for _, broken := range house.check(read(t, root, module)) {
		t.Error(broken)
	}
}

// docs/dependencies.md has a line for each module that the code or its tests import, and for no other.
func TestDependenciesAreExplained(t *testing.T) {
	root, module := goList(t, "-m", "-f", "{{.Dir}}\n{{.Path}}")
	doc, err := os.ReadFile(filepath.Join(root, "docs", "dependencies.md"))
	if err != nil {
		t.Fatal(err)
	}
	used := map[string]bool{} // by module
	for _, line := range regexp.MustCompile("(?m)^\\| `([^`]+)` \\|").FindAllStringSubmatch(string(doc), -1) {
		used[line[1]] = false
	}
	missing := map[string]string{} // import to importer
	for _, p := range read(t, root, module) {
		for _, imported := range slices.Concat(p.imports, p.testImports) {
			if !foreign(imported) {
				continue
			}
			explained := false
			for m := range used {
				if match(m+"/...", imported) {
					used[m], explained = true, true
				}
			}
			if !explained {
				missing[imported] = p.path
			}
		}
	}
	for imported, by := range missing {
		t.Errorf("docs/dependencies.md does not explain %s, which %s imports", imported, by)
	}
	for m, yes := range used {
		if !yes {
			t.Errorf("docs/dependencies.md explains %s, which nothing imports", m)
		}
	}
}

func TestChecker(t *testing.T) {
	small := rules{
		module: "shop",
		layers: []layer{
			{name: "words", packages: "internal/id internal/money", may: "", outside: ""},
			{name: "domain", packages: "internal/plan internal/order", ordered: true, may: "words", outside: "example.org/json", never: "os context"},
			{name: "disk", packages: "internal/db internal/files", may: "*", outside: "*"},
			{name: "faces", packages: "internal/api internal/web/...", may: "*", outside: "*", never: "internal/db"},
			{name: "server", packages: "internal/server", may: "*", outside: "*", clock: true},
			{name: "main", packages: "cmd/shop", may: "internal/server", outside: ""},
		},
		homes: map[string]string{"example.org/sql": "internal/db", "example.org/cmp": ""},
		empty: []string{"utils"}, routes: "internal/access",
	}
	for _, tt := range []struct {
		name string
		from string
		to   string
		want string // "" is allowed
	}{
		{"down", "internal/plan", "shop/internal/id", ""},
		{"down two", "internal/api", "shop/internal/money", ""},
		{"up", "internal/id", "shop/internal/plan", "domain is above words"},
		{"up to the top", "internal/plan", "shop/internal/server", "server is above domain"},
		{"side by side", "internal/id", "shop/internal/money", "they stand side by side in words"},
		{"in order", "internal/order", "shop/internal/plan", ""},
		{"against the order", "internal/plan", "shop/internal/order", "they stand side by side in domain"},
		{"below one pattern", "internal/web/pages", "shop/internal/web/parts", ""},
		{"side by side of a pattern", "internal/web/pages", "shop/internal/api", "they stand side by side in faces"},
		{"a layer that is not listed", "cmd/shop", "shop/internal/api", "main may import only: internal/server"},
		{"a package that is listed", "cmd/shop", "shop/internal/server", ""},
		{"never", "internal/web/pages", "shop/internal/db", "faces never does"},
		{"never of the standard library", "internal/order", "os", "domain never does"},
		{"only that package", "internal/order", "os/signal", ""},
		{"standard library", "internal/id", "encoding/json/v2", ""},
		{"a module that is listed", "internal/plan", "example.org/json/text", ""},
		{"a module with a longer name", "internal/plan", "example.org/json2", "domain may import of other modules only: example.org/json"},
		{"no modules", "internal/id", "golang.org/x/text", "words may import of other modules only: nothing"},
		{"a module at home", "internal/db", "example.org/sql/driver", ""},
		{"a module away from home", "internal/files", "example.org/sql/driver", "its place is internal/db"},
		{"a module of tests", "internal/db", "example.org/cmp", "its place is in tests"},
		{"tests", "internal/api", "shop/internal/test/browser", "it is for tests"},
		{"tests beside", "internal/api", "shop/internal/db/dbtest", "it is for tests"},
		{"from tests", "internal/db/dbtest", "shop/internal/server", ""},
		{"a stranger", "internal/api", "shop/internal/new", "it has no line in the table of layers"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			var want []string
			if tt.want != "" {
				want = []string{fmt.Sprintf("%s imports %s: %s", tt.from, tt.to, tt.want)}
			}
			got := small.check([]goPackage{{path: "internal/money"}, {path: tt.from, imports: []string{"strings", tt.to}}})
			if diff := cmp.Diff(want, got); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}

	small.sql, small.database = "internal/db", "internal/db"
	got := small.check([]goPackage{
		{path: "internal/db", sql: []string{"internal/db/x.go:1: SQL"}, database: []string{"internal/db/x.go:1: Store.DB"}},
		{path: "internal/api", sql: []string{"internal/api/x.go:3: SQL"}, database: []string{"internal/api/x.go:4: Store.DB"}},
		{path: "internal/new"},
		{path: "internal/web/utils"},
		{path: "internal/plan", clock: []string{"internal/plan/plan.go:3: time.Now"}},
		{path: "internal/server", clock: []string{"internal/server/server.go:3: time.Now"}, routers: []string{"internal/server/server.go:4: http.NewServeMux"}},
	})
	want := []string{
		"internal/api/x.go:3: SQL: lists are asked for by package query",
		"internal/api/x.go:4: Store.DB: the store's database is for the packages that make up its tables",
		"internal/new has no line in the table of layers (internal/test/archtest/rules.go)",
		"internal/plan/plan.go:3: time.Now: time is an argument below the server",
		"internal/server/server.go:4: http.NewServeMux: routes are registered in the table of internal/access",
		"internal/web/utils: the name utils does not say what is in it",
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

// A layer can name only layers below it, and no package has two lines.
func TestTable(t *testing.T) {
	names, packages := map[string]bool{}, map[string]bool{}
	for _, l := range layers {
		for may := range strings.FieldsSeq(l.may) {
			if may != "*" && !names[may] && !packages[may] {
				t.Errorf("%s may import %q, which is not below it", l.name, may)
			}
		}
		for p := range strings.FieldsSeq(l.packages) {
			if packages[p] {
				t.Errorf("%s has two lines", p)
			}
			packages[p] = true
		}
		if names[l.name] {
			t.Errorf("two layers are called %s", l.name)
		}
		names[l.name] = true
	}
}

func TestWatchedCalls(t *testing.T) {
	for _, tt := range []struct {
		name, source string
		want         []string
	}{
		{"a call", "import \"time\"\nvar t = time.Now()", []string{"x.go:3: time.Now"}},
		{"as a value", "import \"time\"\nvar now = time.Now", []string{"x.go:3: time.Now"}},
		{"by way of a difference", "import \"time\"\nvar d, e = time.Since(t), time.Until(t)", []string{"x.go:3: time.Since", "x.go:3: time.Until"}},
		{"under another name", "import clock \"time\"\nvar t = clock.Now()", []string{"x.go:3: time.Now"}},
		{"with no name", "import . \"time\"\nvar t = Now()", []string{"x.go:2: time is imported with no name"}},
		{"another package", "import \"x/time\"\nvar t = time.Now()", nil},
		{"a method", "import \"time\"\nvar t = world.Now()\nvar d time.Duration", nil},
		{"a router", "import \"net/http\"\nvar m = http.NewServeMux()", []string{"x.go:3: http.NewServeMux"}},
		{"a router of zero", "import web \"net/http\"\nvar m web.ServeMux", []string{"x.go:3: http.ServeMux"}},
		{"the router of everybody", "import \"net/http\"\nfunc f() { http.HandleFunc(\"/\", nil) }", []string{"x.go:3: http.HandleFunc"}},
		{"a comment", "import \"time\"\n// not time.Now()\nvar d time.Duration", nil},
	} {
		t.Run(tt.name, func(t *testing.T) {
			found, err := scan("x.go", []byte("package x\n"+tt.source))
			if err != nil {
				t.Fatal(err)
			}
			got := slices.Concat(found.clock, found.routers)
			if diff := cmp.Diff(tt.want, got); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
}

// read gives the packages of the module. go list says what they are; their sources say the rest, and that they are
// read here lets go test see when a cached result is stale.
func read(t *testing.T, root, module string) []goPackage {
	t.Helper()
	// go list runs outside of this process, where go test does not see what it reads: so a new folder is noticed here.
	err := filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
		if err == nil && path != root && d.IsDir() && strings.HasPrefix(d.Name(), ".") {
			return fs.SkipDir
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	command := exec.CommandContext(t.Context(), "go", "list", "-e", "-json=ImportPath,Dir", "./...")
	command.Dir = root
	out, err := command.Output()
	if err != nil {
		t.Fatal(explain(err))
	}
	var packages []goPackage
	for d := json.NewDecoder(strings.NewReader(string(out))); ; {
		var listed struct{ ImportPath, Dir string }
		if err := d.Decode(&listed); errors.Is(err, io.EOF) {
			return packages
		} else if err != nil {
			t.Fatal(err)
		}
		p := goPackage{path: strings.TrimPrefix(listed.ImportPath, module+"/")}
		files, err := os.ReadDir(listed.Dir)
		if err != nil {
			t.Fatal(err)
		}
		for _, f := range files {
			if !f.Type().IsRegular() || !strings.HasSuffix(f.Name(), ".go") {
				continue
			}
			source, err := os.ReadFile(filepath.Join(listed.Dir, f.Name()))
			if err != nil {
				t.Fatal(err)
			}
			got, err := scan(filepath.ToSlash(filepath.Join(p.path, f.Name())), source)
			if err != nil {
				t.Fatal(err)
			}
			if strings.HasSuffix(f.Name(), "_test.go") {
				p.testImports = append(p.testImports, got.imports...)
				continue
			}
			p.imports, p.clock, p.routers = append(p.imports, got.imports...), append(p.clock, got.clock...), append(p.routers, got.routers...)
			p.names = append(p.names, got.names...)
			p.sql, p.database = append(p.sql, got.sql...), append(p.database, got.database...)
		}
		slices.Sort(p.imports)
		p.imports = slices.Compact(p.imports)
		packages = append(packages, p)
	}
}

// statement is what begins SQL or a part of it, as the house writes it.
var statement = regexp.MustCompile(`\b(SELECT .* FROM|INSERT INTO|UPDATE .* SET|DELETE FROM|ORDER BY [a-z]|IS NOT NULL|shop_id = \$1)\b|[=<>] \$[0-9]`)

// catalogued says whether a text is the name of a type of event, which a file should not spell out.
func catalogued(file string, name journal.Name) bool {
	switch file {
	case "internal/journal/names.go": // where the constants are
		return false
	case "internal/analytics/figure.go": // figures are called like the types that they count
		return false
	}
	_, known := journal.Lookup(name)
	return known && !strings.HasPrefix(string(name), journal.External)
}

// watched are the names that few packages may use, by the package that has them.
var watched = map[string][]string{"time": {"Now", "Since", "Until"}, "net/http": {"NewServeMux", "ServeMux", "DefaultServeMux", "Handle", "HandleFunc"}}

// scan gives the imports of a file, and where it asks what time it is, routes requests, holds SQL, or reaches for the store's database.
func scan(name string, source []byte) (found goPackage, err error) {
	files := token.NewFileSet()
	file, err := parser.ParseFile(files, name, source, parser.SkipObjectResolution)
	if err != nil {
		return found, err
	}
	at := func(list *[]string, n ast.Node, what string) {
		*list = append(*list, fmt.Sprintf("%s:%d: %s", name, files.Position(n.Pos()).Line, what))
	}
	lists := map[string]*[]string{"time": &found.clock, "net/http": &found.routers}
	called := map[string]string{} // what the file calls a watched package
	for _, spec := range file.Imports {
		imported, err := strconv.Unquote(spec.Path.Value)
		if err != nil {
			return found, err
		}
		found.imports = append(found.imports, imported)
		switch {
		case watched[imported] == nil:
		case spec.Name == nil:
			called[path.Base(imported)] = imported
		case spec.Name.Name == ".":
			at(lists[imported], spec, imported+" is imported with no name")
		default:
			called[spec.Name.Name] = imported
		}
	}
	keys := map[ast.Expr]bool{}
	ast.Inspect(file, func(n ast.Node) bool {
		switch n := n.(type) {
		case *ast.CallExpr: // a text's key may be called like a type
			if f, ok := n.Fun.(*ast.SelectorExpr); ok && f.Sel.Name == "say" && len(n.Args) > 0 {
				keys[n.Args[0]] = true
			}
		case *ast.BasicLit:
			if n.Kind == token.STRING && statement.MatchString(n.Value) {
				at(&found.sql, n, "SQL")
			}
			if text, err := strconv.Unquote(n.Value); err == nil && !keys[n] && catalogued(name, journal.Name(text)) {
				at(&found.names, n, text)
			}
		case *ast.SelectorExpr:
			of, _ := n.X.(*ast.Ident)
			if of != nil && slices.Contains(watched[called[of.Name]], n.Sel.Name) {
				at(lists[called[of.Name]], n, path.Base(called[of.Name])+"."+n.Sel.Name)
			}
			if in, _ := n.X.(*ast.SelectorExpr); n.Sel.Name == "DB" && (in != nil && (in.Sel.Name == "Store" || in.Sel.Name == "s") || of != nil && of.Name == "s") {
				at(&found.database, n, "Store.DB")
			}
		}
		return true
	})
	return found, nil
}

// goList gives the two lines of an answer of go list.
func goList(t *testing.T, args ...string) (first, second string) {
	t.Helper()
	out, err := exec.CommandContext(t.Context(), "go", append([]string{"list"}, args...)...).Output()
	if err != nil {
		t.Fatal(explain(err))
	}
	first, second, _ = strings.Cut(strings.TrimSpace(string(out)), "\n")
	return first, second
}

func explain(err error) error {
	if exit, ok := errors.AsType[*exec.ExitError](err); ok {
		return fmt.Errorf("go list: %w\n%s", err, exit.Stderr)
	}
	return err
}
