package view

import (
	"slices"

	"perennial/internal/customer"
	"perennial/internal/journal"
	"perennial/internal/kinds"
	"perennial/internal/store"
	"perennial/internal/team"
)

// past is what a renderer knows of a thing's earlier names.
type past struct {
	row    store.Row
	down   int64     // entries after this seq were looked at
	before []renamed // newest first
}

// renamed says what a thing was called before an entry, and what its state said of that.
type renamed struct {
	seq   int64
	name  string
	state journal.State
}

// stateAt is the state as of an entry, as far as it makes the name.
func (p *past) stateAt(seq int64) journal.State {
	st := p.row.State
	for _, r := range p.before {
		if r.seq <= seq {
			break
		}
		st = r.state
	}
	return st
}

// at is the name as of an entry; now is today's.
func (p *past) at(seq int64, now string) string {
	if p == nil {
		return now
	}
	name := now
	for _, r := range p.before {
		if r.seq <= seq {
			break
		}
		name = r.name
	}
	return name
}

// lookBack finds the names that the parties of some entries, and other things, had at the time: one statement for all of them, and none
// where nothing changed since. Who was erased has no name at any time.
func (r *Renderer) lookBack(events []store.Stored, things ...thingAt) error {
	wanted := map[*past]bool{}
	after := int64(-1)
	var types []journal.Name
	want := func(p party, seq int64) {
		h := r.pasts[p]
		if h == nil || h.row.LastSeq <= seq || h.down <= seq || erased(h.row.State) {
			return
		}
		if len(wanted) == 0 || seq < after {
			after = seq
		}
		if h.down < h.row.LastSeq {
			after = -1 // asked for a second time, as in a long download: all of it, once
		}
		wanted[h] = true
	}
	for _, e := range events {
		for _, p := range parties(e.Event) {
			want(p, e.Seq)
		}
	}
	for _, t := range things {
		want(t.party, t.seq)
	}
	if len(wanted) == 0 {
		return nil
	}
	byRef := map[journal.Ref]*past{}
	states := map[*past]journal.State{}
	var heads []int64
	for h := range wanted {
		byRef[h.row.State.Ref()], states[h] = h, h.row.State
		heads = append(heads, h.row.LastSeq)
		h.down, h.before = after, nil
		for _, t := range kinds.Of(h.row.State.Ref().Kind).Renames {
			if !slices.Contains(types, t) {
				types = append(types, t)
			}
		}
	}
	slices.Sort(heads)
	found, err := r.s.Renames(r.ctx, r.s.Read, store.Opened, heads, after, types)
	if err != nil {
		return err
	}
	for _, st := range found {
		h := byRef[st.Target()]
		if h == nil || states[h] == nil {
			continue
		}
		fresh, err := r.s.Fresh(st.Target())
		if err != nil {
			return err
		}
		var changes []journal.Change
		for _, c := range st.Changes {
			if slices.Contains(kinds.Of(st.Target().Kind).Naming, c.Root()) {
				changes = append(changes, c)
			}
		}
		if len(changes) == 0 {
			continue
		}
		// Fields that have nothing to do with the name stay as they are today, so a change may not fit: then nothing older is known.
		if states[h], err = journal.Apply(states[h], fresh, journal.Inverse(changes)); err != nil {
			states[h] = nil
			continue
		}
		h.before = append(h.before, renamed{st.Seq, r.called(states[h]), states[h]})
	}
	return nil
}

// erased says whether somebody's data was erased: then no name of theirs is shown, of any time.
func erased(s journal.State) bool {
	switch s := s.(type) {
	case *customer.Customer:
		return s.Email.Erased
	case *customer.Address:
		return s.Line1.Erased
	case *customer.PaymentMethod:
		return s.Last4.Erased
	case *team.TeamMember:
		return s.Email.Erased
	}
	return false
}

// parties are the actors and targets of an entry.
func parties(e *journal.Event) []party {
	out := []party{{string(e.Actor.Kind), e.Actor.ID}}
	if e.OnBehalfOf != nil {
		out = append(out, party{string(e.OnBehalfOf.Kind), e.OnBehalfOf.ID})
	}
	for _, t := range e.Targets {
		out = append(out, party{string(t.Kind), string(t.ID)})
	}
	return out
}

// party is a thing or an actor as it was called at an entry.
func (r *Renderer) party(p party, seq int64) Party {
	now := r.name(p)
	v := Party{Kind: p.kind, ID: p.id, Display: r.pasts[p].at(seq, now)}
	if v.Display != now {
		v.Now = now
	}
	return v
}
