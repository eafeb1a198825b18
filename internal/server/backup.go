package server

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"time"

	"perennial/internal/audit"
	"perennial/internal/backup"
	"perennial/internal/db"
	"perennial/internal/fault"
	"perennial/internal/id"
	"perennial/internal/kinds"
	"perennial/internal/store"
	"perennial/internal/vault"
)

// Steps are told how a backup or a restore gets on: of pages that were copied, and of entries that were verified. Both may
// be nil.
type Steps struct {
	Copying   func(done, total int64)
	Verifying audit.Progress
}

// Backed says what a backup came to.
type Backed struct {
	File   string // the copy
	Keys   string // the packed keys; empty without them
	Report *audit.Report
}

// Backup copies the embedded database beside a running server, and verifies the copy before it gets its name: a file that
// does not exist yet, or one named after the shop and the time in a folder. With a lock the keys folder is packed beside it.
// A copy that does not verify is removed; the report says why.
func Backup(ctx context.Context, c Config, to string, lock *backup.Lock, steps Steps) (_ *Backed, err error) {
	s, done, err := OpenReadOnly(ctx, c)
	if err != nil {
		return nil, err
	}
	defer done()
	if st, err := os.Stat(to); strings.HasSuffix(to, "/") || err == nil && st.IsDir() {
		to = filepath.Join(to, fmt.Sprintf("perennial-%s-%s.db", s.Shop, time.Now().UTC().Format("20060102T150405Z")))
	}
	b := &Backed{File: to}
	if lock != nil {
		b.Keys = to + ".keys.age"
	}
	for _, name := range []string{b.File, b.Keys} {
		if _, err := os.Lstat(name); name != "" && err == nil {
			return nil, fault.New(fault.Conflict, "backup_exists", "The file %s exists already. A backup never replaces one.", name)
		}
	}
	// The keys first: they know the last checkpoint, and the copy has to be at least as new.
	folder := s.Keys.Folder()
	if err := folder.Freeze(string(s.Shop)); err != nil {
		return nil, err
	}
	var temporary []string
	defer func() {
		for _, name := range temporary {
			if rerr := os.Remove(name); rerr != nil && !errors.Is(rerr, os.ErrNotExist) {
				err = errors.Join(err, rerr)
			}
		}
	}()
	packed := ""
	if lock != nil {
		f, err := create(b.Keys)
		if err != nil {
			return nil, err
		}
		packed = f.Name()
		temporary = append(temporary, packed)
		err = errors.Join(backup.PackKeys(f, c.keysPath(), *lock), f.Sync(), f.Close())
		if err != nil {
			return nil, err
		}
	}
	f, err := create(to)
	if err != nil {
		return nil, err
	}
	copied := f.Name()
	temporary = append(temporary, copied, copied+"-wal", copied+"-shm")
	if err := f.Close(); err != nil {
		return nil, err
	}
	if err := s.DB.Backup(ctx, copied, steps.Copying); err != nil {
		return nil, err
	}
	if b.Report, err = verifyCopy(ctx, copied, folder, steps.Verifying); err != nil || !b.Report.Holds() {
		return b, err
	}
	if lock != nil {
		if err := os.Rename(packed, b.Keys); err != nil {
			return nil, unwritable(err, b.Keys)
		}
	}
	if err := os.Rename(copied, to); err != nil {
		return nil, unwritable(err, to)
	}
	return b, syncFolder(filepath.Dir(to))
}

// create makes a new file beside the one that it will become, for nobody else to read.
func create(name string) (*os.File, error) {
	f, err := os.CreateTemp(filepath.Dir(name), "."+filepath.Base(name)+".*.partial")
	if err != nil {
		return nil, unwritable(err, name)
	}
	return f, nil
}

func unwritable(err error, name string) error {
	return fault.Wrap(err, fault.Unavailable, "backup_unwritable", "The file %s cannot be written: is its folder there, and has it room?", name)
}

func syncFolder(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}

func verifyCopy(ctx context.Context, file string, folder *vault.Folder, progress audit.Progress) (*audit.Report, error) {
	d, err := db.Open(ctx, file, db.Options{ReadOnly: true})
	if err != nil {
		return nil, err
	}
	defer func() { _ = d.Close() }() // it was only read
	s, err := store.Open(ctx, d, folder, kinds.Mappings(), func() id.ID { return "" })
	if err != nil {
		return nil, err
	}
	began := time.Now()
	r, err := audit.Verify(ctx, s, progress)
	if r != nil {
		r.Took = time.Since(began)
	}
	return r, err
}

// Restore puts a backup into the place of a database that is not there, and verifies it. Packed keys are unpacked into a keys folder
// that is not there either; keys may be empty.
func Restore(ctx context.Context, c Config, from, keys string, with backup.Unlock, steps Steps) (*audit.Report, error) {
	if db.IsURL(c.Database) {
		return nil, fault.New(fault.Refused, "backup_engine", "A backup of an embedded database goes into a file. To move it into a PostgreSQL, restore it and use perennial copy.")
	}
	place := c.Database
	if place == "" {
		place = filepath.Join(c.Data, "perennial.db")
	}
	for _, name := range []string{place, place + "-wal", place + "-shm"} {
		if _, err := os.Lstat(name); err == nil {
			return nil, fault.New(fault.Conflict, "database_exists", "There is a file %s. Stop the server, and move the database away with its -wal and -shm.", name)
		}
	}
	if err := os.MkdirAll(filepath.Dir(place), 0o700); err != nil {
		return nil, unwritable(err, place)
	}
	if keys != "" {
		f, err := os.Open(keys)
		if err != nil {
			return nil, fault.Wrap(err, fault.Unavailable, "backup_unreadable", "The file %s cannot be read.", keys)
		}
		if err := errors.Join(backup.UnpackKeys(f, c.keysPath(), with), f.Close()); err != nil {
			return nil, err
		}
	}
	if _, err := vault.OpenReadOnly(c.keysPath()); err != nil { // before anything is copied that it could not open
		return nil, err
	}
	if err := copyFile(ctx, from, place, steps.Copying); err != nil {
		return nil, err
	}
	c.Database = place
	return Verify(ctx, c, steps.Verifying)
}

// copyFile copies a file durably; the copy gets its name when it is whole.
func copyFile(ctx context.Context, from, to string, progress func(done, total int64)) error {
	in, err := os.Open(from)
	if err != nil {
		return fault.Wrap(err, fault.Unavailable, "backup_unreadable", "The file %s cannot be read.", from)
	}
	defer in.Close()
	st, err := in.Stat()
	if err != nil {
		return err
	}
	out, err := create(to)
	if err != nil {
		return err
	}
	for done := int64(0); err == nil; {
		var n int64
		n, err = io.CopyN(out, in, 16<<20)
		if done += n; progress != nil && n > 0 {
			progress(done, st.Size())
		}
		if err == nil {
			err = ctx.Err()
		}
	}
	if errors.Is(err, io.EOF) {
		err = out.Sync()
	}
	if err = errors.Join(err, out.Close()); err == nil {
		err = os.Rename(out.Name(), to)
	}
	if err != nil {
		return errors.Join(unwritable(err, to), os.Remove(out.Name()))
	}
	return syncFolder(filepath.Dir(to))
}
