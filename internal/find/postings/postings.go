// Package postings keeps posting lists: for a shop and a facet (any short text that says what an entry can be found by)
// the increasing list of the seqs that have it. It knows nothing of what an entry is.
//
// # Contract
//
// A shop's entries are appended in order of seq, from 0, without a gap. Next says which is wanted next. A search
// answers from everything that was appended before it began, whether or not it is on disk yet, in order of seq, and
// costs by what the consumer takes and by the rarest of its facets.
//
// Facets are kept as 64-bit hashes and nothing else. Two of a hundred million different facets share a hash with a
// probability of about 3 in 10,000, and somebody who wants to can make two that do: a search may then give a seq that
// does not have the facet (never miss one that has). Whoever fetches the entry checks it against the question.
//
// The index is derived and no evidence. Its file is made anew when it is damaged or of another format, and a power cut
// may lose its newest runs: Next then tells from where to feed it again. A file is open once at a time.
//
// # Structure
//
// The newest entries are in memory, in the tail. A full tail is frozen and written as a run. A run covers seqs
// [from, to) and is immutable; a shop's runs are disjoint, follow each other without a gap from 0, and are followed by
// the frozen tails and the tail. So a search walks these segments one after the other and never merges two.
//
// Neighbouring runs are joined in the background, by level: a level is Options.TailEvents times or divided by a power of 8, up
// to 512 times; runs that are all smaller than a level become one as soon as they reach it together. An entry is
// therefore rewritten at most once a level, and few runs remain (at most 7 a level when all tails were full).
//
// A run is a sequence of cells in order of (hash, first seq), packed into blocks of at most blockSize bytes, which are
// rows of the table run_block. A cell holds up to denseSpan seqs of one list and says its first and last, so that a
// seek leaves out the cells between. The first key of every block and a Bloom filter of the hashes stay in memory: a
// facet that a run does not have costs no read, one that it has costs one read for each block that is looked into.
//
// A run exists from the transaction that inserts its row in the table run; the transaction of a merge inserts one row and
// deletes those that it replaces. Blocks are written before and deleted after, in small transactions, so that neither
// readers nor other users of the file wait for a merge. Blocks of no run are swept after the next opening.
//
// TestModel compares all of this with a map; TestCrash opens copies that were taken while it was writing.
package postings

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"slices"
	"sync"
)

var (
	// ErrGap refuses entries that do not follow the last one.
	ErrGap = errors.New("postings: entries do not follow the last one")
	// ErrInUse refuses to open a file that is open already, here or in another process.
	ErrInUse = errors.New("postings: in use")
	// ErrClosed comes from an index that was closed.
	ErrClosed = errors.New("postings: closed")
	// ErrDamaged says that the file does not hold what was written. Drop the shop and feed it again; Open drops a file
	// whose damage it sees by itself.
	ErrDamaged = errors.New("postings: damaged")
	// ErrOther refuses to read a file of another format.
	ErrOther = errors.New("postings: of another format")
)

// Options of an index. The zero value is good.
type Options struct {
	// TailEvents is how many entries a shop keeps in memory before they become a run: 1 to 65,536, 16,384 when zero.
	// Up to 65,536 entries (or two tails, if that is more) are in memory while runs are written.
	TailEvents int
	// Logf is told what the index did or could not do by itself: a file made anew, a run that could not be written. Nil is silent.
	Logf func(format string, args ...any)
}

const (
	defaultTail = 16_384
	maxTail     = 65_536
	// appendStep is how many entries are added while readers wait: less than 0.1 ms.
	appendStep = 64
)

// Entry is one seq with all facets that it can be found by. A facet that comes twice counts once.
type Entry struct {
	Seq    int64
	Facets []string
}

// Index is an open index. Its methods may be called at any time from any goroutine.
//
// It owns two goroutines: one writes frozen tails, one merges runs and sweeps blocks that nothing needs. Close ends and
// awaits them.
type Index struct {
	path      string
	temporary bool // removed by Close
	opt       Options
	levels    []int64 // ascending; see pick
	writer    *sql.DB // exactly one connection
	reader    *sql.DB
	readBlock *sql.Stmt // on reader
	cache     blockCache
	lock      *sql.DB
	locked    *sql.Tx // on lock; see takeLock

	stop  context.CancelFunc
	owned sync.WaitGroup
	write chan struct{} // wakes the goroutine that writes
	tidy  chan struct{} // wakes the goroutine that merges

	// live is held over every change of which runs exist: over the transaction and over the change of shop.runs that
	// goes with it. Taken before mu.
	live sync.Mutex

	mu      sync.RWMutex // guards what follows and everything in a shop except appending; never held over a read or write of the file
	shops   map[string]*shop
	nextRun int64
	dead    []*run        // what is to be swept
	failed  error         // of the last attempt to write a frozen tail; nil when it succeeded
	begun   int64         // attempts to write a frozen tail
	ended   int64         // of these the last that ended
	idle    bool          // the goroutine that merges found nothing to do
	changed chan struct{} // closed and replaced when one of frozen, failed, idle, closed has changed
	closed  bool
}

// shop is one shop's segments: runs, then frozen, then tail, each beginning where the one before ends.
type shop struct {
	id        string
	appending sync.Mutex // held by Append over its whole batch; taken before Index.mu

	runs   []*run
	frozen []*tail // immutable
	tail   *tail
}

func (s *shop) unwritten() int {
	n := s.tail.n
	for _, t := range s.frozen {
		n += t.n
	}
	return n
}

// start puts an opened file to work.
func (x *Index) start(ctx context.Context, orphans []*run) {
	x.levels = levels(int64(x.opt.TailEvents))
	x.write, x.tidy = make(chan struct{}, 1), make(chan struct{}, 1)
	x.changed = make(chan struct{})
	x.dead = orphans
	ctx, x.stop = context.WithCancel(context.WithoutCancel(ctx))
	x.owned.Go(func() { x.writeLoop(ctx) })
	x.owned.Go(func() { x.tidyLoop(ctx) })
	wake(x.tidy)
}

// Close ends the background work and closes the file. What was not flushed has to be fed again after the next opening.
// A search that is still going on ends with ErrClosed when it has to read the file.
func (x *Index) Close() error {
	x.mu.Lock()
	if x.closed {
		x.mu.Unlock()
		return nil
	}
	x.closed = true
	x.announce()
	x.mu.Unlock()
	x.stop()
	x.owned.Wait()
	return errors.Join(x.readBlock.Close(), x.closeFile())
}

// DB gives the connections of the index's file, for small derived tables beside its own (run, run_block). The writer is
// one connection: a transaction on it should be short. Both are closed by Close, and all tables are gone when the file
// is made anew.
func (x *Index) DB() (writer, reader *sql.DB) { return x.writer, x.reader }

// Next is the first seq of a shop that was not appended: 0 for a shop without entries. After an opening it is the end
// of what had been written.
func (x *Index) Next(shopID string) int64 {
	x.mu.RLock()
	defer x.mu.RUnlock()
	if s := x.shops[shopID]; s != nil {
		return s.tail.next()
	}
	return 0
}

// Append adds entries that begin at Next and follow each other, else it is ErrGap and nothing happens. It works in
// memory and waits only when so much was appended lately that the file cannot follow; if the file cannot be written at
// all, it returns why as soon as memory is full. After another error than ErrGap, Next says how far it came.
func (x *Index) Append(shopID string, entries []Entry) error {
	if len(entries) == 0 {
		return nil
	}
	for i := range entries {
		if entries[i].Seq != entries[0].Seq+int64(i) {
			return fmt.Errorf("%w: %d after %d", ErrGap, entries[i].Seq, entries[i-1].Seq)
		}
	}
	s := x.shop(shopID)
	s.appending.Lock()
	defer s.appending.Unlock()
	var hashes []uint64
	var ends []int
	for part := range slices.Chunk(entries, appendStep) {
		hashes, ends = hashes[:0], ends[:0]
		for i := range part {
			for _, f := range part[i].Facets {
				hashes = append(hashes, hashOf(f))
			}
			ends = append(ends, len(hashes))
		}
		if err := x.appendPart(s, part[0].Seq, hashes, ends); err != nil {
			return err
		}
	}
	return nil
}

// appendPart adds len(ends) entries; those of the i-th are hashes[ends[i-1]:ends[i]].
func (x *Index) appendPart(s *shop, seq int64, hashes []uint64, ends []int) error {
	x.mu.Lock()
	defer x.mu.Unlock()
	for !x.closed && s.unwritten()+len(ends) > max(maxTail, 2*x.opt.TailEvents) {
		wake(x.write)
		if x.failed != nil {
			return x.failed
		}
		_ = x.await(context.Background()) // which never ends
	}
	if x.closed {
		return ErrClosed
	}
	if next := s.tail.next(); seq != next {
		return fmt.Errorf("%w: %d, wanted %d", ErrGap, seq, next)
	}
	from := 0
	for _, to := range ends {
		s.tail.add(hashes[from:to])
		from = to
		if s.tail.n >= x.opt.TailEvents {
			s.freeze()
			wake(x.write)
		}
	}
	return nil
}

// freeze makes way for a new tail.
func (s *shop) freeze() {
	s.frozen = append(s.frozen, s.tail)
	s.tail = newTail(s.tail.next(), len(s.tail.lists))
}

func (x *Index) shop(id string) *shop {
	x.mu.Lock()
	defer x.mu.Unlock()
	s := x.shops[id]
	if s == nil {
		s = &shop{id: id, tail: newTail(0, 0)}
		x.shops[id] = s
	}
	return s
}

// Flush writes all that is in memory and returns when it is in the file.
func (x *Index) Flush(ctx context.Context) error {
	x.mu.Lock()
	defer x.mu.Unlock()
	if x.closed {
		return ErrClosed
	}
	last := map[*shop]*tail{}
	for _, s := range x.shops {
		if s.tail.n > 0 {
			s.freeze()
		}
		if n := len(s.frozen); n > 0 {
			last[s] = s.frozen[n-1]
		}
	}
	x.failed = nil
	since := x.begun // an attempt that goes on already may fail for a reason that has gone
	wake(x.write)
	for s, t := range last {
		for slices.Contains(s.frozen, t) {
			if x.closed {
				return ErrClosed
			}
			if x.failed != nil && x.ended > since {
				return x.failed
			}
			if err := x.await(ctx); err != nil {
				return err
			}
		}
	}
	return nil
}

// Drop forgets everything about a shop; Next is 0 again. A search that is going on ends as it began.
func (x *Index) Drop(ctx context.Context, shopID string) error {
	x.live.Lock()
	defer x.live.Unlock()
	if _, err := x.writer.ExecContext(ctx, `DELETE FROM run WHERE shop_id = $1`, shopID); err != nil {
		return x.fileError("drop", err)
	}
	x.mu.Lock()
	defer x.mu.Unlock()
	s := x.shops[shopID]
	if s == nil {
		return nil
	}
	for _, r := range s.runs {
		x.unref(r)
	}
	s.runs, s.frozen, s.tail = nil, nil, newTail(0, 0)
	x.announce()
	return nil
}

// Stats are figures about an index, over all shops.
type Stats struct {
	Shops  int
	Runs   int
	Events int64 // in runs
	Blocks int64
	Keys   int64 // different facets, counted once for each run that has them
	Bytes  int64 // on disk, of live runs, without what the database adds
	Memory int64 // bytes of block keys and Bloom filters
	Tail   int   // entries in memory, not written yet
}

// Stats counts.
func (x *Index) Stats() Stats {
	x.mu.RLock()
	defer x.mu.RUnlock()
	st := Stats{Shops: len(x.shops)}
	for _, s := range x.shops {
		st.Tail += s.unwritten()
		st.Runs += len(s.runs)
		for _, r := range s.runs {
			memory := int64(12*r.index.len() + 8*len(r.bloom))
			st.Events += r.to - r.from
			st.Blocks += int64(r.index.len())
			st.Keys += r.keys
			st.Bytes += r.bytes + memory
			st.Memory += memory
		}
	}
	return st
}

// wake leaves a word for a goroutine that waits on c, if none is there yet.
func wake(c chan struct{}) {
	select {
	case c <- struct{}{}:
	default:
	}
}

// announce lets everybody in await look again. The caller holds mu.
func (x *Index) announce() {
	close(x.changed)
	x.changed = make(chan struct{})
}

// await gives mu away until something is announced. The caller holds mu.
func (x *Index) await(ctx context.Context) error {
	c := x.changed
	x.mu.Unlock()
	defer x.mu.Lock()
	select {
	case <-c:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// settle waits until nothing is left to write, to merge or to sweep.
func (x *Index) settle(ctx context.Context) error {
	x.mu.Lock()
	defer x.mu.Unlock()
	for !x.closed {
		busy := !x.idle || len(x.tidy) > 0 || len(x.dead) > 0
		for _, s := range x.shops {
			busy = busy || len(s.frozen) > 0
		}
		if !busy {
			return nil
		}
		if x.failed != nil {
			return x.failed
		}
		if err := x.await(ctx); err != nil {
			return err
		}
	}
	return ErrClosed
}

func (x *Index) logf(format string, args ...any) {
	if x.opt.Logf != nil {
		x.opt.Logf("postings: "+format, args...)
	}
}
