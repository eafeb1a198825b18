// Package analytics keeps the figures of a shop: subscriptions, recurring revenue and what moves it, sales, retention, cancellations,
// recovery, and what is to come. It follows the journal and adds up what each event changes, by the day on which it was recorded.
//
//   - A figure of a day is the sum of facts, and a fact follows from one event and from what the events of the same subscription (or
//     order, or plan) before it said. Nothing of today's state goes into a past day, so past numbers never move, and a rebuild gives
//     the same ones (TestAYear).
//   - The movements of recurring revenue add up to what everything that runs is worth, for all products and for each
//     (TestMovementsAddUp).
//   - The facts behind a figure are kept with the seq of their event, so every number leads to its entries (Entries).
//   - Facts and the position in the journal change in one transaction, so no event counts twice.
//   - Nothing personal is kept: the reason of a cancellation is kept as a MAC, which an erasure takes away, and its words are read
//     from the event when a report is made.
//
// A day is one of the shop's zone as it was set when the event was recorded, and never before the day of the event before it. The
// forecast is no figure of the past: it is what the schedules say today, and is counted anew when one changes.
//
// member.go and order.go hold the rules, as pure functions; follow.go and forecast.go follow the journal; tables.go is where the sums
// are kept; report.go and the files named after reports read them.
package analytics

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"runtime/debug"
	"strings"
	"sync/atomic"
	"time"

	"perennial/internal/civil"
	"perennial/internal/db"
	"perennial/internal/fault"
	"perennial/internal/follow"
	"perennial/internal/store"
)

// Analytics follows one shop's journal and reports on it. Its methods may be called at any time from any goroutine.
type Analytics struct {
	s     *store.Store
	clock func() time.Time
	log   *slog.Logger

	path string                // of a file of its own; empty in PostgreSQL
	d    atomic.Pointer[db.DB] // where the sums are: the file, or the PostgreSQL of the store; replaced by anew, under mu
	key  [32]byte

	f      *follow.Follower
	row    *follow.Row
	closed bool // changes while nobody counts (f.Alone)
}

// countPause is how long whoever follows live waits between two rounds: who asks for a report does not wait for it.
const countPause = 2 * time.Second

// newAnalytics makes figures that are nowhere yet.
func newAnalytics(s *store.Store, clock func() time.Time, log *slog.Logger) *Analytics {
	a := &Analytics{s: s, clock: clock, log: log, key: s.Keys.Folder().Derive("analytics " + string(s.Shop))}
	a.d.Store(s.DB)
	a.row = &follow.Row{DB: a.d.Load, Store: s, Table: "rollup_followed", Column: "version", Version: formatVersion, First: ", day, zone", Values: ", '', 'UTC'", Clear: a.clear}
	a.f = &follow.Follower{Name: "analytics", Store: s, Log: log, Place: a.row, Batch: batchLength, Take: a.take, Pause: countPause,
		Round: func(ctx context.Context, _ bool) error { return a.CatchUp(ctx) }}
	return a
}

// Follower is what keeps the figures up to date.
func (a *Analytics) Follower() *follow.Follower { return a.f }

// Open opens the file at path, and makes it when it is missing, damaged, or of another version. What it holds is dropped when it does
// not belong to the journal of the store. In PostgreSQL the sums are in tables, and there is no file. log may be nil.
func Open(ctx context.Context, s *store.Store, path string, clock func() time.Time, log *slog.Logger) (*Analytics, error) {
	if log == nil {
		log = slog.New(slog.DiscardHandler)
	}
	a := newAnalytics(s, clock, log)
	if s.DB.Engine == db.SQLite {
		a.path = path
		d, err := openFile(ctx, path)
		if damaged(err) {
			d, err = a.anew(ctx, err)
		}
		if err != nil {
			return nil, fmt.Errorf("analytics: %w", db.Fault(err))
		}
		a.d.Store(d)
	}
	err := a.ours(ctx)
	if a.sick(ctx, err) {
		err = a.mend(ctx, err)
	}
	if err != nil {
		return nil, errors.Join(db.Fault(err), a.Close())
	}
	return a, nil
}

// Close closes the file. Nothing may be called after it.
func (a *Analytics) Close() error {
	return a.f.Alone(func() error {
		if a.path == "" || a.closed {
			return nil
		}
		a.closed = true
		return a.d.Load().Close()
	})
}

// OpenReadOnly opens figures to compare them, also beside a server. It is nil when there is no file, or it is one of another version.
func OpenReadOnly(ctx context.Context, s *store.Store, path string) (*Analytics, error) {
	a := newAnalytics(s, nil, slog.New(slog.DiscardHandler))
	if s.DB.Engine != db.SQLite {
		return a, nil
	}
	if _, err := os.Stat(path); errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	d, err := db.Open(ctx, path, db.Options{ReadOnly: true})
	if err != nil {
		return nil, err
	}
	var version int
	if err := d.Reader.QueryRowContext(ctx, `PRAGMA user_version`).Scan(&version); err != nil || version != formatVersion {
		return nil, errors.Join(db.Fault(err), d.Close())
	}
	a.path = path
	a.d.Store(d)
	return a, nil
}

func damaged(err error) bool {
	return err != nil && fault.As(db.Fault(err)).Code == "database_damaged"
}

// sick says whether an error tells that the file of the figures is damaged, and not the journal's.
func (a *Analytics) sick(ctx context.Context, err error) bool {
	if a.path == "" || !damaged(err) {
		return false
	}
	var found string
	err = a.d.Load().Reader.QueryRowContext(ctx, `PRAGMA quick_check(1)`).Scan(&found)
	return damaged(err) || err == nil && found != "ok"
}

// told is the error of a report. When the file is damaged it is mended, and the next report finds it so.
func (a *Analytics) told(ctx context.Context, err error) error {
	if a.sick(ctx, err) && a.mend(ctx, err) == nil {
		return fault.Wrap(err, fault.Unavailable, "figures_damaged", "The figures were damaged and are counted anew. Try again in a minute.")
	}
	return db.Fault(err)
}

// mend puts an empty file in the place of a damaged one. Reports that are being made from it fail.
func (a *Analytics) mend(ctx context.Context, why error) error {
	return a.f.Alone(func() error {
		if a.closed {
			return why
		}
		a.f.Moved(0)
		err := a.d.Load().Close()
		d, aerr := a.anew(ctx, why)
		if aerr != nil {
			return errors.Join(err, aerr)
		}
		a.d.Store(d)
		return nil
	})
}

// anew removes the file and makes it again.
func (a *Analytics) anew(ctx context.Context, why error) (*db.DB, error) {
	a.log.Warn("the figures cannot be read and are counted anew", "file", a.path, "error", why)
	if err := remove(a.path); err != nil {
		return nil, errors.Join(why, err)
	}
	return openFile(ctx, a.path)
}

// openFile opens a file with the tables of this version; another version's are dropped.
func openFile(ctx context.Context, path string) (_ *db.DB, err error) {
	d, err := db.Open(ctx, path, db.Options{})
	if err != nil {
		return nil, err
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, d.Close())
		}
	}()
	var version int
	if err := d.Writer.QueryRowContext(ctx, `PRAGMA user_version`).Scan(&version); err != nil {
		return nil, err
	}
	if version == formatVersion {
		return d, nil
	}
	tx, err := d.Writer.BeginTx(ctx, nil)
	if err != nil {
		return nil, err
	}
	defer tx.Rollback()
	for _, text := range schema() {
		if _, err := tx.ExecContext(ctx, text); err != nil {
			return nil, err
		}
	}
	return d, tx.Commit()
}

func remove(path string) error {
	for _, suffix := range []string{"", "-wal", "-shm"} {
		if err := os.Remove(path + suffix); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
	}
	return nil
}

// ours drops what was counted of another journal (a restored backup has other entries from some seq on, or none), or by other rules.
func (a *Analytics) ours(ctx context.Context) error {
	p, err := a.position(ctx, a.d.Load().Reader)
	if err != nil {
		return err
	}
	if p.rules != zoneRules(p.zone) {
		a.log.Warn("the figures are of a time zone whose rules changed, and are counted anew")
		if err := a.f.Restart(ctx); err != nil {
			return err
		}
	}
	return a.f.Check(ctx)
}

// clear drops everything that was counted.
func (a *Analytics) clear(ctx context.Context, tx *sql.Tx) error {
	for _, t := range tables {
		text := `DELETE FROM ` + t + ` WHERE shop_id = $1` //nolint:gosec // one of the tables above
		if t == "rollup_followed" {
			text = `UPDATE rollup_followed SET day = '', zone = 'UTC' WHERE shop_id = $1`
		}
		if _, err := tx.ExecContext(ctx, text, a.s.Shop); err != nil {
			return err
		}
	}
	return nil
}

// Rebuild drops everything and counts it anew. progress is called with the number of entries done; it may be nil.
func (a *Analytics) Rebuild(ctx context.Context, progress func(done int64)) error {
	if err := a.f.Restart(ctx); err != nil {
		return err
	}
	return a.catchUp(ctx, progress)
}

// CatchUp counts what was committed since the last time, and what the schedules say of the days that came into sight.
func (a *Analytics) CatchUp(ctx context.Context) error {
	err := a.catchUp(ctx, nil)
	if a.sick(ctx, err) {
		if err = a.mend(ctx, err); err == nil {
			err = a.catchUp(ctx, nil)
		}
	}
	return err
}

func (a *Analytics) catchUp(ctx context.Context, progress func(int64)) error {
	began := a.f.Next()
	defer func() {
		if a.f.Next()-began > 10*a.f.Batch {
			debug.FreeOSMemory() // a long way leaves a large heap, which a quiet process would keep
		}
	}()
	if err := a.f.CatchUp(ctx, progress); err != nil {
		return err
	}
	for {
		if more, err := a.look(ctx); err != nil || !more {
			return db.Fault(err)
		}
	}
}

// fresh counts what little is not counted yet, so that whoever made a change finds it in the report. While much is missing, after a
// rebuild began, reports say how far they reach.
func (a *Analytics) fresh(ctx context.Context) error {
	head, err := a.s.ReadHead(ctx, a.s.Read)
	if err != nil {
		return err
	}
	if behind := head.Seq + 1 - a.f.Next(); behind == 0 || behind > a.f.Batch {
		return nil
	}
	if _, err = a.f.Step(ctx, head.Seq); err == nil {
		_, err = a.look(ctx)
	}
	return err
}

// Counted is how many entries are counted: all below this seq.
func (a *Analytics) Counted() int64 { return a.f.Next() }

// snapshot runs f with one state of the tables.
func (a *Analytics) snapshot(ctx context.Context, f func(q db.Querier) error) error {
	d := a.d.Load()
	conn, err := d.Reader.Conn(ctx)
	if err != nil {
		return err
	}
	defer conn.Close()
	if _, err := conn.ExecContext(ctx, d.BeginSnapshot()); err != nil {
		return err
	}
	err = f(conn)
	if _, rerr := conn.ExecContext(context.WithoutCancel(ctx), `ROLLBACK`); err == nil {
		err = rerr
	}
	return err
}

// position is how far the journal is counted.
type position struct {
	follow.Position
	version int
	day     string // of the last event
	zone    string // of the shop, as the journal says so far
	rules   string // the zone's name with a fingerprint of the rules by which the days were told apart
}

// zoneRules is what is kept of a zone: days that were counted by other rules of the same zone are other days.
func zoneRules(zone string) string {
	rules, err := civil.ZonePrint(zone)
	if err != nil {
		return zone
	}
	return rules
}

// position reads the row. When there is none, or nothing is counted, the zone's rules are those of today.
func (a *Analytics) position(ctx context.Context, q db.Querier) (p position, err error) {
	var leaf []byte
	p.rules, p.version = "UTC", formatVersion
	err = q.QueryRowContext(ctx, `SELECT next, leaf_hash, version, day, zone FROM rollup_followed WHERE shop_id = $1`, a.s.Shop).
		Scan(&p.Next, &leaf, &p.version, &p.day, &p.rules)
	if errors.Is(err, sql.ErrNoRows) {
		err = nil
	}
	copy(p.Leaf[:], leaf)
	if p.zone, _, _ = strings.Cut(p.rules, " "); p.Next == 0 {
		p.rules = zoneRules(p.zone)
	}
	return p, err
}

// follows says whether what is counted up to a position is of this journal and by today's rules.
func (a *Analytics) follows(ctx context.Context, p position) (bool, error) {
	if p.version != formatVersion || p.rules != zoneRules(p.zone) {
		return false, nil
	}
	return a.f.Ours(ctx, p.Position)
}

// today is the shop's day.
func (p position) today(now time.Time) civil.Date { return civil.Today(now, p.location()) }

func (p position) location() *time.Location {
	loc, err := civil.Zone(p.zone)
	if err != nil {
		return time.UTC
	}
	return loc
}
