package api

import (
	"bytes"
	"cmp"
	"context"
	"crypto/sha256"
	"crypto/subtle"
	"errors"
	"fmt"
	"io"
	"net/http"
	"runtime/debug"
	"strconv"
	"strings"

	"github.com/go-json-experiment/json/jsontext"

	"perennial/internal/auth"
	"perennial/internal/fault"
	"perennial/internal/id"
	"perennial/internal/journal"
	"perennial/internal/plain"
	"perennial/internal/program"
	"perennial/internal/store"
	"perennial/internal/team"
)

// Limits on what comes in.
const (
	bodyLimit   = 1 << 20
	ingestLimit = 64 << 20
	depthLimit  = 32
)

// call is one request: who makes it, and what the conventions say about it.
type call struct {
	key       *team.Key
	personal  bool // personal values are shown
	shown     bool // and some were, in an answer that is kept
	meta      program.Meta
	requestID string
	ifMatch   *int64
	idemKey   string
	hash      []byte // of method, path, query and body; only when there is an Idempotency-Key
	decided   bool   // program has, or had, the request: it keeps the answer
	lines     bool   // the body is NDJSON
	empty     bool   // there is no body
	head      bool   // only the headers of the answer are wanted
}

type callKey struct{}

func callOf(ctx context.Context) *call { return ctx.Value(callKey{}).(*call) }

// guard is around every route: it reads the conventions' headers, knows the caller, and refuses a body that is too large
// or is not JSON before anything looks at it.
func (a *API) guard(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		c := &call{requestID: requestID(r, a.newID)}
		pattern := ""
		if a.Noted != nil {
			defer func() { a.Noted(r.Context(), pattern, c.requestID, c.meta.Actor.Kind) }()
		}
		w.Header().Set("X-Request-Id", c.requestID)
		w.Header().Set("Cache-Control", "no-store")
		defer func() {
			if v := recover(); v != nil {
				if err, ok := v.(error); ok && errors.Is(err, http.ErrAbortHandler) {
					panic(v)
				}
				a.Log.Error("request panicked", "request_id", c.requestID, "panic", v, "stack", string(debug.Stack()))
				writeProblem(w, fault.New(fault.Internal, "internal", "Something went wrong here."), c.requestID)
			}
		}()
		if r.URL.Path != "/openapi.json" {
			if err := a.identify(r, c); err != nil {
				if fault.As(err).Kind == fault.Unauthenticated {
					w.Header().Set("WWW-Authenticate", `Bearer realm="perennial"`)
					if r.Header.Get("Authorization") != "" {
						a.guesses.Note(auth.Network(r), a.now())
					}
				}
				writeProblem(w, err, c.requestID)
				return
			}
			if err := a.limits.take(c.key.ID, a.Rate, a.now()); err != nil {
				writeProblem(w, err, c.requestID)
				return
			}
		}
		err := readConventions(w, r, c)
		if c.hash != nil {
			k := &kept{ResponseWriter: w, c: c}
			defer a.settle(r.Context(), k)
			w = k
		}
		if err != nil {
			writeProblem(w, err, c.requestID)
			return
		}
		routed := r.WithContext(context.WithValue(r.Context(), callKey{}, c))
		defer func() {
			if routed.Pattern != "" {
				pattern = Base + routed.Pattern[strings.IndexByte(routed.Pattern, ' ')+1:]
			}
		}()
		next.ServeHTTP(&fallback{ResponseWriter: w, requestID: c.requestID}, routed)
	})
}

// fallback turns the plain-text 404 and 405 of the router into problems.
type fallback struct {
	http.ResponseWriter
	requestID string
	swallow   bool
}

func (f *fallback) WriteHeader(status int) {
	if (status == http.StatusNotFound || status == http.StatusMethodNotAllowed) && strings.HasPrefix(f.Header().Get("Content-Type"), "text/plain") {
		f.swallow = true
		f.Header().Del("Content-Length")
		p := newProblem(status, "There is nothing at this address").(*Problem)
		if status == http.StatusMethodNotAllowed {
			p.Detail = "This address does not take this method."
		}
		p.Status = status
		writeProblem(f.ResponseWriter, p, f.requestID)
		return
	}
	f.ResponseWriter.WriteHeader(status)
}

func (f *fallback) Write(b []byte) (int, error) {
	if f.swallow {
		return len(b), nil
	}
	return f.ResponseWriter.Write(b)
}

// Unwrap lets http.ResponseController reach the connection, for flushing.
func (f *fallback) Unwrap() http.ResponseWriter { return f.ResponseWriter }

func requestID(r *http.Request, newID func(string) id.ID) string {
	v := r.Header.Get("X-Request-Id")
	if v == "" || len(v) > 128 || plain.Text(v, 128) != nil {
		return string(newID(id.Request))
	}
	return v
}

// identify finds the API key that a request carries. A key is "<key id>_<secret>"; what is stored is the secret's hash.
func (a *API) identify(r *http.Request, c *call) error {
	bad := fault.New(fault.Unauthenticated, "unauthenticated", "Give an API key of this shop: Authorization: Bearer <key>.")
	token, ok := strings.CutPrefix(r.Header.Get("Authorization"), "Bearer ")
	if !ok {
		return bad
	}
	at := strings.LastIndexByte(token, '_')
	if at < 0 {
		return bad
	}
	key, err := id.Parse(id.APIKey, token[:at])
	if err != nil {
		return bad
	}
	ref := journal.Ref{Kind: journal.APIKey, ID: key}
	row, err := a.Store.Load(r.Context(), a.Store.Read, ref)
	if err != nil {
		return store.Fault(err)
	}
	want, err := a.Store.Secret(r.Context(), a.Store.Read, ref, team.SecretAPIKey)
	if err != nil {
		return store.Fault(err)
	}
	got := auth.APIKeyHash(token[at+1:])
	k, ok := row.State.(*team.Key)
	if !ok || k.Status != team.Active || want == nil || subtle.ConstantTimeCompare(want, got) != 1 {
		return bad
	}
	c.key, c.personal = k, team.Holds(k).Allows(team.PersonalDataView)
	a.used.note(k.ID, a.now())
	agent := r.UserAgent()
	if len(agent) > 400 {
		agent = agent[:400]
	}
	c.meta = program.Meta{
		Actor: journal.Actor{Kind: journal.ActorAPIKey, ID: string(k.ID)},
		Source: journal.Origin{Channel: journal.ChannelAPI, RequestID: c.requestID, IP: journal.Secluded(auth.Address(r)),
			UserAgent: journal.Secluded(plain.Escape(agent))},
	}
	return nil
}

func readConventions(w http.ResponseWriter, r *http.Request, c *call) error {
	if v := r.Header.Get("If-Match"); v != "" && v != "*" {
		n, err := strconv.ParseInt(strings.Trim(strings.TrimPrefix(v, "W/"), `"`), 10, 64)
		if err != nil {
			return fault.New(fault.Stale, "stale_version", "If-Match names no version of this resource.")
		}
		c.ifMatch = &n
	}
	c.head = r.Method == http.MethodHead
	if r.Method == http.MethodGet || c.head {
		return nil
	}
	key := r.Header.Get("Idempotency-Key")
	if len(key) > 255 {
		return fault.New(fault.Malformed, "idempotency_key_invalid", "An Idempotency-Key has at most 255 characters.")
	}
	ingest := r.URL.Path == "/events"
	c.lines = ingest && strings.HasPrefix(r.Header.Get("Content-Type"), "application/x-ndjson")
	limit := int64(bodyLimit)
	if ingest {
		limit = ingestLimit
	}
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, limit))
	if err != nil {
		if _, ok := errors.AsType[*http.MaxBytesError](err); ok {
			return fault.New(fault.TooLarge, "too_large", "The request's body is larger than %d MiB.", limit>>20)
		}
		return fault.Wrap(err, fault.Malformed, "malformed", "The request's body could not be read.")
	}
	if key != "" {
		h := sha256.New()
		fmt.Fprintf(h, "%s\n%s\n%s\n", r.Method, r.URL.Path, r.URL.RawQuery)
		h.Write(body)
		c.idemKey, c.hash = key, h.Sum(nil)
	}
	r.Body = io.NopCloser(bytes.NewReader(body))
	r.ContentLength = int64(len(body))
	if c.empty = len(body) == 0; c.empty || c.lines {
		return nil
	}
	// The API speaks nothing but JSON, and it is checked to be that: what a client calls it does not matter.
	r.Header.Set("Content-Type", "application/json")
	if err := checkJSON(body, !ingest); err != nil {
		return err
	}
	if r.Method == http.MethodDelete {
		return refused("", "no_body", "A DELETE takes no body: its comment is a query parameter.")
	}
	return nil
}

// maxWhole is the largest number that every program that reads JSON has exactly.
const maxWhole = 1<<53 - 1

// checkJSON refuses what is not one JSON value: bad syntax, invalid UTF-8, a name twice, nesting without end; and, where
// they are whole, numbers that are not.
func checkJSON(body []byte, whole bool) error {
	var f fault.Fields
	d := jsontext.NewDecoder(bytes.NewReader(body))
	for {
		t, err := d.ReadToken()
		if err != nil {
			if errors.Is(err, io.EOF) {
				return nil
			}
			return fault.Wrap(err, fault.Malformed, "malformed", "The body is not valid JSON: %s.", jsonReason(err))
		}
		if whole && t.Kind() == '0' {
			if n, err := strconv.ParseInt(t.String(), 10, 64); err != nil || n > maxWhole || n < -maxWhole {
				f.Add(string(d.StackPointer()), "number_invalid", "Give a whole number of at most 2^53 - 1, without a point or an exponent.")
			}
		}
		if d.StackDepth() > depthLimit {
			return fault.New(fault.Malformed, "malformed", "The body is nested more than %d levels deep.", depthLimit)
		}
		if d.StackDepth() == 0 {
			if _, err := d.ReadToken(); !errors.Is(err, io.EOF) {
				return fault.New(fault.Malformed, "malformed", "The body holds more than one JSON value.")
			}
			return f.Err()
		}
	}
}

func jsonReason(err error) string {
	s := strings.TrimPrefix(err.Error(), "jsontext: ")
	return cmp.Or(plain.Escape(s), "it cannot be read")
}

// idempotency gives the request's idempotency, nil when it has none.
func (c *call) idempotency(shop id.ID) *program.Idempotency {
	if c.idemKey == "" {
		return nil
	}
	h := sha256.Sum256(fmt.Appendf(nil, "%s\n%s\n%s\n%s", shop, c.meta.Actor.Kind, c.meta.Actor.ID, c.idemKey))
	return &program.Idempotency{CallerKey: h[:20], RequestHash: c.hash}
}
