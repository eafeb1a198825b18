package faulttest

import (
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

var update = flag.Bool("update", false, "write docs/errors.md")

const root = "../../.."

// TestCodes wants a code for every refusal of a field that takes the same arguments wherever it is used, which its sentence names, and
// compares docs/errors.md.
func TestCodes(t *testing.T) {
	list, err := Read(root)
	if err != nil {
		t.Fatal(err)
	}
	for _, r := range list {
		if !snake.MatchString(strings.TrimSuffix(strings.TrimSuffix(r.Code, "…"), "_")) {
			t.Errorf("%s: %q is no code", r.At, r.Code)
		}
		for _, a := range places(r.Sentence) {
			if !slices.Contains(r.Args, a) && r.Sentence != "" && !strings.Contains(r.Sentence, "{{"+a) {
				t.Errorf("%s: the sentence of %s names %s, which has no value", r.At, r.Code, a)
			}
		}
	}
	for _, field := range []bool{true, false} {
		for _, c := range Codes(list, field) {
			for _, p := range c.Places {
				if args := each(slices.Clone(p.Args)); (field || len(args) > 0) && !slices.Equal(args, c.Args) {
					t.Errorf("%s: %s has the arguments %q, elsewhere %q", p.At, c.Name, args, c.Args)
				}
			}
		}
	}
	checkDoc(t, list)
}

func checkDoc(t *testing.T, list []Refusal) {
	t.Helper()
	var b strings.Builder
	b.WriteString(`# Codes of refusals

Made from the sources by ` + "`go test ./internal/fault/faulttest -update`" + `; do not edit.

A refusal of the REST API, and of a command, has a ` + "`code`" + `; each wrong field in ` + "`errors`" + ` has one too. Codes stay the same, sentences may change. ` + "`args`" + ` holds what the sentence
names, as text: numbers in decimal, dates as 2027-03-01. A code has the same arguments wherever it is used.

## Of a field

The request is answered with 422 and the code ` + "`fields_refused`" + `.

| code | arguments | sentences |
|---|---|---|
`)
	for _, c := range Codes(list, true) {
		fmt.Fprintf(&b, "| `%s` | %s | %s |\n", c.Name, quoted(c.Args), cell(c.Sentence))
	}
	b.WriteString("\n## Of a request\n\n| code | kind | arguments | sentences |\n|---|---|---|---|\n")
	for _, c := range Codes(list, false) {
		fmt.Fprintf(&b, "| `%s` | %s | %s | %s |\n", c.Name, strings.Join(c.Kinds, ", "), quoted(c.Args), cell(c.Sentence))
	}
	path := filepath.Join(root, "docs/errors.md")
	if *update {
		if err := os.WriteFile(path, []byte(b.String()), 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	if have, err := os.ReadFile(path); err != nil || string(have) != b.String() {
		t.Errorf("docs/errors.md is not what the sources say: go test ./internal/fault/faulttest -update (%v)", err)
	}
}

func quoted(list []string) string {
	var out []string
	for _, s := range list {
		out = append(out, "`"+s+"`")
	}
	return strings.Join(out, ", ")
}

// cell leaves out of a format what only its values say.
func cell(sentences []string) string {
	var out []string
	for _, s := range sentences {
		for _, verb := range []string{"%d", "%s", "%q", "%v"} {
			s = strings.ReplaceAll(s, verb, "…")
		}
		if s != "…" {
			out = append(out, strings.ReplaceAll(s, "|", `\|`))
		}
	}
	return strings.Join(out, " / ")
}
