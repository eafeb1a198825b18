package torture

import (
	"os"
	"slices"
	"testing"
)

func TestMain(m *testing.M) {
	Program()
	os.Exit(m.Run())
}

// The short form. make torture is the long one.
func TestItSurvives(t *testing.T) {
	t.Parallel()
	for _, s := range scenarios(true) {
		t.Run(s.name, func(t *testing.T) {
			t.Parallel()
			r := runScenario(t.Context(), s, Options{Seed: 1, Short: true, Log: t.Output(), Dir: t.TempDir()})
			if !r.Good() {
				t.Errorf("broken: %v, could not run: %v", r.Red(), r.Could)
			}
			for _, i := range []invariant{acknowledged, once, firstAnswer, answers, seqs, versions, times, leaves, tree, prefixes, replay, guards, comesBack, stops} {
				if r.Tallies[i].Checked == 0 {
					t.Errorf("%s was not checked", i)
				}
			}
		})
	}
}

// What is broken on purpose is seen, each time by the invariant that is about it.
func TestSabotages(t *testing.T) {
	if testing.Short() {
		t.Skip("TestItSurvives runs the same servers")
	}
	t.Parallel()
	for _, s := range sabotages() {
		t.Run(s.name, func(t *testing.T) {
			t.Parallel()
			r := runScenario(t.Context(), s, Options{Seed: 1, Short: true, Log: t.Output(), Dir: t.TempDir()})
			if len(r.Could) > 0 {
				t.Fatalf("could not run: %v", r.Could)
			}
			if red := r.Red(); !slices.Contains(red, s.red.String()) {
				t.Errorf("%s stayed green; red are %v", s.red, red)
			}
		})
	}
}

// Not having been able to run is neither held nor broken.
func TestExitCode(t *testing.T) {
	held, could, broken := newResult(scenario{}), newResult(scenario{}), newResult(scenario{})
	could.cannot(cannot("no disk"))
	broken.broke(seqs, "a gap")
	noticed, missed := newResult(scenario{sabotage: true, red: seqs}), newResult(scenario{sabotage: true, red: seqs})
	noticed.broke(seqs, "a gap")
	missed.broke(tree, "something else")
	for _, c := range []struct {
		name string
		of   []*Result
		want int
	}{
		{"nothing was run", nil, CouldNot},
		{"held", []*Result{held}, Held},
		{"a part could not run", []*Result{held, could}, CouldNot},
		{"broken", []*Result{could, broken}, DoesntHold},
		{"a sabotage noticed", []*Result{held, noticed}, Held},
		{"a sabotage not noticed", []*Result{held, missed}, DoesntHold},
	} {
		if got := (&Report{Scenarios: c.of}).ExitCode(); got != c.want {
			t.Errorf("%s: got %d, want %d", c.name, got, c.want)
		}
	}
}
