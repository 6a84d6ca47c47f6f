# Slipstream. `make` lists the targets; each does its own set-up.
.DEFAULT_GOAL := help
SHELL := /bin/bash
SOURCE ?= test
DATA ?= data
# A count, not a time: a fuzzer that is cut off by the clock sometimes calls that a failure.
FUZZTIME ?= 50000x
BIN := bin/slipstream
PLAYER_SOURCES := $(shell find player/src player/pages player/build.mjs player/package.json -type f 2>/dev/null)
GO_SOURCES := $(shell find . -name '*.go' -not -path './player/node_modules/*')

.PHONY: help run build test test-go test-player race lint fuzz e2e player sim bench bench-viewers bench-hostile bench-loss bench-rtc clean setup-ffmpeg setup-chromium

help: ## list the targets
	@grep -hE '^[a-z0-9-]+:.*## ' $(MAKEFILE_LIST) | awk -F ':.*## ' '{printf "  make %-14s %s\n", $$1, $$2}'

run: setup-ffmpeg build ## start a live channel on :8080 (SOURCE=test|none|FILE)
	@exec $(BIN) up --source '$(SOURCE)' --data '$(DATA)'

build: $(BIN) ## build the player and the one static binary
	@true

$(BIN): $(GO_SOURCES) go.mod go.sum player/dist/slipstream.js
	CGO_ENABLED=0 go build -trimpath -o $@ .

player: player/dist/slipstream.js ## build the web player
	@true

player/node_modules/.installed: player/package.json player/package-lock.json
	cd player && npm ci --no-audit --no-fund --ignore-scripts
	@touch $@

player/dist/slipstream.js: player/node_modules/.installed $(PLAYER_SOURCES)
	cd player && npm run --silent build

test: setup-ffmpeg setup-chromium build lint test-go test-player fuzz e2e ## everything that CI runs
	@echo "all tests passed"

test-go: player
	go test -parallel 4 ./...

test-player: player
	cd player && npm run --silent check && npm test --silent

race: ## the Go tests under the race detector
	go test -race ./...

lint: player
	@test -z "$$(gofmt -l $$(git ls-files '*.go'))" || { gofmt -l $$(git ls-files '*.go'); echo 'gofmt would change these files'; exit 1; }
	go vet ./...

fuzz: ## every decoder of outside bytes, FUZZTIME each
	@set -e; for pkg in $$(go list ./...); do \
	  for target in $$(go test -list '^Fuzz' $$pkg | grep '^Fuzz' || true); do \
	    echo "fuzz $$pkg $$target"; go test -run '^$$' -fuzz "^$$target$$" -fuzztime $(FUZZTIME) -fuzzminimizetime 1x $$pkg; \
	  done; \
	done

e2e: setup-ffmpeg setup-chromium build ## real ffmpeg, Chromium and Go viewers together
	cd player && npm run --silent e2e

sim: build ## simulate 1,000 viewers for a minute of stream
	$(BIN) sim run sim/scenarios/thousand.yaml

bench: ## Go benchmarks of the hot paths
	go test -run '^$$' -bench . -benchmem ./peer/... ./origin/manifest/...

BENCH := bin/bench-peers

$(BENCH): $(GO_SOURCES) go.mod go.sum player/dist/slipstream.js
	go test -c -o $@ ./peer/bench

bench-viewers: build $(BENCH) ## 200 real viewers, 40 % of them killed at once (JSON; three minutes)
	@$(BENCH) viewers -slipstream $(BIN)

bench-hostile: $(BENCH) ## 30 real viewers, 30 % of them attackers of each kind (JSON; eight minutes)
	@$(BENCH) hostile

bench-loss: $(BENCH) ## real viewers behind 5 % loss and 100 ms of round trip (JSON; three minutes)
	@$(BENCH) loss

bench-rtc: $(BENCH) ## our connections and a seeder beside bare pion, in one run (JSON; a minute)
	@$(BENCH) transfer

setup-ffmpeg:
	@command -v ffmpeg >/dev/null && command -v ffprobe >/dev/null || { apt-get update && apt-get install -y --no-install-recommends ffmpeg fonts-dejavu-core; }

setup-chromium:
	@command -v chromium >/dev/null || { apt-get update && apt-get install -y --no-install-recommends chromium; }

clean: ## remove what was built
	rm -rf bin player/dist player/node_modules
	@git checkout -q -- player/dist 2>/dev/null || true
