package backup

import (
	"bytes"
	"os"
	"path/filepath"
	"testing"

	"filippo.io/age"
	"github.com/google/go-cmp/cmp"

	"perennial/internal/fault"
)

func folder(t *testing.T) (dir string, files map[string]string) {
	t.Helper()
	dir = t.TempDir()
	files = map[string]string{"root.key": "root", "erased": "list", "log-shop_a.key": "private", "log-shop_a.pub": "public", "checkpoint-shop_a": "note"}
	for name, content := range files {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	for _, other := range []string{"lock", ".new-root.key-1", "notes.txt"} { // are not packed
		if err := os.WriteFile(filepath.Join(dir, other), nil, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return dir, files
}

func read(t *testing.T, dir string) map[string]string {
	t.Helper()
	got := map[string]string{}
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		b, err := os.ReadFile(filepath.Join(dir, e.Name()))
		info, ierr := e.Info()
		if err != nil || ierr != nil || info.Mode().Perm() != 0o600 {
			t.Errorf("%s: %v, %v, %v", e.Name(), err, ierr, info.Mode())
		}
		got[e.Name()] = string(b)
	}
	return got
}

func TestKeysRoundTrip(t *testing.T) {
	dir, want := folder(t)
	who, err := age.GenerateX25519Identity()
	if err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct {
		lock   Lock
		unlock Unlock
	}{
		"recipient":  {Lock{Recipients: []string{who.Recipient().String()}}, Unlock{Identities: who.String()}},
		"passphrase": {Lock{Passphrase: "correct horse"}, Unlock{Passphrase: "correct horse"}},
	} {
		var packed bytes.Buffer
		if err := PackKeys(&packed, dir, c.lock); err != nil {
			t.Fatal(err)
		}
		for _, secret := range []string{"root", "private"} {
			if bytes.Contains(packed.Bytes(), []byte(secret)) {
				t.Errorf("%s: %q is in the clear", name, secret)
			}
		}
		to := filepath.Join(t.TempDir(), "keys")
		if err := UnpackKeys(bytes.NewReader(packed.Bytes()), to, c.unlock); err != nil {
			t.Fatal(err)
		}
		if d := cmp.Diff(want, read(t, to)); d != "" {
			t.Errorf("%s: %s", name, d)
		}
		if err := UnpackKeys(bytes.NewReader(packed.Bytes()), to, c.unlock); fault.As(err).Code != "keys_exist" {
			t.Errorf("%s: over keys that are there: %v", name, err)
		}
	}
}

// A file with a bit flipped or an end cut off unpacks nothing.
func TestDamagedKeysUnpackNothing(t *testing.T) {
	dir, _ := folder(t)
	who, err := age.GenerateX25519Identity()
	if err != nil {
		t.Fatal(err)
	}
	var packed bytes.Buffer
	if err := PackKeys(&packed, dir, Lock{Recipients: []string{who.Recipient().String()}}); err != nil {
		t.Fatal(err)
	}
	refused := func(what string, b []byte, with Unlock) {
		t.Helper()
		to := filepath.Join(t.TempDir(), "keys")
		if err := UnpackKeys(bytes.NewReader(b), to, with); err == nil || fault.As(err).Kind != fault.Refused {
			t.Errorf("%s: %v", what, err)
		}
		if _, err := os.Stat(to); err == nil {
			t.Errorf("%s: it left a folder", what)
		}
	}
	with := Unlock{Identities: who.String()}
	for at := 0; at < packed.Len(); at += 17 {
		b := bytes.Clone(packed.Bytes())
		b[at] ^= 1
		refused("a flipped bit", b, with)
		refused("a cut", packed.Bytes()[:at], with)
	}
	other, err := age.GenerateX25519Identity()
	if err != nil {
		t.Fatal(err)
	}
	refused("another identity", packed.Bytes(), Unlock{Identities: other.String()})
	refused("a passphrase", packed.Bytes(), Unlock{Passphrase: "x"})
	refused("nothing", packed.Bytes(), Unlock{})
}

func TestLocksAreRefused(t *testing.T) {
	dir, _ := folder(t)
	for _, l := range []Lock{{}, {Recipients: []string{"age1x"}}, {Recipients: []string{"age1x"}, Passphrase: "x"}} {
		var b bytes.Buffer
		if err := PackKeys(&b, dir, l); fault.As(err).Code != "backup_lock" || b.Len() > 0 {
			t.Errorf("%+v: %v, %d bytes", l, err, b.Len())
		}
	}
}
