package journal_test

import (
	"bytes"
	"cmp"
	"crypto/sha256"
	"slices"
	"testing"
	"time"

	"github.com/go-json-experiment/json/jsontext"
	gocmp "github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"perennial/internal/id"
	"perennial/internal/journal"
	"perennial/verify"
)

type thing struct {
	ID     id.ID                    `json:"id"`
	Status string                   `json:"status"`
	Count  int                      `json:"count"`
	Note   journal.Personal[string] `json:"note"`
	Tags   []string                 `json:"tags"`
	Parts  []part                   `json:"parts" journal:"key=id"`
	Limit  *int                     `json:"limit"`
}

type part struct {
	ID    string `json:"id"`
	Size  int    `json:"size"`
	Title string `json:"title"`
}

func (t *thing) Ref() journal.Ref { return journal.Ref{Kind: journal.Product, ID: t.ID} }
func (t *thing) Person() id.ID    { return "cus_x" }

func fresh() journal.State { return new(thing) }

// plainSealer "seals" without a cipher: the ciphertext is the value, so that tests can read and damage it.
type plainSealer struct{}

func (plainSealer) Seal(class string, owner id.ID, value []byte) (journal.Sealed, error) {
	h := sha256.Sum256(value)
	key := cmp.Or(string(owner), map[string]string{journal.ClassNetwork: "net_k3m8z2qa_2027-03", journal.ClassShop: "shop_k3m8z2qa"}[class])
	return journal.Sealed{Box: journal.Box{Key: key, Class: class, Commitment: h[:], Hash: h[:]}, Ciphertext: value}, nil
}

func open(_ journal.Box, ciphertext []byte) ([]byte, error) { return ciphertext, nil }

func gone(journal.Box, []byte) ([]byte, error) { return nil, journal.ErrUnreadable }

func sample(t testing.TB) *journal.Event {
	t.Helper()
	before := &thing{ID: "prod_1", Status: "active", Note: journal.Secluded("ring the <bell> & wait"), Parts: []part{{"a", 1, "A"}, {"b", 2, "B"}}}
	after := journal.Clone(before)
	after.Status, after.Count, after.Note = "archived", 7, journal.Secluded("é\u2028\"")
	after.Parts = []part{{"b", 3, "B"}, {"c", 1, "C"}}
	changes, err := journal.Diff(before, after)
	if err != nil {
		t.Fatal(err)
	}
	at := time.Date(2027, 3, 3, 9, 30, 0, 120_000, time.UTC)
	return &journal.Event{
		Shop: "shop_k3m8z2qa", ID: id.Event("shop_k3m8z2qa", 41), Seq: 41, Type: "product.updated", TypeVersion: 1,
		Targets: []journal.Ref{{Kind: journal.Product, ID: "prod_1"}, {Kind: journal.Customer, ID: "cus_x"}}, TargetVersion: 3, TargetPrevSeq: 12,
		Actor: journal.Actor{Kind: journal.ActorAPIKey, ID: "key_1"}, OnBehalfOf: &journal.Actor{Kind: journal.ActorCustomer, ID: "cus_x"},
		Source:     journal.Origin{Channel: journal.ChannelAPI, RequestID: "req_1", IP: journal.Secluded("192.0.2.7"), UserAgent: journal.Secluded("curl/8")},
		OccurredAt: at.Add(-time.Hour), RecordedAt: at, Changes: changes, Comment: journal.Secluded("as asked"), Person: "cus_x",
		Details:       []journal.Detail{{Name: "amount", Value: jsontext.Value(`{"amount":5,"currency":"USD"}`)}, {Name: "message", Value: jsontext.Value(`"hello"`), Personal: true}},
		CorrelationID: "op_1", CausationID: id.Event("shop_k3m8z2qa", 40), CommandID: "cmd_1", Corrects: id.Event("shop_k3m8z2qa", 12),
		Secrets: []journal.SecretCommitment{{Name: "password", Commitment: []byte{1, 2, 3}}},
	}
}

func encode(t rapid.TB, e *journal.Event) (body []byte, ciphertexts [][]byte) {
	t.Helper()
	return encodeWith(t, e, plainSealer{})
}

func encodeWith(t rapid.TB, e *journal.Event, s journal.Sealer) (body []byte, ciphertexts [][]byte) {
	t.Helper()
	network, err := e.Source.SealNetwork(s)
	if err != nil {
		t.Fatal(err)
	}
	body, ciphertexts, err = e.Encode(s, network)
	if err != nil {
		t.Fatal(err)
	}
	return body, ciphertexts
}

// canonical checks bytes with the library that writes values and with the verifier's own reader.
func canonical(t rapid.TB, body []byte) {
	t.Helper()
	want := jsontext.Value(bytes.Clone(body))
	if err := want.Canonicalize(); err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(want, body) {
		t.Errorf("the body is not canonical:\n got %s\nwant %s", body, want)
	}
	if err := verify.CheckCanonical(body); err != nil {
		t.Errorf("the verifier: %v\n%s", err, body)
	}
}

func TestBodyIsCanonicalAndReadsBack(t *testing.T) {
	want := sample(t)
	body, ciphertexts := encode(t, want)
	canonical(t, body)
	got, err := journal.Decode(body, ciphertexts, open)
	if err != nil {
		t.Fatal(err)
	}
	want.Person = ""
	if diff := gocmp.Diff(want, got); diff != "" {
		t.Errorf("decoded event (-want +got):\n%s", diff)
	}
	for _, secret := range []string{"bell", "as asked", "192.0.2.7", "curl", "hello"} {
		if bytes.Contains(body, []byte(secret)) {
			t.Errorf("the body holds the personal value %q", secret)
		}
	}
}

func TestAnUnreadableBoxReadsAsErased(t *testing.T) {
	body, ciphertexts := encode(t, sample(t))
	for name, opener := range map[string]journal.Opener{"destroyed": gone, "closed": nil} {
		t.Run(name, func(t *testing.T) {
			got, err := journal.Decode(body, ciphertexts, opener)
			if err != nil {
				t.Fatal(err)
			}
			c, _ := got.Change("note")
			if string(c.Before) != journal.ErasedJSON || string(c.After) != journal.ErasedJSON {
				t.Errorf("note: got %s and %s, want both erased", c.Before, c.After)
			}
			if !got.Comment.Erased || !got.Source.IP.Erased {
				t.Errorf("comment and IP: got %+v %+v, want erased", got.Comment, got.Source.IP)
			}
			s, err := journal.Apply(&thing{ID: "prod_1", Parts: []part{{"a", 1, "A"}, {"b", 2, "B"}}}, fresh, got.Changes)
			if err != nil || !s.(*thing).Note.Erased {
				t.Errorf("applied: got %+v, %v, want an erased note", s, err)
			}
		})
	}
}

func genThing(t *rapid.T, label string) *thing {
	th := &thing{ID: "prod_1", Status: rapid.SampledFrom([]string{"", "active", "x"}).Draw(t, label+"status"), Count: rapid.IntRange(-3, 3).Draw(t, label+"count"),
		Note: journal.Secluded(rapid.SampledFrom([]string{"", "a", "b"}).Draw(t, label+"note")), Tags: rapid.SliceOfN(rapid.SampledFrom([]string{"p", "q"}), 0, 2).Draw(t, label+"tags")}
	for _, k := range []string{"a", "b", "c"} {
		if rapid.Bool().Draw(t, label+k) {
			th.Parts = append(th.Parts, part{k, rapid.IntRange(0, 2).Draw(t, label+k+"size"), "T"})
		}
	}
	if rapid.Bool().Draw(t, label+"limited") {
		th.Limit = new(rapid.IntRange(0, 2).Draw(t, label+"limit"))
	}
	return th
}

func TestApplyOfDiffIsTheStateAfter(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		before, after := genThing(t, "before "), genThing(t, "after ")
		changes, err := journal.Diff(before, after)
		if err != nil {
			t.Fatal(err)
		}
		untouched, _, err := journal.Split(before)
		if err != nil {
			t.Fatal(err)
		}
		got, err := journal.Apply(before, fresh, changes)
		if err != nil {
			t.Fatal(err)
		}
		same(t, got, after)
		back, err := journal.Apply(got, fresh, journal.Inverse(changes))
		if err != nil {
			t.Fatal(err)
		}
		same(t, back, before)
		if now, _, err := journal.Split(before); err != nil || !bytes.Equal(now, untouched) {
			t.Fatalf("Apply changed the state it was given: %s to %s, %v", untouched, now, err)
		}
		created, err := journal.Diff(nil, after)
		if err != nil {
			t.Fatal(err)
		}
		made, err := journal.Apply(nil, fresh, created)
		if err != nil {
			t.Fatal(err)
		}
		same(t, made, after)
		for _, c := range changes {
			v, err := journal.Value(before, c.Field)
			if err != nil || !bytes.Equal(v, c.Before) {
				t.Fatalf("Value(%s): got %s, %v, want %s", c.Field, v, err, c.Before)
			}
		}
	})
}

func same(t *rapid.T, got, want journal.State) {
	gd, gp, err := journal.Split(got)
	if err != nil {
		t.Fatal(err)
	}
	wd, wp, err := journal.Split(want)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(gd, wd) || !bytes.Equal(gp, wp) {
		t.Fatalf("got %s %s, want %s %s", gd, gp, wd, wp)
	}
	joined, err := journal.Join(new(thing), gd, gp, gp != nil)
	if err != nil {
		t.Fatal(err)
	}
	if jd, jp, err := journal.Split(joined); err != nil || !bytes.Equal(jd, gd) || !bytes.Equal(jp, gp) {
		t.Fatalf("joined: got %s %s, %v, want %s %s", jd, jp, err, gd, gp)
	}
}

func TestCatalogue(t *testing.T) {
	seen := map[string]bool{}
	for _, ty := range journal.Types() {
		if seen[string(ty.Name)] {
			t.Errorf("%s is declared twice", ty.Name)
		}
		seen[string(ty.Name)] = true
		if ty.Label == "" || ty.Category == "" || ty.Target == "" || ty.Since == "" || ty.Version == 0 {
			t.Errorf("%s: an empty column: %+v", ty.Name, ty)
		}
		if ty.Undo != "" {
			by, ok := journal.Lookup(ty.Undo)
			if !ok || by.Target != ty.Target {
				t.Errorf("%s is undone by %s, which is not a type of the same target", ty.Name, ty.Undo)
			}
			for _, f := range ty.Fields {
				if f != journal.All && !slices.Contains(by.Fields, f) && !slices.Contains(by.Fields, journal.All) {
					t.Errorf("%s is undone by %s, which may not change %s", ty.Name, ty.Undo, f)
				}
			}
		}
	}
}

// A number that the canonical form would round is refused, wherever it stands.
func TestCanonicalRefusesRounding(t *testing.T) {
	const exact = 1 << 53
	for _, v := range []any{int64(exact + 1), int64(-exact - 1), uint64(1 << 63), []any{"a\"1", 1, map[string]any{"1": int64(exact + 1)}}, jsontext.Value(`{"a":[9007199254740993]}`)} {
		if got, err := journal.Canonical(v); err == nil {
			t.Errorf("%v: got %s, want an error", v, got)
		}
	}
	for _, v := range []any{int64(exact), int64(-exact), 1e300, 0.1, "9007199254740993", map[string]any{"9007199254740993\\": "\"9007199254740993"}, jsontext.Value(`1e17`)} {
		if _, err := journal.Canonical(v); err != nil {
			t.Errorf("%v: %v", v, err)
		}
	}
}
