package cli

import (
	"os"
	"regexp"
	"strings"
	"testing"

	"github.com/alecthomas/kong"
)

// The table "Settings of the process" in docs/operations.md names every flag of perennial serve, with its variable and its name in the
// file, and no flag that there is not.
func TestFlagsAreDocumented(t *testing.T) {
	var c commands
	parser, err := kong.New(&c, kong.Name("perennial"))
	if err != nil {
		t.Fatal(err)
	}
	doc, err := os.ReadFile("../../docs/operations.md")
	if err != nil {
		t.Fatal(err)
	}
	_, table, _ := strings.Cut(string(doc), "\n## Settings of the process\n")
	table, _, _ = strings.Cut(table, "\n## ")
	every := map[string]bool{}
	serve := map[string]*kong.Flag{}
	var collect func(n *kong.Node)
	collect = func(n *kong.Node) {
		for _, f := range n.Flags {
			every[f.Name] = true
			if n.Name == "serve" || n.Parent == nil {
				serve[f.Name] = f
			}
		}
		for _, child := range n.Children {
			collect(child)
		}
	}
	collect(parser.Model.Node)
	for name, f := range serve {
		if name != "help" && !f.Hidden && !regexp.MustCompile("--"+name+`\b`).Match(doc) {
			t.Errorf("docs/operations.md does not explain --%s of perennial serve", name)
		}
	}
	for line := range strings.SplitSeq(table, "\n") {
		if !strings.HasPrefix(line, "| `--") {
			continue
		}
		cells := strings.Split(line, "|")
		variables := regexp.MustCompile("`(PERENNIAL_[A-Z_]+)`").FindAllStringSubmatch(cells[2], -1)
		for i, name := range regexp.MustCompile(`--([a-z-]+)`).FindAllStringSubmatch(cells[1], -1) {
			switch f := serve[name[1]]; {
			case f == nil:
				t.Errorf("docs/operations.md explains --%s, which perennial serve does not take", name[1])
			case i < len(variables) && (len(f.Envs) == 0 || f.Envs[0] != variables[i][1]):
				t.Errorf("docs/operations.md calls the variable of --%s %s; it is %v", name[1], variables[i][1], f.Envs)
			}
		}
	}
	for _, named := range regexp.MustCompile("(?:^|[ `(])--([a-z][a-z-]+)").FindAllStringSubmatch(string(doc), -1) {
		if !every[named[1]] {
			t.Errorf("docs/operations.md names --%s, which no command takes", named[1])
		}
	}
}
