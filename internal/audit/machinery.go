package audit

import (
	"database/sql"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"perennial/internal/db"
	"perennial/internal/fault"
	"perennial/internal/id"
	"perennial/internal/journal"
	"perennial/internal/store"
)

// engineErrors remembers an error of the engine that an opener meets: it is no difference.
func (a *auditor) engineErrors(open journal.Opener) journal.Opener {
	return func(b journal.Box, ciphertext []byte) ([]byte, error) {
		v, err := open(b, ciphertext)
		if err != nil && (db.FromEngine(err) || a.ctx.Err() != nil) {
			a.engine.CompareAndSwap(nil, &err)
		}
		return v, err
	}
}

// failed says of an error of the engine where it was met. Of a damaged file SQLite's own check says more.
func (a *auditor) failed(err error) error {
	if err = db.Fault(err); fault.As(err).Code != "database_damaged" {
		return err
	}
	return Damaged(a.s.DB.Path, err, a.place, a.integrity())
}

// Damaged is the fault of a database that cannot be read.
func Damaged(database string, err error, place string, found []string) error {
	words := ""
	if len(found) > 0 {
		words = " SQLite's own check says: " + strings.Join(found, "; ") + "."
	}
	return fault.Wrap(err, fault.Unavailable, "database_damaged", "The database %s is damaged: %s cannot be read.%s Nothing can be said of its journal. Keep the files, and restore a backup.", database, place, words)
}

// integrity gives the first lines of what SQLite's own check finds; none when it is not SQLite, or finds nothing.
func (a *auditor) integrity() (found []string) {
	if a.s.DB.Engine != db.SQLite {
		return nil
	}
	// An error here says no more than the one that led here.
	_ = db.Each(a.ctx, a.s.DB.Reader, func(r *sql.Rows) error {
		var line string
		err := r.Scan(&line)
		if line != "ok" {
			found = append(found, strings.ReplaceAll(line, "\n", ", "))
		}
		return err
	}, `PRAGMA integrity_check(3)`)
	return found
}

// schema compares the schema with what the migrations make, and asks whether a batch was left half done.
func (a *auditor) schema() error {
	lapses, whole, err := a.s.Lapses(a.ctx, a.q)
	if err != nil {
		return err
	}
	for _, l := range lapses {
		a.r.add(Problem{-1, l.Name, l.Field, l.Words})
	}
	switch {
	case !whole:
		a.r.note("triggers and grants", "the rest of the schema: on a cluster tables are made of others")
	case a.s.DB.Engine == db.Postgres:
		a.r.note("the schema (tables, columns, indexes, keys, triggers, views, rules, policies, functions, owners, grants)", "")
	default:
		a.r.note("the schema (tables, columns, indexes, triggers, views)", "")
	}
	return nil
}

// shops checks that there is one head, of a shop whose log key is in the keys folder, and that all rows of every table are that shop's.
func (a *auditor) shops() error {
	var heads []string
	err := db.Each(a.ctx, a.q, func(r *sql.Rows) error {
		var shop string
		err := r.Scan(&shop)
		heads = append(heads, shop)
		return err
	}, `SELECT shop_id FROM head ORDER BY shop_id`)
	if err != nil {
		return err
	}
	a.counts["head"] = int64(len(heads))
	folder := a.s.Keys.Folder()
	signs, err := folder.Shops()
	if err != nil {
		return err
	}
	for _, shop := range heads {
		if shop != string(a.s.Shop) {
			a.r.add(Problem{-1, shop, "head", "a second shop in this database, which holds one"})
		}
		if len(signs) > 0 && !slices.Contains(signs, shop) {
			a.r.add(Problem{-1, shop, "head", "the keys folder has no key that signs for this shop; it has one for " + strings.Join(signs, ", ")})
		}
	}
	a.head, err = a.s.ReadHead(a.ctx, a.q)
	if db.FromEngine(err) && !errors.Is(err, sql.ErrNoRows) {
		return err
	}
	if err != nil {
		a.r.add(Problem{-1, string(a.s.Shop), "head", err.Error()})
		a.head = store.Head{Seq: -1}
	}
	return a.strangers([]id.ID{a.s.Shop})
}

// strangers names the tables that have rows of other shops than these.
func (a *auditor) strangers(shops []id.ID) error {
	slices.Sort(shops)
	for _, t := range store.Tables(a.s.DB.Engine) {
		if t.Name == "goose_db_version" {
			continue
		}
		a.place = "the table " + t.Name
		for i := 0; i <= len(shops); i++ { // before the first one, between two, and after the last one
			var where []string
			var args []any
			if i > 0 {
				args, where = append(args, shops[i-1]), append(where, "shop_id > $1")
			}
			if i < len(shops) {
				args = append(args, shops[i])
				where = append(where, fmt.Sprintf("shop_id < $%d", len(args)))
			}
			var other string
			err := a.q.QueryRowContext(a.ctx, fmt.Sprintf(`SELECT shop_id FROM %q WHERE %s LIMIT 1`, t.Name, strings.Join(where, " AND ")), args...).Scan(&other)
			if errors.Is(err, sql.ErrNoRows) {
				continue
			}
			if err != nil {
				return err
			}
			a.r.add(Problem{-1, other, t.Name, "the table has rows of this shop, which is not the database's"})
		}
	}
	return nil
}

// machinery names the rows without entries that are not as the program wrote them. They have no effect; who wrote them can write more.
func (a *auditor) machinery() error {
	found, rows, err := a.s.Spurious(a.ctx, a.q)
	if err != nil {
		return err
	}
	for _, f := range found {
		a.r.add(Problem{-1, f.ID, f.Table + ".mac", "the row is not as the program wrote it; it has no effect"})
	}
	a.r.Covered = append(a.r.Covered, fmt.Sprintf("the MACs of %d rows without entries", rows))
	return nil
}

// keys compares the data keys with their ids, with the root key, and the destroyed ones with the entries that destroyed them.
func (a *auditor) keys() error {
	folder := a.s.Keys.Folder()
	there := map[string]bool{}
	err := db.Each(a.ctx, a.q, func(r *sql.Rows) error {
		var key, class, created string
		var wrapped []byte
		var destroyed sql.NullString
		if err := r.Scan(&key, &class, &wrapped, &created, &destroyed); err != nil {
			return err
		}
		there[key] = true
		a.counts["data_key"]++
		wrong := func(field, words string) { a.r.add(Problem{-1, key, "data_key." + field, words}) }
		if want := journal.ClassOf(key); class != want {
			wrong("class", fmt.Sprintf("the row says %s, the id is one of class %s", class, want))
		}
		if !isTime(created) {
			wrong("created_at", "it is no time")
		}
		if destroyed.Valid && !isTime(destroyed.String) {
			wrong("destroyed_at", "it is no time")
		}
		entries := a.destroyed[key]
		switch {
		case destroyed.Valid != (wrapped == nil):
			wrong("wrapped", "a key is there, or it was destroyed")
		case destroyed.Valid && entries != nil && !slices.Contains(entries, destroyed.String) && destroyed.String != restored:
			wrong("destroyed_at", fmt.Sprintf("the row says %s, its entry %s", destroyed.String, entries[0]))
		case !destroyed.Valid && entries != nil:
			wrong("wrapped", "an entry destroyed this key, and it is there again")
		case (destroyed.Valid || folder.Erased(key)) && entries == nil:
			a.unexplained(key)
		case !destroyed.Valid:
			if _, err := folder.Unwrap(key, wrapped); err != nil {
				wrong("wrapped", "it does not open: "+err.Error())
			}
		}
		return nil
	}, `SELECT id, class, wrapped, created_at, destroyed_at FROM data_key WHERE shop_id = $1 ORDER BY id`, a.s.Shop)
	if err != nil {
		return err
	}
	erased, err := folder.ErasedKeys()
	if err != nil {
		return err
	}
	slices.Sort(erased)
	for _, key := range erased {
		if there[key] || a.destroyed[key] != nil {
			continue
		}
		for _, kind := range []journal.Kind{journal.Customer, journal.TeamMember} {
			if a.rows[journal.Ref{Kind: kind, ID: id.ID(key)}] != nil {
				a.unexplained(key)
			}
		}
	}
	return nil
}

// restored is the time at which a key is destroyed in a copy of the database that is from before its erasure.
var restored = time.Unix(0, 0).UTC().Format(journal.TimeLayout)

// unexplained tells of a key that is gone, and that no entry destroyed.
func (a *auditor) unexplained(key string) {
	listed := a.s.Keys.Folder().Erased(key)
	switch {
	case listed && a.unproved:
		a.r.note("", key+" was erased after this copy of the database was made")
	case listed && journal.ClassOf(key) == journal.ClassNetwork:
		a.r.note("", key+" is on the list of erased keys, and no entry destroyed it: its month ended after this copy of the database was made, or somebody wrote it there")
	case listed:
		a.r.add(Problem{-1, key, "data_key", "it is on the list of erased keys, and no entry destroyed it: after a restore, erase this person once more; otherwise somebody wrote it there"})
	default:
		a.r.add(Problem{-1, key, "data_key", "it was destroyed, and no entry destroyed it"})
	}
}

// sameColumn compares a column with the value that replay gives. NULL is no text.
func sameColumn(own, want any) bool {
	if own == nil || want == nil {
		return own == nil && want == nil
	}
	return fmt.Sprint(own) == fmt.Sprint(want)
}

// shown writes a column's value so that a missing one is not taken for a text.
func shown(v any) string {
	if v == nil {
		return "nothing"
	}
	return fmt.Sprintf("%q", fmt.Sprint(v))
}
