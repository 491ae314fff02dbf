# Every target works on a fresh clone: what it needs is installed into .venv first, once.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
INSTALLED := $(VENV)/.installed
.DEFAULT_GOAL := help
GO ?= go
# Tests wait more than they compute, so more of them run side by side than there are cores.
WORKERS ?= 4
SIDE_BY_SIDE = -n $(WORKERS) --dist loadscope --no-loadscope-reorder
CHECKS := formatted ruff typed layered
HAS_NODE := command -v npm >/dev/null && node -e 'process.exit(parseInt(process.versions.node) < 20)' 2>/dev/null
PIP := $(BIN)/python -m pip install --quiet --disable-pip-version-check
WEB := services/afterbell/web
LIVE_CLIENT := $(WEB)/vendor/socket.io.esm.min.js
TOXIPROXY := .tools/toxiproxy-server
CONTROL_PLANE := $(addprefix .tools/,kube-apiserver kube-controller-manager kube-scheduler kubectl)
HELM := .tools/helm
CRDS := .tools/crds
NODE := $(addprefix .node/bin/,kubelet kube-proxy coredns kube-router pause)
IMAGES_AS = $(if $(BASE),--base $(BASE)) $(if $(OTEL),--otel) $(if $(STORAGE),--storage $(STORAGE)) \
  $(if $(PIP_CONFIG),--pip-config $(PIP_CONFIG)) $(if $(CERTIFICATES),--certificates $(CERTIFICATES))
version_of = $(shell awk '$$1 == "$(2)" { print $$2; exit }' tools/$(1)/go.mod)
GO_BUILD := CGO_ENABLED=0 $(GO) build -trimpath -ldflags
.PHONY: $(CHECKS) pure lint docs lint-workflows release wheel help setup demo dev web images test-node node test test-chart lint-chart test-cluster test-edge test-web test-faults test-observability test-realtime test-wheel loadtest soak tools check format reference manifests lock clean \
	$(addprefix bench-,admin api queue operator realtime reports)

help:  ## Show this help
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | awk -F ':.*## ' '{printf "  make %-12s %s\n", $$1, $$2}'

setup: $(INSTALLED)  ## Install everything into .venv (the other targets do this by themselves)

$(INSTALLED): requirements/dev.txt pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "Afterbell needs Python 3.11 or newer; set PYTHON=")'
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(PIP) --require-hashes -r requirements/dev.txt
	$(PIP) --no-deps --no-build-isolation -e .
	@touch $@

demo: $(INSTALLED)  ## Run the main job: an example session becomes a report, on the real parts
	$(BIN)/afterbell demo $(ARGS)

dev: $(INSTALLED) web  ## Run the whole platform on this machine and keep serving
	$(BIN)/afterbell dev $(ARGS)

test: $(INSTALLED) tools web lint  ## Lint, then run every test but the long fault cases; needs nothing but Python
	$(BIN)/pytest $(SIDE_BY_SIDE) -m "not long and not node" --durations=20 --durations-min=1 $(ARGS)

web:  ## Put socket.io-client beside the classroom page; Node 20, where it is missing, comes from PyPI
	@$(MAKE) --no-print-directory $(LIVE_CLIENT) || \
	  { echo "npm's packages could not be had: the classroom page will ask every few seconds instead of being live"; test -z "$$CI"; }

$(LIVE_CLIENT): $(WEB)/node_modules/.installed
	mkdir -p $(@D)
	sed '/^\/\/# sourceMappingURL=/d' $(WEB)/node_modules/socket.io-client/dist/$(@F) >$@
	cp $(WEB)/node_modules/socket.io-client/LICENSE $(@D)/LICENSE-socket.io-client

$(WEB)/node_modules/.installed: $(WEB)/package.json $(WEB)/package-lock.json $(WEB)/.npmrc requirements/node.txt | $(INSTALLED)
	$(HAS_NODE) || $(PIP) --require-hashes -r requirements/node.txt
	export PATH="$(CURDIR)/$(BIN):$$PATH" && cd $(WEB) && npm ci --no-progress --loglevel=error
	@touch $@

images: $(INSTALLED) web  ## Build the images, by buildah, podman or docker: BASE= OTEL=1 PIP_CONFIG= CERTIFICATES= ARGS=--twice
	PYTHONPATH=. $(BIN)/python -m tools.images.build $(IMAGES_AS) $(ARGS)

node: $(INSTALLED) web tools $(NODE)  ## Build all that a test node needs: kubelet and others from Go modules, images. Takes what `make images` takes
	PYTHONPATH=. $(BIN)/python -m tools.node.archives $(IMAGES_AS)

test-node: node  ## Install the chart on a real node from real images, and break it; needs root, and Go once
	$(BIN)/pytest -q --timed tests/node $(ARGS)

test-web: $(INSTALLED) web  ## Run the tests of the client module and of the classroom page, in Node and in Chromium
	$(BIN)/pytest tests/web $(ARGS)

test-edge: $(INSTALLED) tools  ## Try what strangers, old tokens and a stolen account of the operator may try; prints attack, before, now
	$(BIN)/pytest -q -m edge --attacks $(ARGS)

test-cluster: $(INSTALLED) tools  ## Run the tests that need a Kubernetes cluster: a real control plane, pods as processes
	$(BIN)/pytest -m cluster --timed $(ARGS)

test-chart: $(INSTALLED) tools lint-chart  ## Check, render and install the Helm chart, on a real API server with pods as processes
	$(BIN)/pytest -n 2 --dist loadscope --timed tests/chart $(ARGS)

LINTERS := checkov==3.3.30 kubernetes-validate==1.37.0 yamllint==1.38.0
lint-chart: tools  ## Check the rendered chart with checkov, kubernetes-validate and yamllint, from PyPI (400 MB, once)
	@test -x .tools/lint/bin/checkov || { $(PYTHON) -m venv .tools/lint && .tools/lint/bin/pip install --quiet $(LINTERS); }
	.tools/lint/bin/yamllint --strict charts/afterbell skaffold.yaml .checkov.yaml
	@for profile in dev production free-tier large; do \
	  $(HELM) lint --strict --quiet charts/afterbell -f charts/afterbell/values/$$profile.yaml || exit 1; \
	  $(HELM) template afterbell charts/afterbell -n afterbell -f charts/afterbell/values/$$profile.yaml >.tools/lint/$$profile.yaml || exit 1; \
	  .tools/lint/bin/kubernetes-validate --strict --quiet .tools/lint/$$profile.yaml || exit 1; \
	  .tools/lint/bin/checkov --config-file .checkov.yaml -f .tools/lint/$$profile.yaml || exit 1; \
	  echo "$$profile: $$(grep -c '^kind:' .tools/lint/$$profile.yaml) objects, nothing to complain about"; done

test-observability: $(INSTALLED) tools  ## Scripted load under a real Prometheus: every panel shows data, every alert fires and resolves
	$(BIN)/pytest --timed tests/observability $(ARGS)

test-faults: $(INSTALLED) tools  ## Break every part in turn, all cases; writes docs/reference/fault-ledger.md
	$(BIN)/pytest -n 2 --dist worksteal --timed tests/faults --ledger docs/reference/fault-ledger.md $(ARGS)

test-realtime: $(INSTALLED) web  ## Live channel, all cases: Redis killed 8 s and 60 s, hung 10 s, drain of 200 clients, churn
	$(BIN)/pytest --timed tests/realtime tests/web $(ARGS)

soak: $(INSTALLED) tools  ## Break parts at random for MINUTES=10, repeatable with SEED=
	$(BIN)/python -m tests.faults.soak --minutes $(or $(MINUTES),10) $(if $(SEED),--seed $(SEED))

tools:  ## Build the test tools written in Go, where Go is installed, and unpack Debian's Prometheus
	@if command -v $(GO) >/dev/null; then $(MAKE) --no-print-directory $(TOXIPROXY) $(CONTROL_PLANE) $(HELM) $(CRDS); \
	else echo "no Go: the tests that need the fault proxy or a Kubernetes cluster will be skipped (install Go 1.24 or newer)"; fi
	@test -x .tools/prometheus/promtool || sh tools/prometheus/install.sh .tools/prometheus || test -z "$$CI"

$(TOXIPROXY): tools/toxiproxy/go.mod tools/toxiproxy/go.sum
	cd tools/toxiproxy && $(GO_BUILD) "-s -w" -o $(CURDIR)/$@ github.com/Shopify/toxiproxy/v2/cmd/server

# Kubernetes itself, from its Go modules. Without its version the API server would call itself v0.0.0-master.
$(CONTROL_PLANE): VERSION = $(call version_of,control-plane,k8s.io/kubernetes)
$(CONTROL_PLANE): .tools/%: tools/control-plane/go.mod tools/control-plane/go.sum
	@echo "building $* $(VERSION), once; all four take about 7 minutes on two cores"
	cd tools/control-plane && $(GO_BUILD) "-s -w -X k8s.io/component-base/version.gitVersion=$(VERSION) \
	  -X k8s.io/client-go/pkg/version.gitVersion=$(VERSION)" -o $(CURDIR)/$@ k8s.io/kubernetes/cmd/$*

.node/bin/kubelet .node/bin/kube-proxy: VERSION = $(call version_of,control-plane,k8s.io/kubernetes)
.node/bin/kubelet .node/bin/kube-proxy: .node/bin/%: tools/control-plane/go.mod tools/control-plane/go.sum
	@echo "building $* $(VERSION), once; both take about 3 minutes on two cores"
	cd tools/control-plane && $(GO_BUILD) "-s -w -X k8s.io/component-base/version.gitVersion=$(VERSION) \
	  -X k8s.io/client-go/pkg/version.gitVersion=$(VERSION)" -o $(CURDIR)/$@ k8s.io/kubernetes/cmd/$*

.node/bin/coredns .node/bin/pause: .node/bin/%: tools/node/%/main.go tools/node/%/go.mod
	cd tools/node/$* && $(GO_BUILD) "-s -w" -o $(CURDIR)/$@ .

.node/bin/kube-router: tools/node/kube-router/go.mod tools/node/kube-router/go.sum
	@echo "building kube-router, once; it takes about 4 minutes on two cores"
	cd tools/node/kube-router && $(GO_BUILD) "-s -w" -o $(CURDIR)/$@ github.com/cloudnativelabs/kube-router/v2/cmd/kube-router

$(HELM): VERSION = $(call version_of,helm,helm.sh/helm/v4)
$(HELM): tools/helm/go.mod tools/helm/go.sum
	@echo "building helm $(VERSION), once; it takes about 2 minutes on two cores"
	cd tools/helm && $(GO_BUILD) "-s -w -X helm.sh/helm/v4/internal/version.version=$(VERSION)" -o $(CURDIR)/$@ \
	  helm.sh/helm/v4/cmd/helm

# Definitions of the custom resources of others that the chart makes; `go mod download` compares them with go.sum.
$(CRDS): tools/crds/go.mod tools/crds/go.sum
	@mkdir -p $@
	cd tools/crds && $(GO) mod download && install -m 644 \
	  "$$($(GO) list -m -f '{{.Dir}}' sigs.k8s.io/gateway-api)"/config/crd/standard/*_httproutes.yaml \
	  "$$($(GO) list -m -f '{{.Dir}}' github.com/prometheus-operator/prometheus-operator)"/example/prometheus-operator-crd/*_pod*.yaml \
	  "$$($(GO) list -m -f '{{.Dir}}' github.com/prometheus-operator/prometheus-operator)"/example/prometheus-operator-crd/*rules.yaml \
	  $(CURDIR)/$@
	@touch $@

check: $(INSTALLED)  ## Lint, types, import contracts and the pure tests, side by side; under a minute
	@$(MAKE) --no-print-directory -j $(CHECKS) pure

lint: $(INSTALLED)  ## Lint, types and import contracts
	@$(MAKE) --no-print-directory -j $(CHECKS)

formatted:
	$(BIN)/ruff format --check --quiet .

ruff:
	$(BIN)/ruff check --quiet .

typed:
	$(BIN)/mypy

layered:
	$(BIN)/lint-imports --no-logo >/dev/null || $(BIN)/lint-imports --no-logo

pure:
	$(BIN)/pytest -q -n 2 tests/core tests/architecture

format: $(INSTALLED)  ## Format the code and mend what can be mended by itself
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

wheel: $(INSTALLED) web  ## Build the wheel into dist/
	rm -rf dist && $(BIN)/python -m build --quiet --wheel --no-isolation --outdir dist

docs: .tools/docs/.installed  ## Build the documentation site into dist/site
	.tools/docs/bin/mkdocs build --quiet

.tools/docs/.installed: requirements/docs.txt
	$(PYTHON) -m venv --clear .tools/docs
	.tools/docs/bin/pip install --quiet --disable-pip-version-check --require-hashes -r requirements/docs.txt
	@touch $@

lint-workflows:  ## Check the GitHub workflows with actionlint and zizmor
	GOBIN=$(CURDIR)/.tools $(GO) install github.com/rhysd/actionlint/cmd/actionlint@v1.7.7
	@test -x .tools/zizmor/bin/zizmor || { $(PYTHON) -m venv .tools/zizmor && .tools/zizmor/bin/pip install --quiet zizmor==1.32.0; }
	.tools/actionlint .github/workflows/*.yml
	.tools/zizmor/bin/zizmor --offline --config .github/zizmor.yml .github/workflows

release: $(INSTALLED) tools  ## Prepare a release: VERSION=1.2.3 everywhere, the changelog, what is rendered from the chart
	@test -n "$(VERSION)" || { echo "which version? make release VERSION=1.2.3"; exit 2; }
	$(BIN)/python tools/release.py prepare "$(VERSION)" "$$(date -u +%F)"
	$(BIN)/python tools/chart_reference.py
	$(MAKE) --no-print-directory manifests
	@echo "look at the diff, commit it as 'Release $(VERSION)', then: git tag -s v$(VERSION) && git push --follow-tags"

test-wheel: $(INSTALLED) web  ## Build the wheel, install it into an empty environment and run the main job from it
	rm -rf dist && $(BIN)/python -m build --quiet --wheel --no-isolation --outdir dist
	$(PYTHON) -m venv --clear dist/venv
	dist/venv/bin/python -m pip install --quiet --disable-pip-version-check "$$(ls $(CURDIR)/dist/*.whl)[embedded,api,worker]"
	cd dist && venv/bin/python -c 'from afterbell.api.classroom import missing; print(missing() or "the classroom page is complete")'
	cd dist && venv/bin/afterbell demo --pace none

bench-api: $(INSTALLED)  ## Measure the API under load, beside Express + BullMQ where Node is present
	@$(BIN)/python benchmarks/api.py $(ARGS)

bench-queue: $(INSTALLED)  ## Measure the queue: speed, cost, recovery, limiter; beside BullMQ and others where installed
	@$(BIN)/python benchmarks/queues.py $(ARGS)

bench-reports: $(INSTALLED)  ## Measure the reports: quality over AFTERBELL_DATA, cost, speed; writes bench-reports.html
	@$(BIN)/python benchmarks/reports.py $(ARGS)

bench-realtime: $(INSTALLED)  ## Measure a thousand sockets over two processes, beside Socket.IO on Node where it is present
	@$(BIN)/python benchmarks/realtime.py $(ARGS)

bench-admin: $(INSTALLED)  ## Measure the admin API over 100,000 finished and 10,000 waiting jobs
	@$(BIN)/python benchmarks/admin.py $(ARGS)

loadtest: $(INSTALLED)  ## A platform's worst day: requests, reports, sockets, 3,000 reports; writes loadtest.html
	@$(BIN)/python benchmarks/loadtest.py $(ARGS)

bench-operator: $(INSTALLED) tools  ## Measure the operator on a real control plane: reaction, scale-ins, idle cost, take-over
	@PYTHONPATH=. $(BIN)/python benchmarks/scaling.py $(ARGS)

reference: $(INSTALLED)  ## Write the generated reference pages, dashboards and rules anew
	PYTHONPATH=services $(BIN)/python tools/settings_table.py
	PYTHONPATH=services:operator $(BIN)/python tools/chart_reference.py
	PYTHONPATH=services:operator $(BIN)/python tools/metrics_reference.py
	PYTHONPATH=. $(BIN)/python -m tools.dashboards.write
	$(BIN)/python tools/slo_rules.py

prices: $(INSTALLED)  ## Write the bundled price list anew from genai-prices, with the day in DAY=
	$(BIN)/python tools/price_list.py --day $(DAY)

manifests: $(INSTALLED) tools  ## Render manifests/ from the chart, for people without Helm
	$(BIN)/python tools/manifests.py

lock: $(INSTALLED)  ## Resolve the pinned requirements anew from pyproject.toml
	for extra in api worker operator otel embedded node docs dev; do \
	  $(BIN)/uv pip compile --quiet --universal --generate-hashes --no-emit-index-url --no-header \
	    --extra $$extra pyproject.toml -o requirements/$$extra.txt || exit 1; done

clean:  ## Remove .venv, the private engines' data and every cache
	rm -rf $(VENV) $(WEB)/node_modules $(WEB)/vendor .tools .node .afterbell .mypy_cache .ruff_cache .pytest_cache .hypothesis dist
