package main

import (
	"bytes"
	"context"
	"fmt"
	"time"
)

// peer is one of those that are measured. What it holds is the same for all: entries about subjects, each by one of the actors,
// half a minute apart, with a rare kind among them.
type peer interface {
	// Fill adds entries that nobody measures, until there are so many.
	Fill(ctx context.Context, entries int64) error
	// Writer makes ready for so many callers. work makes one durable change; end is called when all of them have stopped.
	Writer(ctx context.Context, callers int) (work func(ctx context.Context, caller, n int) error, end func() error, err error)
	// Read answers a question and gives how many entries it found.
	Read(ctx context.Context, q question) (found int, err error)
	Close() error
}

// contender is a row of the table.
type contender struct {
	key, name string
	how       string // the settings that matter
	leavesOut string // what Perennial does and it does not
	open      func(ctx context.Context, dir string) (peer, error)
	reads     []questionKind // that it has an answer to
	scans     bool           // it reads entries in order until it has found enough
}

const (
	subjects = 1024 // a multiple of every number of callers, so that no two callers ever wait for the same row
	actors   = 16
	rarely   = 20_000 // entries to one of the rare kind
)

type questionKind string

// The questions.
const (
	ofSubject questionKind = "subject" // the newest 50 about a subject
	ofRare    questionKind = "rare"    // the newest 50 of the rare kind
	ofActor   questionKind = "page"    // the newest 100 of an actor before a moment
)

var questions = []struct {
	kind questionKind
	name string
}{{ofSubject, "newest 50 of a subject"}, {ofRare, "newest 50 of a rare kind"}, {ofActor, "100 of an actor before a date"}}

type question struct {
	kind    questionKind
	subject int
	actor   int
	before  time.Time
}

func (q question) limit() int {
	if q.kind == ofActor {
		return 100
	}
	return 50
}

// subject is whose turn it is. Each caller has subjects of its own.
func subject(callers, caller, n int) int { return (caller + n*callers) % subjects }

func actorName(n int) string { return fmt.Sprintf("upkeep-%02d", n%actors) }

// began is when the first entry of those that fill a peer was made, and at is when the n-th was.
var began = time.Date(2025, 10, 1, 0, 0, 0, 0, time.UTC)

const pause = 30 * time.Second

func at(n int64) time.Time { return began.Add(time.Duration(n) * pause) }

// entry is the n-th entry as bytes, for those that store what they are given: 350 of them.
func entry(n int64, about int) []byte {
	kind := "subscription.delivery_price_changed"
	if rare(n) {
		kind = "product.updated"
	}
	b := fmt.Appendf(make([]byte, 0, 384), `{"actor":{"id":%q,"kind":"system"},"changes":[{"after":{"amount":%d,"currency":"USD"},"before":{"amount":%d,"currency":"USD"},"field":"delivery_price"}],`+
		`"recorded_at":%q,"source":{"channel":"billing"},"targets":[%q],"type":%q,"id":"`, actorName(int(n)), n%100_000, (n+1)%100_000, at(n).Format(time.RFC3339), subjectName(about), kind)
	for len(b) < 348 {
		b = append(b, 'a'+byte(n>>(len(b)%16))%16)
	}
	return append(b, `"}`...)
}

// matches says whether an entry answers a question, for those that have to look at all they have.
func (q question) matches(e []byte) bool {
	switch q.kind {
	case ofSubject:
		return bytes.Contains(e, []byte(subjectName(q.subject)))
	case ofRare:
		return bytes.Contains(e, []byte(`"type":"product.updated"`))
	}
	if !bytes.Contains(e, []byte(`"id":"`+actorName(q.actor)+`"`)) {
		return false
	}
	_, rest, _ := bytes.Cut(e, []byte(`"recorded_at":"`))
	when, _, _ := bytes.Cut(rest, []byte(`"`))
	t, err := time.Parse(time.RFC3339, string(when))
	return err == nil && t.Before(q.before)
}

func rare(n int64) bool { return n%rarely == 1 }

func subjectName(n int) string { return fmt.Sprintf("sub_%024d", n) }
