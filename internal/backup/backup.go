// Package backup packs a keys folder into one encrypted file, and unpacks it. The file is a tar in an age file
// (age-encryption.org/v1), so that the age tool and tar open it too, with nothing of ours.
package backup

import (
	"archive/tar"
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"regexp"
	"strings"

	"filippo.io/age"

	"perennial/internal/fault"
)

// sizeLimit is of one file of a keys folder, which holds a few keys and a list of ids.
const sizeLimit = 256 << 20

// names are the files of a keys folder that are worth keeping: see package vault.
var names = regexp.MustCompile(`^(root\.key|erased|(log-[a-z0-9_]+\.(key|pub))|checkpoint-[a-z0-9_]+)$`)

// Lock says who can open a packed folder: whoever holds the identity of one of the recipients ("age1…"), or knows the
// passphrase.
type Lock struct {
	Recipients []string
	Passphrase string
}

func (l Lock) recipients() ([]age.Recipient, error) {
	switch {
	case l.Passphrase != "" && len(l.Recipients) > 0:
		return nil, fault.New(fault.Refused, "backup_lock", "Give recipients or a passphrase for the keys, not both.")
	case l.Passphrase != "":
		r, err := age.NewScryptRecipient(l.Passphrase)
		return []age.Recipient{r}, err
	case len(l.Recipients) == 0:
		return nil, fault.New(fault.Refused, "backup_lock", "The keys are only packed encrypted: give a recipient or a file with a passphrase.")
	}
	all, err := age.ParseRecipients(strings.NewReader(strings.Join(l.Recipients, "\n")))
	if err != nil {
		return nil, fault.Wrap(err, fault.Refused, "backup_lock", "A recipient looks like age1…, as age-keygen prints it.")
	}
	return all, nil
}

// PackKeys writes the files of a keys folder into w, encrypted.
func PackKeys(w io.Writer, dir string, lock Lock) error {
	to, err := lock.recipients()
	if err != nil {
		return err
	}
	sealed, err := age.Encrypt(w, to...)
	if err != nil {
		return fmt.Errorf("backup: %w", err)
	}
	files, err := os.ReadDir(dir)
	if err != nil {
		return fault.Wrap(err, fault.Unavailable, "keys_missing", "The keys folder %s cannot be read.", dir)
	}
	t := tar.NewWriter(sealed)
	for _, f := range files {
		if !names.MatchString(f.Name()) {
			continue
		}
		content, err := os.ReadFile(filepath.Join(dir, f.Name()))
		if err != nil {
			return fault.Wrap(err, fault.Unavailable, "keys_missing", "The key file %s cannot be read.", f.Name())
		}
		if err := t.WriteHeader(&tar.Header{Typeflag: tar.TypeReg, Name: f.Name(), Mode: 0o600, Size: int64(len(content))}); err != nil {
			return fmt.Errorf("backup: %w", err)
		}
		if _, err := t.Write(content); err != nil {
			return fmt.Errorf("backup: %w", err)
		}
	}
	if err := errors.Join(t.Close(), sealed.Close()); err != nil {
		return fmt.Errorf("backup: %w", err)
	}
	return nil
}

// Unlock opens what a Lock closed: with the text of an identity file of age, or with the passphrase.
type Unlock struct {
	Identities string
	Passphrase string
}

// UnpackKeys makes a keys folder of what PackKeys wrote. The folder must not exist or be empty; nothing is left in it when the
// file cannot be opened as a whole.
func UnpackKeys(r io.Reader, dir string, with Unlock) error {
	if files, err := os.ReadDir(dir); err == nil && len(files) > 0 {
		return fault.New(fault.Conflict, "keys_exist",
			"The keys folder %s is in use. Newer keys know more than a backup: leave them, or move them away first.", dir)
	}
	files, err := unpack(r, with)
	if err != nil {
		return err
	}
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return fault.Wrap(err, fault.Unavailable, "keys_unwritable", "The keys folder %s cannot be made.", dir)
	}
	for name, content := range files {
		if err := os.WriteFile(filepath.Join(dir, name), content, 0o600); err != nil {
			return fault.Wrap(err, fault.Unavailable, "keys_unwritable", "The key file %s cannot be written.", name)
		}
	}
	return nil
}

func unpack(r io.Reader, with Unlock) (map[string][]byte, error) {
	var ids []age.Identity
	var err error
	switch {
	case with.Passphrase != "" && with.Identities == "":
		var id *age.ScryptIdentity
		id, err = age.NewScryptIdentity(with.Passphrase)
		ids = append(ids, id)
	case with.Identities != "" && with.Passphrase == "":
		ids, err = age.ParseIdentities(strings.NewReader(with.Identities))
	default:
		return nil, fault.New(fault.Refused, "backup_lock", "Give the identity file or the passphrase file of the packed keys.")
	}
	if err != nil {
		return nil, fault.Wrap(err, fault.Refused, "backup_lock", "The identity file is not one of age.")
	}
	opened, err := age.Decrypt(r, ids...)
	if err != nil {
		return nil, fault.Wrap(err, fault.Refused, "backup_locked", "This identity or passphrase does not open the packed keys.")
	}
	damaged := func(err error) error {
		return fault.Wrap(err, fault.Refused, "backup_damaged", "The packed keys are damaged.")
	}
	files := map[string][]byte{}
	t := tar.NewReader(opened)
	for {
		h, err := t.Next()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return nil, damaged(err)
		}
		if h.Typeflag != tar.TypeReg || !names.MatchString(h.Name) || h.Size > sizeLimit {
			return nil, damaged(fmt.Errorf("backup: it holds %q", h.Name))
		}
		var b bytes.Buffer
		if _, err := io.Copy(&b, t); err != nil {
			return nil, damaged(err)
		}
		files[h.Name] = b.Bytes()
	}
	if _, err := io.Copy(io.Discard, opened); err != nil { // to the end: age finds a cut there
		return nil, damaged(err)
	}
	if files["root.key"] == nil {
		return nil, damaged(errors.New("backup: there is no root key"))
	}
	return files, nil
}
