package main

import (
	"fmt"
	"slices"
	"time"

	"helm.sh/helm/v4/pkg/chart/common"
	"helm.sh/helm/v4/pkg/chart/common/util"
	"helm.sh/helm/v4/pkg/chart/loader"
	chart "helm.sh/helm/v4/pkg/chart/v2"
	chartutil "helm.sh/helm/v4/pkg/chart/v2/util"
	"helm.sh/helm/v4/pkg/engine"
	"helm.sh/helm/v4/pkg/strvals"
)

// helmBenchOperations measure rather than compare.
var helmBenchOperations = map[string]operation{
	// How long a loaded chart takes to render once more, in nanoseconds.
	"helm.bench": typed(helmBench),
}

type helmBenchRequest struct {
	// The folder of the chart.
	Path        string   `json:"path"`
	Set         []string `json:"set"`
	KubeVersion string   `json:"kubeVersion"`
	Rounds      int      `json:"rounds"`
}

func helmBench(r helmBenchRequest) (any, error) {
	charter, err := loader.Load(r.Path)
	if err != nil {
		return nil, err
	}
	loaded, is := charter.(*chart.Chart)
	if !is {
		return nil, fmt.Errorf("%s is no chart of version 1 or 2", r.Path)
	}
	user := map[string]any{}
	for _, text := range r.Set {
		if err := strvals.ParseInto(text, user); err != nil {
			return nil, err
		}
	}
	if err := chartutil.ProcessDependencies(loaded, user); err != nil {
		return nil, err
	}
	version, err := common.ParseKubeVersion(r.KubeVersion)
	if err != nil {
		return nil, err
	}
	capabilities := common.DefaultCapabilities.Copy()
	capabilities.KubeVersion = *version
	options := common.ReleaseOptions{Name: "rel", Namespace: "ns1", Revision: 1, IsInstall: true}
	values := func() (common.Values, error) {
		return util.ToRenderValuesWithSchemaValidation(loaded, user, options, capabilities, true)
	}
	ready, err := values()
	if err != nil {
		return nil, err
	}
	templates, err := median(r.Rounds, func() error {
		_, err := engine.Render(loaded, ready)
		return err
	})
	if err != nil {
		return nil, err
	}
	render, err := median(r.Rounds, func() error {
		fresh, err := values()
		if err == nil {
			_, err = engine.Render(loaded, fresh)
		}
		return err
	})
	return map[string]int64{"templates": templates, "render": render}, err
}

// median runs something a few times to warm up, and then to measure.
func median(rounds int, run func() error) (int64, error) {
	times := make([]int64, 0, rounds)
	for round := range rounds + rounds/4 + 1 {
		start := time.Now()
		if err := run(); err != nil {
			return 0, err
		}
		if round > rounds/4 {
			times = append(times, time.Since(start).Nanoseconds())
		}
	}
	slices.Sort(times)
	return times[len(times)/2], nil
}
