package verify

import (
	"bytes"
	"encoding/json"
	"io"
	"strings"
	"unicode/utf8"

	"golang.org/x/mod/sumdb/tlog"
)

// Receipt proves that one event is in the journal that a checkpoint was signed over.
type Receipt struct {
	Event      []byte     // the event's canonical bytes
	Seq        int64      // its position
	Size       int64      // how many events the checkpoint is over
	Hashes     [][32]byte // the inclusion proof (RFC 6962, section 2.1.1)
	Checkpoint string     // the signed note
	Key        string     // the shop's public key as the receipt gives it: a hint and no evidence
}

// ParseReceipt reads the JSON form of a receipt: an object of exactly the members event, seq, size, hashes, checkpoint
// and key, bytes in base64. Every error is a *Problem.
func ParseReceipt(b []byte) (Receipt, error) {
	var r Receipt
	var event string
	var hashes []string
	wanted := map[string]any{
		"event": &event, "seq": &r.Seq, "size": &r.Size, "hashes": &hashes, "checkpoint": &r.Checkpoint, "key": &r.Key,
	}
	if !utf8.Valid(b) {
		return Receipt{}, problem("receipt", "invalid UTF-8")
	}
	// The members are taken one by one because json.Unmarshal lets names differ in case and appear twice.
	d := json.NewDecoder(bytes.NewReader(b))
	if t, err := d.Token(); err != nil || t != json.Delim('{') {
		return Receipt{}, problem("receipt", "not a JSON object")
	}
	for d.More() {
		t, err := d.Token()
		if err != nil {
			return Receipt{}, problem("receipt", "%v", err)
		}
		name, _ := t.(string) // the decoder lets nothing else be a name
		into, ok := wanted[name]
		if !ok {
			return Receipt{}, problem("receipt", "member %q is unknown or there twice", name)
		}
		delete(wanted, name)
		var raw json.RawMessage
		if err := d.Decode(&raw); err != nil {
			return Receipt{}, problem(name, "%v", err)
		}
		if err := json.Unmarshal(raw, into); err != nil || string(raw) == "null" {
			return Receipt{}, problem(name, "malformed")
		}
	}
	if _, err := d.Token(); err != nil {
		return Receipt{}, problem("receipt", "%v", err)
	}
	if _, err := d.Token(); err != io.EOF {
		return Receipt{}, problem("receipt", "more after the object")
	}
	for _, name := range []string{"event", "seq", "size", "hashes", "checkpoint", "key"} {
		if wanted[name] != nil {
			return Receipt{}, problem(name, "missing")
		}
	}
	var ok bool
	if r.Event, ok = decode(event); !ok {
		return Receipt{}, problem("event", "not in canonical base64")
	}
	if r.Size < 1 || r.Size > maxSize {
		return Receipt{}, problem("size", "%d is not a number of events", r.Size)
	}
	if r.Seq < 0 || r.Seq >= r.Size {
		return Receipt{}, problem("seq", "%d is not a position among %d events", r.Seq, r.Size)
	}
	r.Hashes = make([][32]byte, len(hashes))
	for i, s := range hashes {
		if r.Hashes[i], ok = hash(s); !ok {
			return Receipt{}, problem("hashes", "%q is not a hash in canonical base64", s)
		}
	}
	return r, nil
}

// Check proves the receipt with the shop's public key, which must come from elsewhere. The key in the receipt is no part of the proof: it
// only helps to say why one does not hold. It returns the event when everything holds: the event's bytes are well formed and say the same seq, the
// checkpoint is the shop's, is signed with key and is over size events, and the proof leads from the event to its root.
// Every error is a *Problem.
func (r Receipt) Check(key string) (Event, error) {
	key = strings.TrimSpace(key)
	e, p := parseEvent(r.Event)
	if p != nil {
		return Event{}, p
	}
	fail := func(field, format string, args ...any) (Event, error) {
		p := problem(field, format, args...)
		p.Seq, p.ID = e.Seq, e.ID
		return Event{}, p
	}
	if e.Seq != r.Seq {
		return fail("seq", "the event says %d, the receipt %d", e.Seq, r.Seq)
	}
	c, p := openCheckpoint([]byte(r.Checkpoint), key)
	if p != nil && r.Key != key {
		if _, theirs := openCheckpoint([]byte(r.Checkpoint), r.Key); theirs == nil {
			return Event{}, problem("key", "the receipt was made with another key than the trusted one")
		}
	}
	if p != nil {
		return Event{}, p
	}
	if c.Shop != e.ShopID {
		return fail("shop_id", "the event is of %s, the checkpoint of %s", e.ShopID, c.Shop)
	}
	if c.Size != r.Size {
		return fail("size", "the checkpoint says %d, the receipt %d", c.Size, r.Size)
	}
	if err := tlog.CheckRecord(proof(r.Hashes), c.Size, c.Root, e.Seq, e.LeafHash); err != nil {
		return fail("hashes", "they do not prove that the event is among the %d of the checkpoint", c.Size)
	}
	return e, nil
}
