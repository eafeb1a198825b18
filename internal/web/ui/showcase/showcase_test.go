package showcase

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"perennial/internal/test/htmlcheck"
)

// around are parts that stand around a page, this one among them.
var around = map[string]bool{"ui.Page": true, "ui.PageHead": true, "ui.LonePage": true, "ui.PortalPage": true}

// TestEveryPartIsShown reads which parts there are.
func TestEveryPartIsShown(t *testing.T) {
	page, err := os.ReadFile("showcase.templ")
	if err != nil {
		t.Fatal(err)
	}
	values, err := os.ReadFile("showcase.go")
	if err != nil {
		t.Fatal(err)
	}
	shown := string(page) + string(values)
	part := regexp.MustCompile(`(?m)^(?:templ ([A-Z]\w*)\(|func ([A-Z]\w*)\(.*\) templ\.Component)`)
	parts := 0
	for prefix, pattern := range map[string]string{"ui": "../*.templ", "chart": "../chart/*"} {
		files, err := filepath.Glob(pattern)
		if err != nil {
			t.Fatal(err)
		}
		for _, file := range files {
			if strings.HasSuffix(file, "_templ.go") {
				continue
			}
			text, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			for _, m := range part.FindAllStringSubmatch(string(text), -1) {
				name := prefix + "." + m[1] + m[2]
				if parts++; !around[name] && !strings.Contains(shown, name+"(") {
					t.Errorf("%s is not on the page", name)
				}
			}
		}
	}
	if parts < 30 {
		t.Errorf("only %d parts were found", parts)
	}
}

func TestTheRestOfThePage(t *testing.T) {
	var b strings.Builder
	b.WriteString(`<!DOCTYPE html><html lang="en"><head><title>T</title></head><body><main><h1>T</h1>`)
	if err := Body().Render(t.Context(), &b); err != nil {
		t.Fatal(err)
	}
	b.WriteString(`</main></body></html>`)
	for _, wrong := range htmlcheck.Check(b.String()).Problems {
		t.Error(wrong)
	}
}
