package journal

import (
	"bytes"
	"cmp"
	"encoding"
	"fmt"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"sync"
	"unicode/utf8"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"

	"perennial/internal/money"
)

// field is how one top-level field of a state, or one field of a list's element, is compared and set.
type field struct {
	name     string
	index    int
	personal bool
	key      int     // of a keyed list: the element's key field, else -1
	elem     []field // of a keyed list: the element's fields
}

// layouts caches the fields of state types, as encoding/json caches encoders: it depends on types only.
var layouts sync.Map // reflect.Type -> []field

func layout(t reflect.Type) []field {
	if l, ok := layouts.Load(t); ok {
		return l.([]field)
	}
	l := makeLayout(t)
	layouts.Store(t, l)
	return l
}

func makeLayout(t reflect.Type) []field {
	var out []field
	for i := range t.NumField() {
		f := t.Field(i)
		name, _, _ := strings.Cut(f.Tag.Get("json"), ",")
		if !f.IsExported() || name == "" || name == "-" {
			continue
		}
		fl := field{name: name, index: i, key: -1}
		_, fl.personal = reflect.Zero(f.Type).Interface().(isPersonal)
		if key, ok := strings.CutPrefix(f.Tag.Get("journal"), "key="); ok {
			fl.elem = makeLayout(f.Type.Elem())
			for _, e := range fl.elem {
				if e.name == key {
					fl.key = e.index
				}
			}
			if fl.key < 0 {
				panic(fmt.Sprintf("journal: %s.%s is keyed by %q, which its elements do not have", t, f.Name, key))
			}
		}
		out = append(out, fl)
	}
	return out
}

// Fields lists the names of a state's fields, and which of them are personal.
func Fields(s State) (names []string, personal map[string]bool) {
	personal = map[string]bool{}
	for _, f := range layout(reflect.TypeOf(s).Elem()) {
		names = append(names, f.name)
		if f.personal {
			personal[f.name] = true
		}
	}
	return names, personal
}

// Diff gives what changed between two states of one row, in the order of the struct's fields. before may be nil: a
// new row, whose every field with a value is a change from null.
func Diff(before, after State) ([]Change, error) {
	av := reflect.ValueOf(after).Elem()
	var bv reflect.Value
	if before != nil {
		bv = reflect.ValueOf(before).Elem()
		if bv.Type() != av.Type() {
			return nil, fmt.Errorf("journal: diff of %s and %s", bv.Type(), av.Type())
		}
	}
	return diffStruct(nil, "", layout(av.Type()), bv, av)
}

func diffStruct(out []Change, prefix string, fields []field, bv, av reflect.Value) ([]Change, error) {
	for _, f := range fields {
		a := av.Field(f.index)
		var b reflect.Value
		if bv.IsValid() {
			b = bv.Field(f.index)
			if same, sure := sameScalar(b, a); same || (!sure && reflect.DeepEqual(b.Interface(), a.Interface())) {
				continue
			}
		}
		if f.key >= 0 {
			var err error
			if out, err = diffList(out, prefix+f.name, f, b, a); err != nil {
				return nil, err
			}
			continue
		}
		aj, err := canonical(a)
		if err != nil {
			return nil, err
		}
		var bj jsontext.Value
		if b.IsValid() {
			if bj, err = canonical(b); err != nil {
				return nil, err
			}
			if bytes.Equal(aj, bj) {
				continue
			}
		} else if a.Kind() != reflect.Pointer && emptyJSON(aj) || aj == nil {
			continue
		}
		out = append(out, Change{Field: prefix + f.name, Before: nullable(bj), After: nullable(aj), Personal: f.personal})
	}
	return out, nil
}

func diffList(out []Change, name string, f field, b, a reflect.Value) ([]Change, error) {
	seen := map[string]bool{}
	old := map[string]reflect.Value{}
	if b.IsValid() {
		for i := range b.Len() {
			old[b.Index(i).Field(f.key).String()] = b.Index(i)
		}
	}
	for i := range a.Len() {
		key := a.Index(i).Field(f.key).String()
		seen[key] = true
		if was, ok := old[key]; ok {
			var err error
			if out, err = diffStruct(out, name+"."+key+".", f.elem, was, a.Index(i)); err != nil {
				return nil, err
			}
			continue
		}
		j, err := canonical(a.Index(i))
		if err != nil {
			return nil, err
		}
		out = append(out, Change{Field: name + "." + key, After: j})
	}
	if b.IsValid() {
		for i := range b.Len() {
			key := b.Index(i).Field(f.key).String()
			if seen[key] {
				continue
			}
			j, err := canonical(b.Index(i))
			if err != nil {
				return nil, err
			}
			out = append(out, Change{Field: name + "." + key, Before: j})
		}
	}
	return out, nil
}

// sameScalar compares the cheap kinds without encoding them.
func sameScalar(b, a reflect.Value) (same, sure bool) {
	switch a.Kind() {
	case reflect.String:
		return a.String() == b.String(), true
	case reflect.Bool:
		return a.Bool() == b.Bool(), true
	case reflect.Int, reflect.Int64, reflect.Int32:
		return a.Int() == b.Int(), true
	case reflect.Pointer:
		if a.IsNil() && b.IsNil() {
			return true, true
		}
		if a.Pointer() == b.Pointer() {
			return true, true
		}
	case reflect.Slice, reflect.Map:
		if a.Len() == 0 && b.Len() == 0 {
			return true, true
		}
	case reflect.Struct:
		if a.CanAddr() && b.CanAddr() {
			switch x := a.Addr().Interface().(type) {
			case *Time:
				return x.Equal(b.Addr().Interface().(*Time).Time), false
			case *Personal[string]:
				return *x == *b.Addr().Interface().(*Personal[string]), true
			case *money.Amount:
				return *x == *b.Addr().Interface().(*money.Amount), true
			}
		}
		if a.Comparable() && b.Comparable() && a.Equal(b) {
			return true, true
		}
	}
	return false, false
}

// canonical is Canonical for a field; nil for one that is null.
func canonical(v reflect.Value) (jsontext.Value, error) {
	switch v.Kind() {
	case reflect.Pointer, reflect.Interface:
		if v.IsNil() {
			return nil, nil
		}
	}
	if j, ok := appendPlain(make([]byte, 0, 48), v, full); ok {
		return j, nil
	}
	return general(v.Interface())
}

// Canonical encodes a value as RFC 8785 JSON. It refuses a whole number that the form cannot hold exactly, which can
// only be one beyond 2^53.
func Canonical(v any) (jsontext.Value, error) {
	if rv := reflect.ValueOf(v); rv.IsValid() {
		if j, ok := appendPlain(make([]byte, 0, 64), rv, full); ok {
			return j, nil
		}
	}
	return general(v)
}

// general is Canonical for whatever json can encode.
func general(v any) (jsontext.Value, error) {
	b, err := json.Marshal(v, json.Deterministic(true))
	if err != nil {
		return nil, fmt.Errorf("journal: encode %T: %w", v, err)
	}
	if n := inexact(b); n != "" {
		return nil, fmt.Errorf("journal: encode %T: the number %s cannot be kept exactly", v, n)
	}
	j := jsontext.Value(b)
	if err := j.Canonicalize(); err != nil {
		return nil, fmt.Errorf("journal: encode %T: %w", v, err)
	}
	return j, nil
}

// inexact finds a whole number in valid JSON that Canonicalize would round, which it does without a word. A number with
// a point or an exponent is a double by its nature.
func inexact(b []byte) string {
	const digits = 16 // of 2^53, up to which all are exact
	for i := 0; i < len(b); i++ {
		switch c := b[i]; {
		case c == '"':
			for i++; b[i] != '"'; i++ {
				if b[i] == '\\' {
					i++
				}
			}
		case c == '-' || '0' <= c && c <= '9':
			start := i
			for i < len(b) && strings.IndexByte("+-.0123456789eE", b[i]) >= 0 {
				i++
			}
			number := string(b[start:i])
			i--
			if len(number) < digits || strings.ContainsAny(number, ".eE") {
				continue
			}
			if f, err := strconv.ParseFloat(number, 64); err != nil || strconv.FormatFloat(f, 'f', -1, 64) != number {
				return number
			}
		}
	}
	return ""
}

func nullable(j jsontext.Value) jsontext.Value {
	if j == nil || string(j) == "null" {
		return nil
	}
	return j
}

func emptyJSON(j jsontext.Value) bool {
	switch string(j) {
	case "", "null", `""`, "0", "false", "[]", "{}":
		return true
	}
	return false
}

// Apply gives the state after the changes. before is not modified; fresh makes an empty state for a target's first
// event and is used when before is nil. This is the only way in which a state ever comes about: live, in replay, in
// time travel and in verification.
func Apply(before State, fresh func() State, changes []Change) (State, error) {
	next := fresh()
	nv := reflect.ValueOf(next).Elem()
	if before != nil {
		nv.Set(reflect.ValueOf(before).Elem())
	}
	fields := layout(nv.Type())
	var touched []field
	for _, c := range changes {
		root := c.Root()
		i := slices.IndexFunc(fields, func(f field) bool { return f.name == root })
		if i < 0 {
			return nil, fmt.Errorf("journal: %s has no field %q", nv.Type(), root)
		}
		f := fields[i]
		dst := nv.Field(f.index)
		if f.key < 0 {
			if err := set(dst, c.After); err != nil {
				return nil, fmt.Errorf("journal: field %s: %w", c.Field, err)
			}
			continue
		}
		if !slices.ContainsFunc(touched, func(t field) bool { return t.index == f.index }) {
			touched = append(touched, f)
			dst.Set(copySlice(dst))
		}
		if err := setElement(dst, f, c); err != nil {
			return nil, err
		}
	}
	for _, f := range touched {
		list := nv.Field(f.index)
		sortByKey(list, f.key)
	}
	return next, nil
}

func setElement(list reflect.Value, f field, c Change) error {
	rest := c.Field[len(f.name)+1:]
	key, sub, deep := strings.Cut(rest, ".")
	at := -1
	for i := range list.Len() {
		if list.Index(i).Field(f.key).String() == key {
			at = i
		}
	}
	switch {
	case deep && at >= 0:
		i := slices.IndexFunc(f.elem, func(e field) bool { return e.name == sub })
		if i < 0 {
			return fmt.Errorf("journal: an element of %s has no field %q", f.name, sub)
		}
		return set(list.Index(at).Field(f.elem[i].index), c.After)
	case deep:
		return fmt.Errorf("journal: %s has no element %q", f.name, key)
	case c.After == nil && at >= 0:
		list.Set(reflect.AppendSlice(list.Slice(0, at), list.Slice(at+1, list.Len())))
		return nil
	case c.After == nil:
		return fmt.Errorf("journal: %s has no element %q to remove", f.name, key)
	case at >= 0:
		return set(list.Index(at), c.After)
	default:
		e := reflect.New(list.Type().Elem()).Elem()
		if err := set(e, c.After); err != nil {
			return fmt.Errorf("journal: field %s: %w", c.Field, err)
		}
		list.Set(reflect.Append(list, e))
		return nil
	}
}

func copySlice(v reflect.Value) reflect.Value {
	c := reflect.MakeSlice(v.Type(), v.Len(), v.Len()+1)
	reflect.Copy(c, v)
	return c
}

func sortByKey(list reflect.Value, key int) {
	sorted := make([]reflect.Value, list.Len())
	for i := range sorted {
		e := reflect.New(list.Type().Elem()).Elem()
		e.Set(list.Index(i))
		sorted[i] = e
	}
	slices.SortStableFunc(sorted, func(x, y reflect.Value) int {
		return cmp.Compare(x.Field(key).String(), y.Field(key).String())
	})
	for i, e := range sorted {
		list.Index(i).Set(e)
	}
}

func set(dst reflect.Value, j jsontext.Value) error {
	dst.SetZero()
	if j == nil || setPlain(dst, j) {
		return nil
	}
	return json.Unmarshal(j, dst.Addr().Interface())
}

// setPlain sets the plainest values, which most are, without a decoder: strings without escapes, whole numbers, booleans,
// personal texts, times and money. It says whether it did.
func setPlain(dst reflect.Value, j jsontext.Value) bool {
	p := &parser{b: j}
	if !utf8.Valid(j) {
		return false
	}
	switch x := dst.Addr().Interface().(type) {
	case *Personal[string]:
		v := p.text()
		if p.done() {
			x.Value = v
		}
		return p.done()
	case *money.Amount:
		var a money.Amount
		p.object(func(name []byte) {
			switch string(name) {
			case "amount":
				a.Minor = p.number()
			case "currency":
				a.Currency = p.text()
			default:
				p.fail = true
			}
		})
		if p.done() {
			*x = a
		}
		return p.done()
	case json.Unmarshaler, json.UnmarshalerFrom, encoding.TextUnmarshaler:
		return false
	}
	switch dst.Kind() {
	case reflect.String:
		v := p.text()
		if p.done() {
			dst.SetString(v)
		}
	case reflect.Int, reflect.Int64:
		n := p.number()
		if p.done() {
			dst.SetInt(n)
		}
	case reflect.Bool:
		v := string(j) == "true"
		if !v && string(j) != "false" {
			return false
		}
		dst.SetBool(v)
		return true
	default:
		return false
	}
	return p.done()
}

// Clone gives a deep copy of a state, for a rule to change.
func Clone[T any](s *T) *T {
	c := new(T)
	reflect.ValueOf(c).Elem().Set(clone(reflect.ValueOf(s).Elem()))
	return c
}

func clone(v reflect.Value) reflect.Value {
	switch v.Kind() {
	case reflect.Struct:
		c := reflect.New(v.Type()).Elem()
		c.Set(v)
		for _, i := range referring(v.Type()) {
			c.Field(i).Set(clone(v.Field(i)))
		}
		return c
	case reflect.Slice:
		if v.IsNil() {
			return v
		}
		c := reflect.MakeSlice(v.Type(), v.Len(), v.Len())
		if !holdsReferences(v.Type().Elem()) {
			reflect.Copy(c, v)
			return c
		}
		for i := range v.Len() {
			c.Index(i).Set(clone(v.Index(i)))
		}
		return c
	case reflect.Map:
		if v.IsNil() {
			return v
		}
		c := reflect.MakeMapWithSize(v.Type(), v.Len())
		for k, e := range v.Seq2() {
			c.SetMapIndex(k, clone(e))
		}
		return c
	case reflect.Pointer:
		if v.IsNil() {
			return v
		}
		c := reflect.New(v.Type().Elem())
		c.Elem().Set(clone(v.Elem()))
		return c
	}
	return v
}

// references caches which exported fields of a struct hold references: it depends on types only.
var references sync.Map // reflect.Type -> []int

func referring(t reflect.Type) []int {
	if known, ok := references.Load(t); ok {
		return known.([]int)
	}
	var out []int
	for i := range t.NumField() {
		if f := t.Field(i); f.IsExported() && holdsReferences(f.Type) {
			out = append(out, i)
		}
	}
	references.Store(t, out)
	return out
}

func holdsReferences(t reflect.Type) bool {
	switch t.Kind() {
	case reflect.Struct:
		return len(referring(t)) > 0
	case reflect.Slice, reflect.Map, reflect.Pointer:
		return true
	}
	return false
}

// Erase sets every personal field of a state to Erased: what a redaction does to a row.
func Erase(s State) {
	v := reflect.ValueOf(s).Elem()
	for _, f := range layout(v.Type()) {
		if f.personal {
			v.Field(f.index).Addr().Interface().(eraser).erase()
		}
	}
}

// Fold applies the changes of one target's events, oldest first, and gives the state that they come to.
func Fold(fresh func() State, events []*Event) (State, error) {
	var s State
	for _, e := range events {
		next, err := Apply(s, fresh, e.Changes)
		if err != nil {
			return nil, fmt.Errorf("event %s: %w", e.ID, err)
		}
		s = next
	}
	return s, nil
}

// Inverse gives the changes that put back what these changed, in reverse order.
func Inverse(changes []Change) []Change {
	out := make([]Change, 0, len(changes))
	for _, c := range slices.Backward(changes) {
		out = append(out, Change{Field: c.Field, Before: c.After, After: c.Before, Personal: c.Personal})
	}
	return out
}

// detailsOf gives the members of a details struct in order of name. A field tagged with omitzero is left out when it
// is zero.
func detailsOf(v any) ([]Detail, error) {
	rv := reflect.Indirect(reflect.ValueOf(v))
	if rv.Kind() != reflect.Struct {
		return nil, fmt.Errorf("journal: details of type %T", v)
	}
	var out []Detail
	for _, f := range layout(rv.Type()) {
		fv := rv.Field(f.index)
		if fv.IsZero() && strings.Contains(rv.Type().Field(f.index).Tag.Get("json"), ",omitzero") {
			continue
		}
		j, err := canonical(fv)
		if err != nil {
			return nil, err
		}
		if j == nil {
			j = jsontext.Value("null")
		}
		out = append(out, Detail{Name: f.name, Value: j, Personal: f.personal})
	}
	slices.SortFunc(out, func(a, b Detail) int { return cmp.Compare(a.Name, b.Name) })
	return out, nil
}

// Value gives a state's value of a field as changes name it: "status", "items.item_x", "items.item_x.quantity"; nil for
// null and for an element that is not there.
func Value(s State, name string) (jsontext.Value, error) {
	v := reflect.ValueOf(s).Elem()
	root, rest, deep := strings.Cut(name, ".")
	fields := layout(v.Type())
	i := slices.IndexFunc(fields, func(f field) bool { return f.name == root })
	if i < 0 {
		return nil, fmt.Errorf("journal: %s has no field %q", v.Type(), root)
	}
	f := fields[i]
	fv := v.Field(f.index)
	if !deep {
		j, err := canonical(fv)
		return nullable(j), err
	}
	if f.key < 0 {
		return nil, fmt.Errorf("journal: %s is not a list of things", root)
	}
	key, sub, inside := strings.Cut(rest, ".")
	for n := range fv.Len() {
		e := fv.Index(n)
		if e.Field(f.key).String() != key {
			continue
		}
		if !inside {
			j, err := canonical(e)
			return nullable(j), err
		}
		k := slices.IndexFunc(f.elem, func(x field) bool { return x.name == sub })
		if k < 0 {
			return nil, fmt.Errorf("journal: an element of %s has no field %q", root, sub)
		}
		j, err := canonical(e.Field(f.elem[k].index))
		return nullable(j), err
	}
	return nil, nil
}
