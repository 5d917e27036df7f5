package main

import (
	"context"
	"encoding/json"
	"io"
	"log/slog"
	"slices"
	"strconv"
	"time"

	"helm.sh/helm/v4/pkg/action"
	"helm.sh/helm/v4/pkg/chart/common"
	"helm.sh/helm/v4/pkg/kube"
	kubefake "helm.sh/helm/v4/pkg/kube/fake"
	release "helm.sh/helm/v4/pkg/release/v1"
	"helm.sh/helm/v4/pkg/storage"
	"helm.sh/helm/v4/pkg/storage/driver"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes/fake"
	sigsyaml "sigs.k8s.io/yaml"
	goyaml "sigs.k8s.io/yaml/goyaml.v2"
)

var takeoverOperations = map[string]operation{
	// The Secrets that Helm's own actions leave: an install, and an upgrade if that is asked for.
	"takeover.records": typed(takeoverRecords),
}

// takenOver is a record as it lies in the cluster, and the texts that the digests of its snapshot are taken of.
type takenOver struct {
	Secret   any    `json:"secret"`
	Observed string `json:"observed"`
	Config   string `json:"config"`
}

func takeoverRecords(r helmRequest) (any, error) {
	const name, namespace = "app", "ns"
	secrets := fake.NewClientset().CoreV1().Secrets(namespace)
	config := action.NewConfiguration(action.ConfigurationSetLogger(slog.DiscardHandler))
	config.Releases = storage.Init(driver.NewSecrets(secrets))
	config.KubeClient = &kubefake.PrintingKubeClient{Out: io.Discard}
	config.Capabilities = common.DefaultCapabilities
	loaded, err := loadHelmChart(r.Files)
	if err != nil {
		return nil, err
	}
	install := action.NewInstall(config)
	install.ReleaseName, install.Namespace = name, namespace
	install.Timeout, install.WaitStrategy = time.Minute, kube.HookOnlyStrategy
	if _, err := install.Run(loaded, r.Values); err != nil {
		return nil, err
	}
	if r.IsUpgrade {
		upgrade := action.NewUpgrade(config)
		upgrade.Namespace, upgrade.ResetValues = namespace, true
		upgrade.Timeout, upgrade.WaitStrategy = time.Minute, kube.HookOnlyStrategy
		if _, err := upgrade.Run(name, loaded, r.Values); err != nil {
			return nil, err
		}
	}
	return takeoverRead(config, secrets, r.Mode)
}

// secretGetter reads Secrets of one namespace.
type secretGetter interface {
	Get(context.Context, string, metav1.GetOptions) (*corev1.Secret, error)
}

func recordName(record *release.Release) string {
	return "sh.helm.release.v1." + record.Name + ".v" + strconv.Itoa(record.Version)
}

func digestedValues(values map[string]any) (string, error) {
	sorted := sigsyaml.JSONObjectToYAMLObject(values)
	sortMapSlice(sorted)
	text, err := goyaml.Marshal(sorted)
	return string(text), err
}

// takeoverRead lists what there is, the newest first.
func takeoverRead(config *action.Configuration, secrets secretGetter, ociDigest string) (any, error) {
	history, err := config.Releases.History("app")
	if err != nil {
		return nil, err
	}
	all := []takenOver{}
	for _, found := range history {
		record := found.(*release.Release)
		text, err := json.Marshal(record)
		if err != nil {
			return nil, err
		}
		read, err := recordRead(helmRequest{Text: string(text), Mode: ociDigest})
		if err != nil {
			return nil, err
		}
		secret, err := secrets.Get(context.Background(), recordName(record), metav1.GetOptions{})
		if err != nil {
			return nil, err
		}
		values := ""
		if len(record.Config) > 0 {
			if values, err = digestedValues(record.Config); err != nil {
				return nil, err
			}
		}
		all = append(all, takenOver{Secret: secret, Observed: read.([]string)[1], Config: values})
	}
	slices.Reverse(all)
	return all, nil
}
