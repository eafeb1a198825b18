# `make run` needs Go and nothing else; `make test` installs PostgreSQL and chromium when they are missing, `make check` a C
# compiler, for the race detector.
SHELL := bash
.SHELLFLAGS := -euo pipefail -c
export CGO_ENABLED := 0

BINARY := bin/perennial
TOOL := go tool -modfile=tools/go.mod
FUZZTIME ?= 5s
# What could be generated and is committed, as one checksum.
SUM = git ls-files -z --cached --others --exclude-standard | xargs -0 sha256sum 2>/dev/null | sha256sum

.PHONY: help run build test torture check vet lint fix generated race fuzz bench peers
.DEFAULT_GOAL := help

help: ## This list
	@sed -nE 's/^([a-z]+):[^#]*## (.*)/\1\t\2/p' Makefile | expand -t 12

run: build ## Build and start the demo; PERENNIAL_LISTEN changes its address
	$(BINARY) demo

build: ## Build the one static binary
	go build -trimpath -o $(BINARY) ./cmd/perennial

test: ## All tests, on SQLite and then on a PostgreSQL that they start; installs what they need
	scripts/needs.sh
	go test -timeout 15m ./...
	PERENNIAL_TEST_ENGINE=postgres go test -timeout 15m $$(go list -f '{{range .TestImports}}{{$$.ImportPath}}	{{.}}{{"\n"}}{{end}}{{range .XTestImports}}{{$$.ImportPath}}	{{.}}{{"\n"}}{{end}}' ./... | sed -n 's|\tperennial/internal/test/shop$$||p' | sort -u)

torture: build ## Kill servers, databases and disks under load for some minutes; TORTURE='--seed N' repeats a run
	go build -o bin/torture ./internal/test/torture/run
	bin/torture --program $(abspath $(BINARY)) $(TORTURE)

check: vet lint fix generated race ## Everything that a change has to pass beside the tests
	go test ./internal/test/archtest

vet: ## go vet and staticcheck
	go vet ./...
	$(TOOL) staticcheck ./...

lint: ## golangci-lint with the linters of .golangci.yml
	$(TOOL) golangci-lint run ./...

fix: ## go fix leaves no diff
	go fix -diff ./...

generated: ## go.mod, go.sum and generated files are what their sources say
	go mod tidy -diff
	@before=$$($(SUM)); go generate ./...; test "$$before" = "$$($(SUM))" || { echo 'go generate changed files: commit them'; exit 1; }

# SQLite's own code, which is C made into Go, is not watched: that took two thirds of the time. No other package can be left out: the linker
# takes one copy of a generic function (sync.Map's) for all, and an unwatched one makes races up. -short leaves out long tests that do
# one thing after the other.
race: ## The packages that hold locks or start goroutines, with the race detector
	scripts/needs.sh race
	CGO_ENABLED=1 go test -race -short -gcflags='modernc.org/sqlite/lib=-race=false' -timeout 30m $$(go list -f '{{range .Imports}}{{if eq . "sync" "sync/atomic"}}{{$$.ImportPath}}{{"\n"}}{{end}}{{end}}' ./... | sort -u)

fuzz: ## Each fuzz target for FUZZTIME (5s)
	@grep -rEo --include='*_test.go' '^func Fuzz[A-Za-z0-9_]+' . | sed -E 's|/[^/]*:func | |' | sort | while read -r package target; do \
		echo "$$package $$target"; go test -run '^$$' -fuzz "^$$target\$$" -fuzztime $(FUZZTIME) "$$package" </dev/null; done

bench: build ## Measure the program on this machine, beside the disk and a bare SQLite
	$(BINARY) bench

peers: ## Measure it beside an audit trigger, Tessera and immudb (bench/peers); PEERS=-large, -json
	scripts/needs.sh
	cd bench/peers && go run -mod=mod . $(PEERS)
