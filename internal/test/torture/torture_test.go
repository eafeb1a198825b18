package torture

import (
	"os"
	"testing"
)

func TestMain(m *testing.M) {
	Program()
	os.Exit(m.Run())
}

// The short form. make torture is the long one.
func TestItSurvives(t *testing.T) {
	r := Run(t.Context(), Options{Seed: 1, Short: true, Log: t.Output(), Dir: t.TempDir()})
	t.Log(r)
	if code := r.ExitCode(); code != Held {
		t.Errorf("exit code %d", code)
	}
}
