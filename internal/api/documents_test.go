package api_test

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"regexp"
	"slices"
	"strings"
	"testing"

	"perennial/internal/api"
)

func (s *shop) get(path string) (*http.Response, string) {
	s.t.Helper()
	res, err := http.Get(s.url + path)
	must(s.t, err)
	defer res.Body.Close()
	b, err := io.ReadAll(res.Body)
	must(s.t, err)
	return res, string(b)
}

// Everything that the document refers to is in it, and every operation has an id of its own and says what it answers.
func TestDocument(t *testing.T) {
	s := openShop(t)
	res, body := s.get(api.Base + "/openapi.json")
	if mediaType(res.Header) != "application/json" {
		t.Errorf("content type: %s", mediaType(res.Header))
	}
	var doc struct {
		OpenAPI    string                                `json:"openapi"`
		Paths      map[string]map[string]json.RawMessage `json:"paths"`
		Components struct {
			Schemas   map[string]json.RawMessage `json:"schemas"`
			Responses map[string]json.RawMessage `json:"responses"`
		} `json:"components"`
	}
	must(t, json.Unmarshal([]byte(body), &doc))
	if !strings.HasPrefix(doc.OpenAPI, "3.1") {
		t.Errorf("openapi: %s", doc.OpenAPI)
	}
	for _, m := range regexp.MustCompile(`"\$ref":"#/components/schemas/([^"]+)"`).FindAllStringSubmatch(body, -1) {
		if doc.Components.Schemas[m[1]] == nil {
			t.Errorf("the schema %s is missing", m[1])
		}
	}
	for name := range doc.Components.Schemas {
		if !regexp.MustCompile(`^[a-zA-Z0-9._-]+$`).MatchString(name) {
			t.Errorf("%q cannot be the name of a schema", name)
		}
	}
	ids := map[string]string{}
	for path, item := range doc.Paths {
		for method, raw := range item {
			var op struct {
				ID        string   `json:"operationId"`
				Tags      []string `json:"tags"`
				Summary   string   `json:"summary"`
				Responses map[string]struct {
					Ref         string `json:"$ref"`
					Description string
					Content     map[string]any
				} `json:"responses"`
			}
			must(t, json.Unmarshal(raw, &op))
			at := method + " " + path
			if ids[op.ID] != "" || op.ID == "" {
				t.Errorf("%s has the id %q of %s", at, op.ID, ids[op.ID])
			}
			ids[op.ID] = at
			if len(op.Tags) == 0 || op.Summary == "" || op.Responses["default"].Content["application/problem+json"] == nil || len(op.Responses) < 2 {
				t.Errorf("%s lacks a tag, a summary or an answer", at)
			}
			for status, r := range op.Responses {
				if r.Ref != "" && doc.Components.Responses[strings.TrimPrefix(r.Ref, "#/components/responses/")] == nil {
					t.Errorf("%s: %s is not there", at, r.Ref)
				}
				if r.Description == "" && r.Ref == "" {
					t.Errorf("%s: %s has no description", at, status)
				}
			}
		}
	}
	for _, path := range []string{"/logs/activity", "/customers/{id}/log", "/subscriptions/{id}/log", "/events", "/events/{id}", "/event-types", "/events/stream", "/events/{id}/undo",
		"/checkpoint", "/checkpoints", "/proofs/inclusion", "/proofs/consistency", "/events/{id}/receipt", "/log-key"} {
		if doc.Paths[path] == nil {
			t.Errorf("%s is missing", path)
		}
	}
}

// What generators of clients need of the document: see internal/test/generators, which runs some.
func TestDocumentIsForGenerators(t *testing.T) {
	var doc map[string]any
	must(t, json.Unmarshal(api.Document("test"), &doc))
	declared := map[any]bool{}
	for _, tag := range doc["tags"].([]any) {
		declared[tag.(map[string]any)["name"]] = true
	}
	for path, item := range doc["paths"].(map[string]any) {
		for method, op := range item.(map[string]any) {
			op := op.(map[string]any)
			at := method + " " + path
			if id := op["operationId"].(string); !regexp.MustCompile(`^[a-z]+([A-Z][A-Za-z]*)+$`).MatchString(id) {
				t.Errorf("%s: %q does not read as the name of a function", at, id)
			}
			for _, tag := range op["tags"].([]any) {
				if !declared[tag] {
					t.Errorf("%s: the tag %v is not declared", at, tag)
				}
			}
			for status, r := range op["responses"].(map[string]any) {
				r := r.(map[string]any)
				if content, ok := r["content"].(map[string]any); ok && len(content) != 1 {
					t.Errorf("%s: %s has %d media types", at, status, len(content))
				}
				if headers, _ := r["headers"].(map[string]any); headers["Content-Type"] != nil {
					t.Errorf("%s: %s has Content-Type among its headers", at, status)
				}
			}
		}
	}
	var schemas func(at string, v any)
	schemas = func(at string, v any) {
		switch v := v.(type) {
		case []any:
			for i, one := range v {
				schemas(fmt.Sprint(at, "/", i), one)
			}
		case map[string]any:
			// Permissions that are null are the team's defaults: another meaning than none.
			if types, _ := v["type"].([]any); slices.Contains(types, "array") && !strings.HasSuffix(at, "/permissions") {
				t.Errorf("%s: a list may be null", at)
			}
			branches, _ := v["oneOf"].([]any)
			objects, nulls := 0, 0
			for _, branch := range branches {
				switch b := branch.(map[string]any); {
				case b["type"] == "object" || b["$ref"] != nil:
					objects++
				case b["type"] == "null":
					nulls++
				}
			}
			if objects > 1 || nulls > 0 && len(branches) > 2 {
				t.Errorf("%s: a generator cannot tell the branches apart", at)
			}
			for name, one := range v {
				schemas(at+"/"+name, one)
			}
		}
	}
	schemas("", doc["components"])
}

// The page has nothing inline, and all its links lead somewhere.
func TestPageAboutTheAPI(t *testing.T) {
	s := openShop(t)
	res, page := s.get("/api/docs")
	if mediaType(res.Header) != "text/html" {
		t.Errorf("content type: %s", mediaType(res.Header))
	}
	for _, inline := range []string{"<script", "style=", "<style", "http://", "https://", " on"} {
		if inline == " on" {
			if regexp.MustCompile(`\son[a-z]+=`).MatchString(page) {
				t.Error("the page has an inline handler")
			}
			continue
		}
		if strings.Contains(page, inline) {
			t.Errorf("the page has %q in it", inline)
		}
	}
	ids := map[string]bool{}
	for _, m := range regexp.MustCompile(`\sid="([^"]+)"`).FindAllStringSubmatch(page, -1) {
		if ids[m[1]] {
			t.Errorf("the id %s is there twice", m[1])
		}
		ids[m[1]] = true
	}
	for _, m := range regexp.MustCompile(`href="#([^"]+)"`).FindAllStringSubmatch(page, -1) {
		if !ids[m[1]] {
			t.Errorf("nothing is at #%s", m[1])
		}
	}
	if res, css := s.get("/api/docs.css"); mediaType(res.Header) != "text/css" || !strings.Contains(css, "light-dark(") {
		t.Errorf("the style: %s", mediaType(res.Header))
	}
}
