package program

import (
	"bytes"
	"cmp"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"maps"
	"runtime"
	"runtime/debug"
	"slices"
	"strings"
	"time"

	"perennial/internal/db"
	"perennial/internal/fault"
	"perennial/internal/gate"
	"perennial/internal/id"
	"perennial/internal/journal"
	"perennial/internal/seal"
	"perennial/internal/store"
	"perennial/internal/vault"
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
	// Those who were just answered often have the next command ready: together they are one batch, and not two in turns.
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
	var changes []*job
	var upkeep []exclusive
	for _, j := range jobs {
		if x, ok := j.req.Command.(exclusive); ok {
			upkeep = append(upkeep, x)
			continue
		}
		changes = append(changes, j)
	}
	if len(changes) > 0 {
		w.observed(changes)
	}
	w.finishErasures(0) // those that a reader or a full disk was in the way of
	for _, x := range upkeep {
		x.done <- x.f(w.conn)
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

// transaction is one batch being decided.
type transaction struct {
	w       *writer
	b       *store.Batch
	layer   // what the batch's accepted commands made so far
	head    store.Head
	nodes   []seal.Node
	entries []store.Entry
	secrets []secretRow
	destroy []string
	names   []journal.Reservation
	before  map[journal.Ref]store.Row // rows as they were before the batch
	fetched store.Fetched             // as it was before the batch
	answers map[string]*keptAnswer
	results []finished
}

type secretRow struct {
	owner        journal.Ref
	version, seq int64
	name         string
	salt, value  []byte
}

type keptAnswer struct {
	requestHash []byte
	reply       Reply
	person      id.ID
	write       bool
	key         []byte
}

type finished struct {
	j      *job
	out    *Outcome
	err    error
	answer *keptAnswer
	hidden error // why the first answer, which is in this very batch, may not be given when it shows personal values
}

// layer is a set of changes on top of what is below it.
type layer struct {
	states map[journal.Ref]store.Row
	owners map[[2]string]id.ID // "" when released
}

func newLayer() layer {
	return layer{states: map[journal.Ref]store.Row{}, owners: map[[2]string]id.ID{}}
}

func newTransaction(w *writer, b *store.Batch) *transaction {
	return &transaction{w: w, b: b, layer: newLayer(), head: b.Head, before: map[journal.Ref]store.Row{}, answers: map[string]*keptAnswer{}}
}

// fetch reads at once what the jobs will ask for one by one.
func (t *transaction) fetch(jobs []*job) error {
	var keys [][]byte
	var needs store.Needs
	missing := map[journal.Ref]bool{}
	for _, j := range jobs {
		if j.req.Idempotency != nil {
			keys = append(keys, j.req.Idempotency.CallerKey)
		}
		for _, ref := range j.req.Needs.Rows {
			if _, known := t.w.cache.get(ref); !known {
				missing[ref] = true
			}
		}
		needs.Lists = append(needs.Lists, j.req.Needs.Lists...)
		needs.Names = append(needs.Names, j.req.Needs.Names...)
		needs.Newest = append(needs.Newest, j.req.Needs.Newest...)
	}
	needs.Rows = slices.Collect(maps.Keys(missing))
	var err error
	t.fetched, err = t.b.Fetch(needs, keys)
	for ref, row := range t.fetched.Rows {
		t.w.cache.put(ref, row)
	}
	return err
}

// broken gives an error of the database that a job met and that ended the transaction for all of them.
func (t *transaction) broken() error {
	for _, f := range t.results {
		if f.err != nil && db.Aborts(f.err) {
			return f.err
		}
	}
	return nil
}

func (t *transaction) writes() bool {
	if len(t.entries) > 0 {
		return true
	}
	for _, f := range t.results {
		if f.answer != nil || (f.accepted() && f.j.req.Machinery != nil) {
			return true
		}
	}
	return false
}

// run decides one job. It never fails the batch: a refusal or a panic is the job's own result.
func (t *transaction) run(j *job) {
	f := finished{j: j}
	if err := j.ctx.Err(); err != nil {
		f.err = fault.Wrap(err, fault.Unavailable, "cancelled", "The request was given up before its turn came. Nothing was changed.")
		t.results = append(t.results, f)
		return
	}
	if idem := j.req.Idempotency; idem != nil {
		out, known, err := t.first(idem)
		if known || err != nil {
			f.out, f.err = out, err
			if err == nil {
				t.again(&f)
			}
			t.results = append(t.results, f)
			return
		}
		f.answer = &keptAnswer{requestHash: idem.RequestHash, key: idem.CallerKey}
		t.answers[string(idem.CallerKey)] = f.answer
	}
	f.out, f.err = t.decide(j)
	if f.err != nil && f.answer != nil {
		if k := fault.As(f.err).Kind; (k == fault.Conflict || k == fault.Refused) && j.req.Refusal != nil {
			f.answer.reply, f.answer.write = j.req.Refusal(f.err), true
		} else {
			delete(t.answers, string(f.answer.key))
			f.answer = nil
		}
	}
	t.results = append(t.results, f)
}

// first gives the first answer to a request that was made before.
func (t *transaction) first(idem *Idempotency) (out *Outcome, known bool, err error) {
	reused := fault.New(fault.Conflict, "idempotency_key_reused", "This Idempotency-Key was used for another request.")
	if a, ok := t.answers[string(idem.CallerKey)]; ok {
		// The first is in this very batch: its answer is rendered before this one is given.
		if !bytes.Equal(a.requestHash, idem.RequestHash) {
			return nil, true, reused
		}
		return &Outcome{Replayed: true, sameAs: a}, true, nil
	}
	kept, err := t.b.FindAnswer(idem.CallerKey)
	if err != nil || kept == nil {
		return nil, false, db.Fault(err)
	}
	if kept.Unknown {
		return nil, true, fault.New(fault.Conflict, "answer_unknown",
			"This request was made before with this Idempotency-Key, and its answer cannot be given again. See what came of it before you send it with another key.")
	}
	if !bytes.Equal(kept.RequestHash, idem.RequestHash) {
		return nil, true, reused
	}
	if kept.Erased {
		return nil, true, fault.New(fault.Gone, "erased", "The answer to this request was about a person whose data was erased.")
	}
	reply, err := decodeReply(kept.Answer)
	if err != nil {
		return nil, true, err
	}
	if reply.Once {
		return nil, true, alreadyShown()
	}
	return &Outcome{Reply: reply, Replayed: true}, true, nil
}

// again asks whether a first answer may still be given. One of this batch is not rendered yet: what is asked is whether it might be.
func (t *transaction) again(f *finished) {
	if f.j.req.Again == nil {
		return
	}
	v := &view{t: t, layer: newLayer()}
	if f.out.sameAs == nil {
		if err := f.j.req.Again(v, f.out.Reply); err != nil {
			f.out, f.err = nil, err
		}
		return
	}
	if f.err = f.j.req.Again(v, Reply{}); f.err != nil {
		f.out = nil
		return
	}
	f.hidden = f.j.req.Again(v, Reply{Personal: true})
}

func alreadyShown() error {
	return fault.New(fault.Conflict, "already_shown", "The answer to this request held a secret that is shown only once.")
}

// decide runs the command on a layer of its own and merges it when it is accepted.
func (t *transaction) decide(j *job) (out *Outcome, err error) {
	defer func() {
		if r := recover(); r != nil {
			t.w.p.log.Error("command panicked", "command", fmt.Sprintf("%T", j.req.Command), "panic", r, "stack", string(debug.Stack()))
			out, err = nil, fault.New(fault.Internal, "internal", "Something went wrong here. Nothing was changed.")
		}
	}()
	v := &view{t: t, layer: newLayer()}
	if j.req.Allow != nil {
		if err := j.req.Allow(v); err != nil {
			return nil, err
		}
	}
	if j.req.IfMatch != nil {
		row, err := v.load(j.req.Target)
		if err != nil {
			return nil, err
		}
		if row.Version != *j.req.IfMatch {
			return nil, fault.New(fault.Stale, "stale_version", "This was changed in the meantime: it is at version %d, not %d.", row.Version, *j.req.IfMatch)
		}
	}
	decision, err := j.req.Command.Run(v, t.b.Now)
	if err != nil {
		return nil, err
	}
	out = &Outcome{Command: j.command, Decision: decision}
	edge, seq := t.head.Edge.Clone(), t.head.Seq
	nodes := t.nodes
	var entries []store.Entry
	var secrets []secretRow
	var destroy []string
	network := j.network
	if network == nil && len(decision.Drafts) > 0 {
		if network, err = j.req.Meta.Source.SealNetwork(t.b); err != nil {
			return nil, err
		}
	}
	placed := make([]id.ID, len(decision.Drafts)) // ids of the decision's events by draft, for causation
	for i, d := range decision.Drafts {
		e, err := d.Event()
		if err != nil {
			return nil, err
		}
		target := e.Target()
		before, err := v.load(target)
		if err != nil {
			return nil, err
		}
		if d.After != nil && (before.Version == 0) != (d.Before == nil) {
			return nil, fault.New(fault.Conflict, "already_exists", "The %s %s exists already.", target.Kind.Words(), target.ID)
		}
		if d.Before != nil && len(e.Changes) == 0 && len(d.Secrets) == 0 {
			continue
		}
		seq++
		e.Shop, e.Seq, e.ID, e.RecordedAt = t.w.s.Shop, seq, id.Event(t.w.s.Shop, seq), t.b.Now
		e.TargetVersion = before.Version + 1
		if before.Version > 0 {
			e.TargetPrevSeq = before.LastSeq
		}
		m := j.req.Meta
		e.Actor, e.OnBehalfOf, e.Source = m.Actor, m.OnBehalfOf, m.Source
		if m.Comment != "" {
			e.Comment = journal.Secluded(m.Comment)
		}
		e.CommandID, e.CorrelationID = j.command, cmp.Or(m.CorrelationID, j.command)
		if e.CausationID == "" {
			e.CausationID = m.CausationID
			if n := d.CausedByDraft; n > 0 && n <= i {
				e.CausationID = placed[n-1]
			}
		}
		after := store.Row{Version: e.TargetVersion, LastSeq: seq}
		if d.After != nil {
			fresh, err := t.w.s.Fresh(target)
			if err != nil {
				return nil, err
			}
			if after.State, err = journal.Apply(before.State, fresh, e.Changes); err != nil {
				return nil, err
			}
		} else if before.State != nil {
			return nil, fmt.Errorf("program: %s observes a %s, which has a state", d.Type, target.Kind)
		}
		for _, s := range d.Secrets {
			if s.Seal {
				s.Value = t.w.s.SealSecret(target, s.Name, s.Value)
			}
			salt := make([]byte, 16)
			rand.Read(salt)
			e.Secrets = append(e.Secrets, journal.SecretCommitment{Name: s.Name, Commitment: vault.CommitSecret(salt, s.Value)})
			secrets = append(secrets, secretRow{target, e.TargetVersion, seq, s.Name, salt, s.Value})
		}
		body, ciphertexts, err := e.Encode(t.b, network)
		if err != nil {
			return nil, err
		}
		leaf := seal.LeafHash(body)
		nodes = edge.Add(leaf, nodes)
		entries = append(entries, store.Entry{Event: e, Body: body, Ciphertexts: ciphertexts, Leaf: leaf})
		out.Events = append(out.Events, Done{e, leaf})
		placed[i] = e.ID
		v.states[target] = after
		switch e.Type { // the entry is half of an erasure, the other half is the key
		case "customer.redacted":
			destroy = append(destroy, string(target.ID))
		case "network_data.expired":
			destroy = append(destroy, t.w.s.Keys.NetworkKey(strings.Trim(string(e.Detail("month")), `"`)))
		}
	}
	// Accepted: from here on nothing can fail.
	maps.Copy(t.states, v.states)
	for _, r := range decision.Reservations {
		owner := r.Owner
		if r.Release {
			owner = ""
		}
		t.owners[[2]string{r.Scope, r.Value}] = owner
	}
	t.names = append(t.names, decision.Reservations...)
	t.entries = append(t.entries, entries...)
	t.secrets = append(t.secrets, secrets...)
	t.destroy = append(t.destroy, destroy...)
	t.nodes = nodes
	t.head.Edge, t.head.Seq = edge, seq
	if len(entries) > 0 {
		t.head.RecordedAt = t.b.Now
	}
	out.states = v.states
	return out, nil
}

// flush writes everything but the commit: events first, then each changed row once, then the head, then the answers.
func (t *transaction) flush() error {
	refs := slices.SortedFunc(maps.Keys(t.states), func(a, b journal.Ref) int { return cmp.Compare(t.states[a].LastSeq, t.states[b].LastSeq) })
	rows := make([]store.Row, len(refs))
	for i, ref := range refs {
		rows[i] = t.states[ref]
	}
	// The rows are encoded while the database takes the events in: the two take about as long, and need nothing of each
	// other.
	encoded := make(chan error, 1)
	go func() {
		var err error
		for i := range rows {
			if err = rows[i].Split(); err != nil {
				break
			}
		}
		encoded <- err
	}()
	err := t.b.Append(t.entries)
	if serr := <-encoded; err == nil {
		err = serr
	}
	if err != nil {
		return err
	}
	changed := make([]store.Changed, len(refs))
	for i, ref := range refs {
		prev := t.before[ref]
		changed[i] = store.Changed{Ref: ref, Row: &rows[i], Prev: &prev}
	}
	if err := t.b.WriteAll(changed); err != nil {
		return err
	}
	for i, ref := range refs {
		t.states[ref] = rows[i]
	}
	for _, s := range t.secrets {
		if err := t.b.WriteSecret(s.owner, s.version, s.seq, s.name, s.salt, s.value); err != nil {
			return err
		}
	}
	for _, r := range t.names {
		if err := t.b.Reserve(r); err != nil {
			return err
		}
	}
	if len(t.entries) > 0 {
		if err := t.b.WriteHead(t.head, t.nodes); err != nil {
			return err
		}
	}
	for i := range t.results {
		f := &t.results[i]
		if m := f.j.req.Machinery; m != nil && f.accepted() {
			if err := m(t.b); err != nil {
				return err
			}
		}
		t.render(f)
	}
	var answers []store.Answer
	for _, f := range t.results {
		if a := f.answer; a != nil && a.write {
			answers = append(answers, store.Answer{CallerKey: a.key, RequestHash: a.requestHash, Person: a.person, Bytes: encodeReply(a.reply)})
		}
	}
	if err := t.b.KeepAnswers(answers); err != nil {
		return err
	}
	for _, k := range t.destroy {
		if err := t.b.DestroyKey(k); err != nil {
			return err
		}
	}
	return t.b.Ready(t.head.Seq)
}

// accepted says whether the command was decided now, and not refused.
func (f *finished) accepted() bool { return f.err == nil && f.out != nil && !f.out.Replayed }

// render makes an accepted job's answer. A failure to render is the job's own: what it changed stands.
func (t *transaction) render(f *finished) {
	if !f.accepted() || f.j.req.Answer == nil {
		return
	}
	defer func() {
		if r := recover(); r != nil {
			t.w.p.log.Error("answer panicked", "command", fmt.Sprintf("%T", f.j.req.Command), "panic", r, "stack", string(debug.Stack()))
			f.err = fault.New(fault.Internal, "internal", "The change was made, but its answer could not be shown.")
		}
	}()
	reply, err := f.j.req.Answer(Query{Ctx: context.Background(), S: t.w.s, Q: t.b}, f.out)
	if err != nil {
		f.err = err
		return
	}
	f.out.Reply = reply
	if f.answer != nil {
		f.answer.reply, f.answer.write = reply, true
		f.answer.person = t.person(f.out)
		if reply.Once {
			f.answer.reply = Reply{Once: true}
			f.answer.person = ""
		}
	}
}

// person is whose data an outcome shows.
func (t *transaction) person(out *Outcome) id.ID {
	if row, ok := t.states[out.Decision.Result]; ok && row.State != nil {
		return row.State.Person()
	}
	for _, e := range out.Events {
		if e.Person != "" {
			return e.Person
		}
	}
	return ""
}

// keep moves the batch's rows into the cache, after the commit.
func (t *transaction) keep() {
	for ref, row := range t.states {
		t.w.cache.put(ref, row)
	}
}

func (t *transaction) reply() {
	for _, f := range t.results {
		if f.out != nil && f.out.sameAs != nil {
			switch a := f.out.sameAs; {
			case !a.write:
				f.out, f.err = nil, busy("retry", "The first request with this key did not succeed. Try again.")
			case a.reply.Once:
				f.out, f.err = nil, alreadyShown()
			case a.reply.Personal && f.hidden != nil:
				f.out, f.err = nil, f.hidden
			default:
				f.out.Reply = a.reply
			}
		}
		t.w.answer(f.j, result{f.out, f.err})
	}
}

// view is the Reader of one command: its own layer, the batch's, the cache, the database.
type view struct {
	t *transaction
	layer
}

func (v *view) load(ref journal.Ref) (store.Row, error) {
	if r, ok := v.states[ref]; ok {
		return r, nil
	}
	if r, ok := v.t.states[ref]; ok {
		return r, nil
	}
	if r, ok := v.t.before[ref]; ok {
		return r, nil
	}
	r, ok := v.t.w.cache.get(ref)
	if !ok {
		var err error
		if r, err = v.t.w.s.Load(context.Background(), v.t.b, ref); err != nil {
			return r, db.Fault(err)
		}
		v.t.w.cache.put(ref, r)
	}
	v.t.before[ref] = r
	return r, nil
}

// State implements journal.Reader.
func (v *view) State(ref journal.Ref) (journal.State, bool, error) {
	r, err := v.load(ref)
	return r.State, r.State != nil, err
}

// Where implements journal.Reader.
func (v *view) Where(kind journal.Kind, column, value string) ([]id.ID, error) {
	ids, fetched := v.t.fetched.Lists[store.List{Kind: kind, Column: column, Value: value}]
	if ids = slices.Clone(ids); !fetched {
		var err error
		if ids, err = v.t.w.s.Where(context.Background(), v.t.b, kind, column, value); err != nil {
			return nil, err
		}
	}
	for _, states := range []map[journal.Ref]store.Row{v.t.states, v.states} {
		for ref, row := range states {
			if ref.Kind != kind {
				continue
			}
			got, err := v.t.w.s.ColumnOf(row.State, column)
			if err != nil {
				return nil, err
			}
			at, found := slices.BinarySearch(ids, ref.ID)
			switch is := got == any(value); {
			case is && !found:
				ids = slices.Insert(ids, at, ref.ID)
			case !is && found:
				ids = slices.Delete(ids, at, at+1)
			}
		}
	}
	return ids, nil
}

// ColumnOf gives a state's value of one of its table's columns.
func (v *view) ColumnOf(s journal.State, column string) (any, error) {
	return v.t.w.s.ColumnOf(s, column)
}

// Reserved implements journal.Reader.
func (v *view) Reserved(scope, value string) (id.ID, bool, error) {
	if owner, ok := v.t.owners[[2]string{scope, value}]; ok {
		return owner, owner != "", nil
	}
	if owner, ok := v.t.fetched.Names[store.Name{Scope: scope, Value: value}]; ok {
		return owner, owner != "", nil
	}
	return v.t.w.s.Reserved(context.Background(), v.t.b, scope, value)
}

// Event implements journal.Reader.
func (v *view) Event(key id.ID) (*journal.Event, []*journal.Event, error) {
	shop, seq, err := id.ParseEvent(string(key))
	if err != nil || shop != v.t.w.s.Shop {
		return nil, nil, fault.New(fault.NotFound, "unknown_event", "There is no event %s in this shop.", key)
	}
	e, err := v.event(seq)
	if err != nil {
		return nil, nil, err
	}
	row, err := v.load(e.Target())
	if err != nil {
		return nil, nil, err
	}
	var later []*journal.Event
	for at := row.LastSeq; at > seq; {
		l, err := v.event(at)
		if err != nil {
			return nil, nil, err
		}
		later = append(later, l)
		at = l.TargetPrevSeq
	}
	slices.Reverse(later)
	return e, later, nil
}

func (v *view) event(seq int64) (*journal.Event, error) {
	if first := v.t.b.Head.Seq + 1; seq >= first {
		if n := seq - first; n < int64(len(v.t.entries)) {
			return v.t.entries[n].Event, nil
		}
		return nil, fault.New(fault.NotFound, "unknown_event", "There is no event %s in this shop.", id.Event(v.t.w.s.Shop, seq))
	}
	st, err := v.t.w.s.Event(context.Background(), v.t.b, store.Opened, seq)
	return st.Event, err
}

// cache holds rows by target, up to a number of them.
type cache struct {
	rows  map[journal.Ref]store.Row
	limit int
}

func newCache(limit int) *cache { return &cache{rows: map[journal.Ref]store.Row{}, limit: limit} }

func (c *cache) get(ref journal.Ref) (store.Row, bool) {
	r, ok := c.rows[ref]
	return r, ok
}

func (c *cache) put(ref journal.Ref, r store.Row) {
	if len(c.rows) >= c.limit {
		// Half of them go, as the map happens to order them: there is no order worth keeping for rows that are one
		// look-up away.
		n := 0
		for k := range c.rows {
			delete(c.rows, k)
			if n++; n >= c.limit/2 {
				break
			}
		}
	}
	c.rows[ref] = r
}

func (c *cache) drop(ref journal.Ref) { delete(c.rows, ref) }

func (c *cache) empty() bool { return len(c.rows) == 0 }

func (c *cache) clear() { clear(c.rows) }
