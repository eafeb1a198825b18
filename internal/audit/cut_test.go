package audit_test

import (
	"context"
	"testing"

	"perennial/internal/audit"
	"perennial/internal/db"
	"perennial/internal/fault"
	"perennial/internal/server"
	"perennial/internal/test/shop"
)

// What cannot be read is no difference: when the way to the database goes, or the check is stopped, there is no report, and the exit code is 2.
func TestACheckThatIsCutOff(t *testing.T) {
	v := base(t)
	s, done, err := server.OpenReadOnly(t.Context(), v.Config)
	check(t, err)
	defer done()
	ctx, stop := context.WithCancel(t.Context())
	defer stop()
	r, err := audit.Check(ctx, s, audit.Options{Progress: func(int64, int64) { stop() }})
	if r != nil || err == nil || fault.As(err).Kind.ExitCode() != 2 {
		t.Errorf("stopped: got %+v and %v, want no report and exit code 2", r, err)
	}
	if shop.Engine() != db.Postgres {
		return
	}
	for piece, name := range map[int64]string{0: "a snapshot", 50: "pieces"} {
		c := v.open(t)
		r, err := audit.Check(t.Context(), s, audit.Options{Beside: piece > 0, Piece: piece, Progress: func(int64, int64) {
			exec(t, c, `SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid()`)
		}})
		if r != nil || err == nil || fault.As(err).Kind.ExitCode() != 2 {
			t.Errorf("%s, with its connections ended: got %+v and %v, want no report and exit code 2", name, r, err)
		}
	}
}
