package socket

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"net"
	"strings"
	"time"

	"gatehouse/internal/runtimeapi"
)

// Severity says how messages are marked.
type Severity uint8

// The ways; the words of set severity-output.
const (
	SeverityNone   Severity = iota
	SeverityNumber          // [3]: text
	SeverityString          // [err]: text
)

// ParseSeverity reads none, number or string; "" is none.
func ParseSeverity(word string) (Severity, bool) {
	switch word {
	case "", "none":
		return SeverityNone, true
	case "number":
		return SeverityNumber, true
	case "string":
		return SeverityString, true
	}
	return 0, false
}

// Syslog levels of messages. Clients take 0 to 3 as failures.
const (
	levelErr     = 3
	levelWarning = 4
	levelNotice  = 5
	levelInfo    = 6
)

var levelNames = [...]string{"emerg", "alert", "crit", "err", "warning", "notice", "info", "debug"}

// session is the state of one connection. One goroutine owns it.
type session struct {
	table    *Table
	conn     *runtimeapi.Conn
	out      *bufio.Writer
	by       string // who, for audit: address of the socket and of the peer
	bind     SocketOptions
	started  time.Time // of the process, for the timed prompt
	level    Level
	noAdmin  string // why level admin was refused to this peer, "" when it was not
	severity Severity

	expert, experimental, mcliDebug bool
	interactive, prompt, timed      bool
	noLF                            bool // this answer has no empty line behind it
	quit                            bool
}

func newSession(t *Table, nc net.Conn, o runtimeapi.Options, so SocketOptions) *session {
	conn := runtimeapi.NewConn(nc, o)
	s := &session{table: t, conn: conn, out: bufio.NewWriterSize(conn, 16384), bind: so, level: so.Level, severity: so.Severity}
	conn.Waiting = func() error {
		if s.prompt {
			s.write("+ ")
			return s.out.Flush()
		}
		return nil
	}
	return s
}

func (s *session) may(c *Command, args Args) bool { return s.level >= c.level(args) }

// refusal is what a command above the session's level is answered.
func (s *session) refusal(c *Command, args Args) string {
	if s.noAdmin != "" && c.level(args) == Admin {
		return s.noAdmin
	}
	return "Permission denied"
}

func (s *session) write(text string) { _, _ = s.out.WriteString(text) } // bufio keeps the error for Flush

// run serves lines until the client is done: one line, or all of them in interactive mode.
func (s *session) run(ctx context.Context) error {
	for first := true; ; first = false {
		text, err := s.conn.ReadLine()
		if err != nil {
			return s.refuse(err)
		}
		if first && runtimeapi.LooksHTTP(text) {
			return nil
		}
		line := runtimeapi.ParseLine(text)
		var payload []byte
		if line.Payload {
			if payload, err = s.conn.ReadPayload(line); err != nil {
				return s.refuse(err)
			}
		}
		if err := s.runLine(ctx, line.Commands, payload); err != nil {
			return err
		}
		if s.quit || !s.interactive || ctx.Err() != nil {
			return nil
		}
	}
}

// runLine runs the commands of one line in order; the last one gets the payload. An error means that nobody reads the answers any
// more: the rest is not run.
func (s *session) runLine(ctx context.Context, commands []string, payload []byte) error {
	for i, text := range commands {
		last := i == len(commands)-1
		r := &Request{session: s}
		if last {
			r.Payload = payload
		}
		s.noLF = false
		s.runCommand(ctx, text, r)
		if s.quit {
			return s.out.Flush()
		}
		s.terminate(last)
		if err := s.out.Flush(); err != nil {
			return err
		}
	}
	return nil
}

func (s *session) runCommand(ctx context.Context, text string, r *Request) {
	words, err := runtimeapi.Words(text)
	switch {
	case err != nil:
		r.Err(err.Error())
	case len(words) > 0:
		r.Args = words
		s.table.run(ctx, r)
	}
}

// terminate ends an answer: an empty line, and the prompt after the last command of a line.
func (s *session) terminate(last bool) {
	switch {
	case !s.prompt && s.noLF:
	case !s.prompt || !last:
		s.write("\n")
	case s.timed:
		up := int(time.Since(s.started) / time.Second)
		s.write(fmt.Sprintf("\n[%d:%02d:%02d:%02d]> ", up/86400, up/3600%24, up/60%60, up%60))
	default:
		s.write("\n> ")
	}
}

// refuse answers input that is too big, and ends the connection. As in HAProxy, no empty line follows.
func (s *session) refuse(err error) error {
	if !errors.Is(err, runtimeapi.ErrLineTooBig) && !errors.Is(err, runtimeapi.ErrPayloadTooBig) {
		return err
	}
	s.message(levelErr, err.Error())
	if ferr := s.out.Flush(); ferr != nil {
		return ferr
	}
	s.conn.Drain(drainLimit)
	return err
}

// drainLimit bounds what is read and dropped after a refusal, so that the refusal arrives.
const drainLimit = 64 << 20

// message writes one message, marked with its severity if the client asked so. It ends in one LF.
func (s *session) message(level int, text string) {
	switch s.severity {
	case SeverityNumber:
		s.write(fmt.Sprintf("[%d]: ", level))
	case SeverityString:
		s.write("[" + levelNames[level] + "]: ")
	}
	s.write(runtimeapi.Terminated(text))
}

// Request is one command being run. It lives as long as Run does.
type Request struct {
	Args    Args
	Payload []byte // nil: none, or an empty one
	session *session
}

// Msg answers with a message of level info.
func (r *Request) Msg(text string) { r.session.message(levelInfo, text) }

// Notice answers with a message of level notice.
func (r *Request) Notice(text string) { r.session.message(levelNotice, text) }

// Err answers with a message of level err: clients that asked for severities take it as a failure.
func (r *Request) Err(text string) { r.session.message(levelErr, text) }

// Write writes data, unmarked. It is part of io.Writer; an error means that the client is gone or too slow.
func (r *Request) Write(p []byte) (int, error) { return r.session.out.Write(p) }

// Print writes text, unmarked.
func (r *Request) Print(text string) { r.session.write(text) }

// Flush sends what was written so far.
func (r *Request) Flush() error { return r.session.out.Flush() }

// By says who runs the command, for history and audit.
func (r *Request) By() string { return r.session.by }

// words joins the words from i on.
func (r *Request) rest(i int) string {
	if i >= len(r.Args) {
		return ""
	}
	return strings.Join(r.Args[i:], " ")
}
