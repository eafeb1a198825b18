package api_test

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"perennial/internal/customer"
	"perennial/internal/id"
	"perennial/internal/journal"
	"perennial/internal/privacy"
	"perennial/internal/team"
)

type took struct {
	Line   int
	Status string
	ID     *string
	Seq    *int64
	Error  *string
}

func (s *shop) ingest(lines string, headers ...string) []took {
	s.t.Helper()
	a := s.do("POST", "/events", lines, append([]string{"Content-Type: application/x-ndjson"}, headers...)...).want(200)
	var out []took
	for line := range strings.Lines(string(a.Body)) {
		var v took
		must(s.t, json.Unmarshal([]byte(line), &v))
		out = append(out, v)
	}
	return out
}

func TestIngest(t *testing.T) {
	s := openStocked(t)
	line := fmt.Sprintf(`{"type":"external.ticket.opened","source":"help-desk","occurred_at":"2027-02-28T22:15:00.123456789+01:00","targets":[%q,{"kind":"variant","id":%q}],`+
		`"summary":"A parcel was lost","details":{"ticket":17,"text":"Ada is angry"},"idempotency_key":"t-17"}`, s.sub, s.variant)
	one := s.do("POST", "/events", line).want(200)
	if mediaType(one.Header) != "application/x-ndjson" {
		t.Errorf("content type: %s", mediaType(one.Header))
	}
	a := s.do("GET", "/customers/"+string(s.ada)+"/log?limit=1", nil).want(200)
	for path, want := range map[string]any{
		"data.0.type": "external.ticket.opened", "data.0.label": "External: ticket.opened", "data.0.summary": "A parcel was lost", "data.0.category": "external",
		"data.0.targets.0.kind": "source", "data.0.targets.0.id": "help-desk", "data.0.targets.1.id": string(s.sub), "data.0.targets.2.id": string(s.variant),
		"data.0.targets.3.id": string(s.ada), "data.0.occurred_at": "2027-02-28T21:15:00.123456Z", "data.0.recorded_at": "2027-03-01T09:00:00.000000Z",
		"data.0.details.source": "help-desk", "data.0.details.details.ticket": 17.0, "data.0.details.idempotency_key": "t-17", "data.0.source.channel": "api",
		"data.0.actor.display": "Test key", "data.0.target_version": 1.0,
	} {
		if got := a.at(path); got != want {
			t.Errorf("%s: got %v, want %v", path, got, want)
		}
	}
	first := a.text("data.0.id")
	// The same event in another form of JSON is the same event; another event with its key is not.
	again := s.ingest(strings.Replace(line, `{"type":"external.ticket.opened",`, `{ "type" : "external.ticket.opened", `, 1) + "\n" + strings.Replace(line, "lost", "found", 1))
	if again[0].Status != "duplicate" || *again[0].ID != first || again[1].Status != "refused" || *again[1].Error != "This Idempotency-Key was used for another request." {
		t.Errorf("again: %+v", again)
	}
	if got := s.do("GET", "/events?type=external.*&q=parcel", nil).want(200).list("data"); len(got) != 1 {
		t.Errorf("found by a word: %d events", len(got))
	}
	// Once the customer is erased, so are the details; nothing new can be sealed, and the summary stays.
	s.run(journal.Bind(privacy.Redact{CustomerID: s.ada, ConfirmEmail: "ada@example.com"}))
	if got := s.do("GET", "/events/"+first, nil).want(200).at("data.details.details"); !cmp.Equal(got, map[string]any{"erased": true}) {
		t.Errorf("details after the erasure: %v", got)
	}
	if got := s.ingest(strings.Replace(line, "t-17", "t-18", 1)); got[0].Status != "refused" || *got[0].Error != "/targets/0: The data of the customer behind it was erased." {
		t.Errorf("after the erasure: %+v %s", got, *got[0].Error)
	}
}

func TestIngestTakesEachLineByItself(t *testing.T) {
	s := openStocked(t)
	ok := `{"type":"external.x","source":"s"}`
	deep := strings.Repeat(`{"a":`, 40) + "1" + strings.Repeat("}", 40)
	for _, tc := range []struct{ line, why string }{
		{`{"type":"external.x","source":"s"`, "This is not valid JSON: "},
		{`{"type":"external.x","source":"s"} {}`, "This is not valid JSON: "},
		{`[]`, "This value has the wrong type."},
		{`17`, "This value has the wrong type."},
		{`{"type":"external.x","source":"s","type":"external.y"}`, "This is not valid JSON: "},
		{`{"type":"external.x","source":"s","shop_id":"shop_1"}`, "/shop_id: There is no such field."},
		{`{"type":"external.x","source":1}`, "/source: This value has the wrong type."},
		{`{"type":"subscription.paused","source":"s"}`, "/type: Give a type"},
		{`{"type":"external.Ä","source":"s"}`, "/type: Give a type"},
		{`{"type":"external.x","source":"a b"}`, "/source: Name the source"},
		{`{"type":"external.x"}`, "/source: Name the source"},
		{`{"type":"external.x","source":"s","summary":"a\u202eb"}`, "/summary: This holds a character that turns the direction"},
		{`{"type":"external.x","source":"s","summary":"` + strings.Repeat("x", 501) + `"}`, "/summary: This is longer than 500"},
		{`{"type":"external.x","source":"s","details":[1]}`, "/details: Give an object."},
		{`{"type":"external.x","source":"s","details":{"n":9007199254740993}}`, "/details: A number in it (9007199254740993)"},
		{`{"type":"external.x","source":"s","details":{"n":1e999}}`, "/details: A number in it"},
		{`{"type":"external.x","source":"s","details":` + deep + `}`, "/details: This is nested too deeply."},
		{`{"type":"external.x","source":"s","details":{"a":"` + strings.Repeat("x", 17<<10) + `"}}`, "/details: This is larger than 16 KiB."},
		{`{"type":"external.x","source":"s","details":{"a":"` + strings.Repeat("x", 65<<10) + `"}}`, "The line is larger than 64 KiB."},
		{`{"type":"external.x","source":"s","occurred_at":"2027-03-02T09:00:01Z"}`, "/occurred_at: This is more than a day in the future."},
		{`{"type":"external.x","source":"s","occurred_at":"yesterday"}`, "/occurred_at: Give an RFC 3339 time"},
		{`{"type":"external.x","source":"s","targets":["cus_00000000000000000000000000"]}`, "/targets/0: There is no customer cus_00000000000000000000000000"},
		{`{"type":"external.x","source":"s","targets":["addr_00000000000000000000000000"]}`, "/targets/0: Give the id of"},
		{`{"type":"external.x","source":"s","targets":[{"kind":"order","id":"` + string(s.ada) + `"}]}`, "/targets/0: Give the id of"},
		{`{"type":"external.x","source":"s","targets":[` + strings.TrimSuffix(strings.Repeat(`"`+string(s.ada)+`",`, 21), ",") + `]}`, "/targets: An event is about at most 20"},
		{`{"type":"external.x","source":"s","idempotency_key":"` + strings.Repeat("x", 256) + `"}`, "/idempotency_key: This is longer than 255"},
		{"{\"type\":\"external.x\",\"source\":\"s\",\"summary\":\"\xff\"}", "This is not valid JSON: "},
	} {
		got := s.ingest(ok + "\r\n\n" + tc.line + "\n" + ok)
		if len(got) != 3 || got[0].Status != "created" || got[2].Status != "created" || got[2].Line != 4 || *got[2].Seq != *got[0].Seq+1 {
			t.Fatalf("%.80s: the lines around it: %+v", tc.line, got)
		}
		if got[1].Line != 3 || got[1].Status != "refused" || got[1].ID != nil || !strings.HasPrefix(*got[1].Error, tc.why) {
			t.Errorf("%.80s: got %+v %s, want %s", tc.line, got[1], *got[1].Error, tc.why)
		}
	}
	s.do("POST", "/events", `{"type":`).want(400)
	s.do("POST", "/events", ok+ok).want(400)
}

func TestIngestOfManyLinesIsInOrder(t *testing.T) {
	s := openShop(t)
	var lines strings.Builder
	for n := range 3 * 512 {
		fmt.Fprintf(&lines, `{"type":"external.tick","source":"clock","summary":"Tick %d"}`+"\n", n)
	}
	got := s.ingest(lines.String(), "Idempotency-Key: k1")
	for i, l := range got {
		if l.Line != i+1 || l.Status != "created" || *l.Seq != *got[0].Seq+int64(i) {
			t.Fatalf("line %d: %+v", i+1, l)
		}
	}
	if again := s.ingest(lines.String(), "Idempotency-Key: k1"); !cmp.Equal(again, got) {
		t.Error("the same request again has another answer")
	}
	s.do("POST", "/events", lines.String()[:200], "Content-Type: application/x-ndjson", "Idempotency-Key: k1").refused(409, "idempotency_key_reused")
}

// A repeated request is answered byte for byte, lines with keys of their own and refused ones too.
func TestIngestAgain(t *testing.T) {
	s := openShop(t)
	unborn := s.IDs.New(id.Customer)
	lines := `{"type":"external.a","source":"s"}
{"type":"external.a","source":"s","idempotency_key":"own"}
{"type":"external.a","source":"s","idempotency_key":"own"}
{"type":"external.a","source":"s","idempotency_key":"before"}
{"type":"external.a","source":"s","targets":["` + string(unborn) + `"]}
{`
	s.ingest(`{"type":"external.a","source":"s","idempotency_key":"before"}`)
	first := s.do("POST", "/events", lines, "Content-Type: application/x-ndjson", "Idempotency-Key: k").want(200)
	s.run(journal.Bind(customer.Create{ID: unborn, Email: "eve@example.com"}))
	again := s.do("POST", "/events", lines, "Content-Type: application/x-ndjson", "Idempotency-Key: k").want(200)
	if diff := cmp.Diff(string(first.Body), string(again.Body)); diff != "" {
		t.Errorf("the answer differs:\n%s", diff)
	}
	if got := strings.Count(string(first.Body), `"created"`); got != 2 {
		t.Errorf("%d lines are created, want 2:\n%s", got, first.Body)
	}
}

func TestIngestNeedsItsPermissionAlways(t *testing.T) {
	s := openShop(t)
	sender := s.with(s.key(team.EventsEdit))
	if got := sender.ingest(`{"type":"external.x","source":"s"}`); got[0].Status != "created" {
		t.Errorf("got %+v", got)
	}
	sender.do("GET", "/events", nil).want(403)
}

func BenchmarkIngest(b *testing.B) {
	s := openShop(b)
	ada := s.customer("ada@example.com")
	n := 0
	for b.Loop() {
		var lines strings.Builder
		for range 1000 {
			n++
			fmt.Fprintf(&lines, `{"type":"external.page_viewed","source":"storefront","occurred_at":"2027-03-01T08:00:00Z","targets":[%q],"summary":"Looked at a page","details":{"path":"/coffee","n":%d},"idempotency_key":"k-%d"}`+"\n", ada, n, n)
		}
		s.ingest(lines.String())
	}
	b.ReportMetric(float64(n)/b.Elapsed().Seconds(), "events/s")
}
