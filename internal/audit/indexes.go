package audit

import (
	"context"
	"database/sql"
	"fmt"
	"regexp"
	"strings"

	"perennial/internal/db"
	"perennial/internal/store"
)

// indexes compares every index with its table: a row that an index lacks is in no list that is read by it.
func (a *auditor) indexes() error {
	if a.s.DB.Engine == db.SQLite {
		return a.sqliteIndexes()
	}
	return a.postgresIndexes()
}

// maxFound is how many lines SQLite's own check gives.
const maxFound = 100

// ofIndex is the index of a line like "row 152 missing from index order_subscription".
var ofIndex = regexp.MustCompile(`\bindex (\S+)$`)

func (a *auditor) sqliteIndexes() error {
	checks := []string{fmt.Sprintf(`PRAGMA integrity_check(%d)`, maxFound)}
	a.place = "the file"
	if a.opt.Beside { // a table at a time, so that the write-ahead log can be emptied in between
		checks = nil
		for _, t := range store.Tables(db.SQLite) {
			checks = append(checks, fmt.Sprintf(`PRAGMA integrity_check(%q)`, t.Name))
		}
	}
	for _, check := range checks {
		err := db.Each(a.ctx, a.s.DB.Reader, func(r *sql.Rows) error {
			var line string
			if err := r.Scan(&line); err != nil || line == "ok" {
				return err
			}
			name := "the file"
			if m := ofIndex.FindStringSubmatch(line); m != nil {
				name = m[1]
			}
			a.r.add(Problem{-1, name, "index", "SQLite's own check says: " + strings.ReplaceAll(line, "\n", ", ")})
			return nil
		}, check)
		if err != nil {
			return err
		}
	}
	a.r.note("every index against its table (PRAGMA integrity_check)", "")
	return nil
}

// index is one of PostgreSQL's.
type index struct {
	oid         int64
	name, table string
	columns     string // as an ORDER BY
	where       string
}

const postgresIndexes = `SELECT i.oid::bigint, i.relname::text, quote_ident(c.relname),
	(SELECT string_agg(pg_get_indexdef(i.oid, k.n::int, false), ', ' ORDER BY k.n) FROM generate_series(1, x.indnkeyatts) AS k(n)), coalesce(pg_get_expr(x.indpred, x.indrelid), 'true')
	FROM pg_index x JOIN pg_class i ON i.oid = x.indexrelid JOIN pg_class c ON c.oid = x.indrelid JOIN pg_namespace n ON n.oid = c.relnamespace JOIN pg_am m ON m.oid = i.relam
	WHERE n.nspname = 'public' AND c.relkind = 'r' AND i.relkind = 'i' AND m.amname = 'btree' AND x.indisvalid AND x.indisready ORDER BY i.relname`

func (a *auditor) postgresIndexes() error {
	var list []index
	a.place = "the list of indexes"
	err := db.Each(a.ctx, a.s.DB.Reader, func(r *sql.Rows) error {
		var x index
		err := r.Scan(&x.oid, &x.name, &x.table, &x.columns, &x.where)
		list = append(list, x)
		return err
	}, postgresIndexes)
	if err != nil {
		return err
	}
	// The schema in which the extension is; NULL when it is not there, or whoever asks may not use it.
	var amcheck sql.NullString
	err = a.asOwner(`BEGIN READ ONLY`, func(q db.Querier) error {
		return q.QueryRowContext(a.ctx, `SELECT (SELECT quote_ident(n.nspname) FROM pg_extension e JOIN pg_namespace n ON n.oid = e.extnamespace JOIN pg_proc p ON p.pronamespace = n.oid
			WHERE e.extname = 'amcheck' AND p.proname = 'bt_index_check' AND p.pronargs = 2 AND has_function_privilege(p.oid, 'EXECUTE'))`).Scan(&amcheck)
	})
	if err != nil {
		return err
	}
	var uncounted []string
	for _, x := range list {
		a.place = "the index " + x.name
		if amcheck.Valid {
			err = a.asOwner(`BEGIN READ ONLY`, func(q db.Querier) error {
				var none any
				return q.QueryRowContext(a.ctx, `SELECT `+amcheck.String+`.bt_index_check($1::oid::regclass, true)`, x.oid).Scan(&none)
			})
			if words := db.IndexDamage(err); words != "" {
				a.r.add(Problem{-1, x.name, "index", "amcheck says: " + words})
				err = nil
			}
		} else {
			var counted bool
			if counted, err = a.countIndex(x); err == nil && !counted {
				uncounted = append(uncounted, x.name)
			}
		}
		if err != nil {
			return err
		}
	}
	missed := ""
	if len(uncounted) > 0 {
		missed = "the indexes " + strings.Join(uncounted, ", ") + ": PostgreSQL would not count by them"
	}
	if amcheck.Valid {
		a.r.note(fmt.Sprintf("%d indexes against their tables (amcheck)", len(list)), missed)
	} else {
		a.r.note(fmt.Sprintf("%d indexes, by counting their rows with and without each (amcheck is not installed, or not for this user)", len(list)-len(uncounted)), missed)
	}
	return nil
}

// countIndex counts the rows of a table by an index, and without any. counted is false when PostgreSQL takes another way.
func (a *auditor) countIndex(x index) (counted bool, err error) {
	err = a.asOwner(a.s.DB.BeginSnapshot(), func(q db.Querier) error {
		set := func(setting, value string) error {
			var got string
			return q.QueryRowContext(a.ctx, `SELECT set_config($1, $2, true)`, setting, value).Scan(&got)
		}
		for _, s := range []string{"enable_seqscan", "enable_sort", "enable_bitmapscan", "enable_incremental_sort"} {
			if err := set(s, "off"); err != nil {
				return err
			}
		}
		if err := set("max_parallel_workers_per_gather", "0"); err != nil {
			return err
		}
		by := fmt.Sprintf(`SELECT count(*) FROM (SELECT FROM ONLY public.%s WHERE %s ORDER BY %s OFFSET 0) AS x`, x.table, x.where, x.columns)
		var plan string
		if err := q.QueryRowContext(a.ctx, `EXPLAIN (FORMAT JSON) `+by).Scan(&plan); err != nil {
			return err
		}
		if counted = strings.Contains(plan, `"Index Name": "`+x.name+`"`); !counted {
			return nil
		}
		var with, without int64
		if err := q.QueryRowContext(a.ctx, by).Scan(&with); err != nil {
			return err
		}
		for setting, value := range map[string]string{"enable_seqscan": "on", "enable_indexscan": "off", "enable_indexonlyscan": "off"} {
			if err := set(setting, value); err != nil {
				return err
			}
		}
		if err := q.QueryRowContext(a.ctx, fmt.Sprintf(`SELECT count(*) FROM ONLY public.%s WHERE %s`, x.table, x.where)).Scan(&without); err != nil {
			return err
		}
		if with != without {
			a.r.add(Problem{-1, x.name, "index", fmt.Sprintf("by the index there are %d rows, in the table %d", with, without)})
		}
		return nil
	})
	return counted, err
}

// asOwner runs f in a transaction as the user of the connection, and not as the server's role.
func (a *auditor) asOwner(begin string, f func(q db.Querier) error) error {
	conn, err := a.s.DB.Reader.Conn(a.ctx)
	if err != nil {
		return err
	}
	defer conn.Close()
	for _, text := range []string{begin, `SET LOCAL ROLE NONE`} {
		if _, err := conn.ExecContext(a.ctx, text); err != nil {
			return err
		}
	}
	defer func() { _, _ = conn.ExecContext(context.WithoutCancel(a.ctx), `ROLLBACK`) }() // nothing was written
	return f(conn)
}

// role becomes the server's role for the snapshot, so that what is read is what the server sees.
func (a *auditor) role() error {
	if a.s.DB.Engine != db.Postgres {
		return nil
	}
	var is, may bool
	err := a.q.QueryRowContext(a.ctx, `SELECT current_user = $1, EXISTS (SELECT 1 FROM pg_roles WHERE rolname = $1 AND pg_has_role(oid, 'MEMBER'))`, db.Role).Scan(&is, &may)
	if err != nil || is {
		return err
	}
	if !may {
		a.r.note("", "what the server's role sees: the user of this address may not become it")
		return nil
	}
	_, err = a.q.ExecContext(a.ctx, `SET LOCAL ROLE `+db.Role)
	return err
}

// seen compares what the server's role reads with what the user of the connection does. A policy or a view hides rows from one of them.
func (a *auditor) seen() error {
	if a.s.DB.Engine != db.Postgres {
		return nil
	}
	var tables []string
	for _, t := range store.Tables(db.Postgres) {
		if t.Class == store.ClassDerived || t.Name == "goose_db_version" {
			continue
		}
		tables = append(tables, t.Name)
		if _, read := a.counts[t.Name]; read {
			continue
		}
		n, err := a.count(t.Name)
		if err != nil {
			return err
		}
		a.counts[t.Name] = n
	}
	if _, err := a.q.ExecContext(a.ctx, `SET LOCAL ROLE NONE`); err != nil {
		return err
	}
	for _, name := range tables {
		a.place = "the table " + name
		n, err := a.count(name)
		if err != nil {
			return err
		}
		if n != a.counts[name] {
			a.r.add(Problem{-1, name, "rows", fmt.Sprintf("the server's role sees %d rows, there are %d", a.counts[name], n)})
		}
	}
	a.r.note("the rows as the server's role and as the owner see them", "")
	return nil
}

func (a *auditor) count(table string) (n int64, err error) {
	err = a.q.QueryRowContext(a.ctx, fmt.Sprintf(`SELECT count(*) FROM public.%q WHERE shop_id = $1`, table), a.s.Shop).Scan(&n)
	return n, err
}
