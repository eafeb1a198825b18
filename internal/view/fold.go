package view

import (
	"cmp"
	"slices"
	"strconv"
	"time"

	"perennial/internal/id"
	"perennial/internal/journal"
)

// Row is one line of a folded log: one entry, or several that one cause made.
type Row struct {
	// Head is the index of the entry that stands for the row: what the cause came to.
	Head int
	// Steps are the indexes of all its entries; nil when it is one. The steps of one cause begin with the oldest, a run is in the list's order.
	Steps []int
	// Times is set when the steps are the same thing over and over, such as the mails of one run.
	Times bool
}

// runsFrom is how many entries of the same kind in a row are folded.
const runsFrom = 3

// Fold makes rows of entries that are sorted by seq, either way. Entries of one day that one operation made, or that caused one another, are
// one row, which stands where the first of them stood. Rows of a program that do the same thing one after the other are one too, and so
// are those of a person to the same thing.
func Fold(events []Event, zone *time.Location) []Row {
	root := make([]int, len(events))
	at := make(map[id.ID]int, len(events))
	operations := map[id.ID]int{}
	var find func(i int) int
	find = func(i int) int {
		if root[i] != i {
			root[i] = find(root[i])
		}
		return root[i]
	}
	join := func(i, j int) { // the first in order stands for all
		i, j = find(i), find(j)
		if sameDay(events[i], events[j], zone) {
			root[max(i, j)] = min(i, j)
		}
	}
	for i, e := range events {
		root[i], at[e.ID] = i, i
	}
	for i, e := range events {
		if first, some := operations[e.CorrelationID]; some {
			join(first, i)
		} else {
			operations[e.CorrelationID] = i
		}
		if e.CausationID != nil {
			if cause, here := at[*e.CausationID]; here {
				join(cause, i)
			}
		}
	}
	var rows []Row
	members := map[int][]int{}
	for i := range events {
		members[find(i)] = append(members[find(i)], i)
	}
	for i := range events {
		if list := members[i]; len(list) == 1 {
			rows = append(rows, Row{Head: i})
		} else if len(list) > 1 {
			slices.SortFunc(list, func(a, b int) int { return cmp.Compare(events[a].Seq, events[b].Seq) })
			rows = append(rows, Row{Head: headOf(events, list), Steps: list})
		}
	}
	return runs(events, rows, zone)
}

// headOf chooses the entry that says best what several came to: of those that somebody made by hand, if any, the first that tells of a
// subscription, or else the first.
func headOf(events []Event, steps []int) int {
	byHand := slices.DeleteFunc(slices.Clone(steps), func(i int) bool { return events[i].Automatic() })
	if len(byHand) == 0 {
		byHand = steps
	}
	if i := slices.IndexFunc(byHand, func(i int) bool { return events[i].target().Kind == string(journal.Subscription) }); i >= 0 {
		return byHand[i]
	}
	return byHand[0]
}

// runs joins rows of one entry that stand side by side and do the same.
func runs(events []Event, rows []Row, zone *time.Location) (out []Row) {
	for i := 0; i < len(rows); {
		n := 1
		for rows[i].Steps == nil && i+n < len(rows) && rows[i+n].Steps == nil && alike(events[rows[i].Head], events[rows[i+n].Head], zone) {
			n++
		}
		if n < runsFrom {
			out = append(out, rows[i])
			i++
			continue
		}
		row := Row{Head: rows[i].Head, Times: true}
		for _, r := range rows[i : i+n] {
			row.Steps = append(row.Steps, r.Head)
		}
		out = append(out, row)
		i += n
	}
	return out
}

func alike(a, b Event, zone *time.Location) bool {
	same := a.Type == b.Type && a.Actor.Kind == b.Actor.Kind && a.Actor.ID == b.Actor.ID && a.Comment == b.Comment && a.FoundByChain == b.FoundByChain && sameDay(a, b, zone)
	return same && (a.Automatic() || a.Summary == b.Summary && !undoable(a) && slices.Equal(a.lasting(), b.lasting()))
}

// lasting are the things that an event is about, without the session that was begun or ended by it.
func (e Event) lasting() []Party {
	return slices.DeleteFunc(slices.Clone(e.Targets), func(p Party) bool { return p.Kind == string(journal.Session) })
}

func undoable(e Event) bool {
	t, _ := journal.Lookup(journal.Name(e.Type))
	return t.Undoable()
}

// Automatic says whether nobody did this by hand.
func (e Event) Automatic() bool {
	k := journal.ActorKind(e.Actor.Kind)
	return k != journal.ActorTeamMember && k != journal.ActorCustomer && k != journal.ActorAnonymous
}

func (e Event) target() Party {
	if len(e.Targets) == 0 {
		return Party{}
	}
	return e.Targets[0]
}

func sameDay(a, b Event, zone *time.Location) bool {
	y, m, d := a.RecordedAt.In(zone).Date()
	y2, m2, d2 := b.RecordedAt.In(zone).Date()
	return y == y2 && m == m2 && d == d2
}

// Sentence says what a row is, in words without its number of steps.
func (r Row) Sentence(events []Event) string {
	head := events[r.Head]
	if r.Times && slices.ContainsFunc(r.Steps, func(i int) bool { return events[i].Summary != head.Summary }) {
		return head.Label
	}
	return head.Summary
}

// Count says how many entries a row has: "5 steps", "43 times"; empty for one.
func (r Row) Count() string {
	switch {
	case r.Steps == nil:
		return ""
	case r.Times:
		return strconv.Itoa(len(r.Steps)) + " times"
	}
	return strconv.Itoa(len(r.Steps)) + " steps"
}
