package main

import (
	"bytes"
	"encoding/base64"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"text/template"
	"time"
)

// templateOperations are answered by text/template and fmt.
var templateOperations = map[string]operation{
	"template":      typed(executeTemplate),
	"template.time": typed(timeTemplate),
	"go.printf": typed(func(r struct {
		Format []byte      `json:"format"`
		Args   []typedData `json:"args"`
	}) (any, error) {
		args := make([]any, len(r.Args))
		for i, arg := range r.Args {
			args[i] = arg.value()
		}
		return []byte(fmt.Sprintf(string(r.Format), args...)), nil
	}),
}

// typedData is a Go value with its type; Text is base64 for strings, which need not be UTF-8.
type typedData struct {
	Type  string               `json:"t"`
	Text  string               `json:"v"`
	Items []typedData          `json:"l"`
	Map   map[string]typedData `json:"m"`
}

// thing has fields and methods of its own and of its pointer.
type thing struct {
	Name   string
	Count  int
	Any    any
	Map    map[string]any
	hidden int
}

func (t thing) Hello() string                    { return "hello " + t.Name }
func (t thing) Nothing() any                     { return nil }
func (t *thing) Greet(who string) string         { return t.Name + " greets " + who }
func (t thing) Sum(first int, rest ...int) int   { return len(rest) + first + t.Count }
func (t thing) Fail(text string) (string, error) { return "", errors.New(text) }

// spoken prints itself.
type spoken struct{ Word string }

func (s spoken) String() string { return "«" + s.Word + "»" }

// table is a map with methods.
type table map[string]any

func (t table) Size() int           { return len(t) }
func (t table) Pick(key string) any { return t[key] }

func unquoted(text string) string {
	raw, err := base64.StdEncoding.DecodeString(text)
	if err != nil {
		panic(err)
	}
	return string(raw)
}

func integer[T int | int8 | int16 | int32 | int64](text string) T {
	n, err := strconv.ParseInt(text, 10, 64)
	if err != nil {
		panic(err)
	}
	return T(n)
}

func unsigned[T uint | uint8 | uint16 | uint32 | uint64](text string) T {
	n, err := strconv.ParseUint(text, 10, 64)
	if err != nil {
		panic(err)
	}
	return T(n)
}

func float(text string) float64 {
	f, err := strconv.ParseFloat(text, 64)
	if err != nil {
		panic(err)
	}
	return f
}

func slice[T any](items []typedData) []T {
	out := make([]T, len(items))
	for i, item := range items {
		if v := item.value(); v != nil {
			out[i] = v.(T)
		}
	}
	return out
}

func entries[K comparable, T any](items map[string]typedData, key func(string) K) map[K]T {
	out := make(map[K]T, len(items))
	for name, item := range items {
		var value T
		if v := item.value(); v != nil {
			value = v.(T)
		}
		out[key(name)] = value
	}
	return out
}

func (d typedData) value() any {
	text := func(s string) string { return s }
	switch d.Type {
	case "nil":
		return nil
	case "bool":
		return d.Text == "true"
	case "int":
		return integer[int](d.Text)
	case "int8":
		return integer[int8](d.Text)
	case "int16":
		return integer[int16](d.Text)
	case "int32":
		return integer[int32](d.Text)
	case "int64":
		return integer[int64](d.Text)
	case "uint":
		return unsigned[uint](d.Text)
	case "uint8":
		return unsigned[uint8](d.Text)
	case "uint16":
		return unsigned[uint16](d.Text)
	case "uint32":
		return unsigned[uint32](d.Text)
	case "uint64":
		return unsigned[uint64](d.Text)
	case "float64":
		return float(d.Text)
	case "float32":
		return float32(float(d.Text))
	case "complex128":
		return complex(float(d.Items[0].Text), float(d.Items[1].Text))
	case "string":
		return unquoted(d.Text)
	case "[]byte":
		return []byte(unquoted(d.Text))
	case "[]any":
		return slice[any](d.Items)
	case "[]string":
		return slice[string](d.Items)
	case "[]int":
		return slice[int](d.Items)
	case "[]float64":
		return slice[float64](d.Items)
	case "[][]any":
		return slice[[]any](d.Items)
	case "map[string]any":
		return entries[string, any](d.Map, text)
	case "map[string]string":
		return entries[string, string](d.Map, text)
	case "map[string]int":
		return entries[string, int](d.Map, text)
	case "map[int]any":
		return entries[int, any](d.Map, integer[int])
	case "map[bool]string":
		return entries[bool, string](d.Map, func(s string) bool { return s == "true" })
	case "table":
		return table(entries[string, any](d.Map, text))
	case "nil map":
		return map[string]any(nil)
	case "nil slice":
		return []any(nil)
	case "nil thing":
		return (*thing)(nil)
	case "duration":
		return integer64Duration(d.Text)
	case "month":
		return time.Month(integer[int](d.Text))
	case "spoken":
		return spoken{unquoted(d.Text)}
	case "error":
		return errors.New(unquoted(d.Text))
	case "thing":
		return d.thing()
	case "*thing":
		t := d.thing()
		return &t
	default:
		panic("unknown type " + d.Type)
	}
}

func integer64Duration(text string) time.Duration { return time.Duration(integer[int64](text)) }

func (d typedData) thing() thing {
	t := thing{Name: unquoted(d.Text), Count: len(d.Items), hidden: 7}
	if len(d.Items) > 0 {
		t.Any = d.Items[0].value()
	}
	if d.Map != nil {
		t.Map = entries[string, any](d.Map, func(s string) string { return s })
	}
	return t
}

// templateFunctions ask for arguments of each kind of type.
func templateFunctions(root *template.Template) template.FuncMap {
	return template.FuncMap{
		"wantString":   func(s string) string { return "<" + s + ">" },
		"wantInt":      func(i int) int { return i + 1 },
		"wantInt8":     func(i int8) int8 { return i },
		"wantUint":     func(i uint) uint { return i },
		"wantFloat":    func(f float64) float64 { return f / 2 },
		"wantFloat32":  func(f float32) float32 { return f },
		"wantComplex":  func(c complex128) complex128 { return c },
		"wantBool":     func(b bool) bool { return !b },
		"wantAny":      func(v any) string { return fmt.Sprintf("%T", v) },
		"wantList":     func(l []any) int { return len(l) },
		"wantStrings":  func(l []string) string { return strings.Join(l, ",") },
		"wantMap":      func(m map[string]any) string { return fmt.Sprintf("%T/%d", m, len(m)) },
		"wantError":    func(e error) string { return fmt.Sprint(e) },
		"wantDuration": func(d time.Duration) string { return d.String() },
		"wantMany":     func(s string, rest ...int) string { return s + fmt.Sprint(rest) },
		"wantRest":     func(rest ...any) int { return len(rest) },
		"wantNothing":  func() string { return "nothing" },
		"giveNil":      func() any { return nil },
		"giveAny":      func() any { return map[string]any{"a": 1} },
		"list":         func(v ...any) []any { return v },
		"dict": func(pairs ...any) map[string]any {
			m := map[string]any{}
			for i := 0; i+1 < len(pairs); i += 2 {
				m[fmt.Sprint(pairs[i])] = pairs[i+1]
			}
			return m
		},
		"set":    func(m map[string]any, k string, v any) map[string]any { m[k] = v; return m },
		"fail":   func(text string) (string, error) { return "", errors.New(text) },
		"typeOf": func(v any) string { return fmt.Sprintf("%T", v) },
		"include": func(name string, data any) (string, error) {
			var out strings.Builder
			err := root.ExecuteTemplate(&out, name, data)
			return out.String(), err
		},
	}
}

type templateRequest struct {
	Templates []struct {
		Name string `json:"name"`
		Text []byte `json:"text"`
	} `json:"templates"`
	Execute    string    `json:"execute"`
	Data       typedData `json:"data"`
	MissingKey string    `json:"missingkey"`
	Rounds     int       `json:"rounds"`
}

func (r templateRequest) parse() (*template.Template, error) {
	root := template.New("root").Option("missingkey=" + r.MissingKey)
	root.Funcs(templateFunctions(root))
	for _, t := range r.Templates {
		if _, err := root.New(t.Name).Parse(string(t.Text)); err != nil {
			return nil, err
		}
	}
	return root, nil
}

// executeTemplate parses texts into one set and executes one of them.
func executeTemplate(r templateRequest) (any, error) {
	root, err := r.parse()
	if err != nil {
		return nil, err
	}
	var out bytes.Buffer
	if err := root.ExecuteTemplate(&out, r.Execute, r.Data.value()); err != nil {
		return nil, err
	}
	return out.Bytes(), nil
}

// timeTemplate tells how many nanoseconds one execution takes.
func timeTemplate(r templateRequest) (any, error) {
	root, err := r.parse()
	if err != nil {
		return nil, err
	}
	data := r.Data.value()
	start := time.Now()
	for range r.Rounds {
		var out bytes.Buffer
		if err := root.ExecuteTemplate(&out, r.Execute, data); err != nil {
			return nil, err
		}
	}
	return time.Since(start).Nanoseconds() / int64(max(r.Rounds, 1)), nil
}
