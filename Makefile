# Everything below needs only a Go command; it fetches the pinned toolchain by
# itself. The client suites want python3 and node too: `make tools` says what
# is missing.
export GOTOOLCHAIN := go1.26.10

GO      ?= go
PYTHON  ?= python3
ARGS    ?=
FUZZTIME ?= 10s
DURATION ?= 1m
# The race detector needs a C compiler; without one the tests still run.
RACE    := $(shell command -v cc gcc clang 2>/dev/null | head -1 | sed 's/..*/-race/')
# SQLite is C that was translated into Go. The detector finds nothing of ours in
# it and makes it ten times slower, so that it watches everything but that. What
# the socket package does in earnest it does not see: that is tested without it.
UNWATCHED := -gcflags=modernc.org/sqlite/lib=-race=false -gcflags=modernc.org/libc=-race=false

.PHONY: help run build test test-go lint fuzz simulate kill-batch bench-overhead bench-batch bench-isolation tools clean

help: ## show the targets
	@grep -hE '^[a-z-]+:.*## ' Makefile | sed -E 's/:.*## /\t/' | expand -t 18

run: build ## build bin/outcrop and start it on 127.0.0.1:8484
	@exec bin/outcrop serve $(ARGS)

build: go-present ## build bin/outcrop
	@$(GO) build -trimpath -o bin/outcrop ./cmd/outcrop

test: tools lint ## install what the tests need into .tools, then lint and test everything
	@[ -n "$(RACE)" ] || echo "no C compiler: testing without the race detector"
	$(GO) test ./socket ./h1 ./h1server ./simulation
	OUTCROP_CLIENTS=1 GOFLAGS="$$($(GO) env GOFLAGS) $(UNWATCHED)" $(GO) test $(RACE) -timeout 30m ./...

test-go: go-present ## the Go tests alone: no network, no node, no python
	$(GO) test -timeout 30m ./...

lint: go-present .tools/bin/staticcheck ## gofmt, go vet, staticcheck
	@bash scripts/lint.sh

fuzz: go-present ## every fuzz target for FUZZTIME (10s)
	@FUZZTIME=$(FUZZTIME) bash scripts/fuzz.sh $(ARGS)

simulate: go-present ## worlds of the kernels with faults for DURATION (1m); ARGS="-seed N" plays one again
	@$(GO) run ./simulation/run -duration $(DURATION) $(ARGS)

kill-batch: go-present ## kill servers over batch jobs: whole ones 100 times over many jobs, over one, and over one of two on PostgreSQL; their runner alone too
	OUTCROP_KILLS=100 OUTCROP_KILL_RECORDS=50000 $(GO) test ./conformance -count=1 -v -timeout 30m -run KilledServersKeep
	OUTCROP_KILLS=100 OUTCROP_KILL_RECORDS=50000 $(GO) test ./conformance -count=1 -v -timeout 30m -run OneJobOutlivesItsServer
	OUTCROP_KILLS=100 OUTCROP_KILL_RECORDS=50000 $(GO) test ./conformance -count=1 -v -timeout 30m -run OneJobOutlivesTwoServers
	OUTCROP_KILLS=100 OUTCROP_KILL_RECORDS=50000 $(GO) test ./batch -count=1 -v -timeout 30m -run KilledServersLoseNothing
	OUTCROP_KILLS=30 OUTCROP_KILL_RECORDS=50000 OUTCROP_RESCUE=1 $(GO) test ./batch -count=1 -v -timeout 30m -run 'OnPostgreSQL(Two|Another)'

bench-overhead: build ## measure what the gateway costs; writes docs/bench/overhead.{md,json}
	@$(GO) run ./bench/overhead -outcrop bin/outcrop $(ARGS)

bench-batch: build ## measure batch jobs: records/s, CPU and memory by size; ARGS="-records 10000,1000000" or ARGS=-provisioned
	@$(GO) run ./bench/batch -outcrop bin/outcrop $(ARGS)

bench-isolation: build ## measure how well provisioned traffic is isolated, simulated; ARGS=-quick takes a minute
	@$(GO) run ./bench/isolation/run -outcrop bin/outcrop $(ARGS)

tools: go-present .tools/bin/staticcheck ## python clients, JavaScript clients, the llama.cpp engine and PostgreSQL, all in .tools
	@PYTHON=$(PYTHON) bash scripts/tools.sh

.tools/bin/staticcheck: scripts/staticcheck.version
	@mkdir -p .tools/bin
	@echo "installing staticcheck $$(cat $<)"
	@GOBIN="$(CURDIR)/.tools/bin" $(GO) install honnef.co/go/tools/cmd/staticcheck@$$(cat $<)
	@touch $@

.PHONY: go-present
go-present:
	@command -v $(GO) >/dev/null 2>&1 || { echo "make: no Go command found. Install Go 1.21 or newer (https://go.dev/dl); it fetches $(GOTOOLCHAIN) by itself." >&2; exit 1; }

clean: ## remove all that was built or installed
	rm -rf bin .tools
