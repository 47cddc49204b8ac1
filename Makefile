# Gatehouse. `make demo` shows the main job, `make test` proves it; both install or build what they need.
SHELL := /bin/bash
GO    ?= go
BIN   := bin
export CGO_ENABLED ?= 0

VERSION_FLAGS := -trimpath -ldflags "-s -w"
# What the tests run beside the Go toolchain: command=Debian package.
TEST_TOOLS := haproxy=haproxy socat=socat openssl=openssl curl=curl certbot=certbot python3=python3 ip=iproute2 unshare=util-linux setpriv=util-linux gcc=gcc node=nodejs

.PHONY: all build build-arm64 demo test check fuzz bench deps pebble clean

all: build

build:
	$(GO) build $(VERSION_FLAGS) -o $(BIN)/gatehouse ./cmd/gatehouse

build-arm64:
	GOOS=linux GOARCH=arm64 $(GO) build $(VERSION_FLAGS) -o $(BIN)/gatehouse-arm64 ./cmd/gatehouse

pebble:
	cd tools/pebble && $(GO) build -o ../../$(BIN)/pebble .

# ONCE=1 exits after the renewal instead of staying up.
demo: build pebble
	$(GO) build -o $(BIN)/demo ./tools/demo
	$(BIN)/demo $(if $(ONCE),-once)

# The tools come from Debian through apt when run as root; otherwise one line says what to install.
deps:
	@missing=""; for t in $(TEST_TOOLS); do command -v $${t%%=*} >/dev/null || missing="$$missing $${t##*=}"; done; \
	if [ -n "$$missing" ]; then \
	  if [ "$$(id -u)" = 0 ] && command -v apt-get >/dev/null; then \
	    apt-get update -qq && DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends $$missing; \
	  else echo "please install:$$missing (on Debian: apt-get install$$missing)" >&2; exit 1; fi; fi

check:
	@out="$$(gofmt -l $$(git ls-files '*.go'))"; if [ -n "$$out" ]; then echo "gofmt would change:"; echo "$$out"; exit 1; fi
	$(GO) vet ./...
	cd tools/pebble && $(GO) vet ./...
	$(GO) tool staticcheck ./...
	$(GO) test ./internal

# A skip is a failure here: GATEHOUSE_TEST_REQUIRE=all.
test: deps check build build-arm64
	CGO_ENABLED=1 GATEHOUSE_TEST_REQUIRE=all $(GO) test -race -shuffle=on -timeout 14m ./...

# Every fuzz target in turn, FUZZTIME each. What one finds stays in its testdata/fuzz and is from then on part of the tests. The end
# of the time is sometimes told as a failure of its own ("context deadline exceeded"), which is none.
FUZZTIME ?= 10s
fuzz:
	@bad=""; for f in $$(git ls-files '*_test.go' | xargs grep -o '^func Fuzz[A-Za-z0-9_]*' /dev/null | sed 's,/[^/]*:func ,:,'); do \
	  echo "$${f##*:} in $${f%%:*}"; \
	  out="$$($(GO) test ./$${f%%:*} -run '^$$' -fuzz "^$${f##*:}$$" -fuzztime $(FUZZTIME) -fuzzminimizetime 100x 2>&1)" || \
	    case "$$out" in *"Failing input"*|*panic*|*"build failed"*) bad="$$bad $$f"; echo "$$out";; esac; \
	  echo "$$out" | grep -o 'execs: [0-9]*' | tail -1; done; \
	[ -z "$$bad" ] || { echo "failed:$$bad"; exit 1; }

bench: deps build
	$(GO) run ./bench -out docs/benchmarks.md

clean:
	rm -rf $(BIN)
