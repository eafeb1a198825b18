package api_test

import (
	"bufio"
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"

	"perennial/internal/catalog"
	"perennial/internal/id"
	"perennial/internal/journal"
	"perennial/internal/team"
)

// follower is an open stream.
type follower struct {
	t    testing.TB
	res  *http.Response
	body *bufio.Scanner
}

func (s *shop) follow(query string, headers ...string) *follower {
	s.t.Helper()
	req := s.request("GET", "/events/stream"+query, nil, headers...)
	res, err := http.DefaultClient.Do(req)
	must(s.t, err)
	if res.StatusCode != 200 || mediaType(res.Header) != "text/event-stream" {
		s.t.Fatalf("stream: %d %s", res.StatusCode, mediaType(res.Header))
	}
	f := &follower{t: s.t, res: res, body: bufio.NewScanner(res.Body)}
	f.body.Buffer(nil, 1<<20)
	return f
}

// next gives the fields of the next message; nil at the end of the stream.
func (f *follower) next() map[string]string {
	m := map[string]string{}
	for f.body.Scan() {
		line := f.body.Text()
		if line == "" {
			if m["data"] != "" && m["event"] != "heartbeat" {
				return m
			}
			m = map[string]string{}
			continue
		}
		if name, value, ok := strings.Cut(line, ": "); ok && name != "" {
			m[name] = value
		}
	}
	return nil
}

func (f *follower) close() { f.res.Body.Close() }

func TestStreamFollowsAndResumes(t *testing.T) {
	s := openShop(t)
	f := s.follow("?type=product.*")
	var want []int64
	for n := range 250 {
		out := s.run(journal.Bind(catalog.CreateProduct{ID: s.IDs.New(id.Product), Title: fmt.Sprint("Coffee ", n)}))
		want = append(want, out.Events[0].Seq)
		if n%10 == 0 {
			s.customer(fmt.Sprint("c", n, "@example.com"))
		}
	}
	var got []int64
	for range 100 {
		m := f.next()
		if m["event"] != "product.created" || !strings.HasPrefix(m["data"], `{"id":"evt_`) {
			t.Fatalf("message: %v", m)
		}
		seq, err := strconv.ParseInt(m["id"], 10, 64)
		must(t, err)
		got = append(got, seq)
	}
	f.close()
	// It goes on where it was, with everything that was committed meanwhile.
	f = s.follow("?type=product.*", fmt.Sprintf("Last-Event-ID: %d", got[len(got)-1]))
	defer f.close()
	for range 150 {
		seq, err := strconv.ParseInt(f.next()["id"], 10, 64)
		must(t, err)
		got = append(got, seq)
	}
	if !slices.Equal(got, want) {
		t.Errorf("the stream gave %v, want %v", got, want)
	}
	s.product("The last")
	if m := f.next(); !strings.Contains(m["data"], "The last") {
		t.Errorf("message: %v", m)
	}
}

func TestStreamRefuses(t *testing.T) {
	s := openShop(t)
	for _, last := range []string{"x", "-1", "999999"} {
		if a := s.do("GET", "/events/stream", nil, "Last-Event-ID: "+last).want(400); a.code() != "last_event_id_invalid" {
			t.Errorf("%s: got %s", last, a.code())
		}
	}
	s.do("GET", "/events/stream?type=nothing", nil).want(422)
}

func TestStreamEnds(t *testing.T) {
	s := openShop(t)
	token := s.key(team.EventsView)
	f := s.with(token).follow("?type=product.*")
	s.run(journal.Bind(team.RevokeKey{ID: id.ID(token[:strings.LastIndexByte(token, '_')])}))
	s.product("Not for them")
	if m := f.next(); m != nil {
		t.Errorf("a revoked key still sees %v", m)
	}
	f = s.follow("")
	s.api.Drain()
	for f.next() != nil {
	}
	if err := f.body.Err(); err != nil {
		t.Errorf("the stream of a server that stops: %v", err)
	}
	s.api.Drain()
}

// While many write, whoever goes away again and again and resumes misses nothing and sees nothing twice.
func TestStreamUnderLoad(t *testing.T) {
	s := openShop(t)
	const writers, each = 4, 150
	f := s.follow("?type=external.tick")
	var work sync.WaitGroup
	for w := range writers {
		work.Go(func() {
			for n := range each {
				s.do("POST", "/events", fmt.Sprintf(`{"type":"external.tick","source":"w%d","summary":"Tick %d"}`, w, n))
				if n%3 == 0 {
					s.do("POST", "/events", `{"type":"external.other","source":"x"}`)
				}
			}
		})
	}
	last, got := int64(-1), 0
	for got < writers*each {
		m := f.next()
		if m == nil {
			t.Fatalf("the stream ended after %d messages", got)
		}
		seq, err := strconv.ParseInt(m["id"], 10, 64)
		must(t, err)
		if seq <= last || m["event"] != "external.tick" {
			t.Fatalf("after %d came %v", last, m)
		}
		last = seq
		if got++; got%70 == 0 {
			f.close()
			f = s.follow("?type=external.tick", "Last-Event-ID: "+m["id"])
		}
	}
	f.close()
	work.Wait()
}
