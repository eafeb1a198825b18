package money_test

import (
	"encoding/json"
	"errors"
	"math"
	"math/big"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"perennial/internal/money"
)

var roundings = []money.Rounding{money.HalfUp, money.HalfEven, money.Down, money.Up}

// anyMinor draws all sizes, and often the ends of the range.
func anyMinor() *rapid.Generator[int64] {
	return rapid.OneOf(rapid.Int64Range(-100_000, 100_000), rapid.Int64(), rapid.SampledFrom([]int64{math.MinInt64, math.MinInt64 + 1, math.MaxInt64 - 1, math.MaxInt64}))
}

// matches compares a result with the exact one: equal where an int64 holds it, else ErrOverflow.
func matches(t *rapid.T, op string, got money.Amount, err error, want *big.Int) {
	t.Helper()
	switch {
	case want.IsInt64() && (err != nil || got != money.Of(want.Int64(), "USD")):
		t.Fatalf("%s: got %v, %v, want %v", op, got, err, want)
	case !want.IsInt64() && !errors.Is(err, money.ErrOverflow):
		t.Fatalf("%s: got %v, %v, want ErrOverflow for %v", op, got, err, want)
	case err != nil && got != money.Amount{}:
		t.Fatalf("%s: got %v beside the error", op, got)
	}
}

// TestArithmetic compares with math/big.
func TestArithmetic(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		a, b := anyMinor().Draw(t, "a"), anyMinor().Draw(t, "b")
		x, y := money.Of(a, "USD"), money.Of(b, "USD")
		bigA, bigB := big.NewInt(a), big.NewInt(b)

		got, err := x.Add(y)
		matches(t, "Add", got, err, new(big.Int).Add(bigA, bigB))
		got, err = x.Sub(y)
		matches(t, "Sub", got, err, new(big.Int).Sub(bigA, bigB))
		got, err = x.Neg()
		matches(t, "Neg", got, err, new(big.Int).Neg(bigA))
		got, err = x.Mul(b)
		matches(t, "Mul", got, err, new(big.Int).Mul(bigA, bigB))
		if c, err := x.Compare(y); err != nil || c != bigA.Cmp(bigB) {
			t.Fatalf("Compare: got %d, %v", c, err)
		}
	})
}

// TestMulRatio compares with exact fractions of math/big.
func TestMulRatio(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		a, num := anyMinor().Draw(t, "a"), anyMinor().Draw(t, "num")
		den := anyMinor().Filter(func(n int64) bool { return n != 0 }).Draw(t, "den")
		r := rapid.SampledFrom(roundings).Draw(t, "rounding")
		got, err := money.Of(a, "USD").MulRatio(num, den, r)
		matches(t, "MulRatio", got, err, rounded(a, num, den, r))
	})
}

func rounded(a, num, den int64, r money.Rounding) *big.Int {
	exact := new(big.Rat).SetFrac(new(big.Int).Mul(big.NewInt(a), big.NewInt(num)), big.NewInt(den))
	q, rest := new(big.Int).QuoRem(exact.Num(), exact.Denom(), new(big.Int)) // towards zero
	half := new(big.Int).Lsh(rest.Abs(rest), 1).Cmp(exact.Denom())
	away := r == money.Up && rest.Sign() != 0 || r == money.HalfUp && half >= 0 || r == money.HalfEven && (half > 0 || half == 0 && q.Bit(0) == 1)
	if away {
		q.Add(q, big.NewInt(int64(exact.Sign())))
	}
	return q
}

func TestRounding(t *testing.T) {
	tests := []struct {
		a, num, den                int64
		halfUp, halfEven, down, up int64
	}{
		{5, 1, 2, 3, 2, 2, 3},
		{-5, 1, 2, -3, -2, -2, -3},
		{5, -1, 2, -3, -2, -2, -3},
		{5, 1, -2, -3, -2, -2, -3},
		{-5, 1, -2, 3, 2, 2, 3},
		{7, 1, 2, 4, 4, 3, 4},
		{1, 1, 3, 0, 0, 0, 1},
		{2, 1, 3, 1, 1, 0, 1},
		{6, 1, 3, 2, 2, 2, 2},
		{0, -1, 3, 0, 0, 0, 0},
		{math.MinInt64, 1, 1, math.MinInt64, math.MinInt64, math.MinInt64, math.MinInt64},
		{math.MaxInt64, math.MaxInt64, math.MaxInt64, math.MaxInt64, math.MaxInt64, math.MaxInt64, math.MaxInt64},
	}
	for _, tt := range tests {
		for i, want := range []int64{tt.halfUp, tt.halfEven, tt.down, tt.up} {
			got, err := money.Of(tt.a, "USD").MulRatio(tt.num, tt.den, roundings[i])
			if err != nil || got.Minor != want {
				t.Errorf("%d * %d / %d, rounding %d: got %d, %v, want %d", tt.a, tt.num, tt.den, roundings[i], got.Minor, err, want)
			}
		}
	}
}

// TestRoundingAtTheEnds rounds where one more unit leaves the range, of 64 bits or of the result.
func TestRoundingAtTheEnds(t *testing.T) {
	tests := []struct {
		name        string
		a, num, den int64
		r           money.Rounding
		want        int64 // 0: ErrOverflow
	}{
		// (2^63-3) * (2^63+1)/3 is 1 less than 2^64 times the divisor: the quotient is 2^64-1, and there is a rest.
		{"up from 2^64-1", math.MaxInt64 - 2, 3074457345618258603, 1537228672809129301, money.Up, 0},
		{"down from 2^64-1", math.MaxInt64 - 2, 3074457345618258603, 1537228672809129301, money.Down, 0},
		// (2^32-1) * (2^32+1) / 2 is 2^63 - 1/2.
		{"half up to 2^63", 1<<32 - 1, 1<<32 + 1, 2, money.HalfUp, 0},
		{"half even to 2^63", 1<<32 - 1, 1<<32 + 1, 2, money.HalfEven, 0},
		{"down to the greatest", 1<<32 - 1, 1<<32 + 1, 2, money.Down, math.MaxInt64},
		{"up to the least", 1<<32 - 1, 1<<32 + 1, -2, money.Up, math.MinInt64},
		{"up below the least", math.MinInt64, 1<<62 + 1, 1 << 62, money.Up, 0},
	}
	for _, tt := range tests {
		got, err := money.Of(tt.a, "USD").MulRatio(tt.num, tt.den, tt.r)
		if got.Minor != tt.want || (tt.want == 0) != errors.Is(err, money.ErrOverflow) {
			t.Errorf("%s: got %v, %v, want %d", tt.name, got, err, tt.want)
		}
	}
}

func TestRefusals(t *testing.T) {
	usd, eur := money.Of(100, "USD"), money.Of(100, "EUR")
	tests := []struct {
		name string
		do   func() error
		want error
	}{
		{"Add of two currencies", func() error { _, err := usd.Add(eur); return err }, money.ErrCurrency},
		{"Sub of two currencies", func() error { _, err := usd.Sub(eur); return err }, money.ErrCurrency},
		{"Compare of two currencies", func() error { _, err := usd.Compare(eur); return err }, money.ErrCurrency},
		{"Add to no currency", func() error { _, err := money.Amount{}.Add(usd); return err }, money.ErrCurrency},
		{"MulRatio by zero", func() error { _, err := usd.MulRatio(1, 0, money.Down); return err }, money.ErrRatio},
		{"no rounding, with a rest", func() error { _, err := usd.MulRatio(1, 3, 0); return err }, money.ErrRounding},
		{"no rounding, without a rest", func() error { _, err := usd.MulRatio(1, 1, 0); return err }, money.ErrRounding},
		{"a rounding that is none", func() error { _, err := usd.Percent(1, money.Up+1); return err }, money.ErrRounding},
		{"Allocate to nobody", func() error { _, err := money.Allocate(usd, nil); return err }, money.ErrWeights},
		{"Allocate by a negative weight", func() error { _, err := money.Allocate(usd, []int64{2, -1}); return err }, money.ErrWeights},
		{"Allocate by too much weight", func() error {
			_, err := money.Allocate(usd, []int64{math.MaxInt64, math.MaxInt64, math.MaxInt64})
			return err
		}, money.ErrOverflow},
	}
	for _, tt := range tests {
		if err := tt.do(); !errors.Is(err, tt.want) {
			t.Errorf("%s: got %v, want %v", tt.name, err, tt.want)
		}
	}
}

func TestPercent(t *testing.T) {
	tests := []struct{ minor, basisPoints, want int64 }{
		{2450, 1000, 245},
		{2455, 1000, 246}, // 245.5
		{1999, 1900, 380}, // 379.81
		{2450, 10_000, 2450},
		{2450, 0, 0},
		{-2455, 1000, -246},
	}
	for _, tt := range tests {
		got, err := money.Of(tt.minor, "EUR").Percent(tt.basisPoints, money.HalfUp)
		if err != nil || got != money.Of(tt.want, "EUR") {
			t.Errorf("%d basis points of %d: got %v, %v, want %d", tt.basisPoints, tt.minor, got, err, tt.want)
		}
	}
}

func TestAllocate(t *testing.T) {
	tests := []struct {
		name    string
		total   int64
		weights []int64
		want    []int64
	}{
		{"even", 100, []int64{1, 1}, []int64{50, 50}},
		{"ties by position", 100, []int64{1, 1, 1}, []int64{34, 33, 33}},
		{"ties by position, negative", -100, []int64{1, 1, 1}, []int64{-34, -33, -33}},
		{"the largest remainder", 10, []int64{1, 1, 4}, []int64{2, 2, 6}}, // 1.67, 1.67, 6.67
		{"the largest remainder comes last", 10, []int64{13, 13, 14}, []int64{3, 3, 4}},
		{"nothing for no weight", 5, []int64{0, 3, 0, 4}, []int64{0, 2, 0, 3}},
		{"no weights at all", 5, []int64{0, 0}, []int64{3, 2}},
		{"nothing to give", 0, []int64{1, 2}, []int64{0, 0}},
		{"all of it", math.MinInt64, []int64{7}, []int64{math.MinInt64}},
		{"ties by position, of many", 10, slices.Repeat([]int64{1}, 40), slices.Concat(slices.Repeat([]int64{1}, 10), make([]int64, 30))},
		{"more parts than units", 2, []int64{1, 1, 1, 1}, []int64{1, 1, 0, 0}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			parts, err := money.Allocate(money.Of(tt.total, "USD"), tt.weights)
			if err != nil {
				t.Fatal(err)
			}
			var got []int64
			for _, p := range parts {
				got = append(got, p.Minor)
			}
			if diff := cmp.Diff(tt.want, got); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func TestAllocateProperties(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		total := money.Of(anyMinor().Draw(t, "total"), "USD")
		weights := rapid.SliceOfN(rapid.OneOf(rapid.Int64Range(0, 10), rapid.Int64Range(0, math.MaxInt64/20)), 1, 20).Draw(t, "weights")
		parts, err := money.Allocate(total, weights)
		if err != nil {
			t.Fatal(err)
		}
		sum, all := money.Zero("USD"), new(big.Int)
		for i, p := range parts {
			if sum, err = sum.Add(p); err != nil {
				t.Fatal(err)
			}
			all.Add(all, big.NewInt(weights[i]))
		}
		if sum != total {
			t.Fatalf("got %v together, want %v", sum, total)
		}
		if all.Sign() == 0 {
			return
		}
		for i, p := range parts {
			down := rounded(total.Minor, weights[i], 1, money.Down)
			share := new(big.Rat).SetFrac(down, all)
			off := new(big.Rat).Sub(new(big.Rat).SetInt64(p.Minor), share)
			if off.Abs(off).Cmp(big.NewRat(1, 1)) >= 0 {
				t.Fatalf("part %d: got %v, which is one unit or more off %v", i, p, share)
			}
			if weights[i] == 0 && !p.IsZero() {
				t.Fatalf("part %d: got %v for no weight", i, p)
			}
			for j := range i {
				if weights[j] == weights[i] && magnitude(parts[j]) < magnitude(p) {
					t.Fatalf("parts %d and %d weigh the same, and the later got more: %v, %v", j, i, parts[j], p)
				}
			}
		}
	})
}

func magnitude(a money.Amount) uint64 {
	return new(big.Int).Abs(big.NewInt(a.Minor)).Uint64()
}

func TestText(t *testing.T) {
	tests := []struct {
		amount         money.Amount
		plain, written string
	}{
		{money.Of(2450, "USD"), "24.50 USD", "$24.50"},
		{money.Of(-2450, "USD"), "-24.50 USD", "-$24.50"},
		{money.Of(5, "EUR"), "0.05 EUR", "€0.05"},
		{money.Of(-5, "GBP"), "-0.05 GBP", "-£0.05"},
		{money.Of(0, "USD"), "0.00 USD", "$0.00"},
		{money.Of(2450, "CHF"), "24.50 CHF", "24.50 CHF"},
		{money.Of(2450, "JPY"), "2450 JPY", "¥2450"},
		{money.Of(0, "JPY"), "0 JPY", "¥0"},
		{money.Of(2450, "KWD"), "2.450 KWD", "2.450 KWD"},
		{money.Of(-1, "CLF"), "-0.0001 CLF", "-0.0001 CLF"},
		{money.Of(2450, "CAD"), "24.50 CAD", "CA$24.50"},
		{money.Of(2450, "AUD"), "24.50 AUD", "A$24.50"},
		{money.Of(2450, "NZD"), "24.50 NZD", "NZ$24.50"},
		{money.Of(math.MinInt64, "USD"), "-92233720368547758.08 USD", "-$92233720368547758.08"},
	}
	for _, tt := range tests {
		if got := tt.amount.String(); got != tt.plain {
			t.Errorf("String: got %q, want %q", got, tt.plain)
		}
		if got := tt.amount.Format(); got != tt.written {
			t.Errorf("Format: got %q, want %q", got, tt.written)
		}
	}
}

func TestJSON(t *testing.T) {
	got, err := json.Marshal(money.Of(2450, "USD"))
	if want := `{"amount":2450,"currency":"USD"}`; err != nil || string(got) != want {
		t.Errorf("got %s, %v, want %s", got, err, want)
	}
}

func TestCurrencies(t *testing.T) {
	for _, code := range []string{"USD", "EUR", "JPY", "KWD", "AED", "ZWG", "XCG", "XOF", "CLF"} {
		if !money.ValidCurrency(code) {
			t.Errorf("%s is refused", code)
		}
	}
	for _, code := range []string{"", "US", "USDX", "usd", "USD ", " USD", "DEM", "XXX", "XTS", "XAU", "XDR", "AED AFN", "D A"} {
		if money.ValidCurrency(code) {
			t.Errorf("%q is taken", code)
		}
	}
	tests := []struct {
		in, want string
	}{
		{"USD", "USD"}, {" chf\n", "CHF"}, {"Eur", "EUR"},
		{"", ""}, {"dollars", ""}, {"U S D", ""}, {"ınr", ""}, {"uſd", ""},
	}
	for _, tt := range tests {
		got, err := money.ParseCurrency(tt.in)
		if got != tt.want || (err == nil) != (tt.want != "") || err != nil && !errors.Is(err, money.ErrUnknownCurrency) {
			t.Errorf("ParseCurrency(%q): got %q, %v, want %q", tt.in, got, err, tt.want)
		}
	}
}

func TestDigits(t *testing.T) {
	groups := map[int][]string{
		0: {"JPY", "KRW", "CLP", "ISK", "UGX", "VND", "XAF", "XOF", "XPF", "UYI"},
		2: {"USD", "EUR", "HUF", "IDR", "MGA", "MRU", "CVE", "XXX"},
		3: {"KWD", "BHD", "JOD", "OMR", "TND", "IQD", "LYD"},
		4: {"CLF", "UYW"},
	}
	for want, codes := range groups {
		for code := range slices.Values(codes) {
			if got := money.Digits(code); got != want {
				t.Errorf("%s: got %d, want %d", code, got, want)
			}
		}
	}
}
