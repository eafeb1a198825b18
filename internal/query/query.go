// Package query reads lists of what is: rows of a kind by filters, in an order, a page at a time. With store and find it is the only
// place that writes SQL for lists; whoever shows or works through a list says what it wants in the words of this package.
//
// A filter names a column of a kind's own table (kinds.Mappings) and never holds SQL or a value in its text, so lists of one shape are one
// statement. TestEveryColumn holds the columns to the tables of both engines.
package query

import (
	"context"
	"fmt"
	"iter"
	"slices"
	"strings"
	"time"

	"perennial/internal/id"
	"perennial/internal/journal"
	"perennial/internal/store"
)

// Column is a column of a state's table.
type Column string

// The columns that lists ask for. Which kind has which is in kinds.Mappings; every kind has an ID.
const (
	ID           Column = "id"
	Status       Column = "status"
	Role         Column = "role"
	Customer     Column = "customer_id"
	Subscription Column = "subscription_id"
	Product      Column = "product_id"
	Group        Column = "group_id"
	Flow         Column = "flow_id"
	Products     Column = "product_ids" // a set, see Holds
	Next         Column = "next_billing_date"
	Due          Column = "due_date"
	OpenAttempt  Column = "open_attempt"
	GatewayData  Column = "gateway_data"
)

// Filter is a condition that a row meets or does not.
type Filter func(t *text) string

// text is the condition as SQL with the arguments that belong to it; $1 is the shop.
type text struct {
	s    *store.Store
	args []any
}

func (t *text) place(v any) string {
	t.args = append(t.args, v)
	return fmt.Sprintf("$%d", len(t.args)+1)
}

// where joins filters; no filter means every row.
func (t *text) where(filters []Filter) string {
	if len(filters) == 0 {
		return "1 = 1"
	}
	parts := make([]string, len(filters))
	for i, f := range filters {
		parts[i] = f(t)
	}
	return strings.Join(parts, " AND ")
}

func compare[T ~string](c Column, operator string, v T) Filter {
	return func(t *text) string { return string(c) + operator + t.place(string(v)) }
}

// Is wants the column to have the value.
func Is[T ~string](c Column, v T) Filter { return compare(c, " = ", v) }

// Not wants the column to have another value.
func Not[T ~string](c Column, v T) Filter { return compare(c, " <> ", v) }

// From wants the value or a later one.
func From[T ~string](c Column, v T) Filter { return compare(c, " >= ", v) }

// After wants a later value.
func After[T ~string](c Column, v T) Filter { return compare(c, " > ", v) }

// To wants the value or an earlier one.
func To[T ~string](c Column, v T) Filter { return compare(c, " <= ", v) }

// Before wants an earlier value.
func Before[T ~string](c Column, v T) Filter { return compare(c, " < ", v) }

// Set wants the column to have a value at all.
func Set(c Column) Filter {
	return func(*text) string { return string(c) + " IS NOT NULL" }
}

// In wants the column to have one of the values. No row has one of none.
func In[T ~string](c Column, values []T) Filter {
	return func(t *text) string {
		if len(values) == 0 {
			return "1 = 0"
		}
		places := make([]string, len(values))
		for i, v := range values {
			places[i] = t.place(string(v))
		}
		return string(c) + " IN (" + strings.Join(places, ", ") + ")"
	}
}

// Holds wants a column that is a set to have the member.
func Holds[T ~string](c Column, member T) Filter {
	return func(t *text) string { return t.s.DB.Contains(string(c), t.place("|"+string(member)+"|")) }
}

// Mentions wants the row's document, without what is personal, to contain the JSON text. It is a first sieve: the caller looks at what it
// lets through.
func Mentions(json string) Filter {
	return func(t *text) string { return t.s.DB.Contains("doc", t.place(json)) }
}

// Any wants one of the filters to be met. No row meets one of none.
func Any(filters ...Filter) Filter {
	return func(t *text) string {
		if len(filters) == 0 {
			return "1 = 0"
		}
		parts := make([]string, len(filters))
		for i, f := range filters {
			parts[i] = f(t)
		}
		return "(" + strings.Join(parts, " OR ") + ")"
	}
}

// Past wants rows that come after another one in the order of a column and then the id.
func Past[T ~string](c Column, v T, key id.ID) Filter {
	return func(t *text) string {
		return fmt.Sprintf("(%s, id) > (%s, %s)", c, t.place(string(v)), t.place(string(key)))
	}
}

// Free leaves out rows whose column names a thing of a kind that another living process has in hand. It is for Claim.
func Free(kind journal.Kind, c Column, holder string) Filter {
	return func(t *text) string {
		if !t.s.Shared() {
			return "1 = 1"
		}
		return t.s.Free(kind, string(c), t.place(holder))
	}
}

// KeyDestroyed wants the key of the row's person to be gone.
func KeyDestroyed() Filter {
	return func(*text) string {
		return "id IN (SELECT id FROM data_key WHERE shop_id = $1 AND destroyed_at IS NOT NULL)"
	}
}

// IsGiven is Is, unless the value is empty: then every row will do.
func IsGiven[T ~string](c Column, v T) []Filter {
	if v == "" {
		return nil
	}
	return []Filter{Is(c, v)}
}

// Order is how rows are sorted. Each ends with the id, so that a page has one place to go on from.
type Order string

// The orders.
const (
	Oldest    Order = "id"
	Newest    Order = "id DESC"
	ByNext    Order = "next_billing_date, id"
	ByDue     Order = "due_date, id"
	ByProduct Order = "product_id, id"
)

// List says which rows to read.
type List struct {
	Kind  journal.Kind
	Where []Filter // all of them are met
	Order Order    // by default Oldest
	Limit int      // by default all
	// Steady lists have the same text each time, whatever was asked, and are kept prepared.
	Steady bool
}

func (l List) order() Order {
	if l.Order == "" {
		return Oldest
	}
	return l.Order
}

// Rows reads a list.
func Rows(ctx context.Context, s *store.Store, l List) ([]store.Row, error) {
	q := store.Querier(s.DB.Reader)
	if l.Steady {
		q = s.Read
	}
	return On(ctx, s, q, l)
}

// On reads a list by a reader of the caller's, such as a snapshot.
func On(ctx context.Context, s *store.Store, q store.Querier, l List) ([]store.Row, error) {
	t := &text{s: s}
	where := t.where(l.Where) + " ORDER BY " + string(l.order())
	if l.Limit > 0 {
		where += fmt.Sprintf(" LIMIT %d", l.Limit)
	}
	rows, err := s.List(ctx, q, l.Kind, where, t.args...)
	return rows, store.Fault(err)
}

// States reads a list as what its rows say.
func States[T journal.State](ctx context.Context, s *store.Store, l List) ([]T, error) {
	rows, err := Rows(ctx, s, l)
	if err != nil {
		return nil, err
	}
	out := make([]T, 0, len(rows))
	for _, r := range rows {
		if st, ok := r.State.(T); ok {
			out = append(out, st)
		}
	}
	return out, nil
}

// together is how many ids a statement names at most.
const together = 200

// ByID reads rows of a kind by their ids, in any order. Those that are not there are left out.
func ByID(ctx context.Context, s *store.Store, kind journal.Kind, ids []id.ID) ([]store.Row, error) {
	var out []store.Row
	for part := range slices.Chunk(ids, together) {
		rows, err := Rows(ctx, s, List{Kind: kind, Where: []Filter{In(ID, part)}})
		if err != nil {
			return nil, err
		}
		out = append(out, rows...)
	}
	return out, nil
}

// Pages reads a list in order of id, some rows at a time, until the caller stops. Nothing is held open between two pages, so rows that come
// while it runs are among them. l.Order is Oldest or Newest; l.Limit is the size of a page, by default 500.
func Pages(ctx context.Context, s *store.Store, l List, after id.ID) iter.Seq2[[]store.Row, error] {
	if l.Limit <= 0 {
		l.Limit = 500
	}
	given := l.Where
	return func(yield func([]store.Row, error) bool) {
		for {
			l.Where = slices.Clone(given)
			switch {
			case after == "":
			case l.Order == Newest:
				l.Where = append(l.Where, Before(ID, after))
			default:
				l.Where = append(l.Where, After(ID, after))
			}
			rows, err := Rows(ctx, s, l)
			if err != nil || len(rows) == 0 {
				if err != nil {
					yield(nil, err)
				}
				return
			}
			after = rows[len(rows)-1].State.Ref().ID
			if !yield(rows, nil) || len(rows) < l.Limit {
				return
			}
		}
	}
}

// Count counts the rows of a kind that meet the filters.
func Count(ctx context.Context, s *store.Store, kind journal.Kind, filters ...Filter) (int64, error) {
	t := &text{s: s}
	return s.Count(ctx, s.DB.Reader, kind, t.where(filters), t.args...)
}

// Claim reads a list and takes its rows in hand for a while, see store.Claim. It needs a limit.
func Claim(ctx context.Context, s *store.Store, holder string, while time.Duration, l List) ([]store.Row, error) {
	t := &text{s: s}
	where := t.where(l.Where)
	return s.Claim(ctx, l.Kind, holder, while, where, string(l.order()), l.Limit, t.args...)
}
