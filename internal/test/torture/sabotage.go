package torture

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"net/url"
	"os"
	"path/filepath"
	"syscall"
	"time"

	"perennial/internal/seal"
)

// sabotages are scenarios in which something is broken on purpose. Each has to turn its invariant red; a suite that stays green
// over one of them is broken itself.
func sabotages() []scenario {
	spoil := func(name string, red invariant, before, do fault) scenario {
		return scenario{name: "sabotage " + name, sabotage: true, red: red, rounds: []round{{name: name, times: 1, before: before, do: do}}}
	}
	off := spoil("synchronous=OFF", acknowledged, relax, loseAll)
	off.env = []string{powerVariable}
	commit := spoil("synchronous_commit=off", acknowledged, commitLater, killPostgres)
	commit.postgres = true
	commit.settings = []string{"wal_writer_delay=10s", "wal_writer_flush_after=1GB", "wal_buffers=64MB"}
	return append([]scenario{
		off,
		spoil("dropped trigger", guards, nil, rogueSQLite(false)),
		spoil("rogue writer through the hole", replay, nil, rogueSQLite(true)),
		spoil("skipped leaf", tree, nil, skipLeaf),
		spoil("forgotten answers", once, nil, forgetAnswers),
		spoil("old copy put back", prefixes, copyData, putBack),
		commit,
	}, billingSabotages()...)
}

// relax starts the server again with synchronous=OFF, after an end in order: what it had until then is on the disk.
func relax(_ context.Context, r *run) error {
	if err := r.orderly(); err != nil {
		return err
	}
	r.env = append(r.env, syncVariable)
	return nil
}

// orderly stops the server and waits for it.
func (r *run) orderly() error {
	if err := r.servers[0].signal(syscall.SIGTERM); err != nil {
		return err
	}
	select {
	case <-r.servers[0].end:
		return r.servers[0].err
	case <-time.After(startWithin):
		return errors.New("the server does not stop")
	}
}

func loseAll(_ context.Context, r *run) error {
	r.servers[0].kill()
	err := cutPower(r.shaken(powerVariable), nil)
	return err
}

// commitLater lets PostgreSQL acknowledge commits that are not on the disk. The server asks for synchronous_commit=on with each
// connection, so triggers have to talk it out of that: on every table, because any commit that is flushed takes those before it along.
func commitLater(_ context.Context, r *run) error {
	d, err := sql.Open("pgx", r.url)
	if err != nil {
		return err
	}
	_, err = d.Exec(`CREATE FUNCTION later() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN PERFORM set_config('synchronous_commit', 'off', true); RETURN NULL; END $$;
		DO $$ DECLARE t regclass; BEGIN
			FOR t IN SELECT c.oid::regclass FROM pg_class c WHERE c.relnamespace = current_schema()::regnamespace AND c.relkind IN ('r', 'p') AND NOT c.relispartition LOOP
				EXECUTE format('CREATE TRIGGER later AFTER INSERT OR UPDATE OR DELETE ON %s FOR EACH STATEMENT EXECUTE FUNCTION later()', t);
			END LOOP;
		END $$`)
	return errors.Join(err, d.Close())
}

// hole drops the triggers of tables, makes a change, and puts the triggers back if restore says so. Otherwise it does so beside
// the server, as one that starts makes its triggers anew, and drops only what watches over updates: without the others nothing can
// be committed any more.
func (r *run) hole(restore bool, tables string, change func(*sql.Tx) error) (err error) {
	if restore {
		r.servers[0].kill()
	}
	d, err := sql.Open("sqlite", "file:"+(&url.URL{Path: filepath.Join(r.data, "perennial.db")}).EscapedPath()+"?_txlock=immediate&_pragma=busy_timeout(10000)")
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, d.Close()) }()
	tx, err := d.Begin()
	if err != nil {
		return err
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, tx.Rollback())
		}
	}()
	rows, err := tx.Query(`SELECT name, sql FROM sqlite_master WHERE type = 'trigger' AND instr($1, ' ' || tbl_name || ' ') > 0 AND (name LIKE '%before_update' OR $2)`, " "+tables+" ", restore)
	if err != nil {
		return err
	}
	dropped := map[string]string{}
	for rows.Next() {
		var name, text string
		if err := rows.Scan(&name, &text); err != nil {
			return err
		}
		dropped[name] = text
	}
	if err := errors.Join(rows.Err(), rows.Close()); err != nil {
		return err
	}
	if len(dropped) == 0 {
		return fmt.Errorf("there are no triggers of %s", tables)
	}
	for name := range dropped {
		if _, err := tx.Exec(`DROP TRIGGER ` + name); err != nil {
			return err
		}
	}
	if err := change(tx); err != nil {
		return err
	}
	if restore {
		for _, text := range dropped {
			if _, err := tx.Exec(text); err != nil {
				return err
			}
		}
	}
	return tx.Commit()
}

// rogueSQLite changes rows without an entry. With restore the triggers are back afterwards, and only replay can tell.
func rogueSQLite(restore bool) fault {
	return func(_ context.Context, r *run) error {
		return r.hole(restore, "product", func(tx *sql.Tx) error {
			res, err := tx.Exec(`UPDATE product SET doc = replace(doc, 'Now', 'Not') WHERE instr(doc, 'Now') > 0`)
			if err != nil {
				return err
			}
			if n, err := res.RowsAffected(); err != nil || n == 0 {
				return fmt.Errorf("no row was changed: %w", err)
			}
			return nil
		})
	}
}

// skipLeaf makes the tree what it were if the writer had left out one entry.
func skipLeaf(_ context.Context, r *run) error {
	return r.hole(true, "head tree_node", func(tx *sql.Tx) (err error) {
		rows, err := tx.Query(`SELECT leaf_hash FROM event ORDER BY seq`)
		if err != nil {
			return err
		}
		var edge seal.Edge
		var nodes []seal.Node
		for n := 0; rows.Next(); n++ {
			var leaf []byte
			if err := rows.Scan(&leaf); err != nil {
				return err
			}
			if n != 20 {
				nodes = edge.Add(seal.Hash(leaf), nodes)
			}
		}
		if err := errors.Join(rows.Err(), rows.Close()); err != nil {
			return err
		}
		if _, err := tx.Exec(`DELETE FROM tree_node`); err != nil {
			return err
		}
		for _, n := range nodes {
			if _, err := tx.Exec(`INSERT INTO tree_node (shop_id, level, idx, hash) SELECT shop_id, $1, $2, $3 FROM head`, n.Level, n.Index, n.Hash[:]); err != nil {
				return err
			}
		}
		b, err := edge.MarshalBinary()
		if err != nil {
			return err
		}
		_, err = tx.Exec(`UPDATE head SET edge = $1`, b)
		return err
	})
}

// forgetAnswers loses the first answers of all idempotency keys.
func forgetAnswers(_ context.Context, r *run) error {
	r.servers[0].kill()
	d, err := sql.Open("sqlite", "file:"+(&url.URL{Path: filepath.Join(r.data, "perennial.db")}).EscapedPath())
	if err != nil {
		return err
	}
	_, err = d.Exec(`DELETE FROM idempotency`)
	return errors.Join(err, d.Close())
}

// copyData keeps a copy of the data folder, and putBack puts it in the place of what came after.
func copyData(_ context.Context, r *run) error {
	if err := r.orderly(); err != nil {
		return err
	}
	return os.CopyFS(r.data+".old", os.DirFS(r.data))
}

func putBack(_ context.Context, r *run) error {
	r.servers[0].kill()
	if err := os.RemoveAll(r.data); err != nil {
		return err
	}
	return os.Rename(r.data+".old", r.data)
}
