package server

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"perennial/internal/catalog"
	"perennial/internal/customer"
	"perennial/internal/fault"
	"perennial/internal/id"
	"perennial/internal/journal"
	"perennial/internal/privacy"
	"perennial/internal/program"
)

// alone runs a test in a process with mounts of its own: what it mounts is seen nowhere else and gone with it, and it takes no
// root. It says whether this is that process.
func alone(t *testing.T) bool {
	t.Helper()
	const inside = "PERENNIAL_TEST_MOUNTS"
	if os.Getenv(inside) != "" {
		return true
	}
	cmd := exec.CommandContext(t.Context(), os.Args[0], "-test.run=^"+t.Name()+"$", "-test.v", "-test.timeout=2m")
	cmd.Env = append(os.Environ(), inside+"=1")
	cmd.SysProcAttr = &syscall.SysProcAttr{Cloneflags: syscall.CLONE_NEWUSER | syscall.CLONE_NEWNS, Pdeathsig: syscall.SIGKILL,
		UidMappings: []syscall.SysProcIDMap{{ContainerID: 0, HostID: os.Getuid(), Size: 1}}, GidMappings: []syscall.SysProcIDMap{{ContainerID: 0, HostID: os.Getgid(), Size: 1}}}
	out, err := cmd.CombinedOutput()
	if err != nil && cmd.ProcessState == nil {
		t.Skipf("this machine gives a test no mounts of its own (scripts/needs.sh says so too): %v", err)
	}
	if err != nil {
		t.Errorf("%v\n%s", err, out)
	}
	return false
}

func mount(t *testing.T, source, dir, kind string, flags uintptr, options string) {
	t.Helper()
	if err := syscall.Mount(source, dir, kind, flags, options); err != nil {
		t.Fatalf("mount %s: %v", dir, err)
	}
	t.Cleanup(func() { _ = syscall.Unmount(dir, syscall.MNT_DETACH) }) // so that the folder can be removed; it may be done already
}

// readOnly makes a file or a folder one that can only be read, until it is unmounted.
func readOnly(t *testing.T, path string) {
	t.Helper()
	mount(t, path, path, "", syscall.MS_BIND, "")
	mount(t, path, path, "", syscall.MS_BIND|syscall.MS_REMOUNT|syscall.MS_RDONLY, "")
}

// unavailable says that an error tells a person what is wrong, and is no fault of the program.
func unavailable(t *testing.T, what string, err error, codes ...string) {
	t.Helper()
	f := fault.As(err)
	for _, code := range codes {
		if err != nil && f.Kind == fault.Unavailable && f.Code == code && f.Public != "" {
			return
		}
	}
	t.Errorf("%s: %v, want %s", what, err, strings.Join(codes, " or "))
}

func TestTheDiskIsFull(t *testing.T) {
	if !alone(t) {
		return
	}
	dir := t.TempDir()
	mount(t, "tmpfs", dir, "tmpfs", 0, "size=3m")
	c, _ := config(dir)
	i := open(t, c)
	found(t, i)
	made := map[id.ID]bool{}
	create := func() (id.ID, error) {
		key := i.IDs.New(id.Product)
		_, err := i.Program.Do(t.Context(), &program.Request{Meta: setup, Command: journal.Bind(catalog.CreateProduct{ID: key, Title: "Tea", Description: strings.Repeat("x", 4000)})})
		return key, err
	}
	for n := 0; ; n++ {
		key, err := create()
		if err != nil {
			unavailable(t, "on a full disk", err, "storage_full")
			break
		}
		if made[key] = true; n > 2000 {
			t.Fatal("the disk is never full")
		}
	}
	// What was acknowledged is there, and nothing of what was not; reading goes on, the index may be behind.
	check := func(when string) {
		t.Helper()
		rows, err := i.Store.List(t.Context(), i.Store.Read, journal.Product, "1 = 1")
		if err != nil || len(rows) != len(made) {
			t.Errorf("%s: %d products, %d were acknowledged, %v", when, len(rows), len(made), err)
		}
		for _, r := range rows {
			if !made[r.State.Ref().ID] {
				t.Errorf("%s: %s was refused and is there", when, r.State.Ref().ID)
			}
		}
		holds(t, c)
	}
	check("full")
	for range 3 {
		if key, err := create(); err == nil {
			made[key] = true // a smaller page was still free
		} else {
			unavailable(t, "still full", err, "storage_full")
		}
	}
	check("still full")
	mount(t, "tmpfs", dir, "tmpfs", syscall.MS_REMOUNT, "size=64m")
	for range 100 {
		key, err := create()
		if err != nil {
			t.Fatalf("after room was made: %v", err)
		}
		made[key] = true
	}
	if err := i.Finder.CatchUp(t.Context()); err != nil {
		t.Errorf("the index after room was made: %v", err)
	}
	if _, err := i.Program.Checkpoint(t.Context()); err != nil {
		t.Errorf("a checkpoint after room was made: %v", err)
	}
	check("with room")
	if err := i.Close(t.Context()); err != nil {
		t.Error(err)
	}
	holds(t, c)
}

// A start on a disk that is full already says so, and leaves what is there as it is.
func TestAStartOnAFullDisk(t *testing.T) {
	if !alone(t) {
		return
	}
	dir := t.TempDir()
	mount(t, "tmpfs", dir, "tmpfs", 0, "size=4m")
	c, _ := config(dir)
	i := open(t, c)
	found(t, i)
	if err := i.Close(t.Context()); err != nil {
		t.Fatal(err)
	}
	filler := filepath.Join(dir, "filler")
	fill := func() {
		t.Helper()
		f, err := os.Create(filler)
		if err != nil {
			t.Fatal(err)
		}
		for block := make([]byte, 4096); err == nil; {
			_, err = f.Write(block)
		}
		if cerr := f.Close(); cerr != nil || !errors.Is(err, syscall.ENOSPC) {
			t.Fatal(err, cerr)
		}
	}
	fill()
	if i, err := Open(t.Context(), c); err == nil {
		_, err = i.Program.Do(t.Context(), &program.Request{Meta: setup, Command: journal.Bind(catalog.CreateProduct{ID: i.IDs.New(id.Product), Title: "Tea"})})
		unavailable(t, "a change", err, "storage_full", "storage_failed")
		_ = i.Close(t.Context()) // what could not be written cannot be closed well either
	} else {
		unavailable(t, "a start", err, "storage_full", "storage_failed", "database_unwritable")
	}
	empty := c
	empty.Data = filepath.Join(dir, "new")
	_, err := Open(t.Context(), empty)
	unavailable(t, "a new shop", err, "storage_full", "keys_unwritable", "database_unwritable")
	if err := os.Remove(filler); err != nil {
		t.Fatal(err)
	}
	i = open(t, c)
	product(t, i)
	if err := i.Close(t.Context()); err != nil {
		t.Error(err)
	}
	holds(t, c)
	i = open(t, empty)
	found(t, i)
	if err := i.Close(t.Context()); err != nil {
		t.Error(err)
	}
	holds(t, empty)
}

func TestReadOnly(t *testing.T) {
	if !alone(t) {
		return
	}
	c, _ := config(t.TempDir())
	i := open(t, c)
	found(t, i)
	if err := i.Close(t.Context()); err != nil {
		t.Fatal(err)
	}
	for _, what := range []string{"", "perennial.db"} {
		path := filepath.Join(c.Data, what)
		readOnly(t, path)
		_, err := Open(t.Context(), c)
		unavailable(t, fmt.Sprintf("%q can only be read", what), err, "database_unwritable", "keys_unwritable")
		holds(t, c) // a copy on a medium that cannot be written can be verified
		empty := c
		empty.Data, empty.Keys = filepath.Join(path, "new"), ""
		if what != "perennial.db" {
			_, err = Open(t.Context(), empty)
			unavailable(t, "a new shop", err, "keys_unwritable", "database_unwritable")
		}
		if err := syscall.Unmount(path, 0); err != nil {
			t.Fatal(err)
		}
	}
	i = open(t, c)
	product(t, i)
	if _, err := i.Program.Checkpoint(t.Context()); err != nil {
		t.Error(err)
	}
	if err := i.Close(t.Context()); err != nil {
		t.Error(err)
	}
	holds(t, c)
}

// While the keys folder can only be read, work goes on. Checkpoints are refused, and what is left of an erasure is done later.
func TestKeysThatCanOnlyBeRead(t *testing.T) {
	if !alone(t) {
		return
	}
	c, log := config(t.TempDir())
	i := open(t, c)
	found(t, i)
	key := i.IDs.New(id.Customer)
	do(t, i, journal.Bind(customer.Create{ID: key, Email: "ada@mail.example"}))
	if err := i.Close(t.Context()); err != nil {
		t.Fatal(err)
	}
	i = open(t, c)
	keys := filepath.Join(c.Data, "keys")
	readOnly(t, keys)
	product(t, i)
	_, err := i.Program.Checkpoint(t.Context())
	unavailable(t, "a checkpoint", err, "keys_unwritable")
	do(t, i, journal.Bind(privacy.Redact{CustomerID: key, ConfirmEmail: "ada@mail.example"}))
	product(t, i)
	product(t, i)
	if n := strings.Count(log.String(), "keys_unwritable"); n != 1 || i.Store.Keys.Folder().Erased(string(key)) {
		t.Errorf("the log tells of it %d times:\n%s", n, log)
	}
	holds(t, c)
	if err := syscall.Unmount(keys, 0); err != nil {
		t.Fatal(err)
	}
	at, err := i.Program.Checkpoint(t.Context())
	if err != nil {
		t.Error(err)
	}
	if !i.Store.Keys.Folder().Erased(string(key)) {
		t.Error("the keys folder does not know of the erasure")
	}
	if kept, err := i.Store.Keys.Folder().LastCheckpoint(string(i.Store.Shop)); err != nil || string(kept) != at.Note {
		t.Errorf("the last checkpoint with the keys: %q, %v, want %q", kept, err, at.Note)
	}
	if err := i.Close(t.Context()); err != nil {
		t.Error(err)
	}
	holds(t, c)
}
