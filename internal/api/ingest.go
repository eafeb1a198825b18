package api

import (
	"bufio"
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"net/http"
	"reflect"
	"slices"
	"strings"
	"time"

	"github.com/danielgtaylor/huma/v2"
	"github.com/danielgtaylor/huma/v2/adapters/humago"
	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"

	"perennial/internal/fault"
	"perennial/internal/id"
	"perennial/internal/journal"
	"perennial/internal/observe"
	"perennial/internal/plain"
	"perennial/internal/program"
	"perennial/internal/store"
	"perennial/internal/team"
)

const (
	lineLimit = 64 << 10
	// ingestWindow is how many lines wait for the writer at most. It is what a person's click can find before it.
	ingestWindow = 512
)

// ingestLine is one event from outside.
type ingestLine struct {
	Type           string         `json:"type" doc:"external.<name>"`
	Source         string         `json:"source" doc:"The name of the system that tells of it, 1 to 60 characters."`
	OccurredAt     *string        `json:"occurred_at,omitempty" format:"date-time" doc:"When it happened; without it, when it is recorded."`
	Targets        []ingestTarget `json:"targets,omitempty" maxItems:"20" doc:"The customers, subscriptions, orders, products and variants that it is about."`
	Summary        string         `json:"summary,omitempty" maxLength:"500" doc:"One plain sentence. It is searched and not sealed: no personal values."`
	Details        jsontext.Value `json:"details,omitempty" doc:"An object of at most 16 KiB. It is sealed, and erased with the customer that it is about."`
	IdempotencyKey string         `json:"idempotency_key,omitempty" maxLength:"255" doc:"Makes it safe to send the line again."`
}

// ingestTarget is a target of a line: an id, or an object of kind and id.
type ingestTarget struct{ ref journal.Ref }

// UnmarshalJSON reads either form.
func (t *ingestTarget) UnmarshalJSON(b []byte) error {
	var named struct {
		Kind journal.Kind `json:"kind"`
		ID   string       `json:"id"`
	}
	into := any(&named.ID)
	if len(b) > 0 && b[0] == '{' {
		into = &named
	}
	if err := json.Unmarshal(b, into, json.RejectUnknownMembers(true)); err != nil {
		return errTarget
	}
	ref, ok := observe.ExternalTarget(named.ID)
	if !ok || (named.Kind != "" && named.Kind != ref.Kind) {
		return errTarget
	}
	t.ref = ref
	return nil
}

var errTarget = errors.New("a target that cannot be read")

// Schema implements huma.SchemaProvider.
func (ingestTarget) Schema(huma.Registry) *huma.Schema {
	text := &huma.Schema{Type: huma.TypeString}
	return &huma.Schema{OneOf: []*huma.Schema{text, {Type: huma.TypeObject, Required: []string{"id"}, AdditionalProperties: false,
		Properties: map[string]*huma.Schema{"kind": text, "id": text}}}}
}

// ingestAnswer is what became of a line.
type ingestAnswer struct {
	Line   int     `json:"line"`
	Status string  `json:"status" enum:"created,duplicate,refused"`
	ID     *id.ID  `json:"id"`
	Seq    *int64  `json:"seq"`
	Error  *string `json:"error"`
}

// ingest registers the taking in of events from outside.
func (a *API) ingest() {
	r := route{method: http.MethodPost, path: "/events", tag: "Events", summary: "Send events in from outside", permission: team.EventsEdit, events: []journal.Name{"external.*"}}
	op := a.operation(r, reflect.TypeFor[ingestAnswer](), true)
	op.Description += " One object, or one on each line (application/x-ndjson, at most 64 MiB). Each line is taken or refused by itself; " +
		"the answer has a line for each. An Idempotency-Key stands in for the idempotency_key of lines without one."
	op.Parameters = slices.DeleteFunc(op.Parameters, func(p *huma.Param) bool { return p.Name == "If-Match" })
	op.Responses["200"].Content = map[string]*huma.MediaType{"application/x-ndjson": lines(op.Responses["200"].Content["application/json"].Schema)}
	huma.Register(a.huma, op, func(ctx context.Context, _ *noInput) (*answered, error) {
		c := callOf(ctx)
		if c.empty && !c.lines {
			return nil, a.problem(c, fault.New(fault.Malformed, "malformed", "The request has no body."))
		}
		first, err := a.claim(ctx, c)
		if err != nil {
			return nil, a.problem(c, err)
		}
		return &answered{ContentType: "application/x-ndjson", Body: func(hc huma.Context) {
			req, w := humago.Unwrap(hc)
			in := &intake{a: a, c: c, ctx: ctx, first: first, out: bufio.NewWriterSize(w, 64<<10), flush: http.NewResponseController(w)}
			if err := in.run(req.Body, c.lines); err != nil && ctx.Err() == nil {
				a.Log.Error("ingest", "request_id", c.requestID, "error", err)
				panic(http.ErrAbortHandler) // some lines have no answer: the client has to see that
			}
		}}, nil
	})
	// The body is read line by line, so the framework must not know of it; the document has to.
	line := a.huma.OpenAPI().Components.Schemas.Schema(reflect.TypeFor[ingestLine](), true, "IngestLine")
	a.huma.OpenAPI().Paths[r.path].Post.RequestBody = &huma.RequestBody{Required: true, Content: map[string]*huma.MediaType{
		"application/json": {Schema: line}, "application/x-ndjson": lines(line)}}
}

// unchanged is a command that makes nothing.
type unchanged struct{}

// Run decides nothing.
func (unchanged) Run(journal.Reader, time.Time) (journal.Decision, error) {
	return journal.Decision{}, nil
}

// claim binds a request's Idempotency-Key to the request: with another one it is refused. It gives the id of the first
// request, empty when this is it; what became of its lines is kept line by line.
func (a *API) claim(ctx context.Context, c *call) (first string, err error) {
	if c.idemKey == "" {
		return "", nil
	}
	c.decided = true
	out, err := a.Program.Do(ctx, &program.Request{Meta: c.meta, Command: unchanged{}, Idempotency: c.idempotency(a.Store.Shop),
		Allow: func(r journal.Reader) error {
			_, err := a.allowedNow(r, c, route{permission: team.EventsEdit})
			return err
		},
		Answer: func(program.Query, *program.Outcome) (program.Reply, error) {
			return program.Reply{Status: http.StatusOK, Body: []byte(c.requestID)}, nil
		}})
	if err != nil || !out.Replayed {
		return "", err
	}
	return string(out.Reply.Body), nil
}

// intake takes one request's lines in, in order. It belongs to the request's goroutine.
type intake struct {
	a       *API
	c       *call
	ctx     context.Context
	first   string         // the id of the first request with this Idempotency-Key; empty: this is the first, or there is no key
	told    map[id.ID]bool // of a repeated request: what was answered already
	out     *bufio.Writer
	flush   *http.ResponseController
	waiting []taken // oldest first, at most ingestWindow
}

// taken is a line on its way: submitted, or refused before.
type taken struct {
	line    int
	pending program.Pending
	refused error
	again   bool // a repetition gives the first answer again, instead of being told a duplicate
}

func (in *intake) run(body io.Reader, lines bool) error {
	all, err := io.ReadAll(body) // the guard has it in memory and within the limit
	if err != nil {
		return err
	}
	for n := 1; len(all) > 0; n++ {
		line := all
		all = nil
		if lines {
			line, all, _ = bytes.Cut(line, []byte{'\n'})
		}
		if line = bytes.TrimSpace(line); len(line) == 0 {
			continue
		}
		if len(in.waiting) == ingestWindow {
			if err := in.answer(ingestWindow / 2); err != nil {
				return err
			}
		}
		in.waiting = append(in.waiting, in.take(n, line))
	}
	if err := in.answer(len(in.waiting)); err != nil {
		return err
	}
	return in.out.Flush()
}

// take parses a line and submits it.
func (in *intake) take(n int, line []byte) taken {
	t := taken{line: n}
	var record observe.External
	if record, t.refused = parseLine(line); t.refused != nil {
		return t
	}
	req := &program.Request{Meta: in.c.meta, Command: journal.Bind(record),
		Allow: func(r journal.Reader) error {
			_, err := in.a.allowedNow(r, in.c, route{permission: team.EventsEdit})
			return err
		},
		Answer: func(_ program.Query, o *program.Outcome) (program.Reply, error) {
			return program.Reply{Status: http.StatusOK, Body: []byte(o.Events[0].ID)}, nil
		},
	}
	if record.IdempotencyKey != "" || in.c.idemKey != "" {
		if req.Idempotency, t.refused = in.idempotency(n, record, line); t.refused != nil {
			return t
		}
		if t.again = record.IdempotencyKey == ""; t.again {
			req.Refusal = func(err error) program.Reply {
				return program.Reply{Status: fault.As(err).Kind.HTTPStatus(), Body: []byte(reason(fault.As(err)))}
			}
		}
	}
	t.pending, t.refused = in.a.Program.Submit(in.ctx, req)
	if fault.As(t.refused) != nil && fault.As(t.refused).Code == "queue_full" && len(in.waiting) > 0 {
		// Others fill the queue. Our own lines are in it: once those are done there is room.
		if t.refused = in.answer(len(in.waiting)); t.refused == nil {
			t.pending, t.refused = in.a.Program.Submit(in.ctx, req)
		}
	}
	return t
}

// idempotency gives what makes a line safe to send again: its own key within its source, or else the request's with the
// number of the line.
func (in *intake) idempotency(n int, record observe.External, line []byte) (*program.Idempotency, error) {
	shop, key := in.a.Store.Shop, in.c.key.ID
	name := fmt.Appendf(nil, "ingest\n%s\n%s\n%s\n%s", shop, key, record.Source, record.IdempotencyKey)
	request := jsontext.Value(bytes.Clone(line))
	if record.IdempotencyKey == "" {
		name = fmt.Appendf(nil, "ingest request\n%s\n%s\n%d\n%s", shop, key, n, in.c.idemKey)
		request = in.c.hash
	} else if err := request.Canonicalize(); err != nil {
		return nil, fault.Wrap(err, fault.Refused, "malformed", "This is not valid JSON.")
	}
	caller, hash := sha256.Sum256(name), sha256.Sum256(request)
	return &program.Idempotency{CallerKey: caller[:20], RequestHash: hash[:]}, nil
}

// answer waits for the oldest n lines and writes what became of them.
func (in *intake) answer(n int) error {
	for _, t := range in.waiting[:n] {
		b, err := encode(in.outcome(t))
		if err != nil {
			return err
		}
		if _, err := in.out.Write(b); err != nil {
			return err
		}
		if err := in.ctx.Err(); err != nil {
			return err
		}
	}
	in.waiting = append(in.waiting[:0], in.waiting[n:]...)
	return nil
}

func (in *intake) outcome(t taken) ingestAnswer {
	v := ingestAnswer{Line: t.line, Status: "refused"}
	out, err := (*program.Outcome)(nil), t.refused
	if err == nil {
		out, err = t.pending.Wait()
	}
	if err != nil {
		f := fault.As(err)
		if f.Kind == fault.Internal {
			in.a.Log.Error("ingest", "request_id", in.c.requestID, "line", t.line, "error", err)
		}
		v.Error = new(reason(f))
		return v
	}
	if out.Reply.Status >= http.StatusBadRequest {
		v.Error = new(string(out.Reply.Body))
		return v
	}
	key := id.ID(out.Reply.Body)
	_, seq, err := id.ParseEvent(string(key))
	if err != nil {
		in.a.Log.Error("ingest: a kept answer", "request_id", in.c.requestID, "error", err)
	}
	v.Status = "created"
	if out.Replayed && !t.again && !in.own(key, seq) {
		v.Status = "duplicate"
	}
	v.ID, v.Seq = &key, &seq
	return v
}

// own says, of a repeated request, whether the first one made an entry: then it is told so again, once.
func (in *intake) own(key id.ID, seq int64) bool {
	if in.first == "" || in.told[key] {
		return false
	}
	e, err := in.a.Store.Event(in.ctx, in.a.Store.Read, store.Closed, seq)
	if err != nil || e.Source.RequestID != in.first {
		return false
	}
	if in.told == nil {
		in.told = map[id.ID]bool{}
	}
	in.told[key] = true
	return true
}

// reason is a refusal in one line: each wrong field with its pointer, or the sentence.
func reason(f *fault.Error) string {
	if len(f.Fields) == 0 {
		return f.Public
	}
	words := make([]string, len(f.Fields))
	for i, w := range f.Fields {
		words[i] = w.Detail
		if w.Pointer != "" {
			words[i] = w.Pointer + ": " + w.Detail
		}
	}
	return strings.Join(words, " ")
}

// parseLine reads one event from outside. What the rules of the domain refuse is left to them.
func parseLine(line []byte) (observe.External, error) {
	if len(line) > lineLimit {
		return observe.External{}, refused("", "line_too_large", "The line is larger than 64 KiB.")
	}
	var l ingestLine
	if err := json.Unmarshal(line, &l, json.RejectUnknownMembers(true)); err != nil {
		return observe.External{}, lineFault(err)
	}
	rec := observe.External{Source: l.Source, Type: l.Type, Summary: l.Summary, Details: l.Details, IdempotencyKey: l.IdempotencyKey}
	if string(l.Details) == "null" {
		rec.Details = nil
	}
	if l.OccurredAt != nil {
		at, err := time.Parse(time.RFC3339Nano, *l.OccurredAt)
		if err != nil {
			return rec, refused("/occurred_at", "time_invalid", "Give an RFC 3339 time such as 2027-03-01T09:30:00Z.")
		}
		rec.OccurredAt = journal.Truncate(at)
	}
	for _, t := range l.Targets {
		rec.Targets = append(rec.Targets, t.ref)
	}
	return rec, nil
}

// lineFault says what is wrong with a line, in words that do not know how it is read here.
func lineFault(err error) error {
	if s, ok := errors.AsType[*json.SemanticError](err); ok {
		at := string(s.JSONPointer)
		switch {
		case errors.Is(err, json.ErrUnknownName):
			return refused(at, "unknown_field", "There is no such field.")
		case errors.Is(err, errTarget):
			return refused(at, "target_invalid", "Give the id of a customer, subscription, order, product or variant.")
		}
		return refused(at, "wrong_type", "This value has the wrong type.")
	}
	return refused("", "json_invalid", "This is not valid JSON: {reason}.", "reason", plain.Escape(jsonReason(err)))
}
