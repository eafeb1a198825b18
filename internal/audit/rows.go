package audit

import (
	"bytes"
	"cmp"
	"database/sql"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"

	"perennial/internal/db"
	"perennial/internal/id"
	"perennial/internal/journal"
	"perennial/internal/store"
	"perennial/internal/vault"
)

// states compares every live row with what replay gives.
func (a *auditor) states() error {
	for _, kind := range store.StateKinds {
		a.place = "the table " + string(kind)
		m := a.mappings[kind]
		columns := ""
		if len(m.Columns) > 0 {
			columns = ", " + strings.Join(m.Columns, ", ")
		}
		err := db.Each(a.ctx, a.q, func(r *sql.Rows) error {
			var key id.ID
			var version, lastSeq, schema int64
			var doc []byte
			var box sql.NullString
			var sealed []byte
			own := make([]any, len(m.Columns))
			dest := []any{&key, &version, &lastSeq, &schema, &doc, &box, &sealed}
			for i := range own {
				dest = append(dest, &own[i])
			}
			if err := r.Scan(dest...); err != nil {
				return err
			}
			ref := journal.Ref{Kind: kind, ID: key}
			switch {
			case schema < 1 || schema > store.SchemaVersion:
				a.r.add(Problem{lastSeq, string(key), "schema_version", fmt.Sprintf("%d, while this program writes %d", schema, store.SchemaVersion)})
			case schema < store.SchemaVersion:
				doc = today(m.Fresh(key), doc)
			}
			a.row(m, ref, version, lastSeq, doc, box, sealed, own)
			return nil
		}, fmt.Sprintf(`SELECT id, version, last_seq, schema_version, doc, box, sealed%s FROM %q WHERE shop_id = $1 ORDER BY id`, columns, kind), a.s.Shop)
		if err != nil {
			return err
		}
	}
	return nil
}

// today gives a document of an older form as it would be written now; one that cannot be read stays as it is.
func today(fresh journal.State, doc []byte) []byte {
	state, err := journal.Join(fresh, doc, nil, false)
	if err != nil {
		return doc
	}
	again, _, err := journal.Split(state)
	if err != nil {
		return doc
	}
	return again
}

func (a *auditor) row(m store.Mapping, ref journal.Ref, version, lastSeq int64, doc []byte, box sql.NullString, sealed []byte, own []any) {
	a.r.Rows++
	a.counts[string(ref.Kind)]++
	a.r.Changes += version
	want := a.rows[ref]
	wrong := func(field, format string, args ...any) {
		a.r.add(Problem{lastSeq, string(ref.ID), field, fmt.Sprintf(format, args...)})
	}
	if want == nil {
		wrong(string(ref.Kind), "no entry ever made this row")
		return
	}
	want.seen = true
	if want.version != version {
		wrong("version", "the row says %d, its entries %d", version, want.version)
	}
	if want.lastSeq != lastSeq {
		wrong("last_seq", "the row says %d, its entries %d", lastSeq, want.lastSeq)
	}
	if want.state == nil {
		wrong("doc", "replay gives no state")
		return
	}
	wantDoc, wantPersonal, err := journal.Split(want.state)
	if err != nil {
		wrong("doc", "%v", err)
		return
	}
	if box.Valid && a.unreadable(box.String, sealed) {
		// The key is gone, but this copy of the database is from before the erasure: nobody knows any more what the
		// personal fields were, so only the others are compared.
		doc, wantDoc = withoutErased(doc), withoutErased(wantDoc)
	}
	if !bytes.Equal(doc, wantDoc) {
		field, is, should := firstDifference(doc, wantDoc)
		wrong(field, "the row says %s, its entries %s", is, should)
	}
	a.personal(want.state, box, sealed, wantPersonal, wrong)
	for i, v := range m.Values(want.state) {
		if !sameColumn(own[i], v) {
			wrong(m.Columns[i], "the column says %s, replay gives %s", shown(own[i]), shown(v))
		}
	}
}

// unreadable says whether a row's box has lost its key.
func (a *auditor) unreadable(box string, sealed []byte) bool {
	var b journal.Box
	if json.Unmarshal([]byte(box), &b) != nil {
		return false
	}
	_, err := a.box(b, sealed)
	return errors.Is(err, journal.ErrUnreadable)
}

// withoutErased gives a document without the members that read as erased.
func withoutErased(doc []byte) []byte {
	var m map[string]jsontext.Value
	if json.Unmarshal(doc, &m) != nil {
		return doc
	}
	maps.DeleteFunc(m, func(_ string, v jsontext.Value) bool { return string(v) == journal.ErasedJSON })
	b, err := journal.Canonical(m)
	if err != nil {
		return doc
	}
	return b
}

func (a *auditor) personal(state journal.State, box sql.NullString, sealed, want []byte, wrong func(field, format string, args ...any)) {
	if !box.Valid {
		if want != nil {
			wrong("sealed", "the personal fields are missing")
		}
		if sealed != nil {
			wrong("sealed", "a ciphertext without a box")
		}
		return
	}
	var b journal.Box
	if err := json.Unmarshal([]byte(box.String), &b); err != nil {
		wrong("box", "%v", err)
		return
	}
	if err := vault.CheckCiphertext(vault.Box(b), sealed); err != nil {
		wrong("sealed", "%v", err)
		return
	}
	if person := state.Person(); person != "" && b.Key != string(person) {
		wrong("box", "it is sealed with the key %s, not %s", b.Key, person)
		return
	}
	got, err := a.box(b, sealed)
	switch {
	case errors.Is(err, journal.ErrUnreadable):
	case err != nil:
		wrong("sealed", "%v", err)
	case !bytes.Equal(got, want):
		field, _, _ := firstDifference(got, want)
		wrong(field, "the sealed value is not what its entries say")
	}
}

// firstDifference names the first member in which two JSON objects differ, with both values.
func firstDifference(got, want []byte) (field, is, should string) {
	var g, w map[string]jsontext.Value
	if json.Unmarshal(got, &g) != nil || json.Unmarshal(want, &w) != nil {
		return "doc", "something unreadable", "otherwise"
	}
	names := slices.Sorted(maps.Keys(w))
	for _, n := range slices.Sorted(maps.Keys(g)) {
		if _, ok := w[n]; !ok {
			names = append(names, n)
		}
	}
	for _, n := range names {
		if !bytes.Equal(g[n], w[n]) {
			return n, cmp.Or(string(g[n]), "nothing"), cmp.Or(string(w[n]), "nothing")
		}
	}
	return "doc", "the same values in other bytes", "otherwise"
}

// heads compares the rows of targets that are only observed.
func (a *auditor) heads() error {
	return db.Each(a.ctx, a.q, func(r *sql.Rows) error {
		var ref journal.Ref
		var version, lastSeq int64
		if err := r.Scan(&ref.Kind, &ref.ID, &version, &lastSeq); err != nil {
			return err
		}
		a.r.Rows++
		a.counts["target_head"]++
		a.r.Changes += version
		want := a.rows[ref]
		if want == nil || store.HasState(ref.Kind) {
			a.r.add(Problem{lastSeq, string(ref.ID), "target_head", "no entry ever made this row"})
			return nil
		}
		want.seen = true
		if want.version != version || want.lastSeq != lastSeq {
			a.r.add(Problem{lastSeq, string(ref.ID), "target_head", fmt.Sprintf("the row says version %d at %d, its entries %d at %d", version, lastSeq, want.version, want.lastSeq)})
		}
		return nil
	}, `SELECT kind, id, version, last_seq FROM target_head WHERE shop_id = $1 ORDER BY kind, id`, a.s.Shop)
}
