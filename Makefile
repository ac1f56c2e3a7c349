# `make` alone prints every target. What a commit must pass is `make check`.

VERSION ?= $(shell git describe --tags --always --dirty 2>/dev/null || echo development)
COMMIT  ?= $(shell git rev-parse --verify --quiet HEAD 2>/dev/null || echo unknown)
LDFLAGS  = -s -w -X main.version=$(VERSION) -X main.commit=$(COMMIT)

# Packages that start goroutines: their tests also run under the race detector.
CONCURRENT = ./cmd/... ./node ./node/cache ./node/loop ./node/parts ./node/replica ./node/rpc ./persist/... ./transport/...

SEED     ?= 1
COUNT    ?= 500
FUZZTIME ?= 30s
SOAK     ?= 3m
SEEDS    ?= 1000
ARGS     ?=

.PHONY: help
help: ## print this list
	@awk -F ':.*## ' '/^[a-z]+:.*## / { printf "  make %-10s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

.PHONY: run
run: ## run one node here until Ctrl-C: HTTP on :8080, data in ./pxkv-data (more flags: ARGS="--name n1")
	@echo "building pxkv (the first time takes some minutes)"
	@go build -ldflags "$(LDFLAGS)" -o bin/pxkv ./cmd/pxkv
	@./bin/pxkv serve $(ARGS)

.PHONY: build
build: ## build the static binary bin/pxkv
	CGO_ENABLED=0 go build -trimpath -ldflags "$(LDFLAGS)" -o bin/pxkv ./cmd/pxkv

.PHONY: install
install: ## put pxkv into Go's bin directory, as go install ./cmd/pxkv does
	CGO_ENABLED=0 go install -trimpath -ldflags "$(LDFLAGS)" ./cmd/pxkv

.PHONY: test
test: ## run all tests
	go test -timeout 10m ./...

.PHONY: lint
lint: ## format, vet, and what .golangci.yml asks for
	@unformatted=$$(gofmt -l .); [ -z "$$unformatted" ] || { echo "run gofmt -w on:"; echo "$$unformatted"; exit 1; }
	go vet ./...
	go tool -modfile=deploy/lint/go.mod golangci-lint run

.PHONY: race
race: ## the packages that start goroutines, under the race detector
	go test -timeout 20m -race $(CONCURRENT)

.PHONY: check
check: lint ## all that a commit must pass: lint, tests with invariants, race
	go test -timeout 10m -tags invariants ./...
	$(MAKE) race

.PHONY: sim
sim: ## simulate whole clusters: COUNT schedules from SEED on; SIM_LONG=1 long ones, SIM_LOG=1 shows what the nodes log
	./deploy/sim.sh $(SEED) $(COUNT)

.PHONY: leases
leases: ## leaders that read alone among all that may go wrong with them: COUNT schedules from SEED on
	LEASE_SEED=$(SEED) LEASE_COUNT=$(COUNT) go test -timeout 0 -count=1 -v -run '^TestLeasePromise$$' ./node/replica

.PHONY: layers
layers: ## run whole nodes in virtual time among random clients and faults: COUNT schedules from SEED on
	LAYERS_SEED=$(SEED) LAYERS_COUNT=$(COUNT) go test -timeout 0 -count=1 -run '^TestLayers$$' ./node

.PHONY: crashes
crashes: ## kill the store at any operation, and cut its power, again and again: SEEDS=1000
	PXKV_CRASH_SEEDS=$(SEEDS) go test -timeout 0 -count=1 -run '^TestCrashes$$' ./persist/...

.PHONY: planted
planted: ## plant each known bug and require that it is found (BUG=NAME: only that one)
	./deploy/planted/run.sh $(BUG)

.PHONY: processes
processes: ## faults against three real processes, checked for linearizability
	go test -timeout 25m -count=1 -v -tags processes -skip '^TestRedis' ./deploy/processes

.PHONY: failover
failover: ## kill leaders KILLS=50 times under load, and print how long their partitions took no writes (OLD=path: beside another build)
	FAILOVER_KILLS=$(or $(KILLS),50) FAILOVER_OLD=$(OLD) go test -timeout 0 -count=1 -v -tags processes -run '^TestFailover$$' ./deploy/processes

.PHONY: million
million: ## import IMPORT_PAIRS=1000000 pairs into three real processes, killed five times, and export them
	IMPORT_PAIRS=$(or $(IMPORT_PAIRS),1000000) go test -timeout 20m -count=1 -v -tags processes -run '^TestMillionPairs$$' ./deploy/processes

.PHONY: idle
idle: ## what three nodes cost that do nothing: PARTITIONS=1024 (OLD=path: beside another build)
	IDLE_PARTITIONS=$(or $(PARTITIONS),1024) IDLE_OLD=$(OLD) \
		go test -timeout 0 -count=1 -v -tags processes -run '^TestIdle$$' ./deploy/processes

.PHONY: growth
growth: ## how long one node takes to become three: PARTITIONS=64 BYTES=0 (OLD=path: beside another build; more in growth_test.go)
	GROW_PARTITIONS=$(or $(PARTITIONS),64) GROW_BYTES=$(or $(BYTES),0) GROW_OLD=$(OLD) \
		go test -timeout 0 -count=1 -v -tags processes -run '^TestGrowth$$' ./deploy/processes

.PHONY: soak
soak: ## all faults at once against real processes for SOAK=3m, and a table of what they used (root: networks and full disks too)
	SOAK=$(SOAK) go test -timeout 0 -count=1 -v -tags processes,soak -run '^TestSoak$$' ./deploy/processes

.PHONY: redis
redis: ## the Redis protocol of real processes beside a real Redis, and real clients of it
	go test -timeout 10m -count=1 -v -tags processes -run '^TestRedis' ./deploy/processes

.PHONY: containers
containers: ## the same with docker-compose.yml; without a Docker engine it says so
	./deploy/containers_test.sh

.PHONY: bench
bench: ## measure a running node (flags: ARGS="put --servers http://127.0.0.1:8080")
	go run ./cmd/pxkv bench $(ARGS)

.PHONY: compare
compare: ## measure three nodes beside etcd and a bare handler; settings are in deploy/compare.sh
	./deploy/compare.sh

.PHONY: redisbench
redisbench: ## measure three nodes beside a Redis with redis-benchmark; settings are in deploy/redisbench.sh
	./deploy/redisbench.sh

.PHONY: versus
versus: ## measure two builds side by side: OLD=path of a pxkv binary, NEW=path (default: this code)
	OLD=$(OLD) NEW=$(NEW) ./deploy/versus.sh

.PHONY: lists
lists: ## measure lists that find nothing in many keys, and puts beside them: KEYS=200000; settings are in deploy/lists.sh
	./deploy/lists.sh

.PHONY: up
up: ## three nodes in containers: HTTP on 127.0.0.1:8080, 8081, 8082
	docker compose up --build

.PHONY: fuzz
fuzz: ## fuzz every parser for a while each: FUZZTIME=30s
	@for dir in $$(grep -rl --include='*_test.go' '^func Fuzz' . | xargs -r -n1 dirname | sort -u); do \
		for name in $$(grep -h -o '^func Fuzz[A-Za-z0-9_]*' $$dir/*_test.go | cut -d' ' -f2); do \
			echo "$$dir $$name"; \
			go test -run '^$$' -fuzz "^$$name\$$" -fuzztime $(FUZZTIME) $$dir || exit 1; \
		done; \
	done

.PHONY: clean
clean: ## remove what was built (never data)
	rm -rf bin
	go clean -testcache
