package main

import (
	"bytes"
	"cmp"
	"compress/gzip"
	"encoding/base64"
	"encoding/json"
	"io"
	"slices"

	chart "helm.sh/helm/v4/pkg/chart/v2"
	chartutil "helm.sh/helm/v4/pkg/chart/v2/util"
	release "helm.sh/helm/v4/pkg/release/v1"
	sigsyaml "sigs.k8s.io/yaml"
	goyaml "sigs.k8s.io/yaml/goyaml.v2"
)

var recordOperations = map[string]operation{
	// A chart as a record has it, after values were applied to its dependencies.
	"record.chart": typed(func(r helmRequest) (any, error) {
		loaded, err := loadHelmChart(r.Files)
		if err != nil {
			return nil, err
		}
		if _, err := captured(func() error { return chartutil.ProcessDependencies(loaded, r.Values) }); err != nil {
			return nil, err
		}
		text, err := json.Marshal(loaded)
		return string(text), err
	}),
	// A record read and written again, and what its digest is taken of.
	"record.read": typed(recordRead),
	// The text that the digest of values is taken of.
	"record.config": typed(func(r helmRequest) (any, error) {
		values := sigsyaml.JSONObjectToYAMLObject(r.Values)
		sortMapSlice(values)
		text, err := goyaml.Marshal(values)
		return string(text), err
	}),
	// The JSON in the text of a Secret.
	"record.unpack": typed(func(r helmRequest) (any, error) {
		packed, err := base64.StdEncoding.DecodeString(r.Text)
		if err != nil {
			return nil, err
		}
		reader, err := gzip.NewReader(bytes.NewReader(packed))
		if err != nil {
			return nil, err
		}
		text, err := io.ReadAll(reader)
		return string(text), err
	}),
}

// observed has the fields of a release that a digest is taken of, in their order.
type observed struct {
	Name          string          `json:"name"`
	Version       int             `json:"version"`
	Info          release.Info    `json:"info"`
	ChartMetadata chart.Metadata  `json:"chartMetadata"`
	Config        map[string]any  `json:"config"`
	Manifest      string          `json:"manifest"`
	Hooks         []*release.Hook `json:"hooks"`
	Namespace     string          `json:"namespace"`
	OCIDigest     string          `json:"ociDigest,omitempty"`
}

// sortMapSlice sorts the keys at every level by their bytes.
func sortMapSlice(values goyaml.MapSlice) {
	slices.SortFunc(values, func(a, b goyaml.MapItem) int { return cmp.Compare(a.Key.(string), b.Key.(string)) })
	for _, item := range values {
		sortInner(item.Value)
	}
}

func sortInner(value any) {
	switch value := value.(type) {
	case goyaml.MapSlice:
		sortMapSlice(value)
	case []any:
		for _, item := range value {
			sortInner(item)
		}
	}
}

func recordRead(r helmRequest) (any, error) {
	var record release.Release
	if err := json.Unmarshal([]byte(r.Text), &record); err != nil {
		return nil, err
	}
	text, err := json.Marshal(&record)
	if err != nil {
		return nil, err
	}
	observation := observed{
		Name: record.Name, Version: record.Version, Manifest: record.Manifest, Namespace: record.Namespace, OCIDigest: r.Mode,
	}
	if record.Info != nil {
		observation.Info = *record.Info
	}
	if record.Chart != nil && record.Chart.Metadata != nil {
		observation.ChartMetadata = *record.Chart.Metadata
	}
	if len(record.Config) > 0 {
		observation.Config = record.Config
	}
	for _, hook := range record.Hooks {
		isTest := false
		for _, event := range hook.Events {
			isTest = isTest || event == release.HookTest
		}
		if !isTest {
			observation.Hooks = append(observation.Hooks, hook)
		}
	}
	var out bytes.Buffer
	if err := json.NewEncoder(&out).Encode(observation); err != nil {
		return nil, err
	}
	return []string{string(text), out.String()}, nil
}
