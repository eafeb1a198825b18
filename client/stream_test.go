package client_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"perennial/client"
)

// A stream loses nothing and repeats nothing while the server is stopped and started, and while connections break.
func TestAStreamGoesOnAfterARestart(t *testing.T) {
	s := openShop(t)
	c := s.client()
	c.Silence = 5 * time.Second
	stream := c.StreamEvents(client.StreamEventsParams{Type: []string{"customer.created"}}).After(0)
	const people = 6
	got := make(chan string)
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute) // what is lost never comes
	defer cancel()
	done := make(chan error, 1)
	go func() {
		n := 0
		defer close(got)
		for e, err := range stream.Events(ctx) {
			if err != nil {
				done <- err
				return
			}
			got <- e.Targets[0].ID
			if n++; n == people {
				break
			}
		}
		done <- nil
	}()
	var want, seen []string
	for n := range people {
		if n == people/2 {
			must(t, s.stop())
			must(t, s.start())
		}
		made, err := c.CreateCustomer(t.Context(), client.CreateCustomerInput{Email: fmt.Sprintf("%d@mail.example", n)})
		must(t, err)
		want = append(want, made.Data.ID)
		if n != people/2 { // one waits until the stream is there again
			for len(seen) < len(want) {
				id, ok := <-got
				if !ok {
					t.Fatalf("the stream ended after %v: %v", seen, <-done)
				}
				seen = append(seen, id)
			}
		}
	}
	must(t, <-done)
	if !slices.Equal(seen, want) {
		t.Errorf("the stream gave %v, want %v", seen, want)
	}
}

// A key that is revoked ends the stream with the server's word.
func TestAStreamEndsWithTheKey(t *testing.T) {
	s := openShop(t)
	made, err := s.client().CreateAPIKey(t.Context(), client.CreateAPIKeyInput{Name: "Short-lived", Permissions: []string{"events.view"}})
	must(t, err)
	c := client.New("http://"+s.config.Listen, made.Data.Key)
	stream := c.StreamEvents(client.StreamEventsParams{})
	var last error
	first := true
	for _, err := range stream.After(0).Events(t.Context()) {
		if first {
			first = false
			_, err := s.client().DeleteAPIKey(t.Context(), made.Data.ID, client.DeleteAPIKeyParams{Comment: "Not needed."})
			must(t, err)
		}
		last = err
	}
	if p, ok := errors.AsType[*client.Problem](last); !ok || p.Status != http.StatusUnauthorized {
		t.Errorf("the stream ended with %v", last)
	}
}

func streamed(text string) *http.Response {
	return &http.Response{StatusCode: 200, Header: http.Header{"Content-Type": {"text/event-stream"}}, Body: io.NopCloser(strings.NewReader(text))}
}

// The first heartbeat says where a stream resumes that has handed over nothing yet; what comes again is left out; what breaks off within a
// message comes again.
func TestAStreamResumes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		message := func(seq int) string { return fmt.Sprintf("id: %d\nevent: a.b\ndata: {\"seq\":%[1]d}\n\n", seq) }
		var resumed []string
		list := []*http.Response{
			streamed("retry: 2000\n\nid: 7\nevent: heartbeat\ndata: {\"seq\":7}\n\n"),
			streamed(message(8) + "id: 9\nevent: a.b\ndata: {\"seq\""),
			nil,
			answer(503, busy, "Retry-After", "9"),
			streamed(message(8) + message(9) + "\r\nid: 12\r\nevent: heartbeat\r\ndata: {\"seq\":12}\r\n\r\n"),
			answer(403, strings.ReplaceAll(busy, "busy", "forbidden")),
		}
		c := client.New("https://shop.example", "key_1")
		c.HTTP = &http.Client{Transport: transport(func(r *http.Request) (*http.Response, error) {
			resumed = append(resumed, r.Header.Get("Last-Event-ID"))
			next := list[0]
			list = list[1:]
			if next == nil {
				return nil, errors.New("connection refused")
			}
			return next, nil
		})}
		stream := c.StreamEvents(client.StreamEventsParams{})
		var seen []int64
		var last error
		for e, err := range stream.Events(t.Context()) {
			if last = err; err == nil {
				seen = append(seen, e.Seq)
			}
		}
		if want := []int64{8, 9}; !slices.Equal(seen, want) {
			t.Errorf("the stream gave %v, want %v", seen, want)
		}
		if want := []string{"", "7", "8", "8", "8", "12"}; !slices.Equal(resumed, want) {
			t.Errorf("it came after %q, want %q", resumed, want)
		}
		if p, ok := errors.AsType[*client.Problem](last); !ok || p.Code != "forbidden" {
			t.Errorf("it ended with %v", last)
		}
		if stream.Position() != 12 {
			t.Errorf("it ends at %d", stream.Position())
		}
	})
}

// silent is a body that says nothing until its request is given up.
type silent struct{ r *http.Request }

func (s silent) Read([]byte) (int, error) {
	<-s.r.Context().Done()
	return 0, s.r.Context().Err()
}
func (silent) Close() error { return nil }

// A connection that is dead and does not say so is given up.
func TestAStreamThatIsSilentIsOpenedAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		began := time.Now()
		var at []time.Duration
		c := client.New("https://shop.example", "key_1")
		c.HTTP = &http.Client{Transport: transport(func(r *http.Request) (*http.Response, error) {
			at = append(at, time.Since(began))
			if len(at) == 2 {
				return streamed("id: 1\ndata: {\"seq\":1}\n\n"), nil
			}
			res := streamed("")
			res.Body = silent{r}
			return res, nil
		})}
		for e, err := range c.StreamEvents(client.StreamEventsParams{}).Events(t.Context()) {
			if err != nil || e.Seq != 1 {
				t.Errorf("%v %v", e, err)
			}
			break
		}
		if len(at) != 2 || at[1] < c.Silence || at[1] > c.Silence+time.Second {
			t.Errorf("connected at %v", at)
		}
	})
}
