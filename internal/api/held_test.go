package api_test

import (
	"encoding/csv"
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"perennial/internal/find/findtest"
	"perennial/internal/journal"
	"perennial/internal/subscription"
)

// hide leaves entries out of the index of a running shop.
func (s *shop) hide(seqs ...int64) {
	s.t.Helper()
	s.Finder = findtest.HideFrom(s.t, s.Finder, s.Store, filepath.Dir(s.Store.DB.Path), seqs...)
	s.api.Finder = s.Finder
}

// An entry that is not in the index is in every log all the same, and the answer says so; a rebuilt index heals it.
func TestAHiddenEntryIsInEveryLog(t *testing.T) {
	s := openShop(t)
	ada := s.customer("ada@example.com")
	key := s.subscription(ada, s.variant(s.product("Coffee"), "250 g", 1250))
	pause := s.run(journal.Bind(subscription.Pause{ID: key})).Events[0].Seq
	s.run(journal.Bind(subscription.ChangeNote{ID: key, Note: "Called."}))
	paths := []string{"/subscriptions/" + string(key) + "/log", "/customers/" + string(ada) + "/log", "/events", "/events?type=subscription.paused", "/events?target=" + string(key),
		"/customers/" + string(ada) + "/log?order=asc&limit=2"}
	look := func(path string) (marked, listed bool, words string) {
		for at := path; ; {
			a := s.do("GET", at, nil).want(200)
			for _, e := range a.at("data").([]any) {
				if e := e.(map[string]any); e["seq"] == float64(pause) {
					listed, marked = true, e["found_by_chain"] == true
				}
			}
			hidden := a.at("check.hidden").([]any)
			if len(hidden) > 0 && !slices.Contains(hidden, any(float64(pause))) {
				t.Errorf("%s: hidden %v", at, hidden)
			}
			if w := a.text("check.words"); words == "" || len(hidden) > 0 {
				words = w
			}
			next, more := a.at("next_cursor").(string)
			if !more {
				return marked, listed, words
			}
			sep := "?"
			if strings.Contains(path, "?") {
				sep = "&"
			}
			at = path + sep + "cursor=" + next
		}
	}
	for _, path := range paths {
		if marked, listed, words := look(path); marked || !listed || !strings.Contains(words, "nothing is missing") {
			t.Errorf("%s, with nothing hidden: marked %v, listed %v, %q", path, marked, listed, words)
		}
	}
	s.hide(pause)
	for _, path := range paths {
		marked, listed, words := look(path)
		if !marked || !listed || !strings.Contains(words, fmt.Sprintf("#%d", pause)) || !strings.Contains(words, "perennial reindex") {
			t.Errorf("%s: marked %v, listed %v, %q", path, marked, listed, words)
		}
	}
	for _, format := range []string{"csv", "ndjson"} {
		a := s.do("GET", "/customers/"+string(ada)+"/log?format="+format, nil).want(200)
		if format == "ndjson" {
			if n := strings.Count(string(a.Body), `"found_by_chain":true`); n != 1 {
				t.Errorf("ndjson: %d lines are marked, want 1", n)
			}
			continue
		}
		rows, err := csv.NewReader(strings.NewReader(string(a.Body))).ReadAll()
		must(t, err)
		marked := 0
		for _, row := range rows[1:] {
			if row[len(row)-1] == "yes" && row[0] == fmt.Sprint(pause) {
				marked++
			}
		}
		if marked != 1 {
			t.Errorf("csv: %d rows are marked, want 1", marked)
		}
	}
	must(t, s.Finder.Rebuild(t.Context(), nil))
	for _, path := range paths {
		if marked, listed, words := look(path); marked || !listed || !strings.Contains(words, "nothing is missing") {
			t.Errorf("%s, rebuilt: marked %v, listed %v, %q", path, marked, listed, words)
		}
	}
}

// A stream sends what the index leaves out, in its place.
func TestAHiddenEntryIsInTheStream(t *testing.T) {
	s := openShop(t)
	key := s.subscription(s.customer("ada@example.com"), s.variant(s.product("Coffee"), "250 g", 1250))
	from := s.Program.Head()
	pause := s.run(journal.Bind(subscription.Pause{ID: key})).Events[0].Seq
	note := s.run(journal.Bind(subscription.ChangeNote{ID: key, Note: "Called."})).Events[0].Seq
	s.hide(pause)
	f := s.follow("?target="+string(key), fmt.Sprintf("Last-Event-ID: %d", from))
	defer f.close()
	for _, want := range []int64{pause, note} {
		if got := f.next()["id"]; got != fmt.Sprint(want) {
			t.Errorf("got %s, want %d", got, want)
		}
	}
}
