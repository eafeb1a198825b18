package shop

import (
	"context"
	"database/sql"
	"path/filepath"
	"strings"

	"perennial/internal/db"
)

// Shell runs a statement beside the program, as somebody does who may write what the server's role may and has no keys. It gives how
// many rows were changed, or the refusal.
func (s *Shop) Shell(text string, args ...any) (changed int64, err error) {
	s.t.Helper()
	s.beside = true
	s.shell(db.Role, func(c *sql.Conn) {
		var done sql.Result
		if done, err = c.ExecContext(context.Background(), text, args...); err == nil {
			changed, err = done.RowsAffected()
		}
	})
	return changed, err
}

func (s *Shop) shell(as string, do func(c *sql.Conn)) {
	s.t.Helper()
	ctx := context.Background()
	driver, source, role := "sqlite", "file:"+filepath.Join(s.Dir, "perennial.db")+"?_pragma=busy_timeout(5000)", "SELECT 1"
	if u := URL(s.t, s.Dir); u != "" {
		driver, source, role = "pgx", u, "SET ROLE "+as
	}
	d, err := sql.Open(driver, source)
	must(s.t, err)
	defer d.Close()
	c, err := d.Conn(ctx)
	must(s.t, err)
	defer c.Close()
	_, err = c.ExecContext(ctx, role)
	must(s.t, err)
	do(c)
}

// Copy reads a table of the machinery, and gives what puts it back as it was, with the rights of its owner.
func (s *Shop) Copy(table string) (putBack func()) {
	s.t.Helper()
	ctx := context.Background()
	var names []string
	var kept [][]any
	s.shell(db.Role, func(c *sql.Conn) {
		rows, err := c.QueryContext(ctx, `SELECT * FROM `+table)
		must(s.t, err)
		defer rows.Close()
		names, err = rows.Columns()
		must(s.t, err)
		for rows.Next() {
			values, into := make([]any, len(names)), make([]any, len(names))
			for i := range values {
				into[i] = &values[i]
			}
			must(s.t, rows.Scan(into...))
			kept = append(kept, values)
		}
		must(s.t, rows.Err())
	})
	return func() {
		s.t.Helper()
		s.shell("NONE", func(c *sql.Conn) {
			_, err := c.ExecContext(ctx, `DELETE FROM `+table)
			must(s.t, err)
			for _, values := range kept {
				_, err := c.ExecContext(ctx, `INSERT INTO `+table+` (`+strings.Join(names, ", ")+`) VALUES (`+db.Placeholders(1, len(names))+`)`, values...)
				must(s.t, err)
			}
		})
	}
}
