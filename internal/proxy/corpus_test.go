package proxy

import (
	"bufio"
	"bytes"
	"fmt"
	"io"
	"net"
	"net/http"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"
)

// TestCorpusForwardsNothingAmbiguous is figure F18: every input of the corpus is either refused or forwarded as requests that a strict
// reader, net/http's and Node's llhttp all delimit as we did. The server behind the edge counts what it reads; the client counts that
// server's answers.
// The same holds where `http-strict off` lets more through, where rules rewrite heads, and where requests are kept whole and sent again.
func TestCorpusForwardsNothingAmbiguous(t *testing.T) {
	for _, tc := range []struct {
		name    string
		change  func(*testing.T, *setup)
		loose   bool // requests without Host, or with another one than RFC 9110 has, may pass
		stutter bool // the server closes each second connection without an answer
	}{
		{name: "strict"},
		{name: "loose", loose: true, change: func(_ *testing.T, o *setup) { o.f.NoHostOK, o.f.Connect, o.f.UserOK = true, true, true }},
		{name: "rewritten", change: func(t *testing.T, o *setup) {
			o.f.ForwardFor = &ForwardFor{}
			o.f.HTTPRequest = requestRules(t, "set-header x-path %[path]", "set-header x-copy %[req.hdr(a)]", "replace-path (.*) /p\\1", "del-header a", "add-header x-len %[req.hdr(content-length)]",
				"set-method PUT if { method POST }", "replace-header tr (.*) x\\1", "set-query %[query]&q=1")
		}},
		{name: "kept and sent again", stutter: true, change: func(t *testing.T, o *setup) {
			o.f.HTTPRequest = requestRules(t, "wait-for-body time 20s at-least 2")
			o.b.BufferRequest = true
			o.b.RetryOn, o.s.Retries = &RetryOn{Empty: true, Junk: true, Timeout: true}, 1
		}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			srv := newStrictServer(t)
			srv.loose, srv.stutter = tc.loose, tc.stutter
			e := newEdge(t, srv.addr, func(o *setup) {
				o.b.NoAbortOnClose = true // the client shuts its side as soon as it has sent
				o.b.ServerClose = true
				o.s.Reuse = "never"
				if tc.change != nil {
					tc.change(t, o)
				}
			})
			go func() {
				for range e.lines {
				}
			}()
			runCorpus(t, e, srv)
		})
	}
}

func runCorpus(t *testing.T, e *edge, srv *strictServer) {
	inputs := corpus()
	if len(inputs) < 1500 {
		t.Fatalf("only %d inputs", len(inputs))
	}
	through, ambiguous, again := 0, 0, 0
	for _, in := range inputs {
		answers := ask1(t, e, in)
		seen := srv.take()
		through, again = through+len(seen.requests), again+len(seen.dropped)
		if why := seen.ambiguous(answers); why != "" {
			if ambiguous++; ambiguous <= 10 {
				t.Errorf("%.200q: %s\nserver got %.300q", in, why, seen.raw)
			}
		}
	}
	if ambiguous > 0 || through < 100 || through > len(inputs) || srv.stutter && again < 100 {
		t.Errorf("%d of %d inputs ambiguous, %d requests forwarded, %d twice", ambiguous, len(inputs), through, again)
	}
	for i, node := range readAsNode(t, srv.wires) {
		if why := srv.wires[i].differs(node); why != "" {
			if ambiguous++; ambiguous <= 10 {
				t.Errorf("%s\nserver got %.300q", why, srv.wires[i])
			}
		}
	}
	t.Logf("%d inputs, %d requests forwarded, %d twice, %d connections read by Node too, %d ambiguous", len(inputs), through, again, len(srv.wires), ambiguous)
}

// ask1 sends one input on a connection of its own and returns how many answers of the server came back.
func ask1(t *testing.T, e *edge, in string) int {
	t.Helper()
	c, err := net.Dial("tcp", e.addr)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	_ = c.SetDeadline(time.Now().Add(long))
	_, _ = io.WriteString(c, in) // the edge may close before it has read all
	_ = c.(*net.TCPConn).CloseWrite()
	out, _ := io.ReadAll(c)
	return bytes.Count(out, []byte("x-strict: yes\r\n"))
}

// corpus builds the inputs: every byte in every place where a byte matters, every pair of framings, every way to end a line, and
// targets, hosts, methods and versions of all kinds. Most carry a second request behind them.
func corpus() []string {
	var all []string
	add := func(format string, args ...any) { all = append(all, fmt.Sprintf(format, args...)) }
	for b := range 256 {
		c := string([]byte{byte(b)})
		for _, place := range []string{
			"G@T / HTTP/1.1\r\nHost: x\r\n\r\n", "GET@/ HTTP/1.1\r\nHost: x\r\n\r\n", "GET /a@b HTTP/1.1\r\nHost: x\r\n\r\n", "GET / HTTP/1.1@\r\nHost: x\r\n\r\n", "@GET / HTTP/1.1\r\nHost: x\r\n\r\n",
			"GET / HTTP/1.1\r\nHost: a@b\r\n\r\n", "GET / HTTP/1.1\r\nHost@: x\r\n\r\n", "GET / HTTP/1.1\r\nHost: x\r\nA@B: c\r\n\r\n", "GET / HTTP/1.1\r\nHost: x\r\n@A: c\r\n\r\n", "GET / HTTP/1.1\r\nHost: x\r\nA:@c\r\n\r\n", "GET / HTTP/1.1\r\nHost: x\r\nA: c@d\r\n\r\n", "GET / HTTP/1.1\r\nHost: x\r\nA: c\r@\n\r\n",
			"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: @3\r\n\r\nabc", "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 3@\r\n\r\nabc", "POST / HTTP/1.1\r\nHost: x\r\nContent-Length@: 3\r\n\r\nabc", "POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: @chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n", "POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked@\r\n\r\n3\r\nabc\r\n0\r\n\r\n", "POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding@: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n",
			"POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n@3\r\nabc\r\n0\r\n\r\n", "POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n3@\r\nabc\r\n0\r\n\r\n", "POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n3;a@b\r\nabc\r\n0\r\n\r\n", "POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc@\r\n0\r\n\r\n", "POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0@\r\n\r\n", "POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n0\r\nT@r: a\r\n\r\n", "POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n0\r\nTr: a@b\r\n\r\n",
		} {
			add("%s", strings.Replace(place, "@", c, 1)+smuggled)
		}
	}
	for _, te := range []string{"", "chunked", "Chunked", "CHUNKED", "chunked, chunked", "identity", "identity, chunked", "chunked, identity", "gzip, chunked", "chunked, gzip", "xchunked", "chunked;q=1", "chunked;", "\"chunked\"", "chun ked", ",chunked", "chunked,", "chunked\r\nTransfer-Encoding: identity", "identity\r\nTransfer-Encoding: chunked", "chunked\r\nTransfer-Encoding: chunked", "\r\n chunked", "chunked\r\n , x"} {
		for _, cl := range []string{"", "0", "3", "5", "03", "+3", "-3", "3 ", " 3", "3,3", "3, 3", "3,4", "3;3", "0x3", "3.0", "3\r\nContent-Length: 3", "3\r\nContent-Length: 4", "99999999999999999999", "18446744073709551619", "9223372036854775807", "\r\n 3", "3 3", "３"} {
			for _, body := range []string{"abc", "3\r\nabc\r\n0\r\n\r\n", "0\r\n\r\n"} {
				head := "POST / HTTP/1.1\r\nHost: x\r\n"
				if te != "" {
					head += "Transfer-Encoding: " + te + "\r\n"
				}
				if cl != "" {
					head += "Content-Length: " + cl + "\r\n"
				}
				add("%s\r\n%s%s", head, body, smuggled)
			}
		}
	}
	for _, end := range []string{"\r\n", "\n", "\r", "\n\r", "\r\r\n", "\r\n\r\n", " \r\n", "\t\r\n", "\x00\r\n", "\x0b\r\n"} {
		for at := range 5 {
			parts := []string{"POST / HTTP/1.1", "Host: x", "Content-Length: 3", "A: b", ""}
			text := ""
			for i, p := range parts {
				text += p
				if i == at {
					text += end
				} else {
					text += "\r\n"
				}
			}
			add("%sabc%s", text, smuggled)
			add("%s", end+"GET / HTTP/1.1\r\nHost: x\r\n\r\n"+smuggled)
			chunks := []string{"3", "abc", "0", ""}
			text = "POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n"
			for i, p := range chunks {
				text += p
				if i == at {
					text += end
				} else {
					text += "\r\n"
				}
			}
			add("%s%s", text, smuggled)
		}
	}
	for _, target := range []string{"/", "//", "/..", "/%2e%2e/", "/a;b", "/a\\b", "/a#b", "*", "http://x", "http://x/", "http://x:80/", "http://y/", "HTTP://X/", "https://x/", "ftp://x/", "x:80", "x", "?", "/?a b", "/\x7f", "/\xc3\xa9", "http://u@x/", "http:///a", "http://x#/", "http://x?/", "///x", "/ HTTP/1.1", "", " /", "/\t", "//x/y", "http:/x", "http://x\\y/", "http://[::1]/", "http://x:99999/", "http://x y/"} {
		for _, method := range []string{"GET", "OPTIONS", "CONNECT", "POST", "get", "PRI", "TRACE"} {
			add("%s %s HTTP/1.1\r\nHost: x\r\n\r\n%s", method, target, smuggled)
		}
	}
	for _, host := range []string{"", "x", "X", "x:80", "x:", "x:0", "x:65536", "x:8a", "a,b", "a b", "a/b", "a@b", "a?b", "a#b", "[::1]", "[::1", "::1", "a..b", ".a", "a.", "*", "%61", "a%", "a_b", "xn--a", "é", "a\tb", "127.0.0.1", "0x7f.1", "x\r\nHost: x", "x\r\nHost: y", "x\r\nX: y\r\nHost: x"} {
		add("GET / HTTP/1.1\r\nHost: %s\r\n\r\n%s", host, smuggled)
		add("GET / HTTP/1.0\r\nHost: %s\r\n\r\n%s", host, smuggled)
		add("GET http://x/ HTTP/1.1\r\nHost: %s\r\n\r\n%s", host, smuggled)
	}
	for _, version := range []string{"HTTP/1.1", "HTTP/1.0", "HTTP/0.9", "HTTP/2.0", "HTTP/1.2", "HTTP/1.10", "HTTP/01.1", "HTTP/1", "http/1.1", "HTTP/1.1 ", "HTTP 1.1", "HTTPS/1.1", "", "RTSP/1.0", "HTTP/1.1x", "HTTP/+1.1", "HTTP/1.-1"} {
		add("GET / %s\r\nHost: x\r\n\r\n%s", version, smuggled)
		add("POST / %s\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n%s", version, smuggled)
		add("POST / %s\r\nHost: x\r\nContent-Length: 3\r\n\r\nabc%s", version, smuggled)
	}
	for _, size := range []string{"0003", "3 ", " 3", "0x3", "+3", "-3", "3;", "3;a", "3;a=b", "3;a=\"b\"", "3;a=\"\r\n\"", "3\t", "G", "", "ffffffffffffffff", "10000000000000003", "fffffffffffffffff3", "3;" + strings.Repeat("a", 5000), "3,", "3_0"} {
		add("POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n%s\r\nabc\r\n0\r\n\r\n%s", size, smuggled)
		add("POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n%s\r\n\r\n%s", strings.Replace(size, "3", "0", 1), smuggled)
	}
	for _, connection := range []string{"close", "keep-alive", "host", "content-length", "transfer-encoding", "upgrade", "close, host", "x-forwarded-for", "te", "keep-alive, close", "\"close\"", "connection"} {
		for _, more := range []string{"", "Upgrade: h2c\r\nHTTP2-Settings: AAMAAABkAARAAAAAAAIAAAAA\r\n", "Upgrade: websocket\r\n", "TE: trailers\r\n", "Keep-Alive: timeout=5\r\n", "Proxy-Connection: keep-alive\r\n", "Expect: 100-continue\r\n", "Trailer: x\r\n"} {
			add("POST / HTTP/1.1\r\nHost: x\r\nConnection: %s\r\n%sContent-Length: 3\r\n\r\nabc%s", connection, more, smuggled)
			add("POST / HTTP/1.1\r\nHost: x\r\nConnection: %s\r\n%sTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n%s", connection, more, smuggled)
		}
	}
	return all
}

// strictServer reads requests as RFC 9112 has them and no other way, and answers each.
type strictServer struct {
	addr    string
	loose   bool // a request of HTTP/1.1 needs no Host, and any visible one will do
	stutter bool // the requests of each second connection get no answer
	mu      sync.Mutex
	idle    *sync.Cond // of mu: no connection is open
	open    int        // guarded by mu, as the rest
	conns   int
	seen    sightings
	wires   []wire // of every connection that brought something
}

// sightings are what reached the server since the last take.
type sightings struct {
	requests []string // complete ones that were answered
	dropped  []string // complete ones that were not
	raw      string
	fault    string // why the rest is no request
}

func newStrictServer(t *testing.T) *strictServer {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	s := &strictServer{addr: l.Addr().String()}
	s.idle = sync.NewCond(&s.mu)
	t.Cleanup(func() { l.Close() })
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			s.mu.Lock()
			s.open++
			s.mu.Unlock()
			go s.serve(c)
		}
	}()
	return s
}

// take waits for the open connections, which the edge closes after one request, and returns what came on them. The client has its answers
// by then, so no further connection is being made.
func (s *strictServer) take() sightings {
	s.mu.Lock()
	defer s.mu.Unlock()
	for s.open > 0 {
		s.idle.Wait()
	}
	seen := s.seen
	s.seen = sightings{}
	return seen
}

func (s *strictServer) serve(c net.Conn) {
	var on wire
	var got []byte
	defer func() {
		c.Close()
		s.mu.Lock()
		if on.rest = string(got); len(on.requests) > 0 || on.rest != "" {
			s.wires = append(s.wires, on)
		}
		s.open--
		s.idle.Broadcast()
		s.mu.Unlock()
	}()
	_ = c.SetDeadline(time.Now().Add(long))
	s.mu.Lock()
	s.conns++
	silent := s.stutter && s.conns%2 == 1
	s.mu.Unlock()
	buf := make([]byte, 4096)
	for {
		n, err := c.Read(buf)
		s.mu.Lock()
		s.seen.raw += string(buf[:n])
		got = append(got, buf[:n]...)
		answers := ""
		for len(got) > 0 {
			size, fault := delimit(got, s.loose)
			if fault != "" {
				s.seen.fault = fault
			}
			if size == 0 {
				break
			}
			on.requests = append(on.requests, string(got[:size]))
			if silent {
				s.seen.dropped = append(s.seen.dropped, string(got[:size]))
				got, err = got[size:], io.EOF
				break
			}
			s.seen.requests = append(s.seen.requests, string(got[:size]))
			answers += "HTTP/1.1 " + statusFor(got) + " No\r\nX-Strict: yes\r\nContent-Length: 0\r\n\r\n"
			got = got[size:]
		}
		fault := s.seen.fault != ""
		s.mu.Unlock()
		if _, werr := io.WriteString(c, answers); err != nil || werr != nil || fault {
			return
		}
	}
}

// statusFor refuses CONNECT: a tunnel is no request any more.
func statusFor(request []byte) string {
	if bytes.HasPrefix(request, []byte("CONNECT ")) {
		return "405"
	}
	return "200"
}

var (
	requestLineOf = regexp.MustCompile(`^(\S+) \S+ (HTTP/1)`)
	requestLine   = regexp.MustCompile("^([!#$%&'*+.^_`|~0-9A-Za-z-]+) ([!\"$-~]+) HTTP/1\\.[01]$")
	fieldName     = regexp.MustCompile("^[!#$%&'*+.^_`|~0-9A-Za-z-]+$")
	hostText      = regexp.MustCompile(`^([A-Za-z0-9._~%!$&'()*+;=-]+|\[[0-9A-Fa-f:.]+\])?(:[0-9]*)?$`)
	digits        = regexp.MustCompile(`^[0-9]{1,15}$`)
	chunkSize     = regexp.MustCompile(`^[0-9A-Fa-f]{1,15}$`)
)

// delimit returns the length of the request that b starts with, 0 while it is incomplete, and why it is none.
func delimit(b []byte, loose bool) (size int, fault string) {
	end := bytes.Index(b, []byte("\r\n\r\n"))
	if end < 0 {
		return 0, ""
	}
	lines := strings.Split(string(b[:end]), "\r\n")
	if !requestLine.MatchString(lines[0]) {
		return 0, fmt.Sprintf("request line %q", lines[0])
	}
	length, chunked, hosts := "", false, 0
	for _, l := range lines[1:] {
		name, value, ok := strictField(l)
		if !ok {
			return 0, fmt.Sprintf("field %q", l)
		}
		switch strings.ToLower(name) {
		case "content-length":
			if length != "" || !digits.MatchString(value) {
				return 0, fmt.Sprintf("length %q", l)
			}
			length = value
		case "transfer-encoding":
			if chunked || value != "chunked" {
				return 0, fmt.Sprintf("coding %q", l)
			}
			chunked = true
		case "host":
			if hosts++; hosts > 1 || !loose && !hostText.MatchString(value) {
				return 0, fmt.Sprintf("host %q", l)
			}
		}
	}
	if chunked && length != "" {
		return 0, "two framings"
	}
	if hosts == 0 && !loose && strings.HasSuffix(lines[0], "1.1") {
		return 0, "no host"
	}
	size = end + 4
	if length != "" {
		n, _ := strconv.Atoi(length)
		if size += n; size > len(b) {
			return 0, ""
		}
		return size, ""
	}
	if chunked {
		return delimitChunks(b, size)
	}
	return size, ""
}

// strictField splits a field line (RFC 9110 section 5.5): a token, a colon, at most one space, and visible bytes with blanks only between.
func strictField(line string) (name, value string, ok bool) {
	name, value, ok = strings.Cut(line, ":")
	value = strings.TrimPrefix(value, " ")
	for _, c := range []byte(value) {
		ok = ok && (c > ' ' && c != 0x7f || c == ' ' || c == '\t')
	}
	return name, value, ok && fieldName.MatchString(name) && strings.Trim(value, " \t") == value
}

func delimitChunks(b []byte, at int) (int, string) {
	for {
		line, ok := lineAt(b, at)
		if !ok {
			return 0, ""
		}
		if !chunkSize.MatchString(line) {
			return 0, fmt.Sprintf("chunk size %q", line)
		}
		n, _ := strconv.ParseInt(line, 16, 64)
		at += len(line) + 2
		if n == 0 {
			break
		}
		if int64(at)+n+2 > int64(len(b)) {
			return 0, ""
		}
		at += int(n)
		if string(b[at:at+2]) != "\r\n" {
			return 0, "no line end behind a chunk"
		}
		at += 2
	}
	for {
		line, ok := lineAt(b, at)
		if !ok {
			return 0, ""
		}
		at += len(line) + 2
		if line == "" {
			return at, ""
		}
		if _, _, ok := strictField(line); !ok {
			return 0, fmt.Sprintf("trailer %q", line)
		}
	}
}

func lineAt(b []byte, at int) (string, bool) {
	n := bytes.Index(b[at:], []byte("\r\n"))
	if n < 0 {
		return "", false
	}
	return string(b[at : at+n]), true
}

// ambiguous tells why what was seen can be read in two ways, given how many answers of the server the client got.
func (s sightings) ambiguous(answers int) string {
	if s.fault != "" {
		return s.fault
	}
	if len(s.requests) != answers {
		return fmt.Sprintf("the server read %d requests, the client got %d of its answers", len(s.requests), answers)
	}
	for i, text := range s.dropped {
		if i < len(s.requests) && s.requests[i] != text {
			return fmt.Sprintf("sent again as %q", s.requests[i])
		}
	}
	for _, text := range s.requests {
		// The other reader judges framing only: it holds targets against rules of its own.
		in := bufio.NewReader(strings.NewReader(requestLineOf.ReplaceAllString(text, "$1 / $2") + "X"))
		r, err := http.ReadRequest(in)
		if err != nil {
			return fmt.Sprintf("net/http: %v", err)
		}
		if _, err := io.Copy(io.Discard, r.Body); err != nil {
			return fmt.Sprintf("net/http: %v", err)
		}
		if rest, _ := io.ReadAll(in); string(rest) != "X" {
			return fmt.Sprintf("net/http leaves %q", rest)
		}
	}
	return ""
}
