package api_test

import (
	"flag"
	"fmt"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"perennial/internal/team"
)

var update = flag.Bool("update", false, "rewrite testdata")

var needed = regexp.MustCompile("Needs the permission `([a-z_.]+)`")

// neededBy gives the permissions that an operation says it needs.
func neededBy(description string) (out []team.Permission) {
	for _, m := range needed.FindAllStringSubmatch(description, -1) {
		out = append(out, team.Permission(m[1]))
	}
	return out
}

// Every route is called with a key that has nothing but one permission: what is not refused is in testdata/permissions.golden, line by line, and nothing else is allowed.
func TestPermissionMatrix(t *testing.T) {
	s := openShop(t)
	every := team.Everything().List()
	keys := map[team.Permission]*shop{}
	for _, p := range every {
		keys[p] = s.with(s.key(p))
	}
	var got []string
	for path, item := range s.doc.paths {
		for method, raw := range item {
			address := strings.NewReplacer("{", "", "}", "").Replace(path)
			if path == "/events/stream" {
				address += "?from=never" // a stream does not end by itself
			}
			var allowed []string
			for _, p := range every {
				if a := keys[p].do(strings.ToUpper(method), address, nil); a.Status != 403 {
					allowed = append(allowed, string(p))
				} else if a.code() != "forbidden" {
					t.Errorf("%s with %s: the code is %q", a.request, p, a.code())
				}
			}
			description, _ := raw.(map[string]any)["description"].(string)
			if needs := neededBy(description); len(needs) > 1 { // all of them together, and none is enough
				if len(allowed) > 0 {
					t.Errorf("%s %s needs %v, and is open for %v", method, path, needs, allowed)
				}
				if a := s.with(s.key(needs...)).do(strings.ToUpper(method), address, nil); a.Status == 403 {
					t.Errorf("%s with %v: 403", a.request, needs)
				}
				for _, p := range needs {
					allowed = append(allowed, string(p))
				}
				got = append(got, fmt.Sprintf("%-6s %-55s %s", strings.ToUpper(method), path, strings.Join(allowed, " and ")))
				continue
			}
			line := fmt.Sprintf("%-6s %-55s %s", strings.ToUpper(method), path, strings.Join(allowed, " "))
			if len(allowed) == len(every) {
				line = fmt.Sprintf("%-6s %-55s every key", strings.ToUpper(method), path)
			}
			got = append(got, line)
			if len(allowed) == 1 && !strings.Contains(description, "Needs the permission `"+allowed[0]+"`.") {
				t.Errorf("%s %s does not say in the document that it needs %s", method, path, allowed[0])
			}
		}
	}
	slices.Sort(got)
	golden := strings.Join(got, "\n") + "\n"
	if *update {
		must(t, os.WriteFile("testdata/permissions.golden", []byte(golden), 0o644))
	}
	want, err := os.ReadFile("testdata/permissions.golden")
	must(t, err)
	if diff := cmp.Diff(string(want), golden); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
	refused := map[string]bool{}
	for cursor := ""; ; {
		a := s.do("GET", "/events?type=access.denied&limit=200"+cursor, nil).want(200)
		for _, key := range a.each("data", "actor.id") {
			refused[key] = true
		}
		next, more := a.at("next_cursor").(string)
		if !more {
			break
		}
		cursor = "&cursor=" + next
	}
	if len(refused) != len(every) {
		t.Errorf("%d keys have an entry about their refusals, want %d", len(refused), len(every))
	}
}
