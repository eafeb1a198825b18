package program

import (
	"context"
	"slices"

	"perennial/internal/db"
	"perennial/internal/id"
	"perennial/internal/journal"
	"perennial/internal/store"
)

// NewReader gives the shop as commands see it, read from q, for whoever asks what a command would come to without
// running it. Under another head the command may come to something else.
func NewReader(ctx context.Context, s *store.Store, q db.Querier) journal.Reader {
	return reader{ctx, s, q}
}

type reader struct {
	ctx context.Context
	s   *store.Store
	q   db.Querier
}

// State implements journal.Reader.
func (r reader) State(ref journal.Ref) (journal.State, bool, error) {
	row, err := r.s.Load(r.ctx, r.q, ref)
	return row.State, row.State != nil, db.Fault(err)
}

// Where implements journal.Reader.
func (r reader) Where(kind journal.Kind, column, value string) ([]id.ID, error) {
	ids, err := r.s.Where(r.ctx, r.q, kind, column, value)
	return ids, db.Fault(err)
}

// ColumnOf gives a state's value of one of its table's columns.
func (r reader) ColumnOf(s journal.State, column string) (any, error) { return r.s.ColumnOf(s, column) }

// Reserved implements journal.Reader.
func (r reader) Reserved(scope, value string) (id.ID, bool, error) {
	owner, ok, err := r.s.Reserved(r.ctx, r.q, scope, value)
	return owner, ok, db.Fault(err)
}

// Event implements journal.Reader.
func (r reader) Event(key id.ID) (*journal.Event, []*journal.Event, error) {
	st, err := r.s.EventByID(r.ctx, r.q, store.Opened, key)
	if err != nil {
		return nil, nil, db.Fault(err)
	}
	row, err := r.s.Load(r.ctx, r.q, st.Target())
	if err != nil {
		return nil, nil, db.Fault(err)
	}
	var later []*journal.Event
	for l, err := range r.s.Chain(r.ctx, r.q, store.Opened, row.LastSeq) {
		if err != nil {
			return nil, nil, db.Fault(err)
		}
		if l.Seq <= st.Seq {
			break
		}
		later = append(later, l.Event)
	}
	slices.Reverse(later)
	return st.Event, later, nil
}
