package journal

import (
	"bytes"
	"cmp"
	"encoding/base64"
	"slices"
	"strconv"
	"unicode/utf8"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"

	"perennial/internal/id"
)

// Every reading of the journal parses bodies, so what Encode writes is read without reflection. parser takes only the
// plainest canonical JSON: the members that it knows in their order, no white space, whole numbers, strings without escapes.
// Whatever else comes, it gives up and json.Unmarshal decides; what it takes, json.Unmarshal reads the same (FuzzParse).
type parser struct {
	b    []byte
	i    int
	fail bool
}

// members are the members of an object in the order of their names.
type members[T any] []member[T]

type member[T any] struct {
	name  string
	value T
}

// UnmarshalJSON implements json.Unmarshaler.
func (m *members[T]) UnmarshalJSON(b []byte) error {
	var all map[string]T
	if err := json.Unmarshal(b, &all); err != nil {
		return err
	}
	*m = nil
	for name, v := range all {
		*m = append(*m, member[T]{name, v})
	}
	slices.SortFunc(*m, func(x, y member[T]) int { return cmp.Compare(x.name, y.name) })
	return nil
}

// quick parses a body as Encode writes it; false for any other.
func (r *rawEvent) quick(body []byte) bool {
	if !utf8.Valid(body) {
		return false
	}
	p := &parser{b: body}
	p.object(func(name []byte) {
		switch string(name) {
		case "actor":
			r.Actor = p.actor()
		case "boxes":
			p.list(func() { r.Boxes = append(r.Boxes, p.box()) })
		case "causation_id":
			r.CausationID = idOf(p)
		case "changes":
			p.list(func() { r.Changes = append(r.Changes, p.change()) })
		case "command_id":
			r.CommandID = idOf(p)
		case "correlation_id":
			r.CorrelationID = idOf(p)
		case "corrects":
			r.Corrects = idOf(p)
		case "details":
			p.object(func(name []byte) { r.Details = append(r.Details, member[jsontext.Value]{p.ascii(name), p.raw()}) })
		case "id":
			r.ID = idOf(p)
		case "occurred_at":
			r.OccurredAt = p.text()
		case "on_behalf_of":
			r.OnBehalfOf = new(p.actor())
		case "recorded_at":
			r.RecordedAt = p.text()
		case "sealed_comment":
			r.SealedComment = new(int(p.number()))
		case "sealed_details":
			p.object(func(name []byte) {
				r.SealedDetails = append(r.SealedDetails, member[int]{p.ascii(name), int(p.number())})
			})
		case "secrets":
			p.list(func() { r.Secrets = append(r.Secrets, p.secret()) })
		case "seq":
			r.Seq = p.number()
		case "source":
			p.object(func(name []byte) {
				switch string(name) {
				case "channel":
					r.Source.Channel = Channel(p.word())
				case "request_id":
					r.Source.RequestID = p.text()
				default:
					p.fail = true
				}
			})
		case "target_prev_seq":
			r.TargetPrevSeq = new(p.number())
		case "target_version":
			r.TargetVersion = p.number()
		case "targets":
			p.list(func() { r.Targets = append(r.Targets, p.ref()) })
		case "type":
			r.Type = Name(p.text())
		case "type_version":
			r.TypeVersion = int(p.number())
		case "v":
			r.V = int(p.number())
		default:
			p.fail = true
		}
	})
	return p.done()
}

// quickList parses the content of a box of values; nil when there are none or it is not plain.
func quickList(content []byte) (values []jsontext.Value) {
	p := &parser{b: content}
	p.list(func() { values = append(values, p.raw()) })
	if !p.done() || !utf8.Valid(content) {
		return nil
	}
	return values
}

// quickTexts is quickList for texts.
func quickTexts(content []byte) (texts []string) {
	p := &parser{b: content}
	p.list(func() { texts = append(texts, p.text()) })
	if !p.done() || !utf8.Valid(content) {
		return nil
	}
	return texts
}

// done says that all was taken.
func (p *parser) done() bool { return !p.fail && p.i == len(p.b) }

// take moves over one byte, which must be c.
func (p *parser) take(c byte) {
	if p.i >= len(p.b) || p.b[p.i] != c {
		p.fail = true
		return
	}
	p.i++
}

func (p *parser) at(c byte) bool { return p.i < len(p.b) && p.b[p.i] == c }

// object calls value for each member, whose names must be in order; value moves over it.
func (p *parser) object(value func(name []byte)) {
	p.take('{')
	if p.at('}') {
		p.i++
		return
	}
	for last := []byte(nil); !p.fail; {
		name := p.plain()
		p.take(':')
		if last != nil && bytes.Compare(name, last) <= 0 {
			p.fail = true
		}
		if p.fail {
			return
		}
		last = name
		value(name)
		if !p.at(',') {
			break
		}
		p.i++
	}
	p.take('}')
}

// list calls element for each element, and element moves over it.
func (p *parser) list(element func()) {
	p.take('[')
	if p.at(']') {
		p.i++
		return
	}
	for !p.fail {
		element()
		if !p.at(',') {
			break
		}
		p.i++
	}
	p.take(']')
}

// plain moves over a string without escapes and gives what is between its quotes.
func (p *parser) plain() []byte {
	p.take('"')
	start := p.i
	for p.i < len(p.b) && p.b[p.i] != '"' {
		if c := p.b[p.i]; c < ' ' || c == '\\' {
			p.fail = true
			return nil
		}
		p.i++
	}
	text := p.b[start:min(p.i, len(p.b))]
	p.take('"')
	if p.fail {
		return nil
	}
	return text
}

func (p *parser) text() string { return string(p.plain()) }

// vocabulary are strings of bodies that are there all the time, which need no memory of their own.
var vocabulary = func() map[string]string {
	m := map[string]string{}
	for _, w := range []Kind{Subscription, Customer, Address, PaymentMethod, Order, Product, Variant, SellingPlanGroup, SellingPlan, Discount,
		Settings, Team, TeamMember, APIKey, CancelFlow, CancelReason, CancelSession, NotificationTemplate, Session, SignIn, Request, Log, Source, Shop, Message, Operation} {
		m[string(w)] = string(w)
	}
	for _, w := range []ActorKind{ActorSystem, ActorIntegration, ActorImport, ActorAnonymous} {
		m[string(w)] = string(w)
	}
	for _, w := range []Channel{ChannelDashboard, ChannelPortal, ChannelQuickAction, ChannelAPI, ChannelBilling, ChannelImport, ChannelBulk, ChannelCLI, ChannelWebhook, ChannelMigration} {
		m[string(w)] = string(w)
	}
	return m
}()

// word is text for what is mostly one of vocabulary.
func (p *parser) word() string {
	b := p.plain()
	if w, ok := vocabulary[string(b)]; ok {
		return w
	}
	return string(b)
}

// ascii gives an unknown member's name, which must be in ASCII: its order as bytes is that of its UTF-16 code units then.
func (p *parser) ascii(name []byte) string {
	for _, c := range name {
		p.fail = p.fail || c >= utf8.RuneSelf
	}
	return string(name)
}

func idOf(p *parser) id.ID { return id.ID(p.plain()) }

func (p *parser) number() int64 {
	start := p.i
	p.digits()
	n, err := strconv.ParseInt(string(p.b[start:p.i]), 10, 64)
	p.fail = p.fail || err != nil
	return n
}

// digits moves over a whole number.
func (p *parser) digits() {
	negative := p.at('-')
	if negative {
		p.i++
	}
	first := p.i
	for p.i < len(p.b) && '0' <= p.b[p.i] && p.b[p.i] <= '9' {
		p.i++
	}
	const exact = 15 // as many digits every double has; from 2^53 on numbers are canonical only as doubles
	if p.i == first || p.i > first+exact || p.b[first] == '0' && (negative || p.i > first+1) || p.at('.') || p.at('e') || p.at('E') {
		p.fail = true
	}
}

func (p *parser) base64() []byte {
	text := p.plain()
	out := make([]byte, base64.StdEncoding.DecodedLen(len(text)))
	n, err := base64.StdEncoding.Strict().Decode(out, text)
	p.fail = p.fail || err != nil
	return out[:n]
}

func (p *parser) actor() (a Actor) {
	p.object(func(name []byte) {
		switch string(name) {
		case "id":
			a.ID = p.text()
		case "kind":
			a.Kind = ActorKind(p.word())
		default:
			p.fail = true
		}
	})
	return a
}

func (p *parser) ref() (r Ref) {
	p.object(func(name []byte) {
		switch string(name) {
		case "id":
			r.ID = idOf(p)
		case "kind":
			r.Kind = Kind(p.word())
		default:
			p.fail = true
		}
	})
	return r
}

func (p *parser) box() (b Box) {
	p.take('[')
	b.Key = p.text()
	p.take(',')
	b.Commitment = p.base64()
	p.take(',')
	b.Hash = p.base64()
	p.take(']')
	b.Class = ClassOf(b.Key)
	return b
}

func (p *parser) secret() (s rawSecret) {
	p.object(func(name []byte) {
		switch string(name) {
		case "commitment":
			s.Commitment = p.base64()
		case "name":
			s.Name = p.text()
		default:
			p.fail = true
		}
	})
	return s
}

func (p *parser) change() (c rawChange) {
	p.object(func(name []byte) {
		switch string(name) {
		case "after":
			c.After = p.raw()
		case "before":
			c.Before = p.raw()
		case "field":
			c.Field = p.text()
		case "sealed_after":
			c.SealedAfter = new(int(p.number()))
		case "sealed_before":
			c.SealedBefore = new(int(p.number()))
		default:
			p.fail = true
		}
	})
	return c
}

// raw moves over any value and gives its bytes, which are the body's.
func (p *parser) raw() jsontext.Value {
	start := p.i
	p.skip(maxSkip)
	if p.fail {
		return nil
	}
	return jsontext.Value(p.b[start:p.i:p.i])
}

// maxSkip is how deep a value may nest that skip takes.
const maxSkip = 32

func (p *parser) skip(depth int) {
	if depth == 0 || p.i >= len(p.b) {
		p.fail = true
	}
	if p.fail {
		return
	}
	switch c := p.b[p.i]; {
	case c == '"':
		p.plain()
	case c == '{':
		p.object(func(name []byte) {
			p.ascii(name)
			p.skip(depth - 1)
		})
	case c == '[':
		p.list(func() { p.skip(depth - 1) })
	case c == '-' || '0' <= c && c <= '9':
		p.digits()
	default:
		for _, word := range []string{"true", "false", "null"} {
			if end := p.i + len(word); end <= len(p.b) && string(p.b[p.i:end]) == word {
				p.i = end
				return
			}
		}
		p.fail = true
	}
}
