# Everything that a contributor needs: make test. See make help.

SHELL := /bin/bash
.DEFAULT_GOAL := build
.PHONY: deps build dist run test test-unit test-e2e test-vm demo-ha bench lint generate golden clean help

# One set of flags for everything that is compiled here, so that all of it
# shares one build cache. No package resolves names or users through libc, and
# SQLite loads no extensions: the binary is static.
TAGS := netgo,osusergo,sqlite_omit_load_extension
export GOFLAGS := -trimpath -buildvcs=false -tags=$(TAGS)

# The scenario of test-e2e: a regular expression over the tests' names.
E2E ?= .

deps: ## install the Debian packages that are missing
	@scripts/deps

build: deps ## build bin/kelp with its helper programs and images
	@scripts/payload
	@scripts/images
	@scripts/build

run: build ## start a cluster on this machine and say how to use it
	@scripts/run

test: ## everything that CI runs: lint, test-unit, test-vm and test-e2e
	@scripts/test

# scripts/lint vets everything; a second time, with all of Kubernetes, takes minutes.
test-unit: ## tests beside the code: no root, no network
	go test -vet=off ./cmd/... ./packaging/... ./pkg/... ./scripts/... ./tests/bench/...

test-e2e: build ## scenarios on booted test hosts, as root; one of them: E2E=name
	go test -tags=$(TAGS),e2e -vet=off -count=1 -p 1 -timeout=70m -run='$(E2E)' ./tests ./tests/hosts

test-vm: build ## the smoke test in an emulated virtual machine with cgroup v2
	go test -tags=$(TAGS),vm -vet=off -count=1 -timeout=35m -run=VirtualMachine ./tests

demo-ha: build ## three servers and an agent on test hosts: what they say of themselves
	@go run ./tests/demo

dist: build ## make dist/, which an address serves for install.sh, with packages; ARCHS, DIST_URL: see scripts/dist
	@scripts/dist

bench: build ## measure kelp beside the same components as separate processes
	go run ./tests/bench

lint: deps ## vet, static checks, shellcheck and the rules in tests/rules
	@scripts/lint

generate: ## rewrite what is generated from the source
	go generate ./pkg/...

golden: ## record golden files anew; the run fails, so that they are looked at
	go test $$(grep -rl --include='*_test.go' internal/golden pkg | xargs -n1 dirname | sort -u | sed 's|^|./|') -update

clean: ## remove what was built here, not the cluster's data
	rm -rf bin dist .build
	find pkg/payload/embedded pkg/images/embedded -type f ! -name README.md ! -name .gitignore -delete

help: ## list the targets
	@sed -n 's/^\([a-z0-9-]*\):.*## \(.*\)/\1\t\2/p' $(MAKEFILE_LIST) | expand -t 12
