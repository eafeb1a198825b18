package store

import (
	"context"
	"database/sql"
	_ "embed"
	"errors"
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"

	"perennial/internal/db"
)

// layout is what a schema consists of beside its triggers and grants: each thing by kind and name, with its definition.
type layout map[string]string

// sqliteLayout reads the layout of an embedded database. What SQLite and goose keep for themselves has no definition of ours.
func sqliteLayout(ctx context.Context, q db.Querier) (layout, error) {
	l := layout{}
	err := db.Each(ctx, q, func(r *sql.Rows) error {
		var kind, name, on, text string
		if err := r.Scan(&kind, &name, &on, &text); err != nil {
			return err
		}
		if kind == "index" {
			text = "on " + on + ": " + text
		}
		if name == "goose_db_version" || name == "sqlite_sequence" {
			text = ""
		}
		l[kind+" "+name] = strings.TrimSpace(text)
		return nil
	}, `SELECT type, name, tbl_name, coalesce(sql, '') FROM sqlite_master WHERE type <> 'trigger' AND name NOT LIKE 'sqlite\_stat%' ESCAPE '\'`)
	return l, err
}

// madeSQLite is the layout that the migrations make, in a database in memory.
var madeSQLite = sync.OnceValues(func() (_ layout, err error) {
	ctx := context.Background()
	d, err := db.OpenMemory(ctx)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, d.Close()) }()
	if _, err := Migrate(ctx, d, false); err != nil {
		return nil, err
	}
	return sqliteLayout(ctx, d.Reader)
})

// recordedPostgres is the layout that the migrations make in PostgreSQL, recorded by TestThePostgresLayoutIsRecorded: there is no
// PostgreSQL in memory. A line is a thing, a tab, and its definition.
//
//go:embed migrations/postgres.layout
var recordedPostgres string

func madePostgres() layout {
	l := layout{}
	for line := range strings.Lines(recordedPostgres) {
		name, text, _ := strings.Cut(strings.TrimSuffix(line, "\n"), "\t")
		l[name] = text
	}
	return l
}

// postgresLayouts ask for what a schema of PostgreSQL consists of: a kind and name, and a definition. Things that an extension brought
// are its own. Of the functions those of the triggers are compared with their triggers.
var postgresLayouts = []string{
	// No table of ours is unlogged, has policies, or is inherited from; views, foreign tables and sequences are none of ours.
	`SELECT CASE c.relkind WHEN 'r' THEN 'table ' WHEN 'p' THEN 'table ' WHEN 'v' THEN 'view ' WHEN 'm' THEN 'view ' WHEN 'f' THEN 'foreign table ' WHEN 'c' THEN 'type ' ELSE 'relation ' END || c.relname,
		concat_ws(' ', CASE c.relkind WHEN 'r' THEN 'plain' WHEN 'p' THEN 'partitioned ' || pg_get_partkeydef(c.oid) ELSE 'other' END,
			CASE c.relpersistence WHEN 'p' THEN NULL ELSE 'unlogged' END, CASE WHEN c.relrowsecurity THEN 'row security' END, CASE WHEN c.relforcerowsecurity THEN 'forced row security' END,
			CASE WHEN c.relispartition THEN pg_get_expr(c.relpartbound, c.oid) END,
			(SELECT 'inherited by ' || string_agg(i.inhrelid::regclass::text, ', ' ORDER BY i.inhrelid::regclass::text) FROM pg_inherits i JOIN pg_class k ON k.oid = i.inhrelid WHERE i.inhparent = c.oid AND NOT k.relispartition))
		FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
		WHERE n.nspname = 'public' AND c.relkind NOT IN ('i', 'I', 't') AND NOT EXISTS (SELECT 1 FROM pg_depend d WHERE d.classid = 'pg_class'::regclass AND d.objid = c.oid AND d.deptype IN ('e', 'i', 'a') AND (d.deptype = 'e' OR c.relkind = 'S'))`,
	`SELECT 'column ' || c.relname || '.' || a.attname, concat_ws(' ', format_type(a.atttypid, a.atttypmod), CASE WHEN a.attcollation <> 0 AND t.typcollation <> a.attcollation THEN 'collate ' || k.collname END,
			CASE WHEN a.attnotnull THEN 'not null' END, CASE a.attgenerated WHEN '' THEN CASE WHEN e.adbin IS NOT NULL THEN 'default ' || pg_get_expr(e.adbin, e.adrelid) END ELSE 'generated ' || pg_get_expr(e.adbin, e.adrelid) END,
			CASE a.attidentity WHEN '' THEN NULL ELSE 'identity' END)
		FROM pg_attribute a JOIN pg_class c ON c.oid = a.attrelid JOIN pg_namespace n ON n.oid = c.relnamespace JOIN pg_type t ON t.oid = a.atttypid
		LEFT JOIN pg_collation k ON k.oid = a.attcollation LEFT JOIN pg_attrdef e ON e.adrelid = a.attrelid AND e.adnum = a.attnum
		WHERE n.nspname = 'public' AND c.relkind IN ('r', 'p') AND a.attnum > 0 AND NOT a.attisdropped AND c.relname <> 'goose_db_version'`,
	`SELECT 'index ' || i.relname, concat_ws(' ', pg_get_indexdef(i.oid), CASE WHEN NOT x.indisvalid THEN 'not valid' END, CASE WHEN NOT x.indisready THEN 'not ready' END, CASE WHEN NOT x.indislive THEN 'not live' END)
		FROM pg_index x JOIN pg_class i ON i.oid = x.indexrelid JOIN pg_class c ON c.oid = x.indrelid JOIN pg_namespace n ON n.oid = c.relnamespace
		WHERE n.nspname = 'public' AND c.relkind IN ('r', 'p') AND c.relname <> 'goose_db_version'`,
	`SELECT 'constraint ' || c.relname || '.' || k.conname, concat_ws(' ', pg_get_constraintdef(k.oid), CASE WHEN NOT k.convalidated THEN 'not validated' END)
		FROM pg_constraint k JOIN pg_class c ON c.oid = k.conrelid JOIN pg_namespace n ON n.oid = c.relnamespace
		WHERE n.nspname = 'public' AND k.contype IN ('p', 'u', 'f', 'c', 'x') AND c.relname <> 'goose_db_version'`,
	`SELECT 'rule ' || c.relname || '.' || r.rulename, pg_get_ruledef(r.oid) FROM pg_rewrite r JOIN pg_class c ON c.oid = r.ev_class JOIN pg_namespace n ON n.oid = c.relnamespace
		WHERE n.nspname = 'public' AND c.relkind IN ('r', 'p')`,
	`SELECT 'policy ' || c.relname || '.' || p.polname, 'policy' FROM pg_policy p JOIN pg_class c ON c.oid = p.polrelid JOIN pg_namespace n ON n.oid = c.relnamespace WHERE n.nspname = 'public'`,
	`SELECT 'function ' || p.proname || '(' || pg_get_function_identity_arguments(p.oid) || ')', concat_ws(' ', l.lanname, pg_get_function_result(p.oid), CASE WHEN p.prosecdef THEN 'security definer' END,
			array_to_string(p.proconfig, ' '), md5(p.prosrc))
		FROM pg_proc p JOIN pg_namespace n ON n.oid = p.pronamespace JOIN pg_language l ON l.oid = p.prolang
		WHERE n.nspname = 'public' AND p.prorettype <> 'trigger'::regtype AND NOT EXISTS (SELECT 1 FROM pg_depend d WHERE d.classid = 'pg_proc'::regclass AND d.objid = p.oid AND d.deptype = 'e')`,
	`SELECT 'function ' || p.proname || '()', concat_ws(' ', CASE WHEN p.prosecdef THEN 'security definer' END, array_to_string(p.proconfig, ' '))
		FROM pg_proc p JOIN pg_namespace n ON n.oid = p.pronamespace
		WHERE n.nspname = 'public' AND p.prorettype = 'trigger'::regtype AND (p.prosecdef OR p.proconfig IS NOT NULL OR NOT EXISTS (SELECT 1 FROM pg_trigger t WHERE t.tgfoid = p.oid))
		AND NOT EXISTS (SELECT 1 FROM pg_depend d WHERE d.classid = 'pg_proc'::regclass AND d.objid = p.oid AND d.deptype = 'e')`,
	`SELECT 'event trigger ' || e.evtname, e.evtevent FROM pg_event_trigger e WHERE NOT EXISTS (SELECT 1 FROM pg_depend d WHERE d.classid = 'pg_event_trigger'::regclass AND d.objid = e.oid AND d.deptype = 'e')`,
}

// part is a partition's name in the name or definition of a thing.
var part = regexp.MustCompile(`\bposting_(\d+)`)

// postgresLayout reads the layout of a PostgreSQL. The partitions of the table posting are made as they are needed: they have one
// description together. One that is made otherwise than they should be, or than the first one, is in odd.
func postgresLayout(ctx context.Context, q db.Querier, made layout) (l layout, odd []Lapse, err error) {
	l = layout{}
	for _, query := range postgresLayouts {
		err := db.Each(ctx, q, func(r *sql.Rows) error {
			var name, text string
			if err := r.Scan(&name, &text); err != nil {
				return err
			}
			if m := part.FindStringSubmatch(name); m != nil {
				n, err := strconv.ParseInt(m[1], 10, 40)
				if err != nil {
					n = -1
				}
				is := name
				name, text = part.ReplaceAllString(name, "posting_#"), part.ReplaceAllString(text, "posting_#")
				text = strings.Replace(text, fmt.Sprintf("FOR VALUES FROM ('%d') TO ('%d')", n*partition, (n+1)*partition), "its part", 1)
				want, ok := made[name]
				if !ok {
					want, ok = l[name]
				}
				if ok && want != text {
					odd = append(odd, Lapse{is, "schema", "the migrations make it " + shorten(want) + "; it is " + shorten(text)})
					text = want
				}
			}
			l[name] = text
			return nil
		}, query)
		if err != nil {
			return nil, nil, err
		}
	}
	return l, odd, nil
}

// partition is how many seqs a partition of the table posting has.
const partition = 4_194_304

func shorten(text string) string {
	if text == "" {
		return "nothing"
	}
	if r := []rune(text); len(r) > 120 {
		return string(r[:120]) + "…"
	}
	return text
}

// against names what is missing, foreign, or other than the migrations make it.
func (l layout) against(made layout) (out []Lapse) {
	for name, text := range made {
		switch is, ok := l[name]; {
		case !ok:
			out = append(out, Lapse{name, "schema", "it is missing"})
		case is != text:
			out = append(out, Lapse{name, "schema", "the migrations make it " + shorten(text) + "; it is " + shorten(is)})
		}
	}
	for name := range l {
		if _, ok := made[name]; !ok {
			out = append(out, Lapse{name, "schema", "it is not ours: no migration makes it"})
		}
	}
	slices.SortFunc(out, func(a, b Lapse) int { return strings.Compare(a.Name, b.Name) })
	return out
}

// owners names what does not belong to the owner of the table event, and a server's role that may more than the grants say.
func owners(ctx context.Context, q db.Querier) (out []Lapse, err error) {
	for _, c := range []struct{ field, words, query string }{
		{"owner", "it belongs to %s, and the table event to another", `SELECT c.relname::text, pg_get_userbyid(c.relowner)::text FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
			WHERE n.nspname = 'public' AND c.relkind IN ('r', 'p') AND c.relowner <> (SELECT relowner FROM pg_class WHERE oid = to_regclass('public.event'))`},
		{"owner", "it belongs to %s, and the table event to another", `SELECT 'function ' || p.proname, pg_get_userbyid(p.proowner)::text FROM pg_proc p JOIN pg_namespace n ON n.oid = p.pronamespace
			WHERE n.nspname = 'public' AND p.proowner <> (SELECT relowner FROM pg_class WHERE oid = to_regclass('public.event'))
			AND NOT EXISTS (SELECT 1 FROM pg_depend d WHERE d.classid = 'pg_proc'::regclass AND d.objid = p.oid AND d.deptype = 'e')`},
		{"owner", "it belongs to the server's role %s, which nothing is refused then", `SELECT c.relname::text, '` + db.Role + `' FROM pg_class c WHERE c.oid = to_regclass('public.event') AND pg_get_userbyid(c.relowner) = '` + db.Role + `'`},
		{"grant", "the server's role may %s", `SELECT rolname::text, concat_ws(', ', CASE WHEN rolsuper THEN 'do everything' END, CASE WHEN rolbypassrls THEN 'go round policies' END,
			CASE WHEN rolcreaterole THEN 'make roles' END, CASE WHEN rolcreatedb THEN 'make databases' END, CASE WHEN rolreplication THEN 'replicate' END) FROM pg_roles WHERE rolname = '` + db.Role + `'
			AND (rolsuper OR rolbypassrls OR rolcreaterole OR rolcreatedb OR rolreplication)`},
		{"grant", "the server's role is a member of %s", `SELECT '` + db.Role + `', pg_get_userbyid(m.roleid)::text FROM pg_auth_members m WHERE pg_get_userbyid(m.member) = '` + db.Role + `'`},
		{"grant", "the server's role may %s in this schema", `SELECT 'public', 'make things' WHERE has_schema_privilege('` + db.Role + `', 'public', 'CREATE')`},
		{"grant", "there are grants on the column %s alone", `SELECT c.relname::text, a.attname::text FROM pg_attribute a JOIN pg_class c ON c.oid = a.attrelid JOIN pg_namespace n ON n.oid = c.relnamespace
			WHERE n.nspname = 'public' AND c.relkind IN ('r', 'p') AND a.attacl IS NOT NULL`},
		{"grant", "another role may write here: %s", `SELECT c.relname::text, string_agg(DISTINCT pg_get_userbyid(a.grantee)::text, ', ') FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace CROSS JOIN LATERAL aclexplode(c.relacl) a
			WHERE n.nspname = 'public' AND c.relkind IN ('r', 'p') AND a.grantee <> 0 AND a.grantee <> c.relowner AND pg_get_userbyid(a.grantee) <> '` + db.Role + `' AND a.privilege_type <> 'SELECT' GROUP BY c.relname`},
	} {
		err := db.Each(ctx, q, func(r *sql.Rows) error {
			var name, what string
			err := r.Scan(&name, &what)
			out = append(out, Lapse{name, c.field, fmt.Sprintf(c.words, what)})
			return err
		}, c.query)
		if err != nil {
			return nil, err
		}
	}
	return out, nil
}

// layoutLapses compares the whole schema with what the migrations make. compared is false on a cluster, whose tables are made of others.
func layoutLapses(ctx context.Context, engine db.Engine, q db.Querier) (out []Lapse, compared bool, err error) {
	if engine == db.SQLite {
		made, err := madeSQLite()
		if err != nil {
			return nil, false, err
		}
		is, err := sqliteLayout(ctx, q)
		return is.against(made), true, err
	}
	cluster, err := clustered(ctx, q)
	if err != nil || cluster {
		return nil, false, err
	}
	made := madePostgres()
	is, odd, err := postgresLayout(ctx, q, made)
	if err != nil {
		return nil, false, err
	}
	others, err := owners(ctx, q)
	return slices.Concat(is.against(made), odd, others), true, err
}

// RecordLayout gives the layout of a PostgreSQL as it is recorded.
func RecordLayout(ctx context.Context, q db.Querier) (string, error) {
	l, odd, err := postgresLayout(ctx, q, nil)
	if err != nil {
		return "", err
	}
	if len(odd) > 0 {
		return "", fmt.Errorf("store: %s: %s", odd[0].Name, odd[0].Words)
	}
	var b strings.Builder
	for _, name := range slices.Sorted(maps.Keys(l)) {
		fmt.Fprintf(&b, "%s\t%s\n", name, l[name])
	}
	return b.String(), nil
}
