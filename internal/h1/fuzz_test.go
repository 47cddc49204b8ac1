package h1

import (
	"io"
	"strings"
	"testing"

	"gatehouse/internal/stream"
)

// FuzzRequestHead: whatever is sent, what we forward is canonical, which means that forwarding it again changes nothing.
func FuzzRequestHead(f *testing.F) {
	for _, s := range []string{
		"GET / HTTP/1.1\r\nHost: a\r\n\r\n", "POST /x HTTP/1.1\nHost: a\nContent-Length: 3\n\nabc",
		"GET http://a:80/ HTTP/1.0\r\nConnection: keep-alive, x\r\nX: 1\r\n\r\n",
		"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\nContent-Length: 4\r\n\r\n1\r\nx\r\n0\r\nT: u\r\n\r\n",
		"GET / HTTP/1.1\r\nHost: a\r\nX: a\r\n b\r\nUpgrade: h2c, foo\r\nConnection: upgrade\r\n\r\n",
	} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, in string) {
		if len(in) > minRoom { // larger bodies are cut where buffers end
			return
		}
		once, _ := forward(in, false)
		slowly, _ := forward(in, true)
		if slowly != once && !strings.Contains(once, "chunked") {
			t.Fatalf("%q\nat once       %q\nbyte by byte  %q", in, once, slowly)
		}
		twice, err := forward(once, false)
		if err != nil && err != io.EOF {
			t.Fatalf("%q became %q, which we refuse: %v", in, once, err)
		}
		if twice != once {
			t.Fatalf("%q\nonce  %q\ntwice %q", in, once, twice)
		}
	})
}

func FuzzResponseHead(f *testing.F) {
	for _, s := range []string{
		okAnswer, "HTTP/1.0 200\n\nbody", "HTTP/1.1 304 x\r\nContent-Length: 4\r\n\r\n",
		"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nConnection: close\r\n\r\n3\r\nabc\r\n0\r\n\r\n",
		"HTTP/1.1 101 S\r\nConnection: upgrade\r\nUpgrade: foo\r\n\r\nbytes",
	} {
		f.Add(s, false)
		f.Add(s, true)
	}
	f.Fuzz(func(t *testing.T, in string, bodyless bool) {
		if len(in) > minRoom {
			return
		}
		once, _, err := forwardResponse(in, false, bodyless)
		slowly, _, slowErr := forwardResponse(in, true, bodyless)
		if (err == nil) != (slowErr == nil) {
			t.Fatalf("%q: at once %v, byte by byte %v", in, err, slowErr)
		}
		if err != nil {
			return
		}
		twice, _, err := forwardResponse(once, false, bodyless)
		if err != nil || twice != once || slowly != once && !strings.Contains(once, "chunked") {
			t.Fatalf("%q\nonce   %q\ntwice  %q (%v)\nslowly %q", in, once, twice, err, slowly)
		}
	})
}

const okAnswer = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"

// FuzzChunks: a chunked body gives the same data whichever way it arrives, and its canonical form gives that data again.
func FuzzChunks(f *testing.F) {
	for _, s := range []string{"0\r\n\r\n", "3\r\nabc\r\n0\r\n\r\n", "a;x=\"y\"\r\n0123456789\r\n0\r\nT: 1\r\n\r\n", "1\nx\n0\n\n", "fffffffffffff\r\n"} {
		f.Add(s)
	}
	const start = "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n"
	f.Fuzz(func(t *testing.T, in string) {
		data, ok := drain(reading(start+in, false))
		slowly, slowOK := drain(reading(start+in, true))
		if ok != slowOK || ok && data != slowly {
			t.Fatalf("%q: at once %q %v, byte by byte %q %v", in, data, ok, slowly, slowOK)
		}
		if !ok {
			return
		}
		out, _ := forward(start+in, false)
		again, ok := drain(reading(out, false))
		if !ok || again != data {
			t.Fatalf("%q: %q, and again %q %v", in, data, again, ok)
		}
	})
}

// drain reads the body of the first request.
func drain(r *Reader) (string, bool) {
	var req stream.Request
	if r.Wait() != nil || r.ReadRequest(&req, &Limits{}) != nil {
		return "", false
	}
	var data []byte
	for {
		p, err := r.Body()
		if err == io.EOF {
			return string(data), true
		}
		if err != nil {
			return "", false
		}
		data = append(data, p...)
	}
}
