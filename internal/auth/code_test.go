package auth_test

import (
	"bytes"
	"image/png"
	"strings"
	"testing"
	"time"

	"perennial/internal/auth"
)

// The vectors of RFC 6238, appendix B, cut to six digits.
func TestCheckCode(t *testing.T) {
	const seed = "GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ" // "12345678901234567890"
	for _, c := range []struct {
		at     int64
		code   string
		period int64
		ok     bool
	}{
		{59, "287082", 1, true}, {1111111109, "081804", 37037036, true}, {20000000000, "353 130", 666666666, true},
		{89, "287082", 1, true}, {29, "287082", 1, true}, {90, "287082", 0, false}, {59, "287083", 0, false}, {59, "", 0, false},
	} {
		if p, ok := auth.CheckCode(seed, c.code, time.Unix(c.at, 0)); ok != c.ok || p != c.period {
			t.Errorf("%s at %d: %d %v", c.code, c.at, p, ok)
		}
	}
	if got := auth.CodeEnd(1); !got.Equal(time.Unix(90, 0)) {
		t.Errorf("a code of period 1 ends at %v", got)
	}
	if a, b := auth.NewSeed(), auth.NewSeed(); a == b || len(a) != 32 {
		t.Errorf("seeds %q and %q", a, b)
	}
}

func TestSeedPicture(t *testing.T) {
	b, err := auth.SeedPicture(auth.NewSeed(), "Harbor & Sons", "ö+x@example.com")
	if err != nil {
		t.Fatal(err)
	}
	if img, err := png.Decode(bytes.NewReader(b)); err != nil || img.Bounds().Dx() != 256 {
		t.Errorf("a picture %v, %v", img.Bounds(), err)
	}
}

func TestRecoveryCodes(t *testing.T) {
	codes, hashes := auth.NewRecoveryCodes(3)
	left, ok := auth.UseRecoveryCode(" "+strings.ToUpper(strings.Replace(codes[1], "-", " ", 1)), hashes)
	if !ok || len(left) != 64 {
		t.Fatalf("%v, %d bytes left", ok, len(left))
	}
	if _, ok := auth.UseRecoveryCode(codes[1], left); ok {
		t.Error("a code was taken twice")
	}
	for _, c := range []string{codes[0], codes[2]} {
		if _, ok := auth.UseRecoveryCode(c, left); !ok {
			t.Errorf("%s is lost", c)
		}
	}
	for _, h := range [][]byte{nil, {0}, left[:10]} {
		if _, ok := auth.UseRecoveryCode(codes[0], h); ok {
			t.Errorf("taken from %x", h)
		}
	}
}

func TestBox(t *testing.T) {
	b, other := auth.NewBox([32]byte{1}), auth.NewBox([32]byte{2})
	now := time.Unix(1000, 0)
	text, err := b.Ticket("door", []string{"x"}, now.Add(time.Minute))
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	if !b.Redeem("door", text, now, &got) || len(got) != 1 || got[0] != "x" {
		t.Errorf("got %v", got)
	}
	flipped := []byte(text)
	flipped[20] ^= 1
	for name, ok := range map[string]bool{
		"too late": b.Redeem("door", text, now.Add(time.Minute), &got), "for something else": b.Redeem("window", text, now, &got),
		"changed": b.Redeem("door", string(flipped), now, &got), "cut": b.Redeem("door", text[:10], now, &got), "empty": b.Redeem("door", "", now, &got),
		"of another key": other.Redeem("door", text, now, &got),
	} {
		if ok {
			t.Errorf("a ticket that is %s was redeemed", name)
		}
	}
}
