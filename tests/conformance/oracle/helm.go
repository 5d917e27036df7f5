package main

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"log"
	"log/slog"
	"maps"
	"slices"
	"strings"
	"time"

	"helm.sh/helm/v4/pkg/chart/common"
	"helm.sh/helm/v4/pkg/chart/common/util"
	"helm.sh/helm/v4/pkg/chart/loader/archive"
	chart "helm.sh/helm/v4/pkg/chart/v2"
	"helm.sh/helm/v4/pkg/chart/v2/loader"
	chartutil "helm.sh/helm/v4/pkg/chart/v2/util"
	"helm.sh/helm/v4/pkg/engine"
	"helm.sh/helm/v4/pkg/ignore"
	releaseutil "helm.sh/helm/v4/pkg/release/v1/util"
	"helm.sh/helm/v4/pkg/strvals"
)

var helmOperations = map[string]operation{
	// Assignments into values; integers are told from floats.
	"helm.strvals": typed(helmStrvals),
	// A values file.
	"helm.values.read": typed(func(r helmRequest) (any, error) {
		values, err := loader.LoadValues(strings.NewReader(r.Text))
		return withIntegers(values), err
	}),
	// Whether .helmignore rules leave a path out.
	"helm.ignore": typed(helmIgnore),
	// A chart from its files: its metadata as templates see it.
	"helm.load": typed(helmLoad),
	// The files of an archive.
	"helm.archive": typed(helmArchive),
	// Dependencies processed and values coalesced.
	"helm.values": typed(helmValues),
	// Values checked against a schema.
	"helm.schema": typed(func(r helmRequest) (any, error) {
		return nil, util.ValidateAgainstSingleSchema(r.Values, []byte(r.Text))
	}),
	// A version of Kubernetes.
	"helm.kubeversion": typed(func(r helmRequest) (any, error) {
		version, err := common.ParseKubeVersion(r.Text)
		if err != nil {
			return nil, err
		}
		return []string{version.Version, version.String(), version.Major, version.Minor}, nil
	}),
	"helm.capabilities": typed(func(helmRequest) (any, error) { return common.DefaultCapabilities, nil }),
	// Rendered files sorted into manifests and hooks.
	"helm.sort": typed(func(r helmRequest) (any, error) { return helmSort(r.Files) }),
	// Everything from files and values to manifests.
	"helm.render": typed(helmRender),
	// A release with all that belongs to it.
	"helm.release": typed(helmRelease),
}

type helmRequest struct {
	Text        string            `json:"text"`
	Raw         []byte            `json:"raw"`
	Mode        string            `json:"mode"`
	Path        string            `json:"path"`
	Dir         bool              `json:"dir"`
	Files       map[string]string `json:"files"`
	Values      map[string]any    `json:"values"`
	KubeVersion string            `json:"kubeVersion"`
	IsUpgrade   bool              `json:"isUpgrade"`
	Strict      bool              `json:"strict"`
}

// withIntegers marks integers, which JSON cannot tell from other numbers.
func withIntegers(value any) any {
	switch value := value.(type) {
	case int64:
		return map[string]any{"$int": fmt.Sprint(value)}
	case map[string]any:
		out := map[string]any{}
		for key, inner := range value {
			out[key] = withIntegers(inner)
		}
		return out
	case []any:
		out := make([]any, len(value))
		for i, inner := range value {
			out[i] = withIntegers(inner)
		}
		return out
	}
	return value
}

func helmStrvals(r helmRequest) (any, error) {
	values := r.Values
	if values == nil {
		values = map[string]any{}
	}
	var err error
	switch r.Mode {
	case "typed":
		err = strvals.ParseInto(r.Text, values)
	case "string":
		err = strvals.ParseIntoString(r.Text, values)
	case "json":
		err = strvals.ParseJSON(r.Text, values)
	case "literal":
		err = strvals.ParseLiteralInto(r.Text, values)
	case "file":
		err = strvals.ParseIntoFile(r.Text, values, func(rs []rune) (any, error) {
			if len(rs) == 0 {
				return nil, errors.New("no file")
			}
			return "<" + string(rs) + ">", nil
		})
	}
	return withIntegers(values), err
}

// fileInfo is all that ignore rules look at.
type fileInfo struct{ dir bool }

func (f fileInfo) Name() string       { return "" }
func (f fileInfo) Size() int64        { return 0 }
func (f fileInfo) Mode() fs.FileMode  { return 0 }
func (f fileInfo) ModTime() time.Time { return time.Time{} }
func (f fileInfo) IsDir() bool        { return f.dir }
func (f fileInfo) Sys() any           { return nil }

func helmIgnore(r helmRequest) (any, error) {
	rules, err := ignore.Parse(strings.NewReader(r.Text))
	if err != nil {
		return nil, err
	}
	rules.AddDefaults()
	return rules.Ignore(r.Path, fileInfo{r.Dir}), nil
}

func loadHelmChart(files map[string]string) (*chart.Chart, error) {
	var buffered []*archive.BufferedFile
	for _, name := range slices.Sorted(maps.Keys(files)) {
		buffered = append(buffered, &archive.BufferedFile{Name: name, Data: []byte(files[name])})
	}
	loaded, err := loader.LoadFiles(buffered)
	if err != nil {
		return nil, err
	}
	sortSubcharts(loaded)
	return loaded, nil
}

// sortSubcharts undoes the random order in which they are loaded.
func sortSubcharts(parent *chart.Chart) {
	subcharts := slices.Clone(parent.Dependencies())
	slices.SortFunc(subcharts, func(a, b *chart.Chart) int {
		return strings.Compare(a.Name()+" "+a.Metadata.Version, b.Name()+" "+b.Metadata.Version)
	})
	parent.SetDependencies(subcharts...)
	for _, subchart := range subcharts {
		sortSubcharts(subchart)
	}
}

func helmLoad(r helmRequest) (any, error) {
	loaded, err := loadHelmChart(r.Files)
	if err != nil {
		return nil, err
	}
	var names []string
	for _, file := range loaded.Files {
		names = append(names, file.Name)
	}
	var templates []string
	for _, file := range loaded.Templates {
		templates = append(templates, file.Name)
	}
	return map[string]any{
		"metadata": loaded.Metadata, "files": names, "templates": templates, "values": loaded.Values,
		"subcharts": len(loaded.Dependencies()),
	}, nil
}

func helmArchive(r helmRequest) (any, error) {
	files, err := archive.LoadArchiveFiles(bytes.NewReader(r.Raw))
	if err != nil {
		return nil, err
	}
	found := map[string]string{}
	for _, file := range files {
		found[file.Name] = string(file.Data)
	}
	return found, nil
}

// helmTree describes what became of a chart.
func helmTree(c *chart.Chart) any {
	subcharts := []any{}
	for _, subchart := range c.Dependencies() {
		subcharts = append(subcharts, helmTree(subchart))
	}
	return map[string]any{
		"path": c.ChartFullPath(), "values": withIntegers(c.Values), "subcharts": subcharts,
		"listed": c.Metadata.Dependencies,
	}
}

// captured runs something and returns what it logged meanwhile, sorted: Go's maps have no order.
func captured(run func() error) ([]string, error) {
	var buffer bytes.Buffer
	previous := slog.Default()
	handler := slog.NewTextHandler(&buffer, &slog.HandlerOptions{
		ReplaceAttr: func(_ []string, attr slog.Attr) slog.Attr {
			if attr.Key == slog.TimeKey {
				return slog.Attr{}
			}
			return attr
		},
	})
	slog.SetDefault(slog.New(handler))
	defer func() {
		slog.SetDefault(previous)
		log.SetFlags(0)
		log.SetOutput(discard{})
	}()
	err := run()
	lines := strings.Split(strings.TrimSuffix(buffer.String(), "\n"), "\n")
	slices.Sort(lines)
	return lines, err
}

type discard struct{}

func (discard) Write(data []byte) (int, error) { return len(data), nil }

func helmValues(r helmRequest) (any, error) {
	loaded, err := loadHelmChart(r.Files)
	if err != nil {
		return nil, err
	}
	var values common.Values
	notices, err := captured(func() error {
		if err := chartutil.ProcessDependencies(loaded, r.Values); err != nil {
			return err
		}
		values, err = util.CoalesceValues(loaded, r.Values)
		return err
	})
	if err != nil {
		return nil, err
	}
	return map[string]any{
		"tree": helmTree(loaded), "values": withIntegers(values.AsMap()), "notices": notices,
	}, nil
}

func helmSort(files map[string]string) (any, error) {
	hooks, manifests, err := releaseutil.SortManifests(files, nil, releaseutil.InstallOrder)
	if err != nil {
		return nil, err
	}
	sorted := []any{}
	for _, manifest := range manifests {
		sorted = append(sorted, []string{manifest.Name, manifest.Content})
	}
	return map[string]any{"hooks": hooks, "manifests": sorted}, nil
}

func helmRender(r helmRequest) (any, error) {
	loaded, err := loadHelmChart(r.Files)
	if err != nil {
		return nil, err
	}
	if err := chartutil.ProcessDependencies(loaded, r.Values); err != nil {
		return nil, err
	}
	capabilities := common.DefaultCapabilities.Copy()
	if r.KubeVersion != "" {
		version, err := common.ParseKubeVersion(r.KubeVersion)
		if err != nil {
			return nil, err
		}
		capabilities.KubeVersion = *version
	}
	options := common.ReleaseOptions{
		Name: "rel", Namespace: "ns", Revision: 1, IsInstall: !r.IsUpgrade, IsUpgrade: r.IsUpgrade,
	}
	values, err := util.ToRenderValues(loaded, r.Values, options, capabilities)
	if err != nil {
		return nil, err
	}
	rendered, err := engine.Engine{Strict: r.Strict}.Render(loaded, values)
	if err != nil {
		return nil, err
	}
	return rendered, nil
}
