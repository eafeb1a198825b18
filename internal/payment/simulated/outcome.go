package simulated

import (
	"crypto/sha256"
	"encoding/binary"
	"strconv"
	"strings"
	"time"

	"perennial/internal/payment"
)

// References that need no argument. The forms that take one are in the package comment.
const (
	OK                  = "sim_ok"
	ActionRequired      = "sim_action_required"
	TimeoutAfterCharge  = "sim_timeout_after_charge"
	TimeoutBeforeCharge = "sim_timeout_before_charge"
	ErrorAfterCharge    = "sim_error_after_charge"
	DeclineHard         = declinePrefix + "hard"
	ReportsTwice        = "sim_reports_twice"
	ReportsLate         = "sim_reports_late"
	DisputeWon          = "sim_dispute_won"
	DisputeLost         = "sim_dispute_lost"
	DisputeBackwards    = "sim_dispute_backwards"
	Processing          = "sim_processing"
)

const (
	declinePrefix   = "sim_decline_"
	failFirstPrefix = "sim_fail_first_"
	flakyPrefix     = "sim_flaky_"
	expiresPrefix   = "sim_expires_"
	renewsPrefix    = "sim_renews_"
	leastPrefix     = "sim_least_"
	oursPrefix      = "sim_ours_"
)

// lost says which message between the program and the gateway gets lost.
type lost int

const (
	nothing lost = iota
	request      // the gateway never hears of the charge
	answer       // the gateway charges, and the program never hears of it
	garbled      // the gateway charges, and answers with an error of its server
)

// declines are the codes of sim_decline_<code>.
var declines = map[string]payment.ChargeResult{
	payment.CodeInsufficientFunds: {Message: "The card has insufficient funds."},
	payment.CodeCardDeclined:      {Message: "The bank declined the card and gave no reason."},
	payment.CodeProcessingError:   {Message: "The bank could not process the payment."},
	payment.CodeExpiredCard:       {Message: "The card has expired.", Hard: true},
	payment.CodeLostCard:          {Message: "The card was reported lost.", Hard: true},
	payment.CodeStolenCard:        {Message: "The card was reported stolen.", Hard: true},
	payment.CodeAmountTooSmall:    {Message: "The gateway does not charge so small an amount."},
	payment.CodeMethodUnknown:     {Message: "The gateway does not have this payment method.", Hard: true},
}

// flaws are what a flaky payment method is declined with: nothing hard, so that it stays flaky.
var flaws = [...]string{payment.CodeInsufficientFunds, payment.CodeCardDeclined, payment.CodeProcessingError}

// outcome decides a charge by its payment method's reference, its key, how many charges of the same order and
// reference there were before, its amount, and the day.
func outcome(reference, key string, before int, minor int64, now time.Time) (payment.ChargeResult, lost) {
	switch reference {
	case OK, ReportsTwice, ReportsLate, DisputeWon, DisputeLost, DisputeBackwards:
		return payment.ChargeResult{Status: payment.Succeeded}, nothing
	case TimeoutAfterCharge:
		return payment.ChargeResult{Status: payment.Succeeded}, answer
	case ErrorAfterCharge:
		return payment.ChargeResult{Status: payment.Succeeded}, garbled
	case TimeoutBeforeCharge:
		return payment.ChargeResult{Status: payment.Succeeded}, request
	case DeclineHard:
		return decline(payment.CodeLostCard), nothing
	case ActionRequired:
		return payment.ChargeResult{Status: payment.ActionRequired, Code: payment.CodeAuthenticationRequired,
			Message: "The bank wants the customer to confirm the payment."}, nothing
	}
	if code, ok := strings.CutPrefix(reference, declinePrefix); ok {
		return decline(code), nothing
	}
	if c, ok := dated(reference); ok {
		return declineIf(!c.renews && !now.Before(c.month.AddDate(0, 1, 0)), payment.CodeExpiredCard), nothing
	}
	if text, ok := strings.CutPrefix(reference, failFirstPrefix); ok {
		if n, err := strconv.ParseUint(text, 10, 16); err == nil {
			return declineIf(before < int(n), payment.CodeInsufficientFunds), nothing
		}
	}
	if text, ok := strings.CutPrefix(reference, leastPrefix); ok {
		if n, err := strconv.ParseInt(text, 10, 64); err == nil {
			return declineIf(minor < n, payment.CodeAmountTooSmall), nothing
		}
	}
	if text, ok := strings.CutPrefix(reference, flakyPrefix); ok {
		permille, seed, _ := strings.Cut(text, "_")
		if n, err := strconv.ParseUint(permille, 10, 16); err == nil && n <= 1000 && seed != "" {
			h := sha256.Sum256([]byte(seed + "\x00" + key))
			code := flaws[binary.BigEndian.Uint64(h[8:])%uint64(len(flaws))]
			return declineIf(binary.BigEndian.Uint64(h[:])%1000 < n, code), nothing
		}
	}
	return decline(payment.CodeMethodUnknown), nothing
}

func declineIf(yes bool, code string) payment.ChargeResult {
	if yes {
		return decline(code)
	}
	return payment.ChargeResult{Status: payment.Succeeded}
}

func decline(code string) payment.ChargeResult {
	r, ok := declines[code]
	if !ok {
		return decline(payment.CodeMethodUnknown)
	}
	r.Status, r.Code = payment.Declined, code
	return r
}
