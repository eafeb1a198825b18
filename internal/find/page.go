package find

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"perennial/internal/fault"
	"perennial/internal/find/postings"
	"perennial/internal/id"
	"perennial/internal/journal"
	"perennial/internal/store"
)

// Page is a part of a log, held against the chains that lead to its entries. An index is derived and nobody signs it, so what it
// leaves out would be left out of the log; a chain is in the entries themselves.
type Page struct {
	Entries []store.Stored // in order, those that the index left out included
	More    bool           // there are more after these
	Check   Check
}

// Coverage says what a page was held against.
type Coverage string

// From the least to the most.
const (
	CoversNamed  Coverage = "named"  // what the entries of the page name as the one before
	CoversChains Coverage = "chains" // the chains of the things that the log is about
	CoversAll    Coverage = "all"    // every entry from the first of the page to the last
)

// Check is what came of holding a page of a log against chains.
type Check struct {
	Covers Coverage
	// Partly says that not all of them were walked, because they are too long.
	Partly bool
	// LeftOut are kinds whose chains were not walked, because they have too many rows.
	LeftOut    []journal.Kind
	Hidden     []int64 // seqs that a chain names and the index did not give; they are among the entries
	Unreadable []int64 // seqs that the index or a chain names, and the database does not give
}

// Add adds what came of the next page of the same log: together they cover what the least of them does.
func (c *Check) Add(next Check) {
	least := []Coverage{CoversNamed, CoversChains, CoversAll, ""}
	if slices.Index(least, next.Covers) < slices.Index(least, c.Covers) {
		c.Covers = next.Covers
	}
	c.Partly = c.Partly || next.Partly
	c.LeftOut = next.LeftOut
	c.Hidden, c.Unreadable = append(c.Hidden, next.Hidden...), append(c.Unreadable, next.Unreadable...)
}

// Found says that something was missing.
func (c Check) Found() bool { return len(c.Hidden)+len(c.Unreadable) > 0 }

// The bounds of what holding a page may cost.
const (
	wholeSpan   = 400   // a page that spans fewer seqs is held against all entries between
	mostSteps   = 4_000 // of chains, for one page
	mostRows    = 1_000 // of a kind whose chains are walked all
	mostRounds  = 100   // back from an entry that was hidden
	likelyLimit = 8     // from so many entries on, the database looks first which are likely
)

// Page gives the first n entries that a filter means after a seq, held against chains.
func (f *Finder) Page(ctx context.Context, p store.Privacy, flt Filter, after int64, n int) (Page, error) {
	if err := f.fresh(ctx); err != nil {
		return Page{}, err
	}
	a := asked{bound: f.done.Load() - 1}
	var found []store.Stored
	err := f.events(ctx, p, flt, after, &a, func(st store.Stored, err error) bool {
		found = append(found, st)
		return len(found) <= n
	})
	if err != nil {
		return Page{}, err
	}
	page, err := hold(ctx, f.s, p, flt, a, found, n)
	if err == nil && page.Check.Found() {
		f.note(page.Check)
	}
	return page, err
}

// ScanPage gives what Page gives, without an index, as Scan does.
func ScanPage(ctx context.Context, s *store.Store, p store.Privacy, flt Filter, after int64, n int) (Page, error) {
	head, err := s.ReadHead(ctx, s.Read)
	if err != nil {
		return Page{}, store.Fault(err)
	}
	a := asked{bound: head.Seq}
	var found []store.Stored
	for st, err := range scan(ctx, s, p, flt, after, &a) {
		if err != nil {
			return Page{}, err
		}
		if found = append(found, st); len(found) > n {
			break
		}
	}
	return hold(ctx, s, p, flt, a, found, n)
}

// hold makes a page of what a search gave, which is one entry more than belongs to it if there are more.
func hold(ctx context.Context, s *store.Store, p store.Privacy, flt Filter, a asked, found []store.Stored, n int) (Page, error) {
	page := Page{Entries: found, Check: Check{Covers: CoversNamed}}
	if a.none {
		return page, nil
	}
	lo, hi := a.q.From, a.q.To-1
	if page.More = len(found) > n; page.More {
		page.Entries = found[:n]
		if a.q.Desc {
			lo = found[n-1].Seq
		} else {
			hi = found[n-1].Seq
		}
	}
	h := holder{ctx: ctx, s: s, p: p, a: &a, lo: lo, hi: hi, given: map[int64]bool{}, seen: map[int64]bool{}}
	for _, st := range page.Entries {
		h.given[st.Seq] = true
	}
	hidden, err := h.look(flt, page.Entries, &page.Check)
	if err != nil {
		return page, store.Fault(err)
	}
	for _, seq := range a.lost {
		h.unreadable(seq, &page.Check)
	}
	slices.Sort(page.Check.Unreadable)
	if len(hidden) == 0 {
		return page, nil
	}
	page.Entries = append(slices.Clone(page.Entries), hidden...)
	slices.SortFunc(page.Entries, func(x, y store.Stored) int {
		if a.q.Desc {
			x, y = y, x
		}
		return int(x.Seq - y.Seq)
	})
	if len(page.Entries) > n {
		page.Entries, page.More = page.Entries[:n], true
		last := page.Entries[n-1].Seq
		beyond := func(seq int64) bool { return seq < last && a.q.Desc || seq > last && !a.q.Desc }
		page.Check.Unreadable = slices.DeleteFunc(page.Check.Unreadable, beyond)
		hidden = slices.DeleteFunc(hidden, func(st store.Stored) bool { return beyond(st.Seq) })
	}
	for _, st := range hidden {
		page.Check.Hidden = append(page.Check.Hidden, st.Seq)
	}
	slices.Sort(page.Check.Hidden)
	return page, nil
}

// holder holds one page against chains.
type holder struct {
	ctx    context.Context
	s      *store.Store
	p      store.Privacy
	a      *asked
	lo, hi int64          // the seqs that the page stands for
	given  map[int64]bool // by the search
	seen   map[int64]bool // on a chain, or between
	fits   map[string]bool
}

// look walks the chains and gives the entries that belong to the page and were not given.
func (h *holder) look(flt Filter, shown []store.Stored, c *Check) (hidden []store.Stored, err error) {
	if h.lo > h.hi {
		c.Covers = CoversAll
		return nil, nil
	}
	var steps []store.Step
	things := flt.Targets
	if flt.Scope != "" {
		things = []id.ID{flt.Scope} // also with targets: all have to be there, and its chains lead to those
	}
	switch kinds := kindsOf(flt.Log); {
	case h.hi-h.lo < wholeSpan:
		c.Covers = CoversAll
		steps, err = h.s.StepsBetween(h.ctx, h.s.Read, h.lo, h.hi)
	case len(things) > 0:
		c.Covers = CoversChains
		for _, key := range things {
			var of []store.Step
			var more bool
			if of, more, err = h.s.Chains(h.ctx, h.s.Read, journal.Ref{Kind: journal.KindOf(key), ID: key}, h.lo, mostSteps-len(steps)); err != nil {
				break
			}
			steps, c.Partly = append(steps, of...), c.Partly || more
		}
	case len(kinds) > 0:
		c.Covers = CoversChains
		if c.LeftOut, err = h.s.MoreRowsThan(h.ctx, h.s.Read, kinds, mostRows); err != nil {
			break
		}
		kinds = slices.DeleteFunc(kinds, func(k journal.Kind) bool { return slices.Contains(c.LeftOut, k) })
		if len(kinds) > 0 {
			steps, c.Partly, err = h.s.ChainsOfKinds(h.ctx, h.s.DB.Reader, kinds, h.lo, mostSteps)
		}
	}
	if err != nil {
		return nil, err
	}
	if hidden, err = h.take(steps, c); err != nil || c.Covers == CoversAll {
		return hidden, err
	}
	// What is shown names what was before it, and what was hidden does.
	from := slices.Concat(shown, hidden)
	for round := 0; len(from) > 0 && round < mostRounds; round++ {
		var named []int64
		for _, st := range from {
			if prev := st.TargetPrevSeq; prev >= h.lo && prev <= h.hi && !h.given[prev] && !h.seen[prev] {
				named = append(named, prev)
			}
		}
		if len(named) == 0 {
			break
		}
		if steps, err = h.s.Steps(h.ctx, h.s.DB.Reader, named); err != nil {
			return hidden, err
		}
		if from, err = h.take(steps, c); err != nil {
			return hidden, err
		}
		hidden = append(hidden, from...)
	}
	return hidden, nil
}

// take gives those of some steps that the page should have and has not.
func (h *holder) take(steps []store.Step, c *Check) (hidden []store.Stored, err error) {
	var likely []int64
	for _, st := range steps {
		if st.Seq < h.lo || st.Seq > h.hi || h.given[st.Seq] || h.seen[st.Seq] {
			continue
		}
		switch {
		case st.Lost:
			h.unreadable(st.Seq, c)
		case h.fit(string(st.Type)):
			likely = append(likely, st.Seq)
		}
		h.seen[st.Seq] = true
	}
	if len(likely) > likelyLimit {
		if likely, err = h.s.Holding(h.ctx, h.s.DB.Reader, likely, containing(h.a.q)); err != nil {
			return nil, err
		}
	}
	if len(likely) == 0 {
		return nil, nil
	}
	found, lost, err := h.s.PickSome(h.ctx, h.s.DB.Reader, h.p, likely)
	if err != nil {
		return nil, err
	}
	for _, seq := range lost {
		h.unreadable(seq, c)
	}
	for _, st := range found {
		if matches(st.Event, h.a.q, h.a.want) {
			hidden = append(hidden, st)
		}
	}
	return hidden, nil
}

func (h *holder) unreadable(seq int64, c *Check) {
	if seq >= h.lo && seq <= h.hi && !slices.Contains(c.Unreadable, seq) {
		c.Unreadable = append(c.Unreadable, seq)
	}
}

// fit says whether an event of a type may be what is asked for, as far as the type alone tells.
func (h *holder) fit(name string) bool {
	if fits, known := h.fits[name]; known {
		return fits
	}
	has := typeFacets(nil, name)
	fits := true
	for _, or := range h.a.q.All {
		ofType := !slices.ContainsFunc(or, func(f string) bool {
			kind, _, _ := strings.Cut(f, ":")
			return !strings.Contains(byType+byCategory+byLog+byShown+byReading, kind)
		})
		fits = fits && (!ofType || slices.ContainsFunc(or, func(f string) bool { return slices.Contains(has, f) }))
	}
	if h.fits == nil {
		h.fits = map[string]bool{}
	}
	h.fits[name] = fits
	return fits
}

// kindsOf gives the kinds with a row that the types of a log are about.
func kindsOf(log journal.LogName) (out []journal.Kind) {
	for _, t := range journal.Types() {
		if t.Log == log && store.HasState(t.Target) && !slices.Contains(out, t.Target) {
			out = append(out, t.Target)
		}
	}
	return out
}

// containing gives texts that stand in the bytes of every entry that a question wants: one of each group.
func containing(q postings.Query) (out [][]string) {
	for _, or := range q.All {
		if texts := textsOf(or); texts != nil {
			out = append(out, texts)
		}
	}
	return out
}

// unread says that an entry is not there.
func unread(err error) bool {
	f, ok := errors.AsType[*fault.Error](err)
	return ok && f.Code == "unknown_event"
}

// note tells of entries that were missing, each once.
func (f *Finder) note(c Check) {
	f.gaps.Lock()
	defer f.gaps.Unlock()
	fresh := func(seqs []int64) (out []int64) {
		for _, seq := range seqs {
			if !f.missed[seq] && len(f.missed) < mostMissed {
				f.missed[seq] = true
				out = append(out, seq)
			}
		}
		return out
	}
	hidden, unreadable := fresh(c.Hidden), fresh(c.Unreadable)
	if len(hidden)+len(unreadable) == 0 {
		return
	}
	f.log.Error("the index left out entries that a chain names: rebuild it (perennial reindex) and run perennial verify",
		"hidden", fmt.Sprint(hidden), "unreadable", fmt.Sprint(unreadable))
	if f.Noted != nil {
		f.Noted(hidden, unreadable)
	}
}

// mostMissed bounds what is remembered of what was missing.
const mostMissed = 10_000

// Missed is how many entries pages were without, as far as anybody looked since the start, or since Forget.
func (f *Finder) Missed() int {
	f.gaps.Lock()
	defer f.gaps.Unlock()
	return len(f.missed)
}

// Forget forgets what pages were without: whatever is missing from now on is told of again.
func (f *Finder) Forget() {
	f.gaps.Lock()
	defer f.gaps.Unlock()
	clear(f.missed)
}

// Words says what a page was held against, and what came of it.
func (c Check) Words() string {
	var b strings.Builder
	if n := len(c.Hidden); n > 0 {
		fmt.Fprintf(&b, "The index left out %s that a chain names (%s). They are shown here all the same. Somebody or something has "+
			"changed the index: rebuild it with perennial reindex, and run perennial verify. ", count(n), seqs(c.Hidden))
	}
	if n := len(c.Unreadable); n > 0 {
		fmt.Fprintf(&b, "The database does not give %s that is named elsewhere (%s): what it said cannot be shown. Run perennial verify. ",
			count(n), seqs(c.Unreadable))
	}
	switch {
	case c.Covers == CoversAll:
		b.WriteString("Held against every entry from the first on this page to the last")
	case c.Covers == CoversChains && c.Partly:
		b.WriteString("Held against the newest part of the chains of what this log is about, which are too long to walk all")
	case c.Covers == CoversChains:
		b.WriteString("Held against the chains of what this log is about")
	default:
		b.WriteString("Held only against what the entries shown here name as the ones before them")
	}
	if !c.Found() {
		b.WriteString(": nothing is missing")
	}
	b.WriteString(".")
	if c.Covers != CoversAll {
		b.WriteString(" No chain leads here to what only mentions it: sign-ins and sessions, messages, redeemed codes, entries from outside")
		for _, k := range c.LeftOut {
			fmt.Fprintf(&b, ", every %s", k.Words())
		}
		b.WriteString(". If the index hid one of these, this page would not show it.")
	}
	return b.String()
}

func count(n int) string {
	if n == 1 {
		return "1 entry"
	}
	return fmt.Sprintf("%d entries", n)
}

// seqs names entries, the first few of them.
func seqs(list []int64) string {
	const most = 10
	var parts []string
	for _, seq := range list[:min(len(list), most)] {
		parts = append(parts, fmt.Sprintf("#%d", seq))
	}
	if len(list) > most {
		parts = append(parts, "…")
	}
	return strings.Join(parts, ", ")
}
