package program_test

import (
	"flag"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"os"
	"path/filepath"
	"reflect"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"perennial/internal/civil"
	"perennial/internal/id"
	"perennial/internal/journal"
	"perennial/internal/kinds"
	"perennial/internal/money"
	"perennial/internal/settings"
	"perennial/internal/store"
)

var updateFormat = flag.Bool("update-format", false, "write the lists of docs/journal-format.md anew")

// TestTheFieldsOfTheFormat makes the lists of docs/journal-format.md from the program's own types: kinds, fields with their forms and
// which can be null, keyed lists; and holds columns and scopes of reservations to what the page says of them.
func TestTheFieldsOfTheFormat(t *testing.T) {
	const file = "../../docs/journal-format.md"
	b, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	doc := string(b)
	var observed []string
	for _, k := range journal.Observed {
		observed = append(observed, "`"+string(k)+"`")
	}
	var table strings.Builder
	table.WriteString("| kind | fields |\n|---|---|\n")
	row := func(name string, s journal.State) {
		_, personal := journal.Fields(s)
		fmt.Fprintf(&table, "| %s | %s |\n", name, strings.Join(fieldsOf(reflect.TypeOf(s).Elem(), personal), ", "))
	}
	for _, m := range kinds.Mappings() {
		if !store.HasState(m.Kind) {
			t.Errorf("%s has a mapping and no table", m.Kind)
		}
		if m.Kind == journal.Settings {
			for _, page := range []id.ID{settings.PageGeneral, settings.PageBilling, settings.PageRecovery, settings.PageShipping, settings.PagePortal, settings.PageLog, settings.PageCancelFlow} {
				row("`settings` (`"+string(page)+"`)", m.Fresh(page))
			}
		} else {
			row("`"+string(m.Kind)+"`", m.Fresh("x"))
		}
		_, states, _ := strings.Cut(doc, "### States")
		states, _, _ = strings.Cut(states, "\n## ")
		for _, c := range m.Columns {
			if !strings.Contains(states, "`"+c+"`") {
				t.Errorf("the page does not say what the column %s of %s holds", c, m.Kind)
			}
		}
	}
	want := doc
	for name, text := range map[string]string{"observed": strings.Join(observed, ", "), "fields": "\n" + table.String()} {
		place := regexp.MustCompile(`(?s)(<!-- ` + name + ` -->).*?(<!-- /` + name + ` -->)`)
		if !place.MatchString(want) {
			t.Fatalf("the page has no place for %s", name)
		}
		want = place.ReplaceAllString(want, "${1}"+strings.ReplaceAll(text, "$", "$$")+"${2}")
	}
	switch {
	case want == doc:
	case *updateFormat:
		if err := os.WriteFile(file, []byte(want), 0o644); err != nil {
			t.Fatal(err)
		}
	default:
		t.Error("docs/journal-format.md has other kinds or fields: run with -update-format, and say in the page what is new")
	}
	for _, scope := range scopes(t) {
		if !strings.Contains(doc, "`"+scope+"`") {
			t.Errorf("the page does not name the scope %s of a reservation", scope)
		}
	}
}

// fieldsOf describes the fields of a state.
func fieldsOf(t reflect.Type, personal map[string]bool) (out []string) {
	for f := range t.Fields() {
		name, _, _ := strings.Cut(f.Tag.Get("json"), ",")
		if !f.IsExported() || name == "" || name == "-" {
			continue
		}
		words := []string{}
		typ := f.Type
		if personal[name] {
			typ = typ.Field(0).Type
			words = append(words, "personal")
		}
		null := typ.Kind() == reflect.Pointer
		if null {
			typ = typ.Elem()
		}
		form := formOf(typ)
		if key, ok := strings.CutPrefix(f.Tag.Get("journal"), "key="); ok {
			form = "list by `" + key + "`"
		}
		words = append([]string{form}, words...)
		if null {
			words = append(words, "null")
		}
		out = append(out, "`"+name+"` "+strings.Join(words, " "))
	}
	return out
}

// formOf names the form of a value in JSON.
func formOf(t reflect.Type) string {
	switch t {
	case reflect.TypeFor[money.Amount]():
		return "money"
	case reflect.TypeFor[civil.Date]():
		return "day"
	case reflect.TypeFor[journal.Time]():
		return "time"
	}
	switch t.Kind() {
	case reflect.String:
		return "text"
	case reflect.Bool:
		return "boolean"
	case reflect.Slice, reflect.Array:
		return "list"
	case reflect.Struct, reflect.Map:
		return "object"
	case reflect.Int, reflect.Int32, reflect.Int64, reflect.Float64:
		return "number"
	}
	return t.Kind().String()
}

// scopes are the values of all constants of the program whose name begins with Scope.
func scopes(t *testing.T) (out []string) {
	files, err := filepath.Glob("../*/*.go")
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range files {
		src, err := os.ReadFile(name)
		if err != nil || !strings.Contains(string(src), "Scope") {
			continue
		}
		f, err := parser.ParseFile(token.NewFileSet(), name, src, 0)
		if err != nil {
			t.Fatal(err)
		}
		ast.Inspect(f, func(n ast.Node) bool {
			if v, ok := n.(*ast.ValueSpec); ok && len(v.Values) == 1 && strings.HasPrefix(v.Names[0].Name, "Scope") {
				if l, ok := v.Values[0].(*ast.BasicLit); ok && l.Kind == token.STRING {
					s, _ := strconv.Unquote(l.Value) // the parser took it
					out = append(out, s)
				}
			}
			return true
		})
	}
	if slices.Sort(out); len(out) < 4 {
		t.Fatalf("only the scopes %q were found", out)
	}
	return out
}
