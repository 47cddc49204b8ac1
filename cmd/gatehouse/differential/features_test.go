package differential

import (
	"encoding/binary"
	"fmt"
	"slices"
	"strings"
)

// Features that change what a whole scenario is about, beside the rules of generate_test.go: each is chosen for a part of the scenarios and
// most of them can come together.

// features gives a scenario in mode http some of them.
func (g *generator) features(s *scenario) {
	if g.chance(20) {
		g.tables(s)
	}
	if g.chance(15) {
		g.failures(s)
	}
	if g.chance(10) {
		g.secure(s)
	}
	if g.chance(12) {
		g.proxyIn(s)
	}
	if g.chance(12) {
		g.proxyOut(s)
	}
}

// insert puts lines before the first use_backend or default_backend, where rules may still stand.
func (s *scenario) insert(lines ...string) {
	at := len(s.front)
	for i, l := range s.front {
		if strings.HasPrefix(l, "use_backend") || strings.HasPrefix(l, "default_backend") {
			at = i
			break
		}
	}
	s.front = append(s.front[:at:at], append(lines, s.front[at:]...)...)
}

// tables gives the frontend a stick table, rules that track and count, and limits; sometimes a backend sticks to servers. Rates have periods
// that outlast the test.
func (g *generator) tables(s *scenario) {
	kind := g.IntN(len(tableKeys))
	stored := "http_req_cnt,http_err_cnt,gpc0,gpc0_rate(10h),gpt0,conn_cnt,sess_cnt,http_req_rate(10h),http_err_rate(10h),conn_rate(10h)"
	s.front = append([]string{"stick-table type " + tableKeys[kind].kind + " size 100 expire 10m store " + stored}, s.front...)
	key := func() string { return g.pick(tableKeys[kind].keys...) }
	s.insert("http-request track-sc0 " + key() + g.when(requestTests))
	if g.chance(40) {
		s.insert("http-request track-sc1 " + key() + g.when(requestTests))
	}
	if kind == 0 && g.chance(50) {
		s.front = append([]string{"tcp-request session track-sc2 src table " + s.name}, s.front...)
	}
	for range 1 + g.IntN(4) {
		s.insert(g.tableWords(g.pick(tableRules...)))
	}
	s.insert(g.tableWords("http-request set-header X-Table " + tableState))
	if g.chance(40) {
		s.insert(g.tableWords("http-request deny deny_status 429 if { <x> gt <k> }"))
	}
	if g.chance(30) {
		be := s.names[g.IntN(len(s.names))]
		s.backs[be] = append([]string{"stick-table type string len 40 size 100", g.pick("stick on", "stick match", "stick store-request") + " " + g.pick("path", "hdr(host),lower", "cook(a)")}, s.backs[be]...)
	}
}

var tableKeys = []struct {
	kind string
	keys []string
}{
	{"ip", []string{"src", "src", "hdr_ip(x-ip)", "src,ipmask(8)"}},
	{"string len 20", []string{"path", "hdr(host)", "cook(a)", "method", "url,length"}},
	{"integer", []string{"hdr_val(x-num)", "urlp_val(n)", "path,length"}},
}

const tableState = `"%[sc_http_req_cnt(0)]/%[sc_http_err_cnt(0)]/%[sc_gpc0_rate(0)]/%[sc_http_req_rate(0)]/%[sc_conn_cnt(0)]/%[sc_sess_cnt(0)]/%[sc0_get_gpt0]/%[sc_tracked(1)]/%[sc1_http_req_cnt]/%[table_cnt]"`

var tableRules = []string{
	"http-request sc-inc-gpc0(0)<if>", "http-request sc-inc-gpc0(1)<if>", "http-request sc-set-gpt0(0) 7<if>", "http-request sc-set-gpt0(0) <i><if>", "http-response sc-inc-gpc0(0) if { status ge 400 }",
	"http-request set-var(txn.a) <x>", "http-request set-header X-Count %[<x>]", "http-request return status 200 content-type text/plain lf-string \"%[<x>] %[<x>]\" if { <x> gt <k> }", "http-request set-header X-Clear %[sc0_clr_gpc0]<if>",
	"http-request set-header X-Inc %[sc_inc_gpc0(0)]<if>", "http-response set-header X-Sc %[sc_http_req_cnt(0)]/%[sc0_gpc0_rate]", "http-request deny if { <x> ge <k> }", "http-after-response set-header X-Err %[sc_http_err_cnt(0)]",
}

// tableWords fills in <x>, a counter, <k>, a limit, and <if>, an optional condition.
func (g *generator) tableWords(phrase string) string {
	for strings.Contains(phrase, "<x>") {
		phrase = strings.Replace(phrase, "<x>", g.pick("sc_http_req_cnt(0)", "sc0_gpc0_rate", "sc_get_gpc0(0)", "sc_http_err_cnt(0)", "sc1_http_req_rate", "sc_conn_cnt(0)", "src_http_req_cnt", "table_avl", "sc_get_gpt0(0)", "src_get_gpc0"), 1)
	}
	phrase = strings.ReplaceAll(phrase, "<k>", g.pick("0", "1", "2", "3"))
	phrase = strings.ReplaceAll(phrase, "<if>", g.when(requestTests))
	return g.word(phrase)
}

// failures makes servers refuse, and requests whose answers fail, with the ways to try again. Servers that close without
// an answer are left out: haproxy leaves a client without one too when the connection had served before, and we try another one. Addresses of
// connections that were not made are not logged.
func (g *generator) failures(s *scenario) {
	for _, be := range s.names {
		lines := s.backs[be]
		for i, l := range lines {
			if strings.HasPrefix(l, "server s1 ") && g.chance(50) {
				lines[i] = strings.Replace(l, "@server", "@dead", 1)
			}
		}
		more := []string{"timeout connect 50ms", "option http-server-close", "retries " + g.pick("0", "1", "2", "3")}
		if g.chance(70) {
			more = append(more, "retry-on "+g.pick("all-retryable-errors", "conn-failure empty-response", "conn-failure", "none", "500 404", "empty-response junk-response response-timeout", "junk-response 503", "503 500 empty-response"))
		}
		if g.chance(50) {
			more = append(more, g.pick("option redispatch", "option redispatch 1", "no option redispatch"))
		}
		if g.chance(20) {
			more = append(more, "http-request disable-l7-retry"+g.when(backTests))
		}
		s.backs[be] = append(more, lines...)
	}
	for i, l := range s.front {
		if strings.HasPrefix(l, "log-format ") {
			s.front[i] = strings.NewReplacer("%bi", "%b", "%si", "%s").Replace(l)
		}
	}
	for i := range s.requests {
		if g.chance(60) {
			s.requests[i].raw = wantLine.ReplaceAllStringFunc(s.requests[i].raw, func(string) string { return "X-Want: " + g.pick("junk", "cut", "error", "notfound") })
		}
	}
}

// secure terminates TLS. Version and cipher are the client's, since each library has a preference of its own.
func (g *generator) secure(s *scenario) {
	s.bind, s.tls = s.bind+" ssl crt site.pem", true
	s.insert("http-request set-header X-Tls " + `"%[ssl_fc] %[ssl_fc_protocol] %[ssl_fc_cipher] %[ssl_fc_sni] %[ssl_fc_has_sni] %[ssl_fc_use_keysize] %[ssl_fc_alg_keysize] %[ssl_c_used] %[ssl_f_sig_alg] %[ssl_f_key_alg] %[ssl_f_version] %[ssl_f_s_dn(CN)] %[ssl_fc_is_resumed]"`)
	if g.chance(50) {
		s.insert("http-request redirect scheme http if { ssl_fc_sni -m end " + g.pick(".com", ".org") + " } { path_beg /a }")
	}
}

// proxyIn lets every connection begin with a PROXY header.
func (g *generator) proxyIn(s *scenario) {
	s.bind += " accept-proxy"
	s.insert(`http-request set-header X-Seen-From "%[src]:%[src_port] %[dst]:%[dst_port] %[fc_rcvd_proxy] %[fc_pp_authority] %[fc_pp_unique_id,hex]"`)
	for i := range s.requests {
		s.requests[i].proxy = g.proxyHeader()
	}
}

func (g *generator) proxyHeader() string {
	const signature = "\r\n\r\n\x00\r\nQUIT\n"
	v2 := func(command, family string, body string) string {
		return signature + command + family + string(binary.BigEndian.AppendUint16(nil, uint16(len(body)))) + body
	}
	const (
		four = "\xc0\x00\x02\x09" + "\xcb\x00\x71\x05" + "\x11\xd7" + "\x01\xbb"
		six  = "\x20\x01\x0d\xb8\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x09" + "\x20\x01\x0d\xb8\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x05" + "\x11\xd7" + "\x01\xbb"
	)
	switch g.IntN(8) {
	case 0:
		return "PROXY TCP6 2001:db8::9 2001:db8::5 4567 443\r\n"
	case 1:
		return "PROXY UNKNOWN\r\n"
	case 2:
		return v2("\x21", "\x11", four)
	case 3:
		return v2("\x21", "\x21", six)
	case 4:
		return v2("\x20", "\x00", "")
	case 5:
		return v2("\x21", "\x11", four+"\x02\x00\x0bexample.net"+"\x05\x00\x03\x01\x02\xff")
	}
	return "PROXY TCP4 192.0.2.9 203.0.113.5 4567 443\r\n"
}

// proxyOut lets every connection to a server begin with one. Clients share none.
func (g *generator) proxyOut(s *scenario) {
	for _, be := range s.names {
		s.backs[be] = slices.DeleteFunc(s.backs[be], func(l string) bool { return strings.HasPrefix(l, "http-reuse ") })
		s.backs[be] = append(s.backs[be], "http-reuse never")
		for i, l := range s.backs[be] {
			if strings.HasPrefix(l, "server ") {
				s.backs[be][i] += g.pick(" send-proxy", " send-proxy-v2", " send-proxy-v2 proxy-v2-options unique-id", "")
			}
		}
	}
	s.front = append(s.front, "unique-id-format u%f")
}

// tcpScenario makes the i-th one in mode tcp: content rules that look at the bytes of the same requests.
func (g *generator) tcpScenario(i int) *scenario {
	s := &scenario{name: fmt.Sprintf("fe%d", i), backs: map[string][]string{}}
	be := fmt.Sprintf("be%d", i)
	s.names = []string{be, be + "x"}
	s.front = []string{"mode tcp", "tcp-request inspect-delay 50ms"}
	switch g.IntN(3) {
	case 0:
		s.front = append(s.front, "option tcplog")
	case 1:
		s.front = append(s.front, "option tcplog", "tcp-request content capture req.payload(0,8) len "+g.pick("3", "8", "20"))
	default:
		s.front = append(s.front, `log-format "%f %b %s %ts %[var(sess.d)] %[var(sess.e)] %ci %fi %bi %si %rc"`)
	}
	g.some(2, func() { s.front = append(s.front, g.pick(tcpEarly...)) })
	g.some(4, func() { s.front = append(s.front, g.pick(tcpContent...)) })
	s.front = append(s.front, "tcp-request content accept if { req.len gt 20 }")
	g.some(2, func() { s.front = append(s.front, "use_backend "+be+"x if "+g.pick(tcpTests...)) })
	s.front = append(s.front, "default_backend "+be)
	for _, n := range s.names {
		s.backs[n] = []string{"mode tcp", "balance roundrobin"}
		g.some(2, func() { s.backs[n] = append(s.backs[n], g.pick(tcpBack...)) })
		s.backs[n] = append(s.backs[n], "server s1 @server"+g.pick("", "", "", " send-proxy", " send-proxy-v2"), "server s2 @server"+g.pick("", " backup"))
		if g.chance(15) {
			s.backs[n] = append(s.backs[n], "timeout connect 50ms", "retries 1", "option redispatch 1", "server s3 @dead")
		}
	}
	for range 3 + g.IntN(3) {
		s.requests = append(s.requests, g.request())
	}
	if g.chance(25) {
		s.bind += " accept-proxy"
		for i := range s.requests {
			s.requests[i].proxy = g.proxyHeader()
		}
	}
	if g.chance(20) {
		s.bind, s.tls = s.bind+" ssl crt site.pem", true
	}
	if s.bind != "" {
		// A rejection by a session rule is an error of the handshake to haproxy then, and has a line of its own.
		s.front = slices.DeleteFunc(s.front, func(l string) bool { return strings.HasPrefix(l, "tcp-request session reject") })
	}
	return s
}

var tcpEarly = []string{
	"tcp-request connection accept if { src 10.0.0.0/8 }", "tcp-request connection reject if { src 10.0.0.0/8 }", "tcp-request session set-var(sess.d) src", "tcp-request session accept", "tcp-request session set-var(sess.e) dst_port,mul(0)",
	"tcp-request connection set-src ipv4(192.0.2.77)", "tcp-request session reject if { src 192.0.2.0/24 }",
}

var tcpTests = []string{
	"{ req.payload(0,3) -m bin 474554 }", "{ req.payload(0,4) -m str POST }", "{ req.len gt 200 }", "{ req.payload(0,0) -m sub api }", "{ req.payload_lv(0,1) -m found }", "{ src 127.0.0.1 }", "{ req_ssl_hello_type 1 }", "{ req.proto_http }", "{ var(sess.d) -m found }", "HTTP", "WAIT_END", "{ req.payload(4,6) -m reg ^/a }", "!{ req.payload(0,5) -m str \"HEAD \" }",
}

var tcpContent = []string{
	"tcp-request content set-var(sess.d) req.payload(0,6)", "tcp-request content set-var(sess.e) req.payload(0,0),length", "tcp-request content reject if { req.payload(0,5) -m str PATCH }", "tcp-request content accept if { req.payload(0,3) -m str PUT }", "tcp-request content set-var(sess.e) req.payload(4,20),lower,hex", "tcp-request content set-var(sess.d) int(5) if { req.len gt 300 }",
	"tcp-request content reject if { req.payload(0,0) -m sub x=1 }", "tcp-request content set-src ipv4(198.51.100.1) if { req.len gt 100 }", "tcp-request content unset-var(sess.d) if { req.payload(0,0) -m reg [0-9]{2} }",
}

var tcpBack = []string{
	"tcp-response content accept if { res.len gt 5 }", "tcp-response inspect-delay 50ms", "tcp-response content reject if { res.payload(9,3) -m str 500 }", "timeout server 3s", "tcp-request content set-var(sess.e) str(behind)",
}
