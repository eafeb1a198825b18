package pgtest

import (
	"database/sql"
	"testing"
)

func TestURL(t *testing.T) {
	d, err := sql.Open("pgx", URL(t))
	if err != nil {
		t.Fatal(err)
	}
	defer d.Close()
	var version int
	if err := d.QueryRowContext(t.Context(), `SELECT current_setting('server_version_num')::int`).Scan(&version); err != nil || version < 150000 {
		t.Errorf("version %d, %v", version, err)
	}
}
