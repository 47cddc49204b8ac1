package stats

import (
	"encoding/json"
	"regexp"
	"strings"
	"testing"
	"time"
)

// headerColumns are the 118 columns of HAProxy 3.4 that every object has.
const headerColumns = "pxname,svname,qcur,qmax,scur,smax,slim,stot,bin,bout,dreq,dresp,ereq,econ,eresp,wretr,wredis,status,weight,act,bck," +
	"chkfail,chkdown,lastchg,downtime,qlimit,pid,iid,sid,throttle,lbtot,tracked,type,rate,rate_lim,rate_max,check_status," +
	"check_code,check_duration,hrsp_1xx,hrsp_2xx,hrsp_3xx,hrsp_4xx,hrsp_5xx,hrsp_other,hanafail,req_rate,req_rate_max," +
	"req_tot,cli_abrt,srv_abrt,comp_in,comp_out,comp_byp,comp_rsp,lastsess,last_chk,last_agt,qtime,ctime,rtime,ttime," +
	"agent_status,agent_code,agent_duration,check_desc,agent_desc,check_rise,check_fall,check_health,agent_rise,agent_fall," +
	"agent_health,addr,cookie,mode,algo,conn_rate,conn_rate_max,conn_tot,intercepted,dcon,dses,wrew,connect,reuse," +
	"cache_lookups,cache_hits,srv_icur,src_ilim,qtime_max,ctime_max,rtime_max,ttime_max,eint,idle_conn_cur,safe_conn_cur," +
	"used_conn_cur,need_conn_est,uweight,agg_server_status,agg_server_check_status,agg_check_status,srid,sess_other,h1sess," +
	"h2sess,h3sess,req_other,h1req,h2req,h3req,proto,priv_idle_cur,reqbin,reqbout,resbin,resbout,"

func TestTheHeaderIsHAProxys(t *testing.T) {
	want := "# " + headerColumns + "-,ssl_sess,ssl_reused_sess,ssl_failed_handshake,ssl_ocsp_staple,ssl_failed_ocsp_staple,\n"
	if got := string(AppendHeader(nil)); got != want {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
	for c := Column(0); c < NumColumns; c++ {
		if !regexp.MustCompile(`^[MSKCP][AaCDGLMmNORT][CPSs][PV]$`).MatchString(columns[c].tags) || columns[c].desc == "" {
			t.Errorf("column %s has tags %q and description %q", c.Name(), columns[c].tags, columns[c].desc)
		}
	}
}

var testTime = time.Unix(1_800_000_000, 0)

// checkedServer is a row with awkward texts in it.
func checkedServer() *Row {
	var c Counters
	c.Enter()
	c.Enter()
	c.Leave()
	c.Status(200)
	c.Status(404)
	c.Status(99)
	c.LastSess.Store(testTime.Add(-5 * time.Second).UnixNano())
	idle := 4
	var r Row
	ServerFacts{Proxy: "be", Name: `s"1,x`, IID: 4, SID: 2, Mode: "http", Status: "UP 1/3", Weight: 5, UWeight: 10, MaxConn: 7, MaxQueue: 8,
		LastChange: testTime.Add(-time.Minute), Throttle: 50, Tracked: "be/s0", Addr: "127.0.0.1:80", Cookie: "c1", IdleLimit: &idle, Idle: 3, Used: 1,
		Check: &CheckFacts{Status: "L7OK", Code: 200, Duration: 3 * time.Millisecond, Desc: "Layer7 check passed", Last: "two\nlines\r\n", Rise: 2,
			Fall: 3, Health: 4, Fails: 1, Downs: 1, Downtime: 9 * time.Second, HasResult: true},
		Counters: &c}.Row(&r, testTime)
	return &r
}

// cells reads one CSV line back by the names of the header.
func cells(t *testing.T, line string) map[string]string {
	t.Helper()
	var values []string
	for rest := strings.TrimSuffix(line, "\n"); rest != ""; {
		if quoted, ok := strings.CutPrefix(rest, `"`); ok {
			end := 0
			for quoted[end] != '"' || quoted[end+1] == '"' {
				if quoted[end] == '"' {
					end++
				}
				end++
			}
			values = append(values, strings.ReplaceAll(quoted[:end], `""`, `"`))
			rest = quoted[end+2:]
			continue
		}
		v, after, ok := strings.Cut(rest, ",")
		if !ok {
			t.Fatalf("no comma behind %q", rest)
		}
		values, rest = append(values, v), after
	}
	names := strings.Split(strings.TrimSuffix(strings.TrimPrefix(string(AppendHeader(nil)), "# "), ",\n"), ",")
	if len(values) != len(names) {
		t.Fatalf("%d values for %d columns in %q", len(values), len(names), line)
	}
	out := map[string]string{}
	for i, n := range names {
		out[n] = values[i]
	}
	return out
}

func TestServerRow(t *testing.T) {
	line := string(checkedServer().AppendCSV(nil))
	if !strings.HasPrefix(line, `be,"s""1,x",0,0,1,2,7,2,`) || !strings.HasSuffix(line, ",-,0,0,0,0,0,\n") {
		t.Errorf("row %q", line)
	}
	got := cells(t, line)
	for name, want := range map[string]string{
		"svname": `s"1,x`, "status": "UP 1/3", "weight": "5", "uweight": "10", "act": "1", "bck": "0", "qlimit": "8", "throttle": "50",
		"tracked": "be/s0", "type": "2", "lastchg": "60", "hrsp_2xx": "1", "hrsp_4xx": "1", "hrsp_other": "1", "hrsp_5xx": "0", "lastsess": "5",
		"check_status": "L7OK", "check_code": "200", "check_duration": "3", "check_desc": "Layer7 check passed", "last_chk": "two lines",
		"check_rise": "2", "check_fall": "3", "check_health": "4", "chkfail": "1", "chkdown": "1", "downtime": "9", "cookie": "c1",
		"src_ilim": "4", "srv_icur": "3", "used_conn_cur": "1", "ereq": "", "agent_status": "", "algo": "", "-": "-",
	} {
		if got[name] != want {
			t.Errorf("%s = %q, want %q", name, got[name], want)
		}
	}
}

func TestLegendsAreHidden(t *testing.T) {
	r := checkedServer()
	r.HideLegends()
	got := cells(t, string(r.AppendCSV(nil)))
	if got["addr"]+got["cookie"]+got["algo"] != "" || got["status"] == "" {
		t.Errorf("addr %q, cookie %q, algo %q", got["addr"], got["cookie"], got["algo"])
	}
}

func TestTagsDifferByKind(t *testing.T) {
	var c Counters
	var b Row
	BackendFacts{Name: "be", IID: 4, Mode: "http", Status: "UP", Active: 1, Algo: "roundrobin", LastChange: testTime, Counters: &c}.Row(&b, testTime)
	for _, tt := range []struct {
		row  *Row
		want []string
	}{
		{&b, []string{"B.4.0.19.act.1:MGPV:u32:1", "B.4.0.35.rate_max.1:MGPV:u32:0", "B.4.0.76.algo.1:CGSV:str:roundrobin", "B.4.0.55.lastsess.1:MAPP:s32:-1"}},
		{checkedServer(), []string{"S.4.2.19.act.1:SGPV:u32:1", "S.4.2.35.rate_max.1:MMPV:u32:0", "S.4.2.56.last_chk.1:MOPV:str:two lines ",
			"S.4.2.118.ssl_sess.1:MCPV:u64:0"}},
	} {
		lines := strings.Split(string(tt.row.AppendTyped(nil, false)), "\n")
		for _, want := range tt.want {
			found := false
			for _, l := range lines {
				found = found || l == want
			}
			if !found {
				t.Errorf("%q is missing in\n%s", want, strings.Join(lines, "\n"))
			}
		}
	}
	if got := string(b.AppendTyped(nil, true)); !strings.HasPrefix(got, `B.4.0.0.pxname.1:KNSV:str:be:"proxy name"`+"\n") {
		t.Errorf("with descriptions: %.100s", got)
	}
}

func TestFiltersSeeStates(t *testing.T) {
	for status, want := range map[string][3]bool{ // up, down, maint
		"UP": {true, false, false}, "UP 1/3": {true, false, false}, "no check": {true, false, false}, "DRAIN": {true, false, false},
		"DOWN": {false, true, false}, "DOWN (agent)": {false, true, false}, "DOWN 1/2": {false, false, false},
		"MAINT": {false, false, true}, "MAINT (via be/s)": {false, false, true}, "NOLB": {true, false, false},
	} {
		var r Row
		r.identity(Server, "be", "s", "http", status, 1, 1)
		if got := [3]bool{r.Up(), r.Down(), r.Maint()}; got != want {
			t.Errorf("%s: up, down, maint = %v, want %v", status, got, want)
		}
		r.Kind = Backend
		if r.Up() || r.Down() || r.Maint() {
			t.Errorf("%s of a backend counts as a server's", status)
		}
	}
}

func TestCountersCaughtHalfWayAreNotNegative(t *testing.T) {
	var c Counters
	c.Leave()
	var r Row
	FrontendFacts{Name: "f", Mode: "tcp", Status: "OPEN", Counters: &c}.Row(&r, testTime)
	if got := r.Text(ColSCur); got != "0" {
		t.Errorf("scur = %s", got)
	}
}

func TestServerStateLine(t *testing.T) {
	s := ServerState{Backend: "be1", BackendID: 3, Server: "s1", ServerID: 1, Addr: "127.0.0.1", Port: 28001, UWeight: 10, IWeight: 10,
		LastChange: testTime.Add(-time.Second), CheckStatus: 8, CheckResult: 2, CheckState: 6}
	if got, want := string(s.Append(nil, testTime)), "3 be1 1 s1 127.0.0.1 0 0 10 10 1 8 2 0 6 0 0 0 - 28001 - 0 0 - - 0\n"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
	s.FQDN, s.SSL, s.BackendForced, s.ServerForced, s.Addr, s.CheckAddr, s.CheckPort = "a.example", 1, true, true, "", "::1", 9
	if got, want := string(s.Append(nil, testTime)), "3 be1 1 s1 - 0 0 10 10 1 8 2 0 6 0 1 1 a.example 28001 - 1 9 ::1 - 0\n"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
	if n := len(strings.Fields(strings.Split(ServersStateHeader, "\n")[1])) - 1; n != len(strings.Fields(string(s.Append(nil, testTime)))) {
		t.Errorf("%d names for %d values", n, len(strings.Fields(string(s.Append(nil, testTime)))))
	}
}

func TestInfoFieldsStandWhereHAProxysDo(t *testing.T) {
	i := Info{Name: "HAProxy", Start: testTime.Add(-90061*time.Second - 250*time.Millisecond), Description: "a box", Stopping: true}
	fields := i.Fields(testTime, false)
	at := map[string]InfoField{}
	for n, f := range fields {
		if f.Pos != n {
			t.Errorf("%s stands at %d, is number %d", f.Name, f.Pos, n)
		}
		at[f.Name] = f
	}
	for name, want := range map[string]struct {
		pos   int
		value string
	}{"Uptime": {7, "1d 1h01m01s"}, "Uptime_sec": {8, "90061"}, "node": {50, ""}, "description": {51, "a box"}, "Stopping": {52, "1"}, "NbThreadGroups": {81, "1"}} {
		if f := at[name]; f.Pos != want.pos || f.Value != want.value {
			t.Errorf("%s is %q at %d, want %q at %d", name, f.Value, f.Pos, want.value, want.pos)
		}
	}
	i.Description = ""
	if fields = i.Fields(testTime, true); fields[51].Name != "Stopping" || fields[51].Pos != 52 {
		t.Errorf("without description %+v stands there", fields[51])
	}
	if f := fields[8]; f.Type != FLT || f.Value != "90061.25" {
		t.Errorf("as float %+v", f)
	}
}

func FuzzRowTexts(f *testing.F) {
	f.Add("a,b", `"`, "x\ny\r")
	f.Add("", " ", "\x00\xff")
	f.Fuzz(func(t *testing.T, proxy, name, addr string) {
		var c Counters
		var r Row
		ListenerFacts{Proxy: proxy, Name: name, Addr: addr, IID: 1, SID: 1, Mode: "tcp", Status: "OPEN", Proto: "tcpv4", Counters: &c}.Row(&r, testTime)
		got := cells(t, string(r.AppendCSV(nil)))
		clean := func(s string) string {
			return strings.TrimRight(strings.NewReplacer("\n", " ", "\r", "").Replace(s), " ")
		}
		if got["pxname"] != clean(proxy) || got["svname"] != clean(name) || got["addr"] != clean(addr) {
			t.Fatalf("%q %q %q read back as %q %q %q", proxy, name, addr, got["pxname"], got["svname"], got["addr"])
		}
		if n := strings.Count(string(r.AppendTyped(nil, false)), "\n"); strings.Count(string(r.AppendTyped(nil, true)), "\n") != n {
			t.Fatalf("%q breaks lines", proxy+name+addr)
		}
		if data := r.AppendJSON(nil); !json.Valid(data) {
			t.Fatalf("not JSON: %s", data)
		}
	})
}
