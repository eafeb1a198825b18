package cli

import (
	"bytes"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
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

// Whatever holds a password can be given in a file, so that it stands neither in the arguments nor in the environment.
func TestEverySecretHasAFile(t *testing.T) {
	var names []string
	for _, of := range []any{place{}, reach{}} {
		for f := range reflect.TypeOf(of).Fields() {
			names = append(names, f.Tag.Get("env"))
		}
	}
	for _, name := range []string{"DATABASE", "SMTP_URL", "OIDC_CLIENT_SECRET", "STRIPE_SECRET_KEY", "STRIPE_WEBHOOK_SECRET"} {
		if !slices.Contains(names, "PERENNIAL_"+name) || !slices.Contains(names, "PERENNIAL_"+name+"_FILE") {
			t.Errorf("%s cannot be given in a file", name)
		}
	}
	for _, name := range names { // a new secret is in the list above
		if strings.HasSuffix(name, "_SECRET") && !slices.Contains(names, name+"_FILE") {
			t.Errorf("%s cannot be given in a file", name)
		}
	}
	dir := t.TempDir()
	file := filepath.Join(dir, "secret")
	if err := os.WriteFile(file, []byte("postgres://perennial:hunter2@127.0.0.1:1/perennial?connect_timeout=1\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	run := func(want string, args ...string) {
		t.Helper()
		var out, errOut bytes.Buffer
		code := Run(args, strings.NewReader(""), &out, &errOut)
		if words := out.String() + errOut.String(); code != 2 || !strings.Contains(words, want) || strings.Contains(words, "hunter2") {
			t.Errorf("%v: %d %s", args, code, words)
		}
	}
	run("database cannot be reached", "serve", "--data", dir, "--listen", "127.0.0.1:0", "--database-file", file)
	missing := filepath.Join(dir, "missing")
	for _, flag := range []string{"--database-file", "--smtp-url-file", "--oidc-client-secret-file", "--stripe-secret-key-file", "--stripe-webhook-secret-file"} {
		run("cannot be read", "serve", "--data", dir, flag, missing)
	}
	run("not both", "serve", "--data", dir, "--smtp-url", "smtp://localhost", "--smtp-url-file", file)
}
