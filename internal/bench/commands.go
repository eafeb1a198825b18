package bench

import (
	"bufio"
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"sync"
	"time"

	"perennial/internal/api"
	"perennial/internal/journal"
	"perennial/internal/payment/simulated"
	"perennial/internal/program"
	"perennial/internal/server"
	"perennial/internal/store"
	"perennial/internal/subscription"
)

func durable(ctx context.Context) func(*store.Writer) error {
	return func(w *store.Writer) error { return w.Durable(ctx) }
}

// cutKey gives the id of an API key's text.
func cutKey(text string) (key, secret string, ok bool) {
	at := strings.LastIndexByte(text, '_')
	if at < 0 {
		return "", "", false
	}
	return text[:at], text[at+1:], true
}

// reference is what so many callers are held against: those of one cannot be joined.
func reference(callers int) string {
	if callers == 1 {
		return refOne
	}
	return refMany
}

// command is one caller's next change, as the API would ask for it: with a key of its own, an answer that is kept, and
// where it came from.
func (r *run) command(i *server.Instance, s *shop, caller, n int) *program.Request {
	p := s.people[(caller*7919+n)%len(s.people)]
	key := sha256.Sum256(fmt.Appendf(nil, "%d %d %d", caller, n, time.Now().UnixNano()))
	return &program.Request{Meta: s.integration(i.IDs), Command: journal.Bind(subscription.ChangeNote{ID: p.subscription, Note: fmt.Sprintf("Note %d of caller %d", n, caller)}),
		Idempotency: &program.Idempotency{CallerKey: key[:20], RequestHash: key[:]},
		Answer: func(_ program.Query, o *program.Outcome) (program.Reply, error) {
			row, _ := o.Row(o.Decision.Result)
			body, err := journal.Canonical(row.State)
			return program.Reply{Status: http.StatusOK, Body: body}, err
		}}
}

// following keeps the index up with the journal while something is measured, as the server does.
func (r *run) following(i *server.Instance, measure func() error) error {
	ctx, stop := context.WithCancel(r.ctx)
	var work sync.WaitGroup
	var followed error
	work.Go(func() {
		t := time.NewTicker(200 * time.Millisecond)
		defer t.Stop()
		for followed == nil {
			select {
			case <-ctx.Done():
				return
			case <-t.C:
				if err := i.Finder.CatchUp(ctx); err != nil && ctx.Err() == nil {
					followed = err
				}
			}
		}
	})
	err := measure()
	stop()
	work.Wait()
	return errors.Join(err, followed)
}

// steady gives the rate of 64 callers.
func (r *run) steady(s *shop) (rate float64, err error) {
	err = r.open(s, false, func(i *server.Instance) error {
		entries := i.Program.Head() + 1
		r.Say(fmt.Sprintf("the rate at %d entries", entries))
		return r.following(i, func() error {
			m, err := r.load(64, func(ctx context.Context, c, n int) error {
				_, err := i.Program.Do(ctx, r.command(i, s, c, n))
				return err
			})
			rate = m.rate
			r.add(Figure{Key: fmt.Sprintf("commands.64.at.%d", entries), Name: "durable commands, 64 callers", Events: entries, Rate: m.rate, P50: m.p50, P99: m.p99, Beside: refMany})
			return err
		})
	})
	return rate, err
}

// commands measures durable commands in the process.
func (r *run) commands(s *shop) error {
	return r.open(s, false, func(i *server.Instance) error {
		return r.following(i, func() error {
			for _, n := range []int{1, 64, 512} {
				r.Say(fmt.Sprintf("durable commands of %d callers", n))
				entries := i.Program.Head() + 1
				err := r.profiled(fmt.Sprintf("commands-%d", n), func() error {
					m, err := r.load(n, func(ctx context.Context, c, k int) error {
						_, err := i.Program.Do(ctx, r.command(i, s, c, k))
						return err
					})
					f := Figure{Key: fmt.Sprintf("commands.%d", n), Name: fmt.Sprintf("durable commands, %s", callers(n)), Events: entries, Rate: m.rate, P50: m.p50, P99: m.p99, Beside: reference(n)}
					if n == 64 {
						f = atLeast(f, 8000, 15_000)
					}
					r.add(f)
					return err
				})
				if err != nil {
					return err
				}
			}
			return nil
		})
	})
}

func callers(n int) string {
	if n == 1 {
		return "1 caller"
	}
	return fmt.Sprintf("%d callers", n)
}

// served measures what goes over HTTP: a real server, and callers in the same process that keep their connections.
func (r *run) served(s *shop) error {
	s.clock.Release()
	cfg := server.Config{Data: s.data, Listen: "127.0.0.1:0"}
	i, err := server.Open(r.ctx, cfg)
	if err != nil {
		return err
	}
	run, err := server.Start(r.ctx, i, simulated.New(time.Now, simulated.Options{}), nil, nil)
	if err != nil {
		return errors.Join(err, i.Close(context.WithoutCancel(r.ctx)))
	}
	for _, step := range []func() error{
		func() error { return r.http(run, s) }, func() error { return r.ingest(run, s) },
	} {
		if err = step(); err != nil {
			break
		}
	}
	return errors.Join(err, run.Stop(context.WithoutCancel(r.ctx)))
}

func (r *run) http(run *server.Server, s *shop) error {
	for _, n := range []int{1, 64, 512} {
		r.Say("HTTP with " + callers(n))
		entries := run.Program.Head() + 1
		clients, done, err := connect(run.Addr, s.key, n)
		if err != nil {
			return err
		}
		err = r.profiled(fmt.Sprintf("http-%d", n), func() error {
			m, err := r.load(n, func(_ context.Context, c, k int) error {
				p := s.people[(c*7919+k)%len(s.people)]
				return clients[c].send(http.MethodPut, "/subscriptions/"+string(p.subscription)+"/note", "application/json",
					fmt.Appendf(nil, `{"note":"Note %d of caller %d over HTTP"}`, k, c), fmt.Sprintf("%d-%d-%d", time.Now().UnixNano(), c, k))
			})
			f := Figure{Key: fmt.Sprintf("http.%d", n), Name: "the same over HTTP, " + callers(n), Events: entries, Rate: m.rate, P50: m.p50, P99: m.p99, Beside: reference(n)}
			if n == 64 {
				f = atLeast(f, 3000, 8000)
			}
			r.add(f)
			return err
		})
		done()
		if err != nil {
			return err
		}
	}
	return nil
}

// ingest measures events from outside, 1,000 lines a request, each with its key.
func (r *run) ingest(run *server.Server, s *shop) error {
	const lines = 1000
	r.Say("ingest")
	entries := run.Program.Head() + 1
	clients, done, err := connect(run.Addr, s.key, 2)
	if err != nil {
		return err
	}
	defer done()
	return r.profiled("ingest", func() error {
		m, err := r.load(len(clients), func(_ context.Context, c, k int) error {
			var b bytes.Buffer
			for n := range lines {
				p := s.people[(c*7919+k*lines+n)%len(s.people)]
				fmt.Fprintf(&b, `{"type":"external.parcel_scanned","source":"carrier-%d","summary":"Parcel scanned at hub %d","targets":[%q],"details":{"hub":%d},"idempotency_key":"%d-%d"}`+"\n",
					c, n%40, p.subscription, n%40, k, n)
			}
			return clients[c].send(http.MethodPost, "/events", "application/x-ndjson", b.Bytes(), "")
		})
		r.add(atLeast(Figure{Key: "ingest", Name: "ingest over HTTP, batches of 1,000 (latency: of a batch)", Events: entries, Rate: m.rate * lines, P50: m.p50, P99: m.p99, Beside: refMany}, 15_000, 40_000))
		return err
	})
}

// client is one connection of a caller. It writes requests as bytes, because what is measured shares the machine with it.
type client struct {
	conn net.Conn
	in   *bufio.Reader
	out  []byte
	addr string
	key  string
}

func connect(addr, key string, n int) (clients []*client, done func(), err error) {
	done = func() {
		for _, c := range clients {
			_ = c.conn.Close() // everything was answered
		}
	}
	for range n {
		conn, err := net.Dial("tcp", addr)
		if err != nil {
			done()
			return nil, nil, err
		}
		clients = append(clients, &client{conn: conn, in: bufio.NewReader(conn), addr: addr, key: key})
	}
	return clients, done, nil
}

func (c *client) send(method, path, kind string, body []byte, idempotencyKey string) error {
	c.out = fmt.Appendf(c.out[:0], "%s %s%s HTTP/1.1\r\nHost: %s\r\nAuthorization: Bearer %s\r\nUser-Agent: perennial-bench\r\nContent-Type: %s\r\nContent-Length: %d\r\n",
		method, api.Base, path, c.addr, c.key, kind, len(body))
	if idempotencyKey != "" {
		c.out = fmt.Appendf(c.out, "Idempotency-Key: %s\r\n", idempotencyKey)
	}
	c.out = append(append(c.out, "\r\n"...), body...)
	if _, err := c.conn.Write(c.out); err != nil {
		return err
	}
	res, err := http.ReadResponse(c.in, nil)
	if err != nil {
		return err
	}
	defer res.Body.Close()
	if res.StatusCode == http.StatusOK {
		refused := false
		if kind == "application/x-ndjson" {
			answer, err := io.ReadAll(res.Body)
			refused = bytes.Contains(answer, []byte(`"refused"`))
			if err != nil || !refused {
				return err
			}
		}
		_, err := io.Copy(io.Discard, res.Body)
		if refused {
			err = errors.New("bench: a line was refused")
		}
		return err
	}
	answer, err := io.ReadAll(res.Body)
	return errors.Join(fmt.Errorf("bench: %s %s: %d %s", method, path, res.StatusCode, answer), err)
}

// answers measures what a kept answer takes, which grows with the callers' keys and not with the journal.
func (r *run) answers(s *shop) error {
	return r.open(s, false, func(i *server.Instance) error {
		var kept, bytes float64
		if err := i.DB.Reader.QueryRowContext(r.ctx, `SELECT count(*), coalesce(avg(length(caller_key) + length(request_hash) + length(key_id) + length(answer)), 0) FROM idempotency WHERE shop_id = $1`,
			i.Store.Shop).Scan(&kept, &bytes); err != nil {
			return err
		}
		if kept > 0 {
			r.add(Figure{Key: "size.answer", Name: "a kept answer to an Idempotency-Key, not in the above", Value: bytes, Unit: "bytes", Beside: "size.plain"})
		}
		return nil
	})
}
