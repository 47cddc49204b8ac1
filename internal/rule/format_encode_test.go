package rule

import (
	"encoding/json"
	"testing"
)

// TestEncodedFormats: what HAProxy 3.4.0 writes for the same request, but for bytes that are no JSON (0xE9, tab).
func TestEncodedFormatsAreWhatHAProxyWrites(t *testing.T) {
	for _, row := range []struct{ format, want string }{
		{`%{+json}o %(who)ci %(port)[src_port] text %(st)ST %(m)HM %(q)HQ %(none)[var(txn.no)] %(b)[bool(true)] %(n)[int(-5)] %(s)[var(txn.xs)] %(r)r %(hdrs)hr %(t)Tr %(bin)[bin(00ff41)] %(ip)[src] %b`,
			`{"who": "192.0.2.1", "port": 40000, "st": 200, "m": "GET", "q": "?a=#22b", "none": "", "b": true, "n": -5, "s": "a\"b\\c]\t\u00e9z", "r": "GET /p%41?a=#22b HTTP/1.1", "hdrs": null, "t": -1, "bin": "", "ip": "192.0.2.1"}`},
		{`%{+cbor,+bin}o %(who)ci %(st)ST %(none)[var(txn.no)] %(b)[bool(true)] %(n)[int(-5)] %(bin)[bin(00ff41)]`,
			"\xbfcwhoi192.0.2.1bst\x18\xc8dnone\xf6ab\xf5an\x24cbinC\x00\xffA\xff"},
		{`%{+cbor}o %(st)ST %(b)[bool(true)]`, "BF62737418C86162F5FF"},
		{`%(a){+json}[int(1)] a%(x){+json}HM-b`, `1 a"GET"-b`},
		{`%{+json}o%(f:sint)[str(12)] %(g:str)[int(12)] %(h:bool)[int(1)] %(i)[int(3),neg] %(mm)[method] %(k){-json}[int(4)] %(l){+Q}[int(4)]`,
			`{"f": 12, "g": "12", "h": true, "i": -3, "mm": "GET", "k": 4, "l": 4}`},
		{"%OG", "txn_close"},
		{"%{+cbor}[int(70000)] %{+cbor}[int(5000000000)] %{+cbor}[int(300)]", "1A00011170 1B000000012A05F200 19012C"},
	} {
		c, d := newCompiler()
		s, env := newStream(t, `GET /p%41?a="b HTTP/1.1`), newEnv()
		s.Log.Status = 200
		s.Txn.Set("xs", text([]byte("a\"b\\c]\t\xe9z")))
		f := c.Format(row.format, testPos, true)
		if f == nil {
			t.Errorf("%s: %s", row.format, diagTexts(d))
			continue
		}
		got := string(f.Append(nil, s, env))
		if got != row.want {
			t.Errorf("%s\n got %q\nwant %q", row.format, got, row.want)
		}
		if got[0] == '{' && !json.Valid([]byte(got)) {
			t.Errorf("%s: not JSON: %s", row.format, got)
		}
	}
}

func TestConditionsOfNamedACLs(t *testing.T) {
	c, d := newCompiler()
	c.ACLs(aclsOf("acl a path /x\nacl b always_true\nacl c acl(a,b)"))
	s, env := newStream(t, "GET /x HTTP/1.1"), newEnv()
	for format, want := range map[string]string{"%[acl(a)]": "1", "%[acl(a,b,c)]": "1", "%[acl(!a)]": "0", "%[acl(b,!c)]": "0", "%[acl(METH_GET)]": "1"} {
		f, err := c.parseFormat(format, formatUse{mode: true, in: inRequest})
		if err != nil {
			t.Errorf("%s: %v", format, err)
		} else if got := string(f.Append(nil, s, env)); got != want {
			t.Errorf("%s: %s, want %s", format, got, want)
		}
	}
	if _, _, err := c.parseExpr("acl(nope)"); err == nil || len(*d) > 0 {
		t.Errorf("an unknown ACL was taken: %v, %s", err, diagTexts(d))
	}
}
