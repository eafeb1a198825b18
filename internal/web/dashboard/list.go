package dashboard

import (
	"strings"

	"perennial/internal/fault"
	"perennial/internal/id"
	"perennial/internal/journal"
	"perennial/internal/query"
	"perennial/internal/store"
	"perennial/internal/team"
)

// rowsOnPage is how many things a list shows.
const rowsOnPage = 50

// peopleMeant is how many people a name may lead to in a list.
const peopleMeant = 200

// rows reads rows of a kind, at most one more than a page.
func (c *call) rows(kind journal.Kind, order query.Order, filters ...query.Filter) ([]store.Row, error) {
	return query.Rows(c.ctx, c.Store, query.List{Kind: kind, Where: filters, Order: order, Limit: rowsOnPage + 1})
}

// allRows reads all rows that the filters mean: for what is few.
func (c *call) allRows(kind journal.Kind, order query.Order, filters ...query.Filter) ([]store.Row, error) {
	return query.Rows(c.ctx, c.Store, query.List{Kind: kind, Where: filters, Order: order})
}

// older leaves out what stands on the pages before, whose last row has the id.
func older(after string) []query.Filter {
	if after == "" {
		return nil
	}
	return []query.Filter{query.Before(query.ID, after)}
}

// statesOf reads rows by their ids, as a map.
func statesOf[T journal.State](c *call, kind journal.Kind, ids []id.ID) (map[id.ID]T, error) {
	out := map[id.ID]T{}
	rows, err := query.ByID(c.ctx, c.Store, kind, ids)
	for _, r := range rows {
		if s, ok := r.State.(T); ok {
			out[s.Ref().ID] = s
		}
	}
	return out, err
}

// meant finds the people whom somebody's words mean. Whoever may not see names may not find by them either; an id finds itself.
func (c *call) meant(q string) ([]id.ID, error) {
	if !c.permitted(team.PersonalDataView) && !id.Valid(strings.TrimSpace(q)) {
		return nil, nil
	}
	people, err := c.Finder.People(c.ctx, q, peopleMeant)
	return people, store.Fault(err)
}

// stateOf loads the thing that the address names.
func stateOf[T any, P interface {
	*T
	journal.State
}](c *call, kind journal.Kind, key string) (P, int64, error) {
	row, err := c.load(c.ctx, kind, id.ID(key))
	if err != nil {
		return nil, 0, err
	}
	s, ok := row.State.(P)
	if !ok {
		return nil, 0, fault.New(fault.NotFound, "unknown_"+string(kind), "There is no such %s in this shop.", kind.Words())
	}
	return s, row.Version, nil
}
