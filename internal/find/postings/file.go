package postings

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"net/url"
	"os"
	"runtime"

	"modernc.org/sqlite"
	sqlite3 "modernc.org/sqlite/lib"
)

const (
	applicationID = 0x50657246 // "PerF"
	// formatVersion counts changes of the tables, of blocks, of the hash. A file with another one is made anew.
	formatVersion = 1
	lockSuffix    = "-lock"
)

var schema = []string{
	// A row says that a run exists. run is a number that no block of the file had before. sum is the CRC-32C of the two blobs.
	`CREATE TABLE run (shop_id TEXT NOT NULL, run INTEGER NOT NULL, seq_from INTEGER NOT NULL, seq_to INTEGER NOT NULL, keys INTEGER NOT NULL,
		bytes INTEGER NOT NULL, sum INTEGER NOT NULL, block_index BLOB NOT NULL, bloom BLOB NOT NULL, PRIMARY KEY (shop_id, run), UNIQUE (shop_id, seq_from)) STRICT`,
	`CREATE TABLE run_block (shop_id TEXT NOT NULL, run INTEGER NOT NULL, no INTEGER NOT NULL, body BLOB NOT NULL, PRIMARY KEY (shop_id, run, no)) STRICT`,
	fmt.Sprintf(`PRAGMA application_id = %d`, applicationID),
	fmt.Sprintf(`PRAGMA user_version = %d`, formatVersion),
}

// Open opens the index file at path and makes it when it is missing. A file that is damaged, or of another format of
// this package, is removed and made anew, empty; a database of something else is refused. The path ":memory:" means
// a file in the system's temporary folder that Close removes: SQLite's own memory databases let readers wait for writers.
func Open(ctx context.Context, path string, opt Options) (*Index, error) {
	if opt.TailEvents <= 0 {
		opt.TailEvents = defaultTail
	}
	opt.TailEvents = min(opt.TailEvents, maxTail)
	temporary := path == ":memory:"
	if temporary {
		f, err := os.CreateTemp("", "postings-*.db")
		if err != nil {
			return nil, fmt.Errorf("postings: %w", err)
		}
		path = f.Name()
		if err := f.Close(); err != nil {
			return nil, fmt.Errorf("postings: %w", err)
		}
	}
	x := &Index{path: path, temporary: temporary, opt: opt}
	if err := x.takeLock(); err != nil {
		return nil, err
	}
	orphans, err := x.openFile(ctx)
	if errors.Is(err, ErrDamaged) {
		x.logf("%s is made anew: %v", path, err)
		if err = Remove(path); err == nil {
			orphans, err = x.openFile(ctx)
		}
	}
	if err != nil {
		return nil, errors.Join(err, x.closeFile())
	}
	x.start(ctx, orphans)
	return x, nil
}

// OpenReadOnly opens what was written into an index file, as it is at this moment, also while another process has it open: what that one has
// in memory is not there. It changes nothing. Only Search, Next, Stats, DB, whose writer is nil, and Close may be called.
func OpenReadOnly(ctx context.Context, path string) (_ *Index, err error) {
	if _, err := os.Stat(path); err != nil {
		return nil, fmt.Errorf("postings: %w", err)
	}
	x := &Index{path: path, changed: make(chan struct{}), stop: func() {}}
	defer func() {
		if err != nil {
			err = errors.Join(x.fileError("open", err), x.closeConnections())
		}
	}()
	// One connection in one transaction: what a merge replaces meanwhile stays.
	if x.reader, err = x.connect("deferred", 1, "busy_timeout(10000)", "query_only(ON)", "cache_size(-8192)"); err != nil {
		return nil, err
	}
	if _, err = x.reader.ExecContext(ctx, `BEGIN`); err != nil {
		return nil, err
	}
	var application, version int
	if err = x.reader.QueryRowContext(ctx, `PRAGMA application_id`).Scan(&application); err != nil {
		return nil, err
	}
	if err = x.reader.QueryRowContext(ctx, `PRAGMA user_version`).Scan(&version); err != nil {
		return nil, err
	}
	if application != applicationID || version != formatVersion {
		return nil, ErrOther
	}
	if x.readBlock, err = x.reader.PrepareContext(ctx, readBlock); err != nil {
		return nil, err
	}
	x.shops, err = loadRuns(ctx, x.reader)
	return x, err
}

const readBlock = `SELECT body FROM run_block WHERE shop_id = $1 AND run = $2 AND no = $3`

// openFile opens the connections and loads what the file says. When it fails, nothing is left open.
func (x *Index) openFile(ctx context.Context) (orphans []*run, err error) {
	defer func() {
		if err != nil {
			err = errors.Join(x.fileError("open", err), x.closeConnections())
		}
	}()
	f, err := os.OpenFile(x.path, os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, err
	}
	if err := f.Close(); err != nil {
		return nil, err
	}
	synchronous := "NORMAL"
	if x.temporary {
		synchronous = "OFF"
	}
	// secure_delete is for the tables of others, which may hold personal values; sweeping blocks turns it off.
	x.writer, err = x.connect("immediate", 1, "busy_timeout(10000)", fmt.Sprintf("page_size(%d)", pageSize), "journal_mode(WAL)",
		"synchronous("+synchronous+")", "wal_autocheckpoint(2000)", "journal_size_limit(67108864)", "secure_delete(ON)", "cache_size(-16384)", "temp_store(MEMORY)")
	if err != nil {
		return nil, err
	}
	if err := x.ensureSchema(ctx); err != nil {
		return nil, err
	}
	x.reader, err = x.connect("deferred", max(4, 2*runtime.GOMAXPROCS(0)), "busy_timeout(10000)", "query_only(ON)", "cache_size(-8192)", "mmap_size(268435456)")
	if err != nil {
		return nil, err
	}
	if x.readBlock, err = x.reader.PrepareContext(ctx, readBlock); err != nil {
		return nil, err
	}
	if x.shops, err = loadRuns(ctx, x.reader); err != nil {
		return nil, err
	}
	if orphans, err = loadOrphans(ctx, x.reader); err != nil {
		return nil, err
	}
	for _, s := range x.shops {
		for _, r := range s.runs {
			x.nextRun = max(x.nextRun, r.id+1)
		}
	}
	for _, r := range orphans {
		x.nextRun = max(x.nextRun, r.id+1)
	}
	return orphans, nil
}

func (x *Index) connect(txlock string, connections int, pragmas ...string) (*sql.DB, error) {
	v := url.Values{"_txlock": {txlock}, "_pragma": pragmas}
	d, err := sql.Open("sqlite", "file:"+(&url.URL{Path: x.path}).EscapedPath()+"?"+v.Encode())
	if err != nil {
		return nil, err
	}
	d.SetMaxOpenConns(connections)
	d.SetMaxIdleConns(connections)
	return d, nil
}

// ensureSchema makes the tables in an empty file and refuses another one's.
func (x *Index) ensureSchema(ctx context.Context) error {
	var application, version, tables int
	for _, p := range []struct {
		text string
		to   *int
	}{{`PRAGMA application_id`, &application}, {`PRAGMA user_version`, &version}, {`SELECT COUNT(*) FROM sqlite_schema`, &tables}} {
		if err := x.writer.QueryRowContext(ctx, p.text).Scan(p.to); err != nil {
			return err
		}
	}
	switch {
	case tables == 0:
		return x.inTx(ctx, func(tx *sql.Tx) error {
			for _, text := range schema {
				if _, err := tx.ExecContext(ctx, text); err != nil {
					return err
				}
			}
			return nil
		})
	case application != applicationID:
		return fmt.Errorf("%s is a database of something else", x.path)
	case version != formatVersion:
		return fmt.Errorf("%w: format %d, wanted %d", ErrDamaged, version, formatVersion)
	}
	return nil
}

// fileError says what went wrong with the file, in a way that errors.Is tells damage and closing from the rest.
func (x *Index) fileError(doing string, err error) error {
	x.mu.RLock()
	closed := x.closed
	x.mu.RUnlock()
	if closed {
		return fmt.Errorf("%w: %w", ErrClosed, err)
	}
	if errors.Is(err, ErrDamaged) {
		return err
	}
	if e, ok := errors.AsType[*sqlite.Error](err); ok {
		switch code := e.Code(); {
		case code&0xff == sqlite3.SQLITE_CORRUPT, code&0xff == sqlite3.SQLITE_NOTADB, code == sqlite3.SQLITE_IOERR_SHORT_READ,
			code == sqlite3.SQLITE_ERROR: // our own texts against tables that are not ours
			return fmt.Errorf("%w: %w", ErrDamaged, err)
		}
	}
	return fmt.Errorf("postings: %s %s: %w", doing, x.path, err)
}

// takeLock keeps other processes and other indexes out for as long as the file is open, by an exclusive lock of SQLite
// on a file beside it. The operating system gives it back when a process dies.
func (x *Index) takeLock() error {
	var err error
	v := url.Values{"_txlock": {"exclusive"}, "_pragma": {"busy_timeout(1000)", "journal_mode(MEMORY)"}}
	if x.lock, err = sql.Open("sqlite", "file:"+(&url.URL{Path: x.path + lockSuffix}).EscapedPath()+"?"+v.Encode()); err != nil {
		return fmt.Errorf("postings: %w", err)
	}
	if x.locked, err = x.lock.BeginTx(context.Background(), nil); err != nil {
		err = errors.Join(err, x.lock.Close())
		if e, ok := errors.AsType[*sqlite.Error](err); ok && e.Code()&0xff == sqlite3.SQLITE_BUSY {
			return fmt.Errorf("%w: %s: %w", ErrInUse, x.path, err)
		}
		return fmt.Errorf("postings: lock %s: %w", x.path, err)
	}
	return nil
}

func (x *Index) closeConnections() error {
	var errs []error
	for _, d := range []*sql.DB{x.reader, x.writer} {
		if d != nil {
			errs = append(errs, d.Close())
		}
	}
	return errors.Join(errs...)
}

// closeFile closes everything.
func (x *Index) closeFile() error {
	err := x.closeConnections()
	if x.temporary {
		err = errors.Join(err, Remove(x.path))
	}
	if x.lock == nil { // it was opened for reading only
		return err
	}
	err = errors.Join(err, x.locked.Rollback(), x.lock.Close())
	if x.temporary {
		err = errors.Join(err, os.Remove(x.path+lockSuffix))
	}
	return err
}

// Remove removes an index file that is not open, with what belongs to it. The lock beside it stays.
func Remove(path string) error {
	var errs []error
	for _, suffix := range []string{"", "-wal", "-shm", "-journal"} {
		if err := os.Remove(path + suffix); err != nil && !errors.Is(err, os.ErrNotExist) {
			errs = append(errs, err)
		}
	}
	return errors.Join(errs...)
}
