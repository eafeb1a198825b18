package store

import (
	"context"
	"database/sql"
	"fmt"
	"slices"
	"strings"

	"perennial/internal/db"
)

// In PostgreSQL completeness stands on three legs, because each alone can be gone round: row triggers that say what Triggers
// says for SQLite; a foreign key from each state row and secret to the event that it names, which works where triggers are
// off; and grants, by which the server's role may only insert into the journal and read it. The triggers hold for the
// owner and a superuser too, and in a session that replicates (ENABLE ALWAYS). They name every table with its schema: a
// search_path cannot lead them elsewhere.
//
// A call of PL/pgSQL that asks a query costs about 10 µs, so what can be asked of many rows together is. The events that a
// statement inserted are looked at when it ends. There is no table "pending": the closing of a batch (the update of the head) looks
// at all its events together, that no two are the same version of one target, and each target's row shows the last of them.
// That every batch is closed is asked at the commit, of the head, which is touched whenever events are inserted. So a row
// can only be written with an event of the running batch: all events before it are shown, and versions grow.
//
// Within a query, a row is looked up in another table by a subquery for each row, never a join: a kept plan may read all of a
// table for a join.
//
// On a cluster (citus.sql) there are no triggers of a statement and none at the commit: there each event is looked at as it is
// inserted.

// pgTrigger is one trigger of PostgreSQL and the function of the same name that it runs.
type pgTrigger struct {
	table, when, each string // "event", "BEFORE INSERT", "ROW"
	body              string // PL/pgSQL
	deferred          bool   // asked at the commit
	rows              string // what the body calls the rows of the statement
}

func (t pgTrigger) name() string {
	return t.table + "_" + strings.ToLower(strings.ReplaceAll(t.when, " ", "_"))
}

// definition is how the database itself writes the trigger down.
func (t pgTrigger) definition() string {
	table := t.table
	if table == "order" {
		table = `"order"`
	}
	if t.deferred {
		return fmt.Sprintf("CREATE CONSTRAINT TRIGGER %s %s ON public.%s DEFERRABLE INITIALLY DEFERRED FOR EACH %s EXECUTE FUNCTION %s()",
			t.name(), t.when, table, t.each, t.name())
	}
	rows := ""
	if t.rows != "" {
		rows = "REFERENCING NEW TABLE AS " + t.rows + " "
	}
	return fmt.Sprintf("CREATE TRIGGER %s %s ON public.%s %sFOR EACH %s EXECUTE FUNCTION %s()", t.name(), t.when, table, rows,
		t.each, t.name())
}

func postgresTriggers() []pgTrigger {
	var out []pgTrigger
	row := func(table, when, body string) {
		out = append(out, pgTrigger{table: table, when: when, each: "ROW", body: body})
	}
	raise := func(words string) string {
		return fmt.Sprintf("RAISE EXCEPTION 'perennial: %s' USING ERRCODE = '23000';", words)
	}
	check := func(condition, words string) string {
		return fmt.Sprintf("  IF %s THEN\n    %s\n  END IF;\n", condition, raise(words))
	}
	body := func(declare string, statements ...string) string {
		if declare != "" {
			declare = "\nDECLARE\n" + declare
		}
		return declare + "\nBEGIN\n" + strings.Join(statements, "") + "  RETURN NEW;\nEND "
	}
	refuse := func(table, when, words string) { row(table, when, "\nBEGIN\n  "+raise(words)+"\nEND ") }
	truncate := func(table string) {
		out = append(
			out,
			pgTrigger{
				table: table,
				when:  "BEFORE TRUNCATE",
				each:  "STATEMENT",
				body:  "\nBEGIN\n  " + raise(table+" cannot be truncated") + "\nEND ",
			},
		)
	}

	// The journal.
	for _, t := range []string{"event", "tree_node", "checkpoint"} {
		refuse(t, "BEFORE UPDATE", "the journal is append only: "+t+" cannot be updated")
		refuse(t, "BEFORE DELETE", "the journal is append only: "+t+" cannot be deleted")
		truncate(t)
	}
	// A kind at a time, so that only tables that have to do with the statement are opened.
	kinds := func(variable string, each func(table, also string) string) string {
		var b strings.Builder
		fmt.Fprintf(&b, "  CASE %s\n", variable)
		for _, k := range StateKinds {
			fmt.Fprintf(&b, "    WHEN '%s' THEN %s\n", k, each(quoted(k), ""))
		}
		return b.String() + "    ELSE " + each("target_head", " AND r.kind = "+variable) + "\n  END CASE;\n"
	}
	const (
		notNext  = "the seq of an event must be the next one"
		earlier  = "recorded_at is before the last event''s"
		noChain  = "target_prev_seq belongs to every version but the first"
		badChain = "target_prev_seq is not the event before this one of the same target"
		notAbove = "target_version is not above the one that the target''s row shows"
		unclosed = "an event was inserted and its batch not closed by the head"
	)
	row("event", "BEFORE INSERT", body("  prev record;\n  shown bigint;\n",
		"  IF current_setting('citus.enable_unsafe_triggers', true) IS NULL THEN\n    RETURN NEW;\n  END IF;\n",
		"  SELECT seq, recorded_at INTO prev FROM public.event WHERE shop_id = NEW.shop_id ORDER BY seq DESC LIMIT 1;\n",
		check("NEW.seq IS DISTINCT FROM coalesce(prev.seq, -1) + 1", notNext),
		check("NEW.recorded_at < prev.recorded_at", earlier),
		check("NEW.target_version < 1 OR (NEW.target_version = 1) IS DISTINCT FROM (NEW.target_prev_seq IS NULL)", noChain),
		check(`NEW.target_version > 1 AND NOT EXISTS (SELECT 1 FROM public.event WHERE shop_id = NEW.shop_id AND seq = NEW.target_prev_seq
      AND target_kind = NEW.target_kind AND target_id = NEW.target_id AND target_version = NEW.target_version - 1)`, badChain),
		kinds("NEW.target_kind", func(table, also string) string {
			return fmt.Sprintf("SELECT version INTO shown FROM public.%s r WHERE shop_id = NEW.shop_id AND id = NEW.target_id%s;", table,
				strings.ReplaceAll(also, "r.", ""))
		}),
		check("NEW.target_version <= coalesce(shown, 0)", notAbove)))
	out = append(out, pgTrigger{table: "event", when: "AFTER INSERT", each: "STATEMENT", rows: "added", body: `
DECLARE
  s record;
  k text;
  words text;
  bad boolean;
BEGIN
  FOR s IN SELECT shop_id, min(seq) AS first, max(seq) AS last, count(*) AS n FROM added GROUP BY shop_id LOOP
    UPDATE public.head SET seq = seq WHERE shop_id = s.shop_id;
    IF NOT FOUND THEN
      ` + raise("a shop without a head has no events") + `
    END IF;
    IF s.n <> s.last - s.first + 1
      OR s.first IS DISTINCT FROM coalesce((SELECT seq FROM public.event WHERE shop_id = s.shop_id AND seq < s.first ORDER BY seq DESC LIMIT 1), -1) + 1
      OR s.last IS DISTINCT FROM (SELECT seq FROM public.event WHERE shop_id = s.shop_id ORDER BY seq DESC LIMIT 1) THEN
      ` + raise(notNext) + `
    END IF;
  END LOOP;
  SELECT e.words INTO words FROM (SELECT CASE
      WHEN a.recorded_at < (SELECT p.recorded_at FROM public.event p WHERE p.shop_id = a.shop_id AND p.seq = a.seq - 1) THEN '` + earlier + `'
      WHEN a.target_version < 1 OR (a.target_version = 1) IS DISTINCT FROM (a.target_prev_seq IS NULL) THEN '` + noChain + `'
      WHEN a.target_version > 1 AND (SELECT p.seq < a.seq AND p.target_kind = a.target_kind AND p.target_id = a.target_id AND p.target_version = a.target_version - 1
        FROM public.event p WHERE p.shop_id = a.shop_id AND p.seq = a.target_prev_seq) IS NOT TRUE THEN '` + badChain + `'
    END AS words FROM added a) e WHERE e.words IS NOT NULL LIMIT 1;
  IF words IS NOT NULL THEN
    RAISE EXCEPTION 'perennial: %', words USING ERRCODE = '23000';
  END IF;
  FOR k IN SELECT DISTINCT target_kind FROM added LOOP
` + kinds("k", func(table, also string) string {
		return fmt.Sprintf(`bad := EXISTS (SELECT 1 FROM added a WHERE a.target_kind = k AND a.target_version <=
        coalesce((SELECT r.version FROM public.%s r WHERE r.shop_id = a.shop_id AND r.id = a.target_id%s), 0));`, table, also)
	}) + check("bad", notAbove) + `  END LOOP;
  RETURN NULL;
END `})

	// The head closes a batch. The last event is found by LIMIT and not by max: with max, a plan that is kept from when the journal was
	// small counts through all of it at every commit.
	const last = "coalesce((SELECT seq FROM public.event WHERE shop_id = NEW.shop_id ORDER BY seq DESC LIMIT 1), -1)"
	closes := func(from string) []string {
		batch := "FROM public.event e WHERE e.shop_id = NEW.shop_id AND e.seq > " + from + " AND e.seq <= NEW.seq"
		return []string{
			check("NEW.seq IS DISTINCT FROM "+last, "the head must name the last event"),
			check("(SELECT count(*) <> count(DISTINCT e.target_kind || ' ' || e.target_id || ' ' || e.target_version) "+batch+")",
				"an event is a version again"),
			"  FOR k IN SELECT DISTINCT e.target_kind " + batch + " LOOP\n",
			kinds("k", func(table, also string) string {
				return fmt.Sprintf(`bad := EXISTS (SELECT 1 %s AND e.target_kind = k
        AND (SELECT r.last_seq > %s AND (r.version > e.target_version OR r.version = e.target_version AND r.last_seq = e.seq)
          FROM public.%s r WHERE r.shop_id = e.shop_id AND r.id = e.target_id%s) IS NOT TRUE);`, batch, from, table, also)
			}),
			check("bad", "an event has no row that shows what it changed"),
			"  END LOOP;\n",
		}
	}
	row("head", "BEFORE INSERT", body("  k text;\n  bad boolean;\n", append([]string{
		check("EXISTS (SELECT 1 FROM public.head)", "a database has one shop, and one head")}, closes("-1")...)...))
	row("head", "BEFORE UPDATE", body("  k text;\n  bad boolean;\n", append([]string{
		"  IF NEW IS NOT DISTINCT FROM OLD THEN\n    RETURN NEW;\n  END IF;\n", // touched
		check(
			"NEW.shop_id IS DISTINCT FROM OLD.shop_id OR NEW.seq < OLD.seq OR NEW.recorded_at < OLD.recorded_at OR NEW.fingerprint IS DISTINCT FROM OLD.fingerprint",
			"a head only grows"),
		check("OLD.moved_to IS NOT NULL", "this journal was moved to another database: it is closed"),
	},
		closes("OLD.seq")...)...))
	out = append(out, pgTrigger{table: "head", when: "AFTER UPDATE", each: "ROW", deferred: true, body: body("",
		"  IF NEW IS DISTINCT FROM OLD THEN\n    RETURN NEW;\n  END IF;\n",
		check(last+" IS DISTINCT FROM (SELECT seq FROM public.head WHERE shop_id = NEW.shop_id)", unclosed))})
	refuse("head", "BEFORE DELETE", "a head is never deleted")
	truncate("head")

	// States.
	state := func(table, kind, idColumn string, key ...string) {
		// The key to the journal asks this, except of a replica.
		entry := fmt.Sprintf(
			"  IF current_setting('session_replication_role') = 'replica' THEN\n"+check(
				`NOT EXISTS (SELECT 1 FROM public.event WHERE shop_id = NEW.shop_id AND seq = NEW.last_seq
      AND target_kind = %s AND target_id = NEW.%s AND target_version = NEW.version)`,
				"nothing changes without an entry: no event names this row of %s and its version")+"  END IF;\n",
			kind,
			idColumn,
			table,
		)
		var moved []string
		for _, k := range key {
			moved = append(moved, fmt.Sprintf("NEW.%s IS DISTINCT FROM OLD.%s", k, k))
		}
		insert := entry
		if table == "target_head" {
			insert = check("NEW.kind IN ("+quotedKinds()+")", "a target with a state has no row in target_head") + entry
		}
		row(table, "BEFORE INSERT", body("", insert))
		row(table, "BEFORE UPDATE", body(
			"",
			check(strings.Join(moved, " OR "), "the key of a row of "+table+" never changes"),
			check("NEW.version <= OLD.version OR NEW.last_seq <= OLD.last_seq",
				"nothing changes without an entry: version and last_seq of "+table+" must grow"),
			entry,
		))
		refuse(table, "BEFORE DELETE", "rows of "+table+" are never deleted")
		truncate(table)
	}
	for _, k := range StateKinds {
		state(string(k), "'"+string(k)+"'", "id", "shop_id", "id")
	}
	state("target_head", "NEW.kind", "id", "shop_id", "kind", "id")

	// Secrets: set only together with an event of the running batch that commits to them.
	committed := check(`NEW.last_seq <= coalesce((SELECT seq FROM public.head WHERE shop_id = NEW.shop_id), -1)
    OR NOT EXISTS (SELECT 1 FROM public.event WHERE shop_id = NEW.shop_id AND seq = NEW.last_seq AND target_kind = NEW.owner_kind
      AND target_id = NEW.owner_id AND target_version = NEW.version AND strpos(body, '"name":"' || NEW.name || '"') > 0)`,
		"nothing changes without an entry: no event of this batch sets this secret")
	row("secret", "BEFORE INSERT", body("", committed))
	row(
		"secret",
		"BEFORE UPDATE",
		body(
			"",
			check(
				`NEW.shop_id IS DISTINCT FROM OLD.shop_id OR NEW.owner_kind IS DISTINCT FROM OLD.owner_kind OR NEW.owner_id IS DISTINCT FROM OLD.owner_id
    OR NEW.name IS DISTINCT FROM OLD.name OR NEW.version <= OLD.version OR NEW.last_seq <= OLD.last_seq`,
				"the key of a secret never changes, and its version grows"),
			committed,
		),
	)
	refuse("secret", "BEFORE DELETE", "secrets are never deleted")
	truncate("secret")
	return out
}

func quotedKinds() string {
	var list []string
	for _, k := range StateKinds {
		list = append(list, "'"+string(k)+"'")
	}
	return strings.Join(list, ", ")
}

// entryKeys are the foreign keys to the journal.
func entryKeys() []Trigger {
	key := func(table, kind, id string) Trigger {
		return Trigger{
			table + "_entry",
			fmt.Sprintf(`ALTER TABLE public.%q ADD CONSTRAINT %s_entry FOREIGN KEY (shop_id, last_seq, %s, %s, version)
  REFERENCES public.event (shop_id, seq, target_kind, target_id, target_version)`, table, table, kind, id),
		}
	}
	keys := []Trigger{key("target_head", "kind", "id"), key("secret", "owner_kind", "owner_id")}
	for _, k := range StateKinds {
		keys = append(keys, key(string(k), "kind", "id"))
	}
	return keys
}

// comparePostgres is CompareTriggers for PostgreSQL. The foreign keys count as triggers here.
func comparePostgres(ctx context.Context, q db.Querier) (missing []Trigger, extra []Extra, err error) {
	has, on := map[string]string{}, map[string]string{}
	err = db.Each(ctx, q, func(r *sql.Rows) error {
		var name, table, definition, enabled, source string
		if err := r.Scan(&name, &table, &definition, &enabled, &source); err != nil {
			return err
		}
		on[name] = table
		has[name] = definition + "|" + enabled + "|" + source
		return nil
	}, `SELECT t.tgname, c.relname, pg_get_triggerdef(t.oid), t.tgenabled::text, p.prosrc FROM pg_trigger t
		JOIN pg_proc p ON p.oid = t.tgfoid JOIN pg_class c ON c.oid = t.tgrelid JOIN pg_namespace n ON n.oid = c.relnamespace
		WHERE n.nspname = 'public' AND NOT t.tgisinternal`)
	if err != nil {
		return nil, nil, err
	}
	cluster, err := clustered(ctx, q)
	if err != nil {
		return nil, nil, err
	}
	for _, t := range postgresTriggers() {
		if cluster && (t.each == "STATEMENT" || t.deferred) {
			continue // see migrations/citus.sql
		}
		if has[t.name()] == t.definition()+"|A|"+t.body {
			delete(has, t.name())
			continue
		}
		missing = append(missing, Trigger{t.name(), strings.Join([]string{
			fmt.Sprintf("CREATE OR REPLACE FUNCTION public.%s() RETURNS trigger LANGUAGE plpgsql VOLATILE AS $perennial$%s$perennial$",
				t.name(), t.body),
			fmt.Sprintf("DROP TRIGGER IF EXISTS %s ON public.%q", t.name(), t.table),
			t.definition(),
			fmt.Sprintf("ALTER TABLE public.%q ENABLE ALWAYS TRIGGER %s", t.table, t.name()),
		}, "\n--\n")})
		delete(has, t.name())
	}
	for name := range has {
		extra = append(extra, Extra{name, fmt.Sprintf(`DROP TRIGGER %q ON public.%q`, name, on[name])})
	}
	var keys []string
	err = db.Each(ctx, q, func(r *sql.Rows) error {
		var name string
		err := r.Scan(&name)
		keys = append(keys, name)
		return err
	}, `SELECT c.conname FROM pg_constraint c JOIN pg_namespace n ON n.oid = c.connamespace WHERE n.nspname = 'public' AND c.contype = 'f' AND c.convalidated`)
	if err != nil {
		return nil, nil, err
	}
	for _, want := range entryKeys() {
		if !slices.Contains(keys, want.Name) {
			missing = append(missing, want)
		}
	}
	return missing, extra, nil
}

// grants make the server's role and give it what it needs: nothing in the journal but to insert and to read.
func grants() []string {
	out := []string{
		`DO $$ BEGIN CREATE ROLE ` + db.Role + ` NOLOGIN; EXCEPTION WHEN duplicate_object OR unique_violation THEN NULL; END $$`,
		`DO $$ BEGIN IF NOT pg_has_role(current_user, '` + db.Role + `', 'MEMBER') OR current_setting('is_superuser') = 'off' THEN GRANT ` + db.Role + ` TO CURRENT_USER; END IF;
EXCEPTION WHEN insufficient_privilege THEN NULL; END $$`,
		`GRANT USAGE ON SCHEMA public TO ` + db.Role,
		`REVOKE ALL ON FUNCTION perennial_posting_partition(bigint) FROM PUBLIC`,
		`GRANT EXECUTE ON FUNCTION perennial_posting_partition(bigint) TO ` + db.Role,
	}
	for _, t := range Tables(db.Postgres) {
		rights := "SELECT"
		if t.Writes != "" {
			rights += ", " + t.Writes
		}
		out = append(out, fmt.Sprintf(`REVOKE ALL ON public.%q FROM %s, PUBLIC`, t.Name, db.Role),
			fmt.Sprintf(`GRANT %s ON public.%q TO %s`, rights, t.Name, db.Role))
	}
	return out
}

// wrongGrants names the tables on which the server's role, or everybody, may do other things than they should.
func wrongGrants(ctx context.Context, q db.Querier) (wrong []string, err error) {
	has := map[string]string{}
	err = db.Each(ctx, q, func(r *sql.Rows) error {
		var table, rights string
		err := r.Scan(&table, &rights)
		has[table] = rights
		return err
	}, `SELECT c.relname, string_agg(CASE WHEN a.grantee = 0 THEN 'PUBLIC ' ELSE '' END || a.privilege_type, ', ' ORDER BY a.privilege_type)
		FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace CROSS JOIN LATERAL aclexplode(c.relacl) a LEFT JOIN pg_roles r ON r.oid = a.grantee
		WHERE n.nspname = 'public' AND c.relkind IN ('r', 'p') AND (a.grantee = 0 OR r.rolname = $1) GROUP BY c.relname`, db.Role)
	if err != nil {
		return nil, err
	}
	for _, t := range Tables(db.Postgres) {
		want := strings.FieldsFunc(t.Writes+",SELECT", func(r rune) bool { return r == ',' || r == ' ' })
		slices.Sort(want)
		if has[t.Name] != strings.Join(want, ", ") {
			wrong = append(wrong, t.Name)
		}
		delete(has, t.Name)
	}
	for name := range has { // a partition: what is granted on it goes round the table's triggers and grants
		wrong = append(wrong, name)
	}
	return wrong, nil
}
