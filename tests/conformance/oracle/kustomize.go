package main

import (
	"path"
	"strings"

	"sigs.k8s.io/kustomize/api/krusty"
	"sigs.k8s.io/kustomize/api/types"
	"sigs.k8s.io/kustomize/kyaml/filesys"
	"sigs.k8s.io/kustomize/kyaml/openapi"
)

var kustomizeOperations = map[string]operation{
	"kustomize.build": typed(kustomizeBuild),
}

// buildRequest has the form of a case in the krusty corpus.
type buildRequest struct {
	Target string            `json:"target"`
	Files  map[string]string `json:"files"`
	// FilesBase64 holds files that are not text.
	FilesBase64 map[string][]byte `json:"filesBase64"`
	Dirs        []string          `json:"dirs"`
	Options     struct {
		Reorder           string `json:"reorder"`
		LoadRestrictions  string `json:"loadRestrictions"`
		AddManagedByLabel bool   `json:"addManagedByLabel"`
	} `json:"options"`
}

// schemaIsOpen says that a build may have chosen a schema.
var schemaIsOpen = true

// kustomizeBuild runs a build on a file system in memory, plugins disabled.
func kustomizeBuild(r buildRequest) (any, error) {
	// A custom schema of the build before would stay in force. Reading the built-in one anew takes longer than most builds.
	if schemaIsOpen {
		openapi.ResetOpenAPI()
	}
	schemaIsOpen = false
	for _, text := range r.Files {
		schemaIsOpen = schemaIsOpen || strings.Contains(strings.ToLower(text), "openapi")
	}
	if schemaIsOpen {
		openapi.ResetOpenAPI()
	}
	fs := filesys.MakeFsInMemory()
	for _, dir := range r.Dirs {
		if err := fs.MkdirAll(clean(dir)); err != nil {
			return nil, err
		}
	}
	for name, text := range r.Files {
		if err := fs.WriteFile(clean(name), []byte(text)); err != nil {
			return nil, err
		}
	}
	for name, data := range r.FilesBase64 {
		if err := fs.WriteFile(clean(name), data); err != nil {
			return nil, err
		}
	}
	options := krusty.MakeDefaultOptions()
	if r.Options.Reorder != "" {
		options.Reorder = krusty.ReorderOption(r.Options.Reorder)
	}
	if r.Options.LoadRestrictions == "none" {
		options.LoadRestrictions = types.LoadRestrictionsNone
	}
	options.AddManagedbyLabel = r.Options.AddManagedByLabel
	resources, err := krusty.MakeKustomizer(options).Run(fs, clean(r.Target))
	if err != nil {
		return nil, err
	}
	out, err := resources.AsYaml()
	return string(out), err
}

// clean makes `//a/b` a path that the file system in memory understands.
func clean(name string) string {
	if strings.HasPrefix(name, "//") {
		name = name[1:]
	}
	return path.Clean(name)
}
