package store

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"slices"
)

// Rows of the machinery have no entries, so who may write to the database may write them. A row that holds power is therefore
// authenticated as a whole: its column mac is HMAC-SHA256, under a key of the keys folder, over the shop, the table, and every other column
// by name. A row that was made, changed, or carried into another table, shop or owner's name by hand is worth what no row is.
//
// A MAC does not tell a row from an earlier one of the same name that was genuine. What a row spends (a session that was ended, a
// link that was used, a message that was sent) is therefore also asked of the journal, where nothing can be put back.

// authenticated are the columns of a row that its mac covers, in order: all of them but the mac and the shop.
var authenticated = map[string][]string{
	"session": {
		"id",
		"opens",
		"owner_kind",
		"owner_id",
		"viewer",
		"cause",
		"basis",
		"created_at",
		"seen_at",
		"expires_at",
		"ended_at",
	},
	"link":            {"id", "opens", "purpose", "owner_kind", "owner_id", "basis", "expires_at", "used_at"},
	"outbox":          {"id", "cause", "state", "due_at", "body"},
	"outbox_followed": {"next", "since", "since_at"},
	"idempotency":     {"caller_key", "request_hash", "key_id", "answer", "created_at"},
}

// keyed is HMAC-SHA256 of parts under a key of the shop that serves nothing but rows. Each part is told from the next by its length.
func (s *Store) keyed(purpose string, parts ...[]byte) []byte {
	h := hmac.New(sha256.New, s.rowKey[:])
	for _, p := range append([][]byte{[]byte(purpose)}, parts...) {
		var n [8]byte
		binary.BigEndian.PutUint64(n[:], uint64(len(p)))
		h.Write(n[:])
		h.Write(p)
	}
	return h.Sum(nil)
}

// authentic is the mac of a row, given the values of the columns that it covers. A nil is NULL.
func (s *Store) authentic(table string, values ...any) []byte {
	columns := authenticated[table]
	if len(columns) != len(values) || len(columns) == 0 {
		panic(fmt.Sprintf("store: %d values for the %d authenticated columns of %s", len(values), len(columns), table))
	}
	parts := [][]byte{[]byte(table)}
	for i, v := range values {
		parts = append(parts, []byte(columns[i]))
		switch v := v.(type) {
		case nil:
			parts = append(parts, []byte("null"), nil)
		case []byte:
			parts = append(parts, []byte("bytes"), v)
		case string:
			parts = append(parts, []byte("text"), []byte(v))
		case int64:
			parts = append(parts, []byte("integer"), binary.BigEndian.AppendUint64(nil, uint64(v)))
		default:
			panic(fmt.Sprintf("store: a column of type %T", v))
		}
	}
	return s.keyed("row", parts...)
}

// withoutMAC are the tables that builds before 0013_authentic filled. What they wrote has no mac.
var withoutMAC = map[string]bool{"outbox": true, "outbox_followed": true, "idempotency": true}

// genuine says whether a row is as this program wrote it. One that is not is counted, unless a build before may have written it.
func (s *Store) genuine(table string, mac []byte, values ...any) bool {
	right := s.authentic(table, values...)
	if len(mac) > 0 && hmac.Equal(mac, right) {
		return true
	}
	if len(mac) > 0 || !withoutMAC[table] {
		s.NoteForged(table, string(right)+string(mac))
	}
	return false
}

// opens is what recognises a secret that is presented with the id of a row. It tells nobody which secret it is, however short that is.
func (s *Store) opens(table, key, secret string) []byte {
	return s.keyed("opens", []byte(table), []byte(key), []byte(secret))
}

// Basis is what a session or a link stands on, as text to be kept with it: when one of the parts is another, the row is worth nothing any
// more, whatever became of it in between.
func (s *Store) Basis(parts ...[]byte) string {
	return hex.EncodeToString(s.keyed("basis", slices.Clone(parts)...)[:16])
}
