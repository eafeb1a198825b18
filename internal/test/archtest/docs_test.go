package archtest

import (
	"go/ast"
	"os"
	"path"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// What a page of docs/ names as code is there: `package.Name` is declared in that package, `Type.Method` by some type, a path is a file.
func TestNamesInTheDocsExist(t *testing.T) {
	root, _ := goList(t, "-m", "-f", "{{.Dir}}\n{{.Path}}")
	declared := map[string]map[string]bool{} // names by package
	anywhere := map[string]bool{}
	for _, folder := range []string{"internal", "verify", "cmd"} {
		for _, f := range sources(t, folder) {
			if declared[f.Name.Name] == nil {
				declared[f.Name.Name] = map[string]bool{}
			}
			ast.Inspect(f.File, func(n ast.Node) bool {
				if name, ok := n.(*ast.Ident); ok {
					declared[f.Name.Name][name.Name], anywhere[name.Name] = true, true
				}
				return true
			})
		}
	}
	code := regexp.MustCompile("`([^`\n]+)`")
	fences := regexp.MustCompile("(?s)```.*?```")
	selector := regexp.MustCompile(`^(\w+)\.([A-Za-z]\w*)(\(.*\))?$`)
	file := regexp.MustCompile(`^[\w-]+(/[\w.-]+)*/[\w-]+\.(go|txt|md|sql|golden|templ|js|css|sh|service|timer|yaml)$`)
	pages, err := filepath.Glob(filepath.Join(root, "docs", "*.md"))
	if err != nil {
		t.Fatal(err)
	}
	more, err := filepath.Glob(filepath.Join(root, "docs", "adr", "*.md"))
	if err != nil {
		t.Fatal(err)
	}
	for _, page := range append(append(pages, more...), filepath.Join(root, "CONTRIBUTING.md")) {
		text, err := os.ReadFile(page)
		if err != nil {
			t.Fatal(err)
		}
		for _, m := range code.FindAllStringSubmatch(fences.ReplaceAllString(string(text), ""), -1) {
			named := m[1]
			switch s := selector.FindStringSubmatch(named); {
			case s != nil && declared[s[1]] != nil && s[1] != "event": // "event" is a table and a package of templates
				if !declared[s[1]][s[2]] && !isFile(root, named) && !eventType(named) {
					t.Errorf("%s names %s: the package has nothing of that name", filepath.Base(page), named)
				}
			case s != nil && anywhere[s[1]] && s[1] == strings.ToUpper(s[1][:1])+s[1][1:]:
				if !anywhere[s[2]] {
					t.Errorf("%s names %s, which nothing has", filepath.Base(page), named)
				}
			case file.MatchString(named) && !isFile(root, named) && !strings.HasPrefix(named, "keys/"): // of an exported journal
				t.Errorf("%s names %s, which is no file", filepath.Base(page), named)
			}
		}
	}
}

// eventType says whether a name is that of a type of event, such as settings.updated: its second part begins with a small letter.
func eventType(name string) bool {
	_, second, _ := strings.Cut(name, ".")
	return second == strings.ToLower(second)
}

// isFile says whether a path, from the root or from internal, or the end of one, is a file of the repository.
func isFile(root, name string) bool {
	for _, at := range []string{"", "internal", "internal/web", "internal/test", "docs"} {
		if _, err := os.Stat(filepath.Join(root, at, name)); err == nil {
			return true
		}
	}
	found, err := filepath.Glob(filepath.Join(root, "internal", "*", path.Base(name)))
	return err == nil && len(found) > 0 && !strings.Contains(name, "/")
}
