package main

import (
	"path"
	"time"
	_ "unsafe" // for go:linkname
)

var gitURLOperations = map[string]operation{
	"kustomize.giturl": typed(gitURL),
}

// repoSpec has the fields of kustomize's type of that name, which is internal.
type repoSpec struct {
	raw, host, repoPath, dir, kustRootPath, ref string
	submodules                                  bool
	timeout                                     time.Duration
}

// newRepoSpecFromURL is kustomize's function, which no public one leads to without cloning.
//
//go:linkname newRepoSpecFromURL sigs.k8s.io/kustomize/api/internal/git.NewRepoSpecFromURL
func newRepoSpecFromURL(text string) (*repoSpec, error)

type gitURLRequest struct {
	Text string `json:"text"`
}

type gitURLParts struct {
	CloneURL   string `json:"cloneURL"`
	SubPath    string `json:"subPath"`
	Ref        string `json:"ref"`
	Submodules bool   `json:"submodules"`
	Timeout    int64  `json:"timeout"`
}

// gitURL takes a URL apart. The directory is joined to that of a clone in /clone/repo, as it is before it is looked for.
func gitURL(r gitURLRequest) (any, error) {
	spec, err := newRepoSpecFromURL(r.Text)
	if err != nil {
		return nil, err
	}
	return gitURLParts{
		CloneURL:   spec.host + spec.repoPath,
		SubPath:    path.Join("/clone/repo", spec.kustRootPath),
		Ref:        spec.ref,
		Submodules: spec.submodules,
		Timeout:    spec.timeout.Nanoseconds(),
	}, nil
}
