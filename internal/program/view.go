package program

import (
	"context"
	"slices"

	"perennial/internal/db"
	"perennial/internal/fault"
	"perennial/internal/id"
	"perennial/internal/journal"
	"perennial/internal/store"
)

// view is the Reader of one command: its own layer, the batch's, the cache, the database.
type view struct {
	t *transaction
	layer
}

func (v *view) load(ref journal.Ref) (store.Row, error) {
	if r, ok := v.states[ref]; ok {
		return r, nil
	}
	if r, ok := v.t.states[ref]; ok {
		return r, nil
	}
	if r, ok := v.t.before[ref]; ok {
		return r, nil
	}
	r, ok := v.t.w.cache.get(ref)
	if !ok {
		var err error
		if r, err = v.t.w.s.Load(context.Background(), v.t.b, ref); err != nil {
			return r, db.Fault(err)
		}
		v.t.w.cache.put(ref, r)
	}
	v.t.before[ref] = r
	return r, nil
}

// State implements journal.Reader.
func (v *view) State(ref journal.Ref) (journal.State, bool, error) {
	r, err := v.load(ref)
	return r.State, r.State != nil, err
}

// Where implements journal.Reader.
func (v *view) Where(kind journal.Kind, column, value string) ([]id.ID, error) {
	ids, fetched := v.t.fetched.Lists[store.List{Kind: kind, Column: column, Value: value}]
	if ids = slices.Clone(ids); !fetched {
		var err error
		if ids, err = v.t.w.s.Where(context.Background(), v.t.b, kind, column, value); err != nil {
			return nil, err
		}
	}
	for _, states := range []map[journal.Ref]store.Row{v.t.states, v.states} {
		for ref, row := range states {
			if ref.Kind != kind {
				continue
			}
			got, err := v.t.w.s.ColumnOf(row.State, column)
			if err != nil {
				return nil, err
			}
			at, found := slices.BinarySearch(ids, ref.ID)
			switch is := got == any(value); {
			case is && !found:
				ids = slices.Insert(ids, at, ref.ID)
			case !is && found:
				ids = slices.Delete(ids, at, at+1)
			}
		}
	}
	return ids, nil
}

// ColumnOf gives a state's value of one of its table's columns.
func (v *view) ColumnOf(s journal.State, column string) (any, error) {
	return v.t.w.s.ColumnOf(s, column)
}

// Reserved implements journal.Reader.
func (v *view) Reserved(scope, value string) (id.ID, bool, error) {
	if owner, ok := v.t.owners[[2]string{scope, value}]; ok {
		return owner, owner != "", nil
	}
	if owner, ok := v.t.fetched.Names[store.Name{Scope: scope, Value: value}]; ok {
		return owner, owner != "", nil
	}
	return v.t.w.s.Reserved(context.Background(), v.t.b, scope, value)
}

// Event implements journal.Reader.
func (v *view) Event(key id.ID) (*journal.Event, []*journal.Event, error) {
	shop, seq, err := id.ParseEvent(string(key))
	if err != nil || shop != v.t.w.s.Shop {
		return nil, nil, fault.New(fault.NotFound, "unknown_event", "There is no event %s in this shop.", key)
	}
	e, err := v.event(seq)
	if err != nil {
		return nil, nil, err
	}
	row, err := v.load(e.Target())
	if err != nil {
		return nil, nil, err
	}
	var later []*journal.Event
	for at := row.LastSeq; at > seq; {
		l, err := v.event(at)
		if err != nil {
			return nil, nil, err
		}
		later = append(later, l)
		at = l.TargetPrevSeq
	}
	slices.Reverse(later)
	return e, later, nil
}

func (v *view) event(seq int64) (*journal.Event, error) {
	if first := v.t.b.Head.Seq + 1; seq >= first {
		if n := seq - first; n < int64(len(v.t.entries)) {
			return v.t.entries[n].Event, nil
		}
		return nil, fault.New(fault.NotFound, "unknown_event", "There is no event %s in this shop.", id.Event(v.t.w.s.Shop, seq))
	}
	st, err := v.t.w.s.Event(context.Background(), v.t.b, store.Opened, seq)
	return st.Event, err
}

// cache holds rows by target, up to a number of them.
type cache struct {
	rows  map[journal.Ref]store.Row
	limit int
}

func newCache(limit int) *cache { return &cache{rows: map[journal.Ref]store.Row{}, limit: limit} }

func (c *cache) get(ref journal.Ref) (store.Row, bool) {
	r, ok := c.rows[ref]
	return r, ok
}

func (c *cache) put(ref journal.Ref, r store.Row) {
	if len(c.rows) >= c.limit {
		// Half of them go, as the map happens to order them: there is no order worth keeping for rows that are one
		// look-up away.
		n := 0
		for k := range c.rows {
			delete(c.rows, k)
			if n++; n >= c.limit/2 {
				break
			}
		}
	}
	c.rows[ref] = r
}

func (c *cache) drop(ref journal.Ref) { delete(c.rows, ref) }

func (c *cache) empty() bool { return len(c.rows) == 0 }

func (c *cache) clear() { clear(c.rows) }
