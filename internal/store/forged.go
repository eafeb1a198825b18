package store

import (
	"context"
	"crypto/hmac"
	"database/sql"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"

	"perennial/internal/db"
)

const forgedMost = 4096 // rows that are told apart; what comes after them is not counted

// forgeries are the rows of the machinery that somebody made, changed or took away beside the program, as far as they were met since the
// start. Each is counted once, however often it is met.
type forgeries struct {
	mu   sync.Mutex
	met  map[string]bool  // guarded by mu
	rows map[string]int64 // by table; guarded by mu
}

// NoteForged counts a row of a table that is not as this program wrote it, or that is gone; what tells it from others.
func (s *Store) NoteForged(table, what string) {
	f := &s.forged
	f.mu.Lock()
	defer f.mu.Unlock()
	key := table + "\x00" + what
	if f.met[key] || len(f.met) >= forgedMost {
		return
	}
	if f.met == nil {
		f.met, f.rows = map[string]bool{}, map[string]int64{}
	}
	f.met[key] = true
	f.rows[table]++
}

// Forged counts by table what NoteForged was told. Every table that is authenticated is in it.
func (s *Store) Forged() map[string]int64 {
	s.forged.mu.Lock()
	defer s.forged.mu.Unlock()
	out := maps.Clone(s.forged.rows)
	if out == nil {
		out = map[string]int64{}
	}
	for table := range authenticated {
		out[table] += 0
	}
	return out
}

// ForgedTables are the tables in which there were such rows, in order.
func (s *Store) ForgedTables() (out []string) {
	for table, n := range s.Forged() {
		if n > 0 {
			out = append(out, table)
		}
	}
	slices.Sort(out)
	return out
}

// Spurious is a row of the machinery that is not as this program wrote it.
type Spurious struct{ Table, ID string }

// nullable are the authenticated columns that may be NULL: a driver may give an empty value of another one as nil.
var nullable = map[string]bool{"ended_at": true, "used_at": true, "due_at": true}

// Spurious goes through every authenticated row of the database, and gives those that are not as this program wrote them. A row without a
// mac may be of a build before, and is left out.
func (s *Store) Spurious(ctx context.Context, q db.Querier) (found []Spurious, rows int64, err error) {
	for _, table := range slices.Sorted(maps.Keys(authenticated)) {
		columns := authenticated[table]
		err := db.Each(ctx, q, func(r *sql.Rows) error {
			rows++
			var mac []byte
			values, into := make([]any, len(columns)), make([]any, len(columns)+1)
			for i := range values {
				into[i] = &values[i]
			}
			into[len(columns)] = &mac
			if err := r.Scan(into...); err != nil {
				return err
			}
			for i, c := range columns {
				if values[i] == nil && !nullable[c] {
					values[i] = []byte{}
				}
			}
			if !hmac.Equal(mac, s.authentic(table, values...)) && (len(mac) > 0 || !withoutMAC[table]) {
				found = append(found, Spurious{table, rowName(columns[0], values[0])})
			}
			return nil
		}, `SELECT `+strings.Join(columns, ", ")+`, mac FROM `+table+` WHERE shop_id = $1`, s.Shop)
		if err != nil {
			return nil, 0, err
		}
	}
	return found, rows, nil
}

// rowName is what a row is called in a report: its id, or the beginning of the hash by which it is found.
func rowName(column string, value any) string {
	switch v := value.(type) {
	case []byte:
		return fmt.Sprintf("%s %x", column, v[:min(4, len(v))])
	case string:
		return v
	}
	return fmt.Sprint(column, " ", value)
}
