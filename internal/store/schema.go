package store

import (
	"context"
	"database/sql"
	"embed"
	"errors"
	"fmt"
	"io/fs"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/pressly/goose/v3"

	"perennial/internal/db"
	"perennial/internal/fault"
	"perennial/internal/id"
	"perennial/internal/seal"
	"perennial/internal/vault"
)

//go:embed migrations/*/*.sql migrations/citus.sql
var migrations embed.FS

// Plan is what a database lacks of this program's schema.
type Plan struct {
	Has   int64    // the schema that the database has, 0 when it is empty
	Knows int64    // the schema of this program
	Files []string // migrations to apply
	// Mended are triggers (and keys to the journal) that were missing or other than they should be, without a migration that
	// explains it.
	Mended []string
	// Extra are triggers that should not be there.
	Extra []Extra
	// Grants are the tables on which the server's role may do other things than it should. PostgreSQL only.
	Grants []string
}

// Migrations are the files that make an engine's schema, named by the version that each makes.
func Migrations(engine db.Engine) (fs.FS, error) {
	return fs.Sub(migrations, "migrations/"+string(engine))
}

// Empty says that there is nothing to do.
func (p *Plan) Empty() bool {
	return len(p.Files) == 0 && len(p.Mended) == 0 && len(p.Extra) == 0 && len(p.Grants) == 0
}

// Migrate brings the schema up to this program's: tables, triggers, and in PostgreSQL the role perennial_app with its
// grants. It says what it did, or with dry what it would do. A schema that is newer than the program, or of which parts are
// missing, is refused.
func Migrate(ctx context.Context, d *db.DB, dry bool) (_ *Plan, err error) {
	defer fault.Trail(&err, "migrate")
	if d.Engine == db.Postgres {
		// One process at a time. The lock is the session's, so it ends with the connection at the latest.
		conn, err := d.Owner.Conn(ctx)
		if err != nil {
			return nil, db.Fault(err)
		}
		defer func() {
			_, _ = conn.ExecContext(context.WithoutCancel(ctx), `SELECT pg_advisory_unlock(hashtext('perennial migrate'))`) // closing does it too
			_ = conn.Close()
		}()
		if _, err := conn.ExecContext(ctx, `SELECT pg_advisory_lock(hashtext('perennial migrate'))`); err != nil {
			return nil, db.Fault(err)
		}
	}
	p := &Plan{}
	if err := p.look(ctx, d.Engine, d.Owner); err != nil || p.Empty() || dry {
		return p, err
	}
	if len(p.Files) > 0 {
		files, err := Migrations(d.Engine)
		if err != nil {
			return p, err
		}
		dialect := goose.DialectSQLite3
		if d.Engine == db.Postgres {
			dialect = goose.DialectPostgres
		}
		g, err := goose.NewProvider(dialect, d.Owner, files)
		if err != nil {
			return p, db.Fault(err)
		}
		if _, err := g.Up(ctx); err != nil {
			return p, rights(err)
		}
	}
	return p, rights(guard(ctx, d, p))
}

// rights says what to do when the user may not change the schema.
func rights(err error) error {
	err = db.Fault(err)
	if f, ok := errors.AsType[*fault.Error](err); ok && f.Code == "database_permission" {
		return fault.Wrap(err, fault.Unavailable, "schema_rights",
			"The schema of the database has to be brought up to date, and the user of this address may not do it: run perennial migrate with the owner's address.")
	}
	return err
}

// MigrateCitus spreads the tables of a migrated database over a cluster with Citus.
func MigrateCitus(ctx context.Context, d *db.DB) (err error) {
	defer fault.Trail(&err, "migrate to a cluster")
	if d.Engine != db.Postgres {
		return fault.New(fault.Refused, "not_postgres", "Only a PostgreSQL can be a cluster: give its address with --database.")
	}
	var available bool
	if err := d.Owner.QueryRowContext(ctx, `SELECT EXISTS (SELECT 1 FROM pg_available_extensions WHERE name = 'citus')`).Scan(
		&available); err != nil {
		return db.Fault(err)
	}
	if !available {
		return fault.New(fault.Unavailable, "no_citus",
			"This PostgreSQL has no extension citus: install it on the coordinator and on every worker.")
	}
	text, err := fs.ReadFile(migrations, "migrations/citus.sql")
	if err != nil {
		return err
	}
	conn, err := d.Owner.Conn(ctx)
	if err != nil {
		return db.Fault(err)
	}
	defer conn.Close()
	for statement := range strings.SplitSeq(string(text), "\n--\n") {
		if _, err := conn.ExecContext(ctx, statement); err != nil {
			return rights(err)
		}
	}
	return nil
}

// clustered says whether the tables are spread over a cluster, where some triggers cannot be.
func clustered(ctx context.Context, q db.Querier) (yes bool, err error) {
	err = q.QueryRowContext(ctx, `SELECT EXISTS (SELECT 1 FROM pg_extension WHERE extname = 'citus')`).Scan(&yes)
	return yes, err
}

// look compares a database with what it should be.
func (p *Plan) look(ctx context.Context, engine db.Engine, q db.Querier) error {
	entries, err := fs.ReadDir(migrations, "migrations/"+string(engine))
	if err != nil {
		return err
	}
	p.Knows = number(entries[len(entries)-1])
	tables, err := tableNames(ctx, engine, q)
	if err != nil {
		return db.Fault(err)
	}
	if slices.Contains(tables, "goose_db_version") {
		if err := q.QueryRowContext(ctx, `SELECT coalesce(max(version_id), 0) FROM goose_db_version WHERE is_applied`).Scan(&p.Has); err != nil {
			return db.Fault(err)
		}
	}
	if p.Has > p.Knows {
		return fault.New(fault.Unavailable, "schema_newer",
			"The database has schema %d, this program knows %d: it was used by a newer perennial. Start that version.", p.Has, p.Knows)
	}
	for _, e := range entries {
		if number(e) > p.Has {
			p.Files = append(p.Files, e.Name())
		}
	}
	if p.Has == 0 {
		if slices.Contains(tables, "event") {
			return fault.New(fault.Unavailable, "schema_unknown",
				"The database has a table event that no migration of perennial has made. Give another database.")
		}
		return nil
	}
	if len(p.Files) == 0 {
		for _, t := range Tables(engine) {
			if !slices.Contains(tables, t.Name) {
				return fault.New(fault.Unavailable, "schema_incomplete",
					"The database lacks the table %s: it was migrated only in part, or changed by hand. Restore a backup.", t.Name)
			}
		}
	}
	missing, extra, err := CompareTriggers(ctx, engine, q)
	if err != nil {
		return db.Fault(err)
	}
	if len(p.Files) == 0 { // a migration may bring other triggers
		for _, t := range missing {
			p.Mended = append(p.Mended, t.Name)
		}
		p.Extra = extra
		if engine == db.Postgres {
			p.Grants, err = wrongGrants(ctx, q)
		}
	}
	return db.Fault(err)
}

// number is the schema that a migration makes: 4 of "0004_rollup.sql". A number can be left out.
func number(migration fs.DirEntry) int64 {
	digits, _, _ := strings.Cut(migration.Name(), "_")
	n, _ := strconv.ParseInt(digits, 10, 64) // goose refuses other names
	return n
}

func tableNames(ctx context.Context, engine db.Engine, q db.Querier) (names []string, err error) {
	query := `SELECT name FROM sqlite_master WHERE type = 'table'`
	if engine == db.Postgres {
		query = `SELECT tablename FROM pg_tables WHERE schemaname = 'public'`
	}
	err = db.Each(ctx, q, func(r *sql.Rows) error {
		var name string
		err := r.Scan(&name)
		names = append(names, name)
		return err
	}, query)
	return names, err
}

// checkSchema refuses a database that is not of this program's schema, for whoever only reads.
func checkSchema(ctx context.Context, engine db.Engine, q db.Querier) error {
	p := &Plan{}
	if err := p.look(ctx, engine, q); err != nil {
		return err
	}
	switch {
	case p.Has == 0:
		return fault.New(fault.Unavailable, "schema_unknown", "This is not a database of perennial.")
	case p.Has < p.Knows:
		return fault.New(fault.Unavailable, "schema_older",
			"The database has schema %d, this program needs %d: start perennial serve once, or run perennial migrate.", p.Has, p.Knows)
	}
	return nil
}

// guard makes triggers, keys and grants what they should be.
func guard(ctx context.Context, d *db.DB, p *Plan) error {
	missing, extra, err := CompareTriggers(ctx, d.Engine, d.Owner)
	if err != nil {
		return db.Fault(err)
	}
	tx, err := d.Owner.BeginTx(ctx, nil)
	if err != nil {
		return db.Fault(err)
	}
	defer tx.Rollback()
	run := func(text string) error {
		if _, err := tx.ExecContext(ctx, text); err != nil {
			return fmt.Errorf("store: %s: %w", strings.SplitN(text, "\n", 2)[0], err)
		}
		return nil
	}
	for _, t := range extra {
		if err := run(t.drop); err != nil {
			return err
		}
	}
	for _, t := range missing {
		for _, text := range t.statements() {
			if err := run(text); err != nil {
				return err
			}
		}
	}
	if d.Engine == db.Postgres && (len(p.Files) > 0 || len(p.Grants) > 0) {
		for _, text := range grants() {
			if err := run(text); err != nil {
				return err
			}
		}
	}
	return db.Fault(tx.Commit())
}

// Lapse is something of the schema that is not as it should be.
type Lapse struct {
	Name  string // of the trigger, the key, the table or another thing
	Field string // "schema", "trigger", "owner", "grant" or "pending"
	Words string
}

// Lapses says where the schema is not what the migrations make, where the database does not refuse any more by itself what it
// should, and whether a batch was left half done. whole is false when only triggers and grants were compared.
func (s *Store) Lapses(ctx context.Context, q db.Querier) (out []Lapse, whole bool, err error) {
	missing, extra, err := CompareTriggers(ctx, s.DB.Engine, q)
	if err != nil {
		return nil, false, err
	}
	for _, t := range missing {
		out = append(out, Lapse{t.Name, "trigger", "the database lost a trigger that enforces the journal"})
	}
	for _, t := range extra {
		out = append(out, Lapse{t.Name, "trigger", "the database has a trigger that is not ours"})
	}
	if s.DB.Engine == db.Postgres {
		tables, err := wrongGrants(ctx, q)
		if err != nil {
			return nil, false, err
		}
		for _, t := range tables {
			out = append(out, Lapse{t, "grant", "the server's role may do other things with this table than it should"})
		}
	} else {
		var pending int
		if err := q.QueryRowContext(ctx, `SELECT count(*) FROM pending WHERE shop_id = $1`, s.Shop).Scan(&pending); err != nil {
			return nil, false, err
		}
		if pending > 0 {
			out = append(out, Lapse{string(s.Shop), "pending", fmt.Sprintf("%d entries have no row that shows what they changed", pending)})
		}
	}
	rest, whole, err := layoutLapses(ctx, s.DB.Engine, q)
	return append(out, rest...), whole, err
}

// CompareTriggers gives the triggers that the database should have and has not (or has otherwise), and those that it has
// and should not.
func CompareTriggers(ctx context.Context, engine db.Engine, q db.Querier) (missing []Trigger, extra []Extra, err error) {
	if engine == db.Postgres {
		return comparePostgres(ctx, q)
	}
	has := map[string]string{}
	err = db.Each(ctx, q, func(r *sql.Rows) error {
		var name, text string
		if err := r.Scan(&name, &text); err != nil {
			return err
		}
		has[name] = strings.TrimSpace(text)
		return nil
	}, `SELECT name, sql FROM sqlite_master WHERE type = 'trigger' ORDER BY name`)
	if err != nil {
		return nil, nil, err
	}
	for _, t := range Triggers() {
		if has[t.Name] == t.SQL {
			delete(has, t.Name)
			continue
		}
		missing = append(missing, t)
	}
	for name := range has {
		extra = append(extra, Extra{name, fmt.Sprintf(`DROP TRIGGER %q`, name)})
	}
	return missing, extra, nil
}

// Join opens a database for a shop that is copied into it. What is there already has to be the same shop's.
func Join(ctx context.Context, d *db.DB, folder *vault.Folder, mappings []Mapping, shop id.ID) (*Store, error) {
	s, err := Open(ctx, d, folder, mappings, func() id.ID { return shop })
	if err == nil && s.Shop != shop {
		err = fault.New(fault.Conflict, "another_shop", "The database %s holds another shop (%s).", d.Path, s.Shop)
	}
	return s, err
}

// CopyMachinery writes the rows of the machinery that go along with a shop into another database: those that it has not yet, and
// those that are other there.
func (s *Store) CopyMachinery(ctx context.Context, to *Store) (err error) {
	defer fault.Trail(&err, "copy the machinery")
	tx, err := to.DB.Owner.BeginTx(ctx, nil)
	if err != nil {
		return db.Fault(err)
	}
	defer tx.Rollback()
	for _, t := range Tables(s.DB.Engine) {
		if !t.Copied {
			continue
		}
		if _, err := tx.ExecContext(ctx, fmt.Sprintf(`DELETE FROM %q WHERE shop_id = $1`, t.Name), s.Shop); err != nil {
			return db.Fault(err)
		}
		rows, err := s.DB.Reader.QueryContext(ctx, fmt.Sprintf(`SELECT * FROM %q WHERE shop_id = $1`, t.Name), s.Shop)
		if err != nil {
			return db.Fault(err)
		}
		if err := copyRows(ctx, tx, t.Name, rows); err != nil {
			return fmt.Errorf("table %s: %w", t.Name, db.Fault(err))
		}
	}
	return db.Fault(tx.Commit())
}

func copyRows(ctx context.Context, tx *sql.Tx, table string, rows *sql.Rows) error {
	defer rows.Close()
	names, err := rows.Columns()
	if err != nil {
		return err
	}
	insert, err := tx.PrepareContext(ctx,
		fmt.Sprintf(`INSERT INTO %q (%s) VALUES (%s)`, table, strings.Join(names, ", "), db.Placeholders(1, len(names))))
	if err != nil {
		return err
	}
	defer insert.Close()
	values, dest := make([]any, len(names)), make([]any, len(names))
	for i := range values {
		dest[i] = &values[i]
	}
	for rows.Next() {
		if err := rows.Scan(dest...); err != nil {
			return err
		}
		if _, err := insert.ExecContext(ctx, values...); err != nil {
			return err
		}
	}
	return rows.Err()
}

// found makes the head of a database's first shop. When another process was faster, its shop is the answer.
func found(ctx context.Context, d *db.DB, shop id.ID, fingerprint string) (id.ID, string, error) {
	var none seal.Edge
	edge, err := none.MarshalBinary()
	if err != nil {
		return "", "", err
	}
	conn, err := d.Writer.Conn(ctx)
	if err != nil {
		return "", "", err
	}
	defer conn.Close()
	lock := `SELECT 1`
	if d.Engine == db.Postgres {
		lock = `SELECT pg_advisory_xact_lock(hashtext('perennial found'))`
	}
	for _, text := range []string{d.BeginWrite(), lock} {
		if _, err := conn.ExecContext(ctx, text); err != nil {
			return "", "", err
		}
	}
	_, err = conn.ExecContext(ctx,
		`INSERT INTO head (shop_id, seq, recorded_at, edge, fingerprint) SELECT $1, -1, $2, $3, $4 WHERE NOT EXISTS (SELECT 1 FROM head)`,
		string(shop), stamp(time.Time{}), edge, fingerprint)
	end := `COMMIT`
	if err != nil {
		end = `ROLLBACK`
	}
	if _, eerr := conn.ExecContext(context.WithoutCancel(ctx), end); err == nil {
		err = eerr
	}
	if err == nil {
		err = conn.QueryRowContext(ctx, `SELECT shop_id, fingerprint FROM head ORDER BY shop_id LIMIT 1`).Scan(&shop, &fingerprint)
	}
	return shop, fingerprint, err
}
