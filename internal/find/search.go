package find

import (
	"context"
	"iter"
	"slices"
	"strings"
	"time"

	"perennial/internal/db"
	"perennial/internal/fault"
	"perennial/internal/find/postings"
	"perennial/internal/id"
	"perennial/internal/journal"
	"perennial/internal/store"
)

// maxNamed is how many people a name may lead to.
const maxNamed = 1000

// Filter says which entries are wanted. Conditions of different kinds all have to hold; of values of one kind, one.
// The zero Filter means everything that is not hidden, newest first.
type Filter struct {
	Types         []journal.Name // names, or families as "subscription.*"
	Categories    []string
	ActorKinds    []string
	ActorIDs      []string // who acted, or for whom
	Channels      []string
	Scope         id.ID   // the customer or subscription whose log it is: what mentions it, except log.*
	Targets       []id.ID // one of them has to be among an event's targets
	CorrelationID string
	Log           journal.LogName // only what the catalogue declares for this log
	From, To      time.Time       // on recorded_at, half-open, of whole microseconds; zero: open
	// Words is what somebody typed. The id of an entry finds that entry, another id the entries about it, by it or of
	// its correlation. Everything else is looked for in the summary, which has to have all of it: words, whole numbers and
	// sums ("28,28 €" finds €28.28), dates in any of the usual forms, what is written without a space or in quotes as it
	// stands. What is not in quotes also finds the entries about or by the people who are called that, by all words of a name
	// or an e-mail address.
	Words  string
	Hidden bool // hidden types too
	Oldest bool // oldest first
}

// Search gives the seqs of the entries that a filter means, in order and lazily: whoever stops early pays for what was
// taken. after is the last seq of the page before, negative for the first page. It refuses (too_many_people) a name
// that leads to more than a thousand people.
func (f *Finder) Search(ctx context.Context, flt Filter, after int64) iter.Seq2[int64, error] {
	return func(yield func(int64, error) bool) {
		for st, err := range f.Events(ctx, store.Closed, flt, after) {
			if err != nil {
				yield(0, err)
				return
			}
			if !yield(st.Seq, nil) {
				return
			}
		}
	}
}

// Events gives the entries themselves, as Search gives their seqs: they have been read to hold them against the filter.
func (f *Finder) Events(ctx context.Context, p store.Privacy, flt Filter, after int64) iter.Seq2[store.Stored, error] {
	return func(yield func(store.Stored, error) bool) {
		err := f.fresh(ctx)
		if err == nil {
			err = f.events(ctx, p, flt, after, nil, yield)
		}
		if err != nil {
			yield(store.Stored{}, err)
		}
	}
}

// asked is what a search looked for.
type asked struct {
	q    postings.Query // cut to what comes after the page before, and to what was committed
	none bool           // nothing can match
	want wanted         // what the facets of an entry do not tell
	// bound is up to which seq is looked; what is committed meanwhile is left for the next search.
	bound int64
	lost  []int64 // given by the index, and not to be read
}

// events gives what is indexed already. With a question that is to be filled in, entries that cannot be read are noted there;
// without, they are an error.
func (f *Finder) events(ctx context.Context, p store.Privacy, flt Filter, after int64, a *asked, yield func(store.Stored, error) bool) error {
	if f.tables != nil {
		return f.searchTables(ctx, p, flt, after, a, yield)
	}
	for mended := 0; ; mended++ {
		x := f.file.Load()
		var more bool
		var err error
		after, more, err = f.search(ctx, x, p, flt, after, a, yield)
		if !more || mended == 2 {
			return err
		}
		if err = f.mend(ctx, x, err); err != nil {
			return err
		}
	}
}

// ask turns a filter into a question about what comes after a seq.
func ask(ctx context.Context, s *store.Store, people who, flt Filter, after int64, a *asked) (q postings.Query, want wanted, none bool, err error) {
	q, want, none, err = question(ctx, s, people, flt)
	if err != nil {
		return q, want, none, err
	}
	if a != nil && (q.To == 0 || q.To > a.bound+1) {
		q.To = a.bound + 1
	}
	none = none || !clip(&q, after)
	if a != nil {
		a.q, a.none, a.want = q, none, want
	}
	return q, want, none, nil
}

// search gives what a file finds after a seq, and up to where it came. more is false when the search is over.
func (f *Finder) search(ctx context.Context, x *file, p store.Privacy, flt Filter, after int64, a *asked, yield func(store.Stored, error) bool) (last int64, more bool, err error) {
	q, want, none, err := ask(ctx, f.s, x.names.find, flt, after, a)
	if err != nil || none {
		return after, err != nil, err
	}
	for seq, err := range x.index.Search(ctx, string(f.s.Shop), q) {
		if err != nil {
			return after, true, err
		}
		st, err := f.s.Event(ctx, f.s.Read, p, seq)
		if a != nil && unread(err) {
			a.lost = append(a.lost, seq)
			continue
		}
		if err != nil {
			return after, true, db.Fault(err)
		}
		if !matches(st.Event, q, want) {
			continue
		}
		if !yield(st, nil) {
			return seq, false, nil
		}
		after = seq
	}
	return after, false, nil
}

// matches holds an entry against a question: the index may take one facet for another, and does not know what stands together.
func matches(e *journal.Event, q postings.Query, want wanted) bool {
	has := facets(e, want.words())
	for _, or := range q.All {
		if !slices.ContainsFunc(or, func(wanted string) bool { return slices.Contains(has, wanted) }) {
			return false
		}
	}
	return want.fits(e, has)
}

// clip cuts a question to what comes after a seq, in its order. It is false when nothing is left.
func clip(q *postings.Query, after int64) bool {
	if after >= 0 {
		if !q.Desc {
			q.From = max(q.From, after+1)
		} else if q.To == 0 || after < q.To {
			q.To = after
			return after > q.From
		}
	}
	return q.To == 0 || q.From < q.To
}

// who finds people by a name or an e-mail address, as names.find does.
type who func(ctx context.Context, text, prefix string, limit int) ([]id.ID, error)

// question turns a filter into posting lists. none says that nothing can match.
func question(ctx context.Context, s *store.Store, people who, flt Filter) (q postings.Query, want wanted, none bool, err error) {
	q.Desc = !flt.Oldest
	group(&q, byType, journal.Texts(flt.Types))
	group(&q, byCategory, flt.Categories)
	group(&q, byActorKind, flt.ActorKinds)
	group(&q, byActor, flt.ActorIDs)
	group(&q, byChannel, flt.Channels)
	group(&q, byTarget, flt.Targets)
	if flt.Scope != "" {
		group(&q, byTarget, []id.ID{flt.Scope})
		group(&q, byReading, []string{"no"})
	}
	if flt.CorrelationID != "" {
		group(&q, byCorrelation, []string{flt.CorrelationID})
	}
	if flt.Log != "" {
		group(&q, byLog, []journal.LogName{flt.Log})
	}
	if !flt.Hidden {
		group(&q, byShown, []string{"yes"})
	}
	if !flt.From.IsZero() {
		if q.From, err = s.SeqAt(ctx, s.Read, flt.From); err != nil {
			return q, want, false, db.Fault(err)
		}
	}
	if !flt.To.IsZero() {
		if q.To, err = s.SeqAt(ctx, s.Read, flt.To); err != nil || q.To == 0 {
			return q, want, true, db.Fault(err)
		}
	}
	if strings.TrimSpace(flt.Words) != "" {
		want, none, err = typed(ctx, s, people, flt.Words, &q)
	}
	return q, want, none, err
}

// group adds that one of these values has to be there, if there are any.
func group[T ~string](q *postings.Query, kind string, values []T) {
	if len(values) == 0 {
		return
	}
	or := make([]string, len(values))
	for i, v := range values {
		or[i] = facet(kind, string(v))
	}
	q.All = append(q.All, or)
}

// typed adds what somebody typed to a question. none says that nothing can match.
func typed(ctx context.Context, s *store.Store, people who, text string, q *postings.Query) (want wanted, none bool, err error) {
	taken := take(text)
	for _, key := range taken.ids {
		if shop, seq, err := id.ParseEvent(key); err == nil {
			q.From = max(q.From, seq)
			if q.To == 0 || q.To > seq {
				q.To = seq + 1
			}
			none = none || shop != s.Shop
			continue
		}
		q.All = append(q.All, []string{facet(byTarget, key), facet(byActor, key), facet(byCorrelation, key)})
	}
	want.always, want.either = taken.quoted, taken.loose
	if len(want.either) > 0 {
		meant, err := people(ctx, taken.rest, "", maxNamed+1)
		if err != nil {
			return want, false, err
		}
		if len(meant) > maxNamed {
			return want, false, fault.New(fault.Refused, "too_many_people", "More than %d people are called so. Add another name, give the "+
				"e-mail address, or put the words in quotes to look for them only in what the entries say.", maxNamed)
		}
		for _, key := range meant {
			want.people = append(want.people, facet(byTarget, string(key)), facet(byActor, string(key)))
		}
	}
	for _, t := range want.always {
		t.ask(q, nil)
	}
	for _, t := range want.either {
		t.ask(q, want.people)
	}
	return want, none || !want.words() && len(taken.ids) == 0, nil
}

// People gives the customers whom somebody's words mean, in order of id, at most limit: an id is itself, an e-mail
// address its owner, names the people who have all of them.
func (f *Finder) People(ctx context.Context, text string, limit int) ([]id.ID, error) {
	text = strings.TrimSpace(text)
	if id.Valid(text) {
		return []id.ID{id.ID(text)}, nil
	}
	err := f.fresh(ctx)
	if err == nil && f.tables != nil {
		return f.tables.names.find(ctx, text, id.Customer+"_", limit)
	}
	for mended := 0; err == nil; mended++ {
		x := f.file.Load()
		var out []id.ID
		if out, err = x.names.find(ctx, text, id.Customer+"_", limit); err == nil {
			return out, nil
		}
		if mended < 2 {
			err = f.mend(ctx, x, err)
		}
	}
	return nil, err
}
