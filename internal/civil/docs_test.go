package civil_test

import (
	"fmt"
	"os"
	"strconv"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"perennial/internal/civil"
)

// TestBillingRulesDocument computes the examples of docs/billing-rules.md: what the document promises is what happens.
func TestBillingRulesDocument(t *testing.T) {
	text, err := os.ReadFile("../../docs/billing-rules.md")
	if err != nil {
		t.Fatal(err)
	}
	rhythms, changes := 0, 0
	heading := ""
	for line := range strings.Lines(string(text)) {
		if !strings.HasPrefix(line, "|") {
			heading = ""
			continue
		}
		cells := strings.Split(strings.Trim(strings.TrimSpace(line), "|"), "|")
		for i := range cells {
			cells[i] = strings.TrimSpace(cells[i])
		}
		switch {
		case heading == "":
			heading = cells[0]
		case strings.HasPrefix(line, "|---"):
		case heading == "start":
			rhythms++
			anchorDay := 0
			if cells[2] != "" {
				if anchorDay, err = strconv.Atoi(cells[2]); err != nil {
					t.Fatal(err)
				}
			}
			s := civil.Begin(date(t, cells[0]), interval(t, cells[1]), anchorDay)
			checkDates(t, line, s, cells[3])
		case heading == "change" && strings.HasPrefix(cells[1], "20") || strings.HasPrefix(cells[1], "(20"):
			changes++
			checkDates(t, line, changed(t, cells[0]), cells[1])
		}
	}
	if rhythms < 11 || changes < 7 {
		t.Errorf("the document has %d rhythms and %d changes; are its tables read?", rhythms, changes)
	}
}

func checkDates(t *testing.T, line string, s civil.Schedule, want string) {
	t.Helper()
	var got []string
	for slot := range s.Upcoming(civil.Date{}, strings.Count(want, ",")+1) {
		if slot.Skipped {
			got = append(got, "("+slot.Date.String()+")")
		} else {
			got = append(got, slot.Date.String())
		}
	}
	if diff := cmp.Diff(want, strings.Join(got, ", ")); diff != "" {
		t.Errorf("%s%s", line, diff)
	}
}

// changed gives the document's example subscription after one of its changes.
func changed(t *testing.T, change string) civil.Schedule {
	t.Helper()
	s := civil.Begin(date(t, "2027-01-31"), monthly, 0)
	today, err := date(t, "2027-01-15"), error(nil)
	switch change {
	case "none":
	case "skip the next two":
		if s, err = s.Skip(s.Next()); err == nil {
			s, err = s.Skip(s.Next())
		}
	case "move the next to 2027-02-10":
		s, err = s.Move(date(t, "2027-02-10"), today)
	case "move it there and the rhythm":
		s, err = s.Restart(date(t, "2027-02-10"), today)
	case "every 2 weeks":
		s, err = s.Rebase(interval(t, change))
	case "pause, resume on 2027-03-01":
		s = s.ResumeFrom(date(t, "2027-03-01"))
	case "pause, every 2 weeks, resume on 2027-04-10":
		s, err = s.RebaseOnResume(interval(t, "every 2 weeks"))
		s = s.ResumeFrom(date(t, "2027-04-10"))
	default:
		t.Fatalf("the document has a change that this test does not know: %s", change)
	}
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// interval reads what Interval.String writes.
func interval(t *testing.T, words string) civil.Interval {
	t.Helper()
	i := civil.Interval{Count: 1}
	rest := strings.TrimSuffix(strings.TrimPrefix(words, "every "), "s")
	if n, unit, ok := strings.Cut(rest, " "); ok {
		if _, err := fmt.Sscan(n, &i.Count); err != nil {
			t.Fatal(err)
		}
		rest = unit
	}
	if i.Unit = civil.Unit(rest); i.String() != words {
		t.Fatalf("%q is not an interval: %v", words, i)
	}
	return i
}
