// Package verify checks what a Perennial shop says about its journal, without trusting the program that said it. It
// imports the standard library and golang.org/x/mod/sumdb (tree arithmetic and signed notes) and nothing else, so that
// an auditor can read all of it.
//
// What there is to check:
//
//   - A Receipt proves that one event was in the journal when a checkpoint was signed: Receipt.Check.
//   - Two checkpoints prove that the newer journal begins with the older one: CheckConsistency.
//   - A whole journal proves itself, entry by entry: Log.
//
// What makes up a proof:
//
//   - An event is the canonical JSON (RFC 8785) of its entry. It is kept as these bytes and hashed as these bytes.
//   - The events of a shop in the order of seq, which counts from 0, are the leaves of an RFC 6962 Merkle tree: a leaf is
//     SHA-256(0x00 || bytes), a node SHA-256(0x01 || left || right).
//   - A checkpoint (https://c2sp.org/tlog-checkpoint) says how many leaves the tree has and what its root is, in a note
//     signed with the shop's Ed25519 key (https://c2sp.org/signed-note) under the name "perennial/<shop id>".
//
// Whoever holds the signing key can sign any first history; nobody can change one that a checkpoint was kept of. So get
// the key by a way of your own (the API's /log-key, once) and keep the checkpoints that you see.
package verify

import (
	"crypto/sha256"
	"encoding/base64"
	"fmt"
	"strconv"
	"strings"

	"golang.org/x/mod/sumdb/note"
	"golang.org/x/mod/sumdb/tlog"
)

// Problem is the first thing that is wrong.
type Problem struct {
	Seq    int64  // the entry's position, -1 when no single entry is at fault
	ID     string // the event's id, when it is known
	Field  string // the member or the part: "recorded_at", "checkpoint", "hashes" …
	Detail string // what is wrong with it
}

// Error names the place and what is wrong there.
func (p *Problem) Error() string {
	switch {
	case p.ID != "":
		return fmt.Sprintf("event %s (seq %d): %s: %s", p.ID, p.Seq, p.Field, p.Detail)
	case p.Seq >= 0:
		return fmt.Sprintf("event at seq %d: %s: %s", p.Seq, p.Field, p.Detail)
	}
	return p.Field + ": " + p.Detail
}

func problem(field, format string, args ...any) *Problem {
	return &Problem{Seq: -1, Field: field, Detail: fmt.Sprintf(format, args...)}
}

// maxSize is the greatest number of events: seq is a JSON number, exact up to 2^53.
const maxSize = 1 << 53

// Checkpoint is what a signed checkpoint says.
type Checkpoint struct {
	Shop string // the shop's id
	Size int64  // how many events the journal had
	Root [32]byte
}

// OpenCheckpoint checks the signature of a checkpoint with the shop's public key in its encoded form
// ("perennial/shop_…+…+…", white space around it does not matter), and reads it. Signatures of others may be beside the
// shop's own. Every error is a *Problem.
func OpenCheckpoint(msg []byte, key string) (Checkpoint, error) {
	c, p := openCheckpoint(msg, key)
	if p != nil {
		return Checkpoint{}, p
	}
	return c, nil
}

func openCheckpoint(msg []byte, key string) (Checkpoint, *Problem) {
	verifier, err := note.NewVerifier(strings.TrimSpace(key))
	if err != nil {
		return Checkpoint{}, problem("key", "%v", err)
	}
	shop, ok := strings.CutPrefix(verifier.Name(), "perennial/")
	if !ok || !isShop(shop) {
		return Checkpoint{}, problem("key", "%q is not the name of a shop's journal", verifier.Name())
	}
	n, err := note.Open(msg, note.VerifierList(verifier))
	if err != nil {
		return Checkpoint{}, problem("checkpoint", "%v", err)
	}
	// One verifier was given, so one signature was verified. Package note lets the spare bits of its base64 be anything.
	if _, err := base64.StdEncoding.Strict().DecodeString(n.Sigs[0].Base64); err != nil {
		return Checkpoint{}, problem("checkpoint", "the signature is not in canonical base64")
	}
	lines := strings.Split(n.Text, "\n") // the text ends with a newline, so the last element is empty
	if len(lines) != 4 {
		return Checkpoint{}, problem("checkpoint", "it has %d lines, not 3", len(lines)-1)
	}
	if lines[0] != verifier.Name() {
		return Checkpoint{}, problem("checkpoint", "it is of %q, and signed by %q", lines[0], verifier.Name())
	}
	size, err := strconv.ParseInt(lines[1], 10, 64)
	if err != nil || size < 0 || size > maxSize || strconv.FormatInt(size, 10) != lines[1] {
		return Checkpoint{}, problem("checkpoint", "%q is not a size", lines[1])
	}
	root, ok := hash(lines[2])
	if !ok {
		return Checkpoint{}, problem("checkpoint", "%q is not a root", lines[2])
	}
	return Checkpoint{shop, size, root}, nil
}

// CheckConsistency checks that the journal of the newer checkpoint begins with that of the older one. hashes is the
// proof between their sizes (the API's /proofs/consistency). Every error is a *Problem.
func CheckConsistency(older, newer Checkpoint, hashes [][32]byte) error {
	if older.Shop != newer.Shop {
		return problem("checkpoint", "one is of %s and one of %s", older.Shop, newer.Shop)
	}
	if older.Size < 0 || older.Size > newer.Size {
		return problem("checkpoint", "%d events, then %d: a proof leads to as many or more", older.Size, newer.Size)
	}
	if older.Size == 0 { // every tree begins with the empty one
		if older.Root != sha256.Sum256(nil) || len(hashes) > 0 {
			return problem("hashes", "the proof from no events is empty, and their root is the hash of nothing")
		}
		return nil
	}
	if err := tlog.CheckTree(proof(hashes), newer.Size, newer.Root, older.Size, older.Root); err != nil {
		return problem("hashes", "they do not prove that the first %d of %d events are the same", older.Size, newer.Size)
	}
	return nil
}

func proof(hashes [][32]byte) []tlog.Hash {
	p := make([]tlog.Hash, len(hashes))
	for i, h := range hashes {
		p[i] = h
	}
	return p
}

// hash reads 32 bytes in their one base64 form.
func hash(s string) (h [32]byte, ok bool) {
	b, ok := decode(s)
	if !ok || len(b) != len(h) {
		return h, false
	}
	return [32]byte(b), true
}

// decode reads padded base64 and refuses all forms of the same bytes but the one: spare bits that are set, and the line
// breaks that the standard library skips.
func decode(s string) ([]byte, bool) {
	b, err := base64.StdEncoding.Strict().DecodeString(s)
	return b, err == nil && base64.StdEncoding.EncodedLen(len(b)) == len(s)
}
