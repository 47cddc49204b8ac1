package rule

import (
	"testing"
	"time"

	"gatehouse/internal/config"
	"gatehouse/internal/stream"
	"gatehouse/internal/table"
)

// stuck is a compiler that knows three tables: f and other of addresses, users of texts.
func stuck(t testing.TB) (*Compiler, *config.Diags, map[string]*table.Table) {
	t.Helper()
	all := []table.Store{{Type: table.ConnCnt}, {Type: table.ConnCur}, {Type: table.ConnRate, Period: time.Minute}, {Type: table.HTTPReqCnt},
		{Type: table.HTTPReqRate, Period: time.Minute}, {Type: table.HTTPErrCnt}, {Type: table.HTTPFailCnt}, {Type: table.GPC, N: 3},
		{Type: table.GPCRate, N: 3, Period: time.Minute}, {Type: table.GPT, N: 2}, {Type: table.BytesInCnt}, {Type: table.ServerID}, {Type: table.ServerKey}}
	tables := map[string]*table.Table{}
	for _, o := range []table.Options{
		{Name: "f", Key: stream.KindIPv4, Size: 10, Store: all}, {Name: "other", Key: stream.KindIPv4, Size: 10, Store: all[:1]},
		{Name: "users", Key: stream.KindStr, KeyLen: 8, Size: 10, Store: all},
	} {
		o.Expire = time.Minute
		tables[o.Name] = table.New(o)
	}
	c, d := newCompiler()
	err, fail := config.ErrCodes(), config.FailCodes()
	c.Tables, c.ErrCodes, c.FailCodes = func(name string) *table.Table { return tables[name] }, &err, &fail
	return c, d, tables
}

func noMessages(t *testing.T, d *config.Diags) {
	t.Helper()
	if len(*d) > 0 {
		t.Fatalf("unexpected messages:\n%s", diagTexts(d))
	}
}

func TestTrackingAndReadingWhatIsTracked(t *testing.T) {
	c, d, tables := stuck(t)
	set := c.HTTPRequest(rules("track-sc0 src", "track-sc0 str(198.51.100.9)", "track-sc1 str(alice-too-long) table users", "track-sc2 req.hdr(none)",
		"sc-inc-gpc(2,0)", "sc-inc-gpc0", "sc-inc-gpc1(1)", "sc-add-gpc(2,0) int(4)", "sc-set-gpt(1,0) 7", "sc-set-gpt0(0) path,length", "sc-inc-gpc(0,2)"), nil)
	s := newStream(t, "GET /abc HTTP/1.1")
	text := c.Text("%[sc0_key] %[sc1_key] %[sc2_tracked] %[sc_tracked(0)] %[sc0_conn_cur] %[sc_http_req_cnt(0)] %[sc0_http_req_rate] %[sc_get_gpc(2,0)] "+
		"%[sc0_get_gpc0] %[sc_gpc_rate(2,0)] %[sc_get_gpt(1,0)] %[sc0_get_gpt0] %[sc1_get_gpc1] %[sc0_trackers] %[sc0_conn_cnt(other)] [%[sc0_conn_cnt(users)]] [%[sc2_conn_cnt]] "+
		"%[sc0_kbytes_in] %[sc_inc_gpc(1,0)] %[sc0_clr_gpc1] %[sc0_get_gpc1] [%[sc0_sess_cnt]]", testPos)
	noMessages(t, d)
	set.Run(s, nil)
	tracked(s, 0).Count(table.BytesInCnt, table.BytesInRate, 3000)
	if got, want := string(text.Append(nil, s, nil)), "192.0.2.1 alice-to 0 1 1 1 1 5 1 5 7 4 1 1 0 [] [] 2 1 1 0 []"; got != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
	if n := tables["f"].Used(); n != 1 {
		t.Errorf("%d entries: a slot that is taken makes no other", n)
	}
	s.Reset()
	e := entryOf(s, tables["f"], address(s.Conn.Src.Addr()), false)
	if cur, _ := e.Value(table.ConnCur, 0); cur != 0 || e.Holders() != 1 {
		t.Errorf("after the request: %d connections, %d holders", cur, e.Holders())
	}
}

func TestSessionRulesTrackForAllRequestsOfTheConnection(t *testing.T) {
	c, d, tables := stuck(t)
	session := c.TCPSession(rules("track-sc0 src"), nil)
	request := c.HTTPRequest(rules("track-sc0 str(198.51.100.9)"), nil)
	noMessages(t, d)
	s := newStream(t, "GET / HTTP/1.1")
	session.Run(s, nil)
	for range 2 {
		s.Reset()
		request.Run(s, nil)
		table.Count(s, table.HTTPReqCnt, table.HTTPReqRate, 1)
	}
	e := tracked(s, 0)
	if n, _ := e.Value(table.HTTPReqCnt, 0); n != 2 || tables["f"].Used() != 1 {
		t.Errorf("%d requests, %d entries", n, tables["f"].Used())
	}
	s.Conn.Counters.Leave()
	if cur, _ := e.Value(table.ConnCur, 0); cur != 0 || tracked(s, 0) != nil {
		t.Error("still tracked after the connection")
	}
}

func TestLookingDoesNotTrack(t *testing.T) {
	c, d, tables := stuck(t)
	s := newStream(t, "GET / HTTP/1.1")
	text := func(format string) string { return string(c.Text(format, testPos).Append(nil, s, nil)) }
	if got := text("%[src_conn_cnt(other)] %[src,in_table(other)] %[src_updt_conn_cnt(other)] %[src_updt_conn_cnt(other)] %[src,table_conn_cnt(other)] " +
		"%[src,in_table(other)] %[table_cnt(other)] %[table_avl(other)] [%[src_get_gpc0(other)]] [%[src,table_gpc0(other)]]"); got != "0 0 1 2 2 1 1 9 [] []" {
		t.Errorf("got %s", got)
	}
	if got := text("%[src_inc_gpc0(f)] %[src_inc_gpc(0,f)] %[src_get_gpc0] %[src,table_gpc(0,f)] %[str(x),table_gpc0(f)] %[str(203.0.113.7),table_inc_gpc0(f)] " +
		"%[str(203.0.113.8),table_idle(f,99)] [%[str(203.0.113.8),table_expire(f)]]"); got != "1 2 2 2 0 1 99 []" {
		t.Errorf("got %s", got)
	}
	noMessages(t, d)
	tables["f"].Each(func(e *table.Entry) bool {
		if e.Holders() != 1 {
			t.Errorf("%v is held by %d", e.Key(), e.Holders())
		}
		return true
	})
}

func TestResponsesAreCountedByStatusWhenTrackedLate(t *testing.T) {
	c, d, tables := stuck(t)
	set := c.HTTPResponse(rules("track-sc0 status table users"), nil)
	noMessages(t, d)
	for status, want := range map[int][2]int64{200: {0, 0}, 404: {1, 0}, 501: {0, 0}, 503: {0, 1}} {
		s := newStream(t, "GET / HTTP/1.1")
		s.Res.Status = status
		set.Run(s, nil)
		e := tracked(s, 0)
		errs, _ := e.Value(table.HTTPErrCnt, 0)
		fails, _ := e.Value(table.HTTPFailCnt, 0)
		if [2]int64{errs, fails} != want {
			t.Errorf("%d: %d errors, %d failures", status, errs, fails)
		}
	}
	if tables["users"].Used() != 4 {
		t.Errorf("%d entries", tables["users"].Used())
	}
}

func TestTableErrorsAreHAProxys(t *testing.T) {
	for _, row := range [][2]string{
		{"track-sc0 src table x", "Proxy 'f': unable to find table 'x' referenced by track-sc0."},
		{"track-sc1 method", "Proxy 'f': stick-table 'f' uses a type incompatible with the 'track-sc1' rule."},
		{"track-sc3 src", "config : parsing [t.cfg:1] : error detected in frontend 'f' while parsing 'http-request track-sc3' rule : 3 track-sc number exceeding 2 (tune.stick-counters-1) value."},
		{"sc-inc-gpc(0)", "config : parsing [t.cfg:1] : error detected in frontend 'f' while parsing 'http-request sc-inc-gpc(0)' rule : Missing gpc ID 'sc-inc-gpc(0)'. Expects sc-inc-gpc(<GPC ID>,<Track ID>)."},
	} {
		c, d, _ := stuck(t)
		c.HTTPRequest(rules(row[0]), nil)
		if len(*d) != 1 || (*d)[0].Text != row[1] {
			t.Errorf("%s\n got %swant %s", row[0], diagTexts(d), row[1])
		}
	}
	c, d, _ := stuck(t)
	c.Counters = -1
	c.HTTPRequest(rules("track-sc0 src", "sc-inc-gpc0(0)"), nil)
	if len(*d) != 2 {
		t.Errorf("counters are off: %s", diagTexts(d))
	}
	c, d, _ = stuck(t)
	if c.HTTPRequest(rules("deny if { src_conn_rate(x) gt 3 }"), nil); !d.HasErrors() {
		t.Error("a table that is not there is taken")
	}
}

// chooser takes every server but those that are down.
type chooser struct {
	down map[string]bool
	got  string
}

func (c *chooser) Stuck(key string, _ bool, _ int) bool {
	if key == "" || c.down[key] {
		return false
	}
	c.got = key
	return true
}

func TestStickRulesRememberAndFindServers(t *testing.T) {
	c, d, tables := stuck(t)
	c.Kind = "backend"
	st := c.Stick(rules("match req.hdr(x-new) table users", "on req.hdr(x-user) table users if { req.hdr(x-user) -m found }", "store-request src table users",
		"store-response res.hdr(x-new) table users"), nil)
	noMessages(t, d)
	ask := func(down, answer string, stuckAlready bool, headers ...string) string {
		to, kept := &chooser{down: map[string]bool{down: true}}, &Kept{}
		s := newStream(t, "GET / HTTP/1.1", headers...)
		st.Request(s, nil, to, stuckAlready, kept)
		s.Res.Fields = []stream.Field{{Name: []byte("x-new"), Value: []byte("n")}}
		st.Response(s, nil, kept)
		kept.Store(answer, "", 1)
		return to.got
	}
	for i, step := range []struct {
		got, want string
	}{
		{ask("", "s1", false, "x-user: a"), ""},
		{ask("", "s1", false, "x-user: a"), "s1"},
		{ask("", "s1", false, "x-new: n"), "s1"},
		{ask("s1", "s2", false, "x-user: a"), ""},
		{ask("", "s2", false, "x-user: a"), "s2"},
		{ask("", "s2", true, "x-user: a"), ""},
	} {
		if step.got != step.want {
			t.Errorf("step %d: server %q, want %q", i, step.got, step.want)
		}
	}
	if n := tables["users"].Used(); n != 3 { // a, n, and the address of the one request without a user
		t.Errorf("%d entries", n)
	}
}

func TestTrackingAllocatesNothing(t *testing.T) {
	c, d, _ := stuck(t)
	set := c.HTTPRequest(rules("track-sc0 src", "deny deny_status 429 if { sc_http_req_rate(0) gt 100000 }"), nil)
	noMessages(t, d)
	s := newStream(t, "GET / HTTP/1.1")
	if n := testing.AllocsPerRun(100, func() { set.Run(s, nil); s.Counters.Leave() }); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

func BenchmarkRateLimit(b *testing.B) {
	c, _, _ := stuck(b)
	set := c.HTTPRequest(rules("track-sc0 src", "deny deny_status 429 if { sc_http_req_rate(0) gt 100000000 }"), nil)
	s := newStream(b, "GET / HTTP/1.1")
	b.ReportAllocs()
	for b.Loop() {
		set.Run(s, nil)
		s.Counters.Leave()
	}
}
