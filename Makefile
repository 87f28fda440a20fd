SHELL := /bin/bash
.SHELLFLAGS := -eu -o pipefail -c
.DEFAULT_GOAL := help
# Paths of this clone are left out, so that clones share what the build cache holds.
export GOFLAGS ?= -buildvcs=false -trimpath
SUITE ?=
DATA ?= mirrorcycle-data

help: ## list the targets
	@sed -n 's/^\([a-z-]*\):.*## /\1	/p' $(MAKEFILE_LIST) | expand -t 13

run: build ## mirror a demo upstream (or SPEC=mirrors.toml) with everything on this machine
	@bin/starter up $(SPEC) --dir $(DATA)

test: $(if $(filter fast race,$(SUITE)),,build) ## run the tests; SUITE=fast needs neither root nor a server
	@test/prepare $(SUITE)
	@go run ./test/suites $(SUITE)

wheels-field: build ## build what the field has: real sdists of every backend on three Debians, and a branch of OpenStack
	@test/prepare wheels
	@go run ./test/suites wheels-field

check: ## gofmt, vet, staticcheck, workflowcheck, house rules
	@test/check

sbom: ## write bin/sbom: what each program is made of (CycloneDX), and the licences that go along with it
	@go run ./deploy/sbom -version "$$(git rev-parse --short=12 HEAD 2>/dev/null)" -o bin/sbom

release: ## build bin/release: programs, bills, checksums; KEY=FILE (of ssh-keygen) signs these
	@deploy/release bin/release $(KEY)

screenshots: build ## take the pictures of docs/images anew: terminal, Web UI and status page, in a browser
	@test/prepare site
	@mkdir -p docs/images
	@MIRRORCYCLE_SHOTS="$(abspath docs/images)" go test -count=1 -run 'TestWebUI|TestUpOnATerminal' ./test/site

bench: build ## measure; prints ratios of paired runs
	@test/prepare bench
	@go test -run '^$$' -bench . -skip Soak -benchtime 1x -timeout 60m -v ./test/bench ./internal/release/dir ./internal/manifest ./internal/pypi

soak: build ## 1,000 cycles with changes: files, state, memory and descriptors must not grow (BENCH_SOAK=100 for fewer)
	@test/prepare bench
	@go test -run '^$$' -bench Soak -benchtime 1x -timeout 60m -v ./test/bench

scale: build ## run cycles of 200 mirrors in 30 regions and a fetch of 50,000 shards, with activities that only answer
	@MIRRORCYCLE_SCALE=1 go test -count=1 -timeout 120m -v -run Many ./test/scale

build: bin/temporal-dev ## build bin/
	@go build -o bin/ ./starter ./worker

bin/temporal-dev: $(wildcard devserver/*.go) devserver/go.mod
	@if [[ -n "$${TEMPORAL_ADDRESS:-}" ]] || command -v temporal >/dev/null; then exit 0; fi; \
	echo "Building the embedded Temporal server, once: about 5 minutes and 3 GB of memory on two cores."; \
	cd devserver && go build -trimpath -ldflags '-s -w' -o ../bin/temporal-dev .

afs-cell: ## bring up an OpenAFS cell on this machine (root; Debian's packages) and tell how to use it
	@test/prepare afs
	@deploy/afs-cell/cell up
	@deploy/afs-cell/cell status
	@deploy/afs-cell/cell help || true

run-afs: build ## mirror a demo upstream through an OpenAFS cell (root), with a web server for each site
	@test/prepare afs
	@go build -o bin/ ./deploy/afs-cell/forward
	@deploy/afs-cell/run bin $(DATA)

prodlike: build bin/temporal-server ## the production services (PostgreSQL, Temporal, three workers, nginx, Prometheus) as plain processes
	@test/prepare deploy
	@deploy/prodlike/run bin $(DATA)/prodlike

# Temporal's own programs, from the pinned module.
bin/temporal-server: devserver/go.mod
	@cd devserver && for p in temporal-sql-tool=go.temporal.io/server/cmd/tools/sql temporal-ui=github.com/temporalio/ui-server/v2/cmd/server \
		temporal-server=go.temporal.io/server/cmd/server; do \
		go build -trimpath -ldflags '-s -w' -o ../bin/$${p%%=*} $${p#*=}; \
	done

clean: ## remove what was built, and the demo's data
	@if [[ -d "$(DATA)/cell" ]]; then AFS_CELL_DIR="$(abspath $(DATA))/cell" deploy/afs-cell/cell down --wipe; fi
	@rm -rf bin .cache $(DATA)

.PHONY: help run test wheels-field check sbom release screenshots bench soak scale build afs-cell run-afs prodlike clean
