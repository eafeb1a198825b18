package program

import "perennial/internal/fault"

// Batch says how a batch came out: how many of its commands had which outcome, and how many entries they made together.
type Batch struct {
	Done      int // made entries
	Unchanged int // accepted, and there was nothing to change
	Repeated  int // answered with the first answer to their Idempotency-Key
	Refused   int // by a rule, a permission or a version
	Failed    int // by a defect, the database, or a caller who went away
	Entries   int
}

// Observer is called when a batch begins, and what it gives when the batch was answered. Both run in the writer: they
// must not wait.
type Observer func() (done func(Batch))

// Observe sets who is told of the batches from now on.
func (p *Program) Observe(o Observer) { p.observer.Store(&o) }

// observed runs a batch and tells of it.
func (w *writer) observed(jobs []*job) {
	w.tally = Batch{}
	if o := w.p.observer.Load(); o != nil {
		done := (*o)()
		defer func() { done(w.tally) }()
	}
	w.commit(jobs)
}

// answer gives a job its result, and counts it.
func (w *writer) answer(j *job, r result) {
	t := &w.tally
	switch {
	case r.err != nil:
		if k := fault.As(r.err).Kind; k == fault.Internal || k == fault.Unavailable {
			t.Failed++
		} else {
			t.Refused++
		}
	case r.out.Replayed:
		t.Repeated++
	case len(r.out.Events) == 0:
		t.Unchanged++
	default:
		t.Done++
		t.Entries += len(r.out.Events)
	}
	j.done <- r
}
