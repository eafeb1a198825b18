package program

import (
	"fmt"

	"github.com/go-json-experiment/json"
)

// A kept answer is the reply's parts as JSON, with the body as bytes: what is given again is what was given first.

type keptReply struct {
	Status   int    `json:"status"`
	Location string `json:"location,omitzero"`
	ETag     string `json:"etag,omitzero"`
	Body     []byte `json:"body,omitzero"`
	Once     bool   `json:"once,omitzero"`
}

func encodeReply(r Reply) []byte {
	b, err := json.Marshal(keptReply(r))
	if err != nil {
		panic(fmt.Sprintf("program: encode a reply: %v", err)) // strings, numbers and bytes always encode
	}
	return b
}

func decodeReply(b []byte) (Reply, error) {
	var k keptReply
	if err := json.Unmarshal(b, &k); err != nil {
		return Reply{}, fmt.Errorf("program: a kept answer: %w", err)
	}
	return Reply(k), nil
}
