package view

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"perennial/internal/id"
	"perennial/internal/journal"
)

// TestFold folds what one cause made, what a program repeats and what a person repeats, and nothing else, whichever way the list is sorted.
func TestFold(t *testing.T) {
	noon := time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	type e struct {
		kind, actor, target, operation string
		cause                          int // seq; -1: none
		comment                        string
		day                            int
	}
	const team, program, engine = "team_member:mem_1", "system:messages", "system:billing"
	for _, c := range []struct {
		name string
		list []e
		want string // rows, oldest first, by seq of the head: steps, or x for a run
	}{
		{"one renewal", []e{{"order.created", engine, "order:o1", "a", -1, "", 0}, {"billing_attempt.started", engine, "order:o1", "a", 0, "", 0},
			{"billing_attempt.succeeded", engine, "order:o1", "b", 1, "", 0}, {"subscription.renewed", engine, "subscription:s1", "b", 2, "", 0}}, "3[0 1 2 3]"},
		{"two renewals at once", []e{{"order.created", engine, "order:o1", "a", -1, "", 0}, {"order.created", engine, "order:o2", "b", -1, "", 0},
			{"subscription.renewed", engine, "subscription:s1", "c", 0, "", 0}, {"subscription.renewed", engine, "subscription:s2", "d", 1, "", 0}}, "2[0 2] 3[1 3]"},
		{"a try of the next day", []e{{"billing_attempt.started", engine, "order:o1", "a", -1, "", 0}, {"billing_attempt.failed", engine, "order:o1", "b", 0, "", 0},
			{"billing_attempt.started", engine, "order:o1", "c", 1, "", 1}}, "0[0 1] 2"},
		{"a person leads what follows", []e{{"order.cancelled", engine, "order:o1", "a", 1, "", 0}, {"subscription.cancelled", team, "subscription:s1", "a", -1, "", 0}}, "1[0 1]"},
		{"a run of mails", []e{{"notification.sent", program, "message:m1", "a", -1, "", 0}, {"notification.sent", program, "message:m2", "b", -1, "", 0},
			{"notification.sent", program, "message:m3", "c", -1, "", 0}}, "x[0 1 2]"},
		{"two mails", []e{{"notification.sent", program, "message:m1", "a", -1, "", 0}, {"notification.sent", program, "message:m2", "b", -1, "", 0}}, "0 1"},
		{"mails of two days", []e{{"notification.sent", program, "message:m1", "a", -1, "", 0}, {"notification.sent", program, "message:m2", "b", -1, "", 1},
			{"notification.sent", program, "message:m3", "c", -1, "", 1}}, "0 1 2"},
		{"sign-ins", []e{{"team_member.logged_in", team, "team_member:mem_1", "a", -1, "", 0}, {"team_member.logged_in", team, "team_member:mem_1", "b", -1, "", 0},
			{"team_member.logged_in", team, "team_member:mem_1", "c", -1, "", 0}}, "x[0 1 2]"},
		{"changes by hand stay", []e{{"subscription.paused", team, "subscription:s1", "a", -1, "", 0}, {"subscription.paused", team, "subscription:s1", "b", -1, "", 0},
			{"subscription.paused", team, "subscription:s1", "c", -1, "", 0}}, "0 1 2"},
		{"a reason stays", []e{{"notification.sent", program, "message:m1", "a", -1, "why", 0}, {"notification.sent", program, "message:m2", "b", -1, "", 0},
			{"notification.sent", program, "message:m3", "c", -1, "", 0}}, "0 1 2"},
		{"none", nil, ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			list := make([]Event, len(c.list))
			for i, x := range c.list {
				actor, target := partyOf(x.actor), partyOf(x.target)
				row, known := journal.Lookup(journal.Name(x.kind))
				if !known {
					t.Fatalf("no type %s", x.kind)
				}
				list[i] = Event{ID: id.ID(rune('a' + i)), Seq: int64(i), Type: x.kind, Summary: x.kind, Label: row.Label, Actor: actor, Targets: []Party{target},
					CorrelationID: id.ID(x.operation), RecordedAt: journal.At(noon.AddDate(0, 0, x.day).Add(time.Duration(i) * time.Second)),
					Comment: MaybePersonal{journal.Secluded(x.comment)}}
				if x.cause >= 0 {
					list[i].CausationID = new(id.ID(rune('a' + x.cause)))
				}
			}
			if got := rowsInWords(list, Fold(list, time.UTC), false); got != c.want {
				t.Errorf("oldest first: got %s, want %s", got, c.want)
			}
			backwards := make([]Event, len(list))
			for i, e := range list {
				backwards[len(list)-1-i] = e
			}
			if got := rowsInWords(backwards, Fold(backwards, time.UTC), true); got != c.want {
				t.Errorf("newest first: got %s, want %s", got, c.want)
			}
		})
	}
}

func partyOf(s string) Party {
	kind, key, _ := strings.Cut(s, ":")
	return Party{Kind: kind, ID: key}
}

// rowsInWords writes rows by the seqs of their entries, in the order of their heads' first steps.
func rowsInWords(list []Event, rows []Row, backwards bool) string {
	if backwards {
		slices.Reverse(rows)
	}
	var out []string
	for _, r := range rows {
		s := strconv.FormatInt(list[r.Head].Seq, 10)
		if r.Times {
			s = "x"
		}
		if r.Steps != nil {
			var seqs []int64
			for _, i := range r.Steps {
				seqs = append(seqs, list[i].Seq)
			}
			if r.Times && backwards {
				slices.Reverse(seqs)
			}
			s += fmt.Sprint(seqs)
		}
		out = append(out, s)
	}
	return strings.Join(out, " ")
}

// FuzzFold holds that every entry is in exactly one row, and that rows stand in the order of their first entry.
func FuzzFold(f *testing.F) {
	f.Add([]byte{0, 1, 2, 3, 250, 7, 7, 7, 7}, true)
	f.Fuzz(func(t *testing.T, in []byte, newest bool) {
		list := make([]Event, len(in)/2)
		for i := range list {
			a, b := in[2*i], in[2*i+1]
			types := []string{"notification.sent", "subscription.paused", "order.created"}
			list[i] = Event{ID: id.ID(strconv.Itoa(i)), Seq: int64(i), Type: types[int(a)%3], CorrelationID: id.ID(strconv.Itoa(int(a % 16))),
				Actor: Party{Kind: []string{"system", "team_member"}[int(a/16)%2]}, Targets: []Party{{Kind: "order", ID: "o"}},
				RecordedAt: journal.At(time.UnixMicro(int64(i) * 3e10))}
			if i > 0 && b%2 == 1 {
				list[i].CausationID = new(id.ID(strconv.Itoa(int(b) % i)))
			}
		}
		if newest {
			slices.Reverse(list)
		}
		seen := make([]int, len(list))
		at := -1
		for _, r := range Fold(list, time.UTC) {
			steps := r.Steps
			if steps == nil {
				steps = []int{r.Head}
			}
			if first := slices.Min(steps); first <= at || !slices.Contains(steps, r.Head) {
				t.Fatalf("row %+v after %d", r, at)
			} else {
				at = first
			}
			for _, i := range steps {
				seen[i]++
			}
		}
		for i, n := range seen {
			if n != 1 {
				t.Fatalf("entry %d is in %d rows", i, n)
			}
		}
	})
}
