// Package db opens a database and knows where engines differ. Everything above writes one SQL text, with $n
// placeholders and the subset that SQLite and PostgreSQL share.
//
// An embedded database has one writing connection and a pool of reading ones. It runs in WAL mode with
// synchronous=FULL: a commit that returned survives a power cut. A PostgreSQL is used by several processes at once; its
// commits are synchronous too.
package db

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"net/url"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"modernc.org/sqlite"
	sqlite3 "modernc.org/sqlite/lib"

	"perennial/internal/fault"
)

// Engine is what keeps the data.
type Engine string

// The engines.
const (
	SQLite   Engine = "sqlite"
	Postgres Engine = "postgres"
)

// DB is one database: what writes, and what reads.
type DB struct {
	Engine Engine
	Writer *sql.DB // of SQLite exactly one connection; nil when only reading
	Reader *sql.DB
	Owner  *sql.DB // who may change the schema; of SQLite the writer; nil when only reading
	Path   string  // of the file, or the address without its password

	mover  *sql.DB // moves SQLite's write-ahead log into the file; nil when only reading, and when relaxed
	listen *pgx.ConnConfig
}

// BeginWrite is the statement that begins a writing transaction.
func (d *DB) BeginWrite() string {
	if d.Engine == Postgres {
		return `BEGIN`
	}
	return `BEGIN IMMEDIATE`
}

// Clock is what a database server's own clock says.
func (d *DB) Clock(ctx context.Context) (t time.Time, err error) {
	err = d.Reader.QueryRowContext(ctx, `SELECT clock_timestamp()`).Scan(&t)
	return t, Fault(err)
}

// BeginSnapshot is the statement that begins a transaction which only reads and sees one state of the database.
func (d *DB) BeginSnapshot() string {
	if d.Engine == Postgres {
		return `BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY`
	}
	return `BEGIN`
}

// Contains is the condition that a column holds a text, which is the argument of a placeholder.
func (d *DB) Contains(column, placeholder string) string {
	if d.Engine == Postgres {
		return `strpos(` + column + `, ` + placeholder + `) > 0`
	}
	return `instr(` + column + `, ` + placeholder + `) > 0`
}

// Options say how to open an embedded database.
type Options struct {
	// ReadOnly opens without ever writing, as verification does beside a running server.
	ReadOnly bool
	// Relaxed turns synchronous off: a crash of the machine may lose the file. Only for making a demo's history.
	Relaxed bool
}

// Open opens the embedded database at path, and makes it when it is missing. A file that cannot be written is refused
// with a fault that says so.
func Open(ctx context.Context, path string, opt Options) (*DB, error) {
	if opt.ReadOnly {
		if _, err := os.Stat(path); err != nil {
			return nil, fault.Wrap(err, fault.Unavailable, "database_missing", "There is no database at %s.", path)
		}
	} else if err := writable(path); err != nil {
		return nil, err
	}
	synchronous := "FULL"
	if opt.Relaxed {
		synchronous = "OFF"
	}
	d := &DB{Engine: SQLite, Path: path}
	var err error
	if !opt.ReadOnly {
		d.Writer, err = sql.Open("sqlite", dsn(path, url.Values{
			"_txlock":       {"immediate"},
			"_journal_mode": {"WAL"}, // after page_size, which an existing file keeps as it is
			"_pragma": {"busy_timeout(10000)", "page_size(8192)", "synchronous(" + synchronous + ")", "foreign_keys(ON)",
				"wal_autocheckpoint(8000)", "journal_size_limit(67108864)", "secure_delete(ON)", "cache_size(-65536)", "temp_store(MEMORY)"},
		}))
		if err != nil {
			return nil, err
		}
		d.Writer.SetMaxOpenConns(1)
		d.Owner = d.Writer
		if !opt.Relaxed { // what it moves is synced, which nobody waits for then
			if d.mover, err = sql.Open("sqlite", dsn(path, url.Values{"_pragma": {"synchronous(FULL)", "cache_size(-256)"}})); err != nil {
				return nil, errors.Join(err, d.Writer.Close())
			}
			d.mover.SetMaxOpenConns(1)
		}
		if err := d.Writer.PingContext(ctx); err != nil {
			return nil, errors.Join(Fault(err), d.Close())
		}
	}
	if err := d.read(ctx, url.Values{}); err != nil {
		if e, ok := errors.AsType[*sqlite.Error](err); !ok || e.Code()&0xff != sqlite3.SQLITE_CANTOPEN || !opt.ReadOnly {
			return nil, errors.Join(Fault(err), d.Close())
		}
		// On a medium that cannot be written, SQLite has to be told that nobody else writes there. It would leave out what is in a
		// write-ahead log then, and not see a server.
		log, _ := os.Stat(path + "-wal")
		if _, err := os.Stat(path + "-shm"); err == nil || log != nil && log.Size() > 0 {
			return nil, errors.Join(fault.New(fault.Unavailable, "database_unwritable",
				"The database %s is in use or was not closed, and nothing can be written beside it: copy it with its -wal file to where that can be.",
				path), d.Close())
		}
		if err := errors.Join(d.Close(), d.read(ctx, url.Values{"immutable": {"1"}})); err != nil {
			return nil, errors.Join(Fault(err), d.Close())
		}
	}
	return d, nil
}

// OpenMemory opens an embedded database in memory, of one connection: it is gone when it is closed.
func OpenMemory(ctx context.Context) (*DB, error) {
	pool, err := sql.Open("sqlite", "file::memory:?_pragma=foreign_keys(ON)")
	if err != nil {
		return nil, err
	}
	pool.SetMaxOpenConns(1)
	d := &DB{Engine: SQLite, Path: ":memory:", Writer: pool, Reader: pool, Owner: pool}
	if err := pool.PingContext(ctx); err != nil {
		return nil, errors.Join(Fault(err), d.Close())
	}
	return d, nil
}

// read opens the pool of connections that read.
func (d *DB) read(ctx context.Context, v url.Values) (err error) {
	v["_txlock"] = []string{"deferred"}
	v["_pragma"] = []string{"busy_timeout(10000)", "query_only(ON)", "cache_size(-16384)", "mmap_size(268435456)"}
	if d.Reader, err = sql.Open("sqlite", dsn(d.Path, v)); err != nil {
		return err
	}
	d.Reader.SetMaxOpenConns(max(4, 2*runtime.GOMAXPROCS(0)))
	d.Reader.SetMaxIdleConns(max(4, 2*runtime.GOMAXPROCS(0)))
	return d.Reader.PingContext(ctx)
}

func dsn(path string, v url.Values) string {
	return "file:" + (&url.URL{Path: path}).EscapedPath() + "?" + v.Encode()
}

// MoveLog moves what it can of SQLite's write-ahead log into the file, beside whoever reads and writes, and gives how many pages the
// log has: it begins anew when all of it is moved and nobody reads of it. The log that a commit makes too long is moved by that
// commit, and everybody waits.
func (d *DB) MoveLog(ctx context.Context) (pages int, err error) {
	if d.mover == nil {
		return 0, nil
	}
	return MoveLog(ctx, d.mover)
}

// MoveLog is the method of that name on a connection.
func MoveLog(ctx context.Context, q Querier) (pages int, err error) {
	var busy, moved int
	err = q.QueryRowContext(ctx, `PRAGMA wal_checkpoint(PASSIVE)`).Scan(&busy, &pages, &moved)
	return pages, Fault(err)
}

// writable tells a read-only file or folder apart before SQLite does, in words that help.
func writable(path string) error {
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		return fault.Wrap(err, fault.Unavailable, "database_unwritable", "The folder %s cannot be made.", filepath.Dir(path))
	}
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return fault.Wrap(err, fault.Unavailable, "database_unwritable",
			"The database %s cannot be written: check its permissions and its file system.", path)
	}
	return f.Close()
}

// Close closes all connections.
func (d *DB) Close() error {
	var errs []error
	if d.Reader != nil {
		errs = append(errs, d.Reader.Close())
	}
	if d.Writer != nil {
		errs = append(errs, d.Writer.Close())
	}
	if d.Owner != nil && d.Owner != d.Writer {
		errs = append(errs, d.Owner.Close())
	}
	if d.mover != nil {
		errs = append(errs, d.mover.Close())
	}
	return errors.Join(errs...)
}

// IsConstraint says whether the database refused a statement by a constraint or by a trigger's RAISE.
func IsConstraint(err error) bool {
	if e, ok := errors.AsType[*pgconn.PgError](err); ok {
		return strings.HasPrefix(e.Code, "23")
	}
	e, ok := errors.AsType[*sqlite.Error](err)
	return ok && e.Code()&0xff == sqlite3.SQLITE_CONSTRAINT
}

// FromEngine says whether an error is one of the engine, or of the way to it: it says nothing of what is stored.
func FromEngine(err error) bool {
	if err == nil {
		return false
	}
	if _, ok := errors.AsType[*sqlite.Error](err); ok {
		return true
	}
	if _, ok := errors.AsType[*pgconn.PgError](err); ok {
		return true
	}
	return Lost(err) || errors.Is(err, context.Canceled) || errors.Is(err, context.DeadlineExceeded)
}

// IndexDamage gives the words of a check that found an index of PostgreSQL damaged, empty when err is something else.
func IndexDamage(err error) string {
	if e, ok := errors.AsType[*pgconn.PgError](err); ok && (e.Code == "XX001" || e.Code == "XX002") {
		return e.Message
	}
	return ""
}

// Fault turns an engine's error into one that a person understands. It keeps faults as they are.
func Fault(err error) error {
	if err == nil {
		return nil
	}
	if _, ok := errors.AsType[*fault.Error](err); ok {
		return err
	}
	if f := faultOf(err); f != nil {
		return f
	}
	e, ok := errors.AsType[*sqlite.Error](err)
	if !ok {
		return err
	}
	switch e.Code() & 0xff {
	case sqlite3.SQLITE_FULL:
		return fault.Wrap(err, fault.Unavailable, "storage_full", "The disk that holds the database is full. Nothing was changed.")
	case sqlite3.SQLITE_READONLY, sqlite3.SQLITE_CANTOPEN, sqlite3.SQLITE_PERM:
		return fault.Wrap(err, fault.Unavailable, "database_unwritable", "The database cannot be written. Nothing was changed.")
	case sqlite3.SQLITE_IOERR:
		return fault.Wrap(err, fault.Unavailable, "storage_failed", "The disk that holds the database reports an error. Nothing was changed.")
	case sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED:
		return fault.Wrap(err, fault.Unavailable, "database_busy", "The database is held by another program. Try again.")
	case sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB:
		return fault.Wrap(err, fault.Unavailable, "database_damaged",
			"The file is not a database, or it is damaged. Run perennial verify, and restore a backup.")
	}
	return err
}

// Refusal gives the words of a trigger that refused, empty when err is something else.
func Refusal(err error) string {
	if err == nil || !IsConstraint(err) {
		return ""
	}
	if e, ok := errors.AsType[*pgconn.PgError](err); ok {
		words, ok := strings.CutPrefix(e.Message, "perennial: ")
		if !ok {
			return ""
		}
		return words
	}
	_, words, ok := strings.Cut(err.Error(), "perennial: ")
	if !ok {
		return ""
	}
	words, _, _ = strings.Cut(words, " (")
	return words
}

// Querier is what reads: a database, a transaction or a connection.
type Querier interface {
	QueryContext(ctx context.Context, query string, args ...any) (*sql.Rows, error)
	QueryRowContext(ctx context.Context, query string, args ...any) *sql.Row
}

// Each runs a query and calls scan for every row.
func Each(ctx context.Context, q Querier, scan func(*sql.Rows) error, query string, args ...any) error {
	rows, err := q.QueryContext(ctx, query, args...)
	if err != nil {
		return err
	}
	defer rows.Close()
	for rows.Next() {
		if err := scan(rows); err != nil {
			return err
		}
	}
	return rows.Err()
}

// Placeholders gives "$from, $from+1, …" for n values.
func Placeholders(from, n int) string {
	var b strings.Builder
	for i := range n {
		if i > 0 {
			b.WriteString(", ")
		}
		fmt.Fprintf(&b, "$%d", from+i)
	}
	return b.String()
}
