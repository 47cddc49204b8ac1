package engine

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

const answersConfig = `
http-errors E
    errorfile 400 DIR/e400
    errorfile 403 DIR/e403
defaults d
    mode http
    timeout client 1s
    timeout connect 1s
    timeout server 1s
    errorfile 404 missing
frontend a from d
    bind 127.0.0.1:1
    errorfiles E 400 500
    errorfiles NONE
    http-error status 403 content-type text/plain string no
    http-error status 404 errorfiles NONE
    http-request deny errorfiles E if FALSE
    http-request deny deny_status 429 errorfiles E if FALSE
    http-request deny errorfiles NONE
backend b from d
`

func TestFaultsOfErrorPagesAreToldOnce(t *testing.T) {
	e := newEdge(t, false)
	for _, code := range []string{"400", "403"} {
		if err := os.WriteFile(filepath.Join(e.dir, "e"+code), []byte("HTTP/1.1 "+code+" x\r\n\r\n"), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	var got []string
	for _, d := range e.load(answersConfig) {
		got = append(got, d.Level+" "+d.Text)
	}
	want := []string{
		"ALERT config : parsing [test.cfg:10] : errorfile : error opening file 'missing'.",
		"WARNING config: proxy 'a' : status '500' not declared in http-errors section 'E' (at test.cfg:13).",
		"ALERT proxy 'a': unknown http-errors section 'NONE' (at test.cfg:14).",
		"ALERT proxy 'a': unknown http-errors section 'NONE' (at test.cfg:16).",
		"WARNING Proxy 'a': status '429' referenced by an http reply not declared in http-errors section 'E'.",
		"ALERT Proxy 'a': unknown http-errors section 'NONE' referenced by an http reply .",
	}
	for _, w := range want {
		n := 0
		for _, g := range got {
			if g == w {
				n++
			}
		}
		if n != 1 {
			t.Errorf("%q is told %d times in\n%s", w, n, strings.Join(got, "\n"))
		}
	}
	if len(got) != len(want) {
		t.Errorf("got\n%s", strings.Join(got, "\n"))
	}
}
