// Package vault holds what must not be in the database: the root key, the logs' signing keys, the list of erased data
// keys and the last signed checkpoints; and it seals personal values under data keys that the root key wraps.
//
// The keys folder is the one thing to back up apart from the database, and the one thing that an old copy of the
// database cannot turn back: a data key on the erased list stays unusable whatever a restored database holds, and the
// last checkpoint tells a restored database that it lags behind.
//
// Its files, none of which holds a personal value:
//
//	root.key           the root key; everything derived (Derive) and every wrapped data key depends on it
//	log-<shop>.key     the key that signs a shop's checkpoints, in the form of golang.org/x/mod/sumdb/note
//	log-<shop>.pub     its public half, to hand out
//	erased             ids of destroyed data keys, a line each, only ever appended to
//	checkpoint-<shop>  the last signed checkpoint, as signed
//	given-up-<shop>-<size>
//	                   a checkpoint that was the last one until the shop went on from an older database
//	lock               held (flock) by whoever writes
//
// The folder has mode 0700 and the files 0600; a private key that others may read is refused. Several processes may
// share a folder: each file but the erased list is replaced as a whole, and the list is re-read as it grows.
package vault

import (
	"bytes"
	"crypto/cipher"
	"crypto/hkdf"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"

	"perennial/internal/fault"
)

const (
	rootName   = "root.key"
	rootHeader = "perennial root key v1\n"
	keySize    = 32
)

// Folder is an open keys folder. It is safe for concurrent use.
type Folder struct {
	dir      string
	readOnly bool
	root     []byte      // never changes
	wrapping cipher.AEAD // never changes

	erased erasedList

	mu      sync.Mutex
	logKeys map[string]logKey // guarded by mu; by shop
	frozen  map[string][]byte // guarded by mu; by shop: see Freeze
}

// Open opens the keys folder, or makes it with a new root key. A key file that others may read is a fault that says
// what to do.
func Open(dir string) (*Folder, error) {
	f := &Folder{dir: dir}
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, f.unwritten(err)
	}
	if _, err := os.Stat(f.path(rootName)); errors.Is(err, fs.ErrNotExist) {
		if err := f.makeRoot(); err != nil {
			return nil, err
		}
	}
	if err := f.open(); err != nil {
		return nil, err
	}
	return f, nil
}

// OpenReadOnly opens a keys folder that exists, for those who only read: it makes and changes no file, so also not the
// folder. Whatever would write is refused.
func OpenReadOnly(dir string) (*Folder, error) {
	f := &Folder{dir: dir, readOnly: true}
	if err := f.open(); err != nil {
		return nil, err
	}
	return f, nil
}

func (f *Folder) open() error {
	content, err := f.readSecret(rootName)
	if errors.Is(err, fs.ErrNotExist) {
		return fault.New(fault.Unavailable, "keys_missing", "There is no key file %s.", f.shown(rootName))
	}
	if err != nil {
		return err
	}
	line, ok := strings.CutPrefix(string(content), rootHeader)
	line, ended := strings.CutSuffix(line, "\n")
	root, err := base64.StdEncoding.Strict().DecodeString(line)
	if !ok || !ended || err != nil || len(root) != keySize {
		return fault.New(fault.Unavailable, "keys_damaged", "The key file %s is damaged. Put it back from the backup of the keys.",
			f.shown(rootName))
	}
	f.root = root
	f.wrapping = gcm(f.derive("wrap"))
	f.logKeys = map[string]logKey{}
	f.erased.path = f.path(erasedName)
	return f.erased.reload()
}

// makeRoot makes the root key, unless another process was faster.
func (f *Folder) makeRoot() error {
	unlock, err := f.lock()
	if err != nil {
		return err
	}
	defer unlock()
	// A folder that has other files of ours has lost its root key. A new one would not open what the old one sealed.
	files, err := os.ReadDir(f.dir)
	if err != nil {
		return fmt.Errorf("vault: %w", err)
	}
	orphan := false
	for _, file := range files {
		name := file.Name()
		if name == rootName {
			return nil
		}
		orphan = orphan || name == erasedName || strings.HasPrefix(name, "log-") || strings.HasPrefix(name, "checkpoint-")
	}
	if orphan {
		return fault.New(fault.Unavailable, "keys_missing",
			"The keys folder is in use, but its %s is gone. Put it back from the backup of the keys.", f.shown(rootName))
	}
	root := make([]byte, keySize)
	rand.Read(root)
	return f.write(rootName, []byte(rootHeader+base64.StdEncoding.EncodeToString(root)+"\n"))
}

// Fingerprint tells this root key from others and gives nothing of it away: 32 hexadecimal digits.
func (f *Folder) Fingerprint() string {
	k := f.derive("fingerprint")
	return hex.EncodeToString(k[:16])
}

// Derive gives a key for a purpose, always the same one for the same root key (HKDF-SHA256, RFC 5869). Different
// purposes give unrelated keys, also unrelated to those that this package uses itself.
func (f *Folder) Derive(purpose string) [32]byte { return f.derive("use " + purpose) }

func (f *Folder) derive(info string) [keySize]byte {
	k, err := hkdf.Key(sha256.New, f.root, nil, "perennial v1 "+info, keySize)
	if err != nil {
		panic(err) // only a length over 255 hashes fails
	}
	return [keySize]byte(k)
}

func (f *Folder) path(name string) string { return filepath.Join(f.dir, name) }

// shown is how messages name a file: they may reach people who need not know where the folder is.
func (f *Folder) shown(name string) string { return filepath.Join(filepath.Base(f.dir), name) }

// readSecret reads a file that nobody else may be able to read.
func (f *Folder) readSecret(name string) ([]byte, error) {
	info, err := os.Stat(f.path(name))
	if err != nil {
		return nil, fmt.Errorf("vault: %w", err)
	}
	if mode := info.Mode().Perm(); mode&0o077 != 0 {
		return nil, fault.New(fault.Unavailable, "keys_exposed",
			"Others may use the key file %s (its mode is %04o). Run chmod 600 on it.", f.shown(name), mode)
	}
	content, err := os.ReadFile(f.path(name))
	if err != nil {
		return nil, fmt.Errorf("vault: %w", err)
	}
	return content, nil
}

// unwritten says in words that help why something in the folder could not be written.
func (f *Folder) unwritten(err error) error {
	switch {
	case errors.Is(err, syscall.ENOSPC), errors.Is(err, syscall.EDQUOT):
		return fault.Wrap(fmt.Errorf("vault: %w", err), fault.Unavailable, "storage_full", "The disk that holds the keys folder is full.")
	case errors.Is(err, syscall.EROFS), errors.Is(err, fs.ErrPermission):
		return fault.Wrap(fmt.Errorf("vault: %w", err), fault.Unavailable, "keys_unwritable",
			"The keys folder %s cannot be written: check its permissions and its file system.", filepath.Base(f.dir))
	}
	return fmt.Errorf("vault: %w", err)
}

// write puts a file in its place as a whole: after a crash there is the old content or the new, never a part.
func (f *Folder) write(name string, content []byte) error {
	t, err := os.CreateTemp(f.dir, ".new-"+name+"-") // mode 0600
	if err != nil {
		return f.unwritten(err)
	}
	_, err = t.Write(content)
	if err == nil {
		err = t.Sync()
	}
	err = errors.Join(err, t.Close())
	if err == nil {
		err = os.Rename(t.Name(), f.path(name))
	}
	if err != nil {
		return f.unwritten(errors.Join(err, os.Remove(t.Name())))
	}
	return f.sync()
}

// sync makes the folder's own entries durable.
func (f *Folder) sync() error {
	d, err := os.Open(f.dir)
	if err == nil {
		err = errors.Join(d.Sync(), d.Close())
	}
	if err != nil {
		return f.unwritten(err)
	}
	return nil
}

var errReadOnly = errors.New("vault: the keys folder was opened for reading only")

// lock waits until no other process or goroutine writes to the folder.
func (f *Folder) lock() (unlock func(), err error) {
	if f.readOnly {
		return nil, errReadOnly
	}
	file, err := os.OpenFile(f.path("lock"), os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, f.unwritten(err)
	}
	if err := flock(file); err != nil {
		return nil, fmt.Errorf("vault: lock %s: %w", file.Name(), errors.Join(err, file.Close()))
	}
	// Closing the only descriptor of an open file gives its lock back, and does so also when the process dies.
	return func() { file.Close() }, nil
}

// LastCheckpoint is the last signed checkpoint of a shop, nil when none was signed yet.
func (f *Folder) LastCheckpoint(shop string) ([]byte, error) {
	if err := checkShop(shop); err != nil {
		return nil, err
	}
	f.mu.Lock()
	msg, ok := f.frozen[shop]
	f.mu.Unlock()
	if ok {
		return msg, nil
	}
	msg, err := os.ReadFile(f.path(checkpointName(shop)))
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil, nil
	case err != nil:
		return nil, fmt.Errorf("vault: %w", err)
	}
	return msg, nil
}

// Freeze makes LastCheckpoint go on to say what it says now. It is for whoever copies a database that is in use, and
// then verifies the copy: what is signed in between is not about the copy.
func (f *Folder) Freeze(shop string) error {
	msg, err := f.LastCheckpoint(shop)
	if err != nil {
		return err
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	f.frozen = map[string][]byte{shop: msg}
	return nil
}

// ErrFork says that a checkpoint of another tree was signed over as many entries.
var ErrFork = errors.New("vault: another checkpoint over as many entries was signed already")

// SaveCheckpoint keeps a checkpoint over size entries as the last one. It never goes backwards: when a later one is kept
// already (another process was ahead), it leaves that and reports no error. One over as many entries that says
// something else is ErrFork.
func (f *Folder) SaveCheckpoint(shop string, msg []byte, size int64) error {
	if err := checkShop(shop); err != nil {
		return err
	}
	text, got, err := checkpointText(shop, msg)
	if err != nil {
		return err
	}
	if got != size {
		return fmt.Errorf("vault: the checkpoint is over %d entries, not %d", got, size)
	}
	unlock, err := f.lock()
	if err != nil {
		return err
	}
	defer unlock()
	kept, err := f.LastCheckpoint(shop)
	if err != nil {
		return err
	}
	if kept != nil {
		keptText, keptSize, err := checkpointText(shop, kept)
		switch {
		case err != nil:
			return err
		case keptSize > size:
			return nil
		case keptSize == size && !bytes.Equal(keptText, text):
			return ErrFork
		}
	}
	return f.write(checkpointName(shop), msg)
}

// GiveUp makes the last checkpoint one of the past: the shop goes on from a database that is no continuation of it. It is kept beside
// the others, because whoever has a copy of it can ask for it.
func (f *Folder) GiveUp(shop string) error {
	if err := checkShop(shop); err != nil {
		return err
	}
	unlock, err := f.lock()
	if err != nil {
		return err
	}
	defer unlock()
	msg, err := os.ReadFile(f.path(checkpointName(shop)))
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("vault: %w", err)
	}
	_, size, err := checkpointText(shop, msg)
	if err != nil {
		return err
	}
	name := fmt.Sprintf("given-up-%s-%d", shop, size)
	for n := 2; ; n++ { // another history may have been given up at as many entries
		if kept, err := os.ReadFile(f.path(name)); errors.Is(err, fs.ErrNotExist) || err == nil && bytes.Equal(kept, msg) {
			break
		}
		name = fmt.Sprintf("given-up-%s-%d-%d", shop, size, n)
	}
	if err := f.write(name, msg); err != nil {
		return err
	}
	if err := os.Remove(f.path(checkpointName(shop))); err != nil {
		return f.unwritten(err)
	}
	return f.sync()
}

// checkpointText gives the signed text of a checkpoint and the size in it. Whether the signature is right is for those
// who read it.
func checkpointText(shop string, msg []byte) (text []byte, size int64, err error) {
	text, _, ok := bytes.Cut(msg, []byte("\n\n"))
	lines := strings.Split(string(text), "\n")
	if ok && len(lines) == 3 && lines[0] == origin(shop) {
		size, err = strconv.ParseInt(lines[1], 10, 64)
		if err == nil {
			return text, size, nil
		}
	}
	return nil, 0, fmt.Errorf("vault: not a checkpoint of %s", shop)
}

func checkpointName(shop string) string { return "checkpoint-" + shop }

// checkShop keeps a shop's id from naming a file elsewhere.
func checkShop(shop string) error {
	ok := shop != "" && len(shop) <= 64
	for _, c := range []byte(shop) {
		ok = ok && (c >= 'a' && c <= 'z' || c >= '0' && c <= '9' || c == '_')
	}
	if !ok {
		return fmt.Errorf("vault: %q is not a shop's id", shop)
	}
	return nil
}
