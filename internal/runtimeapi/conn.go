package runtimeapi

import (
	"bufio"
	"bytes"
	"errors"
	"io"
	"net"
	"strings"
	"sync/atomic"
	"time"
)

// What a reader refuses. Their texts are the answers.
var (
	ErrLineTooBig = errors.New("The command line is too big for the buffer size." +
		" Please change 'tune.bufsize' in the configuration to use a bigger command.")
	ErrPayloadTooBig = errors.New("The payload is too big." +
		" Please change 'tune.cli.max-payload-size' in the configuration to use a bigger payload.")
)

// Options of one connection. Zero values are the defaults.
type Options struct {
	BufSize    int           // longest command line in bytes, LF included; 0 is DefaultBufSize
	MaxPayload int           // longest payload in bytes; 0 is DefaultMaxPayload
	Timeout    time.Duration // of one wait for input and of one write; 0 waits for ever
}

// Conn is the server's end of one connection. It belongs to one goroutine, which made it with NewConn and closes it.
type Conn struct {
	nc net.Conn
	br *bufio.Reader
	o  Options

	interrupted atomic.Bool
	// Waiting, when set, is called before each read that may block while a payload is incomplete: the place for the "+ "
	// prompt. Its error ends the read.
	Waiting func() error
}

// NewConn reads and writes nc.
func NewConn(nc net.Conn, o Options) *Conn {
	if o.BufSize <= 0 {
		o.BufSize = DefaultBufSize
	}
	if o.MaxPayload <= 0 {
		o.MaxPayload = DefaultMaxPayload
	}
	return &Conn{nc: nc, br: bufio.NewReaderSize(nc, o.BufSize), o: o}
}

// SetTimeout changes the timeout of later reads and writes.
func (c *Conn) SetTimeout(d time.Duration) { c.o.Timeout = d }

// Net is the connection underneath.
func (c *Conn) Net() net.Conn { return c.nc }

// Close closes the connection.
func (c *Conn) Close() error { return c.nc.Close() }

func deadline(d time.Duration) time.Time {
	if d <= 0 {
		return time.Time{}
	}
	return time.Now().Add(d)
}

// Interrupt makes the read under way and all later ones fail. Any goroutine may call it. Writes go on.
func (c *Conn) Interrupt() {
	c.interrupted.Store(true)
	_ = c.nc.SetReadDeadline(time.Unix(1, 0))
}

// arm gives the next read its timeout. Interrupt wins, whichever of the two comes first.
func (c *Conn) arm() error {
	if err := c.nc.SetReadDeadline(deadline(c.o.Timeout)); err != nil {
		return err
	}
	if c.interrupted.Load() {
		return c.nc.SetReadDeadline(time.Unix(1, 0))
	}
	return nil
}

// Write writes all of p, giving each call one timeout.
func (c *Conn) Write(p []byte) (int, error) {
	if err := c.nc.SetWriteDeadline(deadline(c.o.Timeout)); err != nil {
		return 0, err
	}
	return c.nc.Write(p)
}

// Read hands on what follows what was read so far, for a caller that leaves the line protocol. It waits at most one timeout.
func (c *Conn) Read(p []byte) (int, error) {
	if err := c.arm(); err != nil {
		return 0, err
	}
	return c.br.Read(p)
}

// ReadLine reads one line and returns it without its LF. A backslash before the LF makes the LF an ordinary byte, as HAProxy
// does. io.EOF means that the peer closed, even after half a line: an incomplete command is never run.
func (c *Conn) ReadLine() (string, error) {
	return c.readUntil(func(b byte) bool { return b == '\n' })
}

// ReadCommand reads up to the next separator, LF or semicolon, and says whether it was the line's end: the master reads so,
// because each command of a line can have another target.
func (c *Conn) ReadCommand() (text string, last bool, err error) {
	var end byte
	text, err = c.readUntil(func(b byte) bool { end = b; return b == '\n' || b == ';' })
	return text, end == '\n', err
}

func (c *Conn) readUntil(ends func(byte) bool) (string, error) {
	if err := c.arm(); err != nil {
		return "", err
	}
	line := make([]byte, 0, 128)
	escaped := false
	for {
		b, err := c.br.ReadByte()
		if err != nil {
			return "", err
		}
		if !escaped && ends(b) {
			return string(line), nil
		}
		if len(line) >= c.o.BufSize-1 {
			return "", ErrLineTooBig
		}
		escaped = !escaped && b == '\\'
		line = append(line, b)
	}
}

// ReadPayload reads the payload that l announced: raw lines up to one that equals l.Pattern, without the line end before that line. After
// a command line that ended in CR LF the last line may have a CR too; HAProxy would wait for ever. A payload longer than the
// limit is ErrPayloadTooBig; a peer that closes before the pattern is io.EOF, and the command must not run.
func (c *Conn) ReadPayload(l Line) ([]byte, error) {
	var buf bytes.Buffer
	for {
		start := buf.Len()
		if err := c.readPayloadLine(&buf, len(l.Pattern)); err != nil {
			return nil, err
		}
		line := string(buf.Bytes()[start : buf.Len()-1])
		if line == l.Pattern || l.CRLF && line == l.Pattern+"\r" {
			buf.Truncate(max(0, start-1))
			if l.CRLF {
				return bytes.TrimSuffix(buf.Bytes(), []byte("\r")), nil
			}
			return buf.Bytes(), nil
		}
	}
}

// readPayloadLine appends one line with its LF. extra is what the limit leaves room for besides the payload: the pattern.
func (c *Conn) readPayloadLine(buf *bytes.Buffer, extra int) error {
	for {
		if c.br.Buffered() == 0 {
			if c.Waiting != nil {
				if err := c.Waiting(); err != nil {
					return err
				}
			}
			if err := c.arm(); err != nil {
				return err
			}
			if _, err := c.br.Peek(1); err != nil {
				return err
			}
		}
		part, _ := c.br.Peek(c.br.Buffered())
		end := bytes.IndexByte(part, '\n')
		if end >= 0 {
			part = part[:end+1]
		}
		if buf.Len()+len(part) > c.o.MaxPayload+extra+3 {
			return ErrPayloadTooBig
		}
		buf.Write(part)
		_, _ = c.br.Discard(len(part))
		if end >= 0 {
			return nil
		}
	}
}

// Ended waits for d, or until the peer closes its side, and says whether it did. Input that arrives is kept.
func (c *Conn) Ended(d time.Duration) bool {
	if err := c.nc.SetReadDeadline(time.Now().Add(d)); err != nil || c.interrupted.Load() {
		return false
	}
	_, err := c.br.Peek(1)
	return errors.Is(err, io.EOF)
}

// Listen closes input when the peer says something or closes its side; what it said by the time of stop is dropped. In between the
// goroutine that owns the connection may write. stop returns when nobody listens any more.
func (c *Conn) Listen() (input <-chan struct{}, stop func(), err error) {
	if err := c.StartCopy(); err != nil {
		return nil, nil, err
	}
	came := make(chan struct{})
	go func() {
		defer close(came)
		_, _ = c.br.Peek(1) // an end and an error count as input
	}()
	return came, func() {
		c.StopCopy()
		<-came
		_, _ = c.br.Discard(c.br.Buffered())
	}, nil
}

// StartCopy takes the timeout off reads, for CopyTo.
func (c *Conn) StartCopy() error {
	if err := c.nc.SetReadDeadline(time.Time{}); err != nil {
		return err
	}
	if c.interrupted.Load() {
		return c.nc.SetReadDeadline(time.Unix(1, 0))
	}
	return nil
}

// CopyTo hands all further input to w until the peer closes, w fails, or StopCopy. It may run beside the goroutine that owns
// the connection and writes to it; StartCopy comes before.
func (c *Conn) CopyTo(w io.Writer) {
	_, _ = io.Copy(w, c.br) // whichever side ended it, the copy is over
}

// StopCopy ends CopyTo; what it had read and not handed on is lost. The next read has its timeout again.
func (c *Conn) StopCopy() { _ = c.nc.SetReadDeadline(time.Unix(1, 0)) }

// Drain reads and drops what the peer still sends, at most limit bytes, until it closes or stays silent for a timeout: closing with
// unread input would reset the connection under the answer.
func (c *Conn) Drain(limit int64) {
	_, _ = io.CopyN(io.Discard, drainer{c}, limit)
}

type drainer struct{ c *Conn }

func (d drainer) Read(p []byte) (int, error) { return d.c.Read(p) }

// Terminated returns text ending in exactly one LF, as every message does.
func Terminated(text string) string { return strings.TrimRight(text, "\n") + "\n" }
