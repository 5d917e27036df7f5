#!/bin/sh
# Installs the storages that the tests can run against into a folder: moto for S3, Azurite, fake-gcs-server.
# Then: FERRO_STORAGE_SERVERS=<folder> cargo test -p ferro-bucket
set -eu
here=$(cd "$(dirname "$0")" && pwd)
into=${1:?usage: install.sh <folder>}
wanted=$(cat "$here"/* | cksum)
if [ -e "$into/installed" ] && [ "$(cat "$into/installed")" = "$wanted" ]; then
  exit 0
fi
rm -rf "$into/moto" "$into/azurite" "$into/gobin" "$into/installed"
mkdir -p "$into/azurite"
python3 -m venv "$into/moto"
"$into/moto/bin/pip" install --quiet -r "$here/requirements.txt"
cp "$here/package.json" "$into/azurite/"
npm --prefix "$into/azurite" install --silent
GOBIN="$into/gobin" go install github.com/fsouza/fake-gcs-server@v1.56.1
echo "$wanted" > "$into/installed"
