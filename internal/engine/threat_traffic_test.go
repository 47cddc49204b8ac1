package engine

import (
	"fmt"
	"io"
	"net"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"gatehouse/internal/stats"
)

// talkFrom sends bytes from a loopback address of its own and returns all that comes back.
func talkFrom(t *testing.T, src, addr, send string) string {
	t.Helper()
	d := net.Dialer{LocalAddr: &net.TCPAddr{IP: net.ParseIP(src)}}
	c, err := d.Dial("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	_ = c.SetDeadline(time.Now().Add(patience))
	_, _ = io.WriteString(c, send) // the edge may close before it has read all
	_ = c.(*net.TCPConn).CloseWrite()
	out, _ := io.ReadAll(c)
	return string(out)
}

// TestThreat_N12: where a rule expects a PROXY header from one network, that network cannot come without, nobody else can bring one, and it
// is read once. The vectors of the header itself are package listener's.
func TestThreat_N12(t *testing.T) {
	e := newEdge(t, false)
	addr := freePort(t)
	e.mustApply(fmt.Sprintf(base+`frontend f
    bind %s
    tcp-request connection expect-proxy layer4 if { src 127.0.0.2 }
    http-request return status 200 content-type text/plain lf-string "from %%[src]"
`, addr))
	e.run()
	const (
		v1      = "PROXY TCP4 192.0.2.9 203.0.113.5 4567 443\r\n"
		other   = "PROXY TCP4 198.51.100.7 203.0.113.5 1 2\r\n"
		sig     = "\r\n\r\n\x00\r\nQUIT\n"
		request = "GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"
	)
	for _, tc := range []struct{ name, src, send, want string }{
		{"a balancer's header", "127.0.0.2", v1 + request, "from 192.0.2.9"},
		{"a balancer without", "127.0.0.2", request, ""},
		{"a balancer with two", "127.0.0.2", v1 + other + request, "HTTP/1.1 400 "},
		{"half of one", "127.0.0.2", v1[:20], ""},
		{"a longer one than can be", "127.0.0.2", "PROXY TCP4 " + strings.Repeat("1", 200) + "\r\n" + request, ""},
		{"a length beyond what comes", "127.0.0.2", sig + "\x21\x11\xff\xff" + request, ""},
		{"too short for its addresses", "127.0.0.2", sig + "\x21\x11\x00\x04\x01\x02\x03\x04" + request, ""},
		{"a client without", "127.0.0.1", request, "from 127.0.0.1"},
		{"a client's header of version 1", "127.0.0.1", v1 + request, "HTTP/1.1 400 "},
		{"a client's header of version 2", "127.0.0.1", sig + "\x21\x11\x00\x0c\xc0\x00\x02\x09\xcb\x00\x71\x05\x11\xd7\x01\xbb" + request, "HTTP/1.1 400 "},
		{"the name of a header in a field", "127.0.0.1", "GET / HTTP/1.1\r\nHost: x\r\nX: " + strings.TrimSpace(v1) + "\r\nConnection: close\r\n\r\n", "from 127.0.0.1"},
	} {
		if got := talkFrom(t, tc.src, addr, tc.send); tc.want == "" && got != "" || !strings.Contains(got, tc.want) || strings.Contains(got, "198.51.100.7") {
			t.Errorf("%s: %q, want %q", tc.name, got, tc.want)
		}
	}
}

// TestSlowLogTargetsDoNotSlowTraffic sends requests while nobody takes what is logged: a datagram socket that is full, a ring whose server
// accepts and reads nothing, and a host that is not there. Every request is answered, and what was lost is counted.
func TestSlowLogTargetsDoNotSlowTraffic(t *testing.T) {
	const requests = 4000
	e := newEdge(t, false)
	full, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: filepath.Join(e.dir, "log.sock"), Net: "unixgram"})
	if err != nil {
		t.Fatal(err)
	}
	defer full.Close()
	deaf, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer deaf.Close()
	gone, addr := freePort(t), freePort(t)
	e.mustApply(fmt.Sprintf(`ring r
    maxlen 1000
    size 32768
    timeout connect 5s
    timeout server 60s
    server s %s
`+base+`frontend f
    bind %s
    log DIR/log.sock local0
    log ring@r local0
    log %s local0
    log-format "%%r %s"
    http-request return status 200
`, deaf.Addr(), addr, gone, strings.Repeat("l", 900)))
	e.run()
	c := dial(t, addr)
	for range requests {
		if status, _ := c.get(); status != 200 {
			t.Fatalf("status %d", status)
		}
	}
	for deadline := time.Now().Add(patience); ; {
		var i stats.Info
		e.FillInfo(&i)
		if i.DroppedLogs > 0 {
			break
		}
		if time.Now().After(deadline) {
			t.Fatal("nothing of what was lost is counted")
		}
		time.Sleep(10 * time.Millisecond)
	}
}
