// Package faulttest reads from the sources of this program what it refuses: every code with its sentences and arguments. docs/errors.md is
// made of it, and tests hold the Portal's words against it.
package faulttest

import (
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
)

// Refusal is a place that refuses something.
type Refusal struct {
	Code     string // one that ends with … has many ends, such as status_…
	Field    bool   // of one field of a request, not of all of it
	Kind     string // of a fault.Error, as the constant is called; empty when its caller says
	Sentence string // what stands there as a literal
	Args     []string
	Package  string // its folder below the module
	At       string // file:line
}

// Read reads every package below the module's root but tests and generated files. A place whose code it cannot read is an error.
func Read(root string) ([]Refusal, error) {
	var out []Refusal
	var unread []string
	constantsOf := map[string]map[string]string{}
	err := filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case d.IsDir() && (strings.HasPrefix(d.Name(), ".") && path != root ||
			slices.Contains([]string{"test", "testdata", "journaltest", "tools"}, d.Name())):
			return fs.SkipDir
		case d.IsDir() || !strings.HasSuffix(path, ".go") || strings.HasSuffix(path, "_test.go") || strings.HasSuffix(path, "_templ.go"):
			return nil
		}
		src, err := os.ReadFile(path)
		if err != nil || !strings.Contains(string(src), "fault.") {
			return err
		}
		fset := token.NewFileSet()
		file, err := parser.ParseFile(fset, path, src, parser.SkipObjectResolution)
		if err != nil {
			return err
		}
		name, err := filepath.Rel(root, path)
		if err != nil {
			return err
		}
		folder := filepath.Dir(path)
		if constantsOf[folder] == nil {
			if constantsOf[folder], err = constants(folder); err != nil {
				return err
			}
		}
		f := &reader{fset: fset, name: filepath.ToSlash(name), constants: constantsOf[folder]}
		ast.Inspect(file, f.node)
		out = append(out, f.out...)
		unread = append(unread, f.unread...)
		return nil
	})
	if err == nil && len(unread) > 0 {
		err = fmt.Errorf("no code can be read at %s: give it as a literal, or name the helper no, refused or refusals",
			strings.Join(unread, ", "))
	}
	return out, err
}

type reader struct {
	fset      *token.FileSet
	name      string
	constants map[string]string
	args      map[ast.Node][]string // of With, by the call that it follows
	out       []Refusal
	unread    []string
}

// helpers take a code and a sentence, and make a refusal of them.
var helpers = []string{"no", "refused"}

func (f *reader) node(n ast.Node) bool {
	switch n := n.(type) {
	case *ast.CallExpr:
		f.call(n)
	case *ast.ValueSpec: // a table of refusals, or of what a framework's words become
		if name := n.Names[0].Name; name == "refusals" || name == "said" {
			ast.Inspect(n, func(row ast.Node) bool {
				if c, ok := row.(*ast.CompositeLit); ok {
					f.row(c, name == "said")
				}
				return true
			})
		}
	}
	return true
}

func (f *reader) row(c *ast.CompositeLit, field bool) {
	for i := 0; i+1 < len(c.Elts); i++ {
		code, sentence := literal(c.Elts[i]), literal(c.Elts[i+1])
		if snake.MatchString(code) && strings.Contains(sentence, " ") {
			f.add(c, Refusal{Code: code, Field: field, Sentence: sentence, Args: places(sentence)})
		}
	}
}

func (f *reader) call(c *ast.CallExpr) {
	name, of := callee(c)
	switch {
	case name == "With" && len(c.Args)%2 == 0:
		if inner, ok := c.Fun.(*ast.SelectorExpr).X.(*ast.CallExpr); ok {
			if f.args == nil {
				f.args = map[ast.Node][]string{}
			}
			f.args[inner] = append(names(c.Args), f.args[c]...)
		}
	case of == "fault" && (name == "New" || name == "Wrap"):
		rest := c.Args[strings.Index("NW", name[:1]):]
		f.fault(c, kind(rest[0]), rest[1], rest[2])
	case of == "fault" && name == "Because":
		f.field(c, c.Args)
	case name == "Add" && len(c.Args) >= 3 && literal(c.Args[2]) != "" && snake.MatchString(literal(c.Args[1])):
		f.field(c, c.Args[1:])
	case name == "Add" && len(c.Args) == 2 && strings.HasPrefix(literal(c.Args[0]), "/") && !strings.HasSuffix(literal(c.Args[0]), "/"):
		f.unread = append(f.unread, f.at(c))
	case of == "" && slices.Contains(helpers, name) && len(c.Args) >= 2:
		if len(c.Args) >= 3 && (literal(c.Args[0]) == "" || strings.HasPrefix(literal(c.Args[0]), "/")) { // of a field, behind its pointer
			f.field(c, c.Args[1:])
		} else if snake.MatchString(literal(c.Args[0])) {
			f.fault(c, "", c.Args[0], c.Args[1])
		}
	}
}

func (f *reader) fault(c *ast.CallExpr, kind string, code, sentence ast.Expr) {
	r := Refusal{Kind: kind, Sentence: literal(sentence), Args: f.args[c]}
	switch x := code.(type) {
	case *ast.BasicLit:
		r.Code = literal(x)
	case *ast.BinaryExpr:
		r.Code = literal(x.X) + "…"
	case *ast.Ident:
		r.Code = f.constants[x.Name]
		if r.Code == "" && (x.Name == "code") { // in a helper, whose callers say it
			return
		}
	case *ast.SelectorExpr: // a row's: the table is read
		if x.Sel.Name == "code" || x.Sel.Name == "Code" {
			return
		}
	}
	if r.Code == "" || r.Code == "…" {
		f.unread = append(f.unread, f.at(c))
		return
	}
	f.add(c, r)
}

func (f *reader) field(c *ast.CallExpr, args []ast.Expr) {
	r := Refusal{Field: true, Code: literal(args[0]), Sentence: literal(args[1]), Args: names(args[2:])}
	if r.Code == "" {
		if x, ok := args[0].(*ast.Ident); ok && x.Name == "code" {
			return
		}
		if x, ok := args[0].(*ast.SelectorExpr); ok && x.Sel.Name == "code" {
			return
		}
		f.unread = append(f.unread, f.at(c))
		return
	}
	f.add(c, r)
}

func (f *reader) add(n ast.Node, r Refusal) {
	r.Package, r.At = filepath.ToSlash(filepath.Dir(f.name)), f.at(n)
	f.out = append(f.out, r)
}

func (f *reader) at(n ast.Node) string {
	return fmt.Sprintf("%s:%d", f.name, f.fset.Position(n.Pos()).Line)
}

var snake = regexp.MustCompile(`^[a-z][a-z0-9]*(_[a-z0-9]+)*$`)

// callee gives the name of what is called, and of the package or value that it is called on.
func callee(c *ast.CallExpr) (name, of string) {
	switch x := c.Fun.(type) {
	case *ast.Ident:
		return x.Name, ""
	case *ast.SelectorExpr:
		of = "?"
		if p, ok := x.X.(*ast.Ident); ok {
			of = p.Name
		}
		return x.Sel.Name, of
	}
	return "", "?"
}

func literal(x ast.Expr) string {
	switch x := x.(type) {
	case *ast.BasicLit:
		if s, err := strconv.Unquote(x.Value); err == nil && x.Kind == token.STRING {
			return s
		}
	case *ast.BinaryExpr: // literals and what stands between them
		left, right := literal(x.X), literal(x.Y)
		if left != "" || right != "" {
			return left + right
		}
	}
	return ""
}

// names are those of pairs.
func names(pairs []ast.Expr) []string {
	var out []string
	for i := 0; i+1 < len(pairs); i += 2 {
		out = append(out, literal(pairs[i]))
	}
	return out
}

var place = regexp.MustCompile(`\{([a-z_]+)\}`)

// places are the arguments that a sentence names.
func places(sentence string) []string {
	var out []string
	for _, m := range place.FindAllStringSubmatch(sentence, -1) {
		out = append(out, m[1])
	}
	return out
}

func kind(x ast.Expr) string {
	if s, ok := x.(*ast.SelectorExpr); ok {
		return s.Sel.Name
	}
	return ""
}

// code matches a constant of a package that is a code.
var code = regexp.MustCompile(`(?m)^(?:const )?\t?(code[A-Z]\w*|\w+Code) += "([a-z_0-9]+)"`)

// constants are those of a package that hold codes.
func constants(folder string) (map[string]string, error) {
	out := map[string]string{}
	files, err := filepath.Glob(filepath.Join(folder, "*.go"))
	for _, name := range files {
		src, err := os.ReadFile(name)
		if err != nil {
			return nil, err
		}
		for _, m := range code.FindAllStringSubmatch(string(src), -1) {
			out[m[1]] = m[2]
		}
	}
	return out, err
}

// Code is a code with all the places that use it.
type Code struct {
	Name     string
	Places   []Refusal
	Args     []string // in the order of their names
	Kinds    []string
	Sentence []string // each once
}

// Codes gathers the refusals of whole requests, or those of fields, by their code.
func Codes(list []Refusal, field bool) []Code {
	by := map[string]*Code{}
	for _, r := range list {
		if r.Field != field {
			continue
		}
		c := by[r.Code]
		if c == nil {
			c = &Code{Name: r.Code}
			by[r.Code] = c
		}
		c.Places = append(c.Places, r)
		c.Args = append(c.Args, r.Args...)
		c.Kinds = append(c.Kinds, r.Kind)
		c.Sentence = append(c.Sentence, r.Sentence)
	}
	var out []Code
	for _, name := range slices.Sorted(maps.Keys(by)) {
		c := by[name]
		c.Args, c.Kinds, c.Sentence = each(c.Args), each(c.Kinds), each(c.Sentence)
		out = append(out, *c)
	}
	return out
}

func each(list []string) []string {
	list = slices.DeleteFunc(list, func(s string) bool { return s == "" })
	slices.Sort(list)
	return slices.Compact(list)
}
