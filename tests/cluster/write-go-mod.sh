#!/usr/bin/env bash
# write-go-mod.sh 1.35.4: writes go.mod and go.sum for that version of Kubernetes. k8s.io/kubernetes replaces its staging
# modules by local folders, which only works inside its own repository; here each becomes a replace by version.
set -euo pipefail
cd "$(dirname "$0")"
version=$1
mod=$(go mod download -json "k8s.io/kubernetes@v$version" | sed -n 's/^\t"GoMod": "\(.*\)",$/\1/p')
{
  echo "module ferroflux/tests/cluster"
  echo
  grep -E '^go ' "$mod"
  echo
  echo "require k8s.io/kubernetes v$version"
  echo
  echo "replace ("
  grep -oE 'k8s.io/[a-z0-9-]+ => ./staging' "$mod" | awk -v v="v0.${version#1.}" '{print "\t"$1" => "$1" "v}'
  echo ")"
} > go.mod
rm -f go.sum
go mod tidy
