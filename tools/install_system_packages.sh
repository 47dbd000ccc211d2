#!/usr/bin/env bash
# Install the foreign tools that some tests compare against, where that can be done without asking:
# on Debian or Ubuntu, as root. Elsewhere name what is missing; the tests concerned are skipped and say so.
set -euo pipefail

# tool on the PATH : Debian package : what the tests use it for
wanted=(
  "dciodvfy:dicom3tools:checks every DICOM object against its definition"
  "storescu:dcmtk:a foreign DICOM client"
  "Orthanc:orthanc:a PACS"
  "pg_ctlcluster:postgresql:a database that workers on several machines share"
  "openssl:openssl:certificates"
  "chromium:chromium:a browser that the review page is tried in"
  "dcm2niix:dcm2niix:an independent reader of DICOM geometry"
)

export PATH="$PATH:/usr/sbin:/usr/local/sbin"
missing=()
for line in "${wanted[@]}"; do
  IFS=: read -r tool package _ <<<"$line"
  command -v "$tool" >/dev/null || missing+=("$package")
done
# A plugin has no command of its own.
[[ -e /usr/share/orthanc/plugins/libOrthancDicomWeb.so ]] || missing+=("orthanc-dicomweb")
((${#missing[@]})) || exit 0

if [[ $(id -u) == 0 ]] && command -v apt-get >/dev/null; then
  export DEBIAN_FRONTEND=noninteractive
  if { apt-get update -qq && apt-get install -y -qq --no-install-recommends "${missing[@]}"; } </dev/null >/dev/null; then
    exit 0
  fi
fi
echo "not installed: ${missing[*]}; tests that need them are skipped (Debian and Ubuntu: apt-get install ${missing[*]})" >&2
