package program

import (
	"bytes"
	"maps"
	"slices"

	"perennial/internal/db"
	"perennial/internal/fault"
	"perennial/internal/id"
	"perennial/internal/journal"
	"perennial/internal/seal"
	"perennial/internal/store"
)

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
