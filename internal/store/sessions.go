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
)

// How long machinery of signing in stays after its end, so that a list can still show it.
const endedFor = 24 * time.Hour

// Session is somebody's sign-in on one device. Its events are in the journal; the row is how a request finds it, and what a request may do
// by it is in the row alone, under its mac.
type Session struct {
	ID     id.ID
	Owner  journal.Ref
	Viewer id.ID  // the team member who looks on as the owner; empty for the owner themselves
	Cause  id.ID  // the entry of the link that let them in, when somebody made one; may be empty
	Basis  string // see Basis; the caller holds it against what it should be now

	CreatedAt, SeenAt, ExpiresAt time.Time
	Ended                        bool
}

// sessionRow is a row as it is stored.
type sessionRow struct {
	Session
	opens, mac             []byte
	created, seen, expires string
	ended                  sql.NullString
}

const sessionColumns = `id, opens, owner_kind, owner_id, viewer, cause, basis, created_at, seen_at, expires_at, ended_at, mac`

func scanSession(scan func(...any) error) (r sessionRow, err error) {
	if err := scan(&r.ID, &r.opens, &r.Owner.Kind, &r.Owner.ID, &r.Viewer, &r.Cause, &r.Basis, &r.created, &r.seen, &r.expires,
		&r.ended, &r.mac); err != nil {
		return r, err
	}
	r.Ended = r.ended.Valid
	return r, nil
}

func (r *sessionRow) columns() []any {
	return []any{
		string(r.ID),
		r.opens,
		string(r.Owner.Kind),
		string(r.Owner.ID),
		string(r.Viewer),
		string(r.Cause),
		r.Basis,
		r.created,
		r.seen,
		r.expires,
		null(r.ended),
	}
}

func null(s sql.NullString) any {
	if !s.Valid {
		return nil
	}
	return s.String
}

// read says whether a row is genuine, and reads its times.
func (r *sessionRow) read(s *Store) (genuine bool, err error) {
	if !s.genuine("session", r.mac, r.columns()...) {
		return false, nil
	}
	for _, t := range []struct {
		text string
		into *time.Time
	}{{r.created, &r.CreatedAt}, {r.seen, &r.SeenAt}, {r.expires, &r.ExpiresAt}} {
		if *t.into, err = time.Parse(journal.TimeLayout, t.text); err != nil {
			return false, fmt.Errorf("store: session %s: %w", r.ID, err)
		}
	}
	return true, nil
}

// PutSession stores a session that begins, and what recognises its secret. ID, Owner, Viewer, Cause, Basis and ExpiresAt are the caller's.
func (b *Batch) PutSession(n Session, secret string) error {
	now := stamp(b.Now)
	r := sessionRow{Session: n, opens: b.s.opens("session", string(n.ID), secret), created: now, seen: now, expires: stamp(n.ExpiresAt)}
	_, err := b.ExecContext(b.ctx, `INSERT INTO session (shop_id, `+sessionColumns+`) VALUES (`+db.Placeholders(1, 13)+`)`,
		append(append([]any{b.s.Shop}, r.columns()...), b.s.authentic("session", r.columns()...))...)
	return err
}

// amend changes a session. One that is not genuine, or gone, stays as it is.
func (b *Batch) amend(session id.ID, change func(r *sessionRow)) error {
	r, err := scanSession(
		b.QueryRowContext(b.ctx, `SELECT `+sessionColumns+` FROM session WHERE shop_id = $1 AND id = $2`, b.s.Shop, session).Scan)
	if errors.Is(err, sql.ErrNoRows) {
		return nil
	}
	if err != nil {
		return err
	}
	if genuine, err := r.read(b.s); err != nil || !genuine {
		return err
	}
	change(&r)
	_, err = b.ExecContext(b.ctx, `UPDATE session SET basis = $1, seen_at = $2, ended_at = $3, mac = $4 WHERE shop_id = $5 AND id = $6`,
		r.Basis, r.seen, null(r.ended), b.s.authentic("session", r.columns()...), b.s.Shop, session)
	return err
}

// TouchSession notes that a session is in use.
func (b *Batch) TouchSession(session id.ID) error {
	return b.amend(session, func(r *sessionRow) { r.seen = stamp(b.Now) })
}

// RebaseSession lets a session go on when what it stands on changes.
func (b *Batch) RebaseSession(session id.ID, basis string) error {
	return b.amend(session, func(r *sessionRow) { r.Basis = basis })
}

// EndSessions ends sessions before their time. Their entries (logged_out) belong to the same command.
func (b *Batch) EndSessions(sessions ...id.ID) error {
	for _, session := range sessions {
		err := b.amend(session, func(r *sessionRow) {
			if !r.ended.Valid {
				r.ended = sql.NullString{String: stamp(b.Now), Valid: true}
			}
		})
		if err != nil {
			return err
		}
	}
	return nil
}

// Session finds a session by its id and secret, also one that is over; ok is false when there is none. A session whose beginning is not in
// the journal is none, and one whose end is there is over, whatever its row says.
func (s *Store) Session(ctx context.Context, q db.Querier, session id.ID, secret string) (out Session, ok bool, err error) {
	r, err := scanSession(
		q.QueryRowContext(ctx, `SELECT `+sessionColumns+` FROM session WHERE shop_id = $1 AND id = $2`, s.Shop, session).Scan)
	if errors.Is(err, sql.ErrNoRows) {
		return out, false, nil
	}
	if err != nil {
		return out, false, db.Fault(err)
	}
	if !hmac.Equal(r.opens, s.opens("session", string(session), secret)) {
		return out, false, nil
	}
	if ok, err = r.read(s); err != nil || !ok {
		return out, false, err
	}
	began, over, err := s.told(ctx, q, session)
	r.Ended = r.Ended || over
	return r.Session, err == nil && began, err
}

// told asks the journal about a session: whether it began, and whether it ended before its time. What is known of the entries up to one is
// remembered, so that a session with many is not read again for each request.
func (s *Store) told(ctx context.Context, q db.Querier, session id.ID) (began, over bool, err error) {
	row, err := s.load(ctx, q, journal.Ref{Kind: journal.Session, ID: session})
	if err != nil || row.Version == 0 {
		return false, false, db.Fault(err)
	}
	s.runningMu.Lock()
	known, seen := s.running[session]
	s.runningMu.Unlock()
	if !seen {
		known = -1
	}
	if row.LastSeq > known {
		for e, err := range s.Chain(ctx, q, Closed, row.LastSeq) {
			if err != nil {
				return false, false, db.Fault(err)
			}
			if e.Seq <= known {
				break
			}
			if strings.HasSuffix(string(e.Type), ".logged_out") {
				return true, true, nil
			}
		}
	}
	s.runningMu.Lock()
	defer s.runningMu.Unlock()
	if len(s.running) >= maxRunning || s.running == nil {
		s.running = map[id.ID]int64{}
	}
	s.running[session] = row.LastSeq
	return true, false, nil
}

// maxRunning is how many sessions are remembered. When there are more, all of them are forgotten, and looked up once more.
const maxRunning = 4096

// Sessions lists somebody's sessions that are neither over nor idle, newest first: seen since idle, and not expired at now.
func (s *Store) Sessions(ctx context.Context, q db.Querier, owner journal.Ref, now, idle time.Time) (out []Session, err error) {
	var rows []sessionRow
	err = db.Each(ctx, q, func(r *sql.Rows) error {
		one, err := scanSession(r.Scan)
		rows = append(rows, one)
		return err
	}, `SELECT `+sessionColumns+` FROM session WHERE shop_id = $1 AND owner_kind = $2 AND owner_id = $3 AND ended_at IS NULL AND expires_at > $4 AND seen_at > $5
		ORDER BY id DESC`, s.Shop, owner.Kind, owner.ID, stamp(now), stamp(idle))
	if err != nil {
		return nil, db.Fault(err)
	}
	for _, r := range rows {
		genuine, err := r.read(s)
		if err != nil {
			return nil, err
		}
		if !genuine {
			continue
		}
		began, over, err := s.told(ctx, q, r.ID)
		if err != nil {
			return nil, err
		}
		if began && !over {
			out = append(out, r.Session)
		}
	}
	return out, nil
}

// Link lets somebody in once: its secret is in a message, in an address that somebody hands on, or a code.
type Link struct {
	ID        id.ID
	Purpose   string      // no link serves another
	Owner     journal.Ref // whom it is for; the zero Ref for setting the shop up
	Basis     string
	ExpiresAt time.Time
	Used      bool
}

const linkColumns = `id, opens, purpose, owner_kind, owner_id, basis, expires_at, used_at, mac`

type linkRow struct {
	Link
	opens, mac []byte
	expires    string
	used       sql.NullString
}

func (r *linkRow) columns() []any {
	return []any{string(r.ID), r.opens, r.Purpose, string(r.Owner.Kind), string(r.Owner.ID), r.Basis, r.expires, null(r.used)}
}

// PutLink stores a link and what recognises its secret, in the place of earlier links to the same end. A customer may have several links of
// the team, each of which is handed to somebody.
func (b *Batch) PutLink(l Link, secret string) error {
	if l.Purpose != PortalLink {
		if _, err := b.ExecContext(b.ctx, `DELETE FROM link WHERE shop_id = $1 AND owner_kind = $2 AND owner_id = $3 AND purpose = $4`,
			b.s.Shop, l.Owner.Kind, l.Owner.ID, l.Purpose); err != nil {
			return err
		}
	}
	r := linkRow{Link: l, opens: b.s.opens("link", string(l.ID), secret), expires: stamp(l.ExpiresAt)}
	_, err := b.ExecContext(b.ctx, `INSERT INTO link (shop_id, `+linkColumns+`) VALUES (`+db.Placeholders(1, 10)+`)`,
		append(append([]any{b.s.Shop}, r.columns()...), b.s.authentic("link", r.columns()...))...)
	return err
}

// PortalLink is the purpose of a link that lets a customer into the Portal.
const PortalLink = "portal_link"

// UseLink marks a link as used. What the use did keeps it from being used again, too: a session that has the link's id, a member who is
// in the team, another password.
func (b *Batch) UseLink(link id.ID) error {
	r, err := b.s.findLink(b.ctx, b, link)
	if err != nil || r == nil || r.Used {
		return err
	}
	r.used = sql.NullString{String: stamp(b.Now), Valid: true}
	_, err = b.ExecContext(b.ctx, `UPDATE link SET used_at = $1, mac = $2 WHERE shop_id = $3 AND id = $4`, r.used.String,
		b.s.authentic("link", r.columns()...), b.s.Shop, link)
	return err
}

// findLink finds a link that is genuine; nil when there is none.
func (s *Store) findLink(ctx context.Context, q db.Querier, link id.ID) (*linkRow, error) {
	var r linkRow
	err := q.QueryRowContext(ctx, `SELECT `+linkColumns+` FROM link WHERE shop_id = $1 AND id = $2`, s.Shop, link).
		Scan(&r.ID, &r.opens, &r.Purpose, &r.Owner.Kind, &r.Owner.ID, &r.Basis, &r.expires, &r.used, &r.mac)
	if errors.Is(err, sql.ErrNoRows) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	if !s.genuine("link", r.mac, r.columns()...) {
		return nil, nil
	}
	r.Used = r.used.Valid
	r.ExpiresAt, err = time.Parse(journal.TimeLayout, r.expires)
	return &r, err
}

// Link finds a link by its id and secret, also one that is over; ok is false when there is none.
func (s *Store) Link(ctx context.Context, q db.Querier, link id.ID, secret string) (l Link, ok bool, err error) {
	if strings.IndexByte(string(link), 0) >= 0 { // PostgreSQL refuses to look for it
		return l, false, nil
	}
	r, err := s.findLink(ctx, q, link)
	if err != nil || r == nil || !hmac.Equal(r.opens, s.opens("link", string(link), secret)) {
		return l, false, db.Fault(err)
	}
	return r.Link, true, nil
}

// Spend says whether this is the first use of a thing that may be used once, and is worthless after until.
func (b *Batch) Spend(thing string, until time.Time) (first bool, err error) {
	hash := sha256.Sum256([]byte(thing))
	done, err := b.ExecContext(b.ctx,
		`INSERT INTO spent (shop_id, hash, expires_at) VALUES ($1, $2, $3) ON CONFLICT (shop_id, hash) DO NOTHING`, b.s.Shop, hash[:],
		stamp(until))
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

// SweepSignIn deletes sessions and links that have been over for a day, and what is spent and worthless. idle is how long a session
// lasts unused.
func (b *Batch) SweepSignIn(idle time.Duration) error {
	ended := b.Now.Add(-endedFor)
	if _, err := b.ExecContext(b.ctx, `DELETE FROM session WHERE shop_id = $1 AND (expires_at < $2 OR ended_at < $2 OR seen_at < $3)`,
		b.s.Shop, stamp(ended), stamp(ended.Add(-idle))); err != nil {
		return err
	}
	if _, err := b.ExecContext(b.ctx, `DELETE FROM spent WHERE shop_id = $1 AND expires_at < $2`, b.s.Shop, stamp(b.Now)); err != nil {
		return err
	}
	_, err := b.ExecContext(b.ctx, `DELETE FROM link WHERE shop_id = $1 AND (expires_at < $2 OR used_at < $2)`, b.s.Shop, stamp(ended))
	return err
}
