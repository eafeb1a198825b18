package journal

import (
	"bytes"
	"fmt"
	"reflect"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"
)

// Split gives a state as a row keeps it: doc holds the fields that are not personal (and those that were erased), and
// personal, a JSON object of canonical values, is what gets sealed; nil when there is nothing to seal. Both are the same bytes
// for the same state.
func Split(s State) (doc, personal []byte, err error) {
	v := reflect.ValueOf(s).Elem()
	doc = append(make([]byte, 0, 1024), '{')
	for _, f := range layout(v.Type()) {
		fv := v.Field(f.index)
		j, err := canonical(fv)
		if err != nil {
			return nil, nil, err
		}
		if f.personal && !bytes.Equal(j, []byte(ErasedJSON)) {
			if !emptyJSON(j) {
				personal = appendMember(personal, f.name, j)
			}
			continue
		}
		if j == nil {
			j = jsontext.Value("null")
		}
		doc = appendMember(doc, f.name, j)
	}
	if personal != nil {
		personal = append(personal, '}')
	}
	return append(doc, '}'), personal, nil
}

func appendMember(b []byte, name string, j jsontext.Value) []byte {
	switch {
	case len(b) == 0:
		b = append(b, '{')
	case b[len(b)-1] != '{':
		b = append(b, ',')
	}
	b = append(b, '"')
	b = append(b, name...)
	b = append(b, '"', ':')
	return append(b, j...)
}

// Join makes a state of what Split gave. A nil personal with sealed true is a box whose key was destroyed: every
// personal field that doc does not hold reads as erased.
func Join(fresh State, doc, personal []byte, sealed bool) (State, error) {
	if sealed && personal == nil {
		Erase(fresh)
	}
	if err := json.Unmarshal(doc, fresh); err != nil {
		return nil, fmt.Errorf("journal: row of %T: %w", fresh, err)
	}
	if personal != nil {
		if err := json.Unmarshal(personal, fresh); err != nil {
			return nil, fmt.Errorf("journal: personal fields of %T: %w", fresh, err)
		}
	}
	return fresh, nil
}
