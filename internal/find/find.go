// Package find answers which entries a filter means. It keeps posting lists of every facet of an event (targets, actor,
// type, category, channel, correlation, words) in a file of its own, and look-up tables that lead from a name or an
// e-mail address to the thing. All of it is derived: dropped and made anew from the journal, never evidence.
//
//   - Every search first catches up with the committed head, so whoever made a change finds it at once.
//   - Posting lists know facets by hashes, which somebody can make collide on purpose. So every entry is read and held
//     against the question before it is given: Events gives what was read, for those who need it anyhow.
//   - A file that is damaged, and one that tells of another journal (a backup was restored), is made anew by itself.
//   - Of personal values the file holds the names and e-mail addresses of people, and nothing else; an erased person's are
//     overwritten as soon as the erasure is followed.
//
// find_test.go holds a year of a shop against a filter that looks at every entry.
package find

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"sync"
	"sync/atomic"

	"perennial/internal/db"
	"perennial/internal/fault"
	"perennial/internal/find/postings"
	"perennial/internal/store"
)

// batchLength is how many entries are indexed at a time.
const batchLength = 1000

// Finder searches one shop's journal. Its methods may be called at any time from any goroutine.
type Finder struct {
	s    *store.Store
	path string
	log  *slog.Logger

	readOnly bool // the file is only read, and another process may write it

	tables *tables              // the index of PostgreSQL; nil when it is a file
	file   atomic.Pointer[file] // replaced by anew, under mu
	done   atomic.Int64         // entries below this are found; written under mu

	// Noted is told once of each entry that a page was without; set before the first page, nil for nobody.
	Noted func(hidden, unreadable []int64)

	gaps   sync.Mutex
	missed map[int64]bool // guarded by gaps

	mu     sync.Mutex // one catches up at a time; guards names.next and names.changed too
	closed bool       // guarded by mu
}

// file is an open index file.
type file struct {
	index *postings.Index
	names *names
}

// Open opens the index file at path, and makes it when it is missing. What it holds is dropped when it does not belong to
// the journal of the store. In PostgreSQL the index is in tables, and there is no file. log may be nil.
func Open(ctx context.Context, s *store.Store, path string, log *slog.Logger) (*Finder, error) {
	if log == nil {
		log = slog.New(slog.DiscardHandler)
	}
	f := &Finder{s: s, path: path, log: log, missed: map[int64]bool{}}
	if s.DB.Engine == db.Postgres {
		f.tables = newTables(s)
		return f, nil
	}
	if err := f.open(ctx); err != nil {
		return nil, err
	}
	x := f.file.Load()
	head, err := s.ReadHead(ctx, s.Read)
	if err == nil {
		var ours bool
		if ours, err = f.ours(ctx, x, head.Seq); err == nil && !ours {
			log.Warn("the index tells of another journal and is made anew", "file", path)
			err = f.forget(ctx, x)
		}
	}
	if err != nil {
		return nil, errors.Join(db.Fault(err), x.index.Close())
	}
	return f, nil
}

// OpenReadOnly opens an index to compare it, also beside a server. It is nil when there is no file, or it is one of another version. Only
// Compare and Close may be called.
func OpenReadOnly(ctx context.Context, s *store.Store, path string) (*Finder, error) {
	f := &Finder{s: s, path: path, readOnly: true, log: slog.New(slog.DiscardHandler), missed: map[int64]bool{}}
	if s.DB.Engine == db.Postgres {
		f.tables = newTables(s)
		return f, nil
	}
	x, err := postings.OpenReadOnly(ctx, path)
	if errors.Is(err, fs.ErrNotExist) || errors.Is(err, postings.ErrOther) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("find: %w", err)
	}
	_, reader := x.DB()
	n := &names{s: s, r: reader}
	version, err := n.position(ctx)
	if err != nil || version != facetsVersion {
		return nil, errors.Join(db.Fault(err), x.Close())
	}
	f.file.Store(&file{x, n})
	return f, nil
}

func (f *Finder) open(ctx context.Context) error {
	x, err := postings.Open(ctx, f.path, postings.Options{Logf: func(format string, args ...any) { f.log.Warn(fmt.Sprintf(format, args...)) }})
	if errors.Is(err, postings.ErrInUse) {
		return fault.Wrap(err, fault.Unavailable, "index_in_use", "The index %s is in use: another perennial runs on this folder.", f.path)
	}
	if err != nil {
		return fmt.Errorf("find: %w", err)
	}
	n, err := openNames(ctx, x, f.s)
	if err != nil {
		return errors.Join(fmt.Errorf("find: %w", err), x.Close())
	}
	f.file.Store(&file{x, n})
	return nil
}

// ours says whether what a file tells is of this journal. A restored backup has other entries from some seq on, or none:
// the last one that was indexed has to be found by its own facets, ids that were made by chance among them, and the last
// one that the names followed has to have the same leaf hash.
func (f *Finder) ours(ctx context.Context, x *file, head int64) (bool, error) {
	if follows, err := f.follows(ctx, x, head); err != nil || !follows {
		return false, err
	}
	next := x.index.Next(string(f.s.Shop))
	if next == 0 {
		return true, nil
	}
	last, err := f.s.Event(ctx, f.s.Read, store.Closed, next-1)
	if err != nil {
		return false, err
	}
	q := postings.Query{From: next - 1}
	for _, has := range facets(last.Event, true) {
		q.All = append(q.All, []string{has})
	}
	for _, err := range x.index.Search(ctx, string(f.s.Shop), q) {
		if errors.Is(err, postings.ErrDamaged) {
			return false, nil
		}
		return err == nil, err
	}
	return false, nil
}

// follows says whether the index is not ahead of the journal, and the last entry that the names followed is of this one.
func (f *Finder) follows(ctx context.Context, x *file, head int64) (bool, error) {
	if x.index.Next(string(f.s.Shop)) > head+1 || x.names.next > head+1 {
		return false, nil
	}
	if x.names.next == 0 {
		return true, nil
	}
	last, err := f.s.Event(ctx, f.s.Read, store.Closed, x.names.next-1)
	return err == nil && last.Leaf == x.names.leaf, err
}

// Close writes what is in memory and closes the file. It may be called more than once.
func (f *Finder) Close(ctx context.Context) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.closed {
		return nil
	}
	f.closed = true
	if f.tables != nil {
		return nil
	}
	x := f.file.Load()
	if f.readOnly {
		return x.index.Close()
	}
	return errors.Join(x.names.write(ctx), x.index.Flush(ctx), x.index.Close())
}

// Indexed is how many entries can be found without catching up: all below this seq.
func (f *Finder) Indexed() int64 { return f.done.Load() }

// Stats are figures about the index.
func (f *Finder) Stats() postings.Stats {
	if f.tables != nil {
		return postings.Stats{}
	}
	return f.file.Load().index.Stats()
}

// Rebuild drops everything and makes it anew from the journal. progress is called with the number of entries done.
func (f *Finder) Rebuild(ctx context.Context, progress func(done int64)) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.tables != nil {
		f.done.Store(0)
		if err := f.tables.forget(ctx); err != nil {
			return db.Fault(err)
		}
	} else if err := f.anew(ctx); err != nil {
		return err
	}
	return f.catchUp(ctx, progress)
}

// CatchUp indexes what was committed since the last time, and tries again what could not be wiped. When there is
// nothing to do it costs one read of the head.
func (f *Finder) CatchUp(ctx context.Context) error {
	if err := f.fresh(ctx); err != nil || f.tables != nil {
		return err
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	if n := f.file.Load().names; n.unwiped && !f.closed {
		return n.wipe(ctx)
	}
	return nil
}

// fresh catches up when there is something new.
func (f *Finder) fresh(ctx context.Context) error {
	head, err := f.s.ReadHead(ctx, f.s.Read)
	if err != nil {
		return db.Fault(err)
	}
	if head.Seq+1 == f.done.Load() || f.tables != nil && head.Seq < f.done.Load() {
		return nil
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.closed {
		return postings.ErrClosed
	}
	if err = f.catchUp(ctx, nil); broken(err) {
		err = f.mendLocked(ctx, err)
	}
	return err
}

func (f *Finder) catchUp(ctx context.Context, progress func(int64)) error {
	head, err := f.s.ReadHead(ctx, f.s.Read)
	if err != nil {
		return db.Fault(err)
	}
	if f.tables != nil {
		return f.tables.catchUp(ctx, head.Seq, func(next int64) {
			f.done.Store(next)
			if progress != nil {
				progress(next)
			}
		})
	}
	x := f.file.Load()
	next := x.index.Next(string(f.s.Shop))
	if next > head.Seq+1 || x.names.next > head.Seq+1 {
		f.log.Warn("the index is ahead of the journal and is made anew", "indexed", next, "head", head.Seq)
		if err := f.forget(ctx, x); err != nil {
			return err
		}
		next = 0
	}
	batch := make([]postings.Entry, 0, batchLength)
	read := 0
	flush := func(last store.Stored) error {
		if err := x.index.Append(string(f.s.Shop), batch); err != nil {
			return err
		}
		batch, read = batch[:0], 0
		if err := x.names.follow(ctx, last); err != nil {
			return err
		}
		f.done.Store(min(x.index.Next(string(f.s.Shop)), x.names.next))
		if progress != nil {
			progress(last.Seq + 1)
		}
		return nil
	}
	var last store.Stored
	for st, err := range f.s.Events(ctx, f.s.DB.Reader, store.Closed, min(next, x.names.next), head.Seq+1) {
		if err != nil {
			return db.Fault(err)
		}
		if st.Seq >= next {
			batch = append(batch, postings.Entry{Seq: st.Seq, Facets: facets(st.Event, true)})
		}
		x.names.see(st)
		last = st
		if read++; read == batchLength {
			if err := flush(last); err != nil {
				return err
			}
		}
	}
	if read > 0 {
		return flush(last)
	}
	f.done.Store(head.Seq + 1)
	return nil
}

// forget drops everything in a file. The caller holds mu, or is alone.
func (f *Finder) forget(ctx context.Context, x *file) error {
	f.done.Store(0)
	return errors.Join(x.index.Drop(ctx, string(f.s.Shop)), x.names.drop(ctx))
}

// anew removes the file and makes it again, empty: pages that cannot be read cannot be deleted from either. Searches that
// are going on go on in the new one. The caller holds mu.
func (f *Finder) anew(ctx context.Context) error {
	f.done.Store(0)
	if err := f.file.Load().index.Close(); err != nil {
		f.log.Warn("close the index", "error", err)
	}
	if err := postings.Remove(f.path); err != nil {
		return fmt.Errorf("find: %w", err)
	}
	return f.open(ctx)
}

// mend makes the file anew in which an error was met, if that helps and nobody did in the meantime. It gives back the error
// of a search that need not be tried again.
func (f *Finder) mend(ctx context.Context, x *file, why error) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	if !f.closed && f.file.Load() != x {
		return nil
	}
	return f.mendLocked(ctx, why)
}

func (f *Finder) mendLocked(ctx context.Context, why error) error {
	if f.closed || !broken(why) {
		return why
	}
	f.log.Warn("the index is damaged and is made anew", "file", f.path, "error", why)
	if err := f.anew(ctx); err != nil {
		return errors.Join(why, err)
	}
	return f.catchUp(ctx, nil)
}

// broken says whether an error tells of the index file, and not of the journal's, that it cannot be used as it is.
func broken(err error) bool {
	if errors.Is(err, postings.ErrDamaged) || errors.Is(err, postings.ErrClosed) {
		return true
	}
	if _, ok := errors.AsType[*fault.Error](err); ok || err == nil {
		return false
	}
	return fault.As(db.Fault(err)).Code == "database_damaged"
}
