package program

import (
	"bytes"
	"errors"
	"fmt"

	"github.com/go-json-experiment/json"
)

// A kept answer is a line of JSON with the reply's parts, and then its body, byte for byte: what is given again is what
// was given first.

type keptReply struct {
	Status   int    `json:"status"`
	Location string `json:"location,omitzero"`
	ETag     string `json:"etag,omitzero"`
	Once     bool   `json:"once,omitzero"`
	Shows    shows  `json:"shows,omitzero"`
}

// shows is what a kept answer shows. Answers of builds that did not say may show personal values.
type shows string

const (
	showsPlain    shows = "plain"
	showsPersonal shows = "personal"
)

func encodeReply(r Reply) []byte {
	what := showsPlain
	if r.Personal {
		what = showsPersonal
	}
	b, err := json.Marshal(keptReply{r.Status, r.Location, r.ETag, r.Once, what})
	if err != nil {
		panic(fmt.Sprintf("program: encode a reply: %v", err)) // strings and numbers always encode
	}
	return append(append(b, '\n'), r.Body...)
}

func decodeReply(b []byte) (Reply, error) {
	line, body, ok := bytes.Cut(b, []byte{'\n'})
	if !ok {
		return Reply{}, errors.New("program: a kept answer: cut short")
	}
	var k keptReply
	if err := json.Unmarshal(line, &k); err != nil {
		return Reply{}, fmt.Errorf("program: a kept answer: %w", err)
	}
	return Reply{Status: k.Status, Location: k.Location, ETag: k.ETag, Once: k.Once, Body: body, Personal: k.Shows != showsPlain}, nil
}
