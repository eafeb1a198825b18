package store

import (
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"database/sql"
	"errors"
	"fmt"
	"strings"
	"time"

	"perennial/internal/db"
	"perennial/internal/id"
	"perennial/internal/journal"
	"perennial/internal/vault"
)

// How long machinery of signing in stays after its end, so that a list can still show it.
const endedFor = 24 * time.Hour

// Session is somebody's sign-in on one device. Its events are in the journal; the row is how a request finds it.
type Session struct {
	ID        id.ID
	Owner     journal.Ref
	CreatedAt time.Time
	SeenAt    time.Time
	ExpiresAt time.Time
	Ended     bool
}

// mac binds a row to the secret that opens it, under a key of the keys folder: whoever can write to the database, but has no
// keys, can neither make a session or a link nor give one to somebody else.
func (s *Store) mac(parts ...string) []byte {
	key := s.Keys.folder.Derive("sign-in " + string(s.Shop))
	return vault.CommitSecret(key[:], []byte(strings.Join(parts, "\x00")))
}

func (s *Store) sessionMAC(session id.ID, secret string, owner journal.Ref, expires string) []byte {
	return s.mac("session", string(session), secret, string(owner.Kind), string(owner.ID), expires)
}

// PutSession stores a session that begins, and what recognises its secret.
func (b *Batch) PutSession(session id.ID, secret string, owner journal.Ref, expires time.Time) error {
	_, err := b.ExecContext(b.ctx, `INSERT INTO session (shop_id, id, mac, owner_kind, owner_id, created_at, seen_at, expires_at)
		VALUES ($1, $2, $3, $4, $5, $6, $6, $7)`, b.s.Shop, session, b.s.sessionMAC(session, secret, owner, stamp(expires)), owner.Kind, owner.ID, stamp(b.Now), stamp(expires))
	return err
}

// TouchSession notes that a session is in use.
func (b *Batch) TouchSession(session id.ID) error {
	_, err := b.ExecContext(b.ctx, `UPDATE session SET seen_at = $1 WHERE shop_id = $2 AND id = $3`, stamp(b.Now), b.s.Shop, session)
	return err
}

// EndSessions ends sessions before their time.
func (b *Batch) EndSessions(sessions ...id.ID) error {
	for _, s := range sessions {
		if _, err := b.ExecContext(b.ctx, `UPDATE session SET ended_at = $1 WHERE shop_id = $2 AND id = $3 AND ended_at IS NULL`, stamp(b.Now), b.s.Shop, s); err != nil {
			return err
		}
	}
	return nil
}

const sessionColumns = `id, owner_kind, owner_id, created_at, seen_at, expires_at, ended_at IS NOT NULL`

func scanSession(scan func(...any) error) (s Session, err error) {
	var created, seen, expires string
	if err := scan(&s.ID, &s.Owner.Kind, &s.Owner.ID, &created, &seen, &expires, &s.Ended); err != nil {
		return s, err
	}
	for _, t := range []struct {
		text string
		into *time.Time
	}{{created, &s.CreatedAt}, {seen, &s.SeenAt}, {expires, &s.ExpiresAt}} {
		if *t.into, err = time.Parse(journal.TimeLayout, t.text); err != nil {
			return s, fmt.Errorf("store: session %s: %w", s.ID, err)
		}
	}
	return s, nil
}

// Session finds a session by its id and secret, also one that is over; ok is false when there is none.
func (s *Store) Session(ctx context.Context, q db.Querier, session id.ID, secret string) (out Session, ok bool, err error) {
	var mac []byte
	row := q.QueryRowContext(ctx, `SELECT `+sessionColumns+`, mac FROM session WHERE shop_id = $1 AND id = $2`, s.Shop, session)
	out, err = scanSession(func(into ...any) error { return row.Scan(append(into, &mac)...) })
	if errors.Is(err, sql.ErrNoRows) {
		return out, false, nil
	}
	return out, err == nil && hmac.Equal(mac, s.sessionMAC(session, secret, out.Owner, stamp(out.ExpiresAt))), db.Fault(err)
}

// Sessions lists somebody's sessions that are neither over nor idle, newest first: seen since idle, and not expired at now.
func (s *Store) Sessions(ctx context.Context, q db.Querier, owner journal.Ref, now, idle time.Time) (out []Session, err error) {
	err = db.Each(ctx, q, func(r *sql.Rows) error {
		one, err := scanSession(r.Scan)
		out = append(out, one)
		return err
	}, `SELECT `+sessionColumns+` FROM session WHERE shop_id = $1 AND owner_kind = $2 AND owner_id = $3 AND ended_at IS NULL AND expires_at > $4 AND seen_at > $5
		ORDER BY id DESC`, s.Shop, owner.Kind, owner.ID, stamp(now), stamp(idle))
	return out, db.Fault(err)
}

// TeamLink is a one-time link of the team.
type TeamLink struct {
	Purpose   string
	Owner     id.ID // whom it is for; empty for setting the shop up
	ExpiresAt time.Time
	Used      bool
}

func (s *Store) linkMAC(link id.ID, secret, purpose string, owner id.ID, expires string) []byte {
	return s.mac("link", string(link), secret, purpose, string(owner), expires)
}

// PutTeamLink stores a link and what recognises its secret, in the place of an earlier link to the same end.
func (b *Batch) PutTeamLink(link id.ID, secret, purpose string, owner id.ID, expires time.Time) error {
	if _, err := b.ExecContext(b.ctx, `DELETE FROM team_link WHERE shop_id = $1 AND owner_id = $2 AND purpose = $3`, b.s.Shop, owner, purpose); err != nil {
		return err
	}
	_, err := b.ExecContext(b.ctx, `INSERT INTO team_link (shop_id, id, mac, purpose, owner_id, expires_at) VALUES ($1, $2, $3, $4, $5, $6)`,
		b.s.Shop, link, b.s.linkMAC(link, secret, purpose, owner, stamp(expires)), purpose, owner, stamp(expires))
	return err
}

// UseTeamLink marks a link as used.
func (b *Batch) UseTeamLink(link id.ID) error {
	_, err := b.ExecContext(b.ctx, `UPDATE team_link SET used_at = $1 WHERE shop_id = $2 AND id = $3 AND used_at IS NULL`, stamp(b.Now), b.s.Shop, link)
	return err
}

// TeamLink finds a link by its id and secret; ok is false when there is none.
func (s *Store) TeamLink(ctx context.Context, q db.Querier, link id.ID, secret string) (l TeamLink, ok bool, err error) {
	var expires string
	var mac []byte
	err = q.QueryRowContext(ctx, `SELECT purpose, owner_id, expires_at, used_at IS NOT NULL, mac FROM team_link WHERE shop_id = $1 AND id = $2`,
		s.Shop, link).Scan(&l.Purpose, &l.Owner, &expires, &l.Used, &mac)
	if errors.Is(err, sql.ErrNoRows) {
		return l, false, nil
	}
	if err == nil {
		l.ExpiresAt, err = time.Parse(journal.TimeLayout, expires)
	}
	return l, err == nil && hmac.Equal(mac, s.linkMAC(link, secret, l.Purpose, l.Owner, expires)), db.Fault(err)
}

// Spend says whether this is the first use of a thing that may be used once, and is worthless after until.
func (b *Batch) Spend(thing string, until time.Time) (first bool, err error) {
	hash := sha256.Sum256([]byte(thing))
	done, err := b.ExecContext(b.ctx, `INSERT INTO spent (shop_id, hash, expires_at) VALUES ($1, $2, $3) ON CONFLICT (shop_id, hash) DO NOTHING`,
		b.s.Shop, hash[:], stamp(until))
	if err != nil {
		return false, err
	}
	n, err := done.RowsAffected()
	return n == 1, err
}

// Spent says whether a thing that may be used once was used.
func (s *Store) Spent(ctx context.Context, q db.Querier, thing string) (yes bool, err error) {
	hash := sha256.Sum256([]byte(thing))
	err = q.QueryRowContext(ctx, `SELECT EXISTS (SELECT 1 FROM spent WHERE shop_id = $1 AND hash = $2)`, s.Shop, hash[:]).Scan(&yes)
	return yes, db.Fault(err)
}

// SweepSignIn deletes sessions and links that have been over for a day, and what is spent and worthless. idle is how long a session lasts unused.
func (b *Batch) SweepSignIn(idle time.Duration) error {
	ended := b.Now.Add(-endedFor)
	if _, err := b.ExecContext(b.ctx, `DELETE FROM session WHERE shop_id = $1 AND (expires_at < $2 OR ended_at < $2 OR seen_at < $3)`,
		b.s.Shop, stamp(ended), stamp(ended.Add(-idle))); err != nil {
		return err
	}
	if _, err := b.ExecContext(b.ctx, `DELETE FROM spent WHERE shop_id = $1 AND expires_at < $2`, b.s.Shop, stamp(b.Now)); err != nil {
		return err
	}
	for _, table := range []string{"team_link", "link"} {
		if _, err := b.ExecContext(b.ctx, `DELETE FROM `+table+` WHERE shop_id = $1 AND (expires_at < $2 OR used_at < $2)`, b.s.Shop, stamp(ended)); err != nil {
			return err
		}
	}
	return nil
}

// Link is a link into the Portal.
type Link struct {
	SignIn    id.ID // the attempt that it begins
	Owner     id.ID // the customer
	ExpiresAt time.Time
}

// Link finds a link into the Portal by the hash of its token; ok is false when there is none.
func (s *Store) Link(ctx context.Context, q db.Querier, tokenHash []byte) (l Link, ok bool, err error) {
	var expires string
	err = q.QueryRowContext(ctx, `SELECT sign_in_id, owner_id, expires_at FROM link WHERE shop_id = $1 AND token_hash = $2`, s.Shop, tokenHash).Scan(&l.SignIn, &l.Owner, &expires)
	if errors.Is(err, sql.ErrNoRows) {
		return l, false, nil
	}
	if err != nil {
		return l, false, db.Fault(err)
	}
	l.ExpiresAt, err = time.Parse(journal.TimeLayout, expires)
	return l, err == nil, err
}
