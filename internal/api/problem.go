package api

import (
	"encoding/json"
	"errors"
	"maps"
	"math"
	"net/http"
	"strconv"
	"strings"

	"github.com/danielgtaylor/huma/v2"

	"perennial/internal/fault"
)

// Problem is an RFC 9457 answer.
type Problem struct {
	Type      string            `json:"type" doc:"A URI that names the sort of problem."`
	Title     string            `json:"title"`
	Status    int               `json:"status"`
	Detail    string            `json:"detail" doc:"What is wrong, in a sentence."`
	Code      string            `json:"code" doc:"Stable and meant for programs."`
	Args      map[string]string `json:"args,omitempty" doc:"What the sentence names, for who says it in other words: numbers in decimal, dates as 2027-03-01."`
	Errors    []FieldProblem    `json:"errors,omitempty" doc:"What is wrong with each field."`
	RequestID string            `json:"request_id"`

	retryAfter int // seconds; 0: no header
}

// FieldProblem is what is wrong with one field.
type FieldProblem struct {
	Pointer string            `json:"pointer" doc:"A JSON pointer (RFC 6901)."`
	Code    string            `json:"code" doc:"Stable and meant for programs."`
	Detail  string            `json:"detail" doc:"What is wrong, in a sentence."`
	Args    map[string]string `json:"args,omitempty" doc:"What the sentence names, for who says it in other words: numbers in decimal, dates as 2027-03-01."`
}

func (p *Problem) Error() string { return p.Code + ": " + p.Detail }

// GetStatus implements huma.StatusError.
func (p *Problem) GetStatus() int { return p.Status }

// GetHeaders implements huma.HeadersError.
func (p *Problem) GetHeaders() http.Header {
	h := http.Header{}
	if p.retryAfter > 0 {
		h.Set("Retry-After", strconv.Itoa(p.retryAfter))
	}
	return h
}

// ContentType implements huma.ContentTypeFilter.
func (p *Problem) ContentType(string) string { return "application/problem+json" }

func problemOf(err error, requestID string) *Problem {
	if p, ok := errors.AsType[*Problem](err); ok {
		p.RequestID = requestID
		return p
	}
	f := fault.As(err)
	status := f.Kind.HTTPStatus()
	p := &Problem{Type: "about:blank", Title: http.StatusText(status), Status: status, Detail: f.Public, Code: f.Code, Args: f.Args.Map(), RequestID: requestID}
	for _, field := range f.Fields {
		p.Errors = append(p.Errors, problemAt(field.Pointer, &field.Reason))
	}
	if f.RetryAfter > 0 {
		p.retryAfter = int(math.Ceil(f.RetryAfter.Seconds()))
	} else if f.Kind == fault.Unavailable || f.Kind == fault.TooMany {
		p.retryAfter = 1
	}
	return p
}

func problemAt(pointer string, why *fault.Reason) FieldProblem {
	return FieldProblem{Pointer: pointer, Code: why.Code, Detail: why.Detail, Args: why.Args.Map()}
}

// newProblem makes a problem of what the framework found wrong with a request: its fields, by JSON pointer.
func newProblem(status int, msg string, errs ...error) huma.StatusError {
	p := &Problem{Type: "about:blank", Title: http.StatusText(status), Status: status, Detail: sentence(msg), Code: codeOf(status)}
	for _, err := range errs {
		if err == nil {
			continue
		}
		f := problemAt("", fault.Because("refused", "{reason}", "reason", err.Error()))
		if d, ok := errors.AsType[*huma.ErrorDetail](err); ok {
			f = plainly(d)
		}
		p.Errors = append(p.Errors, f)
	}
	if status == http.StatusUnprocessableEntity && len(p.Errors) > 0 {
		p.Detail = "Some fields cannot be accepted."
		for _, e := range p.Errors {
			if e.Pointer == "/query/cursor" {
				p.Status, p.Title, p.Code = http.StatusBadRequest, http.StatusText(http.StatusBadRequest), "cursor_invalid"
			}
		}
	}
	return p
}

func codeOf(status int) string {
	switch status {
	case http.StatusBadRequest:
		return "malformed"
	case http.StatusUnprocessableEntity:
		return "fields_refused"
	case http.StatusNotFound:
		return "not_found"
	case http.StatusMethodNotAllowed:
		return "method_not_allowed"
	case http.StatusUnsupportedMediaType:
		return "unsupported_media_type"
	case http.StatusRequestEntityTooLarge:
		return "too_large"
	case http.StatusNotAcceptable:
		return "not_acceptable"
	}
	return "internal"
}

func sentence(s string) string {
	if s == "" {
		return s
	}
	s = strings.ToUpper(s[:1]) + s[1:]
	if !strings.HasSuffix(s, ".") {
		s += "."
	}
	return s
}

// said is how the framework's words about a field are told to people. What is left of them fills the place of arg, if there is one.
var said = []struct{ begins, code, sentence, arg string }{
	{"unexpected property", "unknown_field", "There is no such field.", ""},
	{"required query parameter is missing", "required", "Give this parameter.", ""},
	{"expected string to be RFC 3339 date-time", "time_invalid", "Give an RFC 3339 time such as 2027-03-03T09:30:00Z.", ""},
	{"expected string to be RFC 3339 date", "date_invalid", "Give a day such as 2027-03-03.", ""},
	{"expected string to match pattern ", "date_invalid", "Give a day such as 2027-03-03.", ""}, // nothing but days has a pattern
	{"expected string", "text_needed", "Give a text.", ""},
	{"expected integer", "number_invalid", "Give a whole number.", ""},
	{"invalid integer", "number_invalid", "Give a whole number.", ""},
	{"expected number >= ", "too_small", "Give {least} or more.", "least"},
	{"expected number <= ", "too_great", "Give at most {most}.", "most"},
	{"expected boolean", "boolean_needed", "Give true or false.", ""},
	{"expected array length <= ", "too_many", "Give at most {most}.", "most"},
	{"expected array", "list_needed", "Give a list.", ""},
	{"expected object", "object_needed", "Give an object.", ""},
	{"expected length <= ", "too_long", "Give at most {most} characters.", "most"},
	{"expected value to be one of ", "not_one_of", "Give one of {values}.", "values"},
}

// plainly tells of a field that the framework refused.
func plainly(d *huma.ErrorDetail) FieldProblem {
	at := pointer(d.Location)
	if name, ok := strings.CutPrefix(d.Message, "expected required property "); ok {
		return problemAt(at+fault.Pointer(strings.TrimSuffix(name, " to be present")), fault.Because("required", "Give this field."))
	}
	for _, s := range said {
		rest, ok := strings.CutPrefix(d.Message, s.begins)
		switch {
		case !ok:
			continue
		case s.arg == "":
			return problemAt(at, fault.Because(s.code, s.sentence))
		default:
			return problemAt(at, fault.Because(s.code, s.sentence, s.arg, strings.Trim(rest, `"`)))
		}
	}
	return problemAt(at, fault.Because("refused", "{reason}", "reason", sentence(d.Message)))
}

// pointer turns the framework's "body.items[0].quantity" into "/items/0/quantity"; other places keep their name:
// "query.limit" is "/query/limit".
func pointer(location string) string {
	location = strings.TrimPrefix(location, "body")
	location = strings.TrimPrefix(location, ".")
	if location == "" {
		return ""
	}
	location = strings.NewReplacer("[", ".", "]", "").Replace(location)
	return "/" + strings.ReplaceAll(strings.NewReplacer("~", "~0", "/", "~1").Replace(location), ".", "/")
}

// Refuse answers a request for the API before any of its routes sees it.
func Refuse(w http.ResponseWriter, err error) { writeProblem(w, err, "") }

func writeProblem(w http.ResponseWriter, err error, requestID string) {
	p := problemOf(err, requestID)
	maps.Copy(w.Header(), p.GetHeaders())
	w.Header().Set("Content-Type", "application/problem+json")
	w.WriteHeader(p.Status)
	if err := json.NewEncoder(w).Encode(p); err != nil {
		return // the client is gone
	}
}

func refused(pointer, code, sentence string, pairs ...any) error {
	var f fault.Fields
	f.Add(pointer, code, sentence, pairs...)
	return f.Err()
}
