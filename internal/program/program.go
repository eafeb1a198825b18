// Package program is the only way to change anything: commands go in, and one transaction comes out that holds their
// events, the tree, the new states and the answers.
//
// One writer per shop takes whatever commands are waiting, decides each in order against the states as the one before
// left them, and commits them together (natural batching: there is no timer, so a lone command never waits). A refused
// or panicking command costs its batch nothing. Every caller gets its own answer, after the commit.
//
// Proved by program_test.go (neighbours, cancellation, back-pressure, unknown commits) and by the whole-journal check
// that ends every test.
package program

import (
	"context"
	"errors"
	"log/slog"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"perennial/internal/db"
	"perennial/internal/fault"
	"perennial/internal/gate"
	"perennial/internal/id"
	"perennial/internal/journal"
	"perennial/internal/seal"
	"perennial/internal/store"
)

// Limits of the queue and of one transaction.
const (
	QueueLength = 4096 // commands that may wait; the next one is refused with 503
	BatchLength = 1024 // commands in one transaction at most
)

// Meta is who asks for a change, from where and why.
type Meta struct {
	Actor         journal.Actor
	OnBehalfOf    *journal.Actor
	Source        journal.Origin
	Comment       string
	CorrelationID id.ID // empty: the command's own id
	CausationID   id.ID
}

// Idempotency makes a request safe to repeat: the same caller's same key with the same request gives the first answer
// again.
type Idempotency struct {
	CallerKey   []byte // hash of shop, caller and key
	RequestHash []byte
}

// Reply is an answer's exact bytes.
type Reply struct {
	Status   int
	Location string
	ETag     string
	Body     []byte
	// Once marks an answer that shows a secret: it is not kept, and a repeat is refused with already_shown.
	Once bool
	// Personal says that the body shows personal values.
	Personal bool
}

// Request is a command with everything around it.
type Request struct {
	Meta    Meta
	Command journal.Command
	Needs   store.Needs
	// Yields lets the commands of people go first: those of a long job, of which there is always one more. A batch that has
	// a person's command takes only a few of these with it.
	Yields bool
	// Allow is asked under the head whether the actor may do this; nil allows.
	Allow func(r journal.Reader) error
	// Target with IfMatch: the version that the caller saw; nil does not ask.
	Target  journal.Ref
	IfMatch *int64
	// Idempotency, when the caller gave a key.
	Idempotency *Idempotency
	// Again is asked under the head before a first answer is given again, whether it still may be given; nil: it may. What the caller may
	// see now can be less than it was then.
	Again func(r journal.Reader, first Reply) error
	// Answer renders the outcome, inside the transaction. Nil: no bytes are wanted.
	Answer func(q Query, out *Outcome) (Reply, error)
	// Refusal renders a refusal that is kept with an idempotency key.
	Refusal func(err error) Reply
	// Machinery writes rows without an event in the same transaction (the hash of a link).
	Machinery func(b *store.Batch) error
}

// Query reads as of the transaction that an answer belongs to.
type Query struct {
	Ctx context.Context
	S   *store.Store
	Q   db.Querier
}

// Done is one event of an outcome.
type Done struct {
	*journal.Event
	Leaf seal.Hash
}

// Outcome is what a command came to.
type Outcome struct {
	Command  id.ID
	Decision journal.Decision
	Events   []Done
	Reply    Reply
	Replayed bool // the reply is a first answer, given again
	states   map[journal.Ref]store.Row
	sameAs   *keptAnswer // the reply is that of a request in the same batch
}

// Row gives a row that the command changed.
func (o *Outcome) Row(ref journal.Ref) (store.Row, bool) {
	r, ok := o.states[ref]
	return r, ok
}

// Clock gives the time; every time below comes from it.
type Clock func() time.Time

// Program runs commands for one shop.
type Program struct {
	Store *store.Store
	IDs   *id.Maker

	clock  Clock
	gate   *gate.Gate // nil: the clock is believed
	log    *slog.Logger
	queue  chan *job
	behind chan *job // those that yield
	w      *writer

	stop    context.CancelFunc
	stopped chan struct{}

	observer  atomic.Pointer[Observer]
	continued atomic.Bool // the journal goes on from the last signed checkpoint

	mu       sync.Mutex
	head     int64                  // guarded by mu; the last committed seq
	watchers map[chan struct{}]bool // guarded by mu; woken at each commit
	closed   bool                   // guarded by mu
}

// Start opens the writer and starts it. Stop ends it.
func Start(ctx context.Context, s *store.Store, ids *id.Maker, clock Clock, log *slog.Logger) (*Program, error) {
	conn, err := s.Writer(ctx)
	if err != nil {
		return nil, err
	}
	run, stop := context.WithCancel(context.WithoutCancel(ctx))
	p := &Program{Store: s, IDs: ids, clock: clock, log: log, queue: make(chan *job, QueueLength), behind: make(chan *job, QueueLength),
		stop: stop, stopped: make(chan struct{}), watchers: map[chan struct{}]bool{}}
	p.w = &writer{p: p, s: s, conn: conn, cache: newCache(20_000), beside: beside}
	if s.Shared() {
		p.w.beside = besideOnServer
	}
	head, err := s.ReadHead(ctx, s.Read)
	if err != nil {
		stop()
		return nil, errors.Join(db.Fault(err), conn.Close())
	}
	p.head = head.Seq
	var work sync.WaitGroup
	work.Go(func() { p.w.run(run) })
	if s.Shared() {
		work.Go(func() { p.listen(run) })
	} else {
		work.Go(func() { p.moveLog(run) })
	}
	go func() {
		defer close(p.stopped)
		work.Wait()
	}()
	return p, nil
}

// Guard makes the program ask before each transaction whether anything may be written, as beside a clock that is wrong. It is called
// before the first command.
func (p *Program) Guard(g *gate.Gate) { p.gate = g }

// Now is the clock's time.
func (p *Program) Now() time.Time { return p.clock() }

// Stop refuses new commands, finishes those that wait, and returns when the writer has ended. It may be called more
// than once.
func (p *Program) Stop() error {
	p.mu.Lock()
	if p.closed {
		p.mu.Unlock()
		<-p.stopped
		return nil
	}
	p.closed = true
	p.mu.Unlock()
	p.stop()
	<-p.stopped
	err := p.w.conn.Close()
	if err != nil && p.Store.Shared() {
		p.log.Warn("the writer's connection was lost before it was closed", "error", err) // everybody was answered
		return nil
	}
	return err
}

// job is what waits for the writer: a command, or upkeep, which is not decided and needs no transaction of the writer's.
type job struct {
	ctx     context.Context
	req     *Request
	command id.ID
	network *journal.Sealed
	upkeep  func(w *store.Writer) error // nil of a command
	done    chan result                 // of one, so that the writer never waits for a caller who left
}

type result struct {
	out *Outcome
	err error
}

// Do runs a command and returns when it is durable. A full queue refuses it at once: a fault.Unavailable with
// RetryAfter; a caller that goes away while its command waits is not served, and one that goes away later
// does not undo anything.
func (p *Program) Do(ctx context.Context, req *Request) (*Outcome, error) {
	j, err := p.Submit(ctx, req)
	if err != nil {
		return nil, err
	}
	return j.Wait()
}

// Pending is a submitted command.
type Pending struct{ j *job }

// Wait returns when the command is durable or refused, or when the caller's context ends.
func (d Pending) Wait() (*Outcome, error) {
	select {
	case r := <-d.j.done:
		return r.out, r.err
	case <-d.j.ctx.Done():
		select {
		case r := <-d.j.done:
			return r.out, r.err
		default:
			return nil, fault.Wrap(d.j.ctx.Err(), fault.Unavailable, "cancelled", "The request was given up before its answer came.")
		}
	}
}

// Submit queues a command without waiting for it. Commands run in the order of their submission, but for those that yield.
func (p *Program) Submit(ctx context.Context, req *Request) (Pending, error) {
	j := &job{ctx: ctx, req: req, command: p.IDs.New(id.Command), done: make(chan result, 1)}
	if src := req.Meta.Source; src.IP.Value != "" || src.UserAgent.Value != "" {
		j.network = p.sealAhead(src)
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.closed {
		return Pending{}, busy("stopping", "The server is stopping. Try again in a moment.")
	}
	queue := p.queue
	if req.Yields {
		queue = p.behind
	}
	select {
	case queue <- j:
		return Pending{j}, nil
	default:
		return Pending{}, busy("queue_full", "Too many changes are waiting. Try again in a second.")
	}
}

func busy(code, words string) error {
	f := fault.New(fault.Unavailable, code, "%s", words)
	f.RetryAfter = time.Second
	return f
}

// sealAhead seals the network data outside the writer, when the month's key is open already.
func (p *Program) sealAhead(src journal.Origin) *journal.Sealed {
	box, err := src.SealNetwork(aheadSealer{p})
	if err != nil {
		return nil
	}
	return box
}

type aheadSealer struct{ p *Program }

var errLater = errors.New("program: the key is not open yet")

func (a aheadSealer) Seal(class string, owner id.ID, value []byte) (journal.Sealed, error) {
	s, ok, err := a.p.Store.Keys.TrySeal(class, owner, a.p.clock(), value)
	if err == nil && !ok {
		err = errLater
	}
	return s, err
}

// Head is the last committed seq, -1 for an empty journal.
func (p *Program) Head() int64 {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.head
}

// Watch gives a channel that is filled after each commit (one token, however many commits), and a function that ends
// the watching.
func (p *Program) Watch() (<-chan struct{}, func()) {
	c := make(chan struct{}, 1)
	p.mu.Lock()
	p.watchers[c] = true
	p.mu.Unlock()
	return c, func() {
		p.mu.Lock()
		delete(p.watchers, c)
		p.mu.Unlock()
	}
}

// listen hears of what other processes committed. A notification is a hint; what it missed is found by looking every second.
func (p *Program) listen(ctx context.Context) {
	heard := make(chan struct{}, 1)
	var work sync.WaitGroup
	defer work.Wait()
	work.Go(func() {
		p.Store.Listen(ctx, func(told string) {
			if p.knows(told) {
				return
			}
			select {
			case heard <- struct{}{}:
			default:
			}
		})
	})
	t := time.NewTicker(lookEvery)
	defer t.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-heard:
		case <-t.C:
		}
		if head, err := p.Store.ReadHead(ctx, p.Store.Read); err == nil {
			p.committed(head.Seq)
		}
	}
}

// knows says whether a notification of a commit tells nothing new: it is of this process, or of another shop.
func (p *Program) knows(told string) bool {
	shop, seq, ok := strings.Cut(told, " ")
	if !ok {
		return false // it was connected anew
	}
	n, err := strconv.ParseInt(seq, 10, 64)
	return shop != string(p.Store.Shop) || err == nil && n <= p.Head()
}

// moveLog moves an embedded database's write-ahead log into the file while much is written, so that it is seldom left to a commit,
// behind which people wait.
func (p *Program) moveLog(ctx context.Context) {
	const (
		entries = 500  // after how many it is moved
		long    = 4000 // pages, from which it has to begin anew: what came meanwhile is moved between two batches
	)
	committed, stop := p.Watch()
	defer stop()
	for moved := p.Head(); ; {
		select {
		case <-ctx.Done():
			return
		case <-committed:
		}
		head := p.Head()
		if head-moved < entries {
			continue
		}
		moved = head
		pages, err := p.Store.MoveLog(ctx)
		if err == nil && pages >= long {
			err = p.Exclusive(ctx, func(w *store.Writer) error { return w.MoveLog(ctx) })
		}
		if err != nil && ctx.Err() == nil {
			p.log.Warn("the write-ahead log is left to the next commits", "error", err)
		}
	}
}

// lookEvery is how often the head is looked at beside notifications.
const lookEvery = time.Second

func (p *Program) committed(head int64) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if head <= p.head {
		return
	}
	p.head = head
	for c := range p.watchers {
		select {
		case c <- struct{}{}:
		default:
		}
	}
}

// Checkpoint signs the tree as it stands when it has grown since the last checkpoint, and gives the newest one. It
// refuses to sign a tree that is not a continuation of the last signed one: a database restored from before.
func (p *Program) Checkpoint(ctx context.Context) (c store.Checkpoint, err error) {
	err = p.Exclusive(ctx, func(*store.Writer) error {
		c, err = p.w.checkpoint()
		return err
	})
	return c, err
}

// Upkeep writes machinery that belongs to no command (sessions, the outbox), in a transaction of its own between two batches.
func (p *Program) Upkeep(ctx context.Context, f func(b *store.Batch) error) error {
	return p.Exclusive(ctx, func(*store.Writer) error {
		b, err := p.w.begin(ctx)
		if err != nil {
			return store.Fault(err)
		}
		defer b.Rollback()
		if err := f(b); err != nil {
			return store.Fault(err)
		}
		return store.Fault(b.Commit())
	})
}

// Spend says whether this is the first use of a thing that is worthless after until, whichever process asks.
func (p *Program) Spend(ctx context.Context, thing string, until time.Time) (bool, error) {
	first := make(chan bool, 1) // the writer may come to it after this caller has gone
	err := p.Upkeep(ctx, func(b *store.Batch) error {
		yes, err := b.Spend(thing, until)
		first <- yes
		return err
	})
	if err != nil {
		return false, err
	}
	return <-first, nil
}

// Exclusive runs f between two batches, with the writing connection to itself: a checkpoint, upkeep of the file. It changes nothing that
// has entries. A stopping program and a full queue refuse it at once, like a command; an error of f is given as it is.
func (p *Program) Exclusive(ctx context.Context, f func(w *store.Writer) error) error {
	j := &job{ctx: ctx, req: &Request{}, upkeep: f, done: make(chan result, 1)}
	p.mu.Lock()
	if p.closed {
		p.mu.Unlock()
		return busy("stopping", "The server is stopping. Try again in a moment.")
	}
	select {
	case p.queue <- j:
	default:
		p.mu.Unlock()
		return busy("queue_full", "Too many changes are waiting. Try again in a second.")
	}
	p.mu.Unlock()
	select {
	case r := <-j.done:
		return r.err
	case <-ctx.Done():
		return ctx.Err()
	}
}

// Waiting is how many commands wait for the writer.
func (p *Program) Waiting() int { return len(p.queue) + len(p.behind) }
