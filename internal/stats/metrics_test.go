package stats

import (
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"
)

func scrape(t *testing.T, query string, rows ...*Row) string {
	t.Helper()
	q, ok := ParseMetricsQuery(query)
	if !ok {
		t.Fatalf("%q is malformed", query)
	}
	m := NewMetrics(q, func(proxy string) string { return "about " + proxy })
	m.Info(&Info{Version: "3.4.0", Node: "n\"1\\\n", Description: "here"}, testTime)
	for _, r := range rows {
		m.Row(r)
	}
	return string(m.Append(nil))
}

// someRows are a listen section with a checked server and one in maintenance, and a section in mode tcp.
func someRows() []*Row {
	var c Counters
	c.Status(404)
	maint, front, bind, back, tcp := new(Row), new(Row), new(Row), new(Row), new(Row)
	FrontendFacts{Name: "be", Mode: "http", Status: "OPEN", Counters: &c}.Row(front, testTime)
	ListenerFacts{Proxy: "be", Name: "sock-1", Mode: "http", Status: "OPEN", Counters: &c}.Row(bind, testTime)
	ServerFacts{Proxy: "be", Name: "s2", Mode: "http", Status: "MAINT", LastChange: testTime, Counters: &c}.Row(maint, testTime)
	BackendFacts{Name: "be", Mode: "http", Status: "UP", LastChange: testTime, Counters: &c}.Row(back, testTime)
	FrontendFacts{Name: "t", Mode: "tcp", Status: "STOP", Counters: &c}.Row(tcp, testTime)
	return []*Row{front, bind, checkedServer(), maint, back, tcp}
}

var sampleLine = regexp.MustCompile(`^([a-z_:][a-z0-9_:]*)(\{[a-z]+="(?:[^"\\]|\\["\\n])*"(?:,[a-z]+="(?:[^"\\]|\\["\\n])*")*\})? (\S+)$`)

func TestMetricsAreWellFormed(t *testing.T) {
	seen := map[string]bool{} // series
	typed := map[string]string{}
	family := ""
	for line := range strings.Lines(scrape(t, "desc-labels&extra-counters", someRows()...)) {
		line = strings.TrimSuffix(line, "\n")
		if rest, ok := strings.CutPrefix(line, "# HELP "); ok {
			name, text, _ := strings.Cut(rest, " ")
			if family = name; text == "" || strings.Contains(text, `\`) || typed[name] != "" {
				t.Errorf("bad or second help: %s", line)
			}
			continue
		}
		if rest, ok := strings.CutPrefix(line, "# TYPE "); ok {
			name, kind, _ := strings.Cut(rest, " ")
			if typed[name] = kind; name != family || kind != "counter" && kind != "gauge" {
				t.Errorf("bad type: %s", line)
			}
			continue
		}
		m := sampleLine.FindStringSubmatch(line)
		if m == nil || m[1] != family || typed[family] == "" || seen[m[1]+m[2]] {
			t.Errorf("bad sample below %s: %s", family, line)
			continue
		}
		seen[m[1]+m[2]] = true
		if _, err := strconv.ParseFloat(m[3], 64); err != nil {
			t.Errorf("%s: %v", line, err)
		}
	}
	if len(typed) < 200 {
		t.Errorf("only %d families", len(typed))
	}
}

func TestMetricsSayWhatTheRowsSay(t *testing.T) {
	all := scrape(t, "", someRows()...)
	for _, want := range []string{
		`haproxy_process_node{node="n\"1\\\n"} 1`,
		`haproxy_process_build_info{version="3.4.0"} 1`,
		`haproxy_process_description{desc="here"} 1`,
		"# TYPE haproxy_process_pipes_used_total counter",
		`haproxy_frontend_status{proxy="be",state="UP"} 1`,
		`haproxy_frontend_status{proxy="t",state="DOWN"} 1`,
		`haproxy_frontend_http_responses_total{proxy="be",code="4xx"} 1`,
		`haproxy_listener_status{proxy="be",listener="sock-1",state="WAITING"} 0`,
		`haproxy_backend_agg_server_status{proxy="be",state="MAINT"} 1`,
		`haproxy_backend_agg_server_status{proxy="be",state="UP"} 1`,
		`haproxy_backend_agg_check_status{proxy="be",state="L7OK"} 1`,
		`haproxy_server_status{proxy="be",server="s\"1,x",state="UP"} 1`,
		`haproxy_server_check_status{proxy="be",server="s\"1,x",state="L7OK"} 1`,
		`haproxy_server_check_status{proxy="be",server="s\"1,x",state="HANA"} 0`,
		`haproxy_server_check_code{proxy="be",server="s\"1,x"} 200`,
		`haproxy_server_check_duration_seconds{proxy="be",server="s\"1,x"} 0.003000`,
		`haproxy_server_limit_sessions{proxy="be",server="s\"1,x"} 7`,
		`haproxy_server_limit_sessions{proxy="be",server="s2"} NaN`,
		`haproxy_server_check_failures_total{proxy="be",server="s2"} NaN`,
		"# TYPE haproxy_server_downtime_seconds_total counter",
		"# TYPE haproxy_backend_active_servers gauge",
	} {
		if !strings.Contains(all, want+"\n") {
			t.Errorf("no line %s", want)
		}
	}
	for _, not := range []string{
		`haproxy_frontend_http_requests_total{proxy="t"`, `haproxy_frontend_http_responses_total{proxy="t"`,
		`haproxy_server_check_status{proxy="be",server="s2"`, "ssl_sess", `desc="about`,
	} {
		if strings.Contains(all, not) {
			t.Errorf("there is %s", not)
		}
	}
}

func TestMetricsQueries(t *testing.T) {
	rows := someRows()
	for _, c := range []struct{ query, has, not string }{
		{"scope=server", "haproxy_server_", "haproxy_(process|frontend|listener|backend)_"},
		{"scope=frontend&scope=backend", "haproxy_frontend_[^#]*haproxy_backend_", "haproxy_(process|listener|server)_"},
		{"scope=listener", "haproxy_listener_", "haproxy_(process|frontend|backend|server)_"},
		{"scope=&scope=global", "haproxy_process_", "haproxy_(frontend|listener|backend|server)_"},
		{"scope=global&scope=", "^$", "."},
		{"scope=%2a", "haproxy_process_", "^$"},
		{"no-maint&scope=server&scope=backend", `agg_server_status{proxy="be",state="MAINT"} 1`, `server="s2"`},
		{"metrics=-haproxy_server_weight,&scope=server", "haproxy_server_uweight", "haproxy_server_weight"},
		{"metrics=haproxy_server_weight,haproxy_frontend_status", "haproxy_server_weight", "haproxy_(process|server_u)"},
		{"desc-labels&scope=server", `{proxy="be",server="s2",desc="about be",state="UP"}`, "^$"},
		{"extra-counters&scope=server", `haproxy_server_ssl_sess{proxy="be",server="s2",mod="ssl"} 0`, "^$"},
	} {
		out := strings.ReplaceAll(scrape(t, c.query, rows...), "#", "")
		if !regexp.MustCompile("(?s)"+strings.NewReplacer("{p", `\{p`, `"}`, `"\}`).Replace(c.has)).MatchString(out) || regexp.MustCompile(c.not).MatchString(out) {
			t.Errorf("%s: wants %s and not %s, got\n%.2000s", c.query, c.has, c.not, out)
		}
	}
	for _, bad := range []string{"scope", "scope=zzz", "metrics", "a=%zz", "%=", "a=b=c"} {
		if _, ok := ParseMetricsQuery(bad); ok {
			t.Errorf("%q is fine", bad)
		}
	}
}

func TestMetricsAreBounded(t *testing.T) {
	q, _ := ParseMetricsQuery("scope=frontend")
	m := NewMetrics(q, nil)
	var r Row
	var c Counters
	FrontendFacts{Name: strings.Repeat("x", 1<<20), Mode: "http", Status: "OPEN", Counters: &c}.Row(&r, time.Time{})
	for range 4 {
		m.Row(&r)
	}
	if !m.TooBig() || m.size > 2*maxMetrics {
		t.Errorf("%d bytes and no end", m.size)
	}
}
