# make help lists the targets.

SHELL := bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help

# Where scripts/setup puts moto when the machine has none that works.
export PATH := $(CURDIR)/build/moto/bin:$(PATH)

FUNCTIONS := authorize participant node fleet rooms
# A Lambda function is one static binary that speaks the Runtime API over HTTP
# (without the old RPC mode), as small as it gets: its size is its cold start.
LAMBDA := CGO_ENABLED=0 go build -tags lambda.norpc -trimpath -ldflags "-s -w"
GO_FILES = $(shell find . -name '*.go' -not -path './sdk/node_modules/*' -not -path './build/*')

.PHONY: help dev test check figures bench bench-peers bench-quic faults audience why plan build package synth deploy destroy types clean FORCE

help: ## List the targets
	@sed -n 's/^\([a-z-]*\):[^#]*## \(.*\)/  make \1\t\2/p' $(MAKEFILE_LIST) | expand -t 16

dev: setup-dev build ## Run everything on this machine (PORT, IDLE_AFTER, NODE_SEATS, BOOT_DELAY, MEDIA_IP)
	@exec build/local/spillway-local

test: setup-test build ## Run every test: Go, SDK, browser
	@scripts/test

check: setup-node ## Format, vet, staticcheck, import arrows, docs, types: seconds
	@unformatted=$$(gofmt -l $(GO_FILES)); \
	  if [ -n "$$unformatted" ]; then echo "gofmt -w is due for:" $$unformatted; exit 1; fi
	go vet ./...
	go tool staticcheck ./...
	staticcheck=$$(go tool -n staticcheck) && cd bench/quic && go vet ./... && $$staticcheck ./...
	go test -vet=off . ./events/gen
	npm run check --prefix sdk --silent
	@echo "check: passed"

SEED ?= 1
STEPS ?= 0
SEEDS ?= 10000

sim: ## Run one seeded world with its trace (SEED, STEPS)
	@go run ./shared/sim/trial/replay -seed $(SEED) -steps $(STEPS)

sim-long: ## Run ten thousand seeded worlds (SEED is the first, SEEDS how many; ALL=1 goes on after a failure)
	@go run ./shared/sim/trial/replay -seed $(SEED) -seeds $(SEEDS) -steps $(STEPS) $(if $(ALL),-all)

figures: ## Print what the simulation shows and what joins cost (INTO=docs/simulation.md writes it there)
	@go run ./bench/figures $(if $(INTO),-into $(INTO))

bench: setup-test build ## Measure joins, cold starts, bad networks and forwarding (nothing else should run)
	@go run ./bench/join
	@go run ./bench/frame
	@go run ./bench/start
	@go run ./bench/fleet
	@go run ./bench/units
	@go run ./bench/network
	@go build -o build/forward ./bench/forward && build/forward
	@go test -run NONE -bench . ./sfu-node/pipe
	@go test -count 1 -run TestLatencyThroughPipes -v ./sfu-node/sfu | grep pipes:

bench-quic: ## Weigh RTP over QUIC against a pipe (nothing else should run)
	@go run -C bench/quic .

LIVEKIT := v1.9.11

bench-peers: setup-dev ## Fetch and build the SFUs of others that bench compares with (LIVEKIT)
	@mkdir -p build/peers
	@GOBIN=$(CURDIR)/build/peers go install github.com/livekit/livekit-server/cmd/server@$(LIVEKIT)
	@mv build/peers/server build/peers/livekit-server && build/peers/livekit-server --version

faults: setup-test build ## Kill, drain and cut off with people on it, and print what they see (PEOPLE in a room); see docs/faults.md
	@go run ./bench/faults -people $(or $(PEOPLE),5)

audience: setup-dev build ## Bring a crowd into one room on many nodes and kill one (VIEWERS, NODES, STAGE)
	@go run ./bench/audience -viewers $(if $(filter command line environment,$(origin VIEWERS)),$(VIEWERS),500) -nodes $(or $(NODES),8) -publishers $(or $(STAGE),2)

why: setup-dev ## Explain decisions about nodes from lines of a log (LINE='...' or FILE=...)
	@go run ./infra/why $(if $(LINE),-line '$(LINE)') $(FILE)

VIEWERS ?= 100000
PUBLISHERS ?= 8

plan: ## Say what an audience takes and costs (VIEWERS, PUBLISHERS, PRESET, TYPES, JSON=1)
	@go run ./infra/plan -viewers $(VIEWERS) -publishers $(PUBLISHERS) $(if $(PRESET),-preset $(PRESET)) $(if $(TYPES),-types $(TYPES)) $(if $(JSON),-json)

build: $(FUNCTIONS:%=build/local/%/bootstrap) build/local/sfu-node build/local/spillway-local build/local/spillway build/local/lightpeer demo ## Build everything for this machine into build/local

package: $(FUNCTIONS:%=build/lambda/%/bootstrap) build/lambda/secrets/bootstrap build/node/sfu-node ## Build what is deployed, for linux/arm64, into build/lambda and build/node

synth: setup-node package ## Write the CloudFormation templates into build/cdk.out, without an AWS account
	@go run ./infra
	@for t in build/cdk.out/*.template.json; do echo "$$t: $$(grep -c '^   "Type": "AWS::' $$t) resources"; done

deploy: ## Deploy into the AWS account whose credentials are set (SETTINGS=spillway.json)
	@scripts/deploy deploy

destroy: ## Remove a deployment (SETTINGS=spillway.json)
	@scripts/deploy destroy

types: ## Write sdk/src/events.ts from package events
	@mkdir -p build
	@go run ./events/gen > build/events.ts && mv build/events.ts sdk/src/events.ts

clean: ## Remove what was built
	rm -rf build sdk/dist

# Which files a binary depends on, and whether it is fresh, is for go to know.
build/local/%/bootstrap: FORCE
	@$(LAMBDA) -o $@ ./functions/$*

build/lambda/%/bootstrap: FORCE
	@GOOS=linux GOARCH=arm64 $(LAMBDA) -o $@ ./functions/$*

build/lambda/secrets/bootstrap: FORCE
	@GOOS=linux GOARCH=arm64 $(LAMBDA) -o $@ ./infra/secrets

build/node/sfu-node: FORCE
	@GOOS=linux GOARCH=arm64 CGO_ENABLED=0 go build -trimpath -ldflags "-s -w" -o $@ ./sfu-node

build/local/sfu-node: FORCE
	@go build -trimpath -o $@ ./sfu-node

build/local/lightpeer: FORCE
	@go build -trimpath -o $@ ./sfu-node/lightpeer/cmd

build/local/spillway: FORCE
	@go build -trimpath -o $@ ./infra/cli

build/local/spillway-local: FORCE
	@go build -trimpath -o $@ ./infra/local

.PHONY: demo setup-dev setup-test setup-node
demo: setup-node
	@npm run build --prefix sdk --silent

setup-dev:
	@scripts/setup go node moto

setup-test:
	@scripts/setup go node moto chromium firefox

setup-node:
	@scripts/setup go node
