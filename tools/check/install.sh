#!/bin/sh
# Installs the development tools beside this file, once per version. Not part of the root lock file: these packages are
# native, one per platform, and a lock made where some platforms' packages can't be had does not install anywhere.
set -eu
cd "$(dirname "$0")"
cmp -s package.json node_modules/.installed.json && exit 0
npm install --loglevel=error --no-progress >/dev/null
cp package.json node_modules/.installed.json
