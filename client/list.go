package client

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"iter"
	"net/http"
)

// Page is a page of a list.
type Page[T any] struct {
	Data []T `json:"data"`
	// NextCursor leads to the next page; nil: this is the last.
	NextCursor *string `json:"next_cursor"`
}

// each goes through the pages of a list.
func each[T any](page func(cursor string) (*Page[T], error)) iter.Seq2[T, error] {
	return func(yield func(T, error) bool) {
		for cursor := ""; ; {
			p, err := page(cursor)
			if err != nil {
				var none T
				yield(none, err)
				return
			}
			for _, v := range p.Data {
				if !yield(v, nil) {
					return
				}
			}
			if p.NextCursor == nil {
				return
			}
			cursor = *p.NextCursor
		}
	}
}

// IngestEvents is POST /events: it sends events in from outside and says what became of each, in their order. A line is taken or refused by
// itself. Needs the permission `events.edit`.
func (c *Client) IngestEvents(ctx context.Context, lines []IngestLine, opts ...Option) ([]IngestAnswer, error) {
	var body bytes.Buffer
	for i, line := range lines {
		b, err := json.Marshal(line)
		if err != nil {
			return nil, fmt.Errorf("client: IngestEvents: line %d: %w", i+1, err)
		}
		body.Write(append(b, '\n'))
	}
	var answers []IngestAnswer
	const lined = "application/x-ndjson"
	r := request{op: "IngestEvents", method: http.MethodPost, path: "/events", raw: body.Bytes(), contentType: lined, accept: lined, keyed: true}
	err := c.do(ctx, r, opts, func(b []byte) error {
		answers = answers[:0]
		for d := json.NewDecoder(bytes.NewReader(b)); ; {
			var a IngestAnswer
			if err := d.Decode(&a); errors.Is(err, io.EOF) {
				break
			} else if err != nil {
				return err
			}
			answers = append(answers, a)
		}
		if len(answers) != len(lines) {
			return fmt.Errorf("%d answers to %d lines", len(answers), len(lines))
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	return answers, nil
}
