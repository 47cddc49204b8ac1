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

// TestThreat_H17: whatever a server sends, split, too early, too much or malformed, the client gets one response that a strict reader and
// net/http's delimit alike, or one that visibly ends too soon, or a 502; and the server's connection serves another request only
// where its answer was complete with nothing behind it. TestServerFaults and TestServerThatKeepsSendingIsNotPooled show the log lines.
func TestThreat_H17(t *testing.T) {
	for _, hangs := range []bool{false, true} {
		t.Run(fmt.Sprintf("hangs=%v", hangs), func(t *testing.T) {
			t.Parallel()
			srv := newHostileServer(t, hangs)
			e := newEdge(t, srv.addr, func(o *setup) {
				o.b.NoAbortOnClose = true // the client shuts its side as soon as it has sent
				o.s.Reuse = "always"
				if hangs {
					o.b.Timeouts.Server = 20 * time.Millisecond
				}
			})
			go func() {
				for range e.lines {
				}
			}()
			runAnswers(t, e, srv)
		})
	}
}

func runAnswers(t *testing.T, e *edge, srv *hostileServer) {
	inputs := answerCorpus()
	if len(inputs) < 1000 {
		t.Fatalf("only %d inputs", len(inputs))
	}
	bad, whole, refused, cut, reused := 0, 0, 0, 0, 0
	for i, in := range inputs {
		method := "GET"
		if i%7 == 3 {
			method = "HEAD"
		}
		if srv.hangs && i%5 != 0 && delimitAnswer([]byte(in), method == "HEAD").size != len(in) {
			continue // each waits for the timeout
		}
		srv.say(in)
		out := converse(t, e, method+" /bad HTTP/1.1\r\nHost: x\r\n\r\n")
		next := converse(t, e, "GET /good HTTP/1.1\r\nHost: x\r\n\r\n")
		again := srv.reused()
		why := ""
		switch got := delimitAnswer(out, method == "HEAD"); {
		case got.fault != "":
			why = got.fault
		case got.status == 502 || got.status == 504:
			refused++
		case got.size == 0:
			cut++
		case got.size != len(out):
			why = fmt.Sprintf("%d bytes behind the response", len(out)-got.size)
		default:
			whole++
			why = likeNetHTTP(out, method)
		}
		if again {
			reused++
			usual := inUsualForm(in)
			if said := delimitAnswer([]byte(usual), method == "HEAD"); said.fault != "" || said.size != len(usual) || said.toEnd {
				why = "the server's connection was used again"
			}
		}
		if string(next) != okOut && !(srv.hangs && bytes.HasPrefix(next, []byte("HTTP/1.1 504 "))) && why == "" {
			why = fmt.Sprintf("the next request got %q", next)
		}
		if why != "" {
			if bad++; bad <= 10 {
				t.Errorf("%s %.200q: %s\nclient got %.300q", method, in, why, out)
			}
		}
	}
	if bad > 0 || whole < 100 || refused < 100 || cut < 10 || reused < 50 && srv.hangs {
		t.Errorf("%d of %d answers went wrong: %d whole, %d refused, %d cut, %d connections used again", bad, len(inputs), whole, refused, cut, reused)
	}
	t.Logf("%d answers: %d whole, %d refused, %d cut, %d connections used again, %d wrong", len(inputs), whole, refused, cut, reused, bad)
}

// converse sends one request, shuts its side, and returns all that came back.
func converse(t *testing.T, e *edge, request string) []byte {
	t.Helper()
	c, err := net.Dial("tcp", e.addr)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	_ = c.SetDeadline(time.Now().Add(long))
	if _, err := io.WriteString(c, request); err != nil {
		t.Fatal(err)
	}
	_ = c.(*net.TCPConn).CloseWrite()
	out, _ := io.ReadAll(c)
	return out
}

// hostileServer answers the first request of the next connection with what it was told, and everything else properly.
type hostileServer struct {
	addr  string
	hangs bool // it stays, instead of closing behind a hostile answer

	mu    sync.Mutex
	text  string // guarded by mu, as the rest
	told  bool   // text has not been sent yet
	again bool   // the connection that sent it got another request
	conns []net.Conn
}

func newHostileServer(t *testing.T, hangs bool) *hostileServer {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	h := &hostileServer{addr: l.Addr().String(), hangs: hangs}
	var running sync.WaitGroup
	running.Go(func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			h.mu.Lock()
			h.conns = append(h.conns, c)
			h.mu.Unlock()
			running.Go(func() { h.serve(c) })
		}
	})
	t.Cleanup(func() {
		l.Close()
		h.mu.Lock()
		for _, c := range h.conns {
			c.Close()
		}
		h.mu.Unlock()
		running.Wait()
	})
	return h
}

func (h *hostileServer) say(text string) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.text, h.told, h.again = text, true, false
}

func (h *hostileServer) reused() bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.again
}

func (h *hostileServer) serve(c net.Conn) {
	defer c.Close()
	p := newPeer(quiet{}, c)
	spoilt := ""
	for {
		head, err := readHead(p.r)
		if err != nil {
			return
		}
		h.mu.Lock()
		text := okResponse
		h.again = h.again || spoilt != "" && spoilt == h.text
		if strings.Contains(head, " /bad ") && h.told {
			text, h.told, spoilt = h.text, false, h.text
		}
		h.mu.Unlock()
		if _, err := io.WriteString(c, text); err != nil {
			return
		}
		if text == spoilt && !h.hangs {
			return
		}
	}
}

func readHead(r *bufio.Reader) (string, error) {
	var b strings.Builder
	for {
		l, err := r.ReadString('\n')
		if b.WriteString(l); err != nil || l == "\r\n" {
			return b.String(), err
		}
	}
}

// inUsualForm writes an answer as a strict reader has it, where HAProxy and we take more from servers: lines that end in LF alone, blanks in
// the status line, a later minor version, and a length that is said several times (RFC 9110 section 8.6).
func inUsualForm(in string) string {
	if head, body, ok := strings.Cut(in, "\n\n"); ok && !strings.Contains(head, "\r") {
		in = strings.ReplaceAll(head, "\n", "\r\n") + "\r\n\r\n" + body
	}
	return strings.NewReplacer("HTTP/1.2 ", "HTTP/1.1 ", "HTTP/1.1  200", "HTTP/1.1 200", "HTTP/1.1 200\r", "HTTP/1.1 200 \r", "Content-Length: 2,2\r\n", "Content-Length: 2\r\n",
		"Content-Length: 2\r\nContent-Length: 2\r\n", "Content-Length: 2\r\n", ": \t2", ": 2").Replace(in)
}

// answer is what a strict reader makes of the bytes of a connection.
type answer struct {
	status int
	size   int // 0: it ends too soon
	toEnd  bool
	fault  string
}

var statusLine = regexp.MustCompile(`^HTTP/1\.[01] ([1-9][0-9][0-9]) [^\x00-\x08\x0a-\x1f\x7f]*$`)

// delimitAnswer reads interim responses and one final response.
func delimitAnswer(b []byte, head bool) (a answer) {
	at := 0
	for {
		end := bytes.Index(b[at:], []byte("\r\n\r\n"))
		if end < 0 {
			return a
		}
		lines := strings.Split(string(b[at:at+end]), "\r\n")
		m := statusLine.FindStringSubmatch(lines[0])
		if m == nil {
			a.fault = fmt.Sprintf("status line %q", lines[0])
			return a
		}
		a.status, _ = strconv.Atoi(m[1])
		at += end + 4
		if a.status < 200 && a.status != 101 {
			continue
		}
		a.body(b, at, lines, head)
		return a
	}
}

// body finds the end of a final response whose head has these lines.
func (a *answer) body(b []byte, at int, lines []string, head bool) {
	length, chunked, closes := "", false, false
	for _, l := range lines[1:] {
		name, value, ok := strictField(l)
		if !ok {
			a.fault = fmt.Sprintf("field %q", l)
			return
		}
		switch strings.ToLower(name) {
		case "content-length":
			if length != "" || !digits.MatchString(value) {
				a.fault = fmt.Sprintf("length %q", l)
			}
			length = value
		case "transfer-encoding":
			if chunked || value != "chunked" {
				a.fault = fmt.Sprintf("coding %q", l)
			}
			chunked = true
		case "connection":
			closes = closes || strings.EqualFold(value, "close")
		}
	}
	if a.fault != "" {
		return
	}
	switch n, _ := strconv.Atoi(length); {
	case chunked && length != "":
		a.fault = "two framings"
	case head || a.status == 204 || a.status == 304:
		a.size = at
	case chunked:
		a.size, a.fault = delimitChunks(b, at)
	case length == "":
		a.size, a.toEnd = len(b), true
		if !closes && !strings.HasPrefix(lines[0], "HTTP/1.0") {
			a.fault = "a body to the end of a connection that is not said to close"
		}
	case at+n <= len(b):
		a.size = at + n
	}
}

// likeNetHTTP tells where another reader sees the response end elsewhere.
func likeNetHTTP(out []byte, method string) string {
	in := bufio.NewReader(bytes.NewReader(out))
	for {
		r, err := http.ReadResponse(in, &http.Request{Method: method})
		if err != nil {
			return fmt.Sprintf("net/http: %v", err)
		}
		if _, err := io.Copy(io.Discard, r.Body); err != nil {
			return fmt.Sprintf("net/http: %v", err)
		}
		if r.StatusCode < 200 {
			continue
		}
		if rest, _ := io.ReadAll(in); len(rest) > 0 {
			return fmt.Sprintf("net/http leaves %q", rest)
		}
		return ""
	}
}

// answerCorpus builds the answers: every byte where a byte matters, every pair of framings, heads at their limits, interim responses
// of all kinds. Most are followed by a second response that nobody asked for.
func answerCorpus() []string {
	const evil = "HTTP/1.1 200 OK\r\nContent-Length: 4\r\nX-Evil: 1\r\n\r\nevil"
	var all []string
	add := func(format string, args ...any) { all = append(all, fmt.Sprintf(format, args...)) }
	for b := range 256 {
		for _, place := range []string{
			"@HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok", "HTTP/1.@ 200 OK\r\nContent-Length: 2\r\n\r\nok", "HTTP/1.1@200 OK\r\nContent-Length: 2\r\n\r\nok", "HTTP/1.1 20@ OK\r\nContent-Length: 2\r\n\r\nok", "HTTP/1.1 @00 OK\r\nContent-Length: 2\r\n\r\nok",
			"HTTP/1.1 200@OK\r\nContent-Length: 2\r\n\r\nok", "HTTP/1.1 200 O@K\r\nContent-Length: 2\r\n\r\nok", "HTTP/1.1 200 OK\r\nA@: b\r\nContent-Length: 2\r\n\r\nok", "HTTP/1.1 200 OK\r\nA: b@\r\nContent-Length: 2\r\n\r\nok", "HTTP/1.1 200 OK\r\n@A: b\r\nContent-Length: 2\r\n\r\nok",
			"HTTP/1.1 200 OK\r\nContent-Length: @2\r\n\r\nok", "HTTP/1.1 200 OK\r\nContent-Length: 2@\r\n\r\nok", "HTTP/1.1 200 OK\r\nContent-Length@: 2\r\n\r\nok", "HTTP/1.1 200 OK\r\nTransfer-Encoding: @chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n", "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked@\r\n\r\n2\r\nok\r\n0\r\n\r\n",
			"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n@2\r\nok\r\n0\r\n\r\n", "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2@\r\nok\r\n0\r\n\r\n", "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok@\r\n0\r\n\r\n", "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0@\r\n\r\n", "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\nT@: a\r\n\r\n",
		} {
			text := strings.Replace(place, "@", string([]byte{byte(b)}), 1)
			if b%2 == 0 {
				text += evil
			}
			add("%s", text)
		}
	}
	for _, te := range []string{"", "chunked", "chunked, chunked", "identity", "gzip, chunked", "chunked, gzip", "xchunked", ",chunked", "chunked\r\nTransfer-Encoding: chunked"} {
		for _, cl := range []string{"", "0", "2", "1", "9", "02", "+2", "-2", "2,2", "2, 3", "2\r\nContent-Length: 2", "2\r\nContent-Length: 3", "99999999999999999999", "18446744073709551618"} {
			for _, status := range []string{"200", "204", "304", "101", "999"} {
				head := "HTTP/1.1 " + status + " X\r\n"
				if te != "" {
					head += "Transfer-Encoding: " + te + "\r\n"
				}
				if cl != "" {
					head += "Content-Length: " + cl + "\r\n"
				}
				for _, body := range []string{"", "ok", "2\r\nok\r\n0\r\n\r\n"} {
					add("%s\r\n%s", head, body)
					add("%s\r\n%s%s", head, body, evil)
				}
			}
		}
	}
	for _, interim := range []string{"HTTP/1.1 100 Continue\r\n\r\n", "HTTP/1.1 103 E\r\nLink: <a>\r\n\r\n", "HTTP/1.1 102 P\r\nContent-Length: 2\r\n\r\n", "HTTP/1.1 102 P\r\nTransfer-Encoding: chunked\r\n\r\n", "HTTP/1.1 199 X\r\nA: b\rc\r\n\r\n", "HTTP/1.1 101 S\r\nUpgrade: foo\r\nConnection: upgrade\r\n\r\n"} {
		for _, n := range []int{1, 2, 31, 32, 33, 500} {
			add("%s%s", strings.Repeat(interim, n), okResponse)
			add("%s%s%s", strings.Repeat(interim, n), okResponse, evil)
			add("%s", strings.Repeat(interim, n))
		}
	}
	for _, n := range []int{90, 99, 100, 101, 150, 5000} {
		add("HTTP/1.1 200 OK\r\n%sContent-Length: 2\r\n\r\nok%s", strings.Repeat("A: b\r\n", n), evil)
		add("HTTP/1.1 200 OK\r\nContent-Length: 2\r\nA: %s\r\n\r\nok", strings.Repeat("a", n*160))
		add("HTTP/1.1 200 %s\r\nContent-Length: 2\r\n\r\nok", strings.Repeat("a", n*160))
		add("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2;%s\r\nok\r\n0\r\n\r\n", strings.Repeat("a", n*160))
		add("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n%s\r\n", strings.Repeat("A: b\r\n", n))
	}
	for _, line := range []string{"HTTP/1.0 200 OK", "HTTP/1.1 200", "HTTP/1.1 200 ", "HTTP/1.1 20 OK", "HTTP/1.1 2000 OK", "HTTP/1.1 000 OK", "HTTP/1.1 -20 OK", "HTTP/2.0 200 OK", "HTTP/1.2 200 OK", "ICY 200 OK", "RTSP/1.0 200 OK", "HTTP/1.1  200 OK", "http/1.1 200 OK", "", "200 OK", "GET / HTTP/1.1"} {
		for _, rest := range []string{"\r\nContent-Length: 2\r\n\r\nok", "\nContent-Length: 2\n\nok", "\r\n\r\nok", "\r\n", "\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n"} {
			add("%s%s", line, rest)
			add("%s%s%s", line, rest, evil)
		}
	}
	for _, connection := range []string{"close", "keep-alive", "upgrade", "content-length", "transfer-encoding", "close, keep-alive"} {
		add("HTTP/1.1 200 OK\r\nConnection: %s\r\nContent-Length: 2\r\n\r\nok", connection)
		add("HTTP/1.1 200 OK\r\nConnection: %s\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n", connection)
	}
	return all
}
