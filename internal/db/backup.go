package db

import (
	"context"
	"fmt"
	"net/url"
	"os"

	"modernc.org/sqlite"

	"perennial/internal/fault"
)

// backupPages is how many pages are copied between two reports.
const backupPages = 2000

// Backup copies the embedded database into a file, which must be empty, as it is at one moment, and makes the copy
// durable. Others may write meanwhile: a transaction holds the moment, so that the copying is never begun again. progress is
// told of pages.
func (d *DB) Backup(ctx context.Context, to string, progress func(done, total int64)) (err error) {
	if d.Engine != SQLite {
		return fault.New(fault.Refused, "backup_engine",
			"This shop is in a PostgreSQL. Back it up with the tools of PostgreSQL, pg_basebackup or pg_dump.")
	}
	conn, err := d.Reader.Conn(ctx)
	if err != nil {
		return Fault(err)
	}
	defer conn.Close()
	if _, err := conn.ExecContext(ctx, `BEGIN`); err != nil {
		return Fault(err)
	}
	defer func() { _, _ = conn.ExecContext(context.WithoutCancel(ctx), `ROLLBACK`) }() // nothing was written
	var tables int
	if err := conn.QueryRowContext(ctx, `SELECT count(*) FROM sqlite_schema`).Scan(&tables); err != nil { // the moment is now
		return Fault(err)
	}
	err = conn.Raw(func(c any) (err error) {
		source, ok := c.(interface {
			NewBackup(to string) (*sqlite.Backup, error)
		})
		if !ok {
			return fmt.Errorf("db: %T copies no database", c)
		}
		b, err := source.NewBackup(dsn(to, url.Values{}))
		if err != nil {
			return err
		}
		defer func() {
			if ferr := b.Finish(); err == nil {
				err = ferr
			}
		}()
		for more := true; more; {
			if err := ctx.Err(); err != nil {
				return err
			}
			if more, err = b.Step(backupPages); err != nil {
				return err
			}
			if progress != nil && b.PageCount() > 0 {
				progress(int64(b.PageCount()-b.Remaining()), int64(b.PageCount()))
			}
		}
		return nil
	})
	if err != nil {
		return Fault(err)
	}
	f, err := os.OpenFile(to, os.O_RDWR, 0)
	if err == nil {
		err = f.Sync()
		if cerr := f.Close(); err == nil {
			err = cerr
		}
	}
	if err != nil {
		return fault.Wrap(err, fault.Unavailable, "storage_failed", "The copy could not be made durable.")
	}
	return nil
}
