package runtimeapi

import (
	"context"
	"errors"
	"io"
	"net"
	"path/filepath"
	"strings"
	"testing"
)

// answering serves each connection once with answer and hands on what was asked.
func answering(t *testing.T, answer string) (addr string, asked <-chan string) {
	t.Helper()
	path := filepath.Join(t.TempDir(), "s")
	ln, err := net.Listen("unix", path)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { ln.Close() })
	questions := make(chan string, 8)
	go func() {
		for {
			nc, err := ln.Accept()
			if err != nil {
				return
			}
			q, _ := io.ReadAll(nc)
			_, _ = io.WriteString(nc, answer)
			nc.Close()
			questions <- string(q)
		}
	}()
	return "unix@" + path, questions
}

func TestClientReadsAnswers(t *testing.T) {
	for _, tt := range []struct {
		name, answer, want, refused string
		cut                         bool
	}{
		{name: "message", answer: "[6]: 3.4.0\n\n", want: "3.4.0"},
		{name: "data", answer: "# name\nbe1\n\n", want: "# name\nbe1"},
		{name: "nothing to say", answer: "\n", want: ""},
		{name: "an older HAProxy answers the severity too", answer: "\n[6]: 2.6.12\n\n", want: "2.6.12"},
		{name: "refused", answer: "[3]: No such server.\n\n", refused: "No such server."},
		{name: "unknown", answer: "[6]: Unknown command: 'x', but\n  y\n\n", refused: "Unknown command: 'x', but\n  y"},
		{name: "too big", answer: "[3]: The payload is too big.\n", refused: "The payload is too big."},
		{name: "cut", answer: "# na", cut: true},
		{name: "cut before the empty line", answer: "# name\n", cut: true},
		{name: "nothing", answer: "", cut: true},
	} {
		t.Run(tt.name, func(t *testing.T) {
			addr, _ := answering(t, tt.answer)
			c, err := Dial(addr)
			if err != nil {
				t.Fatal(err)
			}
			got, err := c.Do(context.Background(), "show", "x")
			var refused *Error
			switch {
			case tt.cut:
				if !errors.Is(err, errCut) {
					t.Errorf("answer %q: %q, %v, want errCut", tt.answer, got, err)
				}
			case tt.refused != "":
				if !errors.As(err, &refused) || refused.Text != tt.refused {
					t.Errorf("answer %q: %q, %v, want the refusal %q", tt.answer, got, err, tt.refused)
				}
			case err != nil || got != tt.want:
				t.Errorf("answer %q: %q, %v, want %q", tt.answer, got, err, tt.want)
			}
		})
	}
}

func TestClientQuotesWhatItSends(t *testing.T) {
	addr, asked := answering(t, "\n")
	c, err := Dial(addr)
	if err != nil {
		t.Fatal(err)
	}
	c.Prefix = "@1"
	if _, err := c.DoPayload(context.Background(), []byte("a\n\nb"), "set", "ssl", "cert", "a b;c"); err != nil {
		t.Fatal(err)
	}
	got := <-asked
	first, rest, _ := strings.Cut(got, "\n")
	_, pattern, _ := strings.Cut(first, "<<")
	if want := `set severity-output number -;@1 set ssl cert a\ b\;c <<` + pattern; first != want || len(pattern) < 20 {
		t.Errorf("sent %q, want %q", first, want)
	}
	if want := "a\n\nb\n" + pattern + "\n"; rest != want {
		t.Errorf("payload %q, want %q", rest, want)
	}
	if _, err := c.Do(context.Background(), "del", "ssl", "cert", "a\nreload"); err == nil {
		t.Error("a name with a newline was sent")
	}
}

func TestClientBoundsAnswers(t *testing.T) {
	addr, _ := answering(t, strings.Repeat("x", 1000)+"\n\n")
	c, err := Dial(addr)
	if err != nil {
		t.Fatal(err)
	}
	c.MaxAnswer = 100
	if got, err := c.Do(context.Background(), "x"); err == nil || !strings.Contains(err.Error(), "longer than 100 bytes") {
		t.Errorf("an answer of 1002 bytes: %.20q, %v", got, err)
	}
}

func TestAddresses(t *testing.T) {
	for addr, want := range map[string]string{
		"/run/a.sock": "unix /run/a.sock", "unix@a.sock": "unix a.sock", "ipv4@127.0.0.1:9": "tcp4 127.0.0.1:9",
		"ipv6@[::1]:9": "tcp6 [::1]:9", "localhost:9": "tcp localhost:9",
		"abns@x": "unix @x" + strings.Repeat("\x00", 106),
	} {
		c, err := Dial(addr)
		if err != nil || c.network+" "+c.addr != want {
			t.Errorf("Dial(%q): %+v, %v, want %q", addr, c, err, want)
		}
	}
	for _, addr := range []string{"", "unix@", "abns@", "x@y", "localhost", "ipv4@x"} {
		if c, err := Dial(addr); err == nil {
			t.Errorf("Dial(%q) = %+v, want an error", addr, c)
		}
	}
}
