package routes_test

import (
	"flag"
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"perennial/internal/access"
	"perennial/internal/journal"
)

var update = flag.Bool("update", false, "rewrite docs/routes.md")

// docs/routes.md is the table as a running server has it: go test ./internal/test/routes -run Documented -update.
func TestRoutesAreDocumented(t *testing.T) {
	const file = "../../../docs/routes.md"
	rows := newHouse(t).s.Routes()
	got := written(rows)
	if *update {
		if err := os.WriteFile(file, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(strings.Split(string(want), "\n"), strings.Split(got, "\n")); diff != "" {
		t.Errorf("run with -update, and read what becomes of the table (-want +got):\n%s", diff)
	}
}

// faces are the parts of the page; a route belongs to the first whose path begins its own.
var faces = []struct{ title, under string }{
	{"REST API", "/api/"}, {"Portal", "/portal"}, {"Around them", "/assets"}, {"Around them", "/demo"}, {"Around them", "/healthz"}, {"Around them", "/metrics"}, {"Around them", "/readyz"},
	{"Around them", "/webhooks"}, {"Dashboard", ""},
}

func faceOf(r access.Route) string {
	_, path := r.Split()
	return faces[slices.IndexFunc(faces, func(f struct{ title, under string }) bool { return strings.HasPrefix(path, f.under) })].title
}

// written is the table for a reader.
func written(rows []access.Route) string {
	var out strings.Builder
	out.WriteString("# Routes\n\nWhat each address of the server asks for, collected from the registrations (`internal/access`). No face can answer an address without a row. " +
		"`TestEveryRoute` (`internal/test/routes`)\nwalks all of it as nobody, as every role, as a customer, as another one, as a member who looks on, without each permission, with it alone, and after it was taken away.\n\n" +
		"*Shown again* is who they are, by the password or a sign-in of the last minutes: the change outlasts the session. Each form has its preview at the address with `/preview` at the end, under the\n" +
		"same conditions, which makes nothing. Refusals make entries of their own and are not listed.\n")
	for _, title := range []string{"REST API", "Dashboard", "Portal", "Around them"} {
		fmt.Fprintf(&out, "\n## %s\n\n| route | who | makes |\n|---|---|---|\n", title)
		for _, r := range rows {
			if faceOf(r) == title && !folded(r, rows) {
				fmt.Fprintf(&out, "| `%s` | %s | %s |\n", r.Pattern, whoOf(r), strings.Trim(strings.Join(strings.Fields(fmt.Sprint(r.Events)), ", "), "[]"))
			}
		}
	}
	return out.String()
}

// folded says that a row is the preview of a form that asks for the same.
func folded(r access.Route, rows []access.Route) bool {
	form, ok := strings.CutSuffix(r.Pattern, "/preview")
	return ok && slices.ContainsFunc(rows, func(f access.Route) bool {
		return f.Pattern == form && f.Who == r.Who && slices.Equal(f.Needs, r.Needs) && f.Besides == r.Besides
	})
}

func whoOf(r access.Route) string {
	var words strings.Builder
	words.WriteString(r.Who.String())
	for i, p := range r.Needs {
		words.WriteString([]string{" with ", " and "}[min(i, 1)] + "`" + string(p) + "`")
	}
	if r.Besides != "" {
		words.WriteString("; " + r.Besides)
	}
	if r.Fresh {
		words.WriteString("; shown again")
	}
	return words.String()
}

// outlasting are the changes that give somebody a way in which is there when the session is over.
var outlasting = []journal.Name{journal.APIKeyCreated, journal.CustomerEmailChanged, journal.CustomerMagicLinkCreated, journal.TeamMemberInvited, journal.TeamMemberLinkCreated,
	journal.TeamMemberPasswordChanged, journal.TeamMemberSecondFactorDisabled, journal.TeamMemberSecondFactorEnabled}

// heard are the routes that make one without showing again who they are, and why a borrowed session gets nothing for itself by it.
var heard = map[string]string{
	"POST /account/password":           "asks for the password itself",
	"POST /account/authenticator/off":  "asks for a code itself",
	"POST /customers/{id}/edit":        "the address before hears of it",
	"POST /events/{id}/undo":           "the address before hears of it",
	"POST /customers/{id}/portal-link": "lets in the member's own power over a customer, for ten minutes",
}

// TestWhatOutlastsASession holds the rows against the changes that outlast a session: a session alone makes none of them.
func TestWhatOutlastsASession(t *testing.T) {
	found := map[string]bool{}
	for _, r := range newHouse(t).s.Routes() {
		if !slices.Contains([]access.Who{access.Member, access.Permitted, access.Customer, access.Alone}, r.Who) || r.Fresh {
			continue
		}
		for _, e := range r.Events {
			if slices.Contains(outlasting, e) && heard[r.Pattern] == "" {
				t.Errorf("%s makes %s with a session alone", r.Pattern, e)
			}
			found[r.Pattern] = found[r.Pattern] || slices.Contains(outlasting, e)
		}
	}
	for pattern := range heard {
		if !found[pattern] {
			t.Errorf("%s needs no reason", pattern)
		}
	}
}
