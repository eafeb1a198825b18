package dashboard

import (
	"fmt"
	"strings"

	"perennial/internal/fault"
	"perennial/internal/id"
	"perennial/internal/journal"
	"perennial/internal/store"
	"perennial/internal/team"
)

// rowsOnPage is how many things a list shows.
const rowsOnPage = 50

// peopleMeant is how many people a name may lead to in a list.
const peopleMeant = 200

// where builds the condition of a list, with its arguments from $2 on; $1 is the shop.
type where struct {
	conds []string
	args  []any
}

func (w *where) place(v any) string {
	w.args = append(w.args, v)
	return fmt.Sprintf("$%d", len(w.args)+1)
}

// add adds a condition with %s where the value goes.
func (w *where) add(cond string, v any) { w.conds = append(w.conds, fmt.Sprintf(cond, w.place(v))) }

// equal adds a condition unless the value is empty.
func (w *where) equal(column, v string) {
	if v != "" {
		w.add(column+` = %s`, v)
	}
}

// among wants one of the columns to have one of the values. No values: nothing matches.
func (w *where) among(values []id.ID, columns ...string) { w.amongOr(values, "", nil, columns...) }

// amongOr is among, or else a condition with %s that one of other values fulfils.
func (w *where) amongOr(values []id.ID, cond string, others []string, columns ...string) {
	var parts []string
	if len(values) > 0 {
		places := make([]string, len(values))
		for i, v := range values {
			places[i] = w.place(string(v))
		}
		for _, c := range columns {
			parts = append(parts, c+" IN ("+strings.Join(places, ", ")+")")
		}
	}
	for _, o := range others {
		parts = append(parts, fmt.Sprintf(cond, w.place(o)))
	}
	if len(parts) == 0 {
		parts = []string{"1 = 0"}
	}
	w.conds = append(w.conds, "("+strings.Join(parts, " OR ")+")")
}

// text is the whole condition.
func (w *where) text() string {
	if len(w.conds) == 0 {
		return "1 = 1"
	}
	return strings.Join(w.conds, " AND ")
}

// rows reads rows of a kind, at most one more than a page. order is such as "id DESC".
func (c *call) rows(kind journal.Kind, w where, order string) ([]store.Row, error) {
	rows, err := c.Store.List(c.ctx, c.Store.DB.Reader, kind, fmt.Sprintf("%s ORDER BY %s LIMIT %d", w.text(), order, rowsOnPage+1), w.args...)
	return rows, store.Fault(err)
}

// allRows reads all rows that a condition means: for what is few.
func (c *call) allRows(kind journal.Kind, w where, order string) ([]store.Row, error) {
	rows, err := c.Store.List(c.ctx, c.Store.DB.Reader, kind, w.text()+" ORDER BY "+order, w.args...)
	return rows, store.Fault(err)
}

// statesOf reads rows by their ids, in one statement, as a map.
func statesOf[T journal.State](c *call, kind journal.Kind, ids []id.ID) (map[id.ID]T, error) {
	out := map[id.ID]T{}
	if len(ids) == 0 {
		return out, nil
	}
	var w where
	w.among(ids, "id")
	rows, err := c.allRows(kind, w, "id")
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
