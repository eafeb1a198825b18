// Package scenario runs stories: text files that read as documentation and hold the whole program to what they say, on both
// engines. A line that begins with "> " is done; the lines after it, up to the next empty one, are what came of it. With -update
// they are written anew: read the diff.
//
//	> POST /customers {"email": "ada@mail.example"} as ada     a request; what it made is called ada from then on: {ada}
//	> advance 31d                                              time goes on, the engine bills; or: advance to 2027-03-31
//	> log ada                                                  the log of what has that name, oldest first
//	> show coffee status, next_billing_date                    fields of it
//	> upcoming coffee 4                                        its next orders
//	> orders coffee                                            its orders, oldest first
//	> undo                                                     the last entry that a request made; or: undo first
//	> name bag /subscriptions/{coffee} items 0 id              what an answer holds there is called bag from then on
//
// What happens at the gateway, with the database and to the clock is in world_test.go:
//
//	> gateway leaves charges open                              a declined charge is not closed there, so somebody may pay it later
//	> gateway pays first                                       somebody does: the last charge of the order that is called first
//	> gateway contests first as dispute                        the cardholder contests it; the dispute is called so
//	> gateway decides dispute lost                             the bank decides it: won or lost
//	> gateway returns first                                    the bank sends the last refund of an order back
//	> gateway refuses key_invalid                              it refuses the shop, by its key; or: gateway works
//	> gateway books                                            what it took and gave back, in all
//	> backup                                                   the database is copied
//	> restore                                                  the copy takes its place; keys folder and gateway are as new as they were
//	> accept-restore the disk is gone                          whoever runs the server goes on from it, and says why
//	> clock +400d                                              the server's clock jumps; or: clock -2h, clock right
//	> held                                                     why nothing is charged, sent or written
//
// Each story ends with the check of the whole journal.
package scenario

import (
	"bytes"
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"perennial/internal/api"
	"perennial/internal/audit"
	"perennial/internal/auth"
	"perennial/internal/demo"
	"perennial/internal/engine"
	"perennial/internal/fault"
	"perennial/internal/gate"
	"perennial/internal/id"
	"perennial/internal/journal"
	"perennial/internal/payment/simulated"
	"perennial/internal/program"
	"perennial/internal/server"
	"perennial/internal/settings"
	"perennial/internal/store"
	"perennial/internal/team"
	"perennial/internal/test/shop"
)

var update = flag.Bool("update", false, "write what came of it into the stories")

func TestStories(t *testing.T) {
	files, err := filepath.Glob("testdata/*.txt")
	if err != nil || len(files) == 0 {
		t.Fatalf("no stories: %v", err)
	}
	for _, file := range files {
		t.Run(strings.TrimSuffix(filepath.Base(file), ".txt"), func(t *testing.T) {
			told, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			lived := open(t).live(string(told))
			if lived == string(told) {
				return
			}
			if *update {
				if err := os.WriteFile(file, []byte(lived), 0o644); err != nil {
					t.Fatal(err)
				}
				return
			}
			t.Error(difference(string(told), lived))
		})
	}
}

// difference shows the first lines that differ, with the command before them.
func difference(told, lived string) string {
	a, b := strings.Split(told, "\n"), strings.Split(lived, "\n")
	command := ""
	for i := range min(len(a), len(b)) {
		if strings.HasPrefix(a[i], "> ") {
			command = a[i]
		}
		if a[i] != b[i] {
			return fmt.Sprintf("line %d, after %q:\n told: %s\nlived: %s", i+1, command, a[i], b[i])
		}
	}
	return "one is longer than the other"
}

// story is a shop that a story is lived in.
type story struct {
	t       *testing.T
	config  server.Config
	i       *server.Instance
	api     *api.API
	engine  *engine.Engine
	reports *server.Reports
	gateway *gateway
	clock   *clock
	copy    string // of the database
	zone    *time.Location
	handler http.Handler
	token   string
	names   map[string]string // to ids
	first   string            // id of the first event that the last request made
	last    string            // id of its last one
	seen    int64             // the last seq that was told
}

func open(t *testing.T) *story {
	t.Helper()
	ctx := t.Context()
	dir := t.TempDir()
	clock := newClock(time.Date(2027, 3, 1, 9, 0, 0, 0, time.UTC))
	zone, err := time.LoadLocation("Europe/Berlin")
	must(t, err)
	s := &story{t: t, clock: clock, zone: zone, names: map[string]string{}, gateway: &gateway{Gateway: simulated.New(clock.Right, simulated.Options{})},
		config: server.Config{Data: dir, Database: shop.URL(t, dir), Clock: clock.Now, Steady: clock.Steady, Random: demo.NewRandom(1),
			Log: slog.New(slog.NewTextHandler(t.Output(), nil)), Relaxed: true}}
	s.start()
	t.Cleanup(func() {
		r, err := audit.Verify(t.Context(), s.i.Store, nil)
		if err == nil {
			for _, p := range r.Problems {
				t.Errorf("verify: %s", p)
			}
		}
		s.stop()
	})
	i := s.i
	meta := program.Meta{Actor: journal.Actor{Kind: journal.ActorSystem, ID: "setup"}, Source: journal.Origin{Channel: journal.ChannelCLI}}
	for _, d := range settings.Defaults("Story shop", "Europe/Berlin", "EUR") {
		_, err := i.Program.Do(ctx, &program.Request{Meta: meta, Command: journal.Bind(settings.Update{Document: d})})
		must(t, err)
	}
	key := i.IDs.New(id.APIKey)
	text, hash := auth.NewAPIKey(key)
	_, err = i.Program.Do(ctx, &program.Request{Meta: meta, Command: journal.Bind(team.CreateKey{ID: key, Name: "Story", Permissions: team.Everything().List(), Hash: hash, Actor: meta.Actor})})
	must(t, err)
	s.token, s.seen = text, i.Program.Head()
	return s
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// live does a story and gives it back with what came of it.
func (s *story) live(told string) string {
	var out []string
	skipping := false
	for line := range strings.SplitSeq(strings.TrimRight(told, "\n"), "\n") {
		command, ok := strings.CutPrefix(line, "> ")
		switch {
		case ok:
			out = append(out, line)
			out = append(out, s.do(command)...)
			skipping = true
		case line == "":
			out = append(out, line)
			skipping = false
		case !skipping:
			out = append(out, line)
		}
	}
	return strings.Join(out, "\n") + "\n"
}

var request = regexp.MustCompile(`^(GET|POST|PUT|PATCH|DELETE) (\S+)(?: (\{.*\}))?(?: as (\w+))?$`)

func (s *story) do(command string) []string {
	word, rest, _ := strings.Cut(command, " ")
	switch word {
	case "advance":
		return s.advance(rest)
	case "log":
		return s.log(rest)
	case "show":
		name, fields, _ := strings.Cut(rest, " ")
		return s.show(name, strings.Split(fields, ", "))
	case "upcoming":
		name, count, _ := strings.Cut(rest, " ")
		return s.upcoming(name, count)
	case "orders":
		return s.orders(rest)
	case "name":
		s.name(strings.Fields(rest))
		return nil
	case "gateway":
		return s.atGateway(strings.Fields(rest))
	case "backup":
		s.backup()
		return nil
	case "restore":
		s.restore()
		return s.held()
	case "accept-restore":
		return s.acceptRestore(rest)
	case "clock":
		s.clock.jump(s.t, rest)
		return nil
	case "held":
		return s.held()
	case "undo":
		event := s.last
		if rest == "first" {
			event = s.first
		}
		return s.ask("POST", "/events/"+event+"/undo", "", "")
	}
	m := request.FindStringSubmatch(command)
	if m == nil {
		s.t.Fatalf("not a command: %q", command)
	}
	return s.ask(m[1], m[2], m[3], m[4])
}

// call makes a request with the names filled in.
func (s *story) call(method, path, body string) (int, []byte) {
	fill := func(text string) string {
		for name, key := range s.names {
			text = strings.ReplaceAll(text, "{"+name+"}", key)
		}
		return text
	}
	req := httptest.NewRequestWithContext(s.t.Context(), method, api.Base+fill(path), strings.NewReader(fill(body)))
	req.Header.Set("Authorization", "Bearer "+s.token)
	if body != "" {
		req.Header.Set("Content-Type", "application/json")
	}
	w := httptest.NewRecorder()
	s.handler.ServeHTTP(w, req)
	b, err := io.ReadAll(w.Result().Body)
	must(s.t, err)
	return w.Code, b
}

func (s *story) read(path string, into any) {
	s.t.Helper()
	code, body := s.call("GET", path, "")
	if code != 200 {
		s.t.Fatalf("GET %s: %d %s", path, code, body)
	}
	must(s.t, json.Unmarshal(body, into))
}

// name reads an answer and names what is at a place in it.
func (s *story) name(words []string) {
	var a struct {
		Data any `json:"data"`
	}
	s.read(words[1], &a)
	for _, at := range words[2:] {
		switch in := a.Data.(type) {
		case map[string]any:
			a.Data = in[at]
		case []any:
			n, err := strconv.Atoi(at)
			must(s.t, err)
			a.Data = in[n]
		}
	}
	key, ok := a.Data.(string)
	if !ok {
		s.t.Fatalf("%v is no id: %v", words, a.Data)
	}
	s.names[words[0]] = key
}

// ask makes a request and tells what came of it: the status with the refusal, or the entries.
func (s *story) ask(method, path, body, name string) []string {
	code, answer := s.call(method, path, body)
	var a struct {
		Data struct {
			ID string `json:"id"`
		} `json:"data"`
		Events []struct {
			ID string `json:"id"`
		} `json:"events"`
		Code   string `json:"code"`
		Detail string `json:"detail"`
		Errors []struct {
			Pointer string `json:"pointer"`
			Detail  string `json:"detail"`
		} `json:"errors"`
	}
	must(s.t, json.Unmarshal(answer, &a))
	if name != "" {
		s.names[name] = a.Data.ID
	}
	if len(a.Events) > 0 {
		s.first, s.last = a.Events[0].ID, a.Events[len(a.Events)-1].ID
	}
	if code >= 400 {
		out := []string{fmt.Sprintf("%d %s: %s", code, a.Code, a.Detail)}
		for _, e := range a.Errors {
			out = append(out, "  "+e.Pointer+": "+e.Detail)
		}
		return s.masked(out)
	}
	return append([]string{fmt.Sprint(code)}, s.news(false)...)
}

type event struct {
	Seq        int64     `json:"seq"`
	Type       string    `json:"type"`
	Summary    string    `json:"summary"`
	RecordedAt time.Time `json:"recorded_at"`
	Actor      struct {
		Kind string `json:"kind"`
		ID   string `json:"id"`
	} `json:"actor"`
}

func (e event) line(zone *time.Location, dated bool) string {
	if dated {
		return fmt.Sprintf("  %s  %s", e.RecordedAt.In(zone).Format("2006-01-02 15:04"), e.Summary)
	}
	return "  " + e.Summary
}

// news tells the entries that were made since the last time.
func (s *story) news(dated bool) (out []string) {
	for st, err := range s.i.Store.Events(s.t.Context(), s.i.Store.DB.Reader, store.Opened, s.seen+1, 0) {
		must(s.t, err)
		e := event{Seq: st.Seq, Type: string(st.Type), Summary: journal.Summary(st.Event), RecordedAt: st.RecordedAt}
		if !strings.HasPrefix(e.Type, "log.") {
			out = append(out, e.line(s.zone, dated))
		}
		s.seen = st.Seq
	}
	return s.masked(out)
}

// advance lets time go on, an hour at a time, and bills.
func (s *story) advance(how string) []string {
	until := s.clock.Right()
	if day, ok := strings.CutPrefix(how, "to "); ok {
		at, err := time.ParseInLocation(time.DateOnly, day, s.zone)
		must(s.t, err)
		until = at.Add(12 * time.Hour)
	} else {
		var n int
		var unit string
		switch _, err := fmt.Sscanf(how, "%d%s", &n, &unit); {
		case err == nil && unit == "d":
			until = until.AddDate(0, 0, n)
		case err == nil && unit == "h":
			until = until.Add(time.Duration(n) * time.Hour)
		default:
			s.t.Fatalf("advance %q: %v", how, err)
		}
	}
	var held error
	for now := s.clock.Right(); now.Before(until); {
		if now = now.Add(time.Hour); now.After(until) {
			now = until
		}
		s.clock.set(now)
		held = nil
		for _, work := range []func(context.Context) error{s.reports.Pump, s.engine.Run} {
			if err := work(s.t.Context()); gate.Held(err) {
				held = err
			} else if err != nil {
				s.t.Log(err) // the gateway does not answer, or refuses the shop
			}
		}
	}
	out := s.news(true)
	if held != nil {
		out = append(out, "  held: "+fault.As(held).Code)
	}
	return out
}

var ids = regexp.MustCompile(`\b([a-z]{2,5})_[0-9a-hjkmnp-tv-z]{20,}\b`)

// masked puts names in the place of ids, and prefixes in that of ids without a name.
func (s *story) masked(lines []string) []string {
	for i, l := range lines {
		for name, key := range s.names {
			l = strings.ReplaceAll(l, key, "{"+name+"}")
		}
		lines[i] = strings.TrimRight(ids.ReplaceAllString(l, "${1}_…"), " ")
	}
	return lines
}

func (s *story) path(name string) string {
	key, ok := s.names[name]
	if !ok {
		s.t.Fatalf("nothing is called %q", name)
	}
	switch prefix, _, _ := strings.Cut(key, "_"); prefix {
	case "cus":
		return "/customers/" + key
	case "sub":
		return "/subscriptions/" + key
	case "ord":
		return "/orders/" + key
	case "prod":
		return "/products/" + key
	}
	s.t.Fatalf("%s has no page of its own", key)
	return ""
}

func (s *story) log(name string) (out []string) {
	var page struct {
		Data []event `json:"data"`
	}
	s.read(s.path(name)+"/log?order=asc&limit=200", &page)
	for _, e := range page.Data {
		out = append(out, e.line(s.zone, true)+" ("+e.Actor.Kind+")")
	}
	return s.masked(out)
}

func (s *story) show(name string, fields []string) (out []string) {
	var one struct {
		Data map[string]json.RawMessage `json:"data"`
	}
	s.read(s.path(name), &one)
	for _, f := range fields {
		var b bytes.Buffer
		must(s.t, json.Compact(&b, one.Data[f]))
		out = append(out, "  "+f+": "+b.String())
	}
	return s.masked(out)
}

func money(j json.RawMessage) string {
	var m struct {
		Amount   int64  `json:"amount"`
		Currency string `json:"currency"`
	}
	if json.Unmarshal(j, &m) != nil {
		return string(j)
	}
	return amount(m.Amount, m.Currency)
}

func amount(minor int64, currency string) string {
	return fmt.Sprintf("%d.%02d %s", minor/100, minor%100, currency)
}

func (s *story) upcoming(name, count string) (out []string) {
	var list struct {
		Data []struct {
			Cycle   *int            `json:"cycle"`
			Date    string          `json:"date"`
			Skipped bool            `json:"skipped"`
			Total   json.RawMessage `json:"total"`
		} `json:"data"`
	}
	s.read(s.path(name)+"/upcoming?count="+count, &list)
	for _, o := range list.Data {
		if o.Skipped {
			out = append(out, "  "+o.Date+"  skipped")
			continue
		}
		out = append(out, fmt.Sprintf("  %s  order %d, %s", o.Date, *o.Cycle, money(o.Total)))
	}
	return out
}

func (s *story) orders(name string) (out []string) {
	var list struct {
		Data []struct {
			Number         string            `json:"number"`
			SubscriptionID string            `json:"subscription_id"`
			Status         string            `json:"status"`
			Total          json.RawMessage   `json:"total"`
			Attempts       []json.RawMessage `json:"attempts"`
			CreatedAt      time.Time         `json:"created_at"`
		} `json:"data"`
	}
	s.read("/orders?limit=200", &list)
	for _, o := range slices.Backward(list.Data) {
		if o.SubscriptionID == s.names[name] {
			number := o.Number[strings.LastIndexByte(o.Number, '-')+1:]
			out = append(out, fmt.Sprintf("  %s  order %s, %s, %s, attempts: %d", o.CreatedAt.In(s.zone).Format(time.DateOnly), number, money(o.Total), o.Status, len(o.Attempts)))
		}
	}
	return out
}
