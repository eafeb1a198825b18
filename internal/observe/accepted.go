package observe

import (
	"encoding/json"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"perennial/internal/fault"
	"perennial/internal/id"
	"perennial/internal/journal"
)

// Operator is whoever runs the server and says, on the command line, that it goes on in spite of something that holds it up.
type Operator struct {
	By      string // the user of the operating system, or who else it says it is; 1 to 100 characters
	Because string // 1 to 500 characters
}

// Check refuses a word without who and why.
func (o Operator) Check() error {
	line := func(s string, most int) bool {
		return strings.TrimSpace(s) != "" && utf8.ValidString(s) && utf8.RuneCountInString(s) <= most &&
			!strings.ContainsFunc(s, unicode.IsControl)
	}
	switch {
	case !line(o.Because, 500):
		return fault.New(fault.Refused, "because", "Say why with --because, in one line of at most 500 characters: it is kept in the journal.")
	case !line(o.By, 100):
		return fault.New(fault.Refused, "by", "Say who you are with --by, in one line of at most 100 characters: it is kept in the journal.")
	}
	return nil
}

// The types of these entries.
const (
	RestoreNoticed   = journal.ShopRestoreNoticed
	RestoreAccepted  = journal.ShopRestoreAccepted
	ClockAccepted    = journal.ShopClockAccepted
	GatewayConnected = journal.ShopGatewayConnected
)

// NoticeRestore says that the gateway charged for this shop after the last entry: the database is an older copy, and nothing in the
// keys folder tells.
type NoticeRestore struct {
	Shop    id.ID
	Since   journal.Time // of the last entry: what was recorded later may be missing
	Charges int64        // that the database knows nothing of
	First   string       // the gateway's id of the first
}

type noticeDetails struct {
	Since   journal.Time `json:"missing_since"`
	Charges int64        `json:"charges"`
	First   string       `json:"first_charge"`
}

func (NoticeRestore) Load(journal.Reader) (World, error) { return World{}, nil }

func (c NoticeRestore) Decide(World, time.Time) (journal.Decision, error) {
	return entry(c.Shop, RestoreNoticed, noticeDetails{c.Since, c.Charges, c.First}), nil
}

// ReadNotice reads the details of an entry shop.restore_noticed.
func ReadNotice(e *journal.Event) (c NoticeRestore, err error) {
	err = read(e, map[string]any{"missing_since": &c.Since, "charges": &c.Charges, "first_charge": &c.First})
	return c, err
}

// AcceptRestore goes on from a database that is older than the last signed checkpoint, or another history, or than what the gateway
// charged.
type AcceptRestore struct {
	Shop   id.ID
	Found  string       // database_behind, database_forked, gateway_ahead
	Ours   int64        // entries that the database holds
	Signed int64        // entries that the given up checkpoint is over; 0: none is given up
	Root   string       // of their tree, as the checkpoint has it
	Since  journal.Time // entries after this time may be missing
	Operator
}

type restoreDetails struct {
	Because string       `json:"because"`
	By      string       `json:"by"`
	Entries int64        `json:"entries"`
	Found   string       `json:"found"`
	Since   journal.Time `json:"missing_since"`
	Root    string       `json:"root"`
	Signed  int64        `json:"signed"`
}

func (AcceptRestore) Load(journal.Reader) (World, error) { return World{}, nil }

// Decide refuses a word without who and why.
func (c AcceptRestore) Decide(World, time.Time) (journal.Decision, error) {
	return told(c.Shop, RestoreAccepted, c.Operator, restoreDetails{c.Because, c.By, c.Ours, c.Found, c.Since, c.Root, c.Signed})
}

// AcceptClock goes on beside a clock that nobody else vouches for, or that is behind the journal.
type AcceptClock struct {
	Shop id.ID
	Last journal.Time // of the last entry
	Says journal.Time // what the clock says
	Operator
}

type clockDetails struct {
	Because string       `json:"because"`
	By      string       `json:"by"`
	Says    journal.Time `json:"clock"`
	Last    journal.Time `json:"last_entry"`
}

func (AcceptClock) Load(journal.Reader) (World, error) { return World{}, nil }

// Decide refuses a word without who and why.
func (c AcceptClock) Decide(World, time.Time) (journal.Decision, error) {
	return told(c.Shop, ClockAccepted, c.Operator, clockDetails{c.Because, c.By, c.Says, c.Last})
}

// Account is an account of a payment gateway, in one of its modes.
type Account struct {
	Gateway string // "stripe", "simulated"
	ID      string // as the gateway calls it; empty: its key may not ask
	Mode    string // "live", "test"
}

// ConnectGateway is the first use of an account, or, by the word of whoever runs the server, of another one.
type ConnectGateway struct {
	Shop id.ID
	Account
	Was      Account  // zero at the first use
	Operator Operator // zero at the first use
}

type connectDetails struct {
	Gateway    string `json:"gateway"`
	Account    string `json:"account"`
	Mode       string `json:"mode"`
	WasGateway string `json:"was_gateway,omitzero"`
	WasAccount string `json:"was_account,omitzero"`
	WasMode    string `json:"was_mode,omitzero"`
	By         string `json:"by,omitzero"`
	Because    string `json:"because,omitzero"`
}

func (ConnectGateway) Load(journal.Reader) (World, error) { return World{}, nil }

// Decide refuses another account without a word.
func (c ConnectGateway) Decide(World, time.Time) (journal.Decision, error) {
	d := connectDetails{
		c.Account.Gateway,
		c.Account.ID,
		c.Account.Mode,
		c.Was.Gateway,
		c.Was.ID,
		c.Was.Mode,
		c.Operator.By,
		c.Operator.Because,
	}
	if c.Was == (Account{}) {
		return entry(c.Shop, GatewayConnected, d), nil
	}
	return told(c.Shop, GatewayConnected, c.Operator, d)
}

func told(shop id.ID, name journal.Name, by Operator, details any) (journal.Decision, error) {
	if err := by.Check(); err != nil {
		return journal.Decision{}, err
	}
	return entry(shop, name, details), nil
}

func entry(shop id.ID, name journal.Name, details any) journal.Decision {
	ref := journal.Ref{Kind: journal.Shop, ID: shop}
	return journal.Decision{Drafts: []journal.Draft{{Type: name, Target: ref, Details: details}}, Result: ref}
}

// ReadRestore reads the details of an entry shop.restore_accepted.
func ReadRestore(e *journal.Event) (c AcceptRestore, err error) {
	err = read(
		e,
		map[string]any{
			"found":         &c.Found,
			"entries":       &c.Ours,
			"signed":        &c.Signed,
			"root":          &c.Root,
			"missing_since": &c.Since,
			"by":            &c.By,
			"because":       &c.Because,
		},
	)
	return c, err
}

// ReadAccount reads the account of an entry shop.gateway_connected.
func ReadAccount(e *journal.Event) (a Account, err error) {
	err = read(e, map[string]any{"gateway": &a.Gateway, "account": &a.ID, "mode": &a.Mode})
	return a, err
}

// Because reads why somebody went on.
func Because(e *journal.Event) (why string) {
	_ = read(e, map[string]any{"because": &why}) // an entry without it has none
	return why
}

func read(e *journal.Event, into map[string]any) error {
	for _, d := range e.Details {
		if to := into[d.Name]; to != nil {
			if err := json.Unmarshal(d.Value, to); err != nil {
				return err
			}
		}
	}
	return nil
}
