package cli

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestConfigurationFile(t *testing.T) {
	dir := t.TempDir()
	file := filepath.Join(dir, "perennial.json")
	for content, want := range map[string]string{
		`{"data":` + quote(filepath.Join(dir, "none")) + `,"public_url":"https://shop.example"}`: "",
		`{"dta":"x"}`:        `"dta", which is no flag's name`,
		`{"public-url":"x"}`: `"public-url", which is no flag's name`,
		`{"help":`:           "not a JSON object",
		`[]`:                 "not a JSON object",
	} {
		if err := os.WriteFile(file, []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
		var out, errOut bytes.Buffer
		code := Run([]string{"--config", file, "version"}, strings.NewReader(""), &out, &errOut)
		if want == "" && code != 0 || want != "" && (code != 2 || !strings.Contains(errOut.String(), want)) {
			t.Errorf("%s: got %d %s, want %q", content, code, errOut.String(), want)
		}
	}
}

func quote(s string) string { return `"` + filepath.ToSlash(s) + `"` }
