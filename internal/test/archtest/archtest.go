// Package archtest holds the project to its own architecture: which package may import which, who may ask the clock or route requests, and
// where a foreign module may be used. The rules are one table, in rules.go; the test reads the graph of imports with
// go list and those calls from the sources, and fails with a sentence for each arrow that runs the wrong way.
//
// The rules are for the program's own code. Test files may import what they need. A package that has no line in the
// table is refused: where it stands is decided when it is made.
package archtest

import (
	"cmp"
	"fmt"
	"path"
	"slices"
	"strings"
)

// layer is packages of one height and what holds for them. Lists are separated by spaces; paths of our own packages are
// inside the module.
type layer struct {
	name     string
	packages string
	ordered  bool   // each of the packages may import those that are named before it; otherwise they do not know each other
	may      string // lower layers, by name, or packages, that they may import
	outside  string // modules that they may import beside the standard library
	never    string // packages, ours or of the standard library, that they never import, whatever the rest says
	clock    bool   // they may ask what time it is
}

// goPackage is one package, as far as the rules look at it.
type goPackage struct {
	path        string // inside the module: "internal/id"
	imports     []string
	testImports []string // of its test files; no rule of the layers is about them
	clock       []string // where it asks what time it is: "internal/x/x.go:12: time.Now"
	sql         []string // where it holds SQL
	database    []string // where it reaches for the store's database
	names       []string // where it writes the name of a type of event as text
	routers     []string // where it routes requests past the table of routes: "internal/x/x.go:12: http.NewServeMux"
}

// rules are layers, lowest first, and what else the checker wants to know.
type rules struct {
	module        string // its path
	layers        []layer
	homes         map[string]string // where alone a module may be imported
	empty         []string          // names that no package may have
	sql, database string            // packages that may hold SQL, that may reach for the store's database
	routes        string            // the one package that routes requests
}

// check gives a sentence for each rule that is broken, sorted.
func (r rules) check(packages []goPackage) []string {
	var broken []string
	complain := func(format string, args ...any) { broken = append(broken, fmt.Sprintf(format, args...)) }
	for _, p := range packages {
		for element := range strings.SplitSeq(p.path, "/") {
			if slices.Contains(r.empty, element) {
				complain("%s: the name %s does not say what is in it", p.path, element)
			}
		}
		if ofTests(p.path) {
			continue
		}
		height := r.height(p.path)
		if height < 0 {
			complain("%s has no line in the table of layers (internal/test/archtest/rules.go)", p.path)
			continue
		}
		if !r.layers[height].clock {
			for _, at := range p.clock {
				complain("%s: time is an argument below the server", at)
			}
		}
		for _, at := range p.sql {
			if !has(r.sql, p.path) {
				complain("%s: lists are asked for by package query", at)
			}
		}
		for _, at := range p.names {
			complain("%s: the catalogue has a constant for it", at)
		}
		for _, at := range p.database {
			if !has(r.database, p.path) {
				complain("%s: the store's database is for the packages that make up its tables", at)
			}
		}
		if p.path != r.routes {
			for _, at := range p.routers {
				complain("%s: routes are registered in the table of %s", at, r.routes)
			}
		}
		for _, imported := range p.imports {
			if why := r.refuse(p.path, height, imported); why != "" {
				complain("%s imports %s: %s", p.path, imported, why)
			}
		}
	}
	slices.Sort(broken)
	return broken
}

// refuse says why a package of a height may not import another, or nothing.
func (r rules) refuse(from string, height int, imported string) string {
	l := r.layers[height]
	own, ours := strings.CutPrefix(imported, r.module+"/")
	if has(l.never, own) {
		return l.name + " never does"
	}
	if !ours {
		return r.refuseModule(from, l, imported)
	}
	if ofTests(own) {
		return "it is for tests"
	}
	to := r.height(own)
	switch {
	case to < 0:
		return "it has no line in the table of layers"
	case to > height:
		return fmt.Sprintf("%s is above %s", r.layers[to].name, l.name)
	case to < height:
		if l.may != "*" && !has(l.may, own) && !slices.Contains(strings.Fields(l.may), r.layers[to].name) {
			return fmt.Sprintf("%s may import only: %s", l.name, l.may)
		}
		return ""
	}
	place := func(pkg string) int {
		return slices.IndexFunc(strings.Fields(l.packages), func(pattern string) bool { return match(pattern, pkg) })
	}
	if a, b := place(from), place(own); a == b || l.ordered && b < a { // the same place: below one /...
		return ""
	}
	return "they stand side by side in " + l.name
}

func (r rules) refuseModule(from string, l layer, imported string) string {
	if !foreign(imported) {
		return ""
	}
	for module, homes := range r.homes {
		if match(module+"/...", imported) && !has(homes, from) {
			return "its place is " + cmp.Or(homes, "in tests")
		}
	}
	if l.outside == "*" || slices.ContainsFunc(strings.Fields(l.outside), func(m string) bool { return match(m+"/...", imported) }) {
		return ""
	}
	return fmt.Sprintf("%s may import of other modules only: %s", l.name, cmp.Or(l.outside, "nothing"))
}

// height is the index of a package's layer, -1 if it has none.
func (r rules) height(pkg string) int {
	return slices.IndexFunc(r.layers, func(l layer) bool { return has(l.packages, pkg) })
}

// foreign says whether an import is of a module; a path of the standard library has no dot in its first element.
func foreign(imported string) bool {
	first, _, _ := strings.Cut(imported, "/")
	return strings.Contains(first, ".")
}

func has(patterns, pkg string) bool {
	return slices.ContainsFunc(strings.Fields(patterns), func(pattern string) bool { return match(pattern, pkg) })
}

func match(pattern, pkg string) bool {
	root, below := strings.CutSuffix(pattern, "/...")
	return pkg == root || below && strings.HasPrefix(pkg, root+"/")
}

// ofTests says whether a package is there for tests alone: those below internal/test, and x/xtest beside x.
func ofTests(pkg string) bool {
	parent, name := path.Split(pkg)
	return match("internal/test/...", pkg) || name == path.Base(parent)+"test"
}
