package archtest

import (
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"
)

// Each list of CONTRIBUTING.md has as many files as it says, and they are there.
func TestContributingCountsItsFiles(t *testing.T) {
	root, _ := goList(t, "-m", "-f", "{{.Dir}}\n{{.Path}}")
	text, err := os.ReadFile(filepath.Join(root, "CONTRIBUTING.md"))
	if err != nil {
		t.Fatal(err)
	}
	sections := strings.Split(string(text), "\n## Add ")[1:]
	if len(sections) < 7 {
		t.Errorf("only %d lists", len(sections))
	}
	count, named := regexp.MustCompile(`(\d+) files`), regexp.MustCompile("`(internal/[^`]+)`")
	for _, s := range sections {
		title, rest, _ := strings.Cut(s, "\n")
		said := count.FindStringSubmatch(rest)
		if said == nil {
			t.Errorf("Add %s: it does not say how many files", title)
			continue
		}
		files := map[string]bool{}
		for line := range strings.SplitSeq(rest, "\n") {
			head, _, _ := strings.Cut(line, ": ")
			switch {
			case strings.HasPrefix(line, "- a file of its own"):
				files[head] = true
			case strings.HasPrefix(line, "- "):
				for _, m := range named.FindAllStringSubmatch(head, -1) {
					files[m[1]] = true
					if _, err := os.Stat(filepath.Join(root, m[1])); err != nil {
						t.Errorf("Add %s: %s is not there", title, m[1])
					}
				}
			}
		}
		if want, err := strconv.Atoi(said[1]); err != nil || len(files) != want {
			t.Errorf("Add %s: it says %s files and lists %d", title, said[1], len(files))
		}
	}
}

// The decisions are numbered without a gap, each has its date, and architecture.md leads to each.
func TestDecisionsAreNumbered(t *testing.T) {
	root, _ := goList(t, "-m", "-f", "{{.Dir}}\n{{.Path}}")
	files, err := filepath.Glob(filepath.Join(root, "docs", "adr", "*.md"))
	if err != nil {
		t.Fatal(err)
	}
	doc, err := os.ReadFile(filepath.Join(root, "docs", "architecture.md"))
	if err != nil {
		t.Fatal(err)
	}
	for i, file := range files {
		name := filepath.Base(file)
		if !strings.HasPrefix(name, fmt.Sprintf("%04d-", i+1)) {
			t.Errorf("%s is decision number %d", name, i+1)
		}
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		if !regexp.MustCompile(fmt.Sprintf(`(?s)^# %d\. .*\nDate: \d{4}-\d\d-\d\d.*\n## Context\n.*\n## Decision\n.*\n## Consequences\n`, i+1)).Match(text) {
			t.Errorf("%s is not in the form of a decision", name)
		}
		if !strings.Contains(string(doc), "(adr/"+name+")") {
			t.Errorf("docs/architecture.md does not lead to %s", name)
		}
	}
}
