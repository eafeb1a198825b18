package api

import (
	"encoding/json"
	"errors"
	"fmt"
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
	Type      string        `json:"type" doc:"A URI that names the sort of problem."`
	Title     string        `json:"title"`
	Status    int           `json:"status"`
	Detail    string        `json:"detail" doc:"What is wrong, in a sentence."`
	Code      string        `json:"code" doc:"Stable and meant for programs."`
	Errors    []fault.Field `json:"errors,omitempty" doc:"What is wrong with each field."`
	RequestID string        `json:"request_id"`

	retryAfter int // seconds; 0: no header
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
	p := &Problem{Type: "about:blank", Title: http.StatusText(f.Kind.HTTPStatus()), Status: f.Kind.HTTPStatus(), Detail: f.Public, Code: f.Code, Errors: f.Fields, RequestID: requestID}
	if f.RetryAfter > 0 {
		p.retryAfter = int(math.Ceil(f.RetryAfter.Seconds()))
	} else if f.Kind == fault.Unavailable || f.Kind == fault.TooMany {
		p.retryAfter = 1
	}
	return p
}

// newProblem makes a problem of what the framework found wrong with a request: its fields, by JSON pointer.
func newProblem(status int, msg string, errs ...error) huma.StatusError {
	p := &Problem{Type: "about:blank", Title: http.StatusText(status), Status: status, Detail: sentence(msg), Code: codeOf(status)}
	for _, err := range errs {
		if err == nil {
			continue
		}
		f := fault.Field{Detail: err.Error()}
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

// said is how the framework's words about a field are told to people. A %s takes what is left of them.
var said = []struct{ begins, instead string }{
	{"unexpected property", "There is no such field."},
	{"required query parameter is missing", "Give this parameter."},
	{"expected string to be RFC 3339 date-time", "Give an RFC 3339 time such as 2027-03-03T09:30:00Z."},
	{"expected string to be RFC 3339 date", "Give a day such as 2027-03-03."},
	{"expected string to match pattern ", "Give a day such as 2027-03-03."}, // nothing but days has a pattern
	{"expected string", "Give a text."},
	{"expected integer", "Give a whole number."},
	{"invalid integer", "Give a whole number."},
	{"expected number >= ", "Give %s or more."},
	{"expected number <= ", "Give at most %s."},
	{"expected boolean", "Give true or false."},
	{"expected array length <= ", "Give at most %s."},
	{"expected array", "Give a list."},
	{"expected object", "Give an object."},
	{"expected length <= ", "Give at most %s characters."},
	{"expected value to be one of ", "Give one of %s."},
}

// plainly tells of a field that the framework refused.
func plainly(d *huma.ErrorDetail) fault.Field {
	at := pointer(d.Location)
	if name, ok := strings.CutPrefix(d.Message, "expected required property "); ok {
		return fault.Field{Pointer: at + fault.Pointer(strings.TrimSuffix(name, " to be present")), Detail: "Give this field."}
	}
	for _, s := range said {
		if rest, ok := strings.CutPrefix(d.Message, s.begins); ok {
			return fault.Field{Pointer: at, Detail: strings.ReplaceAll(s.instead, "%s", strings.Trim(rest, `"`))}
		}
	}
	return fault.Field{Pointer: at, Detail: sentence(d.Message)}
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

func refused(pointer, format string, args ...any) error {
	var f fault.Fields
	f.Add(pointer, "%s", fmt.Sprintf(format, args...))
	return f.Err()
}
