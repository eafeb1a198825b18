package db

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"errors"
	"fmt"
	"io"
	"maps"
	"net"
	"net/url"
	"runtime"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/stdlib"

	"perennial/internal/fault"
)

// Role is who the server is in PostgreSQL, whoever it connects as: it may insert into the journal and read it, and no
// more.
const Role = "perennial_app"

// Channel is where a commit is told to the other processes.
const Channel = "perennial"

// idleInTransaction is after how long the server gives up a transaction of a process that froze, so that it does not hold
// a shop's head from the others.
const idleInTransaction = 15 * time.Second

// IsURL says whether a database is named by the URL of a PostgreSQL.
func IsURL(database string) bool {
	return strings.HasPrefix(database, "postgres://") || strings.HasPrefix(database, "postgresql://")
}

// Redacted is a database's name without its password.
func Redacted(database string) string {
	if u, err := url.Parse(database); err == nil && IsURL(database) {
		return u.Redacted()
	}
	return database
}

// OpenPostgres opens a PostgreSQL of version 15 or newer. Owner connects as the URL says; Writer and Reader connect so too
// and become Role, which has to be there by the time they are first used.
func OpenPostgres(ctx context.Context, address string, opt Options) (*DB, error) {
	base, err := pgx.ParseConfig(address)
	if err != nil {
		return nil, fault.New(fault.Unavailable, "database_url",
			"The address %s is not one of a PostgreSQL: postgres://user:password@host:port/database.", Redacted(address))
	}
	base.RuntimeParams["application_name"] = "perennial"
	base.RuntimeParams["search_path"] = "public"
	if base.ConnectTimeout == 0 {
		base.ConnectTimeout = 5 * time.Second
	}
	open := func(role string, params map[string]string, conns int) *sql.DB {
		c := base.Copy()
		maps.Copy(c.RuntimeParams, params)
		d := stdlib.OpenDB(*c, stdlib.OptionAfterConnect(func(ctx context.Context, conn *pgx.Conn) error {
			if role == "" {
				return nil
			}
			_, err := conn.Exec(ctx, "SET ROLE "+role)
			return err
		}))
		d.SetMaxOpenConns(conns)
		d.SetMaxIdleConns(conns)
		d.SetConnMaxIdleTime(5 * time.Minute)
		return d
	}
	d := &DB{Engine: Postgres, Path: Redacted(address), listen: base}
	if opt.ReadOnly {
		d.Reader = open("", map[string]string{"default_transaction_read_only": "on"}, 4)
		return d, d.reachable(ctx, d.Reader)
	}
	commit := "on"
	if opt.Relaxed {
		commit = "off"
	}
	d.Owner = open("", nil, 2)
	// Whoever writes looks things up by key, and so do the triggers. A plan that was made while a table was small, and is kept, must
	// not read all of it when it has grown; and a plan for each time costs more than what it is for.
	d.Writer = open(
		Role,
		map[string]string{"synchronous_commit": commit, "idle_in_transaction_session_timeout": fmt.Sprint(idleInTransaction.Milliseconds()),
			"enable_seqscan": "off", "jit": "off", "plan_cache_mode": "force_generic_plan"},
		8,
	)
	d.Reader = open(Role, nil, max(8, 4*runtime.GOMAXPROCS(0)))
	return d, d.reachable(ctx, d.Owner)
}

// reachable refuses a server that cannot be reached or is too old, and closes everything then.
func (d *DB) reachable(ctx context.Context, pool *sql.DB) error {
	var version int
	err := pool.QueryRowContext(ctx, `SELECT current_setting('server_version_num')::int`).Scan(&version)
	if err == nil && version < 150000 {
		err = fault.New(fault.Unavailable, "database_old", "PostgreSQL 15 or newer is needed; this is %d.", version/10000)
	}
	if err != nil {
		return errors.Join(Fault(err), d.Close())
	}
	return nil
}

// Listen calls got with the words of every notification on Channel, until the context ends, and with no words each time
// it is connected (anew): what was told in between is lost. It holds a connection of its own; on SQLite it only waits, as there is no
// other process.
func (d *DB) Listen(ctx context.Context, got func(payload string)) {
	if d.Engine != Postgres {
		<-ctx.Done()
		return
	}
	for ctx.Err() == nil {
		if err := d.hear(ctx, got); err != nil && ctx.Err() == nil {
			select {
			case <-ctx.Done():
			case <-time.After(500 * time.Millisecond):
			}
		}
	}
}

func (d *DB) hear(ctx context.Context, got func(payload string)) error {
	conn, err := pgx.ConnectConfig(ctx, d.listen.Copy())
	if err != nil {
		return err
	}
	defer func() { _ = conn.Close(context.WithoutCancel(ctx)) }() // it only listened
	if _, err := conn.Exec(ctx, "LISTEN "+Channel); err != nil {
		return err
	}
	got("")
	for {
		n, err := conn.WaitForNotification(ctx)
		if err != nil {
			return err
		}
		got(n.Payload)
	}
}

// Statement is one of several that are sent to PostgreSQL together.
type Statement struct {
	Text string
	Args []any
	Each func(scan func(into ...any) error) error // called for each of its rows; nil: it gives none
}

// Send runs statements on a connection to PostgreSQL in one way there and back. After one that fails, none is run.
func Send(ctx context.Context, c *sql.Conn, statements []Statement) error {
	var b pgx.Batch
	for _, s := range statements {
		if q := b.Queue(s.Text, s.Args...); s.Each != nil {
			q.Query(func(rows pgx.Rows) error {
				for rows.Next() {
					if err := s.Each(rows.Scan); err != nil {
						return err
					}
				}
				return rows.Err()
			})
		}
	}
	return c.Raw(func(driver any) error { return driver.(*stdlib.Conn).Conn().SendBatch(ctx, &b).Close() })
}

// Lost says that an error tells of a connection that is gone: what was asked for by the statement may have happened if it
// was a COMMIT, and has not otherwise.
func Lost(err error) bool {
	if err == nil {
		return false
	}
	if e, ok := errors.AsType[*pgconn.PgError](err); ok {
		switch {
		case strings.HasPrefix(e.Code, "08"), strings.HasPrefix(e.Code, "57P"), e.Code == "25P03":
			return true
		}
		return false
	}
	if _, ok := errors.AsType[*pgconn.ConnectError](err); ok {
		return true
	}
	if _, ok := errors.AsType[*net.OpError](err); ok {
		return true
	}
	return errors.Is(err, driver.ErrBadConn) || errors.Is(err, sql.ErrConnDone) ||
		errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) ||
		errors.Is(err, net.ErrClosed) || pgconn.SafeToRetry(err) ||
		strings.Contains(err.Error(), "conn closed")
}

// Again says that a transaction failed for a reason that goes away by trying again: a deadlock, a serialisation failure.
func Again(err error) bool {
	e, ok := errors.AsType[*pgconn.PgError](err)
	return ok && (strings.HasPrefix(e.Code, "40") || e.Code == "55P03")
}

// Aborts says that an error of the engine has ended the transaction in which it was met, for everybody in it. SQLite undoes
// only the statement.
func Aborts(err error) bool {
	_, ok := errors.AsType[*pgconn.PgError](err)
	return ok || Lost(err)
}

// faultOf turns an error of PostgreSQL into one that a person understands; nil for others.
func faultOf(err error) error {
	e, ok := errors.AsType[*pgconn.PgError](err)
	if !ok {
		if Lost(err) {
			return unreachable(err)
		}
		return nil
	}
	switch {
	case e.Code == "53100":
		return fault.Wrap(err, fault.Unavailable, "storage_full", "The disk that holds the database is full. Nothing was changed.")
	case strings.HasPrefix(e.Code, "53"):
		return later(
			fault.Wrap(err, fault.Unavailable, "database_busy", "The database has no room for another connection or more work. Try again."))
	case e.Code == "25006":
		return fault.Wrap(err, fault.Unavailable, "database_unwritable", "The database can only be read. Nothing was changed.")
	case e.Code == "42501":
		return fault.Wrap(err, fault.Unavailable, "database_permission",
			"The database does not permit this to the user of its address: %s.", e.Message)
	case strings.HasPrefix(e.Code, "28"), e.Code == "3D000":
		return fault.Wrap(err, fault.Unavailable, "database_url", "The database refuses the address: %s.", e.Message)
	case e.Code == "42P01":
		return fault.Wrap(err, fault.Unavailable, "schema_unknown",
			"The database has no tables of perennial, or not all of them. Run perennial migrate.")
	case strings.HasPrefix(e.Code, "58"):
		return fault.Wrap(err, fault.Unavailable, "storage_failed", "The disk that holds the database reports an error. Nothing was changed.")
	case strings.HasPrefix(e.Code, "XX001"), strings.HasPrefix(e.Code, "XX002"):
		return fault.Wrap(err, fault.Unavailable, "database_damaged", "The database is damaged. Run perennial verify, and restore a backup.")
	case Again(err), e.Code == "57014":
		return later(fault.Wrap(err, fault.Unavailable, "database_busy", "The database was busy with another change. Try again."))
	case Lost(err):
		return unreachable(err)
	}
	return nil
}

func unreachable(err error) error {
	return later(fault.Wrap(err, fault.Unavailable, "database_unreachable", "The database cannot be reached. Nothing was changed."))
}

func later(err error) error {
	if f, ok := errors.AsType[*fault.Error](err); ok {
		f.RetryAfter = time.Second
	}
	return err
}
