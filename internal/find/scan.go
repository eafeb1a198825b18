package find

import (
	"context"
	"iter"
	"slices"
	"strings"

	"github.com/go-json-experiment/json/jsontext"

	"perennial/internal/id"
	"perennial/internal/journal"
	"perennial/internal/store"
)

// Scan gives what Events gives, without an index: for a process that only reads, beside the one that the index belongs
// to. It holds the entries against the filter one by one, in order, so it costs by what lies before the last entry that
// is taken; the database leaves out, by their text, most of those that cannot match. People are found in their rows.
func Scan(ctx context.Context, s *store.Store, p store.Privacy, flt Filter, after int64) iter.Seq2[store.Stored, error] {
	return scan(ctx, s, p, flt, after, nil)
}

func scan(ctx context.Context, s *store.Store, p store.Privacy, flt Filter, after int64, a *asked) iter.Seq2[store.Stored, error] {
	return func(yield func(store.Stored, error) bool) {
		people := func(ctx context.Context, text, prefix string, limit int) ([]id.ID, error) {
			return called(ctx, s, text, prefix, limit)
		}
		q, want, none, err := ask(ctx, s, people, flt, after, a)
		if err != nil {
			yield(store.Stored{}, err)
			return
		}
		if none {
			return
		}
		if q.To == 0 {
			head, err := s.ReadHead(ctx, s.Read)
			if err != nil {
				yield(store.Stored{}, store.Fault(err))
				return
			}
			q.To = head.Seq + 1
		}
		w := store.Walk{From: q.From, To: q.To, Newest: q.Desc, Containing: containing(q)}
		// Not through the prepared statements: the text depends on the filter.
		for st, err := range s.Walk(ctx, s.DB.Reader, p, w) {
			if err != nil {
				yield(st, err)
				return
			}
			if matches(st.Event, q, want) && !yield(st, nil) {
				return
			}
		}
	}
}

// maxTexts is how many texts one group may look for: each is looked for in every entry.
const maxTexts = 20

// textsOf gives texts of which one stands in the bytes of every entry that has one of these facets. Nil: nothing is known.
func textsOf(or []string) []string {
	if len(or) > maxTexts {
		return nil
	}
	var out []string
	for _, f := range or {
		kind, value, _ := strings.Cut(f, ":")
		quoted, err := jsontext.AppendQuote(nil, value)
		if err != nil {
			return nil
		}
		text := string(quoted)
		switch kind {
		case byTarget, byActor, byCorrelation: // a correlation that is left out is the command's id
		case byType:
			text = `"type":` + text
			if family, ok := strings.CutSuffix(text, `*"`); ok {
				text = family
			}
		case byActorKind:
			text = `"kind":` + text
			if prefix := journal.PrefixOf(journal.Kind(value)); prefix != "" {
				out = append(out, `"actor":{"id":"`+prefix)
			}
		case byChannel:
			text = `"channel":` + text
		default:
			return nil
		}
		if !slices.Contains(out, text) {
			out = append(out, text)
		}
	}
	return out
}

// called finds people as names.find does, in all the rows.
func called(ctx context.Context, s *store.Store, text, prefix string, limit int) ([]id.ID, error) {
	wanted := wantedWords(text)
	if wanted == nil {
		return nil, nil
	}
	const page = 500
	var out []id.ID
	for _, kind := range []journal.Kind{journal.Customer, journal.TeamMember} {
		for last := id.ID(""); ; {
			rows, err := s.List(ctx, s.Read, kind, `id > $2 ORDER BY id LIMIT $3`, last, page)
			if err != nil {
				return nil, err
			}
			for _, row := range rows {
				last = row.State.Ref().ID
				has := nameWords(row.State)
				missing := slices.ContainsFunc(wanted, func(w string) bool { return !slices.Contains(has, w) })
				if !missing && strings.HasPrefix(string(last), prefix) {
					if out = append(out, last); len(out) == limit {
						return out, nil
					}
				}
			}
			if len(rows) < page {
				break
			}
		}
	}
	return out, nil
}
