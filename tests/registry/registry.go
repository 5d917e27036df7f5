// Package registry pins the module of the registry that the tests build and run.
package registry

import _ "github.com/distribution/distribution/v3/registry"
