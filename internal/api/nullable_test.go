package api

import (
	"encoding/json"
	"testing"

	"github.com/danielgtaylor/huma/v2"
	"github.com/google/go-cmp/cmp"
)

func TestNullableKnowsWhetherItWasGiven(t *testing.T) {
	for body, want := range map[string]Nullable[int]{
		`{}`: {}, `{"n":null}`: {Given: true}, `{"n": null }`: {Given: true}, `{"n":3}`: {Given: true, Value: new(3)},
	} {
		var got struct {
			N Nullable[int] `json:"n,omitzero"`
		}
		if err := json.Unmarshal([]byte(body), &got); err != nil || !cmp.Equal(got.N, want) {
			t.Errorf("%s: got %+v, %v, want %+v", body, got.N, err, want)
		}
	}
	var n Nullable[int]
	if err := json.Unmarshal([]byte(`"3"`), &n); err == nil {
		t.Error("a text was taken for a number")
	}
}

func TestNullableSchemaIsThatOfItsValueOrNull(t *testing.T) {
	r := huma.NewMapRegistry("#/", huma.DefaultSchemaNamer)
	for name, s := range map[string]*huma.Schema{"integer": Nullable[int]{}.Schema(r), "array": Nullable[[]string]{}.Schema(r), "object": Nullable[policyBody]{}.Schema(r)} {
		if s.Type != name || !s.Nullable || s.Ref != "" {
			t.Errorf("%s: got %+v", name, s)
		}
	}
	for _, s := range r.Map() {
		if s.Nullable {
			t.Error("the type's own schema became nullable")
		}
	}
}
