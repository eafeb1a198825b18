package store

import (
	"database/sql"
	"fmt"
	"slices"

	"perennial/internal/db"
	"perennial/internal/id"
	"perennial/internal/journal"
)

// Needs is what commands will ask for, as far as is known before. Nothing depends on it: where each look-up is a message to a
// server, a batch asks for all of it in one.
type Needs struct {
	Rows  []journal.Ref // of kinds that have a state; those that a command will make, too, so that nobody has to ask whether they exist
	Lists []List
	Names []Name
	// Newest are lists whose row with the greatest id will be asked for, too.
	Newest []List
}

// List is a question to journal.Reader.Where.
type List struct {
	Kind          journal.Kind
	Column, Value string
}

// Name is a question to journal.Reader.Reserved.
type Name struct{ Scope, Value string }

// Fetched answers Needs. What does not exist has a zero Row, no ids, the owner "".
type Fetched struct {
	Rows  map[journal.Ref]Row
	Lists map[List][]id.ID
	Names map[Name]id.ID
}

// Fetch reads from a PostgreSQL, in one way there and back, what is needed and the first answers of callers' keys, for the calls of
// FindAnswer that follow; the keys of the people among the rows are open then. It does nothing on an embedded database, which has no ways
// to save.
func (b *Batch) Fetch(n Needs, callerKeys [][]byte) (f Fetched, err error) {
	if b.s.DB.Engine != db.Postgres {
		return f, nil
	}
	f = Fetched{
		Rows:  make(map[journal.Ref]Row, len(n.Rows)),
		Lists: make(map[List][]id.ID, len(n.Lists)),
		Names: make(map[Name]id.ID, len(n.Names)),
	}
	ask := b.fetchAnswers(callerKeys)
	stored, open := map[journal.Kind]*[]storedRow{}, noKeys
	if len(n.Rows) > 0 {
		ids := map[journal.Kind][]string{}
		for _, ref := range n.Rows {
			f.Rows[ref] = Row{}
			ids[ref.Kind] = append(ids[ref.Kind], string(ref.ID))
		}
		var keys []db.Statement
		keys, open = b.s.Keys.openAll(ids[journal.Customer])
		ask = append(ask, keys...)
		for kind, list := range ids {
			rows := new([]storedRow)
			stored[kind] = rows
			ask = append(
				ask,
				db.Statement{Text: rowText(kind) + `id = ANY($2)`, Args: []any{b.s.Shop, list}, Each: func(scan func(...any) error) error {
					r, err := scanRow(scan)
					*rows = append(*rows, r)
					return err
				}},
			)
		}
	}
	newest, err := b.fetchNewest(n.Newest, stored)
	if err != nil {
		return f, err
	}
	ask = append(ask, newest...)
	lists, err := b.fetchLists(n.Lists, f.Lists)
	if err != nil {
		return f, err
	}
	ask = append(append(ask, lists...), b.fetchNames(n.Names, f.Names)...)
	if len(ask) == 0 {
		return f, nil
	}
	if err := b.send(); err != nil {
		return f, err
	}
	if err := db.Send(b.ctx, b.w.conn, ask); err != nil {
		return f, err
	}
	if err := open(); err != nil {
		return f, err
	}
	for kind, rows := range stored {
		for _, r := range *rows {
			ref := journal.Ref{Kind: kind, ID: r.id}
			if r.State, err = b.s.decode(b.ctx, b, ref, r.doc, &r.Row); err != nil {
				return f, err
			}
			f.Rows[ref] = r.Row
		}
	}
	for _, ids := range f.Lists {
		slices.Sort(ids)
	}
	return f, nil
}

func (b *Batch) fetchAnswers(callerKeys [][]byte) []db.Statement {
	if len(callerKeys) == 0 {
		return nil
	}
	b.answers = map[string]*keptAnswer{}
	for _, k := range callerKeys {
		b.answers[string(k)] = nil
	}
	return []db.Statement{
		{Text: `SELECT caller_key, request_hash, key_id, answer, created_at, mac FROM idempotency WHERE shop_id = $1 AND caller_key = ANY($2)`,
			Args: []any{b.s.Shop, callerKeys}, Each: func(scan func(...any) error) error {
				var key []byte
				var a keptAnswer
				err := scan(&key, &a.requestHash, &a.keyID, &a.answer, &a.at, &a.mac)
				b.answers[string(key)] = &a
				return err
			}},
	}
}

// fetchLists asks for lists, with one statement for each column. The OFFSET makes it look each value up by the index, however small
// the table was when that was planned.
func (b *Batch) fetchLists(lists []List, out map[List][]id.ID) (ask []db.Statement, err error) {
	values := map[List][]string{}
	for _, l := range lists {
		if _, twice := out[l]; !twice {
			out[l] = nil
			column := List{Kind: l.Kind, Column: l.Column}
			values[column] = append(values[column], l.Value)
		}
	}
	for l, list := range values {
		if err := b.s.known(l.Kind, l.Column); err != nil {
			return nil, err
		}
		ask = append(ask, db.Statement{Text: fmt.Sprintf(`SELECT v.value, t.id FROM head, unnest($2::text[]) AS v(value),
			LATERAL (SELECT id FROM %s WHERE shop_id = head.shop_id AND %q = v.value OFFSET 0) t WHERE head.shop_id = $1`, quoted(l.Kind), l.Column),
			Args: []any{b.s.Shop, list}, Each: func(scan func(...any) error) error {
				var key id.ID
				err := scan(&l.Value, &key)
				out[l] = append(out[l], key)
				return err
			}})
	}
	return ask, nil
}

// fetchNewest asks for the rows with the greatest ids.
func (b *Batch) fetchNewest(lists []List, stored map[journal.Kind]*[]storedRow) (ask []db.Statement, err error) {
	values := map[List][]string{}
	for _, l := range lists {
		column := List{Kind: l.Kind, Column: l.Column}
		values[column] = append(values[column], l.Value)
	}
	for l, list := range values {
		if err := b.s.known(l.Kind, l.Column); err != nil {
			return nil, err
		}
		rows := stored[l.Kind]
		if rows == nil {
			rows = new([]storedRow)
			stored[l.Kind] = rows
		}
		text := fmt.Sprintf(`id IN (SELECT (SELECT max(id) FROM %s WHERE shop_id = $1 AND %q = v.value) FROM unnest($2::text[]) AS v(value))`,
			quoted(l.Kind), l.Column)
		ask = append(ask, db.Statement{Text: rowText(l.Kind) + text, Args: []any{b.s.Shop, list}, Each: func(scan func(...any) error) error {
			r, err := scanRow(scan)
			*rows = append(*rows, r)
			return err
		}})
	}
	return ask, nil
}

func (b *Batch) fetchNames(names []Name, out map[Name]id.ID) (ask []db.Statement) {
	hashes := map[string][][]byte{}
	byHash := map[string]Name{}
	for _, n := range names {
		out[n] = ""
		hash := b.s.ReservationHash(n.Scope, n.Value)
		byHash[string(hash)] = n
		hashes[n.Scope] = append(hashes[n.Scope], hash)
	}
	for scope, list := range hashes {
		ask = append(ask, db.Statement{Text: `SELECT v.hash, t.owner FROM head, unnest($3::bytea[]) AS v(hash),
			LATERAL (SELECT owner FROM reservation WHERE shop_id = head.shop_id AND scope = $2 AND hash = v.hash OFFSET 0) t WHERE head.shop_id = $1`,
			Args: []any{b.s.Shop, scope, list}, Each: func(scan func(...any) error) error {
				var hash []byte
				var owner id.ID
				err := scan(&hash, &owner)
				out[byHash[string(hash)]] = owner
				return err
			}})
	}
	return ask
}

// storedRow is a row as it was read; its state is still to be decoded, for which a key may have to be asked for.
type storedRow struct {
	Row
	id  id.ID
	doc []byte
}

// rowText asks for rows; what follows is a condition, with arguments from $2 on.
func rowText(kind journal.Kind) string {
	return `SELECT id, version, last_seq, doc, box, sealed FROM ` + quoted(kind) + ` WHERE shop_id = $1 AND `
}

func scanRow(scan func(...any) error) (r storedRow, err error) {
	var box sql.NullString
	err = scan(&r.id, &r.Version, &r.LastSeq, &r.doc, &box, &r.sealed)
	if box.Valid {
		r.box = []byte(box.String)
	}
	return r, err
}
