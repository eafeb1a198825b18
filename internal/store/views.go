package store

import (
	"context"
	"database/sql"

	"perennial/internal/db"
	"perennial/internal/id"
)

// SavedView is how somebody of the team likes to see a list. It is a preference and holds no data of customers: the page that saves
// one leaves words that were searched for out.
type SavedView struct{ Name, Query string }

// SavedViews lists somebody's views of a page, by name.
func (s *Store) SavedViews(ctx context.Context, q db.Querier, owner id.ID, page string) (out []SavedView, err error) {
	err = db.Each(ctx, q, func(r *sql.Rows) error {
		var v SavedView
		err := r.Scan(&v.Name, &v.Query)
		out = append(out, v)
		return err
	}, `SELECT name, query FROM saved_view WHERE shop_id = $1 AND owner_id = $2 AND page = $3 ORDER BY name`, s.Shop, owner, page)
	return out, db.Fault(err)
}

// PutSavedView keeps a view, in the place of one with the same name.
func (b *Batch) PutSavedView(owner id.ID, page string, v SavedView) error {
	_, err := b.ExecContext(b.ctx, `INSERT INTO saved_view (shop_id, owner_id, page, name, query, created_at) VALUES ($1, $2, $3, $4, $5, $6)
		ON CONFLICT (shop_id, owner_id, page, name) DO UPDATE SET query = excluded.query`, b.s.Shop, owner, page, v.Name, v.Query, stamp(b.Now))
	return err
}

// DropSavedView forgets a view.
func (b *Batch) DropSavedView(owner id.ID, page, name string) error {
	_, err := b.ExecContext(b.ctx, `DELETE FROM saved_view WHERE shop_id = $1 AND owner_id = $2 AND page = $3 AND name = $4`,
		b.s.Shop, owner, page, name)
	return err
}

// DropSavedViews forgets all views of somebody who leaves.
func (b *Batch) DropSavedViews(owner id.ID) error {
	_, err := b.ExecContext(b.ctx, `DELETE FROM saved_view WHERE shop_id = $1 AND owner_id = $2`, b.s.Shop, owner)
	return err
}
