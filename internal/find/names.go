package find

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"slices"
	"strings"

	"perennial/internal/customer"
	"perennial/internal/db"
	"perennial/internal/find/postings"
	"perennial/internal/id"
	"perennial/internal/journal"
	"perennial/internal/plain"
	"perennial/internal/seal"
	"perennial/internal/store"
	"perennial/internal/team"
)

// names leads from the name or the e-mail address of a person to the person. Its tables stand beside the index and follow
// the journal from a position of their own: each person whom an event changed gets the words of the row as it is by then,
// an erased one none.
//
// The position is written with the words, and otherwise every batchLength entries: what is read again is the same again.
type names struct {
	s *store.Store
	w *sql.DB
	r *sql.DB

	next    int64     // entries below this were followed
	leaf    seal.Hash // of the last one of them
	written int64     // next, as the file has it
	changed map[journal.Ref]bool
	// unwiped says that words of an erased person may still be in the write-ahead log.
	unwiped bool
}

func openNames(ctx context.Context, x *postings.Index, s *store.Store) (*names, error) {
	n := &names{s: s, changed: map[journal.Ref]bool{}}
	n.w, n.r = x.DB()
	for _, text := range []string{
		`CREATE TABLE IF NOT EXISTS name_word (shop_id TEXT NOT NULL, word TEXT NOT NULL, id TEXT NOT NULL, PRIMARY KEY (shop_id, word, id)) STRICT, WITHOUT ROWID`,
		`CREATE INDEX IF NOT EXISTS name_word_id ON name_word (shop_id, id)`,
		`CREATE TABLE IF NOT EXISTS followed (shop_id TEXT NOT NULL, next INTEGER NOT NULL, leaf_hash BLOB NOT NULL, facets INTEGER NOT NULL, PRIMARY KEY (shop_id)) STRICT`,
	} {
		if _, err := n.w.ExecContext(ctx, text); err != nil {
			return nil, err
		}
	}
	version, err := n.position(ctx)
	if err != nil {
		return nil, err
	}
	if version != facetsVersion {
		if err := errors.Join(x.Drop(ctx, string(s.Shop)), n.drop(ctx)); err != nil {
			return nil, err
		}
	}
	if err := n.forget(ctx); err != nil {
		return nil, err
	}
	return n, n.wipe(ctx) // also what a process that died had no time for
}

// position reads how far the file follows, and by which facets.
func (n *names) position(ctx context.Context) (version int, err error) {
	var leaf []byte
	version = facetsVersion
	err = n.r.QueryRowContext(ctx, `SELECT next, leaf_hash, facets FROM followed WHERE shop_id = $1`, n.s.Shop).Scan(&n.next, &leaf, &version)
	if errors.Is(err, sql.ErrNoRows) {
		err = nil
	}
	copy(n.leaf[:], leaf)
	n.written = n.next
	return version, err
}

// forget drops the words of those who were erased: a file from before the erasure still has them.
func (n *names) forget(ctx context.Context) error {
	erased, err := n.s.Keys.Folder().ErasedKeys()
	if err != nil || len(erased) == 0 {
		return err
	}
	tx, err := n.w.BeginTx(ctx, nil)
	if err != nil {
		return err
	}
	defer tx.Rollback()
	remove, err := tx.PrepareContext(ctx, `DELETE FROM name_word WHERE shop_id = $1 AND id = $2`)
	if err != nil {
		return err
	}
	defer remove.Close()
	for _, key := range erased {
		if _, err := remove.ExecContext(ctx, n.s.Shop, key); err != nil {
			return err
		}
	}
	return tx.Commit()
}

func (n *names) drop(ctx context.Context) error {
	for _, text := range []string{`DELETE FROM name_word WHERE shop_id = $1`, `DELETE FROM followed WHERE shop_id = $1`} {
		if _, err := n.w.ExecContext(ctx, text, n.s.Shop); err != nil {
			return err
		}
	}
	n.next, n.written = 0, 0
	clear(n.changed)
	return nil
}

// see takes note of an entry.
func (n *names) see(st store.Stored) {
	if t := st.Target(); st.Seq >= n.next && (t.Kind == journal.Customer || t.Kind == journal.TeamMember) {
		n.changed[t] = true
	}
}

// follow takes over what was seen, up to an entry.
func (n *names) follow(ctx context.Context, last store.Stored) error {
	if last.Seq < n.next {
		return nil
	}
	n.next, n.leaf = last.Seq+1, last.Leaf
	if len(n.changed) == 0 && n.next-n.written < batchLength {
		return nil
	}
	return n.write(ctx)
}

// write writes the words of those who changed, and the position.
func (n *names) write(ctx context.Context) error {
	if n.next == n.written {
		return nil
	}
	tx, err := n.w.BeginTx(ctx, nil)
	if err != nil {
		return fmt.Errorf("find: names: %w", err)
	}
	defer tx.Rollback()
	remove, err := tx.PrepareContext(ctx, `DELETE FROM name_word WHERE shop_id = $1 AND id = $2`)
	if err != nil {
		return fmt.Errorf("find: names: %w", err)
	}
	defer remove.Close()
	insert, err := tx.PrepareContext(ctx, `INSERT INTO name_word (shop_id, word, id) VALUES ($1, $2, $3)`)
	if err != nil {
		return fmt.Errorf("find: names: %w", err)
	}
	defer insert.Close()
	erased := false
	for ref := range n.changed {
		gone, err := n.rewrite(ctx, remove, insert, ref)
		if err != nil {
			return fmt.Errorf("find: names of %s: %w", ref.ID, err)
		}
		erased = erased || gone
	}
	if _, err := tx.ExecContext(ctx, `INSERT INTO followed (shop_id, next, leaf_hash, facets) VALUES ($1, $2, $3, $4)
		ON CONFLICT (shop_id) DO UPDATE SET next = excluded.next, leaf_hash = excluded.leaf_hash, facets = excluded.facets`,
		n.s.Shop, n.next, n.leaf[:], facetsVersion); err != nil {
		return fmt.Errorf("find: names: %w", err)
	}
	if err := tx.Commit(); err != nil {
		return fmt.Errorf("find: names: %w", err)
	}
	n.written = n.next
	clear(n.changed)
	if erased {
		n.unwiped = true
		return n.wipe(ctx)
	}
	return nil
}

// rewrite gives a person the words of the row as it is now. erased says that words went and none came.
func (n *names) rewrite(ctx context.Context, remove, insert *sql.Stmt, ref journal.Ref) (erased bool, err error) {
	done, err := remove.ExecContext(ctx, n.s.Shop, ref.ID)
	if err != nil {
		return false, err
	}
	had, err := done.RowsAffected()
	if err != nil {
		return false, err
	}
	row, err := n.s.Load(ctx, n.s.Read, ref)
	if err != nil {
		return false, db.Fault(err)
	}
	words := nameWords(row.State)
	for _, w := range words {
		if _, err := insert.ExecContext(ctx, n.s.Shop, w, ref.ID); err != nil {
			return false, err
		}
	}
	return had > 0 && len(words) == 0, nil
}

// wipe empties the write-ahead log, which still has the pages with what was deleted; in the file itself they were
// overwritten (secure_delete). A reader can be in the way: then it is tried again by the next CatchUp.
func (n *names) wipe(ctx context.Context) error {
	var busy, pages, moved int
	if err := n.w.QueryRowContext(ctx, `PRAGMA wal_checkpoint(TRUNCATE)`).Scan(&busy, &pages, &moved); err != nil {
		return fmt.Errorf("find: wipe: %w", err)
	}
	n.unwiped = busy != 0
	return nil
}

func nameWords(s journal.State) []string {
	var out []string
	name := func(p journal.Personal[string]) {
		if !p.Erased {
			out = append(out, Words(p.Value)...)
		}
	}
	email := func(p journal.Personal[string]) {
		if !p.Erased && p.Value != "" {
			out = append(out, plain.EmailKey(p.Value))
		}
	}
	switch s := s.(type) {
	case *customer.Customer:
		name(s.FirstName)
		name(s.LastName)
		email(s.Email)
	case *team.TeamMember:
		name(s.Name)
		email(s.Email)
	}
	slices.Sort(out)
	return slices.Compact(out)
}

// wantedWords gives the words that somebody has to have whom a text means: an e-mail address, or one to eight of a name.
// Nil is nobody.
func wantedWords(text string) []string {
	if strings.Contains(text, "@") && !strings.ContainsAny(text, " \t") {
		return []string{plain.EmailKey(text)}
	}
	words := Words(text)
	if len(words) == 0 || len(words) > 8 {
		return nil
	}
	return words
}

// find gives the people who have an e-mail address, or all words of a name, in order of id: those whose id has a prefix.
// Nothing found is an empty list.
func (n *names) find(ctx context.Context, text, prefix string, limit int) ([]id.ID, error) {
	words := wantedWords(text)
	if words == nil {
		return nil, nil
	}
	var query strings.Builder
	query.WriteString(`SELECT id FROM name_word WHERE shop_id = $1 AND word = $2 AND substr(id, 1, length($3)) = $3`)
	args := []any{n.s.Shop, words[0], prefix}
	for _, w := range words[1:] {
		args = append(args, w)
		fmt.Fprintf(&query, ` AND id IN (SELECT id FROM name_word WHERE shop_id = $1 AND word = $%d)`, len(args))
	}
	args = append(args, limit)
	fmt.Fprintf(&query, ` ORDER BY id LIMIT $%d`, len(args))
	var out []id.ID
	err := db.Each(ctx, n.r, func(r *sql.Rows) error {
		var key id.ID
		if err := r.Scan(&key); err != nil {
			return err
		}
		out = append(out, key)
		return nil
	}, query.String(), args...)
	if err != nil {
		err = fmt.Errorf("find: names: %w", err)
	}
	return out, err
}
