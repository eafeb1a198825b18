package journal_test

import (
	"cmp"
	"flag"
	"fmt"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"
	"unicode"

	gocmp "github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"perennial/internal/id"
	"perennial/internal/journal"
)

var update = flag.Bool("update", false, "rewrite testdata/summaries.golden and docs/event-types.md")

// TestSummaries compares the sentence of every event of the story with testdata/summaries.golden, a line for each type
// and sentence in the order of the catalogue. Run it with -update after changing a sentence, and read the diff.
func TestSummaries(t *testing.T) {
	s := tell(t)
	order := map[string]int{}
	for i, ty := range journal.Types() {
		order[string(ty.Name)] = i
	}
	type line struct {
		at            int
		typ, sentence string
	}
	var lines []line
	told, undone := map[string]bool{}, map[string]bool{}
	for _, e := range s.Events {
		typ := e.Type
		if strings.HasPrefix(string(typ), journal.External) {
			typ = journal.External + "*"
		}
		at, ok := order[string(typ)]
		if !ok {
			t.Errorf("%s is not in the catalogue", e.Type)
		}
		sentence := journal.Summary(e)
		if closed := reread(t, e, nil); journal.Summary(closed) != sentence {
			t.Errorf("%s: %q, and with its boxes closed %q", e.Type, sentence, journal.Summary(closed))
		}
		for _, wrong := range awkward(e, sentence) {
			t.Errorf("%s: %q: %s", e.Type, sentence, wrong)
		}
		told[string(typ)] = true
		if ty, _ := journal.Lookup(e.Type); e.Target().Kind != ty.Target {
			t.Errorf("%s: its target is a %s, the catalogue says %s", e.Type, e.Target().Kind, ty.Target)
		} else if i := slices.IndexFunc(e.Targets[1:], func(r journal.Ref) bool { return !slices.Contains(ty.Mentions, r.Kind) }); i >= 0 {
			t.Errorf("%s: it mentions a %s, which the catalogue does not say", e.Type, e.Targets[1+i].Kind)
		}
		undone[string(typ)] = undone[string(typ)] || e.Corrects != ""
		if l := (line{at, string(e.Type), sentence}); !slices.Contains(lines, l) {
			lines = append(lines, l)
		}
	}
	for _, ty := range journal.Types() {
		if !told[string(ty.Name)] {
			t.Errorf("the story has no %s", ty.Name)
		}
		if ty.Undo != "" && !undone[string(ty.Undo)] {
			t.Errorf("the story has no %s that undoes something, such as %s", ty.Undo, ty.Name)
		}
	}
	slices.SortStableFunc(lines, func(a, b line) int { return cmp.Or(cmp.Compare(a.at, b.at), cmp.Compare(a.typ, b.typ)) })
	var b strings.Builder
	for _, l := range lines {
		fmt.Fprintf(&b, "%s\t%s\n", l.typ, l.sentence)
	}
	golden(t, "testdata/summaries.golden", b.String())
}

// reread writes an event and reads it back.
func reread(t rapid.TB, e *journal.Event, open journal.Opener) *journal.Event {
	t.Helper()
	body, ciphertexts := encode(t, e)
	got, err := journal.Decode(body, ciphertexts, open)
	if err != nil {
		t.Fatal(err)
	}
	return got
}

var (
	identifier = regexp.MustCompile(`\b[a-z]+_[a-z0-9]+`)
	isoDate    = regexp.MustCompile(`\d{4}-\d{2}`)
)

// awkward says what in a sentence no person would write, or nobody may read.
func awkward(e *journal.Event, s string) (wrong []string) {
	complain := func(bad bool, why string) {
		if bad {
			wrong = append(wrong, why)
		}
	}
	complain(s == "" || !unicode.IsUpper([]rune(s)[0]), "it begins with no capital letter")
	complain(strings.HasSuffix(s, ".") || strings.Contains(s, "  ") || strings.TrimSpace(s) != s, "a full stop or blanks too many")
	complain(strings.ContainsAny(s, "{}[]\""), "it shows JSON")
	complain(isoDate.MatchString(s), "a date that is not in words")
	complain(len(s) > 200, "it is long")
	complain(strings.Contains(strings.ToLower(s), "zelda") || strings.Contains(s, "4242"), "a personal value")
	complain((e.Corrects != "") != strings.HasPrefix(s, "Undid "), "an undo says so, and nothing else does")
	switch e.Type {
	case "subscription.merged", "subscription.split": // have nothing but ids to tell subscriptions apart
	case "access.denied": // the path, as it was asked for
	default:
		complain(identifier.MatchString(s), "an id or a name of the program")
	}
	return wrong
}

// TestSummaryOfAnything gives every type changes and details that it may have, with values that they should not have:
// there is a sentence always, it is the same with the boxes closed, and nothing personal is in it.
func TestSummaryOfAnything(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		ty := rapid.SampledFrom(journal.Types()).Draw(t, "type")
		e := &journal.Event{ID: id.Event("shop_k3m8z2qa", 0), Type: journal.Name(strings.ReplaceAll(string(ty.Name), "*", "x")), Targets: []journal.Ref{{Kind: ty.Target, ID: "x"}}, TargetVersion: rapid.Int64Range(1, 2).Draw(t, "version"),
			Corrects: rapid.SampledFrom([]id.ID{"", "evt_x"}).Draw(t, "corrects")}
		fields := ty.Fields
		if slices.Contains(fields, journal.All) {
			fields = []string{"status", "title", "name", "price", "permissions", "inventory", "paused_until", "next_billing_date", "merged_into", "items", "discounts", "country", "exp_year"}
		}
		for i, f := range fields {
			if i > 0 && rapid.Bool().Draw(t, "without") {
				continue
			}
			f += rapid.SampledFrom([]string{"", "", ".x", ".x.title", ".x.quantity", ".x.unit_price"}).Draw(t, "part")
			c := journal.Change{Field: f, Personal: rapid.Bool().Draw(t, "personal")}
			c.Before, c.After = genValue(t, c.Personal, true), genValue(t, c.Personal, false)
			e.Changes = append(e.Changes, c)
		}
		for _, name := range slices.Sorted(slices.Values(ty.Details)) {
			d := journal.Detail{Name: name, Personal: rapid.Bool().Draw(t, "personal detail")}
			d.Value = genValue(t, d.Personal, false)
			e.Details = append(e.Details, d)
		}
		got := journal.Summary(e)
		if strings.TrimSpace(got) == "" || strings.Contains(got, secretMark) || strings.Contains(got, "%!") {
			t.Errorf("%s: %q", e.Type, got)
		}
		if closed := journal.Summary(reread(t, e, nil)); closed != got {
			t.Errorf("%s: %q, and with its boxes closed %q", e.Type, got, closed)
		}
	})
}

// golden compares a text with a file, which -update rewrites.
func golden(t *testing.T, file, got string) {
	t.Helper()
	if *update {
		if err := os.WriteFile(file, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if diff := gocmp.Diff(strings.Split(string(want), "\n"), strings.Split(got, "\n")); diff != "" {
		t.Errorf("%s is not what it should be; run this test with -update and read the diff (-file +now):\n%s", file, diff)
	}
}

// TestGiftsWithoutADate reads an entry of the time before gifts told of their order.
func TestGiftsWithoutADate(t *testing.T) {
	e := &journal.Event{ID: id.Event("shop_k3m8z2qa", 0), Type: "subscription.order_gifted", Targets: []journal.Ref{{Kind: journal.Subscription, ID: "sub_x"}}}
	if got, want := journal.Summary(e), "Made an order a gift"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
	e.Corrects = "evt_x"
	if got, want := journal.Summary(e), "Undid the change of a gift"; got != want {
		t.Errorf("undone: got %q, want %q", got, want)
	}
}
