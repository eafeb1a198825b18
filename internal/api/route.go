package api

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"net/url"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/danielgtaylor/huma/v2"
	"github.com/danielgtaylor/huma/v2/adapters/humago"

	"perennial/internal/access"
	"perennial/internal/act"
	"perennial/internal/fault"
	"perennial/internal/id"
	"perennial/internal/journal"
	"perennial/internal/program"
	"perennial/internal/store"
	"perennial/internal/team"
)

// route is what every registration says about itself.
type route struct {
	method     string
	path       string // below Base
	tag        string
	summary    string
	permission team.Permission
	also       []team.Permission // what it takes besides
	events     []journal.Name    // the types of the events that a change makes; a change without them is a bug
	status     int               // of success; 0: 200
	stream     bool              // the answer goes on until one side ends it
	besides    string            // what only some requests need, in words
}

// row is the route in the table of all faces.
func (r route) row() access.Route {
	out := access.Route{Pattern: r.method + " " + r.path, Who: access.KeyHolder, Needs: r.also, Besides: r.besides, Events: r.events, Stream: r.stream}
	if r.permission != "" {
		out.Needs = append([]team.Permission{r.permission}, r.also...)
	}
	return out
}

// lacks gives the first permission of the route that a set does not hold; empty when it holds them all.
func (r route) lacks(has team.Set) team.Permission {
	return r.row().Lacks(has)
}

// raw is an answer whose bytes are made by us, so that a kept one is given again byte for byte.
type raw struct {
	Status      int
	ContentType string `header:"Content-Type"`
	ETag        string `header:"ETag"`
	Location    string `header:"Location"`
	Body        []byte
}

// one is the answer to a read of one thing.
type one[V any] struct {
	Data V `json:"data"`
}

// many is the answer to a list.
type many[V any] struct {
	Data       []V     `json:"data"`
	NextCursor *string `json:"next_cursor"`
}

// receipt is one event of an answer that changed something.
type receipt struct {
	ID       id.ID  `json:"id"`
	Seq      int64  `json:"seq"`
	Type     string `json:"type"`
	LeafHash []byte `json:"leaf_hash"`
}

// changedThing is the answer to a change.
type changedThing[V any] struct {
	Data    V         `json:"data"`
	Events  []receipt `json:"events"`
	Created []id.ID   `json:"created,omitempty" doc:"Ids of other things that the action made."`
}

// Commented is embedded in every body of a change that is not made from an act. It and Page are exported because the framework, which
// reads the types of inputs, sees only exported embedded structs.
type Commented = act.Commented

// hasComment is what every input of a change has: a comment, in the body or (DELETE) in the query.
type hasComment interface{ Because() string }

// Inputs by path.
type (
	noInput struct{}
	byID    struct {
		ID string `path:"id"`
	}
	withBody[B hasComment] struct {
		Body B
	}
	onThing[B hasComment] struct {
		ID   string `path:"id"`
		Body B
	}
	// onThingMaybe is onThing for actions whose body may be left out.
	onThingMaybe[B hasComment] struct {
		ID   string `path:"id"`
		Body *B     `required:"false"`
	}
	onPart[B hasComment] struct {
		ID   string `path:"id"`
		Part string `path:"part"`
		Body B
	}
	dropThing struct {
		ID      string `path:"id"`
		Comment string `query:"comment" maxLength:"2000" doc:"Why; kept on the events."`
	}
	dropPart struct {
		ID      string `path:"id"`
		Part    string `path:"part"`
		Comment string `query:"comment" maxLength:"2000" doc:"Why; kept on the events."`
	}
	// Page is embedded in the query of every list.
	Page struct {
		Limit  int    `query:"limit" default:"50" minimum:"1" maximum:"200"`
		Cursor string `query:"cursor" maxLength:"500" doc:"The next_cursor of the page before."`
	}
)

func (i withBody[B]) Because() string { return i.Body.Because() }
func (i onThing[B]) Because() string  { return i.Body.Because() }
func (i onPart[B]) Because() string   { return i.Body.Because() }
func (i dropThing) Because() string   { return i.Comment }
func (i dropPart) Because() string    { return i.Comment }
func (i onThingMaybe[B]) Because() string {
	if i.Body == nil {
		return ""
	}
	return (*i.Body).Because()
}

// body gives the body, or an empty one.
func (i onThingMaybe[B]) body() B {
	if i.Body == nil {
		var b B
		return b
	}
	return *i.Body
}

// operation makes the OpenAPI operation of a route.
func (a *API) operation(r route, answer reflect.Type, change bool) huma.Operation {
	if r.status == 0 {
		r.status = http.StatusOK
	}
	a.rows[r.method+" "+r.path] = r.row()
	schemas := a.huma.OpenAPI().Components.Schemas
	answered := schemas.Schema(answer, true, operationID(r)+"Answer")
	nullPointers(schemas, answer, map[reflect.Type]bool{})
	op := huma.Operation{
		OperationID: operationID(r), Method: r.method, Path: r.path, Summary: r.summary, Tags: []string{r.tag}, DefaultStatus: r.status,
		MaxBodyBytes: -1, Middlewares: huma.Middlewares{a.permit(r)},
		Responses: map[string]*huma.Response{
			strconv.Itoa(r.status): {Description: http.StatusText(r.status), Content: map[string]*huma.MediaType{
				"application/json": {Schema: answered}}},
			"default": {Description: "A problem (RFC 9457)", Content: map[string]*huma.MediaType{
				"application/problem+json": {Schema: schemas.Schema(reflect.TypeFor[Problem](), true, "Problem")}}},
		},
	}
	for _, e := range refusals {
		if change || !e.change {
			op.Responses[strconv.Itoa(e.status)] = &huma.Response{Ref: "#/components/responses/" + strconv.Itoa(e.status)}
		}
	}
	if r.permission != "" {
		op.Description = "Needs the permission `" + string(r.permission) + "`."
		for _, p := range r.also {
			op.Description += " Needs the permission `" + string(p) + "` too."
		}
	}
	if change {
		op.Description += " Makes: `" + strings.Join(journal.Texts(r.events), "`, `") + "`."
		op.Parameters = append(op.Parameters,
			&huma.Param{Name: "Idempotency-Key", In: "header", Schema: &huma.Schema{Type: "string", MaxLength: new(255)}, Description: "The same key with the same request gives the first answer again."},
			&huma.Param{Name: "If-Match", In: "header", Schema: &huma.Schema{Type: "string"}, Description: "The version that the caller saw; another one is refused with 412."})
	}
	return op
}

// permit is around a route's handler, before anything of the request is parsed: it refuses a caller without the route's
// permission, and query parameters that the document does not know.
func (a *API) permit(r route) func(huma.Context, func(huma.Context)) {
	return func(hc huma.Context, next func(huma.Context)) {
		req, w := humago.Unwrap(hc)
		c := callOf(req.Context())
		err := checkQuery(req.URL.RawQuery, hc.Operation().Parameters)
		if p := r.lacks(team.Holds(c.key)); p != "" {
			denied := r
			denied.permission = p
			err = a.deny(req.Context(), c, denied)
		}
		if err != nil {
			writeProblem(w, err, c.requestID)
			return
		}
		next(hc)
	}
}

// checkQuery refuses what is not a query of these parameters: what cannot be read, a name that none of them has, and more
// than one value where one is taken.
func checkQuery(query string, known []*huma.Param) error {
	values, err := url.ParseQuery(query)
	if err != nil {
		return fault.Wrap(err, fault.Malformed, "malformed", "The query of the address cannot be read.")
	}
	var f fault.Fields
	for _, name := range slices.Sorted(maps.Keys(values)) {
		at := fault.Pointer("query", name)
		i := slices.IndexFunc(known, func(p *huma.Param) bool { return p.In == "query" && p.Name == name })
		switch {
		case i < 0:
			f.Add(at, "unknown_parameter", "There is no such parameter.")
		case len(values[name]) > 1 && known[i].Schema.Type != huma.TypeArray:
			f.Add(at, "given_twice", "Give this once.")
		case name != "cursor" && name != "comment" && slices.ContainsFunc(values[name], unreadable):
			f.Add(at, "text_unreadable", "This holds a control character, or is not valid UTF-8.")
		}
	}
	return f.Err()
}

func unreadable(s string) bool {
	return !utf8.ValidString(s) || strings.ContainsFunc(s, unicode.IsControl)
}

// refusals are what every operation may answer instead, and every change besides.
var refusals = []struct {
	status int
	change bool
	about  string
}{
	{http.StatusBadRequest, false, "The request is malformed: its JSON, its query, or a cursor that is not of this list (`cursor_invalid`)."},
	{http.StatusUnauthorized, false, "There is no API key, or not one of this shop."},
	{http.StatusForbidden, false, "The API key lacks the permission."},
	{http.StatusNotFound, false, "This shop has no such thing."},
	{http.StatusConflict, true, "Not allowed in this state (the code says why), or the Idempotency-Key is another request's."},
	{http.StatusGone, false, "What is asked for, or the answer that was kept, was about a person whose data was erased."},
	{http.StatusPreconditionFailed, true, "If-Match names another version than the thing has."},
	{http.StatusRequestEntityTooLarge, true, "The body is too large."},
	{http.StatusUnprocessableEntity, false, "Fields or parameters are refused, each with its place in `errors`."},
	{http.StatusTooManyRequests, false, "The API key asks too often. Retry-After says when to try again."},
	{http.StatusServiceUnavailable, false, "Not now. Retry-After says when to try again."},
}

// documentRefusals puts the refusals where the operations refer to them.
func documentRefusals(c *huma.Components) {
	problem := map[string]*huma.MediaType{"application/problem+json": {Schema: c.Schemas.Schema(reflect.TypeFor[Problem](), true, "Problem")}}
	c.Responses = map[string]*huma.Response{}
	for _, e := range refusals {
		c.Responses[strconv.Itoa(e.status)] = &huma.Response{Description: e.about, Content: problem}
	}
}

// read registers a route that changes nothing.
func read[I, V any](a *API, r route, get func(ctx context.Context, in *I) (V, error)) {
	raws(a, r, reflect.TypeFor[one[V]](), func(ctx context.Context, in *I) (*raw, error) {
		v, err := get(ctx, in)
		if err != nil {
			return nil, err
		}
		out, err := encode(one[V]{v})
		if err != nil {
			return nil, err
		}
		return &raw{Status: http.StatusOK, ContentType: "application/json", ETag: etagOf(v), Body: out}, nil
	})
}

// list registers a route that gives a page of things. get reads at most limit+1 of them after a position; position
// gives the place of one, for the cursor. filter is whatever else the list depends on: a cursor is good for it only.
func list[I, V any](a *API, r route, pageOf func(in *I) (Page, any), get func(ctx context.Context, in *I, limit int, after string) ([]V, error), position func(V) string) {
	raws(a, r, reflect.TypeFor[many[V]](), func(ctx context.Context, in *I) (*raw, error) {
		p, filter := pageOf(in)
		after, err := a.cursors.parse(r.path, filter, p.Cursor)
		if err != nil {
			return nil, err
		}
		vs, err := get(ctx, in, p.Limit+1, after)
		if err != nil {
			return nil, err
		}
		out := many[V]{Data: vs}
		if len(vs) > p.Limit {
			out.Data = vs[:p.Limit]
			out.NextCursor = new(a.cursors.make(r.path, filter, position(out.Data[p.Limit-1])))
		}
		if out.Data == nil {
			out.Data = []V{}
		}
		b, err := encode(out)
		if err != nil {
			return nil, err
		}
		return &raw{Status: http.StatusOK, ContentType: "application/json", Body: b}, nil
	})
}

// raws registers a route that renders its bytes itself. answer is the type that the document shows.
func raws[I any](a *API, r route, answer reflect.Type, serve func(ctx context.Context, in *I) (*raw, error)) {
	huma.Register(a.huma, a.operation(r, answer, false), func(ctx context.Context, in *I) (*raw, error) {
		c := callOf(ctx)
		out, err := serve(ctx, in)
		if err != nil {
			return nil, a.problem(c, err)
		}
		return out, nil
	})
}

// plan is what a change comes to before it is decided.
type plan struct {
	command journal.Command
	target  journal.Ref // whose version If-Match is about; the zero Ref: the result
	// machinery writes rows without an event in the same transaction.
	machinery func(b *store.Batch) error
	// needs are permissions besides the route's, for what only some bodies ask.
	needs []team.Permission
	// once marks an answer that shows a secret.
	once bool
	// location is the path below Base of the thing made, with %s for its id.
	location string
}

// viewOf renders a thing from its row. What it reads besides comes from the query, whose context knows the caller.
type viewOf[V any] = func(q program.Query, ref journal.Ref, row store.Row) (V, error)

// change registers a route that changes something through program. build parses; show renders the thing that the
// command's decision names as its result, in the same transaction.
func change[I hasComment, V any](a *API, r route, build func(ctx context.Context, in *I) (plan, error), show viewOf[V]) {
	changeShown(a, r, func(ctx context.Context, in *I) (plan, viewOf[V], error) {
		p, err := build(ctx, in)
		return p, show, err
	})
}

// changeShown is change for answers that show more than the row: a secret that build made.
func changeShown[I hasComment, V any](a *API, r route, build func(ctx context.Context, in *I) (plan, viewOf[V], error)) {
	if len(r.events) == 0 || r.permission == "" {
		panic(fmt.Sprintf("api: %s %s changes something without a permission or an event", r.method, r.path))
	}
	for _, e := range r.events {
		if _, ok := journal.Lookup(e); !ok {
			panic(fmt.Sprintf("api: %s %s makes %s, which is not in the catalogue", r.method, r.path, e))
		}
	}
	huma.Register(a.huma, a.operation(r, reflect.TypeFor[changedThing[V]](), true), func(ctx context.Context, in *I) (*raw, error) {
		c := callOf(ctx)
		p, show, err := build(ctx, in)
		if err != nil {
			return nil, a.problem(c, err)
		}
		out, err := run(ctx, a, r, p, (*in).Because(), show)
		if err != nil {
			return nil, a.problem(c, err)
		}
		return out, nil
	})
}

// run sends a plan through program and renders what comes of it.
func run[V any](ctx context.Context, a *API, r route, p plan, comment string, show viewOf[V]) (*raw, error) {
	c := callOf(ctx)
	meta := c.meta
	if err := checkComment(comment); err != nil {
		return nil, err
	}
	meta.Comment = comment
	status := r.status
	if status == 0 {
		status = http.StatusOK
	}
	r.also = append(slices.Clone(r.also), p.needs...)
	c.decided = true
	seen := *c // as the key may see under the head; the writer's own
	out, err := a.Program.Do(ctx, &program.Request{
		Meta: meta, Command: p.command, Target: p.target, IfMatch: c.ifMatch, Idempotency: c.idempotency(a.Store.Shop), Machinery: p.machinery,
		Allow: func(rd journal.Reader) error {
			k, err := a.allowedNow(rd, c, r)
			seen.key, seen.personal = k, team.Holds(k).Allows(team.PersonalDataView)
			return err
		},
		Again: func(rd journal.Reader, first program.Reply) error { return a.allowedAgain(rd, c, r, first) },
		Answer: func(q program.Query, o *program.Outcome) (program.Reply, error) {
			q.Ctx = context.WithValue(q.Ctx, callKey{}, &seen)
			reply, err := answer(q, o, status, show)
			reply.Once, reply.Personal = p.once, seen.shown
			if p.location != "" {
				reply.Location = Base + fmt.Sprintf(p.location, o.Decision.Result.ID)
			}
			return reply, err
		},
		Refusal: func(err error) program.Reply {
			pr := problemOf(err, c.requestID)
			b, err := encode(pr)
			if err != nil {
				panic(err) // strings and numbers always encode
			}
			return program.Reply{Status: pr.Status, Body: b}
		},
	})
	if err != nil {
		switch fault.As(err).Kind {
		case fault.Forbidden:
			denied := r
			denied.permission = cmp.Or(r.lacks(team.Holds(c.key)), r.permission)
			a.recordDenial(ctx, c, denied)
		case fault.Stale:
			// What does not exist has no version: it is unknown, not stale. Pages and the team are there before they are saved.
			if k := p.target.Kind; k != "" && k != journal.Settings && k != journal.Team {
				if _, _, unknown := a.get(ctx, k, string(p.target.ID)); unknown != nil {
					return nil, unknown
				}
			}
		}
		return nil, err
	}
	res := &raw{Status: out.Reply.Status, ContentType: "application/json", ETag: out.Reply.ETag, Location: out.Reply.Location, Body: out.Reply.Body}
	if res.Status >= 400 {
		res.ContentType = "application/problem+json"
	}
	return res, nil
}

func answer[V any](q program.Query, o *program.Outcome, status int, show viewOf[V]) (program.Reply, error) {
	ref := o.Decision.Result
	row, ok := o.Row(ref)
	if !ok {
		var err error
		if row, err = q.S.Load(q.Ctx, q.Q, ref); err != nil {
			return program.Reply{}, err
		}
	}
	v, err := show(q, ref, row)
	if err != nil {
		return program.Reply{}, err
	}
	body := changedThing[V]{Data: v, Events: make([]receipt, len(o.Events)), Created: o.Decision.Created}
	for i, e := range o.Events {
		body.Events[i] = receipt{e.ID, e.Seq, string(e.Type), e.Leaf[:]}
	}
	b, err := encode(body)
	return program.Reply{Status: status, ETag: etag(row.Version), Body: b}, err
}

func etag(version int64) string { return `"` + strconv.FormatInt(version, 10) + `"` }

// versioned is what every resource has.
type versioned interface{ resourceVersion() int64 }

func etagOf(v any) string {
	if r, ok := v.(versioned); ok {
		return etag(r.resourceVersion())
	}
	return ""
}

// encode writes an answer's JSON.
func encode(v any) ([]byte, error) {
	b, err := json.Marshal(v)
	if err != nil {
		return nil, fmt.Errorf("api: encode %T: %w", v, err)
	}
	return append(b, '\n'), nil
}

// problem turns an error into an answer, and logs what is ours to mend.
func (a *API) problem(c *call, err error) error {
	p := problemOf(err, c.requestID)
	if p.Status >= 500 && p.Status != http.StatusServiceUnavailable {
		a.Log.Error("request failed", "request_id", c.requestID, "error", err)
	}
	return p
}

// allowed says whether the caller's key has a permission, as it was when the request came in.
func (a *API) allowed(c *call, p team.Permission) bool {
	return p == "" || team.Holds(c.key).Allows(p)
}

// allowedNow asks again under the head: a key that was revoked a moment ago changes nothing any more. It gives the key as it is now.
func (a *API) allowedNow(rd journal.Reader, c *call, r route) (*team.Key, error) {
	k, err := journal.Find[team.Key](rd, journal.APIKey, c.key.ID)
	if err != nil {
		return nil, err
	}
	if k == nil || k.Status != team.Active {
		return nil, fault.New(fault.Unauthenticated, "unauthenticated", "This API key was revoked.")
	}
	if p := r.lacks(team.Holds(k)); p != "" {
		return nil, forbidden(p)
	}
	return k, nil
}

// allowedAgain says whether a first answer may be given once more: what the route takes is asked again, and what the answer shows.
func (a *API) allowedAgain(rd journal.Reader, c *call, r route, first program.Reply) error {
	k, err := a.allowedNow(rd, c, r)
	if err == nil && first.Personal && !team.Holds(k).Allows(team.PersonalDataView) {
		err = fault.New(fault.Forbidden, "forbidden", "The first answer shows personal values, and this API key lacks the permission %s now. The change was made; read it to see it masked.", team.PersonalDataView)
	}
	return err
}

func forbidden(p team.Permission) error {
	return fault.New(fault.Forbidden, "forbidden", "This API key lacks the permission %s.", p)
}
