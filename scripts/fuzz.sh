#!/usr/bin/env bash
# Runs every native fuzz target of the module for FUZZTIME (default 10s), or
# only those whose name or folder contains one of the arguments.
set -euo pipefail
cd "$(dirname "$0")/.."

wanted() {
	[ $# -eq 1 ] && return 0
	local target=$1 word
	shift
	for word; do [[ $target == *"$word"* ]] && return 0; done
	return 1
}

status=0
while IFS=: read -r file name; do
	folder=$(dirname "$file")
	wanted "$folder/$name" "$@" || continue
	printf '== %s %s\n' "$folder" "$name"
	go test "$folder" -run '^$' -fuzz "^${name}\$" -fuzztime "${FUZZTIME:-10s}" || status=1
done < <(find . -name '*_test.go' -not -path '*/.*' -exec grep -HoE '^func Fuzz[A-Za-z0-9_]+' {} + | sed 's/func //' | sort -u)
exit $status
