package client

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"iter"
	"net/http"
	"strconv"
	"strings"
	"sync/atomic"
	"time"
)

// Stream follows the journal live. When it is cut off, also because the server is started anew, it goes on where it was: no event is lost
// and none comes twice.
type Stream struct {
	client   *Client
	params   StreamEventsParams
	position atomic.Int64 // -1: not known yet
}

// StreamEvents is GET /events/stream: it follows the events of a filter from now on. Needs the permission `events.view`.
func (c *Client) StreamEvents(params StreamEventsParams) *Stream {
	s := &Stream{client: c, params: params}
	s.position.Store(-1)
	return s
}

// After makes the stream begin after a seq: with what was missed while nobody followed.
func (s *Stream) After(seq int64) *Stream {
	s.position.Store(seq)
	return s
}

// Position is the seq up to which all is seen: every event of the filter up to it was handed over. Kept, it is where After can go on; so is
// the seq of the last event that was dealt with. It is -1 before the stream was open for the first time.
func (s *Stream) Position() int64 { return s.position.Load() }

// Events connects and gives the events as they come, until the context ends or the server refuses (a *Problem: the key was revoked, say).
// Until the first connection it gives up like any call; after it, an outage of any length is waited for.
func (s *Stream) Events(ctx context.Context) iter.Seq2[Event, error] {
	return func(yield func(Event, error) bool) {
		failed := 0 // attempts in a row
		opened := false
		base := time.Duration(0) // by the server's word
		for {
			more, err := s.connect(ctx, &base, func() { failed, opened = 0, true }, yield)
			if !more {
				return
			}
			failed++
			wait, again := s.client.pause(err, failed)
			if ctx.Err() != nil {
				err, again = ctx.Err(), false
			}
			if again && (opened || failed < s.client.Attempts) && sleep(ctx, max(wait, base)) {
				continue
			}
			yield(Event{}, fmt.Errorf("client: StreamEvents: %w", err))
			return
		}
	}
}

// connect hands over what one connection gives. It tells whether the stream goes on, and why the connection ended.
func (s *Stream) connect(ctx context.Context, base *time.Duration, open func(), yield func(Event, error) bool) (more bool, err error) {
	r := request{op: "StreamEvents", method: http.MethodGet, path: "/events/stream", query: s.params, accept: "text/event-stream"}
	header, err := s.client.header(r, nil)
	if err != nil {
		return true, &unreadable{err}
	}
	if at := s.Position(); at >= 0 {
		header.Set("Last-Event-ID", strconv.FormatInt(at, 10))
	}
	address, _, err := s.client.encode(r)
	if err != nil {
		return true, &unreadable{err}
	}
	within, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	silence := time.AfterFunc(s.client.Silence, func() { cancel(errSilent) })
	defer silence.Stop()
	req, err := http.NewRequestWithContext(within, r.method, address, http.NoBody)
	if err != nil {
		return true, &unreadable{err}
	}
	req.Header = header
	res, err := s.client.HTTP.Do(req)
	if err != nil {
		return true, err
	}
	defer res.Body.Close()
	if err := problemOf(res); err != nil {
		return true, err
	}
	if !strings.HasPrefix(res.Header.Get("Content-Type"), "text/event-stream") {
		return true, &unreadable{fmt.Errorf("the answer is %q and no stream", res.Header.Get("Content-Type"))}
	}
	stopped := false
	err = messages(res.Body, func() { silence.Reset(s.client.Silence) }, func(m message) error {
		if m.retry > 0 {
			*base = min(m.retry, s.client.MaxWait)
		}
		if m.id == "" {
			return nil
		}
		seq, err := strconv.ParseInt(m.id, 10, 64)
		if err != nil {
			return &unreadable{err}
		}
		open()
		if seq <= s.Position() {
			return nil
		}
		if m.event != "heartbeat" {
			var e Event
			if err := json.Unmarshal([]byte(m.data), &e); err != nil {
				return &unreadable{err}
			}
			if !yield(e, nil) {
				stopped = true
				return io.EOF
			}
		}
		s.position.Store(seq)
		return nil
	})
	return !stopped, err
}

var errSilent = errors.New("the stream was silent for too long")

// message is one of a stream (HTML, 9.2.5).
type message struct {
	id, event, data string
	retry           time.Duration
}

// maxMessage is the longest line of a stream.
const maxMessage = 16 << 20

// messages reads a stream: alive is called for each line, take for each message with an id or a time to wait. It ends with an error always:
// io.ErrUnexpectedEOF when the server closed the stream.
func messages(r io.Reader, alive func(), take func(message) error) error {
	lines := bufio.NewScanner(r)
	lines.Buffer(nil, maxMessage)
	var m message
	var data []string
	for lines.Scan() {
		alive()
		line := strings.TrimSuffix(lines.Text(), "\r")
		if line == "" {
			m.data = strings.Join(data, "\n")
			if m != (message{}) {
				if err := take(m); err != nil {
					return err
				}
			}
			m, data = message{}, nil
			continue
		}
		name, value, _ := strings.Cut(line, ":")
		value = strings.TrimPrefix(value, " ")
		switch name {
		case "id":
			m.id = value
		case "event":
			m.event = value
		case "data":
			data = append(data, value)
		case "retry":
			if n, err := strconv.ParseUint(value, 10, 32); err == nil {
				m.retry = time.Duration(n) * time.Millisecond
			}
		}
	}
	if err := lines.Err(); err != nil {
		return err
	}
	return io.ErrUnexpectedEOF // what was begun and not finished is dropped: it comes again
}
