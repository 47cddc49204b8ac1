package rule

import (
	"net/netip"
	"strings"
	"testing"

	"gatehouse/internal/config"
	"gatehouse/internal/stream"
)

// Connection, session and stream have addresses of their own; a rule changes those of its level and what is derived from them.
func TestAddressesHaveThreeLevels(t *testing.T) {
	rules := func(words ...[]string) []config.Rule {
		var list []config.Rule
		for i, w := range words {
			list = append(list, config.Rule{Pos: config.Pos{File: "f", Line: i + 1}, Words: w})
		}
		return list
	}
	s := newStream(t, "GET / HTTP/1.1", "x-from: 10.3.0.1", "x-port: 99")
	s.Conn.Src, s.Conn.Dst = netip.MustParseAddrPort("10.0.0.1:1"), netip.MustParseAddrPort("10.0.0.2:2")
	s.Conn.FcSrc, s.Conn.FcDst = s.Conn.Src, s.Conn.Dst
	const all = "%[fc_src]:%[fc_src_port] %[src]:%[src_port] %[fc_dst]:%[fc_dst_port] %[dst]:%[dst_port] %ci:%cp %fi:%fp"
	for _, step := range []struct {
		compile func(c *Compiler, r []config.Rule) *Set
		words   [][]string
		want    string
	}{
		{func(c *Compiler, r []config.Rule) *Set { return c.TCPConnection(r, nil) }, [][]string{{"set-src", "ipv4(10.1.0.1)"}, {"set-dst-port", "int(443)"}},
			"10.1.0.1:1 10.1.0.1:1 10.0.0.2:443 10.0.0.2:443 10.1.0.1:1 10.0.0.2:443"},
		{func(c *Compiler, r []config.Rule) *Set { return c.TCPSession(r, nil) }, [][]string{{"set-src", "ipv4(10.2.0.1)"}},
			"10.1.0.1:1 10.2.0.1:1 10.0.0.2:443 10.0.0.2:443 10.2.0.1:1 10.0.0.2:443"},
		{func(c *Compiler, r []config.Rule) *Set { return c.HTTPRequest(r, nil) },
			[][]string{{"set-src", "hdr(x-from)"}, {"set-src-port", "hdr(x-port)"}, {"set-dst", "ipv6(::1)"}, {"set-dst", "hdr(x-none)"}},
			"10.1.0.1:1 10.3.0.1:99 10.0.0.2:443 ::1:443 10.3.0.1:99 ::1:443"},
	} {
		run(t, func(c *Compiler) *Set { return step.compile(c, rules(step.words...)) }, s, nil)
		if got := formatOf(t, s, nil, all); got != step.want {
			t.Errorf("after %v:\ngot  %s\nwant %s", step.words, got, step.want)
		}
	}
	s.Reset()
	if got := s.Src().String(); got != "10.2.0.1:1" {
		t.Errorf("the next request of the session comes from %s", got)
	}
	run(t, func(c *Compiler) *Set { return c.TCPConnection(rules([]string{"expect-proxy", "layer4"}), nil) }, s, nil)
	if !s.Conn.ExpectProxy {
		t.Error("expect-proxy demanded nothing")
	}
	for _, row := range [][2]string{
		{"expect-proxy layer4", "'expect-proxy layer4' is not allowed in 'tcp-request session' rules in frontend 'f'."},
		{"expect-proxy", "'tcp-request session expect-proxy' only supports 'layer4' in frontend 'f' (got '')."},
	} {
		c, d := newCompiler()
		c.TCPSession(rules(strings.Fields(row[0])), nil)
		if got := diagTexts(d); !strings.Contains(got, row[1]) {
			t.Errorf("%s: got %q, want %q", row[0], got, row[1])
		}
	}
}

// What a PROXY header told can be asked for, one value after the other.
func TestFetchesOfProxyHeaders(t *testing.T) {
	s := newStream(t, "GET / HTTP/1.1")
	s.Conn.Proxied = true
	s.Conn.ProxyTLVs = stream.ProxyTLV("\x02\x00\x03www\xea\x00\x01a\xea\x00\x01b\x05\x00\x02id")
	const all = "%[fc_rcvd_proxy] %[fc_pp_authority] %[fc_pp_unique_id] %[fc_pp_tlv(0xEA)] %[fc_pp_tlv(authority)] %[fc_pp_tlv(7)]"
	if got := formatOf(t, s, nil, all); got != "1 www id a www " {
		t.Errorf("got %q", got)
	}
	c, d := newCompiler()
	cond := c.Cond(words("if { fc_pp_tlv(234) b }"), config.Pos{}, nil)
	if cond == nil || !cond.Eval(s, nil) {
		t.Errorf("the second value did not match %s", diagTexts(d))
	}
	for _, bad := range []string{"fc_pp_tlv(256)", "fc_pp_tlv(x)", "fc_pp_tlv"} {
		if c.Expr(bad, config.Pos{}) != nil {
			t.Errorf("%s was accepted", bad)
		}
	}
}

type machine struct{ Env }

func (machine) IsLocal(a netip.Addr) (local, ok bool) { return a.IsLoopback(), true }

func TestAddressesOfThisMachine(t *testing.T) {
	s := newStream(t, "GET / HTTP/1.1")
	s.Conn.Src, s.Conn.Dst = netip.MustParseAddrPort("192.0.2.1:1"), netip.MustParseAddrPort("127.0.0.1:2")
	s.Conn.FcSrc, s.Conn.FcDst = s.Conn.Dst, s.Conn.Src
	if got := formatOf(t, s, machine{}, "%[src_is_local]%[dst_is_local]%[fc_src_is_local]%[fc_dst_is_local]"); got != "0110" {
		t.Errorf("got %s", got)
	}
	if got := formatOf(t, s, nil, "%[src_is_local]"); got != "" {
		t.Errorf("without a machine to ask: %q", got)
	}
}
