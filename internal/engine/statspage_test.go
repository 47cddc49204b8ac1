package engine

import (
	"slices"
	"strings"
	"testing"

	"gatehouse/internal/proxy"
	"gatehouse/internal/stream"
)

const statsConfig = `
global
    description the <box>
defaults
    mode http
    timeout client 10s
    timeout server 10s
    timeout connect 10s
frontend f
    bind PORT
    stats enable
    stats scope a
    stats scope .
    stats show-legends
    stats show-version
    stats show-node edge-1
    stats show-desc
backend a
    server s1 127.0.0.1:1
    server s2 127.0.0.1:2
backend b
    server s1 127.0.0.1:1
`

func statsOf(t *testing.T, extra string) *statsPage {
	t.Helper()
	e := newEdge(t, false)
	e.mustApply(strings.Replace(statsConfig, "PORT", freePort(t), 1))
	g := e.gen.Load().byName["f"]
	return &statsPage{e: e.Engine, cfg: g.cfg.Stats, own: "f", node: extra}
}

func visit(p *statsPage, v proxy.StatsVisit) (*stream.Reply, string) {
	r := p.answer(&v)
	return r, string(stream.Get(r.Fields, "location"))
}

func TestStatsPageKeepsToItsScope(t *testing.T) {
	p := statsOf(t, "edge-1")
	r, _ := visit(p, proxy.StatsVisit{Options: []byte(";csv")})
	var first []string
	for line := range strings.Lines(string(r.Body)) {
		name, _, _ := strings.Cut(line, ",")
		first = append(first, name)
	}
	if want := []string{"# pxname", "f", "a", "a", "a"}; !slices.Equal(first, want) {
		t.Errorf("rows of %q, want %q", first, want)
	}
	r, _ = visit(p, proxy.StatsVisit{Options: []byte("?scope=<script>")})
	if page := string(r.Body); strings.Contains(page, "<script") || !strings.Contains(page, "127.0.0.1:2") || !strings.Contains(page, " on edge-1") {
		t.Errorf("page:\n%s", page)
	}
}

func TestStatsFormChangesServersOnlyForAdministrators(t *testing.T) {
	p := statsOf(t, "")
	form := func(body string) proxy.StatsVisit {
		return proxy.StatsVisit{Post: true, Admin: true, Body: []byte(body)}
	}
	foreign, plain, big := form("s=s1&action=maint&b=a"), form("s=s1&action=maint&b=a"), form("")
	foreign.Foreign, plain.Admin, big.TooBig = true, false, true
	for _, tc := range []struct {
		v    proxy.StatsVisit
		code string
	}{
		{foreign, "DENY"}, {plain, "DENY"}, {big, "EXCD"}, {form("%zz"), "ERRP"}, {form("s=s1&action=fly&b=a"), "ERRP"}, {form("s=s1&action=maint&b=%239"), "ERRP"}, {form("s=s1&action=maint&b=b"), "ERRP"},
		{form("s=s1&action=dhlth&b=a"), "NONE"}, {form("s=x&action=maint&b=a"), "ERRP"},
		{form("s=s1&action=maint&b=%233"), "DONE"}, {form("s=s1&action=disable&b=a"), "NONE"}, {form("s=s1&s=s2&action=enable&b=a"), "DONE"},
		{form("s=s2&action=stop&b=a"), "DONE"}, {form("s=s2&action=start&b=a"), "DONE"}, {form("s=s1&s=s9&action=hdown&b=a"), "PART"},
	} {
		if _, to := visit(p, tc.v); to != "/haproxy?stats;st="+tc.code {
			t.Errorf("%s: sent to %s, want %s", tc.v.Body, to, tc.code)
		}
	}
	if s := p.e.Backend("a").Server("s1"); s.Up() {
		t.Error("s1 was forced down and is up")
	}
	if s := p.e.Backend("a").Server("s2"); !s.Up() {
		t.Error("s2 was started and is down")
	}
}
