package archtest

import (
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// source is a parsed file of the program, without tests.
type source struct {
	path string // inside the module
	*ast.File
}

// sources parses the program below a folder of the module.
func sources(t *testing.T, below string) (out []source) {
	t.Helper()
	root, _ := goList(t, "-m", "-f", "{{.Dir}}\n{{.Path}}")
	files := token.NewFileSet()
	err := filepath.WalkDir(filepath.Join(root, below), func(file string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() || !strings.HasSuffix(file, ".go") || strings.HasSuffix(file, "_test.go") {
			return err
		}
		parsed, err := parser.ParseFile(files, file, nil, parser.SkipObjectResolution)
		if err != nil {
			return err
		}
		inside, err := filepath.Rel(root, file)
		out = append(out, source{filepath.ToSlash(inside), parsed})
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return out
}

// selectors are the names that files select of something, such as Permission of team.Permission, with the files that do.
func selectors(files []source, except func(path string) bool) map[string]bool {
	found := map[string]bool{}
	for _, f := range files {
		if except(f.path) {
			continue
		}
		ast.Inspect(f.File, func(n ast.Node) bool {
			if s, ok := n.(*ast.SelectorExpr); ok {
				found[s.Sel.Name] = true
				if of, ok := s.X.(*ast.Ident); ok {
					found[of.Name+"."+s.Sel.Name] = true
				}
			}
			return true
		})
	}
	return found
}

// structs gives the exported fields of the structs of a package, by type.
func structs(files []source) map[string][]string {
	out := map[string][]string{}
	for _, f := range files {
		ast.Inspect(f.File, func(n ast.Node) bool {
			typ, ok := n.(*ast.TypeSpec)
			if !ok {
				return true
			}
			if s, ok := typ.Type.(*ast.StructType); ok {
				for _, field := range s.Fields.List {
					for _, name := range field.Names {
						if name.IsExported() {
							out[typ.Name.Name] = append(out[typ.Name.Name], name.Name)
						}
					}
				}
			}
			return false
		})
	}
	return out
}

// A permission that nothing asks for is a box that people tick for nothing.
func TestEveryPermissionIsAsked(t *testing.T) {
	asked := selectors(sources(t, "internal"), func(path string) bool { return strings.HasPrefix(path, "internal/team/") })
	constants := 0
	for _, f := range sources(t, "internal/team") {
		for _, d := range f.Decls {
			group, ok := d.(*ast.GenDecl)
			if !ok || group.Tok != token.CONST {
				continue
			}
			for _, spec := range group.Specs {
				c := spec.(*ast.ValueSpec)
				if of, ok := c.Type.(*ast.Ident); !ok || of.Name != "Permission" {
					continue
				}
				constants++
				if !asked["team."+c.Names[0].Name] {
					t.Errorf("no route and no action asks for team.%s", c.Names[0].Name)
				}
			}
		}
	}
	if constants < 20 {
		t.Errorf("only %d permissions were found: this test looks in the wrong place", constants)
	}
}

// A setting that nothing reads changes nothing. What shows and saves the pages of settings does not count.
func TestEverySettingIsRead(t *testing.T) {
	pages := []string{"General", "Billing", "Recovery", "RecoveryPhase", "Shipping", "Portal", "Log", "CancelFlow"}
	read := selectors(sources(t, "internal"), func(path string) bool {
		switch path {
		case "internal/settings/document.go", "internal/settings/update.go", "internal/api/settings.go", "internal/web/dashboard/settings.go":
			return true
		}
		return strings.HasSuffix(path, "/settings_templ.go")
	})
	types := structs(sources(t, "internal/settings"))
	for _, page := range pages {
		if len(types[page]) == 0 {
			t.Errorf("there is no page of settings %s any more", page)
		}
		for _, field := range types[page] {
			if !read[field] {
				t.Errorf("settings.%s.%s: nothing reads it", page, field)
			}
		}
	}
}

// A filter that no query uses leaves nothing out, and one that no face sets cannot be asked for.
func TestEveryFilterIsUsed(t *testing.T) {
	files := sources(t, "internal/query")
	types, filters := structs(files), 0
	set := map[string]bool{} // "Subscriptions.Status", from literals of query.Subscriptions, or "Status" by assignment
	for _, f := range sources(t, "internal") {
		ast.Inspect(f.File, func(n ast.Node) bool {
			switch n := n.(type) {
			case *ast.CompositeLit:
				typ, ok := n.Type.(*ast.SelectorExpr)
				if !ok {
					return true
				}
				for _, e := range n.Elts {
					if kv, ok := e.(*ast.KeyValueExpr); ok {
						if key, ok := kv.Key.(*ast.Ident); ok {
							set[typ.Sel.Name+"."+key.Name] = true
						}
					}
				}
			case *ast.AssignStmt:
				for _, left := range n.Lhs {
					if s, ok := left.(*ast.SelectorExpr); ok {
						set[s.Sel.Name] = true
					}
				}
			}
			return true
		})
	}
	for _, f := range files {
		for _, d := range f.Decls {
			where, ok := d.(*ast.FuncDecl)
			if !ok || where.Recv == nil || where.Name.Name != "Where" {
				continue
			}
			filters++
			of := where.Recv.List[0]
			used := selectors([]source{{f.path, &ast.File{Name: f.Name, Decls: []ast.Decl{where}}}}, func(string) bool { return false })
			typ := of.Type.(*ast.Ident).Name
			for _, field := range types[typ] {
				if !used[of.Names[0].Name+"."+field] {
					t.Errorf("query.%s.%s: no query uses it", typ, field)
				}
				if !set[typ+"."+field] && !set[field] {
					t.Errorf("query.%s.%s: no face sets it", typ, field)
				}
			}
		}
	}
	if filters < 2 {
		t.Errorf("only %d sets of filters were found: this test looks in the wrong place", filters)
	}
}

// A row of the table that no package stands in promises a room that is not there.
func TestEveryRowHasAPackage(t *testing.T) {
	root, module := goList(t, "-m", "-f", "{{.Dir}}\n{{.Path}}")
	packages := read(t, root, module)
	stands := func(pattern string) bool {
		return slices.ContainsFunc(packages, func(p goPackage) bool { return match(pattern, p.path) })
	}
	lists := []string{sqlPlaces, databasePlaces}
	for _, l := range layers {
		lists = append(lists, l.packages)
	}
	for _, home := range homes {
		lists = append(lists, home)
	}
	for _, list := range lists {
		for pattern := range strings.FieldsSeq(list) {
			if !stands(pattern) && pattern != "client" { // it is being built
				t.Errorf("%s is in rules.go, and no package stands there", pattern)
			}
		}
	}
}

// Where engines differ is a short list; whatever else needs to know gets a method of the store.
func TestWhereEnginesDiffer(t *testing.T) {
	differs := map[string]bool{}
	for _, f := range sources(t, "internal") {
		pkg := path.Dir(f.path)
		if ofTests(pkg) {
			continue
		}
		if used := selectors([]source{f}, func(string) bool { return false }); used["db.Postgres"] || used["db.SQLite"] || pkg == "internal/db" {
			differs[pkg] = true
			if !has(enginePlaces, pkg) {
				t.Errorf("%s asks which engine it runs on", f.path)
			}
		}
	}
	for pkg := range strings.FieldsSeq(enginePlaces) {
		if !differs[pkg] {
			t.Errorf("%s no longer asks which engine it runs on: take it from enginePlaces", pkg)
		}
	}
}
