package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"path"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"time"
)

// standardOperations are answered by Go's standard library.
var standardOperations = map[string]operation{
	"go.duration":        typed(parseDuration),
	"go.duration.format": typed(func(r struct{ Nanos int64 }) (any, error) { return time.Duration(r.Nanos).String(), nil }),
	"go.quote": typed(func(r textRequest) (any, error) {
		text := string(r.bytes())
		return []string{strconv.Quote(text), strconv.QuoteToASCII(text)}, nil
	}),
	"go.float":      typed(formatFloat),
	"go.json":       typed(rewriteJSON),
	"go.path.clean": typed(func(r textRequest) (any, error) { return path.Clean(r.Text), nil }),
	"go.path.match": typed(func(r matchRequest) (any, error) { return path.Match(r.Pattern, r.Text) }),
	"go.filepath.match": typed(func(r matchRequest) (any, error) {
		return filepath.Match(r.Pattern, r.Text)
	}),
	"go.regexp": typed(matchRegexp),
}

type matchRequest struct {
	Pattern string `json:"pattern"`
	Text    string `json:"text"`
}

func parseDuration(r textRequest) (any, error) {
	parsed, err := time.ParseDuration(r.Text)
	if err != nil {
		return nil, err
	}
	return map[string]any{"nanos": strconv.FormatInt(int64(parsed), 10), "text": parsed.String()}, nil
}

// formatFloat takes the float as text so that no digit is lost on the way.
func formatFloat(r textRequest) (any, error) {
	value, err := strconv.ParseFloat(r.Text, 64)
	if err != nil {
		return nil, err
	}
	encoded, err := json.Marshal(value)
	if err != nil {
		encoded = []byte(err.Error())
	}
	return map[string]string{
		"g":    strconv.FormatFloat(value, 'g', -1, 64),
		"g32":  strconv.FormatFloat(value, 'g', -1, 32),
		"f":    strconv.FormatFloat(value, 'f', -1, 64),
		"v":    fmt.Sprint(value),
		"json": string(encoded),
	}, nil
}

// rewriteJSON decodes JSON, numbers to float64, and encodes it in Go's three usual forms.
func rewriteJSON(r textRequest) (any, error) {
	var value any
	if err := json.Unmarshal(r.bytes(), &value); err != nil {
		return nil, err
	}
	compact, err := json.Marshal(value)
	if err != nil {
		return nil, err
	}
	pretty, err := json.MarshalIndent(value, "", "  ")
	if err != nil {
		return nil, err
	}
	var raw bytes.Buffer
	encoder := json.NewEncoder(&raw)
	encoder.SetEscapeHTML(false)
	if err := encoder.Encode(value); err != nil {
		return nil, err
	}
	return map[string]string{
		"compact": string(compact), "pretty": string(pretty), "raw": strings.TrimSuffix(raw.String(), "\n"),
	}, nil
}

// matchRegexp returns, for each text, where the first match and its groups are; null without a match.
func matchRegexp(r struct {
	Pattern string
	Texts   []string
}) (any, error) {
	compiled, err := regexp.Compile(r.Pattern)
	if err != nil {
		return nil, err
	}
	matches := make([][]int, 0, len(r.Texts))
	for _, text := range r.Texts {
		matches = append(matches, compiled.FindStringSubmatchIndex(text))
	}
	return map[string]any{"matches": matches, "names": compiled.SubexpNames()}, nil
}
