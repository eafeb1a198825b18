// Package id makes and reads identifiers: a prefix that tells the kind, and a UUIDv7 (RFC 9562) in 26 characters of
// lower-case Crockford base32 without padding, so that the ids of a kind sort by the time they were made. A shop's id is
// "shop_" and a tag of 8 characters, 40 random bits; an event's id is "evt_", its shop's tag and its seq in 13 characters,
// so that an id leads to its place with no index and ids of one shop sort by seq. A thing has exactly one spelling of its
// id. The forms of shop and event ids are frozen (format); TestEventFormat holds them.
package id

import (
	"encoding/binary"
	"fmt"
	"io"
	"strings"
	"sync"
	"time"
)

// ID is an identifier with its prefix, "sub_01jq…". A value of this type was not necessarily checked: see Parse.
type ID string

// The prefixes, without the underscore. Operation is that of a correlation.
const (
	Subscription     = "sub"
	Customer         = "cus"
	Order            = "ord"
	PaymentMethod    = "pm"
	Address          = "addr"
	Product          = "prod"
	Variant          = "var"
	SellingPlan      = "plan"
	SellingPlanGroup = "grp"
	Discount         = "disc"
	Item             = "item"
	TeamMember       = "mem"
	APIKey           = "key"
	Session          = "ses"
	SignIn           = "sgn"
	Request          = "req"
	Command          = "cmd"
	Operation        = "op"
	Message          = "msg"
	Job              = "job"
	Source           = "src"
	DataKey          = "dk"
	Link             = "lnk"
	BillingAttempt   = "att"
	Passkey          = "pk"
	CancelFlow       = "flow"
	CancelReason     = "rsn"
	CancelSession    = "cxs"
	Shop             = "shop"
	EventPrefix      = "evt"
)

// alphabet is Crockford's (https://www.crockford.com/base32.html), which is in ASCII order, so texts sort as their bits do.
const alphabet = "0123456789abcdefghjkmnpqrstvwxyz"

const (
	uuidLength = 26
	tagLength  = 8
	seqLength  = 13
)

// Prefix is the part before the underscore: "sub" of "sub_…".
func (i ID) Prefix() string {
	p, _, _ := strings.Cut(string(i), "_")
	return p
}

// As gives the id of another kind that was made of the same UUID.
func (i ID) As(prefix string) ID {
	_, uuid, _ := strings.Cut(string(i), "_")
	return ID(prefix + "_" + uuid)
}

func (i ID) String() string { return string(i) }

// Maker makes ids. With the same clock and the same random source it makes the same ids in the same order. It is safe for
// concurrent use.
type Maker struct {
	now    func() time.Time
	random io.Reader

	mu sync.Mutex
	// The last UUID, guarded by mu: the next one exceeds it. Holding mu also owns random.
	ms    int64  // 48 bits: milliseconds since 1970; -1 before the first
	randA uint64 // 12 bits
	randB uint64 // 62 bits
}

// NewMaker makes a maker from a clock and a source of random bytes. Ids are only as hard to guess as the source is.
func NewMaker(now func() time.Time, random io.Reader) *Maker {
	return &Maker{now: now, random: random, ms: -1}
}

// New makes an id with a prefix. It panics when the random source fails: no id can be trusted then.
func (m *Maker) New(prefix string) ID {
	hi, lo := m.uuid()
	return ID(prefix + "_" + encode(hi, lo, uuidLength))
}

// First is below every id with the prefix that a Maker makes at t or later, and above those that it made in an earlier millisecond.
func First(prefix string, t time.Time) ID {
	return ID(prefix + "_" + encode(uint64(min(max(t.UnixMilli(), 0), 1<<48-1))<<16, 0, uuidLength))
}

// Of makes the id of what is known by its name: a time and a hash of the name take the places of the clock and of chance.
func Of(prefix string, t time.Time, hash [32]byte) ID {
	hi := uint64(min(max(t.UnixMilli(), 0), 1<<48-1))<<16 | 7<<12 | uint64(binary.BigEndian.Uint16(hash[:]))&(1<<12-1)
	return ID(prefix + "_" + encode(hi, 2<<62|binary.BigEndian.Uint64(hash[2:])&(1<<62-1), uuidLength))
}

// uuid makes a UUIDv7 that is greater than the one before, also within one millisecond and when the clock goes back: the
// 74 random bits are a counter then, which moves on by a random step, so that a neighbour is hard to guess (RFC 9562,
// section 6.2, method 2).
func (m *Maker) uuid() (hi, lo uint64) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if ms := min(max(m.now().UnixMilli(), 0), 1<<48-1); ms > m.ms {
		var b [10]byte
		m.read(b[:])
		m.ms, m.randA, m.randB = ms, uint64(binary.BigEndian.Uint16(b[:]))&(1<<12-1), binary.BigEndian.Uint64(b[2:])&(1<<62-1)
	} else {
		var b [4]byte
		m.read(b[:])
		m.randB += 1 + uint64(binary.BigEndian.Uint32(b[:]))
		m.randA += m.randB >> 62
		m.ms += int64(m.randA >> 12)
		m.randA, m.randB = m.randA&(1<<12-1), m.randB&(1<<62-1)
	}
	return uint64(m.ms)<<16 | 7<<12 | m.randA, 2<<62 | m.randB
}

func (m *Maker) read(b []byte) {
	if _, err := io.ReadFull(m.random, b); err != nil {
		panic(fmt.Sprintf("id: random source: %v", err))
	}
}

// NewShop makes a shop's id: 40 random bits. It panics when the random source fails.
func (m *Maker) NewShop() ID {
	var b [8]byte
	m.mu.Lock()
	defer m.mu.Unlock()
	m.read(b[3:])
	return ID(Shop + "_" + encode(0, binary.BigEndian.Uint64(b[:]), tagLength))
}

// Tag is the part of a shop's id that its events' ids carry.
func Tag(shop ID) string {
	_, tag, _ := strings.Cut(string(shop), "_")
	return tag
}

// Event makes an event's id from its shop and seq, 0 or more. Ids of one shop sort by seq. A negative seq, which only a
// tampered journal holds, gives a text that ParseEvent refuses.
func Event(shop ID, seq int64) ID {
	return ID(EventPrefix + "_" + Tag(shop) + encode(0, uint64(seq), seqLength))
}

// ParseEvent reads an event's id. It takes exactly what Event makes of a shop's id and a seq of 0 or more.
func ParseEvent(s string) (shop ID, seq int64, err error) {
	if _, err := Parse(EventPrefix, s); err != nil {
		return "", 0, err
	}
	tag, digits := s[len(EventPrefix)+1:][:tagLength], s[len(s)-seqLength:]
	var n uint64
	for i := range len(digits) {
		n = n<<5 | uint64(strings.IndexByte(alphabet, digits[i]))
	}
	return ID(Shop + "_" + tag), int64(n), nil
}

// Parse reads an id that must have the prefix, one of the constants above. Only the form that a Maker writes is taken:
// lower case, and none of the look-alikes that Crockford's decoding forgives, so that a thing has one id.
func Parse(prefix, s string) (ID, error) {
	rest, ok := strings.CutPrefix(s, prefix+"_")
	n, at, most := form(prefix)
	if !ok || n == 0 || len(rest) != n || strings.Trim(rest, alphabet) != "" || rest[at] > most {
		return "", fmt.Errorf("id: %.60q is not an id of the form %s_…", s, prefix)
	}
	return ID(s), nil
}

// Valid says whether a text has the form of an id of any known prefix.
func Valid(s string) bool {
	_, err := Parse(ID(s).Prefix(), s)
	return err == nil
}

// form is how many characters follow a prefix, 0 for one that is not known, and the character, by its place, that is at
// most so great: 26 characters hold 130 bits, of which a UUID has 128, and 13 hold 65, of which a seq has 63.
func form(prefix string) (length, at int, most byte) {
	switch prefix {
	case Subscription, Customer, Order, PaymentMethod, Address, Product, Variant, SellingPlan, SellingPlanGroup, Discount, Item, TeamMember,
		APIKey, Session, SignIn, Request, Command, Operation, Message, Job, Source, DataKey, Link,
		BillingAttempt, Passkey, CancelFlow, CancelReason, CancelSession:
		return uuidLength, 0, '7'
	case Shop:
		return tagLength, 0, 'z'
	case EventPrefix:
		return tagLength + seqLength, tagLength, '7'
	}
	return 0, 0, 0
}

// encode writes the low 5n of 128 bits as n characters, the highest bits first.
func encode(hi, lo uint64, n int) string {
	out := make([]byte, n)
	for i := n - 1; i >= 0; i-- {
		out[i] = alphabet[lo&31]
		hi, lo = hi>>5, hi<<59|lo>>5
	}
	return string(out)
}
