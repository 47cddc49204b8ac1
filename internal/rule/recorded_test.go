package rule

import (
	"os"
	"strconv"
	"strings"
	"testing"
)

// recordedJWT is signed with HS256 and the secret "your-256-bit-secret".
const recordedJWT = "eyJhbGciOiJIUzI1NiIsInR5cCI6IkpXVCJ9.eyJzdWIiOiIxMjM0NTY3ODkwIiwibmFtZSI6IkpvaG4gRG9lIiwiaWF0IjoxNTE2MjM5MDIyfQ.SflKxwRJSMeKKF2QT4fwpMeJf36POk6yJV_adQssw5c"

const recordedJSON = `{"a":"v\"x\u00e9","b":{"c":1, "d":[1,"two",3]},"n":42,"f":-1.5e3,"big":12345678901234567890,"neg":-7,"t":true,"x":false,"z":null,"s":"a/b\/c","k.l":"dot","e":"","u":1234567.25}`

// TestConvertersGiveWhatHAProxy34Gives replays testdata/converters.txt: a format, and what HAProxy 3.4.0 made of it in a return
// rule behind the set-var rules below.
func TestConvertersGiveWhatHAProxy34Gives(t *testing.T) {
	data, err := os.ReadFile("testdata/converters.txt")
	if err != nil {
		t.Fatal(err)
	}
	c, d := newCompiler()
	s, env := newStream(t, "GET / HTTP/1.1", "Host: x", "jwt: "+recordedJWT, "json: "+recordedJSON), newEnv()
	c.HTTPRequest(rules("set-var(txn.v) str(mmm)", "set-var(txn.n) int(7)", "set-var(txn.key) str(my_super_secret_long_key),base64",
		"set-var(txn.secret) str(your-256-bit-secret)", "set-var(txn.alg) str(HS256)", "set-var(txn.jwt) req.fhdr(jwt)", "set-var(txn.json) req.fhdr(json)"), nil).Run(s, env)
	c.ACLs(nil)
	lines := strings.Split(strings.TrimSuffix(string(data), "\n"), "\n")
	for _, line := range lines {
		format, quoted, _ := strings.Cut(line, "\t")
		want, err := strconv.Unquote(quoted)
		if err != nil {
			t.Fatalf("%s: %v", line, err)
		}
		f, err := c.parseFormat(format, formatUse{mode: true, in: inRequest})
		if err != nil {
			t.Errorf("%s: %v", format, err)
			continue
		}
		if got := string(f.Append(nil, s, env)); got != want {
			t.Errorf("%s: we say %q, HAProxy says %q", format, got, want)
		}
	}
	if len(lines) < 180 || len(*d) > 0 {
		t.Errorf("%d lines, messages:\n%s", len(lines), diagTexts(d))
	}
}
