package find

import (
	"slices"

	"perennial/internal/journal"
)

// facetsVersion says how entries become facets, and people words. Count it up when those that are there already get
// others, also by another wording of summaries: files of another version are made anew.
const facetsVersion = 2

// The kinds of facets.
const (
	byTarget      = "t"
	byType        = "y" // the type itself, and its family as "subscription.*"
	byCategory    = "c"
	byLog         = "l"
	byActorKind   = "k"
	byActor       = "a" // who acted, and for whom
	byChannel     = "h"
	byCorrelation = "o"
	byShown       = "s" // "yes": shown in lists without being asked for
	byReading     = "r" // "no": not the reading of a log
	byWord        = "w"
)

func facet(kind, value string) string { return kind + ":" + value }

// facets lists what an event can be found by. Personal values are not among them, so it is the same for an event that
// was opened and for one that was not. words says whether those of its summary are wanted too: they cost most.
func facets(e *journal.Event, words bool) []string {
	out := make([]string, 0, 24)
	for _, t := range e.Targets {
		out = append(out, facet(byTarget, string(t.ID)))
	}
	out = typeFacets(out, string(e.Type))
	out = append(out, facet(byActorKind, string(e.Actor.Kind)), facet(byActor, e.Actor.ID), facet(byChannel, string(e.Source.Channel)), facet(byCorrelation, string(e.CorrelationID)))
	if e.OnBehalfOf != nil {
		out = append(out, facet(byActor, e.OnBehalfOf.ID))
	}
	if words {
		first := len(out)
		add := func(word string) {
			if f := facet(byWord, word); !slices.Contains(out[first:], f) {
				out = append(out, f)
			}
		}
		for _, t := range tokens(journal.Summary(e)) {
			add(t.text)
			if t.unit != "" && t.unit != percent {
				add(t.unit)
			}
		}
	}
	return out
}

// typeFacets adds what an event is found by because of its type.
func typeFacets(out []string, name string) []string {
	typ, _ := journal.Lookup(journal.Name(name))
	out = append(out, facet(byType, name), facet(byType, typ.Family()+".*"), facet(byCategory, typ.Category), facet(byLog, string(typ.Log)))
	if !typ.Hidden {
		out = append(out, facet(byShown, "yes"))
	}
	if typ.Family() != "log" {
		out = append(out, facet(byReading, "no"))
	}
	return out
}

// Facets lists what an event is found by, for whoever makes an index otherwise than a Finder does: tests that hide an entry.
func Facets(e *journal.Event) []string { return facets(e, true) }
