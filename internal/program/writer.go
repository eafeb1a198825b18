package program

import (
	"context"
	"errors"
	"runtime"
	"time"

	"perennial/internal/db"
	"perennial/internal/fault"
	"perennial/internal/gate"
	"perennial/internal/store"
)

// writer is the goroutine that owns the writing connection, the cache of rows and the last head that it saw.
type writer struct {
	p     *Program
	s     *store.Store
	conn  *store.Writer
	cache *cache
	head  int64 // the cache is valid for this head

	beside int // how many commands that yield go with people's

	signed []byte // the last checkpoint that this writer signed or checked

	unfinished bool  // an erasure could not be finished, and it was said
	tally      Batch // of the batch under way
}

func (w *writer) run(ctx context.Context) {
	for {
		var first *job
		select {
		case first = <-w.p.queue:
		default:
			select {
			case first = <-w.p.queue:
			case first = <-w.p.behind:
			case <-ctx.Done():
				w.drain()
				return
			}
		}
		w.take(first)
	}
}

// drain finishes what was queued before the stop.
func (w *writer) drain() {
	for {
		select {
		case j := <-w.p.queue:
			w.take(j)
		case j := <-w.p.behind:
			w.take(j)
		default:
			return
		}
	}
}

// take makes a batch of a job and whatever else is waiting.
func (w *writer) take(first *job) {
	// Callers just answered usually send again at once; yield so that their next commands join this batch.
	for n := -1; n < w.p.Waiting(); {
		n = w.p.Waiting()
		runtime.Gosched()
	}
	jobs := []*job{first}
	if first.req.Yields {
		jobs = append(waiting(w.p.queue, BatchLength-1), first)
	} else {
		jobs = append(jobs, waiting(w.p.queue, BatchLength-1)...)
	}
	room := BatchLength - len(jobs)
	if !jobs[0].req.Yields {
		room = min(room, w.beside)
	}
	jobs = append(jobs, waiting(w.p.behind, room)...)
	var changes, upkeep []*job
	for _, j := range jobs {
		if j.upkeep != nil {
			upkeep = append(upkeep, j)
		} else {
			changes = append(changes, j)
		}
	}
	if len(changes) > 0 {
		w.observed(changes)
	}
	w.finishErasures(0) // those that a reader or a full disk was in the way of
	for _, j := range upkeep {
		j.done <- result{err: j.upkeep(w.conn)}
	}
}

// How many commands that yield share a batch with people's: enough that their job goes on however much people do, and few
// enough that a person does not notice. On a server a batch costs more and a command in it less.
const (
	beside         = 4
	besideOnServer = 8
)

// waiting takes what waits in a queue, up to a number.
func waiting(queue <-chan *job, most int) (out []*job) {
	for len(out) < most {
		select {
		case j := <-queue:
			out = append(out, j)
			continue
		default:
		}
		break
	}
	return out
}

// erasurePatience is how long an erasure waits for readers. Most are gone in a few milliseconds.
const erasurePatience = 100 * time.Millisecond

func (w *writer) finishErasures(patience time.Duration) {
	err := w.conn.FinishErasures(context.Background(), patience)
	if err != nil && !w.unfinished {
		w.p.log.Error("an erasure is not finished yet; it is tried again", "error", err)
	}
	w.unfinished = err != nil
}

// How often a batch is begun again after the database lost it, and how long the pauses between are.
const (
	attempts    = 5
	firstPause  = 20 * time.Millisecond
	lookUpTries = 40
	lookUpPause = 250 * time.Millisecond
)

// commit decides and commits jobs together, and answers them. A batch that a server lost before its COMMIT, by a broken
// connection or a deadlock, left nothing behind and is done again.
func (w *writer) commit(jobs []*job) {
	pause := firstPause
	for n := 1; ; n++ {
		err := w.attempt(jobs)
		if err == nil {
			return
		}
		lost := db.Lost(err)
		if n == attempts || !lost && !db.Again(err) {
			w.failAll(jobs, refusedBatch(err))
			return
		}
		time.Sleep(pause)
		pause *= 2
		if lost {
			if rerr := w.conn.Reopen(context.Background()); rerr != nil && n == attempts-1 {
				w.failAll(jobs, db.Fault(rerr))
				return
			}
		}
	}
}

// attempt decides and commits jobs together. With an error nothing was committed and nobody was answered; without one
// everybody was.
func (w *writer) attempt(jobs []*job) error {
	b, err := w.begin(context.Background())
	if err != nil {
		return err
	}
	defer b.Rollback()
	if err := w.refresh(b); err != nil {
		return err
	}
	t := newTransaction(w, b)
	if err := t.fetch(jobs); err != nil {
		return err
	}
	for _, j := range jobs {
		t.run(j)
	}
	err = t.broken()
	if err == nil && !t.writes() {
		for i := range t.results {
			t.render(&t.results[i])
		}
		b.Rollback()
		t.reply()
		return nil
	}
	if err == nil {
		err = t.flush()
	}
	if err != nil {
		b.Rollback()
		w.cache.clear()
		if len(jobs) > 1 && !db.Lost(err) && !db.Again(err) && (db.IsConstraint(err) || db.Aborts(err)) {
			// Nobody fails for a neighbour: each alone.
			for _, j := range jobs {
				w.commit([]*job{j})
			}
			return nil
		}
		return err
	}
	if err := b.Commit(); err != nil {
		committed, lookup := w.wasCommitted(t)
		switch {
		case lookup != nil:
			w.cache.clear()
			w.failAll(jobs, unknown(errors.Join(err, lookup)))
			return nil
		case !committed:
			w.cache.clear()
			return err
		}
	}
	t.keep()
	w.head = t.head.Seq
	if b.Destroyed(); len(t.destroy) > 0 {
		w.finishErasures(erasurePatience)
	}
	w.p.committed(t.head.Seq)
	t.reply()
	return nil
}

// begin starts a transaction, unless the gate holds up writing. The time that is judged is the one that is written.
func (w *writer) begin(ctx context.Context) (*store.Batch, error) {
	now := w.p.clock()
	if err := w.p.gate.AskAt(now, gate.Write); err != nil {
		return nil, err
	}
	b, err := w.conn.Begin(ctx, now)
	switch {
	case err == nil:
		w.p.gate.Wrote(b.Head.RecordedAt)
	case fault.As(err).Code == gate.ShopMoved:
		w.p.gate.Raise(gate.Reason{Code: gate.ShopMoved, Holds: gate.All, Sentence: fault.As(err).Public})
	}
	return b, err
}

// refresh makes the cache that of the head which was just locked: what other processes changed since goes out of it.
func (w *writer) refresh(b *store.Batch) error {
	const few = 10_000
	if b.Head.Seq == w.head {
		return nil
	}
	if b.Head.Seq < w.head {
		w.signed = nil // somebody put an older copy into the server: it is held against the last checkpoint anew
	}
	if behind := b.Head.Seq - w.head; behind < 0 || behind > few || w.cache.empty() {
		w.cache.clear()
	} else {
		changed, err := w.s.Changed(context.Background(), b, w.head)
		if err != nil {
			return err
		}
		for _, ref := range changed {
			w.cache.drop(ref)
		}
	}
	w.head = b.Head.Seq
	return nil
}

func refusedBatch(err error) error {
	if words := db.Refusal(err); words != "" {
		return fault.Wrap(err, fault.Internal, "journal_refused", "The database refused this change: %s.", words)
	}
	return db.Fault(err)
}

func unknown(err error) error {
	return fault.Wrap(err, fault.Unavailable, "outcome_unknown",
		"The connection to the database was lost while this was being saved, and it cannot be asked: the change may have been made. Look before you repeat it, or repeat it with its Idempotency-Key.")
}

// wasCommitted resolves a commit whose outcome is unknown: the batch's first event is there, under its command's id,
// or nothing is. It asks under the lock of the head, as a server may still be at work on a commit whose client is gone.
func (w *writer) wasCommitted(t *transaction) (committed bool, err error) {
	ctx := context.Background()
	for n := range lookUpTries {
		if n > 0 {
			time.Sleep(lookUpPause)
		}
		if w.s.Shared() {
			if err = w.conn.Reopen(ctx); err != nil {
				continue
			}
		}
		if committed, err = w.lookUp(ctx, t); err == nil || !db.Lost(err) {
			return committed, err
		}
	}
	return false, err
}

func (w *writer) lookUp(ctx context.Context, t *transaction) (bool, error) {
	b, err := w.conn.Begin(ctx, w.p.clock())
	if err != nil {
		return false, err
	}
	defer b.Rollback()
	if len(t.entries) == 0 {
		return false, nil // only answers were to be kept, which can be made again
	}
	first := t.entries[0].Event
	st, err := w.s.Event(ctx, b, store.Closed, first.Seq)
	if f := fault.As(err); err != nil && f.Kind == fault.NotFound {
		return false, nil
	}
	if err != nil {
		return false, err
	}
	return st.CommandID == first.CommandID, nil
}

func (w *writer) failAll(jobs []*job, err error) {
	for _, j := range jobs {
		w.answer(j, result{err: err})
	}
}
