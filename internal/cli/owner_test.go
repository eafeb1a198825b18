package cli

import (
	"bytes"
	"path/filepath"
	"strings"
	"testing"

	"perennial/internal/journal"
	"perennial/internal/program"
	"perennial/internal/server"
	"perennial/internal/settings"
)

func TestOwnerCreate(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "data")
	run := func(in string, args ...string) (int, string) {
		t.Helper()
		var out, errOut bytes.Buffer
		code := Run(append([]string{"owner", "create", "--data", dir}, args...), strings.NewReader(in), &out, &errOut)
		return code, out.String() + errOut.String()
	}
	if code, words := run("four words in a row\n", "--email", "olga@example.com"); code != 1 || !strings.Contains(words, "There is no shop yet") {
		t.Errorf("without a shop: %d %s", code, words)
	}
	i, err := server.Open(t.Context(), server.Config{Data: dir})
	if err != nil {
		t.Fatal(err)
	}
	for _, d := range settings.Defaults("Shop", "UTC", "USD") {
		if _, err := i.Program.Do(t.Context(), &program.Request{Meta: founder(), Command: journal.Bind(settings.Update{Document: d})}); err != nil {
			t.Fatal(err)
		}
	}
	if err := i.Close(t.Context()); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct{ in, email, want string }{
		{"short\n", "olga@example.com", "Take at least 10 characters"}, {"", "olga@example.com", "one line of the input"},
		{"four words in a row\n", "olga", "/email"}, {"four words in a row", "olga@example.com", "owns the shop now"},
		{"four words in a row\n", "eve@example.com", "already has a team"},
	} {
		code, words := run(c.in, "--email", c.email)
		if !strings.Contains(words, c.want) || (code == 0) != strings.Contains(words, "owns the shop") || strings.Contains(words, "four words") {
			t.Errorf("%q for %s: %d %s", c.in, c.email, code, words)
		}
	}
	r, err := server.Verify(t.Context(), server.Config{Data: dir}, nil)
	if err != nil || len(r.Problems) > 0 {
		t.Errorf("verify: %v, %v", err, r)
	}
}
