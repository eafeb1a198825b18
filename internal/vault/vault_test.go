package vault

import (
	"bytes"
	"crypto/rand"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/mod/sumdb/note"

	"perennial/internal/fault"
)

const shop = "shop_0123abcd"

func open(tb testing.TB, dir string) *Folder {
	tb.Helper()
	f, err := Open(dir)
	if err != nil {
		tb.Fatal(err)
	}
	return f
}

func wantFault(tb testing.TB, what string, err error, code string) {
	tb.Helper()
	f, ok := errors.AsType[*fault.Error](err)
	if !ok || f.Code != code {
		tb.Errorf("%s: %v, want a fault %s", what, err, code)
	}
}

func list(tb testing.TB, dir string) []string {
	tb.Helper()
	files, err := os.ReadDir(dir)
	if err != nil {
		tb.Fatal(err)
	}
	var out []string
	for _, file := range files {
		info, err := file.Info()
		if err != nil {
			tb.Fatal(err)
		}
		out = append(out, fmt.Sprintf("%04o %s", info.Mode().Perm(), file.Name()))
	}
	return out
}

func checkpointOf(tb testing.TB, f *Folder, size int64, root string) []byte {
	tb.Helper()
	s, err := f.Signer(shop)
	if err != nil {
		tb.Fatal(err)
	}
	msg, err := note.Sign(&note.Note{Text: fmt.Sprintf("perennial/%s\n%d\n%s\n", shop, size, root)}, s)
	if err != nil {
		tb.Fatal(err)
	}
	return msg
}

func TestFolder(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "data", "keys")
	f := open(t, dir)
	if err := f.SaveCheckpoint(shop, checkpointOf(t, f, 1, "root"), 1); err != nil {
		t.Fatal(err)
	}
	if err := f.Erase("cus_1"); err != nil {
		t.Fatal(err)
	}
	want := []string{"0600 checkpoint-" + shop, "0600 erased", "0600 lock", "0600 log-" + shop + ".key", "0600 log-" + shop + ".pub", "0600 root.key"}
	if diff := cmp.Diff(want, list(t, dir)); diff != "" {
		t.Errorf("files (-want +got):\n%s", diff)
	}
	if info, err := os.Stat(dir); err != nil || info.Mode().Perm() != 0o700 {
		t.Errorf("the folder has mode %v, %v", info.Mode(), err)
	}

	// Opened again it is the same folder, to change or only to read.
	again := open(t, dir)
	reader, err := OpenReadOnly(dir)
	if err != nil {
		t.Fatal(err)
	}
	_, vkey, err := f.Verifier(shop)
	if err != nil {
		t.Fatal(err)
	}
	for _, g := range []*Folder{again, reader} {
		if g.Fingerprint() != f.Fingerprint() || g.Derive("x") != f.Derive("x") {
			t.Error("opened again, the root key is another")
		}
		if _, got, err := g.Verifier(shop); got != vkey || err != nil {
			t.Errorf("opened again, the log key is %s, %v, want %s", got, err, vkey)
		}
		if !g.Erased("cus_1") || g.Erased("cus_2") {
			t.Error("opened again, the erased list is another")
		}
	}
}

func TestRootKey(t *testing.T) {
	f, other := open(t, t.TempDir()), open(t, t.TempDir())
	if f.Fingerprint() == other.Fingerprint() || len(f.Fingerprint()) != 32 {
		t.Errorf("fingerprints %s and %s", f.Fingerprint(), other.Fingerprint())
	}
	seen := map[[32]byte]string{[32]byte(f.root): "root"}
	for _, purpose := range []string{"", "a", "b", "wrap", "fingerprint"} {
		k := f.Derive(purpose)
		if was, ok := seen[k]; ok {
			t.Errorf("the key for %q is that for %q", purpose, was)
		}
		seen[k] = purpose
		if f.Derive(purpose) != k || other.Derive(purpose) == k {
			t.Errorf("the key for %q is not the folder's own", purpose)
		}
	}
	if _, ok := seen[f.derive("wrap")]; ok {
		t.Error("a purpose gives the wrapping key away")
	}
	if k := f.Derive("fingerprint"); strings.HasPrefix(fmt.Sprintf("%x", k), f.Fingerprint()) {
		t.Error("the fingerprint gives a derived key away")
	}
}

func TestFolderRefuses(t *testing.T) {
	_, err := OpenReadOnly(filepath.Join(t.TempDir(), "none"))
	wantFault(t, "no folder", err, "keys_missing")

	for _, tc := range []struct {
		name   string
		change func(dir string) error
		code   string
	}{
		{"group may read", func(dir string) error { return os.Chmod(filepath.Join(dir, "root.key"), 0o640) }, "keys_exposed"},
		{"all may read", func(dir string) error { return os.Chmod(filepath.Join(dir, "root.key"), 0o604) }, "keys_exposed"},
		{"all may write", func(dir string) error { return os.Chmod(filepath.Join(dir, "root.key"), 0o602) }, "keys_exposed"},
		{"empty", func(dir string) error { return os.WriteFile(filepath.Join(dir, "root.key"), nil, 0o600) }, "keys_damaged"},
		{"cut", func(dir string) error { return os.Truncate(filepath.Join(dir, "root.key"), 60) }, "keys_damaged"},
		{"other header", func(dir string) error {
			return os.WriteFile(filepath.Join(dir, "root.key"), []byte("perennial root key v2\n"+strings.Repeat("A", 43)+"=\n"), 0o600)
		}, "keys_damaged"},
		{"gone", func(dir string) error { return os.Remove(filepath.Join(dir, "root.key")) }, "keys_missing"},
	} {
		dir := t.TempDir()
		f := open(t, dir)
		if err := f.Erase("cus_1"); err != nil {
			t.Fatal(err)
		}
		if err := tc.change(dir); err != nil {
			t.Fatal(err)
		}
		_, err := Open(dir)
		wantFault(t, tc.name, err, tc.code)
		_, err = OpenReadOnly(dir)
		wantFault(t, tc.name+", to read", err, tc.code)
		if err != nil && strings.Contains(err.Error(), dir) {
			t.Errorf("%s: %v tells where the folder is", tc.name, err)
		}
	}
}

func TestReadOnly(t *testing.T) {
	dir := t.TempDir()
	w := open(t, dir)
	before := list(t, dir)
	f, err := OpenReadOnly(dir)
	if err != nil {
		t.Fatal(err)
	}
	if err := f.Erase("cus_1"); !errors.Is(err, errReadOnly) {
		t.Errorf("Erase: %v", err)
	}
	_, err = f.Signer(shop)
	wantFault(t, "Signer", err, "keys_missing")
	if msg, err := f.LastCheckpoint(shop); msg != nil || err != nil {
		t.Errorf("LastCheckpoint = %q, %v", msg, err)
	}
	if f.Erased("cus_1") {
		t.Error("a key is erased that nobody erased")
	}
	if diff := cmp.Diff(before, list(t, dir)); diff != "" {
		t.Errorf("files changed (-before +after):\n%s", diff)
	}
	if err := f.SaveCheckpoint(shop, checkpointOf(t, w, 1, "root"), 1); !errors.Is(err, errReadOnly) {
		t.Errorf("SaveCheckpoint: %v", err)
	}
	if _, _, err := f.Verifier(shop); err != nil {
		t.Errorf("Verifier of a key that another process made: %v", err)
	}
}

func TestSigner(t *testing.T) {
	dir := t.TempDir()
	f := open(t, dir)
	msg := checkpointOf(t, f, 5, "root")
	known, err := f.Verifiers(shop)
	if err != nil {
		t.Fatal(err)
	}
	n, err := note.Open(msg, known)
	if err != nil || n.Sigs[0].Name != "perennial/"+shop {
		t.Errorf("signed by %v, %v", n, err)
	}
	_, vkey, err := f.Verifier(shop)
	if err != nil {
		t.Fatal(err)
	}
	if public, err := os.ReadFile(filepath.Join(dir, "log-"+shop+".pub")); string(public) != vkey+"\n" || err != nil {
		t.Errorf("the public file has %q, %v, want %q", public, err, vkey)
	}
	if _, other, err := f.Verifier("shop_zzzzzzzz"); other == vkey || err != nil {
		t.Errorf("two shops have one key: %v", err)
	}
	for _, bad := range []string{"", "../x", "a/b", "shop_A", "shop_\n", "a+b", strings.Repeat("a", 65)} {
		if _, err := f.Signer(bad); err == nil {
			t.Errorf("Signer(%q) is not refused", bad)
		}
		if _, err := f.LastCheckpoint(bad); err == nil {
			t.Errorf("LastCheckpoint(%q) is not refused", bad)
		}
		if err := f.SaveCheckpoint(bad, msg, 5); err == nil {
			t.Errorf("SaveCheckpoint(%q) is not refused", bad)
		}
	}
}

func TestSignerOfDamagedFolder(t *testing.T) {
	private, public := "log-"+shop+".key", "log-"+shop+".pub"
	for _, tc := range []struct {
		name   string
		change func(f *Folder) error
		code   string // none: it recovers
	}{
		{"a crash before the public file", func(f *Folder) error { return os.Remove(f.path(public)) }, ""},
		{"the private key lost", func(f *Folder) error { return os.Remove(f.path(private)) }, "keys_missing"},
		{"both lost, and a checkpoint kept", func(f *Folder) error {
			return errors.Join(f.SaveCheckpoint(shop, checkpointOf(t, f, 1, "r"), 1), os.Remove(f.path(private)), os.Remove(f.path(public)))
		}, "keys_missing"},
		{"the private key exposed", func(f *Folder) error { return os.Chmod(f.path(private), 0o644) }, "keys_exposed"},
		{"the private key cut", func(f *Folder) error { return os.Truncate(f.path(private), 70) }, "keys_damaged"},
		{"another public key", func(f *Folder) error {
			_, vkey, err := note.GenerateKey(rand.Reader, "perennial/"+shop)
			return errors.Join(err, os.WriteFile(f.path(public), []byte(vkey+"\n"), 0o600))
		}, "keys_damaged"},
		{"the private key of another shop", func(f *Folder) error {
			skey, _, err := note.GenerateKey(rand.Reader, "perennial/shop_00000000")
			return errors.Join(err, os.WriteFile(f.path(private), []byte(skey+"\n"), 0o600))
		}, "keys_damaged"},
	} {
		dir := t.TempDir()
		f := open(t, dir)
		_, before, err := f.Verifier(shop)
		if err != nil {
			t.Fatal(err)
		}
		if err := tc.change(f); err != nil {
			t.Fatal(err)
		}
		_, after, err := open(t, dir).Verifier(shop)
		if tc.code != "" {
			wantFault(t, tc.name, err, tc.code)
			continue
		}
		if err != nil || after != before {
			t.Errorf("%s: %s, %v, want %s", tc.name, after, err, before)
		}
		if public, err := os.ReadFile(f.path(public)); string(public) != before+"\n" || err != nil {
			t.Errorf("%s: the public file has %q, %v", tc.name, public, err)
		}
	}
}

func TestCheckpointNeverGoesBack(t *testing.T) {
	f := open(t, t.TempDir())
	if msg, err := f.LastCheckpoint(shop); msg != nil || err != nil {
		t.Fatalf("LastCheckpoint of a new shop = %q, %v", msg, err)
	}
	five, seven := checkpointOf(t, f, 5, "five"), checkpointOf(t, f, 7, "seven")
	for _, tc := range []struct {
		name string
		msg  []byte
		size int64
		want error
		kept []byte
	}{
		{"the first", five, 5, nil, five},
		{"again", five, 5, nil, five},
		{"a later one", seven, 7, nil, seven},
		{"an earlier one", five, 5, nil, seven},
		{"another of that size", checkpointOf(t, f, 7, "fork"), 7, ErrFork, seven},
	} {
		if err := f.SaveCheckpoint(shop, tc.msg, tc.size); !errors.Is(err, tc.want) {
			t.Errorf("%s: %v, want %v", tc.name, err, tc.want)
		}
		if got, err := f.LastCheckpoint(shop); !bytes.Equal(got, tc.kept) || err != nil {
			t.Errorf("%s: kept %q, %v, want %q", tc.name, got, err, tc.kept)
		}
	}
	for _, bad := range []struct {
		msg  string
		size int64
	}{
		{string(seven), 8},
		{"", 0},
		{"perennial/" + shop + "\n9\nroot\n", 9},
		{"perennial/shop_00000000\n9\nroot\n\n", 9},
		{"perennial/" + shop + "\nx\nroot\n\n", 0},
		{"perennial/" + shop + "\n9\nroot\nmore\n\n", 9},
	} {
		if err := f.SaveCheckpoint(shop, []byte(bad.msg), bad.size); err == nil {
			t.Errorf("SaveCheckpoint(%q, %d) is not refused", bad.msg, bad.size)
		}
	}
}

func TestWrap(t *testing.T) {
	f := open(t, t.TempDir())
	k := NewKey("cus_1", rand.Reader)
	wrapped, err := f.Wrap(k)
	if err != nil {
		t.Fatal(err)
	}
	if len(wrapped) != wrapSize || bytes.Contains(wrapped, k.secret[:]) {
		t.Errorf("wrapped: %x", wrapped)
	}
	box, ciphertext := mustSeal(t, k, "person", "Ada")
	got, err := f.Unwrap("cus_1", wrapped)
	if err != nil || got.ID() != "cus_1" {
		t.Fatalf("Unwrap = %v, %v", got, err)
	}
	if value, err := got.Open(box, ciphertext); string(value) != "Ada" || err != nil {
		t.Errorf("the unwrapped key opens %q, %v", value, err)
	}
	for i := range len(wrapped) * 8 {
		bad := slices.Clone(wrapped)
		bad[i/8] ^= 1 << (i % 8)
		if _, err := f.Unwrap("cus_1", bad); !errors.Is(err, ErrBroken) {
			t.Errorf("bit %d: %v, want ErrBroken", i, err)
		}
	}
	for name, try := range map[string]func() (Key, error){
		"cut":              func() (Key, error) { return f.Unwrap("cus_1", wrapped[:wrapSize-1]) },
		"longer":           func() (Key, error) { return f.Unwrap("cus_1", append(slices.Clone(wrapped), 0)) },
		"nothing":          func() (Key, error) { return f.Unwrap("cus_1", nil) },
		"another id":       func() (Key, error) { return f.Unwrap("cus_2", wrapped) },
		"another folder's": func() (Key, error) { return open(t, t.TempDir()).Unwrap("cus_1", wrapped) },
	} {
		if _, err := try(); !errors.Is(err, ErrBroken) {
			t.Errorf("%s: %v, want ErrBroken", name, err)
		}
	}
	if err := f.Erase("cus_1"); err != nil {
		t.Fatal(err)
	}
	if _, err := f.Unwrap("cus_1", wrapped); !errors.Is(err, ErrErased) {
		t.Errorf("Unwrap of an erased key: %v", err)
	}
	if _, err := f.Wrap(k); !errors.Is(err, ErrErased) {
		t.Errorf("Wrap of an erased key: %v", err)
	}
	if _, err := f.Wrap(Key{}); err == nil {
		t.Error("wrapped no key")
	}
}

func TestErase(t *testing.T) {
	dir := t.TempDir()
	a, b := open(t, dir), open(t, dir)
	if err := a.Erase("cus_1", "cus_2"); err != nil {
		t.Fatal(err)
	}
	if err := b.Erase("cus_2", "cus_3"); err != nil {
		t.Fatal(err)
	}
	if err := a.Erase(); err != nil {
		t.Fatal(err)
	}
	for _, id := range []string{"cus_1", "cus_2", "cus_3"} {
		if !a.Erased(id) || !b.Erased(id) {
			t.Errorf("%s is not erased for both", id)
		}
	}
	if a.Erased("cus_4") || a.Erased("cus") || a.Erased("") || a.Erased("perennial erased keys v1") {
		t.Error("a key is erased that nobody erased")
	}
	content, err := os.ReadFile(filepath.Join(dir, "erased"))
	if want := "perennial erased keys v1\ncus_1\ncus_2\ncus_3\n"; string(content) != want || err != nil {
		t.Errorf("the list is %q, %v, want %q", content, err, want)
	}
	for _, bad := range []string{"", "a b", "a\n", "é", strings.Repeat("a", 256)} {
		if err := a.Erase("cus_9", bad); err == nil {
			t.Errorf("Erase(%q) is not refused", bad)
		}
	}
	if a.Erased("cus_9") {
		t.Error("a refused call has erased a key")
	}
}

// A crash in the middle of a line leaves a list that reads without it and takes the next.
func TestEraseAfterCrash(t *testing.T) {
	const header = "perennial erased keys v1\n"
	for _, tc := range []struct{ left, want string }{
		{"", header + "cus_2\n"},
		{header[:9], header + "cus_2\n"},
		{header, header + "cus_2\n"},
		{header + "cus_1\ncus_", header + "cus_1\ncus_2\n"},
		{header + "cus_1\n\x00\x00\x00\x00\x00\x00\x00\x00", header + "cus_1\ncus_2\n"},
	} {
		dir := t.TempDir()
		open(t, dir)
		path := filepath.Join(dir, "erased")
		if err := os.WriteFile(path, []byte(tc.left), 0o600); err != nil {
			t.Fatal(err)
		}
		f := open(t, dir)
		if f.Erased("cus_") || f.Erased("cus_2") || f.Erased("cus_1") != strings.Contains(tc.left, "cus_1") {
			t.Errorf("%q: read wrongly", tc.left)
		}
		if err := f.Erase("cus_2"); err != nil {
			t.Fatal(err)
		}
		if got, err := os.ReadFile(path); string(got) != tc.want || err != nil {
			t.Errorf("%q became %q, %v, want %q", tc.left, got, err, tc.want)
		}
		if !f.Erased("cus_2") || !open(t, dir).Erased("cus_2") {
			t.Errorf("%q: not erased", tc.left)
		}
	}
}

// A list that was tampered with erases too much rather than too little.
func TestErasedFailsClosed(t *testing.T) {
	for _, tc := range []struct {
		name   string
		change func(path string) error
	}{
		{"gone", os.Remove},
		{"cut", func(path string) error { return os.Truncate(path, 30) }},
		{"emptied", func(path string) error { return os.Truncate(path, 0) }},
		{"not a list", func(path string) error { return os.WriteFile(path, []byte(strings.Repeat("x", 99)+"\n"), 0o600) }},
		{"not ids", func(path string) error {
			return os.WriteFile(path, []byte(erasedHeader+"cus_1\n"+"a b\n"), 0o600)
		}},
	} {
		f := open(t, t.TempDir())
		if err := f.Erase("cus_1"); err != nil {
			t.Fatal(err)
		}
		if err := tc.change(f.path("erased")); err != nil {
			t.Fatal(err)
		}
		if !f.Erased("cus_1") || !f.Erased("cus_2") {
			t.Errorf("%s: a key counts as not erased", tc.name)
		}
		if err := f.Erase("cus_3"); err == nil {
			t.Errorf("%s: Erase goes on as if nothing were", tc.name)
		}
	}
}

// Goroutines with folders of their own stand for processes: the lock is the open file's.
func TestConcurrent(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "keys")
	const workers, rounds = 6, 8
	var wg sync.WaitGroup
	prints, vkeys := make([]string, workers), make([]string, workers)
	for w := range workers {
		wg.Go(func() {
			f, err := Open(dir)
			if err != nil {
				t.Error(err)
				return
			}
			prints[w] = f.Fingerprint()
			if _, vkeys[w], err = f.Verifier(shop); err != nil {
				t.Error(err)
				return
			}
			for r := range rounds {
				id := fmt.Sprintf("cus_%d_%d", w, r)
				if err := f.Erase(id, "cus_all"); err != nil || !f.Erased(id) {
					t.Errorf("Erase: %v", err)
				}
				size := int64(r*workers + w)
				if err := f.SaveCheckpoint(shop, checkpointOf(t, f, size, "root"), size); err != nil {
					t.Errorf("SaveCheckpoint: %v", err)
				}
			}
		})
	}
	wg.Wait()
	for w := range workers {
		if prints[w] != prints[0] || vkeys[w] != vkeys[0] {
			t.Errorf("worker %d has other keys", w)
		}
	}
	f := open(t, dir)
	msg, err := f.LastCheckpoint(shop)
	if err != nil {
		t.Fatal(err)
	}
	if _, size, err := checkpointText(shop, msg); size != workers*rounds-1 || err != nil {
		t.Errorf("the last checkpoint is over %d, %v", size, err)
	}
	content, err := os.ReadFile(filepath.Join(dir, "erased"))
	if got := bytes.Count(content, []byte("\n")); got != 1+1+workers*rounds || err != nil {
		t.Errorf("%d lines, %v, want %d", got, err, 1+1+workers*rounds)
	}
	for _, name := range list(t, dir) {
		if strings.Contains(name, ".new-") {
			t.Errorf("%s was left behind", name)
		}
	}
}

// One folder is shared by goroutines too.
func TestSharedFolder(t *testing.T) {
	f := open(t, t.TempDir())
	var wg sync.WaitGroup
	for w := range 4 {
		wg.Go(func() {
			for r := range 10 {
				id := fmt.Sprintf("cus_%d_%d", w, r)
				if f.Erased(id) {
					t.Errorf("%s is erased already", id)
				}
				if err := f.Erase(id); err != nil || !f.Erased(id) {
					t.Errorf("Erase: %v", err)
				}
				if _, _, err := f.Verifier(shop); err != nil {
					t.Error(err)
				}
			}
		})
	}
	wg.Wait()
}

// Another process that erases is seen at once.
func TestErasedByAnotherProcess(t *testing.T) {
	if dir := os.Getenv("VAULT_TEST_ERASE"); dir != "" {
		if err := open(t, dir).Erase("cus_1"); err != nil {
			t.Fatal(err)
		}
		return
	}
	dir := t.TempDir()
	f := open(t, dir)
	if f.Erased("cus_1") {
		t.Fatal("erased before")
	}
	cmd := exec.CommandContext(t.Context(), os.Args[0], "-test.run=^TestErasedByAnotherProcess$")
	cmd.Env = append(os.Environ(), "VAULT_TEST_ERASE="+dir)
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	if !f.Erased("cus_1") || f.Erased("cus_2") {
		t.Error("the other process's erasure is not seen")
	}
}

func TestOpenUnwritable(t *testing.T) {
	file := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := Open(filepath.Join(file, "keys")); err == nil || errors.Is(err, fs.ErrNotExist) {
		t.Errorf("Open below a file: %v", err)
	}
}

func BenchmarkErased(b *testing.B) {
	f := open(b, b.TempDir())
	if err := f.Erase("cus_1"); err != nil {
		b.Fatal(err)
	}
	b.ReportAllocs()
	for b.Loop() {
		f.Erased("cus_2")
	}
}
