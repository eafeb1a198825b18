package cli

import (
	"bytes"
	"database/sql"
	"fmt"
	"path/filepath"
	"strings"
	"testing"

	"perennial/internal/customer"
	"perennial/internal/id"
	"perennial/internal/journal"
	"perennial/internal/program"
	"perennial/internal/server"
)

// The terminal knows the filters of the API, and refuses what the API refuses.
func TestLog(t *testing.T) {
	dir := t.TempDir()
	i, err := server.Open(t.Context(), server.Config{Data: dir, Relaxed: true})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := found(t.Context(), i.Program, i.IDs, "A shop", "Europe/Berlin", "EUR"); err != nil {
		t.Fatal(err)
	}
	ada := i.IDs.New(id.Customer)
	for _, c := range []journal.Command{
		journal.Bind(customer.Create{ID: ada, Email: "ada@example.com", FirstName: "Ada"}),
		journal.Bind(customer.Create{ID: i.IDs.New(id.Customer), Email: "bob@example.com", FirstName: "Bob"}),
	} {
		if _, err := i.Program.Do(t.Context(), &program.Request{Meta: founder(), Command: c}); err != nil {
			t.Fatal(err)
		}
	}
	if err := i.Close(t.Context()); err != nil {
		t.Fatal(err)
	}
	for args, want := range map[string]struct {
		code, lines int
		has         string
	}{
		"all --type customer.*":                   {0, 2, "Created the customer"},
		string(ada):                               {0, 1, "Created the customer"},
		"all --q ada@example.com":                 {0, 1, "Created the customer"},
		"all --q Bob":                             {0, 1, "Created the customer"},
		"activity --type customer.*":              {0, 0, ""},
		"activity --category access":              {0, 1, "First key"},
		"all --to 2001-01-01":                     {0, 0, ""},
		"all --order asc -n 1":                    {0, 1, "settings"},
		"all --type customer.* --json -n 1":       {0, 1, `"type":"customer.created"`},
		"all --type nothing.done":                 {1, 0, "There is no event type"},
		"all --from yesterday":                    {1, 0, "/query/from"},
		"all --channel post":                      {1, 0, "/query/channel"},
		"cus_00000000000000000000000000":          {2, 0, "There is no customer"},
		"everything":                              {1, 0, "There is no log"},
		"all --actor-kind system --actor-id none": {0, 0, ""},
	} {
		var out, errOut bytes.Buffer
		code := Run(append([]string{"log", "--data", dir}, strings.Fields(args)...), strings.NewReader(""), &out, &errOut)
		lines := strings.Count(out.String(), "\n")
		if code != want.code || lines != want.lines || !strings.Contains(out.String()+errOut.String(), want.has) {
			t.Errorf("%s: got %d and %d lines, want %d and %d\n%s%s", args, code, lines, want.code, want.lines, out.String(), errOut.String())
		}
	}
	r, err := server.Verify(t.Context(), server.Config{Data: dir}, nil)
	if err != nil || len(r.Problems) > 0 {
		t.Errorf("verify: %v %v", r, err)
	}
}

// A log in which the database does not give an entry that another one names is shown, and is no success.
func TestLogWithoutAnEntry(t *testing.T) {
	dir := t.TempDir()
	i, err := server.Open(t.Context(), server.Config{Data: dir, Relaxed: true})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := found(t.Context(), i.Program, i.IDs, "A shop", "Europe/Berlin", "EUR"); err != nil {
		t.Fatal(err)
	}
	ada := i.IDs.New(id.Customer)
	var gone int64
	for _, c := range []journal.Command{
		journal.Bind(customer.Create{ID: ada, Email: "ada@example.com", FirstName: "Ada"}),
		journal.Bind(customer.UpdateProfile{ID: ada, FirstName: new("Augusta")}),
		journal.Bind(customer.UpdateProfile{ID: ada, LastName: new("King")}),
	} {
		out, err := i.Program.Do(t.Context(), &program.Request{Meta: founder(), Command: c})
		if err != nil {
			t.Fatal(err)
		}
		gone = out.Events[0].Seq - 1
	}
	if err := i.Close(t.Context()); err != nil {
		t.Fatal(err)
	}
	show := func() (code int, text string) {
		var out, errOut bytes.Buffer
		code = Run([]string{"log", "--data", dir, string(ada)}, strings.NewReader(""), &out, &errOut)
		return code, out.String() + errOut.String()
	}
	if code, text := show(); code != 0 || !strings.Contains(text, "nothing is missing") {
		t.Errorf("%d: %s", code, text)
	}
	d, err := sql.Open("sqlite", filepath.Join(dir, "perennial.db"))
	if err != nil {
		t.Fatal(err)
	}
	for _, text := range []string{`DROP TRIGGER event_before_delete`, fmt.Sprintf(`DELETE FROM event WHERE seq = %d`, gone)} {
		if _, err := d.ExecContext(t.Context(), text); err != nil {
			t.Fatal(err)
		}
	}
	if err := d.Close(); err != nil {
		t.Fatal(err)
	}
	if code, text := show(); code != 1 || !strings.Contains(text, fmt.Sprintf("(#%d)", gone)) || !strings.Contains(text, "Created the customer") {
		t.Errorf("%d: %s", code, text)
	}
}
