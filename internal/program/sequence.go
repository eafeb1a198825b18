package program

import (
	"fmt"
	"maps"
	"slices"
	"time"

	"perennial/internal/id"
	"perennial/internal/journal"
)

// Sequence is several commands as one: they are decided in order, each with the states that those before it made, and
// all of their events are made or none. Its result is that of the last one.
type Sequence []journal.Command

// Run implements journal.Command. It refuses as the first command that refuses does.
func (s Sequence) Run(r journal.Reader, now time.Time) (all journal.Decision, err error) {
	a := after{r, map[journal.Ref]journal.State{}, map[[2]string]id.ID{}}
	for _, c := range s {
		d, err := c.Run(a, now)
		if err != nil {
			return journal.Decision{}, err
		}
		for _, draft := range d.Drafts {
			if draft.After != nil {
				a.states[draft.After.Ref()] = draft.After
			}
		}
		all.Drafts = journal.AppendDrafts(all.Drafts, 0, d.Drafts...)
		for _, n := range d.Reservations {
			owner := n.Owner
			if n.Release {
				owner = ""
			}
			a.owners[[2]string{n.Scope, n.Value}] = owner
		}
		all.Reservations = append(all.Reservations, d.Reservations...)
		all.Created = append(all.Created, d.Created...)
		all.Result = d.Result
	}
	return all, nil
}

// after reads the shop as it is after some decisions. The journal is as it was before them: their events have no place
// in it yet.
type after struct {
	journal.Reader
	states map[journal.Ref]journal.State
	owners map[[2]string]id.ID // "" when released
}

// State implements journal.Reader.
func (a after) State(ref journal.Ref) (journal.State, bool, error) {
	if s, ok := a.states[ref]; ok {
		return s, true, nil
	}
	return a.Reader.State(ref)
}

// Where implements journal.Reader.
func (a after) Where(kind journal.Kind, column, value string) ([]id.ID, error) {
	ids, err := a.Reader.Where(kind, column, value)
	if err != nil {
		return nil, err
	}
	found := map[id.ID]bool{}
	for _, key := range ids {
		found[key] = true
	}
	for ref, s := range a.states {
		if ref.Kind != kind {
			continue
		}
		got, err := a.ColumnOf(s, column)
		if err != nil {
			return nil, err
		}
		found[ref.ID] = got == any(value)
	}
	maps.DeleteFunc(found, func(_ id.ID, in bool) bool { return !in })
	return slices.Sorted(maps.Keys(found)), nil
}

// Reserved implements journal.Reader.
func (a after) Reserved(scope, value string) (id.ID, bool, error) {
	if owner, ok := a.owners[[2]string{scope, value}]; ok {
		return owner, owner != "", nil
	}
	return a.Reader.Reserved(scope, value)
}

// columns is a reader that knows how states become rows, as those of this package do.
type columns interface {
	ColumnOf(s journal.State, column string) (any, error)
}

// ColumnOf gives a state's value of one of its table's columns.
func (a after) ColumnOf(s journal.State, column string) (any, error) {
	if r, ok := a.Reader.(columns); ok {
		return r.ColumnOf(s, column)
	}
	return nil, fmt.Errorf("program: %T does not know the columns of a %s", a.Reader, s.Ref().Kind)
}
