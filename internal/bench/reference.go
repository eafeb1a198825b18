package bench

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"strings"
)

// The keys of the references.
const (
	refDisk  = "disk.append"
	refOne   = "sqlite.1"
	refMany  = "sqlite.64"
	refRead  = "sqlite.read"
	refScan  = "sqlite.scan"
	refSmall = "process.empty"
)

// Sizes of the bare database's rows, about those of a subscription and of its event.
const (
	bareStates    = 10_000
	bareStateSize = 1000
	bareEventSize = 750
	bareEvents    = 50_000
)

// disk measures the disk alone: 4 KiB appended and flushed, which is the least that a durable change can cost.
func (r *run) disk() (err error) {
	r.Say("the disk alone")
	f, err := os.Create(r.path("raw"))
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, f.Close(), os.Remove(f.Name())) }()
	block := make([]byte, 4096)
	m, err := r.load(1, func(context.Context, int, int) error {
		if _, err := f.Write(block); err != nil {
			return err
		}
		return flush(f)
	})
	if err == nil {
		r.add(Figure{Key: refDisk, Name: "the disk: append 4 KiB and flush", Rate: m.rate, P50: m.p50, P99: m.p99})
	}
	return err
}

// bare opens a database with nothing of ours, set as ours is: a table of states and a table of events.
func (r *run) bare() (*sql.DB, error) {
	d, err := sql.Open("sqlite", "file:"+r.path("bare.db")+"?_pragma=page_size(8192)&_pragma=journal_mode(WAL)&_pragma=synchronous(FULL)&_pragma=wal_autocheckpoint(8000)&_pragma=cache_size(-65536)")
	if err != nil {
		return nil, err
	}
	d.SetMaxOpenConns(1)
	_, err = d.ExecContext(r.ctx, `CREATE TABLE IF NOT EXISTS state (id INTEGER PRIMARY KEY, doc TEXT NOT NULL);
		CREATE TABLE IF NOT EXISTS event (seq INTEGER PRIMARY KEY, body TEXT NOT NULL);
		WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < $1) INSERT OR IGNORE INTO state SELECT i, $2 FROM n`,
		bareStates, strings.Repeat("x", bareStateSize))
	if err != nil {
		return nil, errors.Join(err, d.Close())
	}
	return d, nil
}

// bareWriter is the one connection that writes, with its statements.
type bareWriter struct {
	conn           *sql.Conn
	update, insert *sql.Stmt
	state, event   string
}

func newBareWriter(ctx context.Context, d *sql.DB) (*bareWriter, error) {
	conn, err := d.Conn(ctx)
	if err != nil {
		return nil, err
	}
	w := &bareWriter{conn: conn, state: strings.Repeat("s", bareStateSize), event: strings.Repeat("e", bareEventSize)}
	w.update, err = conn.PrepareContext(ctx, `UPDATE state SET doc = $1 WHERE id = $2`)
	if err == nil {
		w.insert, err = conn.PrepareContext(ctx, `INSERT INTO event (body) VALUES ($1)`)
	}
	if err != nil {
		return nil, errors.Join(err, conn.Close())
	}
	return w, nil
}

func (w *bareWriter) close() error {
	return errors.Join(w.update.Close(), w.insert.Close(), w.conn.Close())
}

// commit does an update and an insert for each of n callers, in one transaction.
func (w *bareWriter) commit(ctx context.Context, n int) error {
	if _, err := w.conn.ExecContext(ctx, `BEGIN IMMEDIATE`); err != nil {
		return err
	}
	for range n {
		if _, err := w.update.ExecContext(ctx, w.state, 1+rand.IntN(bareStates)); err != nil {
			return err
		}
		if _, err := w.insert.ExecContext(ctx, w.event); err != nil {
			return err
		}
	}
	_, err := w.conn.ExecContext(ctx, `COMMIT`)
	return err
}

// bareWrites measures a bare SQLite: one update and one insert a transaction, and the same of 64 callers whom one writer
// joins as they come.
func (r *run) bareWrites() (err error) {
	r.Say("a bare SQLite")
	d, err := r.bare()
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, d.Close()) }()
	w, err := newBareWriter(r.ctx, d)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, w.close()) }()
	m, err := r.load(1, func(ctx context.Context, _, _ int) error { return w.commit(ctx, 1) })
	if err != nil {
		return err
	}
	r.add(Figure{Key: refOne, Name: "bare SQLite: update and insert, 1 caller", Rate: m.rate, P50: m.p50, P99: m.p99, Beside: refDisk})

	waiting := make(chan chan error, 64)
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		for first := range waiting {
			batch := []chan error{first}
			for len(waiting) > 0 {
				batch = append(batch, <-waiting)
			}
			err := w.commit(r.ctx, len(batch))
			for _, done := range batch {
				done <- err
			}
		}
	}()
	m, err = r.load(64, func(context.Context, int, int) error {
		done := make(chan error, 1)
		waiting <- done
		return <-done
	})
	close(waiting)
	<-ended
	if err == nil {
		r.add(Figure{Key: refMany, Name: "bare SQLite: the same, 64 callers joined", Rate: m.rate, P50: m.p50, P99: m.p99, Beside: refDisk})
	}
	return err
}

// bareReads measures what reading costs without any of ours: 50 rows by their keys, and all rows in order.
func (r *run) bareReads() (err error) {
	d, err := r.bare()
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, d.Close()) }()
	if _, err := d.ExecContext(r.ctx, `WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < $1) INSERT INTO event (body) SELECT $2 FROM n`,
		bareEvents, strings.Repeat("e", bareEventSize)); err != nil {
		return err
	}
	get, err := d.PrepareContext(r.ctx, `SELECT body FROM event WHERE seq = $1`)
	if err != nil {
		return err
	}
	defer get.Close()
	m, err := r.load(1, func(ctx context.Context, _, _ int) error {
		for range pageLength {
			var body []byte
			if err := get.QueryRowContext(ctx, 1+rand.IntN(bareEvents)).Scan(&body); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		return err
	}
	r.add(Figure{Key: refRead, Name: fmt.Sprintf("bare SQLite: read %d rows by key", pageLength), P50: m.p50, P99: m.p99})
	rows := 0
	m, err = r.load(1, func(ctx context.Context, _, _ int) error {
		found, err := d.QueryContext(ctx, `SELECT seq, body FROM event ORDER BY seq`)
		if err != nil {
			return err
		}
		defer found.Close()
		rows = 0
		for found.Next() {
			var seq int64
			var body []byte
			if err := found.Scan(&seq, &body); err != nil {
				return err
			}
			rows++
		}
		return found.Err()
	})
	if err == nil {
		r.add(Figure{Key: refScan, Name: "bare SQLite: read all rows in order", Rate: m.rate * float64(rows)})
	}
	return err
}
