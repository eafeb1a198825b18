// Package seal is the proof side of the journal: each shop's events are the leaves of an RFC 6962 Merkle tree, whose
// root is signed in checkpoints. It knows hashes and sizes only: no SQL, no clock, no events.
//
// A leaf is SHA-256(0x00 || the event's canonical bytes), an inner node SHA-256(0x01 || left || right). All tree
// arithmetic is that of golang.org/x/mod/sumdb/tlog; the tests compare every root and proof with an independent
// implementation, github.com/transparency-dev/merkle.
//
// What is stored, and why it is enough:
//   - every leaf hash, in its event's row;
//   - the right edge of the tree (Edge: one hash for each bit that is set in the size), in the head's row. It alone
//     gives the root and takes the next leaf, so a commit reads no other hash;
//   - the root of every complete subtree of 2^NodeLevel leaves and more (Node), written once, when its last leaf comes.
//
// A proof reads at most one Node for each level, and recomputes the levels below NodeLevel from the leaves of the few
// blocks that it touches (Source).
package seal

import "golang.org/x/mod/sumdb/tlog"

// Hash is a SHA-256 hash of the tree. Its JSON form is padded standard base64.
type Hash = tlog.Hash

// MaxSize is the greatest number of leaves. A leaf's position is a JSON number in its event, and those are exact up to
// 2^53 (RFC 8785, section 3.2.2.3).
const MaxSize = 1 << 53

// LeafHash is the hash of an event's canonical bytes as a leaf, which the 0x00 before them tells apart from an inner
// node.
func LeafHash(body []byte) Hash { return tlog.RecordHash(body) }
