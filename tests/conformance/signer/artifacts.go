package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"strings"

	"github.com/google/go-containerregistry/pkg/name"
	"github.com/google/go-containerregistry/pkg/v1/empty"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/remote"
	"github.com/google/go-containerregistry/pkg/v1/static"
	"github.com/google/go-containerregistry/pkg/v1/types"
	"github.com/spf13/cobra"
)

// push stores a file as an artifact of one layer.
func push() *cobra.Command {
	kind, config := "application/vnd.cncf.flux.content.v1.tar+gzip", "application/vnd.cncf.flux.config.v1+json"
	command := &cobra.Command{
		Use: "push REFERENCE FILE", Short: "Stores a file as an artifact, and prints its digest", Args: cobra.ExactArgs(2),
		RunE: func(_ *cobra.Command, args []string) error {
			reference, err := name.ParseReference(args[0])
			if err != nil {
				return err
			}
			content, err := os.ReadFile(args[1])
			if err != nil {
				return err
			}
			image := mutate.ConfigMediaType(mutate.MediaType(empty.Image, types.OCIManifestSchema1), types.MediaType(config))
			image, err = mutate.AppendLayers(image, static.NewLayer(content, types.MediaType(kind)))
			if err != nil {
				return err
			}
			if err := remote.Write(reference, image); err != nil {
				return err
			}
			digest, err := image.Digest()
			if err != nil {
				return err
			}
			_, err = fmt.Println(digest)
			return err
		},
	}
	command.Flags().StringVar(&kind, "type", kind, "the media type of the layer")
	command.Flags().StringVar(&config, "config-type", config, "the media type of the configuration")
	return command
}

// raw is a manifest as it was read.
type raw struct {
	text []byte
	kind types.MediaType
}

func (r raw) RawManifest() ([]byte, error)        { return r.text, nil }
func (r raw) MediaType() (types.MediaType, error) { return r.kind, nil }

// attached is a manifest with signatures of an artifact, and how it is found.
type attached struct {
	at       name.Reference
	kind     types.MediaType
	manifest map[string]any
}

// signatures finds all that cosign and notation have signed an artifact with.
func signatures(artifact name.Digest) ([]attached, error) {
	found := []attached{}
	read := func(at name.Reference) error {
		descriptor, err := remote.Get(at)
		if err != nil {
			return err
		}
		manifest := map[string]any{}
		found = append(found, attached{at, descriptor.MediaType, manifest})
		return json.Unmarshal(descriptor.Manifest, &manifest)
	}
	tag := artifact.Tag(strings.Replace(artifact.DigestStr(), ":", "-", 1) + ".sig")
	if err := read(tag); err != nil && !strings.Contains(err.Error(), "MANIFEST_UNKNOWN") {
		return nil, err
	}
	index, err := remote.Referrers(artifact)
	if err != nil {
		return nil, err
	}
	list, err := index.IndexManifest()
	if err != nil {
		return nil, err
	}
	for _, manifest := range list.Manifests {
		if err := read(artifact.Digest(manifest.Digest.String())); err != nil {
			return nil, err
		}
	}
	if len(found) == 0 {
		return nil, errors.New("it is not signed")
	}
	return found, nil
}

// put stores the manifest; one that was found by its digest gets another.
func (s attached) put() error {
	text, err := json.Marshal(s.manifest)
	if err != nil {
		return err
	}
	at := s.at
	if _, ok := at.(name.Digest); ok {
		at = at.Context().Digest("sha256:" + sum(text))
	}
	return remote.Put(at, raw{text, s.kind})
}

// move lets the signatures of one artifact be found as those of another.
func move() *cobra.Command {
	return &cobra.Command{
		Use: "move FROM TO", Short: "Attaches the signatures of an artifact to another one, too", Args: cobra.ExactArgs(2),
		RunE: func(_ *cobra.Command, args []string) error {
			from, err := name.NewDigest(args[0])
			if err != nil {
				return err
			}
			to, err := name.NewDigest(args[1])
			if err != nil {
				return err
			}
			found, err := signatures(from)
			if err != nil {
				return err
			}
			for _, signature := range found {
				if subject, ok := signature.manifest["subject"].(map[string]any); ok {
					subject["digest"] = to.DigestStr()
				} else {
					signature.at = to.Tag(strings.Replace(to.DigestStr(), ":", "-", 1) + ".sig")
				}
				if err := signature.put(); err != nil {
					return err
				}
			}
			return nil
		},
	}
}

// postpone has the log say of an artifact's signatures that they were made a second later.
func postpone() *cobra.Command {
	return &cobra.Command{
		Use: "postpone ARTIFACT", Short: "Changes the entries of the log that are attached to an artifact", Args: cobra.ExactArgs(1),
		RunE: func(_ *cobra.Command, args []string) error {
			artifact, err := name.NewDigest(args[0])
			if err != nil {
				return err
			}
			found, err := signatures(artifact)
			if err != nil {
				return err
			}
			for _, signature := range found {
				if err := signature.postpone(); err != nil {
					return err
				}
			}
			return nil
		},
	}
}

func (s attached) postpone() error {
	layer := s.manifest["layers"].([]any)[0].(map[string]any)
	annotations, _ := layer["annotations"].(map[string]any)
	if text, ok := annotations["dev.sigstore.cosign/bundle"].(string); ok {
		entry := struct {
			SignedEntryTimestamp string
			Payload              map[string]any
		}{}
		if err := json.Unmarshal([]byte(text), &entry); err != nil {
			return err
		}
		entry.Payload["integratedTime"] = entry.Payload["integratedTime"].(float64) + 1
		changed, err := json.Marshal(entry)
		if err != nil {
			return err
		}
		annotations["dev.sigstore.cosign/bundle"] = string(changed)
		return s.put()
	}
	blob, err := remote.Layer(s.at.Context().Digest(layer["digest"].(string)))
	if err != nil {
		return err
	}
	reader, err := blob.Compressed()
	if err != nil {
		return err
	}
	bundle := map[string]any{}
	if err := json.NewDecoder(reader).Decode(&bundle); err != nil {
		return err
	}
	entry := bundle["verificationMaterial"].(map[string]any)["tlogEntries"].([]any)[0].(map[string]any)
	var second int64
	if _, err := fmt.Sscan(entry["integratedTime"].(string), &second); err != nil {
		return err
	}
	entry["integratedTime"] = fmt.Sprint(second + 1)
	changed, err := json.Marshal(bundle)
	if err != nil {
		return err
	}
	if err := remote.WriteLayer(s.at.Context(), static.NewLayer(changed, types.MediaType(layer["mediaType"].(string)))); err != nil {
		return err
	}
	if err := remote.Delete(s.at); err != nil {
		return err
	}
	layer["digest"], layer["size"] = "sha256:"+sum(changed), len(changed)
	return s.put()
}
