package rule

import (
	"fmt"
	"net/netip"
	"os"
	"strings"
	"testing"
	"time"

	"gatehouse/internal/config"
	"gatehouse/internal/stream"
)

// testEnv is a process with one backend "web", two of whose servers are up.
type testEnv struct{ vars map[string]Value }

func (testEnv) Nbsrv(backend string) (int, bool) { return 2, backend == "web" }
func (testEnv) ServerUp(backend, server string) (up, ok bool) {
	return server == "s1", backend == "web"
}
func (testEnv) Fact(f Fact, proxy, server string) (int64, bool) {
	if f == FactStopping {
		return 0, true
	}
	return int64(f) + 100, proxy != "nope" && server != "nope"
}
func (e testEnv) Var(name string) (Value, bool) { v, ok := e.vars[name]; return v, ok }
func (testEnv) Now() time.Time                  { return time.Unix(1700000000, 5e8) }
func (e testEnv) SetVar(name string, v Value, unset bool) {
	if unset {
		delete(e.vars, name)
		return
	}
	e.vars[name] = v
}

func newEnv() testEnv { return testEnv{map[string]Value{}} }

var testPos = config.Pos{File: "t.cfg", Line: 7}

func newCompiler() (*Compiler, *config.Diags) {
	d := &config.Diags{}
	return &Compiler{Diags: d, Kind: "frontend", Proxy: "f", HTTP: true, Hostname: "edge1", Pid: 4242,
		Backends:  func(name string) bool { return name == "web" },
		LookupEnv: func(name string) (string, bool) { return "value of " + name, name == "SET" },
		ReadFile: func(name string) ([]byte, error) {
			switch name {
			case "list":
				return []byte("# comment\n\n/one\n  /two  \r\n"), nil
			case "km":
				return []byte("k v\nk2 w\n"), nil
			case "badip":
				return []byte("bad\n"), nil
			case "page":
				return []byte("HTTP/1.0 418 Teapot\r\nContent-Length: 5\r\nX-Page: yes\r\nConnection: close\r\n\r\nbody\n"), nil
			case "lf":
				return []byte("path is %[path]\n"), nil
			}
			return nil, os.ErrNotExist
		}}, d
}

// newStream is what the codec makes of a request: lines of "name: value".
func newStream(t testing.TB, requestLine string, headers ...string) *stream.Stream {
	t.Helper()
	start := time.Date(2026, 11, 22, 15, 4, 5, 678e6, time.UTC)
	s := &stream.Stream{HTTP: true, Frontend: "f", Conn: &stream.Conn{Frontend: "f", Requests: 1,
		Src: netip.MustParseAddrPort("192.0.2.1:40000"), Dst: netip.MustParseAddrPort("198.51.100.2:443"), Accepted: start}}
	s.Reset()
	s.Log.Start = start
	w := strings.SplitN(requestLine, " ", 3)
	if len(w) != 3 {
		t.Fatalf("bad request line %q", requestLine)
	}
	s.Req.Method, s.Req.Target, s.Req.Major, s.Req.Minor = []byte(w[0]), []byte(w[1]), 1, int(w[2][7]-'0')
	s.Log.RequestLine = []byte(requestLine)
	for _, h := range headers {
		name, value, ok := strings.Cut(h, ":")
		if !ok {
			t.Fatalf("bad header %q", h)
		}
		s.Req.Fields = append(s.Req.Fields, stream.Field{Name: []byte(strings.ToLower(name)), Value: []byte(strings.Trim(value, " \t"))})
	}
	return s
}

func words(line string) []string {
	w, err := config.SplitWords(line, nil)
	if err != nil {
		panic(fmt.Sprintf("%s: %v", line, err))
	}
	return w
}

func rules(lines ...string) []config.Rule {
	var list []config.Rule
	for i, l := range lines {
		list = append(list, config.Rule{Pos: config.Pos{File: "t.cfg", Line: i + 1}, Words: words(l)})
	}
	return list
}

func diagTexts(d *config.Diags) string {
	var b strings.Builder
	for _, x := range *d {
		fmt.Fprintf(&b, "%s %s\n", x.Level, x.Text)
	}
	return b.String()
}

// fieldLines writes fields one a line.
func fieldLines(fields []stream.Field) string {
	var b strings.Builder
	for _, f := range fields {
		fmt.Fprintf(&b, "%s: %s\n", f.Name, f.Value)
	}
	return b.String()
}

// aclsOf reads acl lines.
func aclsOf(lines string) []config.ACL {
	var list []config.ACL
	for _, l := range strings.Split(lines, "\n") {
		if w := words(l); len(w) > 1 {
			list = append(list, config.ACL{Pos: testPos, Name: w[1], Words: w[2:]})
		}
	}
	return list
}
