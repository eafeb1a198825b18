package archtest

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// Every row of the threat model that says what stops or shows something names a test, and every test that the page names is there. The rows of
// the first table have their sabotages (TestEveryRowHasASabotage); what is left to read from a stolen copy is no promise.
func TestEveryThreatNamesItsTest(t *testing.T) {
	page, err := os.ReadFile("../../../docs/threat-model.md")
	if err != nil {
		t.Fatal(err)
	}
	there := map[string]bool{}
	if err := filepath.WalkDir("../..", func(path string, _ os.DirEntry, err error) error {
		if err != nil || !strings.HasSuffix(path, "_test.go") {
			return err
		}
		b, err := os.ReadFile(path)
		for _, m := range regexp.MustCompile(`(?m)^func (Test\w+)\(`).FindAllSubmatch(b, -1) {
			there[string(m[1])] = true
		}
		return err
	}); err != nil {
		t.Fatal(err)
	}
	named := regexp.MustCompile("`(Test[A-Z]\\w+)`")
	for _, m := range named.FindAllStringSubmatch(string(page), -1) {
		if !there[m[1]] {
			t.Errorf("there is no test %s", m[1])
		}
	}
	tables := 0
	for _, head := range []string{"| what stops or shows it | |", "| they try | what stops or shows it |", "| question | answer |"} {
		_, rest, ok := strings.Cut(string(page), head+"\n")
		if !ok {
			t.Errorf("the page has no table %q", head)
			continue
		}
		table, _, _ := strings.Cut(rest, "\n\n")
		for i, row := range strings.Split(table, "\n") {
			if i == 0 { // the rule under the heads
				continue
			}
			if tables++; !named.MatchString(row) {
				t.Errorf("no test is named in the row %.60s", row)
			}
		}
	}
	if tables < 20 {
		t.Errorf("got %d rows", tables)
	}
}
