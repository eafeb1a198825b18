package view

import (
	"flag"
	"fmt"
	"os"
	"strings"
	"testing"

	"perennial/internal/journal"
)

var update = flag.Bool("update", false, "write docs/logs.md anew")

// TestLogsDoc keeps docs/logs.md what the catalogue and the help say; -update writes it anew.
func TestLogsDoc(t *testing.T) {
	const file = "../../docs/logs.md"
	got := logsDoc()
	if *update {
		if err := os.WriteFile(file, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	if want, err := os.ReadFile(file); err != nil || string(want) != got {
		t.Errorf("%s is not what the catalogue says: go test ./internal/view -run TestLogsDoc -update (%v)", file, err)
	}
}

func logsDoc() string {
	var b strings.Builder
	b.WriteString(`# The three logs

Made from ` + "`internal/view/logs.go`" + ` and the catalogue of types: change those, then run
` + "`go test ./internal/view -run TestLogsDoc -update`" + `. The Dashboard says the same under /help/logs.

All are views of one journal: an entry is made once, and stands in each log that it belongs to. The Explorer has all of them.
`)
	for _, l := range Logs {
		fmt.Fprintf(&b, "\n## %s: %s\n\n%s\n\nNot here: %s\n\nWhere: %s.\n", l.Title, l.Question, l.Has, l.Lacks, l.Where)
	}
	b.WriteString("\n## One week, three logs\n\n| what happens | type |")
	for _, l := range Logs {
		fmt.Fprintf(&b, " %s |", l.Title)
	}
	b.WriteString("\n|---|---|---|---|---|\n")
	for _, step := range LogStory {
		t, _ := journal.Lookup(step.Type)
		fmt.Fprintf(&b, "| %s | `%s` |", step.Sentence, step.Type)
		for _, l := range Logs {
			fmt.Fprintf(&b, " %s |", map[bool]string{true: "yes"}[t.In(l.Name)])
		}
		b.WriteString("\n")
	}
	b.WriteString("\n## Types\n\nAn entry of these types can stand in the log; in the last two it does whenever it names the customer or the subscription.\n")
	for _, l := range Logs {
		fmt.Fprintf(&b, "\n### %s\n\n", l.Title)
		var names []string
		for _, t := range journal.Types() {
			if t.In(l.Name) {
				names = append(names, "`"+string(t.Name)+"`")
			}
		}
		b.WriteString(strings.Join(names, ", ") + "\n")
	}
	return b.String()
}

// TestLogStory holds that each step stands in some log, and that each log has one that the others lack.
func TestLogStory(t *testing.T) {
	in := map[string]bool{}
	for _, step := range LogStory {
		row, known := journal.Lookup(step.Type)
		var logs []string
		for _, l := range Logs {
			if row.In(l.Name) {
				logs = append(logs, string(l.Name))
			}
		}
		if !known || len(logs) == 0 {
			t.Errorf("%s stands in no log", step.Type)
		}
		in[strings.Join(logs, " ")] = true
	}
	for _, want := range []string{"activity", "customer", "customer subscription"} {
		if !in[want] {
			t.Errorf("no step stands in: %s", want)
		}
	}
}
