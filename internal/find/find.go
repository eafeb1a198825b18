// Package find answers which entries a filter means. It keeps posting lists of every facet of an event (targets, actor,
// type, category, channel, correlation, words) in a file of its own, and look-up tables that lead from a name or an
// e-mail to the thing. All of it is derived: dropped and rebuilt from the journal, never evidence.
//
// Every search first catches up with the committed head, so whoever made a change finds it at once.
package find

import (
	"context"
	"fmt"
	"iter"
	"strings"
	"sync"
	"time"
	"unicode"

	"perennial/internal/db"
	"perennial/internal/find/postings"
	"perennial/internal/id"
	"perennial/internal/journal"
	"perennial/internal/store"
)

// Finder searches one shop's journal.
type Finder struct {
	s     *store.Store
	index *postings.Index
	names *names

	mu sync.Mutex // one catches up at a time; what it guards is the order of Append
}

// Open opens the index file at path and the look-up tables in it.
func Open(ctx context.Context, s *store.Store, path string) (*Finder, error) {
	x, err := postings.Open(ctx, path, postings.Options{})
	if err != nil {
		return nil, fmt.Errorf("find: %w", err)
	}
	f := &Finder{s: s, index: x}
	if f.names, err = openNames(ctx, x, s); err != nil {
		return nil, fmt.Errorf("find: %w", err)
	}
	return f, nil
}

// Close writes what is in memory and closes the file.
func (f *Finder) Close(ctx context.Context) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	if err := f.index.Flush(ctx); err != nil {
		return err
	}
	return f.index.Close()
}

// Index is the index below, for figures about it.
func (f *Finder) Index() *postings.Index { return f.index }

// Rebuild drops everything and makes it anew from the journal. progress is called with the number of entries done.
func (f *Finder) Rebuild(ctx context.Context, progress func(done int64)) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	if err := f.index.Drop(ctx, string(f.s.Shop)); err != nil {
		return err
	}
	if err := f.names.drop(ctx); err != nil {
		return err
	}
	return f.catchUp(ctx, progress)
}

// CatchUp indexes what was committed since the last time.
func (f *Finder) CatchUp(ctx context.Context) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.catchUp(ctx, nil)
}

func (f *Finder) catchUp(ctx context.Context, progress func(int64)) error {
	next := f.index.Next(string(f.s.Shop))
	head, err := f.s.ReadHead(ctx, f.s.DB.Reader)
	if err != nil {
		return db.Fault(err)
	}
	if next <= head.Seq {
		batch := make([]postings.Entry, 0, 1000)
		flush := func() error {
			if err := f.index.Append(string(f.s.Shop), batch); err != nil {
				return err
			}
			if progress != nil && len(batch) > 0 {
				progress(batch[len(batch)-1].Seq + 1)
			}
			batch = batch[:0]
			return nil
		}
		for st, err := range f.s.Events(ctx, f.s.DB.Reader, store.Closed, next, head.Seq+1) {
			if err != nil {
				return db.Fault(err)
			}
			batch = append(batch, postings.Entry{Seq: st.Seq, Facets: Facets(st.Event)})
			if len(batch) == cap(batch) {
				if err := flush(); err != nil {
					return err
				}
			}
		}
		if err := flush(); err != nil {
			return err
		}
	}
	return f.names.catchUp(ctx, head.Seq)
}

// Facets lists what an event can be found by. Personal values are not among them.
func Facets(e *journal.Event) []string {
	out := make([]string, 0, 20)
	for _, t := range e.Targets {
		out = append(out, facet("t", string(t.ID)))
	}
	typ, _ := journal.Lookup(e.Type)
	out = append(out, facet("y", e.Type), facet("y", typ.Family()+".*"), facet("c", typ.Category), facet("l", string(typ.Log)),
		facet("k", string(e.Actor.Kind)), facet("a", e.Actor.ID), facet("h", string(e.Source.Channel)), facet("o", string(e.CorrelationID)))
	if e.OnBehalfOf != nil {
		out = append(out, facet("a", e.OnBehalfOf.ID))
	}
	if e.Corrects != "" {
		out = append(out, facet("x", string(e.Corrects)))
	}
	if !typ.Hidden {
		out = append(out, facet("s", "yes")) // shown in lists
	}
	if typ.Family() != "log" {
		out = append(out, facet("r", "no")) // not the reading of a log
	}
	for _, w := range Words(journal.Summary(e)) {
		out = append(out, facet("w", w))
	}
	return out
}

func facet(kind, value string) string { return kind + ":" + value }

// Words gives the distinct words of a text as they are searched: lower case, letters and digits.
func Words(s string) []string {
	var out []string
	seen := map[string]bool{}
	for _, w := range strings.FieldsFunc(strings.ToLower(s), func(r rune) bool { return !unicode.IsLetter(r) && !unicode.IsDigit(r) }) {
		if !seen[w] && len(w) <= 64 {
			seen[w] = true
			out = append(out, w)
		}
	}
	return out
}

// Filter says which entries are wanted. Conditions of different kinds all have to hold; of values of one kind, one.
// The zero Filter means everything, newest first.
type Filter struct {
	Types         []string // names, or families as "subscription.*"
	Categories    []string
	ActorKinds    []string
	ActorIDs      []string
	Channels      []string
	Scope         id.ID   // the customer or subscription whose log it is: what mentions it, except log.*
	Targets       []id.ID // one of them has to be among an event's targets
	CorrelationID string
	Log           journal.LogName // only what the catalogue declares for this log
	From, To      time.Time       // on recorded_at, half-open; zero: open
	Words         string          // q: words of the summary; a name, an e-mail or an id finds the thing first
	Hidden        bool            // hidden types too
	Oldest        bool            // oldest first
}

// Search gives the seqs that a filter means, from a seq on (exclusive bound of the page before; negative: from the
// start), lazily and in order.
func (f *Finder) Search(ctx context.Context, flt Filter, after int64) iter.Seq2[int64, error] {
	return func(yield func(int64, error) bool) {
		if err := f.CatchUp(ctx); err != nil {
			yield(0, err)
			return
		}
		q, none, err := f.query(ctx, flt)
		if err != nil || none {
			if err != nil {
				yield(0, err)
			}
			return
		}
		if after >= 0 {
			if flt.Oldest {
				q.From = max(q.From, after+1)
			} else if q.To == 0 || after < q.To {
				if after == 0 {
					return
				}
				q.To = after
			}
		}
		for seq, err := range f.index.Search(ctx, string(f.s.Shop), q) {
			if !yield(seq, err) || err != nil {
				return
			}
		}
	}
}

// query turns a filter into posting lists. none says that nothing can match.
func (f *Finder) query(ctx context.Context, flt Filter) (q postings.Query, none bool, err error) {
	q.Desc = !flt.Oldest
	group := func(kind string, values []string) {
		if len(values) == 0 {
			return
		}
		or := make([]string, len(values))
		for i, v := range values {
			or[i] = facet(kind, v)
		}
		q.All = append(q.All, or)
	}
	group("y", flt.Types)
	group("c", flt.Categories)
	group("k", flt.ActorKinds)
	group("a", flt.ActorIDs)
	group("h", flt.Channels)
	if flt.Scope != "" {
		q.All = append(q.All, []string{facet("t", string(flt.Scope))}, []string{facet("r", "no")})
	}
	if len(flt.Targets) > 0 {
		group("t", strs(flt.Targets))
	}
	if flt.CorrelationID != "" {
		group("o", []string{flt.CorrelationID})
	}
	if flt.Log != "" {
		group("l", []string{string(flt.Log)})
	}
	if !flt.Hidden {
		group("s", []string{"yes"})
	}
	if flt.Words != "" {
		ids, err := f.names.find(ctx, flt.Words, 100)
		if err != nil {
			return q, false, err
		}
		if len(ids) > 0 {
			group("t", strs(ids))
		} else {
			words := Words(flt.Words)
			if len(words) == 0 {
				return q, true, nil
			}
			for _, w := range words {
				group("w", []string{w})
			}
		}
	}
	if !flt.From.IsZero() {
		if q.From, err = f.s.SeqAt(ctx, f.s.DB.Reader, flt.From); err != nil {
			return q, false, db.Fault(err)
		}
	}
	if !flt.To.IsZero() {
		if q.To, err = f.s.SeqAt(ctx, f.s.DB.Reader, flt.To); err != nil {
			return q, false, db.Fault(err)
		}
		if q.To == 0 {
			return q, true, nil
		}
	}
	return q, false, nil
}

func strs(ids []id.ID) []string {
	out := make([]string, len(ids))
	for i, v := range ids {
		out[i] = string(v)
	}
	return out
}
