package torture

import (
	"context"
	"encoding/binary"
	"errors"
	"io"
	"math/rand/v2"
	"net/url"
	"os"
	"path/filepath"
	"sync"
	"unsafe"

	"modernc.org/libc"
	"modernc.org/sqlite"
	sqlite3 "modernc.org/sqlite/lib"
)

// A kill -9 loses nothing that was handed to the operating system, so it cannot tell a database that flushes from one that does
// not. A power cut can, and this file makes one for an embedded database. SQLite reaches its files through a VFS; the one here
// hands everything on to the usual one, and before each write that is not flushed yet it remembers, in a file beside, what it
// overwrites. A flush of a file forgets what was remembered of it. When the process was killed, cutPower puts back what
// was never flushed: all of it, or, as disks do, some of it.
//
// Folders are taken to be flushed: that a file was made or removed is never lost. The keys folder is not SQLite's, and stays.

// power is what the VFS of this process needs: SQLite keeps pointers to its functions where Go's collector does not look.
var power *unflushed

// unflushed is the VFS. mu guards the maps.
type unflushed struct {
	dir string
	vfs sqlite3.Tsqlite3_vfs // the usual one

	mu      sync.Mutex
	methods map[uintptr]uintptr // of the usual VFS, and ours in their place
	usual   map[uintptr]*sqlite3.Tsqlite3_io_methods
	open    map[uintptr]*memory // by SQLite's handle
	paths   map[string]*memory
}

// memory is what is not flushed of a file. mu is held over a write and its record, so that a flush forgets neither too much nor
// too little.
type memory struct {
	mu      sync.Mutex
	file    *os.File
	methods *sqlite3.Tsqlite3_io_methods
}

// shake prepares the ground of a server: power names a folder for what is not flushed, synchronous is SQLite's setting of that
// name. Each may be empty.
func shake(dir, synchronous string) error {
	if synchronous != "" {
		sqlite.RegisterConnectionHook(func(conn sqlite.ExecQuerierContext, _ string) error {
			_, err := conn.ExecContext(context.Background(), "PRAGMA synchronous = "+synchronous, nil)
			return err
		})
	}
	if dir == "" {
		return nil
	}
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return err
	}
	tls := libc.NewTLS()
	usual := sqlite3.Xsqlite3_vfs_find(tls, 0)
	power = &unflushed{dir: dir, vfs: *(*sqlite3.Tsqlite3_vfs)(at(usual)), methods: map[uintptr]uintptr{},
		usual: map[uintptr]*sqlite3.Tsqlite3_io_methods{}, open: map[uintptr]*memory{}, paths: map[string]*memory{}}
	name, err := libc.CString("torture")
	if err != nil {
		return err
	}
	ours := libc.Xcalloc(tls, 1, libc.Tsize_t(unsafe.Sizeof(power.vfs)))
	v := (*sqlite3.Tsqlite3_vfs)(at(ours))
	*v = power.vfs
	v.FzName = name
	*(*openFunc)(unsafe.Pointer(&v.FxOpen)) = openFile
	*(*deleteFunc)(unsafe.Pointer(&v.FxDelete)) = deleteFile
	if rc := sqlite3.Xsqlite3_vfs_register(tls, ours, 1); rc != sqlite3.SQLITE_OK {
		return errors.New("torture: the VFS cannot be registered")
	}
	return nil
}

// The functions of a VFS and of a file, as SQLite calls them.
type (
	openFunc     = func(tls *libc.TLS, vfs, name, file uintptr, flags int32, out uintptr) int32
	deleteFunc   = func(tls *libc.TLS, vfs, name uintptr, syncFolder int32) int32
	writeFunc    = func(tls *libc.TLS, file, buf uintptr, amount int32, offset int64) int32
	truncateFunc = func(tls *libc.TLS, file uintptr, size int64) int32
	syncFunc     = func(tls *libc.TLS, file uintptr, flags int32) int32
	sizeFunc     = func(tls *libc.TLS, file, size uintptr) int32
	closeFunc    = func(tls *libc.TLS, file uintptr) int32
)

// at is what is at an address of SQLite's memory, which Go does not move.
func at(p uintptr) unsafe.Pointer { return *(*unsafe.Pointer)(unsafe.Pointer(&p)) }

// function is one of SQLite's.
func function[F any](p uintptr) F { return *(*F)(unsafe.Pointer(&p)) }

func openFile(tls *libc.TLS, vfs, name, file uintptr, flags int32, out uintptr) int32 {
	rc := function[openFunc](power.vfs.FxOpen)(tls, vfs, name, file, flags, out)
	f := (*sqlite3.Tsqlite3_file)(at(file))
	if rc == sqlite3.SQLITE_OK && name != 0 && f.FpMethods != 0 {
		if err := power.remember(tls, file, f, libc.GoString(name)); err != nil {
			panic(err) // a server on this ground is of no use without it
		}
	}
	return rc
}

// remember puts our functions into an open file.
func (u *unflushed) remember(tls *libc.TLS, handle uintptr, f *sqlite3.Tsqlite3_file, path string) error {
	u.mu.Lock()
	defer u.mu.Unlock()
	usual := f.FpMethods
	if _, ok := u.methods[usual]; !ok {
		theirs := (*sqlite3.Tsqlite3_io_methods)(at(usual))
		ours := libc.Xcalloc(tls, 1, libc.Tsize_t(unsafe.Sizeof(*theirs)))
		m := (*sqlite3.Tsqlite3_io_methods)(at(ours))
		*m = *theirs
		*(*writeFunc)(unsafe.Pointer(&m.FxWrite)) = writeFile
		*(*truncateFunc)(unsafe.Pointer(&m.FxTruncate)) = truncateFile
		*(*syncFunc)(unsafe.Pointer(&m.FxSync)) = syncFile
		*(*closeFunc)(unsafe.Pointer(&m.FxClose)) = closeFile
		u.methods[usual], u.usual[usual] = ours, theirs
	}
	m := u.paths[path]
	if m == nil {
		file, err := os.OpenFile(filepath.Join(u.dir, url.PathEscape(path)), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
		if err != nil {
			return err
		}
		m = &memory{file: file, methods: u.usual[usual]}
		u.paths[path] = m
	}
	u.open[handle], f.FpMethods = m, u.methods[usual]
	return nil
}

func (u *unflushed) of(handle uintptr) *memory {
	u.mu.Lock()
	defer u.mu.Unlock()
	return u.open[handle]
}

func deleteFile(tls *libc.TLS, vfs, name uintptr, syncFolder int32) int32 {
	rc := function[deleteFunc](power.vfs.FxDelete)(tls, vfs, name, syncFolder)
	power.mu.Lock()
	m := power.paths[libc.GoString(name)]
	power.mu.Unlock()
	if m != nil {
		m.mu.Lock()
		defer m.mu.Unlock()
		m.forget()
	}
	return rc
}

func closeFile(tls *libc.TLS, file uintptr) int32 {
	m := power.of(file)
	power.mu.Lock()
	delete(power.open, file)
	power.mu.Unlock()
	return function[closeFunc](m.methods.FxClose)(tls, file)
}

func writeFile(tls *libc.TLS, file, buf uintptr, amount int32, offset int64) int32 {
	m := power.of(file)
	m.mu.Lock()
	defer m.mu.Unlock()
	m.record(tls, file, offset, int64(amount))
	return function[writeFunc](m.methods.FxWrite)(tls, file, buf, amount, offset)
}

func truncateFile(tls *libc.TLS, file uintptr, size int64) int32 {
	m := power.of(file)
	m.mu.Lock()
	defer m.mu.Unlock()
	if before := m.size(tls, file); size < before {
		m.record(tls, file, size, before-size)
	}
	return function[truncateFunc](m.methods.FxTruncate)(tls, file, size)
}

func syncFile(tls *libc.TLS, file uintptr, flags int32) int32 {
	m := power.of(file)
	m.mu.Lock()
	defer m.mu.Unlock()
	rc := function[syncFunc](m.methods.FxSync)(tls, file, flags)
	if rc == sqlite3.SQLITE_OK {
		m.forget()
	}
	return rc
}

func (m *memory) size(tls *libc.TLS, file uintptr) int64 {
	p := tls.Alloc(8)
	defer tls.Free(8)
	if rc := function[sizeFunc](m.methods.FxFileSize)(tls, file, p); rc != sqlite3.SQLITE_OK {
		panic("torture: no size of a file")
	}
	return *(*int64)(at(p))
}

// A record is: where a write begins, how long it is, how long the file was, and what it overwrites of it.
const recordHeader = 3 * 8

// record remembers what a write or a cut is about to overwrite.
func (m *memory) record(tls *libc.TLS, file uintptr, offset, amount int64) {
	before := m.size(tls, file)
	old := max(0, min(amount, before-offset))
	b := make([]byte, 0, recordHeader+old)
	for _, n := range []int64{offset, amount, before} {
		b = binary.LittleEndian.AppendUint64(b, uint64(n))
	}
	if old > 0 {
		p := libc.Xmalloc(tls, libc.Tsize_t(old))
		if rc := function[writeFunc](m.methods.FxRead)(tls, file, p, int32(old), offset); rc != sqlite3.SQLITE_OK {
			panic("torture: what is about to be overwritten cannot be read")
		}
		b = append(b, unsafe.Slice((*byte)(at(p)), old)...)
		libc.Xfree(tls, p)
	}
	if _, err := m.file.Write(b); err != nil {
		panic(err)
	}
}

func (m *memory) forget() {
	if err := m.file.Truncate(0); err != nil {
		panic(err)
	}
}

// cutPower makes of the files of a killed server what a power cut would have left. rng decides which of the writes that were not
// flushed are lost; nil: all.
func cutPower(dir string, rng *rand.Rand) error {
	memories, err := os.ReadDir(dir)
	if err != nil {
		return err
	}
	for _, e := range memories {
		path, err := url.PathUnescape(e.Name())
		if err != nil {
			return err
		}
		b, err := os.ReadFile(filepath.Join(dir, e.Name()))
		if err == nil {
			_, err = undo(path, b, rng)
		}
		if err == nil {
			err = os.Remove(filepath.Join(dir, e.Name()))
		}
		if err == nil {
			err = os.RemoveAll(path + "-shm") // it was in memory
		}
		if err != nil {
			return err
		}
	}
	return nil
}

type write struct {
	offset, amount, before int64
	old                    []byte
}

// undo takes back the writes that are remembered, the last one first.
func undo(path string, b []byte, rng *rand.Rand) (lost int, err error) {
	var writes []write
	for len(b) >= recordHeader {
		var n [3]int64
		for i := range n {
			n[i] = int64(binary.LittleEndian.Uint64(b[8*i:]))
		}
		w := write{offset: n[0], amount: n[1], before: n[2]}
		old := max(0, min(w.amount, w.before-w.offset))
		if int64(len(b)) < recordHeader+old {
			break // the process ended in the middle of the record, so before the write
		}
		w.old, b = b[recordHeader:recordHeader+old], b[recordHeader+old:]
		writes = append(writes, w)
	}
	if len(writes) == 0 {
		return 0, nil
	}
	f, err := os.OpenFile(path, os.O_RDWR, 0)
	if err != nil {
		return 0, err
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	for i := len(writes) - 1; i >= 0; i-- {
		w := writes[i]
		if rng != nil && rng.IntN(2) == 0 {
			continue // this one had reached the disk
		}
		lost++
		if err := w.undo(f, rng == nil); err != nil {
			return lost, err
		}
	}
	return lost, nil
}

// undo takes back one write. When all are taken back the file gets the length that it had; when others stay, what the write had
// made longer reads as zeros, as a block does that was never written.
func (w write) undo(f *os.File, all bool) error {
	if _, err := f.WriteAt(w.old, w.offset); err != nil {
		return err
	}
	if all {
		return f.Truncate(w.before)
	}
	size, err := f.Seek(0, io.SeekEnd)
	if err != nil {
		return err
	}
	from, to := w.offset+int64(len(w.old)), min(size, w.offset+w.amount)
	if from >= to {
		return nil
	}
	_, err = f.WriteAt(make([]byte, to-from), from)
	return err
}
