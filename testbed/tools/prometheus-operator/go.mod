module modelfleet.dev/tests/prometheus-operator

go 1.26.0

// no program: the kinds of the Prometheus Operator, which the chart's monitors and rules are checked by
require github.com/prometheus-operator/prometheus-operator v0.92.1
