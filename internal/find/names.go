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
	"perennial/internal/store"
)

// names leads from a name, an e-mail address or an id to things. Its table stands beside the index, follows the journal
// from its own position, and loses an erased person's rows as soon as it follows past the erasure.
type names struct {
	s *store.Store
	w *sql.DB
	r *sql.DB
}

func openNames(ctx context.Context, x *postings.Index, s *store.Store) (*names, error) {
	w, r := x.DB()
	for _, text := range []string{
		`CREATE TABLE IF NOT EXISTS name_word (shop_id TEXT NOT NULL, word TEXT NOT NULL, id TEXT NOT NULL, PRIMARY KEY (shop_id, word, id)) STRICT, WITHOUT ROWID`,
		`CREATE INDEX IF NOT EXISTS name_word_id ON name_word (shop_id, id)`,
		`CREATE TABLE IF NOT EXISTS name_position (shop_id TEXT NOT NULL, seq INTEGER NOT NULL, PRIMARY KEY (shop_id)) STRICT`,
	} {
		if _, err := w.ExecContext(ctx, text); err != nil {
			return nil, err
		}
	}
	return &names{s: s, w: w, r: r}, nil
}

func (n *names) drop(ctx context.Context) error {
	for _, text := range []string{`DELETE FROM name_word WHERE shop_id = $1`, `DELETE FROM name_position WHERE shop_id = $1`} {
		if _, err := n.w.ExecContext(ctx, text, n.s.Shop); err != nil {
			return err
		}
	}
	return nil
}

// named are the kinds whose rows can be found by name.
var named = []journal.Kind{journal.Customer}

// catchUp brings the table up to the head: each customer that an event since the last position changed gets the words of
// the row as it is now.
func (n *names) catchUp(ctx context.Context, head int64) error {
	position := int64(-1)
	err := n.r.QueryRowContext(ctx, `SELECT seq FROM name_position WHERE shop_id = $1`, n.s.Shop).Scan(&position)
	if err != nil && !errors.Is(err, sql.ErrNoRows) {
		return fmt.Errorf("find: names: %w", err)
	}
	if position >= head {
		return nil
	}
	var changed []journal.Ref
	err = db.Each(ctx, n.s.DB.Reader, func(r *sql.Rows) error {
		var ref journal.Ref
		if err := r.Scan(&ref.Kind, &ref.ID); err != nil {
			return err
		}
		if slices.Contains(named, ref.Kind) && !slices.Contains(changed, ref) {
			changed = append(changed, ref)
		}
		return nil
	}, `SELECT target_kind, target_id FROM event WHERE shop_id = $1 AND seq > $2 AND seq <= $3 AND target_kind = 'customer'`, n.s.Shop, position, head)
	if err != nil {
		return fmt.Errorf("find: names: %w", err)
	}
	if len(changed) == 0 && head-position < 1000 {
		return nil
	}
	tx, err := n.w.BeginTx(ctx, nil)
	if err != nil {
		return fmt.Errorf("find: names: %w", err)
	}
	defer tx.Rollback()
	for _, ref := range changed {
		if _, err := tx.ExecContext(ctx, `DELETE FROM name_word WHERE shop_id = $1 AND id = $2`, n.s.Shop, ref.ID); err != nil {
			return err
		}
		row, err := n.s.Load(ctx, n.s.DB.Reader, ref)
		if err != nil {
			return err
		}
		c, ok := row.State.(*customer.Customer)
		if !ok {
			continue
		}
		for _, w := range nameWords(c) {
			if _, err := tx.ExecContext(ctx, `INSERT INTO name_word (shop_id, word, id) VALUES ($1, $2, $3)`, n.s.Shop, w, ref.ID); err != nil {
				return err
			}
		}
	}
	if _, err := tx.ExecContext(ctx, `INSERT INTO name_position (shop_id, seq) VALUES ($1, $2) ON CONFLICT (shop_id) DO UPDATE SET seq = excluded.seq`, n.s.Shop, head); err != nil {
		return err
	}
	return tx.Commit()
}

func nameWords(c *customer.Customer) []string {
	var out []string
	add := func(p journal.Personal[string]) {
		if !p.Erased && p.Value != "" {
			out = append(out, Words(p.Value)...)
		}
	}
	add(c.FirstName)
	add(c.LastName)
	if !c.Email.Erased && c.Email.Value != "" {
		out = append(out, strings.ToLower(c.Email.Value))
	}
	slices.Sort(out)
	return slices.Compact(out)
}

// find resolves what somebody typed: an id of this shop is itself, an e-mail its owner, names the people who have all of
// the words. Nothing found is an empty list.
func (n *names) find(ctx context.Context, q string, limit int) ([]id.ID, error) {
	q = strings.TrimSpace(q)
	if id.Valid(q) {
		return []id.ID{id.ID(q)}, nil
	}
	var words []string
	if strings.Contains(q, "@") && !strings.Contains(q, " ") {
		words = []string{strings.ToLower(q)}
	} else {
		words = Words(q)
	}
	if len(words) == 0 || len(words) > 8 {
		return nil, nil
	}
	text := `SELECT id FROM name_word WHERE shop_id = $1 AND word = $2`
	args := []any{n.s.Shop, words[0]}
	for i, w := range words[1:] {
		text += fmt.Sprintf(` AND id IN (SELECT id FROM name_word WHERE shop_id = $1 AND word = $%d)`, i+3)
		args = append(args, w)
	}
	var out []id.ID
	err := db.Each(ctx, n.r, func(r *sql.Rows) error {
		var key id.ID
		if err := r.Scan(&key); err != nil {
			return err
		}
		out = append(out, key)
		return nil
	}, text+fmt.Sprintf(` ORDER BY id LIMIT %d`, limit), args...)
	return out, err
}

// People resolves a search for people, for lists of customers and subscriptions.
func (f *Finder) People(ctx context.Context, q string, limit int) ([]id.ID, error) {
	if err := f.CatchUp(ctx); err != nil {
		return nil, err
	}
	return f.names.find(ctx, q, limit)
}
