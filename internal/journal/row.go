package journal

import (
	"bytes"
	"fmt"
	"reflect"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"
)

// Split gives a state as a row keeps it: doc holds the fields that are not personal (and those that were erased) as far as
// they are not empty, and personal, a JSON object of canonical values, is what gets sealed; nil when there is nothing to seal. Both
// are the same bytes for the same state.
func Split(s State) (doc, personal []byte, err error) {
	v := reflect.ValueOf(s).Elem()
	doc = append(make([]byte, 0, 1024), '{')
	for _, f := range layout(v.Type()) {
		fv := v.Field(f.index)
		if vacant(fv) || (fv.Kind() == reflect.Slice || fv.Kind() == reflect.Map) && fv.Len() == 0 {
			continue
		}
		if f.personal {
			j, err := canonical(fv)
			switch {
			case err != nil:
				return nil, nil, err
			case bytes.Equal(j, []byte(ErasedJSON)):
				doc = appendMember(doc, f.name, j)
			case !emptyJSON(j):
				personal = appendMember(personal, f.name, j)
			}
			continue
		}
		before := len(doc)
		doc = appendMember(doc, f.name, nil)
		at := len(doc)
		var ok bool
		if doc, ok = appendPlain(doc, fv, sparse); ok {
			continue
		}
		j, err := canonical(fv)
		if err != nil {
			return nil, nil, err
		}
		if j == nil {
			doc = doc[:before]
			continue
		}
		doc = append(doc[:at], j...)
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
	v := reflect.ValueOf(fresh).Elem()
	for _, f := range layout(v.Type()) {
		switch fv := v.Field(f.index); fv.Kind() { // an empty list, which doc leaves out, is still a list
		case reflect.Slice:
			if fv.IsNil() {
				fv.Set(reflect.MakeSlice(fv.Type(), 0, 0))
			}
		case reflect.Map:
			if fv.IsNil() {
				fv.Set(reflect.MakeMap(fv.Type()))
			}
		}
	}
	if personal != nil {
		if err := json.Unmarshal(personal, fresh); err != nil {
			return nil, fmt.Errorf("journal: personal fields of %T: %w", fresh, err)
		}
	}
	return fresh, nil
}
