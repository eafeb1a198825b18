package store

import (
	"context"
	"crypto/rand"
	"database/sql"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"perennial/internal/db"
	"perennial/internal/fault"
	"perennial/internal/id"
	"perennial/internal/journal"
	"perennial/internal/seal"
	"perennial/internal/vault"
)

// Head is the end of a shop's journal: the last seq (-1 when it is empty), its time, and the right edge of the tree.
type Head struct {
	Seq        int64
	RecordedAt time.Time
	Edge       seal.Edge
	// MovedTo is the database that the shop was moved to; this one takes no more entries then. Empty: it was not.
	MovedTo string
}

// Writer is the one connection that writes. It belongs to the goroutine that made it.
type Writer struct {
	s    *Store
	conn *sql.Conn
	p    *db.Prepared

	planned  int      // batches since PostgreSQL planned the statements
	unlisted []string // destroyed keys that the keys folder has still to hear of
	unwiped  bool     // the write-ahead log may still have what an erasure overwrote
}

// Writer takes the writing connection.
func (s *Store) Writer(ctx context.Context) (*Writer, error) {
	c, err := s.DB.Writer.Conn(ctx)
	if err != nil {
		return nil, db.Fault(err)
	}
	// What a process that died had no time to wipe is wiped by the next one.
	return &Writer{s: s, conn: c, p: db.NewPreparedConn(c), unwiped: s.DB.Engine == db.SQLite}, nil
}

// Close gives the connection back.
func (w *Writer) Close() error { return errors.Join(w.p.Close(), w.conn.Close()) }

// Reopen takes another connection in place of one that was lost.
func (w *Writer) Reopen(ctx context.Context) error {
	_ = w.Close() // it is lost
	fresh, err := w.s.Writer(ctx)
	if err != nil {
		return err
	}
	w.conn, w.p = fresh.conn, fresh.p
	return nil
}

// Flush moves the write-ahead log into the file and empties it, so that what was overwritten is gone from both.
func (w *Writer) Flush(ctx context.Context) error {
	if w.s.DB.Engine != db.SQLite {
		return nil
	}
	var busy, log, moved int
	return db.Fault(w.conn.QueryRowContext(ctx, `PRAGMA wal_checkpoint(TRUNCATE)`).Scan(&busy, &log, &moved))
}

// MoveLog moves the rest of the write-ahead log into the file, while nothing is added to it.
func (w *Writer) MoveLog(ctx context.Context) error {
	_, err := db.MoveLog(ctx, w.conn)
	return err
}

// FinishErasures does what is left of erasures that were committed: the keys folder remembers the keys, so that a restored old database
// cannot bring them back, and the write-ahead log, which still has what was overwritten in the file, is emptied. A reader who
// began before is in the way of that. When one stays longer than patience, as verify does, nothing is lost: it has to be
// called again, as after any error.
func (w *Writer) FinishErasures(ctx context.Context, patience time.Duration) (err error) {
	if len(w.unlisted) > 0 {
		if err := w.s.Keys.folder.Erase(w.unlisted...); err != nil {
			return err
		}
		w.unlisted = nil
	}
	if !w.unwiped {
		return nil
	}
	var usual int64 // milliseconds
	if err := w.conn.QueryRowContext(ctx, `PRAGMA busy_timeout`).Scan(&usual); err != nil {
		return db.Fault(err)
	}
	wait := func(ms int64) error {
		_, err := w.conn.ExecContext(ctx, fmt.Sprintf(`PRAGMA busy_timeout = %d`, ms))
		return db.Fault(err)
	}
	if err := wait(patience.Milliseconds()); err != nil {
		return err
	}
	defer func() { err = errors.Join(err, wait(usual)) }()
	var busy, log, moved int
	if err := w.conn.QueryRowContext(ctx, `PRAGMA wal_checkpoint(TRUNCATE)`).Scan(&busy, &log, &moved); err != nil {
		return db.Fault(err)
	}
	w.unwiped = busy != 0
	return nil
}

// Durable gives full durability back after a relaxed opening.
func (w *Writer) Durable(ctx context.Context) error {
	text := `PRAGMA synchronous = FULL`
	if w.s.DB.Engine == db.Postgres {
		text = `SET synchronous_commit = on`
	}
	if _, err := w.conn.ExecContext(ctx, text); err != nil {
		return db.Fault(err)
	}
	return w.Flush(ctx)
}

// Batch is one transaction of the writer.
type Batch struct {
	*db.Prepared
	Head Head // as it was when the batch began
	Now  time.Time

	ctx     context.Context
	w       *Writer
	s       *Store
	made    map[string]vault.Key // keys made by this batch
	keys    map[string]vault.Key // keys used by this batch, made ones too
	destroy []string             // keys destroyed by this batch
	answers map[string]*keptAnswer
	waiting []db.Statement // for PostgreSQL, to be sent together
	failed  error          // of those that were sent
	done    bool
}

// Begin starts a transaction and reads the head under its lock. now is the batch's time: the later of the clock and
// the last event's.
func (w *Writer) Begin(ctx context.Context, now time.Time) (*Batch, error) {
	ctx = context.WithoutCancel(ctx)
	b := &Batch{Prepared: w.p, ctx: ctx, w: w, s: w.s, made: map[string]vault.Key{}, keys: map[string]vault.Key{}}
	var err error
	if w.s.DB.Engine == db.Postgres {
		var r headRow
		none := sql.ErrNoRows
		// Whoever else serves this shop waits for the lock.
		err = db.Send(
			ctx,
			w.conn,
			[]db.Statement{
				{Text: w.s.DB.BeginWrite()},
				{Text: headText + ` FOR UPDATE`, Args: []any{w.s.Shop}, Each: func(scan func(...any) error) error {
					none = nil
					return scan(r.columns()...)
				}},
			},
		)
		if err == nil {
			b.Head, err = r.head(none)
		}
	} else if _, err = w.p.ExecContext(ctx, w.s.DB.BeginWrite()); err == nil {
		b.Head, err = w.s.ReadHead(ctx, w.p)
	} else {
		return nil, db.Fault(err)
	}
	if err != nil {
		b.Rollback()
		return nil, db.Fault(err)
	}
	if w.planned++; w.s.DB.Engine == db.Postgres && w.planned > replan {
		// A kept plan is that of a table as it was. One that was empty may be read by any index, and all of it when it has grown.
		if _, err := w.p.ExecContext(ctx, `DISCARD PLANS`); err != nil {
			b.Rollback()
			return nil, db.Fault(err)
		}
		w.planned = 0
	}
	if b.Head.MovedTo != "" {
		b.Rollback()
		return nil, fault.New(fault.Unavailable, "journal_moved", "This shop was moved to %s. Nothing can be changed here any more.",
			b.Head.MovedTo)
	}
	b.Now = journal.Truncate(now)
	if b.Now.Before(b.Head.RecordedAt) {
		b.Now = b.Head.RecordedAt
	}
	return b, nil
}

// replan is how many batches PostgreSQL keeps a plan for: planning anew takes some milliseconds, and a table grows by thousands of rows in
// so many batches.
const replan = 64

// headRow is a head as it is stored.
type headRow struct {
	seq   int64
	at    string
	edge  []byte
	moved sql.NullString
}

const headText = `SELECT seq, recorded_at, edge, moved_to FROM head WHERE shop_id = $1`

func (r *headRow) columns() []any { return []any{&r.seq, &r.at, &r.edge, &r.moved} }

// head is what was read with an error or without.
func (r *headRow) head(err error) (Head, error) {
	if errors.Is(err, sql.ErrNoRows) {
		return Head{Seq: -1}, nil
	}
	if err != nil {
		return Head{}, err
	}
	h := Head{Seq: r.seq, MovedTo: r.moved.String}
	if h.RecordedAt, err = time.Parse(journal.TimeLayout, r.at); err != nil {
		return h, fmt.Errorf("store: head: %w", err)
	}
	h.Edge, err = seal.ParseEdge(r.edge)
	return h, err
}

// ReadHead reads the head of the shop.
func (s *Store) ReadHead(ctx context.Context, q db.Querier) (Head, error) {
	var r headRow
	return r.head(q.QueryRowContext(ctx, headText, s.Shop).Scan(r.columns()...))
}

// later runs a statement of which nothing is wanted but that it does not fail. To a server it goes together with others,
// before the next statement of the batch that is asked something.
func (b *Batch) later(text string, args ...any) error {
	if b.s.DB.Engine != db.Postgres {
		_, err := b.ExecContext(b.ctx, text, args...)
		return err
	}
	b.waiting = append(b.waiting, db.Statement{Text: text, Args: args})
	return nil
}

// send runs what waits. An error ends the transaction, and is given to whoever asks after it.
func (b *Batch) send() error {
	if len(b.waiting) > 0 && b.failed == nil {
		b.failed = db.Send(b.ctx, b.w.conn, b.waiting)
		b.waiting = nil
	}
	return b.failed
}

// ExecContext runs a statement in the batch.
func (b *Batch) ExecContext(ctx context.Context, query string, args ...any) (sql.Result, error) {
	if err := b.send(); err != nil {
		return nil, err
	}
	return b.Prepared.ExecContext(ctx, query, args...)
}

func (b *Batch) QueryContext(ctx context.Context, query string, args ...any) (*sql.Rows, error) {
	if err := b.send(); err != nil {
		return nil, err
	}
	return b.Prepared.QueryContext(ctx, query, args...)
}

func (b *Batch) QueryRowContext(ctx context.Context, query string, args ...any) *sql.Row {
	_ = b.send() // after an error the query is refused, and Ready tells of the first
	return b.Prepared.QueryRowContext(ctx, query, args...)
}

// Seal implements journal.Sealer: it makes the key of an owner who has none yet.
func (b *Batch) Seal(class string, owner id.ID, value []byte) (journal.Sealed, error) {
	name := b.s.Keys.KeyID(class, owner, b.Now)
	key, ok, err := b.key(name)
	if errors.Is(err, vault.ErrErased) {
		return journal.Sealed{}, fault.New(fault.Conflict, "erased", "The data of this person was erased, so nothing new can be kept about them.")
	}
	if err != nil {
		return journal.Sealed{}, fmt.Errorf("store: seal for %s: %w", name, err)
	}
	if !ok {
		key = vault.NewKey(name, rand.Reader)
		wrapped, err := b.s.Keys.folder.Wrap(key)
		if err != nil {
			return journal.Sealed{}, err
		}
		if _, err := b.ExecContext(b.ctx, `INSERT INTO data_key (shop_id, id, class, wrapped, created_at) VALUES ($1, $2, $3, $4, $5)`,
			b.s.Shop, name, class, wrapped, stamp(b.Now)); err != nil {
			return journal.Sealed{}, err
		}
		b.made[name], b.keys[name] = key, key
	}
	return sealWith(key, class, value)
}

// key gives a key as Keys does. Within the batch it is asked for once: whether it was erased elsewhere is looked up in a
// file.
func (b *Batch) key(name string) (key vault.Key, found bool, err error) {
	if key, found = b.keys[name]; found {
		return key, true, nil
	}
	if key, found, err = b.s.Keys.get(b.ctx, b, name); found && err == nil {
		b.keys[name] = key
	}
	return key, found, err
}

// DestroyKey destroys a person's key with this batch.
func (b *Batch) DestroyKey(name string) error {
	b.destroy = append(b.destroy, name)
	_, err := b.ExecContext(b.ctx,
		`UPDATE data_key SET wrapped = NULL, destroyed_at = $1 WHERE shop_id = $2 AND id = $3 AND destroyed_at IS NULL`, stamp(b.Now),
		b.s.Shop, name)
	return err
}

// Entry is an event as it is stored.
type Entry struct {
	Event       *journal.Event
	Body        []byte
	Ciphertexts [][]byte
	Leaf        seal.Hash
}

// Append inserts events, in order.
func (b *Batch) Append(entries []Entry) error {
	if b.s.DB.Engine == db.Postgres && len(entries) > 0 {
		return b.appendMany(entries)
	}
	for _, e := range entries {
		var prev any
		if e.Event.TargetPrevSeq != journal.NoPrev {
			prev = e.Event.TargetPrevSeq
		}
		t := e.Event.Target()
		if _, err := b.ExecContext(b.ctx,
			`INSERT INTO event (shop_id, seq, recorded_at, type, target_kind, target_id, target_version, target_prev_seq, leaf_hash, body, boxes)
			VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11)`, b.s.Shop, e.Event.Seq, stamp(e.Event.RecordedAt), e.Event.Type, t.Kind,
			t.ID, e.Event.TargetVersion, prev, e.Leaf[:], string(e.Body), vault.JoinCiphertexts(e.Ciphertexts)); err != nil {
			return err
		}
	}
	return nil
}

// Write stores a row, once a batch, after its events. prev is the row before; its Version is 0 when there was none.
func (b *Batch) Write(ref journal.Ref, r *Row, prev *Row) error {
	if !HasState(ref.Kind) {
		text := `UPDATE target_head SET version = $1, last_seq = $2 WHERE shop_id = $3 AND kind = $4 AND id = $5`
		if prev == nil || prev.Version == 0 {
			text = `INSERT INTO target_head (version, last_seq, shop_id, kind, id) VALUES ($1, $2, $3, $4, $5)`
		}
		_, err := b.ExecContext(b.ctx, text, r.Version, r.LastSeq, b.s.Shop, ref.Kind, ref.ID)
		return err
	}
	m, err := b.s.mapping(ref.Kind)
	if err != nil {
		return err
	}
	doc, err := b.encode(r, prev)
	if err != nil {
		return err
	}
	var box any
	if r.box != nil {
		box = string(r.box)
	}
	write, values := insertRow, m.Values(r.State)
	if prev != nil && prev.Version > 0 {
		write = updateRow
		if prev.State != nil && slices.Equal(m.Values(prev.State), values) {
			write, values = updateDoc, nil
		}
	}
	args := append([]any{b.s.Shop, ref.ID, r.Version, r.LastSeq, SchemaVersion}, values...)
	args = append(args, string(doc), box, r.sealed)
	_, err = b.ExecContext(b.ctx, b.s.writeTexts[ref.Kind][write], args...)
	return err
}

// The statements that write a row of a kind. A table's own columns are those of its indexes, and SQLite maintains an index
// for every column that an UPDATE names, whether its value changed or not. Most changes touch none of them: updateDoc.
const (
	insertRow = iota
	updateRow
	updateDoc
)

func writeTexts(m Mapping) [3]string {
	update := func(columns ...string) string {
		var b strings.Builder
		b.WriteString(`UPDATE ` + quoted(m.Kind) + ` SET version = $3, last_seq = $4, schema_version = $5`)
		for i, c := range append(columns, "doc", "box", "sealed") {
			fmt.Fprintf(&b, ", %s = $%d", c, 6+i)
		}
		return b.String() + ` WHERE shop_id = $1 AND id = $2`
	}
	return [3]string{
		insertRow: `INSERT INTO ` + quoted(m.Kind) + ` (` + stateColumns(m) + `) VALUES (` + db.Placeholders(1, 8+len(m.Columns)) + `)`,
		updateRow: update(slices.Clone(m.Columns)...),
		updateDoc: update(),
	}
}

// WriteSecret stores a secret that an event of this batch commits to.
func (b *Batch) WriteSecret(owner journal.Ref, version, seq int64, name string, salt, value []byte) error {
	res, err := b.ExecContext(b.ctx, `UPDATE secret SET version = $1, last_seq = $2, salt = $3, value = $4
		WHERE shop_id = $5 AND owner_kind = $6 AND owner_id = $7 AND name = $8`, version, seq, salt, value, b.s.Shop, owner.Kind, owner.ID, name)
	if err != nil {
		return err
	}
	if n, err := res.RowsAffected(); err != nil || n > 0 {
		return err
	}
	_, err = b.ExecContext(b.ctx,
		`INSERT INTO secret (version, last_seq, salt, value, shop_id, owner_kind, owner_id, name) VALUES ($1, $2, $3, $4, $5, $6, $7, $8)`,
		version, seq, salt, value, b.s.Shop, owner.Kind, owner.ID, name)
	return err
}

// Reserve writes or releases a reservation.
func (b *Batch) Reserve(r journal.Reservation) error {
	hash := b.s.ReservationHash(r.Scope, r.Value)
	if r.Release {
		return b.later(`DELETE FROM reservation WHERE shop_id = $1 AND scope = $2 AND hash = $3 AND owner = $4`, b.s.Shop, r.Scope, hash, r.Owner)
	}
	return b.later(`INSERT INTO reservation (shop_id, scope, hash, owner) VALUES ($1, $2, $3, $4)`, b.s.Shop, r.Scope, hash, r.Owner)
}

// WriteHead closes the batch: the tree's new nodes, and the head.
func (b *Batch) WriteHead(h Head, nodes []seal.Node) error {
	for _, n := range nodes {
		if err := b.later(`INSERT INTO tree_node (shop_id, level, idx, hash) VALUES ($1, $2, $3, $4)`,
			b.s.Shop, n.Level, n.Index, n.Hash[:]); err != nil {
			return err
		}
	}
	edge, err := h.Edge.MarshalBinary()
	if err != nil {
		return err
	}
	return b.later(`UPDATE head SET seq = $1, recorded_at = $2, edge = $3 WHERE shop_id = $4`, h.Seq, stamp(h.RecordedAt), edge, b.s.Shop)
}

// Close closes the journal for good, with the batch's last event: the shop goes on in another database.
func (b *Batch) Close(to string) error {
	_, err := b.ExecContext(b.ctx, `UPDATE head SET moved_to = $1 WHERE shop_id = $2`, to, b.s.Shop)
	return err
}

// FormsKept is for how long it is known what a form came to.
const FormsKept = 8 * 24 * time.Hour

// FormHash is how many bytes of a form's hash tell it from others under its key: what marks the rows of forms among the kept
// answers. The index idempotency_form is over rows of this length.
const FormHash = 12

// formsSwept is how many forms SweepForms deletes at once at most.
const formsSwept = 1000

// SweepForms deletes what forms came to that were sent long ago.
func (b *Batch) SweepForms() error {
	_, err := b.ExecContext(
		b.ctx,
		`DELETE FROM idempotency WHERE shop_id = $1 AND caller_key IN (SELECT caller_key FROM idempotency WHERE shop_id = $1 AND length(request_hash) = `+strconv.Itoa(
			FormHash)+` AND created_at < $2 LIMIT $3)`,
		b.s.Shop,
		stamp(b.Now.Add(-FormsKept)),
		formsSwept,
	)
	return err
}

// FirstAnswer is a kept answer to a request with an idempotency key.
type FirstAnswer struct {
	RequestHash []byte
	Answer      []byte // opened; nil when the person was erased
	Erased      bool
	// Unknown says that the row is not as this program wrote it, or of a build that did not authenticate answers: the request was made, and
	// nobody is told what came of it.
	Unknown bool
}

// keptAnswer is a row of idempotency.
type keptAnswer struct {
	requestHash []byte
	keyID       string
	answer      []byte
	at          string
	mac         []byte
}

// FindAnswer looks for the first answer of a caller's key.
func (b *Batch) FindAnswer(callerKey []byte) (*FirstAnswer, error) {
	kept, fetched := b.answers[string(callerKey)]
	if !fetched {
		kept = &keptAnswer{}
		err := b.QueryRowContext(b.ctx,
			`SELECT request_hash, key_id, answer, created_at, mac FROM idempotency WHERE shop_id = $1 AND caller_key = $2`, b.s.Shop,
			callerKey).Scan(
			&kept.requestHash,
			&kept.keyID,
			&kept.answer,
			&kept.at,
			&kept.mac,
		)
		if errors.Is(err, sql.ErrNoRows) {
			return nil, nil
		}
		if err != nil {
			return nil, err
		}
	}
	if kept == nil {
		return nil, nil
	}
	a := &FirstAnswer{RequestHash: kept.requestHash}
	if !b.s.genuine("idempotency", kept.mac, callerKey, kept.requestHash, kept.keyID, kept.answer, kept.at) {
		a.Unknown = true
		return a, nil
	}
	if kept.keyID == "" {
		a.Answer = kept.answer
		return a, nil
	}
	key, found, err := b.key(kept.keyID)
	if errors.Is(err, vault.ErrErased) || (err == nil && !found) {
		a.Erased = true
		return a, nil
	}
	if err != nil {
		return nil, err
	}
	a.Answer, err = openAnswer(key, kept.answer)
	return a, err
}

// Answer is a first answer to keep.
type Answer struct {
	CallerKey, RequestHash []byte
	Person                 id.ID // whose data it shows, if it shows a person's
	Bytes                  []byte
}

// KeepAnswers stores first answers, each sealed with its person's key when there is a person.
func (b *Batch) KeepAnswers(answers []Answer) error {
	if len(answers) == 0 {
		return nil
	}
	var callers, requests, bytes, macs [][]byte
	var keys, at []string
	for _, a := range answers {
		keyID := ""
		if a.Person != "" {
			key, ok, err := b.key(string(a.Person))
			if err != nil && !errors.Is(err, vault.ErrErased) {
				return err
			}
			if ok {
				if a.Bytes, err = sealAnswer(key, a.Bytes); err != nil {
					return err
				}
				keyID = string(a.Person)
			}
		}
		mac := b.s.authentic("idempotency", a.CallerKey, a.RequestHash, keyID, a.Bytes, stamp(b.Now))
		if b.s.DB.Engine == db.SQLite {
			if _, err := b.ExecContext(b.ctx,
				`INSERT INTO idempotency (shop_id, caller_key, request_hash, key_id, answer, created_at, mac) VALUES ($1, $2, $3, $4, $5, $6, $7)`,
				b.s.Shop, a.CallerKey, a.RequestHash, keyID, a.Bytes, stamp(b.Now), mac); err != nil {
				return err
			}
			continue
		}
		callers, requests, bytes = append(callers, a.CallerKey), append(requests, a.RequestHash), append(bytes, a.Bytes)
		keys, at, macs = append(keys, keyID), append(at, stamp(b.Now)), append(macs, mac)
	}
	if len(callers) == 0 {
		return nil
	}
	return b.insertMany(
		"idempotency",
		[]column{{"caller_key", "bytea", callers}, {"request_hash", "bytea", requests}, {"key_id", "text", keys},
			{"answer", "bytea", bytes}, {"created_at", "text", at}, {"mac", "bytea", macs}},
	)
}

// An answer is sealed as a box of its own class: commitment, hash and ciphertext in one.

const classAnswer = "answer"

func sealAnswer(key vault.Key, answer []byte) ([]byte, error) {
	box, ciphertext, err := key.Seal(classAnswer, answer, rand.Reader)
	if err != nil {
		return nil, err
	}
	return slices.Concat(box.Commitment, box.Hash, ciphertext), nil
}

func openAnswer(key vault.Key, stored []byte) ([]byte, error) {
	if len(stored) < 64 {
		return nil, errors.New("store: a kept answer is cut short")
	}
	return key.Open(vault.Box{Key: key.ID(), Class: classAnswer, Commitment: stored[:32], Hash: stored[32:64]}, stored[64:])
}

// Ready is the last statement before Commit. In PostgreSQL it tells the other processes of the new head, with the commit; and it
// fails when a statement before has failed, while a COMMIT would only roll back and say nothing.
func (b *Batch) Ready(head int64) error {
	if b.s.DB.Engine != db.Postgres {
		return nil
	}
	if err := b.later(`SELECT pg_notify($1, $2)`, db.Channel, fmt.Sprintf("%s %d", b.s.Shop, head)); err != nil {
		return err
	}
	return b.send()
}

// Commit makes the batch durable. An error means that it is unknown whether it is; Rollback tells nothing then, and
// ReadHead does.
func (b *Batch) Commit() error {
	if err := b.send(); err != nil {
		return err
	}
	b.done = true
	if _, err := b.Prepared.ExecContext(b.ctx, `COMMIT`); err != nil {
		_, rerr := b.Prepared.ExecContext(b.ctx, `ROLLBACK`)
		_ = rerr // after a failed COMMIT there may be no transaction left to roll back
		return err
	}
	b.s.Keys.keep(b.made)
	return nil
}

// Destroyed forgets the keys that the batch destroyed, after the commit. Writer.FinishErasures does the rest.
func (b *Batch) Destroyed() {
	if len(b.destroy) == 0 {
		return
	}
	for _, k := range b.destroy {
		b.s.Keys.forget(k)
	}
	b.w.unlisted = append(b.w.unlisted, b.destroy...)
	b.w.unwiped = b.s.DB.Engine == db.SQLite
}

// Rollback gives the batch up.
func (b *Batch) Rollback() {
	if b.done {
		return
	}
	b.done = true
	if _, err := b.Prepared.ExecContext(b.ctx, `ROLLBACK`); err != nil {
		// SQLite has already rolled back on some errors (disk full, I/O): then there is nothing left to undo.
		return
	}
}

// FinishErasures repeats what a crash may have cut off: keys that the database calls destroyed are so in the keys
// folder too, and keys that the folder calls erased are destroyed in a database that was restored from before.
func (s *Store) FinishErasures(ctx context.Context) error {
	var lost []string
	err := db.Each(ctx, s.DB.Writer, func(r *sql.Rows) error {
		var name string
		if err := r.Scan(&name); err != nil {
			return err
		}
		if !s.Keys.folder.Erased(name) {
			lost = append(lost, name)
		}
		return nil
	}, `SELECT id FROM data_key WHERE shop_id = $1 AND destroyed_at IS NOT NULL`, s.Shop)
	if err != nil {
		return db.Fault(err)
	}
	if len(lost) > 0 {
		if err := s.Keys.folder.Erase(lost...); err != nil {
			return err
		}
	}
	var back []string
	err = db.Each(ctx, s.DB.Writer, func(r *sql.Rows) error {
		var name string
		if err := r.Scan(&name); err != nil {
			return err
		}
		if s.Keys.folder.Erased(name) {
			back = append(back, name)
		}
		return nil
	}, `SELECT id FROM data_key WHERE shop_id = $1 AND destroyed_at IS NULL`, s.Shop)
	if err != nil {
		return db.Fault(err)
	}
	for _, name := range back {
		// Names that the person held are free: nobody can say any more which they were. The key comes last, so that a crash leaves
		// all of it to the next start.
		texts := []string{`DELETE FROM reservation WHERE shop_id = $1 AND owner = $2`}
		if s.DB.Engine == db.Postgres { // an embedded database has them in a file of their own
			texts = append(texts, `DELETE FROM name_word WHERE shop_id = $1 AND id = $2`)
		}
		texts = append(texts, `UPDATE data_key SET wrapped = NULL, destroyed_at = '`+stamp(time.Unix(0, 0))+`' WHERE shop_id = $1 AND id = $2`)
		for _, text := range texts {
			if _, err := s.DB.Writer.ExecContext(ctx, text, s.Shop, name); err != nil {
				return db.Fault(err)
			}
		}
	}
	return nil
}

func stamp(t time.Time) string { return t.UTC().Format(journal.TimeLayout) }
