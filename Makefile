# Slipstream. `make` lists the targets; each does its own set-up.
.DEFAULT_GOAL := help
SHELL := /bin/bash
SOURCE ?= test
DATA ?= data
# A count, not a time: a fuzzer that is cut off by the clock sometimes calls that a failure.
FUZZTIME ?= 10000x
BIN := bin/slipstream
# Binary, checks and tests are compiled alike, wherever the clone lies: so everything is compiled once.
export CGO_ENABLED := 0
PLAYER_SOURCES := $(shell find player/src player/pages player/build.mjs player/package.json -type f 2>/dev/null)
GO_SOURCES := $(shell find . -name '*.go' -not -path './player/node_modules/*')

.PHONY: help run build test test-go test-player race lint fuzz e2e player clean setup-ffmpeg setup-chromium setup-nginx
.PHONY: sim sim-validate bench bench-sim bench-sim-bars bench-matching bench-browsers bench-browsers-links bench-short
.PHONY: bench-viewers bench-hostile bench-loss bench-rtc bench-failover bench-cluster bench-tracker bench-attack
.PHONY: bench-origin bench-http3 bench-low-latency bench-announce

help: ## list the targets
	@grep -hE '^[a-z0-9-]+:.*## ' $(MAKEFILE_LIST) | awk -F ':.*## ' '{printf "  make %-20s %s\n", $$1, $$2}'

run: setup-ffmpeg build ## start a live channel on :8080 (SOURCE=test|none|FILE)
	@exec $(BIN) up --source '$(SOURCE)' --data '$(DATA)'

build: $(BIN) ## build the player and the one static binary
	@true

$(BIN): $(GO_SOURCES) go.mod go.sum player/dist/slipstream.js
	go build -trimpath -o $@ .

player: player/dist/slipstream.js ## build the web player
	@true

player/node_modules/.installed: player/package.json player/package-lock.json
	cd player && npm ci --no-audit --no-fund --ignore-scripts
	@touch $@

player/dist/slipstream.js: player/node_modules/.installed $(PLAYER_SOURCES)
	cd player && npm run --silent build

test: setup-ffmpeg setup-chromium setup-nginx build lint test-go test-player fuzz e2e ## everything that CI runs
	@echo "all tests passed"

test-go: player
	go test -trimpath -vet=off -parallel 4 ./...

test-player: player
	cd player && npm run --silent check && npm test --silent

race: ## the Go tests under the race detector
	CGO_ENABLED=1 go test -race ./...

lint: player
	@test -z "$$(gofmt -l $$(git ls-files '*.go'))" || { gofmt -l $$(git ls-files '*.go'); echo 'gofmt would change these files'; exit 1; }
	go vet -trimpath ./...

fuzz: ## every decoder of outside bytes, FUZZTIME each
	.ci/fuzz $(FUZZTIME)

e2e: setup-ffmpeg setup-chromium setup-nginx build ## real ffmpeg, Chromium and Go viewers together
	cd player && npm run --silent e2e

sim: build ## simulate 1,000 viewers for a minute of stream
	$(BIN) sim run sim/scenarios/thousand.yaml

bench: ## Go benchmarks of the hot paths
	go test -run '^$$' -bench . -benchmem ./peer/... ./origin/manifest/... ./origin/server/...

bench-sim: build ## how fast the simulator is, as JSON
	@$(BIN) sim speed thousand

sim-validate: build ## hold the engine to what theory says
	$(BIN) sim validate

bench-sim-bars: build ## hold the engine to its bars in simulation, as JSON; hours of CPU
	@$(BIN) sim bars --json

bench-matching: build ## how much stays inside ISPs, matched and at random, as JSON; 10,000 viewers (five minutes)
	@$(BIN) sim bars --only matching --json

bench-browsers: setup-ffmpeg setup-chromium build ## 8 and 16 real browsers: hls.js, p2p-media-loader, ours (20 min)
	cd player && node bench/browsers.mjs --json=../bin/bench-browsers.json

bench-browsers-links: setup-ffmpeg setup-chromium build ## the same behind emulated access links (45 min, root)
	cd player && node bench/browsers.mjs --systems=plain,p2pml-5/4,ours --pages=8 --uplinks=1.5,3,10 --json=../bin/bench-browsers-links.json

bench-short: setup-ffmpeg setup-chromium build ## that the browser benchmarks work (3 min, root)
	cd player && node bench/browsers.mjs --pages=3 --join=1 --warm=3 --measure=10 --json=../bin/bench-browsers.json
	cd player && node bench/browsers.mjs --systems=plain,ours --pages=4 --uplinks=3 --loss=1 --join=1 --warm=3 --measure=10 --json=../bin/bench-browsers-links.json

BENCH := bin/bench-peers

$(BENCH): $(GO_SOURCES) go.mod go.sum player/dist/slipstream.js
	go test -c -o $@ ./peer/bench

bench-viewers: build $(BENCH) ## 200 real viewers, 40 % of them killed at once (JSON; three minutes)
	@$(BENCH) viewers -slipstream $(BIN)

bench-hostile: $(BENCH) ## 30 real viewers, 30 % of them attackers of each kind (JSON; eight minutes)
	@$(BENCH) hostile

bench-loss: $(BENCH) ## real viewers behind 5 % loss and 100 ms of round trip (JSON; three minutes)
	@$(BENCH) loss

bench-cluster: build $(BENCH) ## three trackers of a cluster are killed, cut off, stopped, drained and restarted while viewers play (JSON; 16 minutes)
	@$(BENCH) cluster -slipstream $(BIN)
	@$(BENCH) cluster -slipstream $(BIN) -nats outside

BENCH_TRACKER := bin/bench-tracker

$(BENCH_TRACKER): $(GO_SOURCES) go.mod go.sum player/dist/slipstream.js
	go test -c -o $@ ./tracker/bench

bench-tracker: build $(BENCH_TRACKER) ## 5,000 joins a second for a minute, joins over TLS, 100,000 viewers who stay (JSON; four minutes)
	@$(BENCH_TRACKER) crowd && $(BENCH_TRACKER) tls && $(BENCH_TRACKER) idle

bench-attack: build $(BENCH_TRACKER) ## the tracker under attack, and what honest viewers notice (JSON; three minutes)
	@$(BENCH_TRACKER) attack

bench-rtc: $(BENCH) ## our connections and a seeder beside bare pion, in one run (JSON; a minute)
	@$(BENCH) transfer

BENCH_ORIGIN := bin/bench-origin

$(BENCH_ORIGIN): $(GO_SOURCES) go.mod go.sum player/dist/slipstream.js
	go test -c -o $@ ./origin/bench

bench-origin: setup-ffmpeg setup-nginx $(BENCH_ORIGIN) ## the origin beside nginx, 1,000 viewers, 200 that wait, the price of signatures (JSON; four minutes)
	@$(BENCH_ORIGIN) origin

bench-http3: setup-ffmpeg build $(BENCH_ORIGIN) ## HTTP/3 against HTTP/2 behind 1 % loss and 100 ms of round trip (JSON; two minutes, root)
	@$(BENCH_ORIGIN) http3 -slipstream $(BIN)

bench-low-latency: setup-ffmpeg setup-chromium build ## our LL-HLS beside MediaMTX's, whose binary MEDIAMTX names (JSON; three minutes)
	@cd player && node bench/low-latency.mjs

BENCH_ANNOUNCE := bin/bench-announce

$(BENCH_ANNOUNCE): $(GO_SOURCES) go.mod go.sum
	go test -c -o $@ ./tracker/webtorrent/bench

bench-announce: build $(BENCH_ANNOUNCE) ## WebTorrent announces, ours and bittorrent-tracker in turns, on a core each (JSON; four minutes)
	@$(BENCH_ANNOUNCE) announce -slipstream $(BIN) -rival $(CURDIR)/player/node_modules/bittorrent-tracker/server.js

bench-failover: setup-ffmpeg setup-chromium setup-nginx build ## kill a region twenty times behind nginx, freeze it, gap it (ten minutes)
	cd player && FAILOVER_KILLS=20 node --test e2e/regions.test.mjs

setup-ffmpeg:
	@command -v ffmpeg >/dev/null && command -v ffprobe >/dev/null || { apt-get update && apt-get install -y --no-install-recommends ffmpeg fonts-dejavu-core; }

setup-chromium:
	@command -v chromium >/dev/null || { apt-get update && apt-get install -y --no-install-recommends chromium; }

setup-nginx:
	@command -v nginx >/dev/null || { apt-get update && apt-get install -y --no-install-recommends nginx-light; }

clean: ## remove what was built
	rm -rf bin player/dist player/node_modules
	@git checkout -q -- player/dist 2>/dev/null || true
