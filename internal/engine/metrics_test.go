package engine

import (
	"strings"
	"testing"

	"gatehouse/internal/stats"
	"gatehouse/internal/stream"
)

func TestMetricsAnswerScrapes(t *testing.T) {
	e := newEdge(t, false)
	e.o.Info = func() *stats.Info { return &stats.Info{Version: "3.4.0"} }
	e.mustApply(strings.Replace(statsConfig, "PORT", freePort(t), 1) + "backend table\n    stick-table type ipv6 size 100\n")
	for _, c := range []struct {
		method, target string
		status         int
		body           string
	}{
		{"GET", "/metrics", 200, `haproxy_process_description{desc="the <box>"} 1`},
		{"GET", "http://h/metrics?scope=server", 200, `haproxy_server_status{proxy="b",server="s1",state="UP"} 1`},
		{"HEAD", "/metrics?scope=frontend", 200, `haproxy_frontend_status{proxy="f",state="UP"} 1`},
		{"GET", "/metrics?scope=", 200, ""},
		{"GET", "/metrics?scope", 400, ""},
		{"POST", "/metrics?scope=frontend", 200, `haproxy_frontend_status{proxy="f",state="UP"} 1`},
		{"GET", "/metrics?scope=backend", 200, `haproxy_backend_downtime_seconds_total{proxy="table"} NaN`},
		{"GET", "/metrics", 200, `haproxy_sticktable_size{name="table",type="ipv6"} 100`},
		{"GET", "/metrics?scope=sticktable&metrics=haproxy_sticktable_used", 200, "# HELP haproxy_sticktable_used Number of entries used in this stick table.\n# TYPE haproxy_sticktable_used gauge\nhaproxy_sticktable_used{name=\"table\",type=\"ipv6\"} 0\n"},
	} {
		s := &stream.Stream{}
		s.Req.Method, s.Req.Target = []byte(c.method), []byte(c.target)
		r := e.metrics(s)
		if r.Status != c.status || !strings.Contains(string(r.Body), c.body) || (len(r.Body) > 0) != (c.body != "") {
			t.Errorf("%s %s: %d, %d bytes\n%.300s", c.method, c.target, r.Status, len(r.Body), r.Body)
		}
	}
}
