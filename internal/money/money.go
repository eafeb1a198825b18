// Package money is amounts of money in integer minor units with an ISO 4217 currency. There is no float anywhere:
// products and ratios go through 128 bits and are rounded as the caller says. A result that an int64 cannot hold is
// ErrOverflow, never a wrapped number; parts of an amount add up to it exactly. TestArithmetic and TestAllocateProperties
// hold this against math/big.
package money

import (
	"cmp"
	"errors"
	"fmt"
	"math"
	"math/bits"
	"slices"
	"strings"
)

// Amount is an amount of money in minor units (cents of a USD, whole JPY) of an ISO 4217 currency in upper case. It is
// negative only where a document says so. The zero Amount has no currency and is added to nothing else.
type Amount struct {
	Minor    int64  `json:"amount"`
	Currency string `json:"currency"`
}

// The errors of arithmetic.
var (
	ErrOverflow = errors.New("money: the amount is too large")
	ErrCurrency = errors.New("money: the currencies differ")
	ErrRatio    = errors.New("money: the divisor is zero")
	ErrRounding = errors.New("money: no such rounding")
	ErrWeights  = errors.New("money: the weights must be one or more, and none of them negative")
)

// Rounding says what happens to the part below one minor unit.
type Rounding int

// The roundings. There is no default: every caller says which.
const (
	HalfUp   Rounding = iota + 1 // half away from zero
	HalfEven                     // half to the even neighbour
	Down                         // towards zero
	Up                           // away from zero
)

// Of makes an amount.
func Of(minor int64, currency string) Amount { return Amount{minor, currency} }

// Zero is nothing, in a currency.
func Zero(currency string) Amount { return Amount{0, currency} }

// IsZero says whether the amount is nothing.
func (a Amount) IsZero() bool { return a.Minor == 0 }

// Add gives a + b. It fails with ErrCurrency or ErrOverflow.
func (a Amount) Add(b Amount) (Amount, error) {
	if a.Currency != b.Currency {
		return Amount{}, ErrCurrency
	}
	s := a.Minor + b.Minor
	if (s < a.Minor) != (b.Minor < 0) {
		return Amount{}, ErrOverflow
	}
	return Amount{s, a.Currency}, nil
}

// Neg gives -a. It fails with ErrOverflow for the one number that has no opposite.
func (a Amount) Neg() (Amount, error) {
	if a.Minor == math.MinInt64 {
		return Amount{}, ErrOverflow
	}
	return Amount{-a.Minor, a.Currency}, nil
}

// Sub gives a - b. It fails with ErrCurrency or ErrOverflow.
func (a Amount) Sub(b Amount) (Amount, error) {
	if a.Currency != b.Currency {
		return Amount{}, ErrCurrency
	}
	d := a.Minor - b.Minor
	if (d > a.Minor) != (b.Minor < 0) {
		return Amount{}, ErrOverflow
	}
	return Amount{d, a.Currency}, nil
}

// Compare orders amounts of one currency: -1, 0 or 1. It fails with ErrCurrency.
func (a Amount) Compare(b Amount) (int, error) {
	if a.Currency != b.Currency {
		return 0, ErrCurrency
	}
	return cmp.Compare(a.Minor, b.Minor), nil
}

// Mul gives a times a quantity, exactly. It fails with ErrOverflow.
func (a Amount) Mul(quantity int64) (Amount, error) { return a.MulRatio(quantity, 1, Down) }

// Percent gives a share in basis points: 10,000 is the whole.
func (a Amount) Percent(basisPoints int64, r Rounding) (Amount, error) {
	return a.MulRatio(basisPoints, 10_000, r)
}

// PercentOff gives what is left of a price when that many percent, 0 to 100, are taken off. The price is rounded, half away from zero, and
// not what is taken off: 10 percent off 5 is 5. It is the one rule for every price with a percentage.
func (a Amount) PercentOff(percent int64) (Amount, error) {
	return a.MulRatio(100-percent, 100, HalfUp)
}

// MulRatio gives a * num / den, with a 128-bit product, so that only the result itself can overflow. It fails with
// ErrRatio, ErrRounding or ErrOverflow.
func (a Amount) MulRatio(num, den int64, r Rounding) (Amount, error) {
	switch {
	case den == 0:
		return Amount{}, ErrRatio
	case r < HalfUp || r > Up:
		return Amount{}, ErrRounding
	}
	negative := (a.Minor < 0) != (num < 0) != (den < 0)
	d := magnitude(den)
	hi, lo := bits.Mul64(magnitude(a.Minor), magnitude(num))
	if hi >= d {
		return Amount{}, ErrOverflow
	}
	q, rest := bits.Div64(hi, lo, d)
	if q > 1<<63 { // before rounding, which could wrap it
		return Amount{}, ErrOverflow
	}
	if rest != 0 && (r == Up || r == HalfUp && rest >= d-rest || r == HalfEven && (rest > d-rest || rest == d-rest && q%2 == 1)) {
		q++
	}
	switch {
	case !negative && q <= math.MaxInt64:
		return Amount{int64(q), a.Currency}, nil
	case negative && q <= 1<<63:
		return Amount{int64(-q), a.Currency}, nil
	}
	return Amount{}, ErrOverflow
}

func magnitude(n int64) uint64 {
	if n < 0 {
		return -uint64(n)
	}
	return uint64(n)
}

// Allocate splits a total by weights so that the parts add up to it exactly: each gets its share rounded towards zero,
// and the minor units left over go to the largest remainders, the first of equal ones first (the method of Hamilton). A
// weight of zero gets nothing, unless all are zero: then the parts are equal. It fails with ErrWeights, or with
// ErrOverflow when the weights' sum has more than 64 bits.
func Allocate(total Amount, weights []int64) ([]Amount, error) {
	if len(weights) == 0 {
		return nil, ErrWeights
	}
	var sum uint64
	for _, w := range weights {
		if w < 0 {
			return nil, ErrWeights
		}
		next := sum + uint64(w)
		if next < sum {
			return nil, ErrOverflow
		}
		sum = next
	}
	if sum == 0 {
		weights = slices.Repeat([]int64{1}, len(weights))
		sum = uint64(len(weights))
	}
	type share struct {
		at   int
		rest uint64
	}
	whole := magnitude(total.Minor)
	parts, shares := make([]uint64, len(weights)), make([]share, len(weights))
	left := whole
	for i, w := range weights {
		hi, lo := bits.Mul64(whole, uint64(w))
		q, rest := bits.Div64(hi, lo, sum)
		parts[i], shares[i] = q, share{i, rest}
		left -= q
	}
	slices.SortStableFunc(shares, func(a, b share) int { return cmp.Compare(b.rest, a.rest) })
	for i := range left {
		parts[shares[i].at]++
	}
	out := make([]Amount, len(parts))
	for i, p := range parts {
		n := int64(p)
		if total.Minor < 0 {
			n = -n
		}
		out[i] = Amount{n, total.Currency}
	}
	return out, nil
}

// Decimal is the amount without its currency: "24.50"; "2450" in JPY, "2.450" in KWD.
func (a Amount) Decimal() string {
	n := Digits(a.Currency)
	s := fmt.Sprintf("%0*d", n+1, magnitude(a.Minor))
	if n > 0 {
		s = s[:len(s)-n] + "." + s[len(s)-n:]
	}
	if a.Minor < 0 {
		s = "-" + s
	}
	return s
}

// String is the plain form: "24.50 USD".
func (a Amount) String() string { return a.Decimal() + " " + a.Currency }

// Format is the form for a sentence: "$24.50", "24.50 CHF", "-€3.00". Digits are not grouped.
func (a Amount) Format() string {
	sign := symbol(a.Currency)
	if sign == "" {
		return a.String()
	}
	d, negative := strings.CutPrefix(a.Decimal(), "-")
	if negative {
		sign = "-" + sign
	}
	return sign + d
}
