package main

import (
	"fmt"
	"strconv"
	"strings"
	"text/template"
	"time"

	"github.com/Masterminds/sprig/v3"
	"helm.sh/helm/v4/pkg/chart/common"
	chart "helm.sh/helm/v4/pkg/chart/v2"
	"helm.sh/helm/v4/pkg/engine"
)

var sprigOperations = map[string]operation{
	// The functions with their types.
	"sprig.functions": typed(func(struct{}) (any, error) {
		types := map[string]string{}
		for name, function := range sprig.TxtFuncMap() {
			types[name] = fmt.Sprintf("%T", function)
		}
		return types, nil
	}),
	// A template over typed values, with sprig's functions or with those that Helm gives to charts.
	"sprig.render": typed(renderSprig),
	// A time read by one layout and printed by another.
	"go.time": typed(func(r struct {
		ReadBy, Text, PrintBy []byte
		Seconds               string
		Zone                  string
	}) (any, error) {
		zone, err := time.LoadLocation(r.Zone)
		if err != nil {
			return nil, err
		}
		var read time.Time
		if r.Seconds != "" {
			seconds, err := strconv.ParseInt(r.Seconds, 10, 64)
			if err != nil {
				return nil, err
			}
			read = time.Unix(seconds, 123456789).UTC()
		} else if read, err = time.ParseInLocation(string(r.ReadBy), string(r.Text), time.UTC); err != nil {
			return nil, err
		}
		return [][]byte{[]byte(read.String()), []byte(read.In(zone).Format(string(r.PrintBy)))}, nil
	}),
}

type sprigRequest struct {
	Template []byte         `json:"template"`
	Values   map[string]any `json:"values"`
	Helm     bool           `json:"helm"`
}

func renderSprig(r sprigRequest) (any, error) {
	values := map[string]any{}
	for name, value := range r.Values {
		typed, err := goValue(value)
		if err != nil {
			return nil, err
		}
		values[name] = typed
	}
	if r.Helm {
		return renderWithHelm(string(r.Template), values)
	}
	parsed, err := template.New("t").Funcs(sprig.TxtFuncMap()).Parse(string(r.Template))
	if err != nil {
		return nil, err
	}
	var out strings.Builder
	err = parsed.Execute(&out, map[string]any{"Values": values})
	return []byte(out.String()), err
}

func renderWithHelm(text string, values map[string]any) (any, error) {
	chrt := &chart.Chart{
		Metadata:  &chart.Metadata{Name: "c", Version: "1.0.0", APIVersion: "v2"},
		Templates: []*common.File{{Name: "templates/t", Data: []byte(text)}},
	}
	rendered, err := engine.Render(chrt, common.Values{"Values": values})
	return []byte(rendered["c/templates/t"]), err
}

// goValue makes a Go value of its description: an object with the type as its only key.
func goValue(described any) (any, error) {
	object, ok := described.(map[string]any)
	if !ok {
		return nil, nil
	}
	for kind, content := range object {
		text, _ := content.(string)
		switch kind {
		case "bool":
			return content, nil
		case "string":
			return decodeLatin(text), nil
		case "bytes":
			return []byte(decodeLatin(text)), nil
		case "float64":
			return strconv.ParseFloat(text, 64)
		case "list":
			return goList(content)
		case "map":
			return goMap(content)
		case "strings", "ints", "texts":
			return goTyped(kind, content)
		case "nil list":
			return []any(nil), nil
		case "nil map":
			return map[string]any(nil), nil
		case "time":
			seconds, err := strconv.ParseInt(text, 10, 64)
			return time.Unix(seconds, 123456789).UTC(), err
		}
		number, err := strconv.ParseInt(text, 10, 64)
		switch kind {
		case "int":
			return int(number), err
		case "int64":
			return number, err
		case "int32":
			return int32(number), err
		case "uint64":
			return uint64(number), err
		case "uint8":
			return uint8(number), err
		case "duration":
			return time.Duration(number), err
		}
		return nil, fmt.Errorf("unknown type %s", kind)
	}
	return nil, nil
}

func goList(content any) (any, error) {
	items := []any{}
	for _, item := range content.([]any) {
		value, err := goValue(item)
		if err != nil {
			return nil, err
		}
		items = append(items, value)
	}
	return items, nil
}

func goMap(content any) (any, error) {
	entries := map[string]any{}
	for key, item := range content.(map[string]any) {
		value, err := goValue(item)
		if err != nil {
			return nil, err
		}
		entries[key] = value
	}
	return entries, nil
}

func goTyped(kind string, content any) (any, error) {
	switch kind {
	case "strings":
		texts := []string{}
		for _, item := range content.([]any) {
			texts = append(texts, decodeLatin(item.(string)))
		}
		return texts, nil
	case "ints":
		numbers := []int{}
		for _, item := range content.([]any) {
			numbers = append(numbers, int(item.(float64)))
		}
		return numbers, nil
	default:
		texts := map[string]string{}
		for key, item := range content.(map[string]any) {
			texts[key] = decodeLatin(item.(string))
		}
		return texts, nil
	}
}

// decodeLatin makes bytes of a text in which each character stands for one.
func decodeLatin(text string) string {
	var out []byte
	for _, char := range text {
		out = append(out, byte(char))
	}
	return string(out)
}
