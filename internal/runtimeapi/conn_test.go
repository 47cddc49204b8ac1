package runtimeapi

import (
	"bytes"
	"errors"
	"io"
	"net"
	"strings"
	"testing"
	"time"
)

// input is a connection that delivers data, in pieces of at most n bytes, and then ends.
type input struct {
	net.Conn
	data []byte
	n    int
}

func (c *input) Read(p []byte) (int, error) {
	if len(c.data) == 0 {
		return 0, io.EOF
	}
	n := copy(p[:min(len(p), c.n)], c.data)
	c.data = c.data[n:]
	return n, nil
}
func (c *input) SetReadDeadline(time.Time) error { return nil }

func TestLinesAreReadUpToTheBufferSize(t *testing.T) {
	c := NewConn(&input{data: []byte("short\nescaped\\\nend\n" + strings.Repeat("x", 20)), n: 3}, Options{BufSize: 20})
	for _, want := range []string{"short", "escaped\\\nend"} {
		if got, err := c.ReadLine(); err != nil || got != want {
			t.Errorf("ReadLine = %q, %v, want %q", got, err, want)
		}
	}
	if _, err := c.ReadLine(); !errors.Is(err, ErrLineTooBig) {
		t.Errorf("20 bytes in a buffer of 20: %v, want ErrLineTooBig", err)
	}
}

func TestHalfALineIsNotALine(t *testing.T) {
	c := NewConn(&input{data: []byte("show version"), n: 4}, Options{})
	if got, err := c.ReadLine(); !errors.Is(err, io.EOF) || got != "" {
		t.Errorf("ReadLine = %q, %v, want io.EOF", got, err)
	}
}

func TestPayloadsEndAtTheirPattern(t *testing.T) {
	for _, tt := range []struct {
		name, sent, want string
		line             Line
	}{
		{"empty line", "a\nb\n\nrest", "a\nb", Line{}},
		{"nothing", "\nrest", "", Line{}},
		{"pattern keeps blank lines", "a\n\n\nb\nE\nrest", "a\n\n\nb", Line{Pattern: "E"}},
		{"pattern alone on its line", "aE\nE \n E\nE\nrest", "aE\nE \n E", Line{Pattern: "E"}},
		{"pattern with blanks before CR", "a\r\nE\r\nE\nrest", "a\r\nE\r", Line{Pattern: "E"}},
		{"CRLF throughout", "a\r\n\r\nb\r\nE\r\nrest", "a\r\n\r\nb", Line{Pattern: "E", CRLF: true}},
		{"CRLF and an empty line", "a\r\n\r\nrest", "a", Line{CRLF: true}},
		{"CRLF command, LF payload", "a\nE\nrest", "a", Line{Pattern: "E", CRLF: true}},
		{"no unescaping", "a\\;b\\\n\nrest", "a\\;b\\", Line{}},
	} {
		for _, n := range []int{1, 2, 7, 1 << 20} {
			c := NewConn(&input{data: []byte(tt.sent), n: n}, Options{})
			got, err := c.ReadPayload(tt.line)
			if err != nil || string(got) != tt.want {
				t.Errorf("%s, %d bytes a read: %q, %v, want %q", tt.name, n, got, err, tt.want)
			}
			if rest, _ := io.ReadAll(drainer{c}); string(rest) != "rest" {
				t.Errorf("%s, %d bytes a read: %q follows, want rest", tt.name, n, rest)
			}
		}
	}
}

func TestPayloadsAreBounded(t *testing.T) {
	const limit = 100000
	for _, tt := range []struct {
		size int
		want error
	}{{limit, nil}, {limit + 10, ErrPayloadTooBig}} {
		data := bytes.Repeat([]byte("x"), tt.size)
		c := NewConn(&input{data: append(data, "\nE\n"...), n: 4096}, Options{MaxPayload: limit})
		got, err := c.ReadPayload(Line{Pattern: "E"})
		if !errors.Is(err, tt.want) || tt.want == nil && !bytes.Equal(got, data) {
			t.Errorf("%d bytes with a limit of %d: %d bytes, %v, want %v", tt.size, limit, len(got), err, tt.want)
		}
	}
	c := NewConn(&input{data: []byte("never\nends\n"), n: 4096}, Options{})
	if got, err := c.ReadPayload(Line{Pattern: "E"}); !errors.Is(err, io.EOF) || got != nil {
		t.Errorf("a payload without end: %q, %v, want io.EOF", got, err)
	}
}

func FuzzPayload(f *testing.F) {
	f.Add([]byte("-----BEGIN X-----\n\nAA\n-----END X-----"), "set", uint8(3))
	f.Add([]byte(""), "x", uint8(1))
	f.Add([]byte("\n\n\r\n"), "a b;c", uint8(200))
	f.Fuzz(func(t *testing.T, data []byte, word string, n uint8) {
		command, err := Command("set", word)
		if err != nil {
			return
		}
		c := NewConn(&input{data: Payload(command, data), n: int(n) + 1}, Options{BufSize: 1 << 20})
		text, err := c.ReadLine()
		if err != nil {
			t.Fatalf("the line of %q: %v", command, err)
		}
		line := ParseLine(text)
		if !line.Payload {
			t.Fatalf("%q announces no payload", text)
		}
		got, err := c.ReadPayload(line)
		if err != nil || !bytes.Equal(got, data) {
			t.Fatalf("payload %q of %q reads back as %q, %v", data, text, got, err)
		}
		if rest, _ := io.ReadAll(drainer{c}); len(rest) != 0 {
			t.Fatalf("%q is left over after payload %q", rest, data)
		}
		rawPayload(t, data, word, int(n)+1)
	})
}

// rawPayload reads data as a stranger's payload: whatever it is, what comes back ends where the first line equal to pattern stood.
func rawPayload(t *testing.T, data []byte, pattern string, n int) {
	t.Helper()
	if strings.ContainsAny(pattern, "\n\r") {
		return
	}
	c := NewConn(&input{data: data, n: n}, Options{MaxPayload: 1 << 20})
	got, err := c.ReadPayload(Line{Pattern: pattern})
	before, _, found := strings.Cut("\n"+string(data), "\n"+pattern+"\n")
	if !found {
		if err == nil {
			t.Fatalf("%q ends at %q, though it holds no such line", data, pattern)
		}
		return
	}
	if want := strings.TrimPrefix(before, "\n"); err != nil || string(got) != want {
		t.Fatalf("%q up to %q: %q, %v, want %q", data, pattern, got, err, want)
	}
}
