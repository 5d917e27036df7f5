package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strconv"

	yaml3 "go.yaml.in/yaml/v3"
	kyaml "sigs.k8s.io/kustomize/kyaml/yaml"
	"sigs.k8s.io/yaml"
)

var yamlOperations = map[string]operation{
	// YAML to JSON and back to YAML, as sigs.k8s.io/yaml does both.
	"yaml.v2.roundtrip": typed(func(r textRequest) (any, error) { return v2Roundtrip(r.bytes(), yaml.YAMLToJSON) }),
	"yaml.v2.strict":    typed(func(r textRequest) (any, error) { return v2Roundtrip(r.bytes(), yaml.YAMLToJSONStrict) }),
	"yaml.v2.fromjson": typed(func(r textRequest) (any, error) {
		out, err := yaml.JSONToYAML([]byte(r.Text))
		return string(out), err
	}),
	// Plain data through go-yaml v3 with an indentation of two.
	"yaml.v3.roundtrip": typed(v3Roundtrip),
	// JSON data through go-yaml v3, as Helm's toYamlPretty writes it.
	"yaml.v3.fromjson": typed(v3FromJSON),
	// Nodes of all documents, styles and comments kept.
	"yaml.v3.nodes": typed(v3Nodes),
	"yaml.v3.wide": typed(func(r textRequest) (any, error) {
		r.Wide = true
		return v3Nodes(r)
	}),
	"yaml.v3.four": typed(func(r textRequest) (any, error) {
		r.Wide, r.Indent = true, 4
		return v3Nodes(r)
	}),
	// Everything that the parser says about the nodes of the first document, one line a node.
	"yaml.v3.dump": typed(v3Dump),
	// The tag of a plain scalar.
	"yaml.v3.tag": typed(func(r textRequest) (any, error) {
		return (&yaml3.Node{Kind: yaml3.ScalarNode, Value: r.Text}).ShortTag(), nil
	}),
	"kyaml.roundtrip": typed(kyamlRoundtrip),
	"kyaml.json":      typed(kyamlJSON),
}

type textRequest struct {
	Text string `json:"text"`
	// Raw holds input that is not UTF-8.
	Raw    []byte `json:"raw"`
	Indent int    `json:"indent"`
	Wide   bool   `json:"wide"`
}

func (r textRequest) bytes() []byte {
	if r.Raw != nil {
		return r.Raw
	}
	return []byte(r.Text)
}

type yamlResult struct {
	JSON string `json:"json"`
	YAML string `json:"yaml"`
}

func v2Roundtrip(text []byte, decode func([]byte) ([]byte, error)) (any, error) {
	data, err := decode(text)
	if err != nil {
		return nil, err
	}
	out, err := yaml.JSONToYAML(data)
	if err != nil {
		return nil, err
	}
	return yamlResult{JSON: string(data), YAML: string(out)}, nil
}

func v3Roundtrip(r textRequest) (any, error) {
	var value any
	if err := yaml3.Unmarshal(r.bytes(), &value); err != nil {
		return nil, err
	}
	return encode(r, value)
}

func v3FromJSON(r textRequest) (any, error) {
	decoder := json.NewDecoder(bytes.NewReader(r.bytes()))
	decoder.UseNumber()
	var value any
	if err := decoder.Decode(&value); err != nil {
		return nil, err
	}
	var out bytes.Buffer
	encoder := yaml3.NewEncoder(&out)
	encoder.SetIndent(2)
	if err := encoder.Encode(withNumbers(value)); err != nil {
		return nil, err
	}
	return out.String(), nil
}

// withNumbers replaces numbers by what a chart's values hold.
func withNumbers(value any) any {
	switch value := value.(type) {
	case map[string]any:
		for key, field := range value {
			value[key] = withNumbers(field)
		}
	case []any:
		for i, item := range value {
			value[i] = withNumbers(item)
		}
	case json.Number:
		if number, err := strconv.ParseInt(string(value), 10, 64); err == nil && value != "-0" {
			return number
		}
		if number, err := strconv.ParseUint(string(value), 10, 64); err == nil {
			return number
		}
		number, _ := value.Float64()
		return number
	}
	return value
}

func v3Nodes(r textRequest) (any, error) {
	decoder := yaml3.NewDecoder(bytes.NewReader(r.bytes()))
	var documents []any
	for {
		var node yaml3.Node
		err := decoder.Decode(&node)
		if errors.Is(err, io.EOF) {
			return encode(r, documents...)
		}
		if err != nil {
			return nil, err
		}
		documents = append(documents, &node)
	}
}

func v3Dump(r textRequest) (any, error) {
	var document yaml3.Node
	if err := yaml3.NewDecoder(bytes.NewReader(r.bytes())).Decode(&document); err != nil {
		return nil, err
	}
	lines := []string{fmt.Sprintf("document %q %q", document.HeadComment, document.FootComment)}
	for _, node := range document.Content {
		lines = dump(lines, node)
	}
	return lines, nil
}

func dump(lines []string, node *yaml3.Node) []string {
	tag := node.ShortTag()
	if node.Kind == yaml3.AliasNode {
		tag = ""
	}
	lines = append(lines, fmt.Sprintf("%d:%d kind %d style %d tag %s anchor %q value %q comments %q %q %q",
		node.Line, node.Column, node.Kind, node.Style, tag, node.Anchor, node.Value,
		node.HeadComment, node.LineComment, node.FootComment))
	for _, child := range node.Content {
		lines = dump(lines, child)
	}
	return lines
}

func encode(r textRequest, documents ...any) (any, error) {
	var out bytes.Buffer
	encoder := yaml3.NewEncoder(&out)
	encoder.SetIndent(max(r.Indent, 2))
	if !r.Wide {
		encoder.CompactSeqIndent()
	}
	for _, document := range documents {
		if err := encoder.Encode(document); err != nil {
			return nil, err
		}
	}
	if err := encoder.Close(); err != nil {
		return nil, err
	}
	return out.String(), nil
}

func kyamlRoundtrip(r textRequest) (any, error) {
	node, err := kyaml.Parse(string(r.bytes()))
	if err != nil {
		return nil, err
	}
	return node.String()
}

// kyamlJSON takes the way of a resource through kustomize: parse, expand, marshal.
func kyamlJSON(r textRequest) (any, error) {
	node, err := kyaml.Parse(string(r.bytes()))
	if err != nil {
		return nil, err
	}
	if err := node.DeAnchor(); err != nil {
		return nil, err
	}
	data, err := node.MarshalJSON()
	if err != nil {
		return nil, err
	}
	out, err := yaml.JSONToYAML(data)
	if err != nil {
		return nil, err
	}
	return yamlResult{JSON: string(data), YAML: string(out)}, nil
}
