package runtimeapi

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"strconv"
	"strings"
	"time"
)

// Client asks a Runtime API socket, one connection per command, as HAProxy's non-interactive mode wants it. Its fields may be
// set between Dial and the first Do. It may be used by many goroutines; it holds no connection and needs no closing.
type Client struct {
	network, addr string

	Timeout   time.Duration // of one whole exchange; 10 s from Dial
	MaxAnswer int64         // bytes of an answer that are read, more is an error; 64 MiB from Dial
	Prefix    string        // on a master socket, what every command starts with, such as "@1"
}

// Dial prepares a client for addr: a path, "unix@PATH", "abns@NAME", "ipv4@HOST:PORT", "ipv6@HOST:PORT" or "HOST:PORT". It does not connect
// yet; the first Do does.
func Dial(addr string) (*Client, error) {
	c := &Client{Timeout: 10 * time.Second, MaxAnswer: 64 << 20}
	kind, rest, tagged := strings.Cut(addr, "@")
	if !tagged {
		kind, rest = "", addr
	}
	switch {
	case kind == "unix", kind == "" && strings.HasPrefix(addr, "/"):
		c.network, c.addr = "unix", rest
	case kind == "abns":
		c.network, c.addr = "unix", abstract(rest)
	case kind == "", kind == "ipv4", kind == "ipv6":
		c.network = map[string]string{"": "tcp", "ipv4": "tcp4", "ipv6": "tcp6"}[kind]
		if _, _, err := net.SplitHostPort(rest); err != nil {
			return nil, fmt.Errorf("socket address %q: %w", addr, err)
		}
		c.addr = rest
	default:
		return nil, fmt.Errorf("socket address %q: %q is not unix, abns, ipv4 or ipv6", addr, kind)
	}
	if rest == "" {
		return nil, fmt.Errorf("socket address %q: nothing to connect to", addr)
	}
	return c, nil
}

// abstract is the name of an abstract socket as HAProxy binds it: padded with NULs to the full length of a unix address.
func abstract(name string) string {
	const length = 108 // sizeof(sun_path)
	return "@" + name + strings.Repeat("\x00", max(0, length-1-len(name)))
}

// Error is an answer that the server marked as a failure (severity 0 to 3), or an unknown command.
type Error struct {
	Severity int    // syslog level
	Text     string // without the severity and the ending newline
}

func (e *Error) Error() string { return e.Text }

// errCut is an answer that does not end as answers end: the server died, or a timeout struck, half-way.
var errCut = errors.New("the answer is incomplete: the connection closed before the empty line that ends it")

// Do runs one command, given as words, and returns its answer without the empty line at its end. The error is *Error when the
// server refused, else what went wrong on the way.
func (c *Client) Do(ctx context.Context, words ...string) (string, error) {
	line, err := Command(words...)
	if err != nil {
		return "", err
	}
	return c.exchange(ctx, c.line(line)+"\n")
}

// DoPayload runs one command with a payload, such as set ssl cert NAME with a PEM.
func (c *Client) DoPayload(ctx context.Context, payload []byte, words ...string) (string, error) {
	line, err := Command(words...)
	if err != nil {
		return "", err
	}
	return c.exchange(ctx, string(Payload(c.line(line), payload)))
}

// line asks for severities, so that a refusal can be told from a success by more than its words.
func (c *Client) line(command string) string {
	if c.Prefix != "" {
		command = c.Prefix + " " + command
	}
	return "set severity-output number -;" + command
}

func (c *Client) exchange(ctx context.Context, request string) (string, error) {
	ctx, cancel := context.WithTimeout(ctx, c.Timeout)
	defer cancel()
	nc, err := new(net.Dialer).DialContext(ctx, c.network, c.addr)
	if err != nil {
		return "", err
	}
	defer nc.Close()
	stop := context.AfterFunc(ctx, func() { _ = nc.SetDeadline(time.Unix(1, 0)) })
	defer stop()
	if _, err := io.WriteString(nc, request); err != nil {
		return "", fmt.Errorf("sending to %s: %w", c.addr, err)
	}
	if half, ok := nc.(interface{ CloseWrite() error }); ok {
		_ = half.CloseWrite() // a master closes only at the end of its input
	}
	raw, err := io.ReadAll(io.LimitReader(nc, c.MaxAnswer+1))
	switch {
	case err != nil:
		return "", fmt.Errorf("reading from %s: %w", c.addr, err)
	case int64(len(raw)) > c.MaxAnswer:
		return "", fmt.Errorf("the answer of %s is longer than %d bytes", c.addr, c.MaxAnswer)
	}
	return parseAnswer(string(raw))
}

// parseAnswer takes severity and framing off. A HAProxy before 2.8 answers the set severity-output before with an LF of its own.
func parseAnswer(raw string) (string, error) {
	if len(raw) > 1 {
		raw = strings.TrimPrefix(raw, "\n")
	}
	text, ok := strings.CutSuffix(raw, "\n")
	whole := ok && (text == "" || strings.HasSuffix(text, "\n"))
	text = strings.TrimSuffix(text, "\n")
	level, message := cutSeverity(text)
	if !whole && (!ok || level < 0 || level > 3) { // a refusal of what is too big has no empty line behind it
		return raw, errCut
	}
	if level >= 0 && (level <= 3 || strings.HasPrefix(message, "Unknown command")) {
		return "", &Error{Severity: level, Text: message}
	}
	return message, nil
}

func cutSeverity(text string) (level int, rest string) {
	head, rest, ok := strings.Cut(text, "]: ")
	digit, opens := strings.CutPrefix(head, "[")
	if n, err := strconv.Atoi(digit); ok && opens && err == nil && n >= 0 && n <= 7 {
		return n, rest
	}
	return -1, text
}
