package main

import (
	"cmp"
	"fmt"
	"os"
	"path"
	"runtime/debug"
	"slices"
	"strings"
	"text/template"
	"time"

	"helm.sh/helm/v4/pkg/chart/common"
	"helm.sh/helm/v4/pkg/chart/common/util"
	chart "helm.sh/helm/v4/pkg/chart/v2"
	"helm.sh/helm/v4/pkg/chart/v2/loader"
	chartutil "helm.sh/helm/v4/pkg/chart/v2/util"
	"helm.sh/helm/v4/pkg/engine"
	releaseutil "helm.sh/helm/v4/pkg/release/v1/util"
)

// Templates that execute themselves without end should not take long to crash.
func init() { debug.SetMaxStack(256 << 20) }

// helmReleaseRequest is what makes a release: a chart in a folder, an archive or a table of files, and values.
type helmReleaseRequest struct {
	Chart       string            `json:"chart"`
	Files       map[string]string `json:"files"`
	Values      map[string]any    `json:"values"`
	ValuesText  string            `json:"valuesText"`
	KubeVersion string            `json:"kubeVersion"`
	APIVersions []string          `json:"apiVersions"`
	IsUpgrade   bool              `json:"isUpgrade"`
	SubNotes    bool              `json:"subNotes"`
	Mode        string            `json:"mode"`
	// Raw asks for the rendered files as they are.
	Raw bool `json:"raw"`
}

// helmRelease does what `helm template` does between reading its arguments and printing: it returns manifests,
// hooks, notes and definitions. Functions of time and chance are those of steadyFunctions.
func helmRelease(r helmReleaseRequest) (any, error) {
	// Nor should those that go on forever.
	defer time.AfterFunc(10*time.Second, func() { os.Exit(3) }).Stop()
	loaded, err := r.load()
	if err != nil {
		return nil, err
	}
	values := r.Values
	if r.ValuesText != "" {
		if values, err = loader.LoadValues(strings.NewReader(r.ValuesText)); err != nil {
			return nil, err
		}
	}
	if err := chartutil.ProcessDependencies(loaded, values); err != nil {
		return nil, fmt.Errorf("chart dependencies processing failed: %w", err)
	}
	capabilities := common.DefaultCapabilities.Copy()
	if r.KubeVersion != "" {
		version, err := common.ParseKubeVersion(r.KubeVersion)
		if err != nil {
			return nil, err
		}
		capabilities.KubeVersion = *version
	}
	capabilities.APIVersions = append(slices.Clone(capabilities.APIVersions), r.APIVersions...)
	options := common.ReleaseOptions{
		Name: "rel", Namespace: "ns1", Revision: 1, IsInstall: !r.IsUpgrade, IsUpgrade: r.IsUpgrade,
	}
	toRender, err := util.ToRenderValues(loaded, values, options, capabilities)
	if err != nil {
		return nil, err
	}
	wanted := loaded.Metadata.KubeVersion
	if wanted != "" && !chartutil.IsCompatibleRange(wanted, capabilities.KubeVersion.String()) {
		return nil, fmt.Errorf("chart requires kubeVersion: %s which is incompatible with Kubernetes %s",
			wanted, capabilities.KubeVersion.Version)
	}
	files, err := engine.Engine{
		Strict: r.Mode == "strict", LintMode: r.Mode == "lint", CustomTemplateFuncs: steadyFunctions,
	}.Render(loaded, toRender)
	if err != nil {
		return nil, err
	}
	if r.Raw {
		raw := map[string][]byte{}
		for name, text := range files {
			raw[name] = []byte(text)
		}
		return raw, nil
	}
	return r.release(loaded, files)
}

func (r helmReleaseRequest) load() (*chart.Chart, error) {
	if r.Chart == "" {
		return loadHelmChart(r.Files)
	}
	source, err := loader.Loader(r.Chart)
	if err != nil {
		return nil, err
	}
	loaded, err := source.Load()
	if err != nil {
		return nil, err
	}
	sortSubcharts(loaded)
	return loaded, nil
}

func (r helmReleaseRequest) release(loaded *chart.Chart, files map[string]string) (any, error) {
	notes := []string{}
	for name, text := range files {
		if strings.HasSuffix(name, "NOTES.txt") {
			if r.SubNotes || name == path.Join(loaded.Name(), "templates", "NOTES.txt") {
				notes = append(notes, text)
			}
			delete(files, name)
		}
	}
	slices.Sort(notes)
	hooks, manifests, err := releaseutil.SortManifests(files, nil, releaseutil.InstallOrder)
	if err != nil {
		return nil, err
	}
	sorted := [][]string{}
	for _, manifest := range manifests {
		sorted = append(sorted, []string{manifest.Name, manifest.Content})
	}
	definitions := [][]string{}
	for _, crd := range loaded.CRDObjects() {
		definitions = append(definitions, []string{crd.Filename, string(crd.File.Data)})
	}
	// Go loads subcharts in any order.
	slices.SortStableFunc(definitions, func(a, b []string) int { return cmp.Compare(a[0], b[0]) })
	return map[string]any{"manifests": sorted, "hooks": hooks, "notes": notes, "crds": definitions}, nil
}

// steadyFunctions replace the functions of time and chance by ones that answer the same each time.
var steadyFunctions = template.FuncMap{
	"randAlpha":    func(n int) string { return repeated("a", n) },
	"randAlphaNum": func(n int) string { return repeated("b", n) },
	"randAscii":    func(n int) string { return repeated("c", n) },
	"randNumeric":  func(n int) string { return repeated("1", n) },
	"randBytes":    func(n int) (string, error) { return repeated("d", n), nil },
	"randInt":      func(from, to int) int { return from },
	"shuffle":      func(text string) string { return text },
	"uuidv4":       func() string { return "00000000-0000-4000-8000-000000000000" },
	"now":          func() time.Time { return time.Unix(1_700_000_000, 0).UTC() },
	"ago":          func(any) string { return "1h" },
	"bcrypt":       func(text string) string { return "bcrypt " + text },
	"htpasswd":     func(user, password string) string { return user + ":" + password },
	"encryptAES":   func(password, text string) (string, error) { return "encrypted " + text, nil },
	"genPrivateKey": func(kind string) string {
		return "key " + kind
	},
	"genCA":        func(name string, days int) (any, error) { return certificate(name, days), nil },
	"genCAWithKey": func(name string, days int, key string) (any, error) { return certificate(name, days), nil },
	"genSelfSignedCert": func(name string, ips []any, names []any, days int) (any, error) {
		return certificate(name, ips, names, days), nil
	},
	"genSelfSignedCertWithKey": func(name string, ips []any, names []any, days int, key string) (any, error) {
		return certificate(name, ips, names, days), nil
	},
	"genSignedCert": func(name string, ips []any, names []any, days int, ca any) (any, error) {
		return certificate(name, ips, names, days), nil
	},
	"genSignedCertWithKey": func(name string, ips []any, names []any, days int, ca any, key string) (any, error) {
		return certificate(name, ips, names, days), nil
	},
}

func repeated(text string, count int) string { return strings.Repeat(text, max(count, 0)) }

func certificate(of ...any) any {
	return map[string]any{"Cert": "certificate " + fmt.Sprint(of), "Key": "key"}
}
