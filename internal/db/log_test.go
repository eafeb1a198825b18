package db_test

import (
	"path/filepath"
	"testing"

	"perennial/internal/db"
)

// A log that is moved beside the writer, and to its end between two transactions, begins anew.
func TestMoveLog(t *testing.T) {
	d, err := db.Open(t.Context(), filepath.Join(t.TempDir(), "a.db"), db.Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer d.Close()
	write := func(n int) {
		t.Helper()
		for range n {
			if _, err := d.Writer.ExecContext(t.Context(), `INSERT INTO words (text) VALUES (hex(randomblob(8000)))`); err != nil {
				t.Fatal(err)
			}
		}
	}
	if _, err := d.Writer.ExecContext(t.Context(), `CREATE TABLE words (text TEXT)`); err != nil {
		t.Fatal(err)
	}
	write(100)
	conn, err := d.Writer.Conn(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if _, err := conn.ExecContext(t.Context(), `BEGIN IMMEDIATE`); err != nil { // somebody is writing
		t.Fatal(err)
	}
	before, err := d.MoveLog(t.Context())
	if err != nil || before < 200 {
		t.Fatalf("got %d pages, %v, want 200 or more", before, err)
	}
	if _, err := conn.ExecContext(t.Context(), `INSERT INTO words (text) VALUES ('more')`); err != nil {
		t.Fatal(err)
	}
	if _, err := conn.ExecContext(t.Context(), `COMMIT`); err != nil {
		t.Fatal(err)
	}
	if pages, err := db.MoveLog(t.Context(), conn); err != nil || pages <= before {
		t.Fatalf("got %d pages, %v, want more than %d", pages, err, before)
	}
	if err := conn.Close(); err != nil {
		t.Fatal(err)
	}
	write(1)
	if pages, err := d.MoveLog(t.Context()); err != nil || pages > 10 {
		t.Errorf("got %d pages, %v, want a log that began anew", pages, err)
	}
	var rows int
	if err := d.Reader.QueryRowContext(t.Context(), `SELECT count(*) FROM words`).Scan(&rows); err != nil || rows != 102 {
		t.Errorf("got %d rows, %v, want 102", rows, err)
	}
}
