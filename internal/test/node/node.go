// Package node runs Node and npm packages in tests. What it installs it keeps in the user's cache folder, by the checksum of the lock
// file, so that only the first run of a version asks the registry.
package node

import (
	"crypto/sha256"
	"encoding/hex"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
)

// Oldest is the oldest major version of Node that the packages of the tests run on.
const Oldest = 20

// Need skips a test where Node is missing or too old. Where CI is set a missing one is a failure, because scripts/needs.sh installs it there;
// the one that a distribution has may still be too old.
func Need(t testing.TB) {
	t.Helper()
	why, missing := "", false
	out, err := exec.Command("node", "--version").Output()
	major, _, _ := strings.Cut(strings.TrimPrefix(strings.TrimSpace(string(out)), "v"), ".")
	if _, npm := exec.LookPath("npm"); err != nil || npm != nil {
		why, missing = "node and npm are not installed; scripts/needs.sh installs them", true
	} else if n, err := strconv.Atoi(major); err != nil || n < Oldest {
		why = "node " + strings.TrimSpace(string(out)) + " is too old: " + strconv.Itoa(Oldest) + " or newer"
	}
	switch {
	case missing && os.Getenv("CI") != "":
		t.Fatal(why)
	case why != "":
		t.Skip(why)
	}
}

// Modules installs what the package-lock.json of a folder names, and gives the folder with the node_modules.
func Modules(t testing.TB, folder string) string {
	t.Helper()
	Need(t)
	sum := sha256.New()
	for _, name := range []string{"package.json", "package-lock.json"} {
		b, err := os.ReadFile(filepath.Join(folder, name))
		must(t, err)
		_, err = sum.Write(b)
		must(t, err)
	}
	home := filepath.Join(Cache(t), "npm-"+hex.EncodeToString(sum.Sum(nil)[:8]))
	if _, err := os.Stat(home); err == nil {
		return home
	}
	work, err := os.MkdirTemp(Cache(t), "installing-") //nolint:usetesting // beside where it is renamed to
	must(t, err)
	defer func() { _ = os.RemoveAll(work) }() // it is gone when it was renamed
	for _, name := range []string{"package.json", "package-lock.json"} {
		b, err := os.ReadFile(filepath.Join(folder, name))
		must(t, err)
		must(t, os.WriteFile(filepath.Join(work, name), b, 0o600))
	}
	Run(t, work, "npm", "ci", "--no-audit", "--no-fund", "--ignore-scripts", "--loglevel=error")
	if err := os.Rename(work, home); err != nil { // another test was faster
		if _, gone := os.Stat(home); gone != nil {
			t.Fatal(err)
		}
	}
	return home
}

// Cache is a folder that outlives the test.
func Cache(t testing.TB) string {
	t.Helper()
	dir, err := os.UserCacheDir()
	if err != nil {
		dir = os.TempDir()
	}
	dir = filepath.Join(dir, "perennial-tests")
	must(t, os.MkdirAll(dir, 0o700))
	return dir
}

// Run runs a command in a folder and fails the test with its output when it fails.
func Run(t testing.TB, dir, name string, args ...string) string {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), name, args...)
	cmd.Dir = dir
	out, err := cmd.CombinedOutput()
	if err != nil {
		if len(out) > 4000 {
			out = out[len(out)-4000:]
		}
		t.Fatalf("%s: %v\n%s", name, err, out)
	}
	return string(out)
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}
