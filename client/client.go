// Package client is a client of the REST API of a Perennial shop. It imports the standard library alone.
//
//	shop := client.New("https://shop.example/api/v1", key)
//	changed, err := shop.PauseSubscription(ctx, id, client.PauseSubscriptionInput{Until: new(client.NewDate(2027, time.March, 1))})
//
// There is a method for each operation of the API, named after it. Lists are iterators that ask for one page after the other. What the
// server refuses is a *Problem. Every change carries an Idempotency-Key, so that it can be sent again when its answer got lost: it is made
// once.
package client

import (
	"bytes"
	"cmp"
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math"
	mathrand "math/rand/v2"
	"net/http"
	"net/url"
	"reflect"
	"strconv"
	"strings"
	"time"
)

//go:generate go run ../internal/clientgen ..

// Client speaks to one shop as one API key. It may be used by many goroutines. Its fields are set before the first call.
type Client struct {
	// Address is where the API is, such as https://shop.example/api/v1.
	Address string
	// Key is the API key.
	Key string
	// HTTP sends the requests. It must not follow redirects: the one that New gives does not.
	HTTP *http.Client
	// UserAgent is what the shop's logs show as the program that made a change.
	UserAgent string
	// Attempts is how often a request is sent at most; 1: never again.
	Attempts int
	// Timeout is how long one attempt may take. It does not limit downloads and streams.
	Timeout time.Duration
	// MaxWait is the longest wait between two attempts. An answer that asks for a longer one is given as it is.
	MaxWait time.Duration
	// Silence is how long a stream may be silent before it is opened again. The server gives a sign of life every 15 seconds.
	Silence time.Duration
}

// New gives a client with 5 attempts of 30 seconds each. An address without a path gets /api/v1.
func New(address, key string) *Client {
	address = strings.TrimRight(address, "/")
	if u, err := url.Parse(address); err == nil && u.Path == "" {
		address += "/api/v1"
	}
	return &Client{
		Address: address, Key: key, UserAgent: "perennial-go",
		Attempts: 5, Timeout: 30 * time.Second, MaxWait: time.Minute, Silence: 45 * time.Second,
		HTTP: &http.Client{CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }},
	}
}

// Option is something about one change.
type Option func(http.Header)

// IfMatch makes a change only if the thing still has this version; else the Problem's code is stale_version.
func IfMatch(version int64) Option {
	return func(h http.Header) { h.Set("If-Match", strconv.Quote(strconv.FormatInt(version, 10))) }
}

// IdempotencyKey makes a change once, also over restarts of the caller: the same key with the same request gives the first answer again.
// Without it each call makes a key of its own, which covers what the client sends again by itself.
func IdempotencyKey(key string) Option {
	return func(h http.Header) { h.Set("Idempotency-Key", key) }
}

// Changed is the answer to a change.
type Changed[T any] struct {
	Data T `json:"data"`
	// Events are the entries that the change made; empty when it changed nothing.
	Events []EventRef `json:"events"`
	// Created are the ids of other things that it made.
	Created []string `json:"created,omitzero"`
}

// Format is a form of a download.
type Format string

// Values of Format.
const (
	CSV    Format = "csv"
	NDJSON Format = "ndjson"
)

// Error gives the code and the sentence.
func (p *Problem) Error() string {
	var text strings.Builder
	text.WriteString(cmp.Or(p.Code, strconv.FormatInt(p.Status, 10)) + ": " + cmp.Or(p.Detail, p.Title))
	for _, f := range p.Errors {
		text.WriteString(fmt.Sprintf(" %s: %s", f.Pointer, f.Detail))
	}
	return text.String()
}

// request is one call. The path holds a {} for each of args.
type request struct {
	op, method, path string
	args             []string
	query            any    // a struct with tags
	cursor           string // beside query
	format           Format
	body             any
	raw              []byte // in place of body
	contentType      string // of raw
	keyed            bool   // takes an Idempotency-Key
	accept           string
}

// maxAnswer limits what is read into memory.
const maxAnswer = 256 << 20

func read[T any](ctx context.Context, c *Client, r request, opts []Option) (*T, error) {
	out := new(T)
	err := c.do(ctx, r, opts, func(b []byte) error { return json.Unmarshal(b, out) })
	if err != nil {
		return nil, err
	}
	return out, nil
}

func readOne[T any](ctx context.Context, c *Client, r request, opts []Option) (*T, error) {
	out, err := read[struct {
		Data T `json:"data"`
	}](ctx, c, r, opts)
	if err != nil {
		return nil, err
	}
	return &out.Data, nil
}

func readSome[T any](ctx context.Context, c *Client, r request) ([]T, error) {
	out, err := readOne[[]T](ctx, c, r, nil)
	if err != nil {
		return nil, err
	}
	return *out, nil
}

func text(ctx context.Context, c *Client, r request) (out string, err error) {
	r.accept = "text/plain"
	err = c.do(ctx, r, nil, func(b []byte) error { out = string(b); return nil })
	return out, err
}

func download(ctx context.Context, c *Client, r request) (io.ReadCloser, error) {
	r.accept = "*/*"
	var out io.ReadCloser
	err := c.repeat(ctx, r, nil, func(req *http.Request) error {
		res, err := c.HTTP.Do(req)
		if err != nil {
			return err
		}
		if err := problemOf(res); err != nil {
			return errors.Join(err, res.Body.Close())
		}
		out = res.Body
		return nil
	})
	return out, err
}

// do sends a request until it is answered, and hands over the body of an answer of success.
func (c *Client) do(ctx context.Context, r request, opts []Option, take func([]byte) error) error {
	return c.repeat(ctx, r, opts, func(req *http.Request) error {
		within, cancel := context.WithTimeout(req.Context(), c.Timeout)
		defer cancel()
		res, err := c.HTTP.Do(req.WithContext(within))
		if err != nil {
			return err
		}
		defer res.Body.Close()
		if err := problemOf(res); err != nil {
			return err
		}
		// An answer that breaks off is as good as none.
		b, err := io.ReadAll(io.LimitReader(res.Body, maxAnswer))
		if err != nil {
			return err
		}
		if err := take(b); err != nil {
			return &unreadable{err}
		}
		return nil
	})
}

// unreadable is an answer that came whole and makes no sense: asking again would not help.
type unreadable struct{ error }

func (u *unreadable) Unwrap() error { return u.error }

// repeat makes a request and sends it, again and again where that is safe: when it reads, or carries an Idempotency-Key.
func (c *Client) repeat(ctx context.Context, r request, opts []Option, send func(*http.Request) error) error {
	header, err := c.header(r, opts)
	if err != nil {
		return fmt.Errorf("client: %s: %w", r.op, err)
	}
	address, body, err := c.encode(r)
	if err != nil {
		return fmt.Errorf("client: %s: %w", r.op, err)
	}
	safe := r.method == http.MethodGet || header.Get("Idempotency-Key") != ""
	for attempt := 1; ; attempt++ {
		req, err := http.NewRequestWithContext(ctx, r.method, address, bytes.NewReader(body))
		if err != nil {
			return fmt.Errorf("client: %s: %w", r.op, err)
		}
		req.Header = header.Clone()
		err = send(req)
		if err == nil {
			return nil
		}
		wait, again := c.pause(err, attempt)
		if !again || !safe || attempt >= c.Attempts || !sleep(ctx, wait) {
			return fmt.Errorf("client: %s: %w", r.op, err)
		}
	}
}

func (c *Client) header(r request, opts []Option) (http.Header, error) {
	if c.Key == "" || strings.ContainsAny(c.Key, "\r\n") {
		return nil, errors.New("the client has no API key that can be sent")
	}
	h := http.Header{}
	h.Set("Authorization", "Bearer "+c.Key)
	h.Set("Accept", cmp.Or(r.accept, "application/json"))
	h.Set("User-Agent", c.UserAgent)
	if r.body != nil || r.raw != nil {
		h.Set("Content-Type", cmp.Or(r.contentType, "application/json"))
	}
	if r.keyed {
		h.Set("Idempotency-Key", rand.Text())
	}
	for _, o := range opts {
		o(h)
	}
	return h, nil
}

// encode gives the address and the body of a request.
func (c *Client) encode(r request) (address string, body []byte, err error) {
	path := r.path
	for _, arg := range r.args {
		from, to := strings.IndexByte(path, '{'), strings.IndexByte(path, '}')
		if arg == "" || arg == "." || arg == ".." { // another address, once it is in the path
			return "", nil, fmt.Errorf("%q is no %s", arg, path[from+1:to])
		}
		path = path[:from] + url.PathEscape(arg) + path[to+1:]
	}
	q := values(r.query)
	for name, value := range map[string]string{"cursor": r.cursor, "format": string(r.format)} {
		if value != "" {
			q.Set(name, value)
		}
	}
	address = strings.TrimRight(c.Address, "/") + path
	if len(q) > 0 {
		address += "?" + q.Encode()
	}
	if body = r.raw; r.body != nil {
		body, err = json.Marshal(r.body)
	}
	return address, body, err
}

// values is the query that a struct stands for. Zero values are left out, unless they are required.
func values(params any) url.Values {
	q := url.Values{}
	if params == nil {
		return q
	}
	v := reflect.ValueOf(params)
	for i := range v.NumField() {
		name, option, _ := strings.Cut(v.Type().Field(i).Tag.Get("query"), ",")
		f := v.Field(i)
		if f.IsZero() && option != "required" {
			continue
		}
		if f.Kind() == reflect.Pointer {
			f = f.Elem()
		}
		if f.Kind() != reflect.Slice {
			q.Set(name, parameter(f))
			continue
		}
		for j := range f.Len() {
			q.Add(name, parameter(f.Index(j)))
		}
	}
	return q
}

func parameter(v reflect.Value) string {
	if t, ok := v.Interface().(time.Time); ok {
		return t.UTC().Format(time.RFC3339Nano)
	}
	return fmt.Sprint(v.Interface())
}

// problemOf reads what an answer refuses; nil when it is one of success. What is no answer of ours, as of a proxy, becomes a Problem
// without a code.
func problemOf(res *http.Response) error {
	if res.StatusCode >= 200 && res.StatusCode < 300 {
		return nil
	}
	p := &Problem{}
	b, err := io.ReadAll(io.LimitReader(res.Body, 1<<20))
	if err != nil || !strings.HasPrefix(res.Header.Get("Content-Type"), "application/problem+json") || json.Unmarshal(b, p) != nil {
		p = &Problem{Type: "about:blank", Title: http.StatusText(res.StatusCode), RequestID: res.Header.Get("X-Request-Id")}
	}
	p.Status = int64(res.StatusCode)
	p.RetryAfter = retryAfter(res.Header, time.Now())
	return p
}

// retryAfter reads seconds or a date (RFC 9110, 10.2.3).
func retryAfter(h http.Header, now time.Time) time.Duration {
	v := h.Get("Retry-After")
	if n, err := strconv.ParseInt(v, 10, 64); err == nil && n > 0 {
		return time.Duration(min(n, math.MaxInt64/int64(time.Second))) * time.Second
	}
	if at, err := http.ParseTime(v); err == nil && at.After(now) {
		return at.Sub(now)
	}
	return 0
}

// pause says how long to wait before the next attempt, and whether there is any sense in one.
func (c *Client) pause(err error, attempt int) (time.Duration, bool) {
	// Half of it is chance, so that clients that failed together do not come back together.
	wait := min(250*time.Millisecond<<min(attempt-1, 10), c.MaxWait)
	wait = wait/2 + time.Duration(mathrand.Int64N(int64(wait/2)+1)) //nolint:gosec // no secret
	if p, ok := errors.AsType[*Problem](err); ok {
		switch p.Status {
		case http.StatusTooManyRequests, http.StatusBadGateway, http.StatusServiceUnavailable, http.StatusGatewayTimeout:
			return max(wait, p.RetryAfter), p.RetryAfter <= c.MaxWait
		}
		return 0, false
	}
	_, whole := errors.AsType[*unreadable](err)
	return wait, !whole
}

// sleep waits, and says whether it could: not beyond the context's deadline.
func sleep(ctx context.Context, d time.Duration) bool {
	if at, ok := ctx.Deadline(); ok && time.Until(at) < d {
		return false
	}
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-ctx.Done():
		return false
	case <-t.C:
		return true
	}
}
