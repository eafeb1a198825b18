package journal_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/go-json-experiment/json/jsontext"
	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"pgregory.net/rapid"

	"perennial/internal/id"
	"perennial/internal/journal"
	"perennial/internal/seal"
	"perennial/verify"
)

// TestRoundTrip writes random events and reads them back: opened they are the same, closed they are the same but for the
// personal values, the bytes are canonical, hold no personal value, and are what the verifier reads them as.
func TestRoundTrip(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		e := genEvent(t)
		body, ciphertexts := encode(t, e)
		canonical(t, body)
		if bytes.Contains(body, []byte(secretMark)) {
			t.Errorf("the body holds a personal value: %s", body)
		}
		read := func(open journal.Opener) *journal.Event {
			got, err := journal.Decode(body, ciphertexts, open)
			if err != nil {
				t.Fatalf("%v\n%s", err, body)
			}
			return got
		}
		if diff := cmp.Diff(expected(e, false), read(open), cmpopts.EquateEmpty()); diff != "" {
			t.Errorf("opened (-want +got):\n%s\n%s", diff, body)
		}
		if diff := cmp.Diff(expected(e, true), read(gone), cmpopts.EquateEmpty()); diff != "" {
			t.Errorf("with destroyed keys (-want +got):\n%s\n%s", diff, body)
		}
		if diff := cmp.Diff(read(gone), read(nil)); diff != "" {
			t.Errorf("destroyed and closed differ (-destroyed +closed):\n%s", diff)
		}
		v, err := verify.ParseEvent(body)
		if err != nil {
			t.Fatalf("the verifier: %v\n%s", err, body)
		}
		if v.ID != string(e.ID) || v.Seq != e.Seq || v.Type != string(e.Type) || v.TargetVersion != e.TargetVersion || v.TargetPrevSeq != e.TargetPrevSeq ||
			!v.RecordedAt.Equal(e.RecordedAt) || !slices.EqualFunc(v.Targets, e.Targets, func(a verify.Target, b journal.Ref) bool { return a.Kind == string(b.Kind) && a.ID == string(b.ID) }) || len(v.Boxes) != len(e.Boxes) || v.LeafHash != seal.LeafHash(body) {
			t.Errorf("the verifier reads it otherwise: %+v\n%s", v, body)
		}
	})
}

// expected is what reading gives of an event that was written.
func expected(e *journal.Event, erased bool) *journal.Event {
	want := *e
	want.Person = "" // whose key it is stands in the box
	if want.CorrelationID == "" {
		want.CorrelationID = want.CommandID
	}
	if want.OccurredAt.IsZero() {
		want.OccurredAt = want.RecordedAt
	}
	if !erased {
		return &want
	}
	value := func(j jsontext.Value) jsontext.Value {
		if j == nil {
			return nil
		}
		return jsontext.Value(journal.ErasedJSON)
	}
	want.Changes, want.Details = slices.Clone(e.Changes), slices.Clone(e.Details)
	for i, c := range want.Changes {
		if c.Personal {
			want.Changes[i].Before, want.Changes[i].After = value(c.Before), value(c.After)
		}
	}
	for i, d := range want.Details {
		if d.Personal {
			want.Details[i].Value = value(d.Value)
		}
	}
	if want.Comment.Value != "" {
		want.Comment = journal.Erased[string]()
	}
	if want.Source.IP.Value != "" || want.Source.UserAgent.Value != "" {
		want.Source.IP, want.Source.UserAgent = journal.Erased[string](), journal.Erased[string]()
	}
	return &want
}

// secretMark stands in every personal text of random events.
const secretMark = "Zelda"

func genEvent(t *rapid.T) *journal.Event {
	shop := id.ID("shop_" + rapid.StringMatching(`[0-9a-hjkmnp-tv-z]{8}`).Draw(t, "shop"))
	e := &journal.Event{
		Shop: shop, Seq: rapid.Int64Range(0, seal.MaxSize-1).Draw(t, "seq"), Type: rapid.SampledFrom(journal.Types()).Draw(t, "type").Name,
		TypeVersion: rapid.IntRange(1, 3).Draw(t, "type version"), TargetVersion: 1, TargetPrevSeq: journal.NoPrev,
		Actor:   genActor(t, "actor"),
		Targets: rapid.SliceOfN(rapid.Custom(genRef), 1, 4).Draw(t, "targets"), CommandID: "cmd_1", RecordedAt: genTime(t, "recorded"),
		Source: journal.Origin{Channel: journal.ChannelAPI, RequestID: maybe(t, "request", genText)},
		Person: rapid.SampledFrom([]id.ID{"", "cus_1"}).Draw(t, "person"),
	}
	e.ID = id.Event(shop, e.Seq)
	if e.Seq > 0 && rapid.Bool().Draw(t, "changed before") {
		e.TargetVersion, e.TargetPrevSeq = rapid.Int64Range(2, 1<<40).Draw(t, "version"), rapid.Int64Range(0, e.Seq-1).Draw(t, "prev")
	}
	if rapid.Bool().Draw(t, "on behalf") {
		e.OnBehalfOf = new(genActor(t, "on behalf of"))
	}
	if rapid.Bool().Draw(t, "occurred") {
		e.OccurredAt = genTime(t, "occurred at")
	}
	for _, field := range []*id.ID{&e.CorrelationID, &e.CausationID, &e.Corrects} {
		*field = rapid.SampledFrom([]id.ID{"", "", "evt_1", "cmd_1"}).Draw(t, "id")
	}
	e.Comment = journal.Secluded(maybe(t, "comment", genSecret))
	e.Source.IP, e.Source.UserAgent = journal.Secluded(maybe(t, "ip", genSecret)), journal.Secluded(maybe(t, "user agent", genSecret))
	for i := range rapid.IntRange(0, 5).Draw(t, "changes") {
		c := journal.Change{Field: fmt.Sprintf("field_%d", i), Personal: rapid.Bool().Draw(t, "personal")}
		c.Before, c.After = genValue(t, c.Personal, true), genValue(t, c.Personal, true)
		if c.Before == nil && c.After == nil {
			c.After = genValue(t, c.Personal, false)
		}
		e.Changes = append(e.Changes, c)
	}
	for i := range rapid.IntRange(0, 4).Draw(t, "details") {
		d := journal.Detail{Name: fmt.Sprintf("detail_%d", i), Personal: rapid.Bool().Draw(t, "personal detail")}
		d.Value = genValue(t, d.Personal, false)
		e.Details = append(e.Details, d)
	}
	for range rapid.IntRange(0, 2).Draw(t, "secrets") {
		e.Secrets = append(e.Secrets, journal.SecretCommitment{Name: "password", Commitment: rapid.SliceOfN(rapid.Byte(), 1, 32).Draw(t, "commitment")})
	}
	return e
}

func maybe(t *rapid.T, label string, gen func(*rapid.T) string) string {
	if rapid.Bool().Draw(t, label) {
		return gen(t)
	}
	return ""
}

// genText favours what a writer of JSON could get wrong.
func genText(t *rapid.T) string {
	return rapid.OneOf(rapid.String(), rapid.SampledFrom([]string{"\u2028", "\x00\x1f\x7f", `"\/`, "<&>", "é\U0001F431", "\b\f\n\r\t", "", "{\"erased\":true}"})).Draw(t, "text")
}

func genSecret(t *rapid.T) string { return secretMark + genText(t) }

// genValue is a value of a field. A personal one is a personal text, or erased already.
func genValue(t *rapid.T, personal, nullable bool) jsontext.Value {
	kinds := 5
	if nullable {
		kinds = 6
	}
	var v any
	switch kind := rapid.IntRange(0, kinds-1).Draw(t, "kind"); {
	case kind == 5:
		return nil
	case personal && kind == 0:
		return jsontext.Value(journal.ErasedJSON)
	case personal:
		v = genSecret(t)
	case kind == 0:
		v = rapid.Int64Range(-1<<53, 1<<53).Draw(t, "number")
	case kind == 1:
		v = map[string]any{genText(t): genText(t), "a": rapid.Float64().Draw(t, "float"), "b": nil}
	case kind == 2:
		v = rapid.SliceOfN(rapid.Custom(genText), 0, 3).Draw(t, "list")
	case kind == 3:
		v = rapid.Bool().Draw(t, "bool")
	default:
		v = genText(t)
	}
	j, err := journal.Canonical(v)
	if err != nil {
		t.Fatal(err)
	}
	return j
}

func genRef(t *rapid.T) journal.Ref {
	kind := rapid.SampledFrom([]journal.Kind{journal.Customer, journal.Source, journal.Order, journal.Log}).Draw(t, "kind")
	prefix := rapid.SampledFrom([]string{"", "x", "x_", "evt_", id.Subscription + "_", id.Customer + "_", id.Address + "_", id.PaymentMethod + "_", id.Order + "_", id.Product + "_", id.Variant + "_",
		id.SellingPlan + "_", id.SellingPlanGroup + "_", id.Discount + "_", id.TeamMember + "_", id.APIKey + "_", id.Session + "_"}).Draw(t, "prefix")
	return journal.Ref{Kind: kind, ID: id.ID(prefix + "1" + genText(t))}
}

func genActor(t *rapid.T, label string) journal.Actor {
	return journal.Actor{Kind: rapid.SampledFrom([]journal.ActorKind{journal.ActorSystem, journal.ActorCustomer}).Draw(t, label), ID: rapid.SampledFrom([]string{"", "cus_", "sub_"}).Draw(t, "prefix") + genText(t)}
}

func genTime(t *rapid.T, label string) time.Time {
	const last = 253402300799_999999 // the end of the year 9999
	return time.UnixMicro(rapid.Int64Range(0, last).Draw(t, label)).UTC()
}

// TestDecodeRefuses are bodies that are no events, and boxes that do not hold what the body says.
func TestDecodeRefuses(t *testing.T) {
	whole := func(change ...string) string {
		return strings.NewReplacer(change...).Replace(`{"actor":{"id":"a","kind":"system"},"boxes":[["k","",""]],` +
			`"changes":[{"field":"note","sealed_after":0}],"command_id":"cmd_1","id":"evt_k3m8z2qa0000000000000","recorded_at":"2027-03-03T09:30:00.000000Z","sealed_comment":1,` +
			`"seq":0,"source":{"channel":"api"},"target_version":1,"targets":[{"id":"t","kind":"customer"}],"type":"x.y","v":1}`)
	}
	const content = `["a","b"]`
	for name, tc := range map[string]struct {
		body, content, want string
	}{
		"whole":                         {whole(), content, ""},
		"not JSON":                      {`{`, content, "body"},
		"a member that is unknown":      {whole(`"v":1`, `"v":1,"w":1`), content, "unknown"},
		"a member twice":                {whole(`"v":1`, `"v":1,"v":1`), content, "duplicate"},
		"another version":               {whole(`"v":1`, `"v":2`), content, "format version 2"},
		"no target":                     {whole(`{"id":"t","kind":"customer"}`, ``), content, "no target"},
		"a target of no kind":           {whole(`{"id":"t","kind":"customer"}`, `{"id":"t"}`), content, "without a kind"},
		"a time of another form":        {whole(`.000000Z`, `.000Z`), content, "recorded_at"},
		"a time with an offset":         {whole(`.000000Z`, `.000000+01:00`), content, "recorded_at"},
		"another id":                    {whole(`"evt_k3m8z2qa0000000000000"`, `"evt_1"`), content, "evt_1"},
		"a place in the network box":    {whole(`"k"`, `"net_k3m8z2qa_2027-03"`), content, "no box"},
		"a place before all":            {whole(`"sealed_after":0`, `"sealed_after":-1`), content, "value -1 of 2"},
		"a place with nothing":          {whole(`"sealed_after":0`, `"sealed_after":2`), content, "value 2 of 2"},
		"two boxes of its own":          {whole(`["k","",""]`, `["k","",""],["k","",""]`), content, "more boxes"},
		"two network boxes":             {whole(`["k","",""]`, `["net_1","",""],["net_1","",""]`), content, "more boxes"},
		"the network box first":         {whole(`["k","",""]`, `["net_1","",""],["k","",""]`), content, "more boxes"},
		"a network box of another form": {whole(`["k","",""]`, `["net_1","",""]`, `"sealed_after":0`, `"after":1`, `"sealed_comment":1,`, ``), `{}`, "network box"},
		"a network box with less":       {whole(`["k","",""]`, `["net_1","",""]`, `"sealed_after":0`, `"after":1`, `"sealed_comment":1,`, ``), `["a"]`, "network box"},
		"a box with less":               {whole(`["k","",""]`, `["k",""]`), content, "a box of 2"},
		"a box with spare bits":         {whole(`["k","",""]`, `["k","","AB=="]`), content, "not base64"},
		"a box with a line break":       {whole(`["k","",""]`, `["k","","AAAA\nAAAA"]`), content, "not base64"},
		"a box with no list":            {whole(), `{}`, "box of values"},
		"a box with a short list":       {whole(), `["a"]`, "value 1 of 1"},
		"a comment that is no text":     {whole(), `["a",1]`, "comment"},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := journal.Decode([]byte(tc.body), [][]byte{[]byte(tc.content)}, open)
			switch {
			case tc.want == "" && err != nil:
				t.Errorf("refused: %v", err)
			case tc.want != "" && (err == nil || !strings.Contains(err.Error(), tc.want)):
				t.Errorf("got %v, want an error with %q", err, tc.want)
			}
		})
	}
	if _, err := journal.Decode([]byte(whole()), nil, open); err == nil || !strings.Contains(err.Error(), "1 boxes but 0 ciphertexts") {
		t.Errorf("without its ciphertexts: got %v", err)
	}
	if _, err := journal.Decode([]byte(whole()), [][]byte{nil}, func(journal.Box, []byte) ([]byte, error) { return nil, errors.New("broken") }); err == nil {
		t.Error("a broken box was taken for an erased one")
	}
}

// FuzzDecode reads bodies, with content for all of their boxes.
func FuzzDecode(f *testing.F) {
	body, ciphertexts := encode(f, sample(f))
	f.Add(body, ciphertexts[0])
	f.Add(body, ciphertexts[1])
	f.Add([]byte(`{"v":1}`), []byte(`[]`))
	f.Fuzz(func(t *testing.T, b, content []byte) {
		closed, err := journal.Decode(b, nil, nil)
		if err != nil {
			return
		}
		opened, err := journal.Decode(b, slices.Repeat([][]byte{content}, len(closed.Boxes)), open)
		for _, e := range []*journal.Event{closed, opened} {
			if err != nil && e == opened {
				continue // the content is not what the body says
			}
			if len(e.Targets) == 0 {
				t.Error("an event without a target was read")
			}
			if _, err := json.Marshal(journal.Summary(e)); err != nil {
				t.Error(err)
			}
		}
	})
}
