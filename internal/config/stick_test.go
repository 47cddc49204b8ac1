package config

import (
	"reflect"
	"testing"
	"time"
)

func TestStickTableLineIsRead(t *testing.T) {
	c := mustParse(t, "backend b\n stick-table type string len 20 size 64k expire 1m nopurge srvkey addr brates-factor 8 "+
		"store conn_cur,gpc_rate(3,10s),http_req_rate(1m) store gpt(2)\n stick on hdr(x) table b if TRUE\n"+
		"backend d\n stick-table type ipv4 size 1k\n")
	got := c.Proxies[0].StickTable
	got.Pos = Pos{}
	want := &StickTable{Type: "string", KeyLen: 20, Size: 65536, Expire: time.Minute, NoPurge: true, ByAddress: true, BratesFactor: 8, Store: []StickData{
		{"conn_cur", 1, 0}, {"gpc_rate", 3, 10 * time.Second}, {"http_req_rate", 1, time.Minute}, {"gpt", 2, 0}}}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("%+v\nwant %+v", got, want)
	}
	if w := c.Proxies[0].Stick[0].Words; !reflect.DeepEqual(w, []string{"on", "hdr(x)", "table", "b", "if", "TRUE"}) {
		t.Errorf("rule %q", w)
	}
	if got := c.Proxies[1].StickTable; got.Type != "ip" || got.KeyLen != 0 {
		t.Errorf("%+v", got)
	}
}

func TestWhatNeedsPeersIsRefused(t *testing.T) {
	for _, word := range []string{"peers p", "recv-only", "write-to b"} {
		_, diags := parseText("backend b\n stick-table type ip size 1k " + word + "\n")
		if !diags.HasErrors() {
			t.Errorf("%s is taken", word)
		}
	}
}

func TestStatusCodeSets(t *testing.T) {
	c := mustParse(t, "global\n http-err-codes 220 +300-499 -300-399\n http-fail-codes -550-580 +555,599,556-566\n")
	for status, want := range map[int][2]bool{220: {true, false}, 300: {}, 400: {true, false}, 499: {true, false}, 500: {false, true},
		501: {}, 555: {false, true}, 567: {}, 599: {false, true}, 99: {}, 600: {}, 0: {}} {
		g := &c.Global
		if got := [2]bool{g.ErrCodes.Has(status), g.FailCodes.Has(status)}; got != want {
			t.Errorf("%d: %v, want %v", status, got, want)
		}
	}
	c = mustParse(t, "global\n http-err-codes 200,404\n")
	if g := &c.Global; g.ErrCodes.Has(200) || !g.ErrCodes.Has(404) || g.FailCodes.Has(505) || !g.FailCodes.Has(503) {
		t.Error("each range without a sign replaces what was before")
	}
}

func FuzzStickTable(f *testing.F) {
	f.Add("type ip size 1k store gpc(2),conn_rate(1s)")
	f.Add("type string len 3 size 1 expire 1 store gpc_rate(2,1s),gpt0")
	f.Fuzz(func(t *testing.T, line string) {
		c, diags := parseText("backend b\n stick-table " + line + "\n")
		if diags.HasErrors() || len(c.Proxies) == 0 || c.Proxies[0].StickTable == nil {
			return
		}
		st := c.Proxies[0].StickTable
		if st.Size <= 0 || st.Type == "" || st.KeyLen < 0 || st.KeyLen > maxStickKey || len(st.Store) > len(stickData) {
			t.Errorf("%q became %+v", line, st)
		}
	})
}
