// Package follow keeps what is made of the journal up to date with it. A follower is a name and a function that takes entries; the rest is
// here, once: where it has come to, whether the journal is still the one it came from, who does the work, and what happens when it fails.
//
// # Contract
//
//   - At least once, in order of seq. Each run begins where the last one ended. Where the place is a row of the same database as what the
//     follower makes (Row), both change in one transaction, and each entry counts exactly once. Elsewhere an entry may come again, and Take
//     has to tell by what it made.
//   - Only of this journal. A position is the next seq and the leaf hash of the entry before it. Each run begins by comparing that hash with
//     the journal's: after a backup was put back, or the journal was written again, the follower forgets what it made and begins anew.
//   - One at a time. Runs of a Follower follow each other, also when many call it. Several processes on one database wait for each other at
//     the row of the place. Who acts outwards (sends, charges) gives a Lease, which one process has at a time and loses within seconds of
//     its end.
//   - Nobody waits long. Entries are read some thousand at a time, and no reading transaction stays open while they are taken.
//   - Failures show. A follower that fails tries again less and less often, whatever is committed, at least once a minute; Figures says how
//     far it is behind, since when it fails, and why. Waiting for a gate is no failure. A panic is one, and stops nobody else.
//   - Stop waits for what is under way.
//
// An entry that the database does not give (a policy hides it, somebody took it away) is passed over: finding gaps is for verify and for
// the chains of logs. When the entry before a position comes or goes that way, the follower begins anew.
//
// # Places
//
// Row keeps a position in a table with what was made, as the figures do. Memory forgets it with the process. The index of the logs and the
// messages keep their own positions still, and billing goes by the orders that are due: they are here for their rounds, leases and stops
// (Round), and have no lag of this package.
//
// A live page or stream is a follower without a place, as its reader knows where it is: Tail.
//
// follow_test.go puts a journal back; live_test.go fails, waits and stops under synctest.
package follow

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"perennial/internal/db"
	"perennial/internal/journal"
	"perennial/internal/seal"
	"perennial/internal/store"
)

// Position is how far a follower came.
type Position struct {
	Next int64     // entries below this seq are taken
	Leaf seal.Hash // of the entry before Next when it was taken; zero when there is none
}

// Run is what a follower takes at once: the entries from From.Next up to To.Next, of its types.
type Run struct {
	Tx       *sql.Tx // in which the place keeps the position; nil for a place without one
	From, To Position
	Events   []store.Stored
}

// Place keeps a position, beside what a follower made of the entries.
type Place interface {
	// Take calls f with the position and keeps the one that f gives, together with what f changes. Nobody else takes from the place meanwhile.
	// After an error of f the position is the one before.
	Take(ctx context.Context, f func(tx *sql.Tx, at Position) (Position, error)) error
	// Restart goes back to the beginning and drops what was made. A place of somebody who acts outwards goes back as far as that does no harm.
	Restart(ctx context.Context) error
}

// Follower takes the entries of one shop's journal. Its fields are set before it is first used; its methods may be called at any time from
// any goroutine.
type Follower struct {
	Name    string // as logs, metrics and /readyz name it
	Store   *store.Store
	Log     *slog.Logger // nil: none
	Place   Place        // nil: a Memory from the first entry
	Types   []string     // of entries, or families such as "order.*"; empty: all
	Privacy store.Privacy
	Batch   int64 // entries in a run; 0: 1000
	// Take takes a run. What it makes is kept together with the position, or, without r.Tx, before it.
	Take func(ctx context.Context, r *Run) error

	// How it lives, see Group.
	Every   time.Duration                             // a round is due when nothing was committed for so long; 0: a minute
	Pause   time.Duration                             // at least, between two rounds, so that many commits are one round
	Longest time.Duration                             // between two rounds when it fails again and again; 0: a minute
	Lease   string                                    // the job that one process does at a time; empty: each process follows
	Holder  string                                    // of the lease
	May     func() error                              // asked before each round, as of a gate; nil: always
	Round   func(ctx context.Context, due bool) error // what is done in a round; nil: CatchUp. due says that it is not for a commit

	mu      sync.Mutex   // one run at a time
	place   Place        // guarded by mu; Place, or what is there in its stead
	next    atomic.Int64 // as the last run left it
	holding atomic.Bool  // the lease is ours
	live    status
}

const (
	batchLength = 1000
	// window is over how many batches of seqs a follower of some types reaches at a time: most of them are not read.
	window = 20
)

// errOther says that the position is not of this journal.
var errOther = errors.New("the position is of another journal")

// Next is the first entry that was not taken, as of the last run of this process.
func (f *Follower) Next() int64 { return f.next.Load() }

// Alone calls do while no run is under way. do must not call other methods than Moved.
func (f *Follower) Alone(do func() error) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	return do()
}

// Moved tells of a position that changed beside the runs, within Alone or before the first run.
func (f *Follower) Moved(next int64) { f.next.Store(next) }

// CatchUp takes all entries that are committed. When there are none it costs one read of the head. progress is called after each run with
// the number of entries that are taken; it may be nil.
func (f *Follower) CatchUp(ctx context.Context, progress func(done int64)) error {
	for {
		head, err := f.Store.ReadHead(ctx, f.Store.Read)
		if err != nil {
			return store.Fault(err)
		}
		// Equal, and not just far enough: a position ahead of the journal is of another one.
		if f.next.Load() == head.Seq+1 {
			return nil
		}
		next, err := f.Step(ctx, head.Seq)
		if err != nil {
			return err
		}
		if progress != nil {
			progress(next)
		}
	}
}

// Step takes one run of the entries up to a seq, and gives the first that is not taken.
func (f *Follower) Step(ctx context.Context, to int64) (next int64, err error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if err := f.begin(); err != nil {
		return 0, err
	}
	take := func(tx *sql.Tx, at Position) (Position, error) {
		end, err := f.run(ctx, tx, at, to)
		next = end.Next
		return end, err
	}
	err = f.place.Take(ctx, take)
	if errors.Is(err, errOther) {
		f.log().Warn("what was made of the journal is of another one, and is made anew", "follower", f.Name, "next", f.next.Load())
		if err := f.restart(ctx); err != nil {
			return 0, err
		}
		err = f.place.Take(ctx, take)
	}
	if err != nil {
		return 0, err
	}
	f.next.Store(next)
	return next, nil
}

// Check forgets what was made of another journal, without taking anything. Until then whoever reads what was made may see that.
func (f *Follower) Check(ctx context.Context) error {
	_, err := f.Step(ctx, -1)
	return err
}

// Ours says whether a position is of this journal.
func (f *Follower) Ours(ctx context.Context, at Position) (bool, error) {
	err := f.compare(ctx, at, -1)
	if errors.Is(err, errOther) {
		return false, nil
	}
	return err == nil, err
}

// Restart drops what was made; the next run begins anew.
func (f *Follower) Restart(ctx context.Context) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	if err := f.begin(); err != nil {
		return err
	}
	return f.restart(ctx)
}

func (f *Follower) restart(ctx context.Context) error {
	f.next.Store(0)
	return f.place.Restart(ctx)
}

func (f *Follower) log() *slog.Logger {
	if f.Log == nil {
		return slog.New(slog.DiscardHandler)
	}
	return f.Log
}

// begin makes what the first run needs. The caller holds mu.
func (f *Follower) begin() error {
	if f.place != nil {
		return nil
	}
	if err := known(f.Types); err != nil {
		return fmt.Errorf("follow: %s: %w", f.Name, err)
	}
	if f.place = f.Place; f.place == nil {
		f.place = &Memory{}
	}
	return nil
}

// known refuses types and families that the catalogue does not have.
func known(types []string) error {
	for _, t := range types {
		family, whole := strings.CutSuffix(t, ".*")
		_, is := journal.Lookup(journal.Name(t))
		if whole {
			is = slices.ContainsFunc(journal.Types(), func(k journal.Type) bool { return k.Family() == family })
		}
		if !is {
			return fmt.Errorf("there is no type of entries %s", t)
		}
	}
	return nil
}

// run reads a run from a position on and takes it.
func (f *Follower) run(ctx context.Context, tx *sql.Tx, at Position, to int64) (Position, error) {
	if err := f.compare(ctx, at, to); err != nil {
		return at, err
	}
	if at.Next > to {
		return at, nil
	}
	r := &Run{Tx: tx, From: at}
	var err error
	if r.To, r.Events, err = f.read(ctx, at.Next, to); err != nil {
		return at, store.Fault(err)
	}
	if len(r.Events) == 0 && len(f.Types) > 0 {
		return r.To, nil
	}
	return r.To, f.Take(ctx, r)
}

// compare compares a position with the journal.
func (f *Follower) compare(ctx context.Context, at Position, to int64) error {
	if at.Next == 0 {
		return nil
	}
	if at.Next > to+1 { // perhaps somebody else took what came since the head was read
		head, err := f.Store.ReadHead(ctx, f.Store.Read)
		if err != nil {
			return store.Fault(err)
		}
		if at.Next > head.Seq+1 {
			return errOther
		}
	}
	leaf, err := f.Store.Leaf(ctx, f.Store.Read, at.Next-1)
	if err == nil && leaf != at.Leaf {
		return errOther
	}
	return store.Fault(err)
}

// read gives the events of a run, and where it ends.
func (f *Follower) read(ctx context.Context, from, to int64) (end Position, events []store.Stored, err error) {
	most := f.Batch
	if most == 0 {
		most = batchLength
	}
	read := f.Store.Events(ctx, f.Store.Read, f.Privacy, from, min(to+1, from+most))
	end.Next = min(to+1, from+most)
	if len(f.Types) > 0 {
		end.Next = min(to+1, from+window*most)
		read = f.Store.Walk(ctx, f.Store.Read, f.Privacy, store.Walk{From: from, To: end.Next, Types: f.Types})
	}
	if len(f.Types) == 0 {
		events = make([]store.Stored, 0, end.Next-from)
	}
	for st, err := range read {
		if err != nil {
			return end, nil, err
		}
		events = append(events, st)
		if int64(len(events)) == most {
			end.Next = st.Seq + 1
			break
		}
	}
	if n := len(events); n > 0 && events[n-1].Seq == end.Next-1 {
		end.Leaf = events[n-1].Leaf
	} else {
		end.Leaf, err = f.Store.Leaf(ctx, f.Store.Read, end.Next-1)
	}
	return end, events, err
}

// Memory is a place that lasts as long as the process.
type Memory struct {
	// Begin gives where it begins, at first and after a restart; nil: with the first entry.
	Begin func(ctx context.Context) (Position, error)

	begun bool
	at    Position
}

// Take implements Place.
func (m *Memory) Take(ctx context.Context, f func(tx *sql.Tx, at Position) (Position, error)) (err error) {
	if !m.begun && m.Begin != nil {
		if m.at, err = m.Begin(ctx); err != nil {
			return err
		}
	}
	m.begun = true
	to, err := f(nil, m.at)
	if err == nil {
		m.at = to
	}
	return err
}

// Restart implements Place.
func (m *Memory) Restart(context.Context) error {
	m.begun, m.at = false, Position{}
	return nil
}

// Row is a place in a row of a table beside what the follower makes, in the same database. The row is locked while a run is taken.
type Row struct {
	DB      func() *db.DB // a file may be made again
	Store   *store.Store
	Table   string // with shop_id, next, leaf_hash and a column for the version
	Column  string // of the version
	Version int    // what another version made is dropped
	First   string // further columns of a new row, and their values, as text: ", day", ", ''"
	Values  string
	// Clear deletes what was made.
	Clear func(ctx context.Context, tx *sql.Tx) error
}

// Take implements Place.
func (r *Row) Take(ctx context.Context, f func(tx *sql.Tx, at Position) (Position, error)) error {
	return r.within(ctx, func(tx *sql.Tx) error {
		at, same, err := r.Lock(ctx, tx)
		if err != nil {
			return err
		}
		if !same {
			if err := r.Clear(ctx, tx); err != nil {
				return err
			}
			at = Position{}
		}
		to, err := f(tx, at)
		if err != nil || same && to == at {
			return err
		}
		return r.keep(ctx, tx, to)
	})
}

// Restart implements Place.
func (r *Row) Restart(ctx context.Context) error {
	return r.within(ctx, func(tx *sql.Tx) error {
		if _, _, err := r.Lock(ctx, tx); err != nil {
			return err
		}
		if err := r.Clear(ctx, tx); err != nil {
			return err
		}
		return r.keep(ctx, tx, Position{})
	})
}

func (r *Row) within(ctx context.Context, f func(tx *sql.Tx) error) error {
	tx, err := r.DB().Writer.BeginTx(ctx, nil)
	if err != nil {
		return db.Fault(err)
	}
	defer tx.Rollback()
	if err := f(tx); err != nil {
		return db.Fault(err)
	}
	return db.Fault(tx.Commit())
}

// Lock reads the position in a transaction that nobody else's passes until it ends, and says whether this version made what is there.
func (r *Row) Lock(ctx context.Context, tx *sql.Tx) (at Position, same bool, err error) {
	if _, err := tx.ExecContext(ctx, `INSERT INTO `+r.Table+` (shop_id, next, leaf_hash, `+r.Column+r.First+`) VALUES ($1, 0, $2, $3`+r.Values+`) ON CONFLICT DO NOTHING`, //nolint:gosec // names that the follower is made with
		r.Store.Shop, []byte{}, r.Version); err != nil {
		return at, false, err
	}
	lock := ""
	if r.DB().Engine == db.Postgres {
		lock = ` FOR UPDATE`
	}
	return r.read(ctx, tx, lock)
}

// Read reads the position without a lock. There is none of this version: same is false.
func (r *Row) Read(ctx context.Context, q db.Querier) (at Position, same bool, err error) {
	at, same, err = r.read(ctx, q, "")
	if errors.Is(err, sql.ErrNoRows) {
		return Position{}, false, nil
	}
	return at, same, err
}

func (r *Row) read(ctx context.Context, q db.Querier, lock string) (at Position, same bool, err error) {
	var leaf []byte
	var version int
	err = q.QueryRowContext(ctx, `SELECT next, leaf_hash, `+r.Column+` FROM `+r.Table+` WHERE shop_id = $1`+lock, r.Store.Shop).Scan(&at.Next, &leaf, &version)
	copy(at.Leaf[:], leaf)
	return at, version == r.Version, err
}

func (r *Row) keep(ctx context.Context, tx *sql.Tx, at Position) error {
	_, err := tx.ExecContext(ctx,
		`UPDATE `+r.Table+` SET next = $2, leaf_hash = $3, `+r.Column+` = $4 WHERE shop_id = $1`, //nolint:gosec // as above
		r.Store.Shop, at.Next, at.Leaf[:], r.Version)
	return err
}
