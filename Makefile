# Run `make` alone for the list of targets. Each stage of `make test` is a target of its own.

SHELL         := bash
.SHELLFLAGS   := -eu -o pipefail -c
.DEFAULT_GOAL := help
MAKEFLAGS     += --no-print-directory

VERSION   := $(shell git describe --tags --always --dirty 2>/dev/null || echo dev)
CACHE     := $(or $(XDG_CACHE_HOME),$(HOME)/.cache)/llm-proxy
TOOLS     := $(CACHE)/bin
FUZZINPUTS ?= 20000
PRICES    ?= 1.109.1
RELEASES  ?= linux/amd64 linux/arm64 darwin/amd64 darwin/arm64
BUILDFLAGS = -trimpath -ldflags "-s -w -X main.version=$(VERSION)"
COVERFILE := coverage.out
# The race detector needs a C compiler; `make tools` installs one where it may, and the tests say so where they run without.
RACE       = $(shell command -v $${CC:-gcc} >/dev/null && echo -race)
# go test, and at the end what was skipped and why.
TEST       = .ci/test.sh
# Our own packages by place. local/sdktest has a target of its own, as its suites need Node and Python, and so has infra/aws, which deploys the
# stack to a stand-in for AWS.
INFRA      = $(shell go list ./infra/... | grep -v /infra/aws)
LOCAL      = $(shell go list ./local/... 2>/dev/null | grep -v /sdktest)

.PHONY: help run build ui ui-test test tools lint format check race cover unit rules local api sdk aws stack local-api fuzz soak sbom release bench bench-events bench-lambda bench-ui screenshots generate prices vuln clean

help: ## list the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  make %-12s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

run: build ## build, then start the proxy with its built-in stand-in provider: no key, no account
	@bin/llm-proxy server --demo

build: ## build bin/llm-proxy, with the admin site where Node is
	@internal/admin/ui/tools/build.sh --if-possible
	@CGO_ENABLED=0 go build $(BUILDFLAGS) -o bin/llm-proxy ./local/llm-proxy

ui: ## build the admin site for the next build of the binary (Node 20.19 or newer)
	@internal/admin/ui/tools/build.sh

ui-test: ui build ## the admin site: types, unit tests, and its screens in a real Chromium against a real server
	@internal/admin/ui/tools/test.sh

test: ## install what is needed and run everything; prints the time of each stage
	@.ci/stages.sh tools lint ui build ui-test unit cover rules local api sdk aws fuzz

check: ## lint, known vulnerabilities and the tests with the race detector
	@.ci/stages.sh tools lint vuln race

tools: ## install the pinned tools outside the tree
	@infra/tools/install.sh

lint: tools ## format, vet, workflows and golangci-lint, which runs staticcheck, errcheck, bodyclose and more
	@unformatted=$$($(TOOLS)/gofumpt -l .); if [ -n "$$unformatted" ]; then \
		printf 'not in gofumpt form (make format):\n%s\n' "$$unformatted" >&2; exit 1; fi
	@go vet ./...
	@$(TOOLS)/actionlint -shellcheck= -pyflakes=
	@$(TOOLS)/golangci-lint run ./...

format: tools ## write all Go files in gofumpt form
	@$(TOOLS)/gofumpt -w .

race: tools ## every test but the SDK suites, with the race detector
	@$(call require-race)
	@CGO_ENABLED=1 $(TEST) $(RACE) ./internal/... $(INFRA) $(LOCAL)

unit: tools ## the tests of internal/ with the race detector, writing coverage.out
	@$(call require-race)
	@CGO_ENABLED=$(if $(RACE),1,0) $(TEST) $(RACE) -timeout 15m -covermode=atomic -coverpkg=./internal/... -coverprofile=$(COVERFILE) ./internal/...

cover: ## the gate over coverage.out: internal/ at least 90 %, no package below 80 %
	@test -f $(COVERFILE) || { echo "no $(COVERFILE): run make unit first" >&2; exit 1; }
	@go run ./infra/covergate -profile $(COVERFILE) -total 90 -package 80 -generated '*.gen.go'

rules: tools ## tests of the repository itself: imports, secrets, workflows, links
	@$(TEST) -count=1 $(INFRA) # what go list and the linker tell them, go's cache of tests knows nothing of

local: tools ## the tests of the program and its server, and of the functions as they are built
	@if [ -z "$(LOCAL)" ]; then echo "no packages under local/" >&2; exit 1; fi; $(TEST) -timeout 15m $(LOCAL) ./functions/...

api: build ## requests made from the OpenAPI document, against a running server
	@local/apitest/run.sh

sdk: tools ## the official OpenAI SDKs for Go, Python and JavaScript through the proxy
	@local/sdktest/setup.sh
	@$(TEST) -timeout 15m ./local/sdktest/...

fuzz: ## each fuzz target with FUZZINPUTS (20000) inputs
	@.ci/fuzz.sh $(FUZZINPUTS)

soak: ## the server under a mixed load for SOAK (10m), and nothing of it left behind; a minute of it is part of make local
	@SOAK=$(or $(SOAK),10m) go test -count=1 -v -timeout 0 -run '^TestASoakLeavesTheServerAsItWas$$' ./local/faulttest

sbom: build ## bin/llm-proxy.cdx.json: the Go modules and npm packages that bin/llm-proxy consists of, as CycloneDX
	@go run ./infra/sbom -binary bin/llm-proxy -lock internal/admin/ui/package-lock.json -version "$(VERSION)" >bin/llm-proxy.cdx.json

release: ui ## dist/: the program for RELEASES (Linux and macOS), what each consists of, and their checksums
	@rm -rf dist && mkdir dist
	@for release in $(RELEASES); do \
		program=dist/llm-proxy-$${release/\//-}; \
		GOOS=$${release%/*} GOARCH=$${release#*/} CGO_ENABLED=0 go build $(BUILDFLAGS) -o $$program ./local/llm-proxy; \
		go run ./infra/sbom -binary $$program -lock internal/admin/ui/package-lock.json -version "$(VERSION)" >$$program.cdx.json; \
	done
	@cd dist && sha256sum * >SHA256SUMS

bench: build ## CPU, latency and memory beside a direct call, a bare ReverseProxy and nginx; also as JSON to docs/benchmarks
	@go run ./internal/bench/compare -out docs/benchmarks/$$(date -u +%F).json

bench-events: ## a dispatcher over a backlog: a million events to a file, webhooks of 50 ms; events a second, peak memory
	@go test -timeout 30m -run '^$$' -bench '^BenchmarkABacklogIsDelivered$$' -benchtime 1x ./local/llm-proxy

bench-lambda: ## the built function beside a minimal one, at Lambda's shares of a processor: INIT, CPU, memory, sizes; our adapter beside lambdaurl
	@go test -timeout 15m -run '^$$' -bench '^Benchmark(Function|Ready)$$' -benchtime 300x ./functions/proxy
	@go test -run '^$$' -bench '^BenchmarkInvocation$$' -benchtime 5000x ./internal/lambdahttp

# The database is kept for runs of the next hours, one for each version of its tables.
SIZE_DB = $(CACHE)/size-$(notdir $(basename $(lastword $(sort $(wildcard internal/store/sqlite/migrations/*.sql))))).db

bench-ui: ui build ## the site with 100 projects, 100,000 tokens and a million requests: each call of the API, then each screen in a real Chromium
	@mkdir -p $(CACHE)
	@LLM_PROXY_SIZE_DB=$(SIZE_DB) go test -run '^$$' -bench Screens -benchtime 1x -timeout 60m ./internal/manage
	@KIND=paint LLM_PROXY_SIZE_DB=$(SIZE_DB) internal/admin/ui/tools/test.sh

screenshots: ui build ## make the pictures of the site in docs/images anew, with data made for it (Chromium)
	@KIND=shots internal/admin/ui/tools/test.sh

generate: ## write generated code anew
	@go generate ./...

prices: ## take a newer table of prices from LiteLLM's wheel (PRICES=version): its file alone, the library is never installed
	@d=$$(mktemp -d) && trap 'rm -rf "$$d"' EXIT && pip download --quiet --no-deps --only-binary :all: --dest "$$d" litellm==$(PRICES) && \
		(cd internal/usage/price && go run write.go "$$d"/litellm-*.whl)

vuln: tools ## known vulnerabilities in what the programs call; says so where the database does not answer
	@infra/tools/vuln.sh $(TOOLS)/govulncheck

aws: tools ## the template: linted, translated, asserted, and the built stack deployed to a stand-in for AWS
	@infra/aws/tools/install.sh
	@$(TEST) -timeout 25m -count=1 ./infra/aws/...

stack: build ## start what servers and functions find on AWS: bus, queues, bucket, secrets (ministack) and tables (DynamoDB Local)
	@infra/aws/tools/install.sh ministack
	@go build -o bin/stack ./infra/aws/stack && exec bin/stack

local-api: ## serve the functions by sam local start-api, in containers, on such a stack; ADDR=127.0.0.1:3000
	@infra/aws/tools/install.sh ministack sam
	@go build -o bin/stack ./infra/aws/stack && exec bin/stack -api -addr $(or $(ADDR),127.0.0.1:3000)

# What `sam build` calls for each function, with ARTIFACTS_DIR set. GOARCH=amd64 goes with the parameter Architecture=x86_64.
build-Proxy:        ; @$(call build-function,proxy)
build-Management:   ; @$(call build-function,management,-X main.version=$(VERSION))
build-Admin:        ; @$(call build-function,admin)
build-Redrive:      ; @$(call build-function,redrive)
build-Sweep:        ; @$(call build-function,sweep)
build-Setup: # brings the admin site, which is in it
	@internal/admin/ui/tools/build.sh --if-possible
	@$(call build-function,setup)

# One binary for each destination's function: it is linked once and then found up to date.
build-%Dispatcher:
	@GOOS=linux GOARCH=$(or $(GOARCH),arm64) CGO_ENABLED=0 go build -trimpath -tags lambda.norpc -ldflags "-s -w" -o bin/functions/$(or $(GOARCH),arm64)/dispatcher ./functions/dispatcher
	@cp bin/functions/$(or $(GOARCH),arm64)/dispatcher "$(ARTIFACTS_DIR)/bootstrap"

define build-function
GOOS=linux GOARCH=$(or $(GOARCH),arm64) CGO_ENABLED=0 go build -trimpath -tags lambda.norpc -ldflags "-s -w $(2)" -o "$(ARTIFACTS_DIR)/bootstrap" ./functions/$(1)
@for f in providers*.yaml; do if [ -f "$$f" ]; then cp "$$f" "$(ARTIFACTS_DIR)/"; fi; done
endef

clean: ## remove what was built
	@rm -rf bin dist .aws-sam $(COVERFILE)

define require-race
if [ -z "$(RACE)" ]; then echo "WITHOUT the race detector: it needs a C compiler (apt-get install gcc libc6-dev)" >&2; fi
endef
