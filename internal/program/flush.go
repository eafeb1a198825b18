package program

import (
	"cmp"
	"context"
	"fmt"
	"maps"
	"runtime/debug"
	"slices"

	"perennial/internal/fault"
	"perennial/internal/id"
	"perennial/internal/journal"
	"perennial/internal/store"
)

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
