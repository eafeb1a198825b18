package store

import (
	"context"
	"database/sql"
	"errors"
	"time"

	"perennial/internal/db"
	"perennial/internal/id"
	"perennial/internal/journal"
)

// Posted is a message on its way: what it is about, never what it says.
type Posted struct {
	ID    id.ID
	Cause string // what it tells of, such as an event's id: there is one message for each
	State string // PostQueued, PostSending, or how it ended
	DueAt time.Time
	Body  string // the sender's own notes, JSON without personal values
}

// The states of a message. One that was being sent when its process ended is sent again when it is due, with the same id.
const (
	PostQueued  = "queued"
	PostSending = "sending"
	PostSent    = "sent"
	PostFailed  = "failed"
	PostDropped = "dropped" // there is nobody to write to any more, or the store has switched it off
)

// Followed is the seq of the first entry that was not looked at for messages; ok is false before the first time.
func (s *Store) Followed(ctx context.Context, q db.Querier) (next int64, ok bool, err error) {
	err = q.QueryRowContext(ctx, `SELECT next FROM outbox_followed WHERE shop_id = $1`, s.Shop).Scan(&next)
	if errors.Is(err, sql.ErrNoRows) {
		return 0, false, nil
	}
	return next, err == nil, db.Fault(err)
}

// Follow notes that the entries below next were looked at. It never goes back.
func (b *Batch) Follow(next int64) error {
	_, err := b.ExecContext(b.ctx, `INSERT INTO outbox_followed (shop_id, next) VALUES ($1, $2)
		ON CONFLICT (shop_id) DO UPDATE SET next = excluded.next WHERE outbox_followed.next < excluded.next`, b.s.Shop, next)
	return err
}

// Post puts messages on their way. One whose cause has a message already is left out.
func (b *Batch) Post(list ...Posted) error {
	for _, p := range list {
		if _, err := b.ExecContext(b.ctx, `INSERT INTO outbox (shop_id, id, cause, state, due_at, body) VALUES ($1, $2, $3, $4, $5, $6) ON CONFLICT (shop_id, cause) DO NOTHING`,
			b.s.Shop, p.ID, p.Cause, PostQueued, stamp(p.DueAt), p.Body); err != nil {
			return err
		}
	}
	return nil
}

// Repost notes how far a message came. One that is over has no time at which it is due.
func (b *Batch) Repost(p Posted) error {
	var due any
	if p.State == PostQueued || p.State == PostSending {
		due = stamp(p.DueAt)
	}
	_, err := b.ExecContext(b.ctx, `UPDATE outbox SET state = $1, due_at = $2, body = $3 WHERE shop_id = $4 AND id = $5`, p.State, due, p.Body, b.s.Shop, p.ID)
	return err
}

const (
	postsKept  = 90 * 24 * time.Hour // from when a message was put on its way; what caused it is no news long before
	postsSwept = 2000                // at a time, so that nobody's command waits long behind them
)

// SweepPosts deletes messages that were over long ago: their entries tell of them.
func (b *Batch) SweepPosts() error {
	_, err := b.ExecContext(b.ctx, `DELETE FROM outbox WHERE shop_id = $1 AND id IN (SELECT id FROM outbox WHERE shop_id = $1 AND id < $2 AND due_at IS NULL ORDER BY id LIMIT $3)`,
		b.s.Shop, id.First(id.Message, b.Now.Add(-postsKept)), postsSwept)
	return err
}

// DuePosts gives the messages that are due, the longest due first.
func (s *Store) DuePosts(ctx context.Context, q db.Querier, now time.Time, limit int) (out []Posted, err error) {
	err = db.Each(ctx, q, func(r *sql.Rows) error {
		var p Posted
		var due string
		if err := r.Scan(&p.ID, &p.Cause, &p.State, &due, &p.Body); err != nil {
			return err
		}
		var err error
		p.DueAt, err = time.Parse(journal.TimeLayout, due)
		out = append(out, p)
		return err
	}, `SELECT id, cause, state, due_at, body FROM outbox WHERE shop_id = $1 AND due_at <= $2 ORDER BY due_at, id LIMIT $3`, s.Shop, stamp(now), limit)
	return out, db.Fault(err)
}

// PostsWaiting counts the messages that are on their way.
func (s *Store) PostsWaiting(ctx context.Context, q db.Querier) (waiting int64, err error) {
	err = q.QueryRowContext(ctx, `SELECT count(*) FROM outbox WHERE shop_id = $1 AND due_at IS NOT NULL`, s.Shop).Scan(&waiting)
	return waiting, db.Fault(err)
}
