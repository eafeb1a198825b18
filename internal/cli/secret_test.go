package cli

import (
	"os"
	"path/filepath"
	"testing"

	"perennial/internal/fault"
)

func TestSecretOf(t *testing.T) {
	dir := t.TempDir()
	file := func(name, text string) string {
		p := filepath.Join(dir, name)
		if err := os.WriteFile(p, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		return p
	}
	for name, c := range map[string]struct{ value, file, want, code string }{
		"neither":     {"", "", "", ""},
		"the secret":  {"sk_1", "", "sk_1", ""},
		"a file":      {"", file("key", "sk_2\n"), "sk_2", ""},
		"both":        {"sk_1", file("other", "sk_2"), "sk_1", "secret_twice"},
		"an empty":    {"", file("empty", "\n"), "", "secret_file"},
		"no such one": {"", filepath.Join(dir, "missing"), "", "secret_file"},
	} {
		value := c.value
		code := ""
		if err := secretOf(&value, c.file); err != nil {
			code = fault.As(err).Code
		}
		if code != c.code || value != c.want && code == "" {
			t.Errorf("%s: got %q, %s", name, value, code)
		}
	}
}
