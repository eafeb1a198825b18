package journal_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"perennial/internal/journal"
	"perennial/internal/kinds"
	"perennial/internal/settings"
)

// TestEventTypesDoc keeps docs/event-types.md what the catalogue says; -update writes it anew.
func TestEventTypesDoc(t *testing.T) {
	golden(t, "../../docs/event-types.md", eventTypes())
}

const eventTypesIntro = `# Event types

Made from the catalogue in ` + "`internal/journal/catalogue.go`" + `: change that, then run
` + "`go test ./internal/journal -run TestEventTypesDoc -update`" + `. The API gives the same list as ` + "`GET /api/v1/event-types`" + `.

A type is a thing and what was done to it. A name is never changed and never used for something else, and a type that is no longer written
stays readable. Every type is in version 1 and there since 0.1 unless its row says otherwise.

- **Target** is the kind of the one thing that an event of the type changes, or observes. What else the event concerns it mentions (a payment its
  customer and subscription); the API's list says which kinds.
- **Fields** are the fields of the target that its changes may touch; *all* are those of the kind, listed at the end. **Details** are members
  that are not fields of the target.
- **Undo** names the type of the event that puts back what the event changed, or says why nothing does. Personal values that were erased are never
  put back.

The Activity Log shows the types of its own part. The Customer and the Subscription Audit Log show every event that names the customer or the
subscription, whichever part its type stands in, except ` + "`log.*`" + `.
`

func eventTypes() string {
	var b strings.Builder
	b.WriteString(eventTypesIntro)
	types := journal.Types()
	for _, log := range []struct {
		name  journal.LogName
		title string
	}{{journal.ActivityLog, "Activity Log"}, {journal.CustomerLog, "Customer Audit Log"}, {journal.SubscriptionLog, "Subscription Audit Log"}} {
		var categories []string
		for _, ty := range types {
			if ty.Log == log.name && !slices.Contains(categories, ty.Category) {
				categories = append(categories, ty.Category)
			}
		}
		fmt.Fprintf(&b, "\n## %s\n", log.title)
		for _, c := range categories {
			title := strings.ReplaceAll(c, "_", " ")
			fmt.Fprintf(&b, "\n### %s%s\n\n| type | label | target | fields | details | undo |\n|---|---|---|---|---|---|\n", strings.ToUpper(title[:1]), title[1:])
			for _, ty := range types {
				if ty.Log == log.name && ty.Category == c {
					writeType(&b, ty)
				}
			}
		}
	}
	b.WriteString("\n## The fields of each kind\n\n*Italic* fields are personal: they are sealed, and read as erased once the person's key is destroyed.\n\n| kind | fields |\n|---|---|\n")
	for _, m := range kinds.Mappings() {
		if m.Kind != journal.Settings {
			writeFields(&b, string(m.Kind), m.Fresh(""))
		}
	}
	for _, p := range settings.Pages() {
		writeFields(&b, fmt.Sprintf("%s (page %s)", journal.Settings, p), settings.Fresh(p)())
	}
	return b.String()
}

func writeType(b *strings.Builder, t journal.Type) {
	label := t.Label
	if t.Hidden {
		label += " (in lists only when asked for)"
	}
	if t.Version != 1 || t.Since != "0.1" {
		label += fmt.Sprintf(" (version %d, since %s)", t.Version, t.Since)
	}
	fields := code(t.Fields)
	if slices.Contains(t.Fields, journal.All) {
		fields = "all"
	}
	undo := "no"
	switch {
	case t.Undo == t.Name:
		undo = "the same type"
	case t.Undo != "":
		undo = string("`" + t.Undo + "`")
	case t.NoUndo != "":
		undo = "no: " + t.NoUndo
	}
	fmt.Fprintf(b, "| `%s` | %s | %s | %s | %s | %s |\n", t.Name, label, t.Target, fields, code(t.Details), undo)
}

func writeFields(b *strings.Builder, title string, s journal.State) {
	names, personal := journal.Fields(s)
	for i, n := range names {
		if personal[n] {
			names[i] = "*" + n + "*"
		}
	}
	fmt.Fprintf(b, "| %s | %s |\n", title, strings.Join(names, ", "))
}

func code(names []string) string {
	var out []string
	for _, n := range names {
		out = append(out, "`"+n+"`")
	}
	return strings.Join(out, ", ")
}
