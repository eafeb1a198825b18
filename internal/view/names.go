package view

import (
	"cmp"
	"strings"

	"perennial/internal/id"
	"perennial/internal/journal"
	"perennial/internal/kinds"
	"perennial/internal/query"
	"perennial/internal/settings"
	"perennial/internal/store"
)

// name is what a target or an actor is called.
func (r *Renderer) name(p party) string {
	if n, ok := r.names[p]; ok {
		return n
	}
	switch p.kind {
	case string(journal.ActorSystem):
		return "System: " + strings.ReplaceAll(p.id, "_", " ")
	case string(journal.ActorImport):
		return "Import: " + p.id
	case string(journal.ActorIntegration):
		return "Integration: " + p.id
	case string(journal.ActorAnonymous):
		return "Somebody unknown"
	case string(journal.Settings):
		if p.id == string(settings.PageGeneral) {
			return "Account settings"
		}
		return strings.ToUpper(p.id[:1]) + p.id[1:] + " settings"
	case string(journal.Team):
		return "The team"
	case string(journal.Log):
		return logTitle(p.id)
	case string(journal.Source):
		return p.id
	}
	words := journal.Kind(p.kind).Words()
	return strings.ToUpper(words[:1]) + words[1:]
}

// logTitle names a log by the id of its target.
func logTitle(key string) string {
	switch id.ID(key).Prefix() {
	case id.Customer:
		return "Customer Audit Log"
	case id.Subscription:
		return "Subscription Audit Log"
	case "explorer":
		return "Explorer"
	}
	return "Activity Log"
}

// lookUp reads the names of everybody and everything in some events, and of some things besides, that is not known yet: one
// query for each kind.
func (r *Renderer) lookUp(events []store.Stored, also ...journal.Ref) error {
	if len(r.names) > namesKept {
		clear(r.names)
		clear(r.pasts)
	}
	wanted := map[journal.Kind][]id.ID{}
	seen := map[party]bool{}
	want := func(kind, key string) {
		p := party{kind, key}
		if _, known := r.names[p]; !known && !seen[p] && store.HasState(journal.Kind(kind)) && kind != string(journal.Settings) && kind != string(journal.Team) {
			seen[p] = true
			wanted[journal.Kind(kind)] = append(wanted[journal.Kind(kind)], id.ID(key))
		}
	}
	for _, e := range events {
		for _, p := range parties(e.Event) {
			want(p.kind, p.id)
		}
	}
	for _, t := range also {
		want(string(t.Kind), string(t.ID))
	}
	for kind, keys := range wanted {
		rows, err := query.ByID(r.ctx, r.s, kind, keys)
		if err != nil {
			return err
		}
		for _, row := range rows {
			p := party{string(kind), string(row.State.Ref().ID)}
			r.names[p] = r.called(row.State)
			if len(kinds.Of(kind).Renames) > 0 {
				r.pasts[p] = &past{row: row, down: row.LastSeq}
			}
		}
	}
	return nil
}

// called is the name of a thing as its state says.
func (r *Renderer) called(s journal.State) string {
	if r.words != nil {
		return r.words(s)
	}
	if f := kinds.Of(s.Ref().Kind).Called; f != nil {
		return f(s, r)
	}
	return ""
}

// Text implements kinds.Names.
func (r *Renderer) Text(p journal.Personal[string]) string { return r.text(p).Value }

// Person implements kinds.Names.
func (r *Renderer) Person(what string, other journal.Personal[string], parts ...journal.Personal[string]) string {
	var words []string
	for _, p := range parts {
		if p.Erased {
			return "Erased " + what
		}
		if p.Value != "" {
			words = append(words, p.Value)
		}
	}
	name := cmp.Or(strings.Join(words, " "), other.Value)
	switch {
	case other.Erased:
		return "Erased " + what
	case name == "":
		return "A " + what
	case !r.personal:
		return Mask
	}
	return name
}
