package main

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"crypto/sha256"
	"fmt"
)

// chart is the manifest of a chart, as `helm push` makes it, and its package.
func chart() (manifest, packed []byte) {
	content := "apiVersion: v2\nname: app\nversion: 1.2.3\n"
	var out bytes.Buffer
	compressed := gzip.NewWriter(&out)
	archive := tar.NewWriter(compressed)
	must(archive.WriteHeader(&tar.Header{Name: "app/Chart.yaml", Mode: 0o644, Size: int64(len(content))}))
	_, err := archive.Write([]byte(content))
	must(err)
	must(archive.Close())
	must(compressed.Close())
	config, layer := sha256.Sum256([]byte("{}")), sha256.Sum256(out.Bytes())
	return fmt.Appendf(nil, `{"schemaVersion":2,"mediaType":"application/vnd.oci.image.manifest.v1+json",`+
		`"config":{"mediaType":"application/vnd.cncf.helm.config.v1+json","digest":"sha256:%x","size":2},`+
		`"layers":[{"mediaType":"application/vnd.cncf.helm.chart.content.v1.tar+gzip","digest":"sha256:%x","size":%d}]}`,
		config, layer, out.Len()), out.Bytes()
}
