package verify

import (
	"strconv"
	"strings"
	"time"

	"golang.org/x/mod/sumdb/tlog"
)

// Event is what this package reads of an event: what places it in the journal, and what its sealed boxes commit to. The
// other members of the bytes are proved with it and not looked at.
type Event struct {
	ID            string // "evt_", the 8 characters of the shop's tag, and 13 of the seq in base32
	ShopID        string // "shop_" and the tag, which its id has
	Seq           int64  // position in the shop's journal, from 0
	Type          string
	Targets       []Target // the first is the thing that the event changed; the others are mentioned
	TargetVersion int64    // how often that thing was changed, this time included: from 1
	TargetPrevSeq int64    // the seq of that thing's event before this one, -1 for version 1
	RecordedAt    time.Time
	Boxes         []Box
	LeafHash      [32]byte // SHA-256(0x00 || bytes)
}

// Target names a thing.
type Target struct {
	Kind string
	ID   string
}

// Box describes a sealed value, whose ciphertext lies beside the event.
type Box struct {
	Key        string   // the id of the key that opens it, which tells whose it is
	Commitment [32]byte // HMAC-SHA256 of the value under a salt that is sealed with it
	Hash       [32]byte // SHA-256 of the ciphertext
}

// formatVersion is the one version of the format that there is, the member "v".
const formatVersion = 1

// recordedAtLayout is the only form of a time: UTC, exactly six fractional digits.
const recordedAtLayout = "2006-01-02T15:04:05.000000Z"

// ParseEvent reads the bytes of an event and checks what can be checked on them alone: that they are canonical, that
// the members are well formed, and that id and seq agree. Every error is a *Problem.
func ParseEvent(body []byte) (Event, error) {
	e, p := parseEvent(body)
	if p != nil {
		return Event{}, p
	}
	return e, nil
}

func parseEvent(body []byte) (Event, *Problem) {
	e := Event{Seq: -1, TargetPrevSeq: -1, LeafHash: tlog.RecordHash(body)}
	if err := CheckCanonical(body); err != nil {
		return e, problem("body", "not canonical JSON: %v", err)
	}
	if body[0] != '{' {
		return e, problem("body", "not an object")
	}
	var version int64
	var recordedAt string
	for name, raw := range members(body) {
		ok := true
		switch name {
		case "boxes":
			ok = e.readBoxes(raw)
		case "id":
			ok = str(raw, &e.ID)
		case "recorded_at":
			ok = str(raw, &recordedAt)
		case "seq":
			ok = whole(raw, &e.Seq)
		case "target_prev_seq":
			ok = whole(raw, &e.TargetPrevSeq)
		case "target_version":
			ok = whole(raw, &e.TargetVersion)
		case "targets":
			ok = e.readTargets(raw)
		case "type":
			ok = str(raw, &e.Type)
		case "v":
			ok = whole(raw, &version)
		}
		if !ok {
			return e, problem(name, "malformed")
		}
	}
	// A member that is missing has kept a value that is not allowed.
	e.ShopID = shopOf(e.ID)
	switch {
	case version != formatVersion:
		return e, problem("v", "format version %d, this program reads %d", version, formatVersion)
	case e.Seq < 0:
		return e, problem("seq", "missing")
	case !isShop(e.ShopID) || e.ID != eventID(e.ShopID, e.Seq):
		return e, problem("id", "%q is not the id of a shop's event at %d", e.ID, e.Seq)
	}
	if p := e.check(recordedAt); p != nil {
		p.Seq, p.ID = e.Seq, e.ID
		return e, p
	}
	return e, nil
}

func (e *Event) check(recordedAt string) *Problem {
	switch {
	case e.Type == "":
		return problem("type", "missing")
	case len(e.Targets) == 0:
		return problem("targets", "missing")
	case e.TargetVersion < 1:
		return problem("target_version", "%d, and they count from 1", e.TargetVersion)
	case e.TargetVersion == 1 && e.TargetPrevSeq >= 0:
		return problem("target_prev_seq", "%d, and version 1 has nothing before it", e.TargetPrevSeq)
	case e.TargetVersion > 1 && e.TargetPrevSeq < 0:
		return problem("target_prev_seq", "missing in version %d", e.TargetVersion)
	case e.TargetPrevSeq >= e.Seq:
		return problem("target_prev_seq", "%d, which is not before", e.TargetPrevSeq)
	}
	var err error
	// time.Parse takes a comma for the point, so what it understood is written again.
	if e.RecordedAt, err = time.Parse(recordedAtLayout, recordedAt); err != nil || e.RecordedAt.Format(recordedAtLayout) != recordedAt {
		return problem("recorded_at", "%q is not UTC with six fractional digits", recordedAt)
	}
	return nil
}

// kinds are what a target is whose id has the prefix, when it does not say otherwise.
var kinds = map[string]string{
	"sub": "subscription", "cus": "customer", "addr": "address", "pm": "payment_method", "ord": "order", "prod": "product", "var": "variant",
	"grp": "selling_plan_group", "plan": "selling_plan", "disc": "discount", "mem": "team_member", "key": "api_key", "ses": "session",
}

func (e *Event) readTargets(raw []byte) bool {
	if raw[0] != '[' {
		return false
	}
	for raw := range elements(raw) {
		var t Target
		ok := fields(raw, func(name, value string) bool {
			switch name {
			case "id":
				t.ID = value
			case "kind":
				t.Kind = value
			default:
				return false
			}
			return true
		})
		if t.Kind == "" {
			prefix, _, _ := strings.Cut(t.ID, "_")
			t.Kind = kinds[prefix]
		}
		if !ok || t.Kind == "" || t.ID == "" {
			return false
		}
		e.Targets = append(e.Targets, t)
	}
	return true
}

func (e *Event) readBoxes(raw []byte) bool {
	if raw[0] != '[' {
		return false
	}
	for raw := range elements(raw) {
		parts, ok := texts(raw)
		if !ok || len(parts) != 3 || parts[0] == "" {
			return false
		}
		b := Box{Key: parts[0]}
		var committed, hashed bool
		b.Commitment, committed = hash(parts[1])
		b.Hash, hashed = hash(parts[2])
		if !committed || !hashed {
			return false
		}
		e.Boxes = append(e.Boxes, b)
	}
	return true
}

// fields gives the members of an object to set, all of which have to be strings that it takes.
func fields(raw []byte, set func(name, value string) bool) bool {
	if raw[0] != '{' {
		return false
	}
	for name, raw := range members(raw) {
		var value string
		if !str(raw, &value) || !set(name, value) {
			return false
		}
	}
	return true
}

// texts reads an array of strings.
func texts(raw []byte) (all []string, ok bool) {
	if raw[0] != '[' {
		return nil, false
	}
	for raw := range elements(raw) {
		var text string
		if !str(raw, &text) {
			return nil, false
		}
		all = append(all, text)
	}
	return all, true
}

func str(raw []byte, into *string) bool {
	if raw[0] != '"' {
		return false
	}
	*into = unquote(raw)
	return true
}

// whole reads a whole number from 0 to 2^53.
func whole(raw []byte, into *int64) bool {
	n, err := strconv.ParseInt(string(raw), 10, 64)
	if err != nil || n < 0 || n > maxSize {
		return false
	}
	*into = n
	return true
}

// base32 is Crockford's alphabet in lower case.
const base32 = "0123456789abcdefghjkmnpqrstvwxyz"

func isShop(id string) bool {
	tag, ok := strings.CutPrefix(id, "shop_")
	return ok && len(tag) == 8 && strings.Trim(tag, base32) == ""
}

// shopOf is the shop that an event's id names, if it is one.
func shopOf(event string) string {
	tag := strings.TrimPrefix(event, "evt_")
	return "shop_" + tag[:min(8, len(tag))]
}

// eventID is the id of a shop's event at seq: 13 digits of 5 bits hold every seq, and sort like it.
func eventID(shop string, seq int64) string {
	var digits [13]byte
	for i := len(digits) - 1; i >= 0; i-- {
		digits[i] = base32[seq&31]
		seq >>= 5
	}
	return "evt_" + strings.TrimPrefix(shop, "shop_") + string(digits[:])
}
