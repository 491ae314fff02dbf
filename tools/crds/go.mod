// Custom resources of others that the chart makes: their definitions, for the tests' API server.
module afterbell.dev/tools/crds

go 1.26.0

require (
	github.com/prometheus-operator/prometheus-operator v0.85.0
	sigs.k8s.io/gateway-api v1.6.3
)
