// Package journaltest is a journal in memory, for tests of rules: it runs commands as program does, without storage,
// clock or keys.
package journaltest

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"time"

	"perennial/internal/fault"
	"perennial/internal/id"
	"perennial/internal/journal"
)

// Column gives a state's value of one of its table's columns.
type Column func(s journal.State) string

// World is a shop in memory. It is a journal.Reader.
type World struct {
	Fresh   map[journal.Kind]func(key id.ID) func() journal.State // how to make an empty state of a kind
	Columns map[journal.Kind]map[string]Column
	States  map[journal.Ref]journal.State
	Events  []*journal.Event
	Names   map[[2]string]id.ID
	Shop    id.ID
	heads   map[journal.Ref]int64
}

// NewWorld makes an empty shop.
func NewWorld(shop id.ID) *World {
	return &World{
		Fresh: map[journal.Kind]func(id.ID) func() journal.State{}, Columns: map[journal.Kind]map[string]Column{},
		States: map[journal.Ref]journal.State{}, Names: map[[2]string]id.ID{}, Shop: shop, heads: map[journal.Ref]int64{},
	}
}

func (w *World) State(ref journal.Ref) (journal.State, bool, error) {
	s, ok := w.States[ref]
	return s, ok, nil
}

func (w *World) Where(kind journal.Kind, column, value string) ([]id.ID, error) {
	col := w.Columns[kind][column]
	if col == nil {
		return nil, fmt.Errorf("journaltest: %s has no column %s", kind, column)
	}
	var out []id.ID
	for ref, s := range w.States {
		if ref.Kind == kind && col(s) == value {
			out = append(out, ref.ID)
		}
	}
	slices.Sort(out)
	return out, nil
}

func (w *World) Reserved(scope, value string) (id.ID, bool, error) {
	owner, ok := w.Names[[2]string{scope, value}]
	return owner, ok, nil
}

// Event implements journal.Reader. As in a shop, an event that there is not is a fault that says so.
func (w *World) Event(key id.ID) (*journal.Event, []*journal.Event, error) {
	i := slices.IndexFunc(w.Events, func(e *journal.Event) bool { return e.ID == key })
	if i < 0 {
		return nil, nil, fault.New(fault.NotFound, "unknown_event", "There is no event %s.", key)
	}
	var later []*journal.Event
	for _, e := range w.Events[i+1:] {
		if e.Target() == w.Events[i].Target() {
			later = append(later, e)
		}
	}
	return w.Events[i], later, nil
}

// Run decides a command and, unless it is refused, applies its events.
func (w *World) Run(c journal.Command, now time.Time) (journal.Decision, []*journal.Event, error) {
	d, err := c.Run(w, now)
	if err != nil {
		return d, nil, err
	}
	var made []*journal.Event
	states := map[journal.Ref]journal.State{}
	command := id.ID(fmt.Sprintf("cmd_%d", len(w.Events)))
	for _, dr := range d.Drafts {
		e, after, err := w.event(dr, now, states)
		if err != nil {
			return d, nil, err
		}
		e.CommandID = command
		if after != nil {
			states[after.Ref()] = after
		}
		w.Events = append(w.Events, e)
		made = append(made, e)
	}
	maps.Copy(w.States, states)
	for _, r := range d.Reservations {
		k := [2]string{r.Scope, r.Value}
		if r.Release {
			delete(w.Names, k)
		} else {
			w.Names[k] = r.Owner
		}
	}
	return d, made, nil
}

func (w *World) event(d journal.Draft, now time.Time, pending map[journal.Ref]journal.State) (*journal.Event, journal.State, error) {
	e, err := d.Event()
	if err != nil {
		return nil, nil, err
	}
	e.Shop, e.Seq, e.RecordedAt = w.Shop, int64(len(w.Events)), now
	e.ID = id.Event(w.Shop, e.Seq)
	w.heads[e.Target()]++
	e.TargetVersion = w.heads[e.Target()]
	if d.After == nil {
		return e, nil, nil
	}
	before := cmp.Or(pending[e.Target()], w.States[e.Target()])
	fresh := w.Fresh[e.Target().Kind]
	if fresh == nil {
		return nil, nil, fmt.Errorf("journaltest: no state for kind %s", e.Target().Kind)
	}
	after, err := journal.Apply(before, fresh(e.Target().ID), e.Changes)
	return e, after, err
}

// Rebuild folds all events from nothing and gives the states that they come to.
func (w *World) Rebuild() (map[journal.Ref]journal.State, error) {
	out := map[journal.Ref]journal.State{}
	for _, e := range w.Events {
		fresh := w.Fresh[e.Target().Kind]
		if fresh == nil || len(e.Changes) == 0 {
			continue
		}
		s, err := journal.Apply(out[e.Target()], fresh(e.Target().ID), e.Changes)
		if err != nil {
			return nil, err
		}
		out[e.Target()] = s
	}
	return out, nil
}
