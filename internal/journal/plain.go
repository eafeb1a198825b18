package journal

import (
	"encoding"
	"encoding/base64"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"sync"
	"unicode/utf8"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"

	"perennial/internal/civil"
	"perennial/internal/money"
)

// Values of states are written canonically without an encoder where their types are plain: structs of strings, whole
// numbers, booleans and the small types that brief knows, and lists of those. TestCanonicalShortcuts holds what comes out to
// the encoder and RFC 8785.

// fullness says whether empty fields within a value are written.
type fullness int

const (
	full   fullness = iota // every field, as events have them
	sparse                 // none that is zero, as documents of rows have them
)

// plainField is one member of a plain struct.
type plainField struct {
	name     string // quoted, with a colon
	index    int
	omitZero bool
}

// plainStructs caches the members of structs in the order of their names, nil for a struct that is not plain: it depends on
// types only.
var plainStructs sync.Map // reflect.Type -> []plainField

func plainStruct(t reflect.Type) []plainField {
	if known, ok := plainStructs.Load(t); ok {
		return known.([]plainField)
	}
	fields := makePlainStruct(t)
	plainStructs.Store(t, fields)
	return fields
}

func makePlainStruct(t reflect.Type) []plainField {
	if encodesItself(t) {
		return nil
	}
	var fields []plainField
	for i := range t.NumField() {
		f := t.Field(i)
		name, options, _ := strings.Cut(f.Tag.Get("json"), ",")
		if !f.IsExported() || f.Anonymous || options != "" && options != "omitzero" || name == "" || name == "-" || strings.ContainsFunc(name, unquotable) {
			return nil
		}
		if _, ok := reflect.Zero(f.Type).Interface().(interface{ IsZero() bool }); ok && options == "omitzero" {
			return nil // it has a zero of its own
		}
		fields = append(fields, plainField{`"` + name + `":`, i, options == "omitzero"})
	}
	slices.SortFunc(fields, func(x, y plainField) int { return strings.Compare(x.name[1:len(x.name)-2], y.name[1:len(y.name)-2]) })
	return fields
}

func unquotable(r rune) bool {
	return r < ' ' || r == '"' || r == '\\' || r == '\'' || r >= utf8.RuneSelf
}

func encodesItself(t reflect.Type) bool {
	for _, i := range []reflect.Type{reflect.TypeFor[json.Marshaler](), reflect.TypeFor[json.MarshalerTo](), reflect.TypeFor[encoding.TextMarshaler](), reflect.TypeFor[encoding.TextAppender]()} {
		if t.Implements(i) || reflect.PointerTo(t).Implements(i) {
			return true
		}
	}
	return false
}

// appendPlain appends the canonical form of a value; false when it, or something in it, is not plain. What it has appended by
// then is of no use.
func appendPlain(b []byte, v reflect.Value, how fullness) ([]byte, bool) {
	if v.Kind() == reflect.Pointer && v.IsNil() {
		return append(b, "null"...), true
	}
	if v.CanInterface() {
		if j, ok := appendBrief(b, v.Interface()); ok {
			return j, true
		}
	}
	if encodes, known := selfEncoding.Load(v.Type()); known && encodes.(bool) {
		return b, false
	} else if !known {
		itself := encodesItself(v.Type())
		selfEncoding.Store(v.Type(), itself)
		if itself {
			return b, false
		}
	}
	switch v.Kind() {
	case reflect.String:
		b, err := jsontext.AppendQuote(b, v.String())
		return b, err == nil
	case reflect.Bool:
		return strconv.AppendBool(b, v.Bool()), true
	case reflect.Int, reflect.Int64, reflect.Int32:
		n := v.Int()
		return strconv.AppendInt(b, n, 10), -1<<53 < n && n < 1<<53
	case reflect.Pointer:
		return appendPlain(b, v.Elem(), how)
	case reflect.Slice:
		if v.Type().Elem().Kind() == reflect.Uint8 {
			return append(base64.StdEncoding.AppendEncode(append(b, '"'), v.Bytes()), '"'), true
		}
		b = append(b, '[')
		for i := range v.Len() {
			if i > 0 {
				b = append(b, ',')
			}
			var ok bool
			if b, ok = appendPlain(b, v.Index(i), how); !ok {
				return b, false
			}
		}
		return append(b, ']'), true
	case reflect.Struct:
		fields := plainStruct(v.Type())
		if fields == nil {
			return b, false
		}
		b = append(b, '{')
		for _, f := range fields {
			fv := v.Field(f.index)
			if how == sparse && vacant(fv) || f.omitZero && fv.IsZero() {
				continue
			}
			if b[len(b)-1] != '{' {
				b = append(b, ',')
			}
			var ok bool
			if b, ok = appendPlain(append(b, f.name...), fv, how); !ok {
				return b, false
			}
		}
		return append(b, '}'), true
	}
	return b, false
}

// selfEncoding caches which types encode themselves: it depends on types only.
var selfEncoding sync.Map // reflect.Type -> bool

// vacant says that a value holds nothing, and can do without being written. A list that is empty is still one.
func vacant(v reflect.Value) bool {
	return v.Kind() != reflect.Slice && v.Kind() != reflect.Map && v.IsZero()
}

// appendBrief appends the small types that states are full of; false for all others and for what they refuse.
func appendBrief(b []byte, x any) ([]byte, bool) {
	switch x := x.(type) {
	case string:
		b, err := jsontext.AppendQuote(b, x)
		return b, err == nil
	case Time:
		j, err := x.MarshalJSON()
		return append(b, j...), err == nil
	case *civil.Date:
		return appendDate(b, x)
	case civil.Date:
		return appendDate(b, &x)
	case Personal[string]:
		if x.Erased {
			return append(b, ErasedJSON...), true
		}
		b, err := jsontext.AppendQuote(b, x.Value)
		return b, err == nil
	case money.Amount:
		if x.Minor <= -1<<53 || x.Minor >= 1<<53 {
			return b, false
		}
		b = strconv.AppendInt(append(b, `{"amount":`...), x.Minor, 10)
		b, err := jsontext.AppendQuote(append(b, `,"currency":`...), x.Currency)
		return append(b, '}'), err == nil
	}
	return b, false
}

func appendDate(b []byte, d *civil.Date) ([]byte, bool) {
	text, err := d.MarshalText()
	return append(append(append(b, '"'), text...), '"'), err == nil
}
