package rule

import (
	"strings"
	"testing"
	"time"

	"gatehouse/internal/stream"
)

// kernel is an exchange of which only the kernel is asked.
type kernel struct{ stream.Exchange }

func (kernel) TCPInfo(server bool) (stream.TCPInfo, bool) {
	if server {
		return stream.TCPInfo{}, false
	}
	return stream.TCPInfo{RTT: 1499, RTTVar: 1500, Unacked: 1, Sacked: 2, Lost: 3, Retrans: 4, Fackets: 5, Reordering: 6}, true
}

// The expected values are what HAProxy 3.4 answers to the same request.
func TestKeysOfWhatWasAskedForAreHAProxys(t *testing.T) {
	s := newStream(t, "GET http://10.1.2.3:8080/a/b?n=17x&N=5 HTTP/1.1", "Host: 10.1.2.3:8080", "Cookie: a=1; b=2, $c=3;d", `Cookie: e="x;y"; f=1`)
	for _, row := range [][2]string{
		{"%[base32] %[url32]", "2646595005 811692036"},
		{"%[base32+src,hex] %[url32+src,hex]", "9DBFD5BDC0000201 30617004C0000201"},
		{"%[url_ip] %[url_port]", "10.1.2.3 8080"}, {"%[urlp_val(n)] %[urlp_val(n,?,i)] %[urlp_val(x)]", "17 17 "},
		{"%[req.cook_names] %[req.cook_names(:)] %[cookie(b)]", "a,b,e,f a:b:e:f 2"},
	} {
		if got := formatOf(t, s, nil, row[0]); got != row[1] {
			t.Errorf("%s: got %q, want %q", row[0], got, row[1])
		}
	}
	long := newStream(t, "GET / HTTP/1.1", "X: "+strings.Repeat("v", 300))
	if got := formatOf(t, long, nil, "%[req.hdrs_bin,hex]"); got != "0178FC03"+strings.Repeat("76", 300)+"0000" {
		t.Errorf("packed fields: %s", got)
	}
	for target, want := range map[string]string{"https://1.2.3.4/": "1.2.3.4 443", "http://[::1]/": " ", "http://name/": " ", "/x": " ", "ftp://1.2.3.4/": " "} {
		if got := formatOf(t, newStream(t, "GET "+target+" HTTP/1.1"), nil, "%[url_ip] %[url_port]"); got != want {
			t.Errorf("address in %s: got %q, want %q", target, got, want)
		}
	}
	s.Res.Status = 200
	s.Res.Fields = []stream.Field{{Name: []byte("set-cookie"), Value: []byte("sid=1; path=/")}, {Name: []byte("set-cookie"), Value: []byte("b=9")}}
	if got := formatOf(t, s, nil, "%[res.cook_names] %[cookie(b)]"); got != "sid,b 9" {
		t.Errorf("cookies of the response: %q", got)
	}
}

func TestFetchesOfTheStateOfAStream(t *testing.T) {
	s := newStream(t, "GET / HTTP/1.1")
	s.Exchange = kernel{}
	const text = "[%[server_status] %[txn.status]] [%[last_rule_file] %[last_rule_line] %[last_entity]] %[fc_http_major] [%[bc_http_major]] %[bc_reused] [%[bc_err]] %[res.comp] [%[res.comp_algo]]"
	if got := formatOf(t, s, nil, text); got != "[ ] [  ] 1 [] 0 [] 0 []" {
		t.Errorf("at the beginning: %q", got)
	}
	run(t, func(c *Compiler) *Set { return c.HTTPRequest(rules("set-log-level err", "deny if { path / }"), nil) }, s, newEnv())
	s.Log.ServerStatus, s.Res.Status, s.Log.Status = 204, 200, 200
	s.BackConn, s.Log.Connected, s.Log.Reused, s.Log.Compression = true, time.Now(), true, "gzip"
	if got := formatOf(t, s, nil, text); got != "[204 200] [t.cfg 2 t.cfg:2] 1 [1] 1 [0] 1 [gzip]" {
		t.Errorf("at the end: %q", got)
	}
	if got := formatOf(t, s, nil, "%[fc_rtt] %[fc_rtt(us)] %[fc_rttvar(ms)] [%[bc_rtt]] %[fc_unacked]%[fc_sacked]%[fc_lost]%[fc_retrans]%[fc_fackets]%[fc_reordering]"); got != "1 1499 2 [] 123456" {
		t.Errorf("of the kernel: %q", got)
	}
	s.Conn.FcErr = 34
	if got := formatOf(t, s, nil, "%[fc_err_name] %[res.cache_hit] [%[res.cache_name]] %[fc_nb_streams] %[fc_glitches]"); got != "SSL_HANDSHAKE 0 [] 1 0" {
		t.Errorf("others: %q", got)
	}
}
