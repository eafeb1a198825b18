// Package shop opens real shops for tests: a store on a real file, a program, and the check of the whole journal that
// ends every test which touches it.
package shop

import (
	"context"
	"crypto/rand"
	"fmt"
	"io"
	"log/slog"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"perennial/internal/audit"
	"perennial/internal/db"
	"perennial/internal/id"
	"perennial/internal/journal"
	"perennial/internal/kinds"
	"perennial/internal/program"
	"perennial/internal/settings"
	"perennial/internal/store"
	"perennial/internal/vault"
)

// Shop is an open shop.
type Shop struct {
	Dir     string
	DB      *db.DB
	Store   *store.Store
	Program *program.Program
	IDs     *id.Maker
	t       testing.TB
	skip    bool
	beside  bool // somebody wrote beside the program
}

// Open makes a shop in an empty folder, with its settings. When the test ends the whole journal is checked, unless
// Broken was called.
func Open(t testing.TB) *Shop {
	t.Helper()
	s := OpenAt(t, t.TempDir())
	s.Found()
	return s
}

// OpenAt opens the shop of a folder.
func OpenAt(t testing.TB, dir string) *Shop {
	t.Helper()
	return OpenWith(t, dir, time.Now, rand.Reader, db.Options{})
}

// OpenWith opens the shop of a folder with a clock and a source of ids.
func OpenWith(t testing.TB, dir string, clock program.Clock, random io.Reader, opt db.Options) *Shop {
	t.Helper()
	ctx := context.Background()
	folder, err := vault.Open(filepath.Join(dir, "keys"))
	must(t, err)
	d, err := openDB(ctx, t, dir, opt)
	must(t, err)
	s := &Shop{Dir: dir, DB: d, IDs: id.NewMaker(clock, random), t: t}
	s.Store, err = store.Open(ctx, d, folder, kinds.Mappings(), s.IDs.NewShop)
	must(t, err)
	must(t, s.Store.FinishErasures(ctx))
	s.Program, err = program.Start(ctx, s.Store, s.IDs, clock, slog.New(slog.DiscardHandler))
	must(t, err)
	t.Cleanup(func() {
		if !s.skip {
			s.Check()
		}
		s.Close()
	})
	return s
}

// Broken says that the test damages the journal on purpose.
func (s *Shop) Broken() { s.skip = true }

// Close stops the program and closes the files.
func (s *Shop) Close() {
	must(s.t, s.Program.Stop())
	must(s.t, s.DB.Close())
}

// Found makes the settings.
func (s *Shop) Found() {
	s.t.Helper()
	for _, d := range settings.Defaults("Test shop", "Europe/Berlin", "EUR") {
		s.Do(journal.Bind(settings.Update{Document: d}))
	}
}

// System is who acts in tests unless they say otherwise.
var System = program.Meta{Actor: journal.Actor{Kind: journal.ActorSystem, ID: "test"}, Source: journal.Origin{Channel: journal.ChannelCLI}}

// Do runs a command that must be accepted.
func (s *Shop) Do(c journal.Command) *program.Outcome {
	s.t.Helper()
	out, err := s.Try(c)
	must(s.t, err)
	return out
}

// Try runs a command.
func (s *Shop) Try(c journal.Command) (*program.Outcome, error) {
	return s.Program.Do(context.Background(), &program.Request{Meta: System, Command: c})
}

// Verify checks the whole journal.
func (s *Shop) Verify() *audit.Report {
	s.t.Helper()
	r, err := audit.Verify(context.Background(), s.Store, nil)
	must(s.t, err)
	return r
}

// Check fails the test when anything in the journal is wrong.
func (s *Shop) Check() {
	s.t.Helper()
	r := s.Verify()
	for _, p := range r.Problems {
		if s.beside && strings.HasSuffix(p.Field, ".mac") { // what the test forged
			continue
		}
		s.t.Errorf("verify: %s", p)
	}
}

// Things counts what there is, for a test that wants nothing more to be made: entries, besides those of what was only looked at or refused, and
// the rows that have no entry.
func (s *Shop) Things() string {
	s.t.Helper()
	ctx := context.Background()
	entries := 0
	for e, err := range s.Store.Events(ctx, s.Store.Read, store.Closed, 0, 0) {
		must(s.t, err)
		if !strings.HasPrefix(string(e.Type), "log.") && !strings.HasSuffix(string(e.Type), "_failed") && !strings.HasSuffix(string(e.Type), ".denied") {
			entries++
		}
	}
	var out strings.Builder
	fmt.Fprintf(&out, "%d entries", entries)
	for _, table := range []string{"session", "link", "outbox", "saved_view"} {
		var n int
		must(s.t, s.Store.Read.QueryRowContext(ctx, `SELECT COUNT(*) FROM `+table).Scan(&n))
		fmt.Fprintf(&out, ", %d %s", n, table)
	}
	return out.String()
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}
