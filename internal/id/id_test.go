package id_test

import (
	"bytes"
	"errors"
	"fmt"
	"math"
	"math/big"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/iotest"
	"time"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"perennial/internal/id"
)

func at(t time.Time) func() time.Time { return func() time.Time { return t } }

func seeded(n byte) *rand.ChaCha8 { return rand.NewChaCha8([32]byte{n}) }

// TestVectorOfTheRFC holds New against the UUIDv7 of RFC 9562, appendix A.6: 017F22E2-79B0-7CC3-98C4-DC0C0C07398F.
func TestVectorOfTheRFC(t *testing.T) {
	random := []byte{0x0c, 0xc3, 0x18, 0xc4, 0xdc, 0x0c, 0x0c, 0x07, 0x39, 0x8f}
	m := id.NewMaker(at(time.Date(2022, 2, 22, 19, 22, 22, 0, time.UTC)), bytes.NewReader(random))
	i := m.New(id.Subscription)
	if got, want := uuid(t, i), "017f22e2-79b0-7cc3-98c4-dc0c0c07398f"; got != want {
		t.Errorf("got %s, want %s", got, want)
	}
	if got, want := i, id.ID("sub_01fwhe4ydgfk1shh6w1g60eecf"); got != want {
		t.Errorf("got %s, want %s", got, want)
	}
}

// TestEventFormat is frozen: journals hold these ids.
func TestEventFormat(t *testing.T) {
	tests := []struct {
		shop id.ID
		seq  int64
		want id.ID
	}{
		{"shop_0123abcd", 0, "evt_0123abcd0000000000000"},
		{"shop_0123abcd", 1, "evt_0123abcd0000000000001"},
		{"shop_0123abcd", 31, "evt_0123abcd000000000000z"},
		{"shop_0123abcd", 32, "evt_0123abcd0000000000010"},
		{"shop_k3m8z2qa", 1_000_000, "evt_k3m8z2qa000000000ygj0"},
		{"shop_zzzzzzzz", math.MaxInt64, "evt_zzzzzzzz7zzzzzzzzzzzz"},
	}
	for _, tt := range tests {
		if got := id.Event(tt.shop, tt.seq); got != tt.want {
			t.Errorf("Event(%s, %d): got %s, want %s", tt.shop, tt.seq, got, tt.want)
		}
		shop, seq, err := id.ParseEvent(string(tt.want))
		if err != nil || shop != tt.shop || seq != tt.seq {
			t.Errorf("ParseEvent(%s): got %s, %d, %v, want %s, %d", tt.want, shop, seq, err, tt.shop, tt.seq)
		}
	}
}

func TestShopFormat(t *testing.T) {
	m := id.NewMaker(time.Now, bytes.NewReader([]byte{0x00, 0x44, 0x32, 0x14, 0xc7, 0xff, 0xff, 0xff, 0xff, 0xff}))
	got := []id.ID{m.NewShop(), m.NewShop()}
	if diff := cmp.Diff([]id.ID{"shop_01234567", "shop_zzzzzzzz"}, got); diff != "" {
		t.Error(diff)
	}
	if got, want := id.Tag(got[0]), "01234567"; got != want {
		t.Errorf("Tag: got %s, want %s", got, want)
	}
}

func TestSameClockAndSourceGiveTheSameIDs(t *testing.T) {
	make20 := func() []id.ID {
		m := id.NewMaker(at(time.UnixMilli(1_800_000_000_000)), seeded(1))
		ids := []id.ID{m.NewShop()}
		for range 19 {
			ids = append(ids, m.New(id.Customer))
		}
		return ids
	}
	if diff := cmp.Diff(make20(), make20()); diff != "" {
		t.Error(diff)
	}
}

// TestIDsGrow holds for any clock, also one that stands still or goes back.
func TestIDsGrow(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var now time.Time
		m := id.NewMaker(func() time.Time { return now }, seeded(rapid.Byte().Draw(t, "seed")))
		var ids []id.ID
		for _, ms := range rapid.SliceOfN(rapid.OneOf(rapid.Int64Range(-2, 3), rapid.Int64Range(-5, 1<<48+5)), 1, 50).Draw(t, "clock") {
			now = time.UnixMilli(ms)
			ids = append(ids, m.New(id.Order), m.New(id.Order))
		}
		if !slices.IsSorted(ids) {
			t.Fatalf("not in order: %v", ids)
		}
		if n := len(ids); len(slices.Compact(ids)) != n {
			t.Fatal("an id was made twice")
		}
	})
}

// TestCarry walks the counter over the bits of version and variant, which it must neither touch nor lose.
func TestCarry(t *testing.T) {
	random := slices.Concat(
		bytes.Repeat([]byte{0xff}, 10), // all 74 bits set
		[]byte{0, 0, 0, 0},             // steps of 1 and 2
		[]byte{0, 0, 0, 1},
		[]byte{0, 0}, bytes.Repeat([]byte{0xff}, 8), // the low 62 set
		[]byte{0xff, 0xff, 0xff, 0xff}, // a step of 2^32
	)
	ms := int64(1)
	m := id.NewMaker(func() time.Time { return time.UnixMilli(ms) }, bytes.NewReader(random))
	got := []string{uuid(t, m.New(id.Job)), uuid(t, m.New(id.Job)), uuid(t, m.New(id.Job))}
	ms = 3
	got = append(got, uuid(t, m.New(id.Job)), uuid(t, m.New(id.Job)))
	want := []string{
		"00000000-0001-7fff-bfff-ffffffffffff",
		"00000000-0002-7000-8000-000000000000", // the millisecond went on
		"00000000-0002-7000-8000-000000000002",
		"00000000-0003-7000-bfff-ffffffffffff",
		"00000000-0003-7001-8000-0000ffffffff",
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}

// uuid is an id's UUID as RFC 9562 writes it.
func uuid(t *testing.T, i id.ID) string {
	t.Helper()
	_, body, _ := strings.Cut(string(i), "_")
	n := new(big.Int)
	for _, c := range body {
		d := strings.IndexRune("0123456789abcdefghjkmnpqrstvwxyz", c)
		if d < 0 {
			t.Fatalf("%s has %q", i, c)
		}
		n.Add(n.Lsh(n, 5), big.NewInt(int64(d)))
	}
	h := fmt.Sprintf("%032x", n)
	return strings.Join([]string{h[:8], h[8:12], h[12:16], h[16:20], h[20:]}, "-")
}

func TestConcurrentUse(t *testing.T) {
	m := id.NewMaker(at(time.UnixMilli(1)), seeded(2))
	const makers, each = 8, 200
	ids := make([][]id.ID, makers)
	var wg sync.WaitGroup
	for i := range makers {
		wg.Go(func() {
			for range each {
				ids[i] = append(ids[i], m.New(id.Item))
			}
		})
	}
	wg.Wait()
	all := slices.Sorted(slices.Values(slices.Concat(ids...)))
	if got, want := len(slices.Compact(all)), makers*each; got != want {
		t.Errorf("got %d different ids, want %d", got, want)
	}
}

func TestABrokenSourcePanics(t *testing.T) {
	for name, f := range map[string]func(*id.Maker){
		"New":     func(m *id.Maker) { m.New(id.Job) },
		"NewShop": func(m *id.Maker) { m.NewShop() },
	} {
		func() {
			defer func() {
				if recover() == nil {
					t.Errorf("%s went on without random bytes", name)
				}
			}()
			f(id.NewMaker(time.Now, iotest.ErrReader(errors.New("no entropy"))))
		}()
	}
}

func TestParse(t *testing.T) {
	const body = "01fwhe4ydgfk1shh6w1g60eecf"
	tests := []struct {
		name, prefix, in string
		ok               bool
	}{
		{"a subscription", id.Subscription, "sub_" + body, true},
		{"the greatest UUID", id.Subscription, "sub_7zzzzzzzzzzzzzzzzzzzzzzzzz", true},
		{"a shop", id.Shop, "shop_0123abcd", true},
		{"an event", "evt", "evt_0123abcd7zzzzzzzzzzzz", true},
		{"another kind", id.Customer, "sub_" + body, false},
		{"a prefix that is the start of another", "s", "sub_" + body, false},
		{"an unknown prefix", "foo", "foo_" + body, false},
		{"no prefix", "", "_" + body, false},
		{"nothing", id.Subscription, "", false},
		{"only a prefix", id.Subscription, "sub_", false},
		{"too short", id.Subscription, "sub_" + body[1:], false},
		{"too long", id.Subscription, "sub_" + body + "0", false},
		{"upper case", id.Subscription, "sub_" + strings.ToUpper(body), false},
		{"a look-alike that Crockford forgives", id.Subscription, "sub_o" + body[1:], false},
		{"not in the alphabet", id.Subscription, "sub_" + body[:25] + "u", false},
		{"not ASCII", id.Subscription, "sub_" + body[:24] + "é", false},
		{"over 128 bits", id.Subscription, "sub_8" + body[1:], false},
		{"space", id.Subscription, "sub_" + body + "\n", false},
		{"a seq over 63 bits", "evt", "evt_0123abcd8000000000000", false},
		{"a shop's tag too long", id.Shop, "shop_0123abcde", false},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			got, err := id.Parse(tt.prefix, tt.in)
			switch {
			case (err == nil) != tt.ok:
				t.Errorf("got %v, want ok %t", err, tt.ok)
			case tt.ok && string(got) != tt.in:
				t.Errorf("got %s, want %s", got, tt.in)
			case tt.ok && !id.Valid(tt.in):
				t.Error("Valid says no")
			case tt.ok && got.Prefix() != tt.prefix:
				t.Errorf("prefix: got %s, want %s", got.Prefix(), tt.prefix)
			}
		})
	}
}

func TestParseNamesALongTextInShort(t *testing.T) {
	_, err := id.Parse(id.Order, strings.Repeat("x", 1<<20))
	if err == nil || len(err.Error()) > 200 {
		t.Errorf("got an error of %d bytes", len(err.Error()))
	}
}

// TestEveryPrefix makes an id of each kind; a constant that form does not know would be refused here.
func TestEveryPrefix(t *testing.T) {
	m := id.NewMaker(time.Now, seeded(3))
	prefixes := []string{
		id.Subscription, id.Customer, id.Order, id.PaymentMethod, id.Address, id.Product, id.Variant, id.SellingPlan, id.SellingPlanGroup, id.Discount,
		id.Item, id.TeamMember, id.APIKey, id.Session, id.SignIn, id.Request, id.Command, id.Operation, id.Message, id.Job, id.Source, id.DataKey,
		id.Link, id.BillingAttempt, id.Passkey,
	}
	for _, p := range prefixes {
		if made := m.New(p); !id.Valid(made.String()) || made.Prefix() != p {
			t.Errorf("%s is not valid", made)
		}
	}
	shop := m.NewShop()
	for _, made := range []id.ID{shop, id.Event(shop, 7)} {
		if !id.Valid(made.String()) {
			t.Errorf("%s is not valid", made)
		}
	}
	for _, s := range []string{"", "_", "sub", "sub_", "foo_01fwhe4ydgfk1shh6w1g60eecf"} {
		if id.Valid(s) {
			t.Errorf("%q is valid", s)
		}
	}
}

func TestEventsSortBySeq(t *testing.T) {
	shop := id.NewMaker(time.Now, seeded(4)).NewShop()
	rapid.Check(t, func(t *rapid.T) {
		a := rapid.Int64Range(0, math.MaxInt64).Draw(t, "a")
		b := rapid.Int64Range(0, math.MaxInt64).Draw(t, "b")
		if got, want := strings.Compare(string(id.Event(shop, a)), string(id.Event(shop, b))), big.NewInt(a).Cmp(big.NewInt(b)); got != want {
			t.Fatalf("got %d, want %d", got, want)
		}
		gotShop, gotSeq, err := id.ParseEvent(string(id.Event(shop, a)))
		if err != nil || gotShop != shop || gotSeq != a {
			t.Fatalf("got %s, %d, %v, want %s, %d", gotShop, gotSeq, err, shop, a)
		}
	})
}

func TestANegativeSeqIsNoEvent(t *testing.T) {
	for _, seq := range []int64{-1, -32, math.MinInt64} {
		e := string(id.Event("shop_0123abcd", seq))
		if shop, n, err := id.ParseEvent(e); err == nil {
			t.Errorf("%s: got %s, %d, want an error", e, shop, n)
		}
	}
}

func FuzzParseEvent(f *testing.F) {
	for _, s := range []string{
		"evt_0123abcd0000000000009", "evt_zzzzzzzz7zzzzzzzzzzzz", "evt_zzzzzzzz8000000000000", "evt_0123abcd000000000000", "evt_0123ABCD0000000000009",
		"shop_0123abcd", "evt_", "", "evt_0123abcd00000000000é",
	} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		shop, seq, err := id.ParseEvent(s)
		if err != nil {
			if shop != "" || seq != 0 {
				t.Errorf("got %s, %d beside the error", shop, seq)
			}
			return
		}
		if got := id.Event(shop, seq); string(got) != s || seq < 0 {
			t.Errorf("got %s of seq %d, want %s", got, seq, s)
		}
		if !id.Valid(s) || !id.Valid(string(shop)) {
			t.Errorf("%s of %s is not valid", s, shop)
		}
	})
}

func BenchmarkNew(b *testing.B) {
	m := id.NewMaker(time.Now, seeded(5))
	for b.Loop() {
		m.New(id.Subscription)
	}
}
