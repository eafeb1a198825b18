package store

import (
	"maps"
	"slices"
	"sync"
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
