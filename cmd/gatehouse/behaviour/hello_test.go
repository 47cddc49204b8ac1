package behaviour

import (
	"crypto/tls"
	"fmt"
	"io"
	"net"
	"os"
	"strings"
	"time"

	"github.com/rogpeppe/go-internal/testscript"
)

// dribble ADDR NAME OUT: a TLS client for NAME that sends its first message byte by byte, each in a segment of its own, asks for / and puts
// the body of the answer into the file OUT.
func cmdDribble(ts *testscript.TestScript, neg bool, args []string) {
	if len(args) != 3 {
		ts.Fatalf("usage: dribble ADDR NAME OUT")
	}
	nc, err := net.DialTimeout("tcp", args[0], patience)
	ts.Check(err)
	defer nc.Close()
	nc.SetDeadline(time.Now().Add(patience))
	// Which server answers is the question here; what certificate it has is asked elsewhere.
	c := tls.Client(&byteWise{Conn: nc}, &tls.Config{ServerName: args[1], InsecureSkipVerify: true})
	fmt.Fprintf(c, "GET / HTTP/1.1\r\nHost: %s\r\nConnection: close\r\n\r\n", args[1])
	out, err := io.ReadAll(c)
	if err != nil {
		ts.Fatalf("dribble: %v", err)
	}
	_, body, _ := strings.Cut(string(out), "\r\n\r\n")
	ts.Check(os.WriteFile(ts.MkAbs(args[2]), []byte(body), 0o644))
}

// byteWise sends the first thing it is given byte by byte; TCP_NODELAY, which is Go's default, makes segments of them.
type byteWise struct {
	net.Conn
	past bool
}

func (b *byteWise) Write(p []byte) (int, error) {
	if b.past {
		return b.Conn.Write(p)
	}
	b.past = true
	for i := range p {
		if _, err := b.Conn.Write(p[i : i+1]); err != nil {
			return i, err
		}
	}
	return len(p), nil
}
