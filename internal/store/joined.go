package store

import (
	"cmp"
	"fmt"
	"reflect"
	"slices"
	"strings"

	"perennial/internal/db"
	"perennial/internal/journal"
	"perennial/internal/vault"
)

// A statement to PostgreSQL is a way there and back, so a batch goes in a few statements of many rows each. They are written in
// the joined form, INSERT … SELECT head.shop_id, … FROM head, unnest(…) WHERE head.shop_id = $1: on a cluster that is spread by shop,
// it goes to the one node that has the shop.

// column is one column of a statement of many rows.
type column struct {
	name, typ string // "text", "bigint", "bytea"
	values    any    // a slice
}

func (c column) len() int { return reflect.ValueOf(c.values).Len() }

func (c column) at(n int) any { return reflect.ValueOf(c.values).Index(n).Interface() }

// columnOf makes a column of values as database/sql takes them: strings, int64 or NULL.
func columnOf(name string, values []any) column {
	typ := "text"
	for _, v := range values {
		if _, ok := v.(int64); ok {
			typ = "bigint"
		}
	}
	if typ == "bigint" {
		out := make([]*int64, len(values))
		for i, v := range values {
			if n, ok := v.(int64); ok {
				out[i] = &n
			}
		}
		return column{name, typ, out}
	}
	out := make([]*string, len(values))
	for i, v := range values {
		if v != nil {
			s := fmt.Sprint(v)
			out[i] = &s
		}
	}
	return column{name, typ, out}
}

// insertMany inserts rows that are given by columns, in their order.
func (b *Batch) insertMany(table string, columns []column) error {
	var names, unnest []string
	args := []any{b.s.Shop}
	for i, c := range columns {
		names = append(names, c.name)
		unnest = append(unnest, fmt.Sprintf("$%d::%s[]", i+2, c.typ))
		args = append(args, c.values)
	}
	list := strings.Join(names, ", ")
	return b.later(fmt.Sprintf(`INSERT INTO %s (shop_id, %s) SELECT head.shop_id, e.%s FROM head, unnest(%s) WITH ORDINALITY AS e(%s, n)
		WHERE head.shop_id = $1 ORDER BY e.n`, table, list, strings.Join(names, ", e."), strings.Join(unnest, ", "), list), args...)
}

// updateMany sets the columns of rows that are found by the first ones, keys of them. It is a statement for each, sent together:
// the plan of one for all, from when a table was new, reads all of it each time.
func (b *Batch) updateMany(table string, keys int, columns []column) error {
	var set, where []string
	for i, c := range columns {
		if pair := fmt.Sprintf("%s = $%d::%s", c.name, i+2, c.typ); i < keys {
			where = append(where, pair)
		} else {
			set = append(set, pair)
		}
	}
	text := fmt.Sprintf(`UPDATE %s SET %s WHERE shop_id = $1 AND %s`, table, strings.Join(set, ", "), strings.Join(where, " AND "))
	for n := range columns[0].len() {
		args := []any{b.s.Shop}
		for _, c := range columns {
			args = append(args, c.at(n))
		}
		if err := b.later(text, args...); err != nil {
			return err
		}
	}
	return nil
}

func (b *Batch) appendMany(entries []Entry) error {
	n := len(entries)
	seq, version, prev := make([]int64, n), make([]int64, n), make([]*int64, n)
	at, typ, kind, target, body := make([]string, n), make([]string, n), make([]string, n), make([]string, n), make([]string, n)
	leaf, boxes := make([][]byte, n), make([][]byte, n)
	for i, e := range entries {
		t := e.Event.Target()
		seq[i], version[i] = e.Event.Seq, e.Event.TargetVersion
		if e.Event.TargetPrevSeq != journal.NoPrev {
			prev[i] = &e.Event.TargetPrevSeq
		}
		at[i], typ[i], kind[i], target[i], body[i] = stamp(e.Event.RecordedAt), string(e.Event.Type), string(t.Kind), string(t.ID), string(e.Body)
		leaf[i] = e.Leaf[:]
		if boxes[i] = vault.JoinCiphertexts(e.Ciphertexts); boxes[i] == nil {
			boxes[i] = []byte{}
		}
	}
	if err := b.insertMany(
		"event",
		[]column{
			{"seq", "bigint", seq},
			{"recorded_at", "text", at},
			{"type", "text", typ},
			{"target_kind", "text", kind},
			{"target_id", "text", target},
			{
				"target_version",
				"bigint",
				version,
			},
			{"target_prev_seq", "bigint", prev},
			{"leaf_hash", "bytea", leaf},
			{"body", "text", body},
			{"boxes", "bytea", boxes},
		},
	); err != nil {
		return err
	}
	return b.send()
}

// Changed is a row that the batch writes.
type Changed struct {
	Ref  journal.Ref
	Row  *Row
	Prev *Row // before the batch; its Version is 0 when there was none
}

// WriteAll stores rows, once a batch, after its events.
func (b *Batch) WriteAll(rows []Changed) error {
	if b.s.DB.Engine != db.Postgres {
		for _, c := range rows {
			if err := b.Write(c.Ref, c.Row, c.Prev); err != nil {
				return err
			}
		}
		return nil
	}
	// A group is what one statement writes: rows of one table that are all new, or all there.
	sorted := slices.Clone(rows)
	order := func(x, y Changed) int {
		return cmp.Or(cmp.Compare(tableOf(x.Ref), tableOf(y.Ref)), cmp.Compare(fresh(x), fresh(y)), cmp.Compare(x.Ref.ID, y.Ref.ID))
	}
	slices.SortFunc(sorted, order)
	for len(sorted) > 0 {
		n := 1
		for n < len(sorted) && tableOf(sorted[n].Ref) == tableOf(sorted[0].Ref) && fresh(sorted[n]) == fresh(sorted[0]) {
			n++
		}
		if err := b.writeGroup(sorted[:n]); err != nil {
			return err
		}
		sorted = sorted[n:]
	}
	return nil
}

func tableOf(r journal.Ref) string {
	if HasState(r.Kind) {
		return quoted(r.Kind)
	}
	return "target_head"
}

func fresh(c Changed) int {
	if c.Prev == nil || c.Prev.Version == 0 {
		return 0
	}
	return 1
}

func (b *Batch) writeGroup(rows []Changed) error {
	n := len(rows)
	ids, kinds := make([]string, n), make([]string, n)
	versions, seqs := make([]int64, n), make([]int64, n)
	for i, c := range rows {
		ids[i], kinds[i], versions[i], seqs[i] = string(c.Ref.ID), string(c.Ref.Kind), c.Row.Version, c.Row.LastSeq
	}
	keys, columns := 1, []column{{"id", "text", ids}}
	if table := tableOf(rows[0].Ref); table == "target_head" {
		keys, columns = 2, append(columns, column{"kind", "text", kinds})
	}
	columns = append(columns, column{"version", "bigint", versions}, column{"last_seq", "bigint", seqs})
	if keys == 1 {
		state, err := b.stateColumns(rows)
		if err != nil {
			return err
		}
		columns = append(columns, state...)
	}
	if fresh(rows[0]) == 0 {
		return b.insertMany(tableOf(rows[0].Ref), columns)
	}
	return b.updateMany(tableOf(rows[0].Ref), keys, columns)
}

func (b *Batch) stateColumns(rows []Changed) ([]column, error) {
	n := len(rows)
	m, err := b.s.mapping(rows[0].Ref.Kind)
	if err != nil {
		return nil, err
	}
	schema, docs, boxes, sealed := make([]int64, n), make([]string, n), make([]*string, n), make([][]byte, n)
	own := make([][]any, len(m.Columns))
	for i, c := range rows {
		doc, err := b.encode(c.Row, c.Prev)
		if err != nil {
			return nil, err
		}
		schema[i], docs[i], sealed[i] = SchemaVersion, string(doc), c.Row.sealed
		if c.Row.box != nil {
			box := string(c.Row.box)
			boxes[i] = &box
		}
		for j, v := range m.Values(c.Row.State) {
			own[j] = append(own[j], v)
		}
	}
	columns := []column{{"schema_version", "bigint", schema}}
	for j, name := range m.Columns {
		columns = append(columns, columnOf(name, own[j]))
	}
	return append(columns, column{"doc", "text", docs}, column{"box", "text", boxes}, column{"sealed", "bytea", sealed}), nil
}
