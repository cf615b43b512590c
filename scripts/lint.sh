#!/usr/bin/env bash
# gofmt, go vet and staticcheck over the whole module.
set -euo pipefail
cd "$(dirname "$0")/.."

unformatted=$(find . -name '*.go' -not -path '*/.*' -not -path '*/node_modules/*' -exec "$(go env GOROOT)/bin/gofmt" -l {} +)
if [ -n "$unformatted" ]; then
	printf 'gofmt would change:\n%s\n' "$unformatted" >&2
	exit 1
fi
go vet ./...
.tools/bin/staticcheck ./...
echo "lint: ok"
