package store

import (
	"context"
	"crypto/sha256"
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
	// Before says that a build which did not authenticate its messages may have told of the cause: its word that it did is taken then.
	Before bool
	Bare   bool // of a row that is not genuine: it has no mac, as the builds before wrote it
}

// The states of a message. One that was being sent when its process ended is sent again when it is due, with the same id.
const (
	PostQueued  = "queued"
	PostSending = "sending"
	PostSent    = "sent"
	PostFailed  = "failed"
	PostDropped = "dropped" // there is nobody to write to any more, or the store has switched it off
)

// PostID gives the id of the message that tells of a cause, which is as old as at: always the same one, so that the journal knows whether
// it was sent, whatever became of its row.
func (s *Store) PostID(cause string, at time.Time) id.ID {
	hash := sha256.Sum256([]byte(string(s.Shop) + "\x00message\x00" + cause))
	return id.Of(id.Message, at, hash)
}

// Following is how far the entries were looked at for messages.
type Following struct {
	Next    int64     // the seq of the first entry that was not
	Since   int64     // entries below were looked at by no build that authenticates its messages, or are not told at all
	SinceAt time.Time // when the following began
}

// How the following stands in the database.
const (
	FollowingNew     = "new"     // nothing was ever looked at, and nothing ever sent
	FollowingBefore  = "before"  // by a build that did not authenticate it
	FollowingGenuine = "genuine" // as it was written
	FollowingForged  = "forged"  // changed by hand, or taken away
)

// Followed gives how far entries were looked at; only of a genuine one it is known.
func (s *Store) Followed(ctx context.Context, q db.Querier) (f Following, how string, err error) {
	var at string
	var mac []byte
	err = q.QueryRowContext(ctx, `SELECT next, since, since_at, mac FROM outbox_followed WHERE shop_id = $1`, s.Shop).Scan(&f.Next,
		&f.Since, &at, &mac)
	if errors.Is(err, sql.ErrNoRows) {
		var sent bool
		err = q.QueryRowContext(ctx, `SELECT EXISTS (SELECT 1 FROM target_head WHERE shop_id = $1 AND kind = $2)`, s.Shop,
			journal.Message).Scan(
			&sent,
		)
		if sent {
			return Following{}, FollowingForged, db.Fault(err)
		}
		return Following{}, FollowingNew, db.Fault(err)
	}
	if err != nil {
		return Following{}, "", db.Fault(err)
	}
	switch {
	case s.genuine("outbox_followed", mac, f.Next, f.Since, at):
		f.SinceAt, err = time.Parse(journal.TimeLayout, at)
		return f, FollowingGenuine, err
	case mac == nil && at == "":
		return Following{}, FollowingBefore, nil
	}
	return Following{}, FollowingForged, nil
}

// Follow notes how far entries were looked at. It never goes back, unless what is there is not genuine.
func (b *Batch) Follow(f Following) error {
	was, how, err := b.s.Followed(b.ctx, b)
	if err != nil || how == FollowingGenuine && was.Next >= f.Next {
		return err
	}
	at := stamp(f.SinceAt)
	_, err = b.ExecContext(b.ctx, `INSERT INTO outbox_followed (shop_id, next, since, since_at, mac) VALUES ($1, $2, $3, $4, $5)
		ON CONFLICT (shop_id) DO UPDATE SET next = excluded.next, since = excluded.since, since_at = excluded.since_at, mac = excluded.mac`,
		b.s.Shop, f.Next, f.Since, at, b.s.authentic("outbox_followed", f.Next, f.Since, at))
	return err
}

const postColumns = `id, cause, state, due_at, body, mac`

type postRow struct {
	Posted
	due sql.NullString
	mac []byte
}

func scanPost(scan func(...any) error) (r postRow, err error) {
	if err := scan(&r.ID, &r.Cause, &r.State, &r.due, &r.Body, &r.mac); err != nil {
		return r, err
	}
	return r, nil
}

func (r *postRow) columns() []any {
	return []any{string(r.ID), r.Cause, r.State, null(r.due), r.Body}
}

// read says whether a row is genuine, and reads its time.
func (r *postRow) read(s *Store) (genuine bool, err error) {
	if !s.genuine("outbox", r.mac, r.columns()...) {
		return false, nil
	}
	if r.due.Valid {
		r.DueAt, err = time.Parse(journal.TimeLayout, r.due.String)
	}
	return true, err
}

// asPosted is a message as it is stored.
func asPosted(p Posted) postRow {
	r := postRow{Posted: p}
	if p.State == PostQueued || p.State == PostSending { // one that is over has no time at which it is due
		r.due = sql.NullString{String: stamp(p.DueAt), Valid: true}
	}
	return r
}

// Post puts messages on their way. One whose cause has a message already is left out; a row in its place that is not genuine gives way.
func (b *Batch) Post(list ...Posted) error {
	for _, p := range list {
		p.State = PostQueued
		done, err := b.post(p)
		if err != nil {
			return err
		}
		if done {
			continue
		}
		kept, err := b.s.posts(b.ctx, b, `(id = $2 OR cause = $3)`, p.ID, p.Cause)
		if err != nil {
			return err
		}
		if there, err := b.s.stands(kept, p); err != nil || there {
			if err != nil {
				return err
			}
			continue
		}
		if _, err := b.ExecContext(b.ctx, `DELETE FROM outbox WHERE shop_id = $1 AND (id = $2 OR cause = $3)`, b.s.Shop, p.ID,
			p.Cause); err != nil {
			return err
		}
		if _, err := b.post(p); err != nil {
			return err
		}
	}
	return nil
}

func (b *Batch) post(p Posted) (done bool, err error) {
	r := asPosted(p)
	res, err := b.ExecContext(b.ctx, `INSERT INTO outbox (shop_id, `+postColumns+`) VALUES (`+db.Placeholders(1, 7)+`) ON CONFLICT DO NOTHING`,
		append(append([]any{b.s.Shop}, r.columns()...), b.s.authentic("outbox", r.columns()...))...)
	if err != nil {
		return false, err
	}
	n, err := res.RowsAffected()
	return n > 0, err
}

// stands says whether one of the rows tells of a message's cause: a genuine one, or one by which the build before said that it was over.
func (s *Store) stands(rows []postRow, p Posted) (bool, error) {
	for _, r := range rows {
		genuine, err := r.read(s)
		if err != nil {
			return false, err
		}
		if r.Cause == p.Cause && (genuine || p.Before && r.mac == nil && !r.due.Valid) {
			return true, nil
		}
	}
	return false, nil
}

func (s *Store) posts(ctx context.Context, q db.Querier, where string, args ...any) (out []postRow, err error) {
	err = db.Each(ctx, q, func(r *sql.Rows) error {
		p, err := scanPost(r.Scan)
		out = append(out, p)
		return err
	}, `SELECT `+postColumns+` FROM outbox WHERE shop_id = $1 AND `+where, append([]any{s.Shop}, args...)...)
	return out, db.Fault(err)
}

// Missing gives those of the messages that have neither a row nor an entry that they were sent or given up.
func (s *Store) Missing(ctx context.Context, q db.Querier, list []Posted) (out []Posted, err error) {
	for _, p := range list {
		rows, err := s.posts(ctx, q, `cause = $2`, p.Cause)
		if err != nil {
			return nil, err
		}
		there, err := s.stands(rows, p)
		if err == nil && !there {
			there, err = s.WasSent(ctx, q, p.ID)
		}
		if err != nil {
			return nil, err
		}
		if !there {
			out = append(out, p)
		}
	}
	return out, nil
}

// WasSent says whether an entry tells that a message was sent, or given up.
func (s *Store) WasSent(ctx context.Context, q db.Querier, message id.ID) (bool, error) {
	row, err := s.load(ctx, q, journal.Ref{Kind: journal.Message, ID: message})
	if err != nil || row.Version == 0 {
		return false, db.Fault(err)
	}
	for e, err := range s.Chain(ctx, q, Closed, row.LastSeq) {
		if err != nil {
			return false, db.Fault(err)
		}
		if e.Type == journal.NotificationSent || e.Type == journal.NotificationFailed {
			return true, nil
		}
	}
	return false, nil
}

// Repost notes how far a message came.
func (b *Batch) Repost(p Posted) error {
	r := asPosted(p)
	_, err := b.ExecContext(b.ctx, `UPDATE outbox SET cause = $1, state = $2, due_at = $3, body = $4, mac = $5 WHERE shop_id = $6 AND id = $7`,
		p.Cause, p.State, null(r.due), p.Body, b.s.authentic("outbox", r.columns()...), b.s.Shop, p.ID)
	return err
}

// Unpost takes rows away that are not genuine.
func (b *Batch) Unpost(list ...Posted) error {
	for _, p := range list {
		if _, err := b.ExecContext(b.ctx, `DELETE FROM outbox WHERE shop_id = $1 AND id = $2`, b.s.Shop, p.ID); err != nil {
			return err
		}
	}
	return nil
}

const (
	postsKept  = 90 * 24 * time.Hour // from when a message was put on its way; what caused it is no news long before
	postsSwept = 2000                // at a time, so that nobody's command waits long behind them
)

// SweepPosts deletes messages that were over long ago: their entries tell of them.
func (b *Batch) SweepPosts() error {
	_, err := b.ExecContext(b.ctx,
		`DELETE FROM outbox WHERE shop_id = $1 AND id IN (SELECT id FROM outbox WHERE shop_id = $1 AND id < $2 AND due_at IS NULL ORDER BY id LIMIT $3)`,
		b.s.Shop, id.First(id.Message, b.Now.Add(-postsKept)), postsSwept)
	return err
}

// DuePosts gives the messages that are due, the longest due first, and those rows that say so and are not genuine.
func (s *Store) DuePosts(ctx context.Context, q db.Querier, now time.Time, limit int) (out, forged []Posted, err error) {
	rows, err := s.posts(ctx, q, `due_at <= $2 ORDER BY due_at, id LIMIT $3`, stamp(now), limit)
	return s.sorted(rows, err)
}

// WaitingPosts gives messages that are on their way, after one, in order of their ids.
func (s *Store) WaitingPosts(ctx context.Context, q db.Querier, after id.ID, limit int) (out, forged []Posted, err error) {
	rows, err := s.posts(ctx, q, `due_at IS NOT NULL AND id > $2 ORDER BY id LIMIT $3`, after, limit)
	return s.sorted(rows, err)
}

func (s *Store) sorted(rows []postRow, err error) (out, forged []Posted, _ error) {
	for _, r := range rows {
		genuine, rerr := r.read(s)
		if rerr != nil {
			return nil, nil, rerr
		}
		if genuine {
			out = append(out, r.Posted)
		} else {
			r.Bare = len(r.mac) == 0
			forged = append(forged, r.Posted)
		}
	}
	return out, forged, err
}

// PostsWaiting counts the messages that are on their way.
func (s *Store) PostsWaiting(ctx context.Context, q db.Querier) (waiting int64, err error) {
	err = q.QueryRowContext(ctx, `SELECT count(*) FROM outbox WHERE shop_id = $1 AND due_at IS NOT NULL`, s.Shop).Scan(&waiting)
	return waiting, db.Fault(err)
}
