package socket

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"strings"
	"time"

	"gatehouse/internal/runtimeapi"
)

// masterSession is one connection to the master's socket. The commands of a line can have different targets, so that it reads
// command by command and keeps the session's level and modes itself: it puts them before what it hands to a worker.
type masterSession struct {
	*session
	m      *Master
	target int  // pid that commands without a prefix go to, 0 is the master
	drop   bool // the rest of the line is not run, because a command before it was refused
}

// errEnd ends a connection whose answer is complete.
var errEnd = errors.New("the connection is over")

func (s *masterSession) run(ctx context.Context) error {
	s.interactive = true
	for first := true; ; first = false {
		text, last, err := s.conn.ReadCommand()
		if err != nil {
			return s.refuse(err)
		}
		if first && runtimeapi.LooksHTTP(text) {
			return nil
		}
		if rest, both := strings.CutPrefix(strings.TrimLeft(text, " \t"), "@@"); both {
			err = s.join(ctx, rest, last)
			last = last || !s.drop // it took the rest of the line
		} else {
			err = s.command(ctx, text)
		}
		if err != nil {
			return err
		}
		if err := s.out.Flush(); err != nil || ctx.Err() != nil {
			return err
		}
		if s.drop && !last {
			if _, err := s.conn.ReadLine(); err != nil {
				return s.refuse(err)
			}
			last = true
		}
		s.drop = false
	}
}

// command runs one command: the session's own, the master's, or a worker's.
func (s *masterSession) command(ctx context.Context, text string) error {
	line := runtimeapi.ParseLine(text)
	text = strings.TrimSuffix(text, "\r")
	words, err := runtimeapi.Words(line.Commands[0])
	if err != nil {
		s.message(levelErr, err.Error())
		s.write("\n" + s.promptText())
		return nil
	}
	var payload []byte
	if line.Payload {
		if payload, err = s.conn.ReadPayload(line); err != nil {
			return s.refuse(err)
		}
	}
	target := s.target
	if len(words) > 0 && strings.HasPrefix(words[0], "@") {
		pid, ok := s.procs().worker(words[0])
		if !ok {
			s.refuseLine("Can't find the target PID matching the prefix '" + words[0] + "'\n")
			s.write(s.promptText())
			return nil
		}
		if len(words) == 1 {
			s.target = pid
			s.write(s.promptText())
			return nil
		}
		text, words, target = afterWord(text), words[1:], pid
	} else if done, err := s.own(words); done || err != nil {
		s.write(s.promptText())
		if err != nil {
			_ = s.out.Flush() // the connection ends in any case
		}
		return err
	}
	if target == 0 {
		return s.local(ctx, words, payload)
	}
	return s.forward(ctx, target, text, payload, line)
}

// refuseLine answers a command that the master's end cannot hand on; what follows on its line meant something that is not so.
func (s *masterSession) refuseLine(text string) {
	s.write(text)
	s.drop = true
}

func (s *masterSession) procs() *Procs {
	p := s.m.o.Process.Procs()
	return &p
}

// afterWord is what follows the first word of a command.
func afterWord(text string) string {
	text = strings.TrimLeft(text, " \t")
	if i := strings.IndexAny(text, " \t"); i >= 0 {
		return strings.TrimLeft(text[i:], " \t")
	}
	return ""
}

// own runs what the master's end of a connection keeps for itself; these answer nothing but errors.
func (s *masterSession) own(words Args) (done bool, err error) {
	switch words.At(0) {
	case "quit":
		return true, errEnd
	case "prompt":
		s.setPrompt(words[1:])
	case "operator":
		s.lowerTo(Operator)
	case "user":
		s.lowerTo(User)
	case "expert-mode":
		s.setMode(&s.expert, words)
	case "experimental-mode":
		s.setMode(&s.experimental, words)
	case "mcli-debug-mode":
		s.setMode(&s.mcliDebug, words)
	case "set":
		if words.At(1) != "severity-output" {
			return false, nil
		}
		v, ok := ParseSeverity(words.At(2))
		if !ok || words.At(2) == "" {
			s.refuseLine(severityUsage + "\n")
			return true, nil
		}
		s.severity = v
	default:
		return false, nil
	}
	return true, nil
}

const masterPromptUsage = "Usage: prompt [help | i | p | timed]*\n" +
	"Changes the default prompt and interactive mode. Available options:\n" +
	"  help    display this help\n" +
	"  i       set to interactive mode only (no prompt, multi-command)\n" +
	"  p       set to prompt+interactive mode (prompt + multi-command)\n" +
	"  timed   toggle displaying the current date in the prompt\n" +
	"Without any argument, toggles between i<->p.\n"

func (s *masterSession) setPrompt(args Args) {
	mode, timed := "", false
	for _, a := range args {
		switch a {
		case "i", "p":
			mode = a
		case "timed":
			timed = true
		default:
			s.refuseLine(masterPromptUsage)
			return
		}
	}
	if timed {
		s.timed = !s.timed
	}
	if mode == "" && (timed || !s.prompt) {
		mode = "p"
	}
	s.prompt = mode == "p"
}

func (s *masterSession) lowerTo(l Level) {
	if s.level < l {
		s.refuseLine("Permission denied!\n")
		return
	}
	s.level, s.noAdmin = l, ""
}

func (s *masterSession) setMode(flag *bool, words Args) {
	if s.level < Admin {
		s.refuseLine("Permission denied!\n")
		return
	}
	*flag = words.At(1) == "on"
}

// promptText is what asks for the next command, "" without prompt.
func (s *masterSession) promptText() string {
	if !s.prompt {
		return ""
	}
	p := s.procs()
	name, start := "master", p.Master.Start
	if s.target != 0 {
		name, start = fmt.Sprint(s.target), p.startOf(s.target)
	} else if p.Failed > 0 {
		name += "[ReloadFailed]"
	}
	if modes := s.modeLetters(); modes != "" {
		name += "(" + modes + ")"
	}
	switch {
	case !s.timed:
	case start.IsZero():
		name = "[gone] " + name
	default:
		up := int64(max(0, time.Since(start)) / time.Second)
		name = fmt.Sprintf("[%d:%02d:%02d:%02d] ", up/86400, up/3600%24, up/60%60, up%60) + name
	}
	return name + "> "
}

func (p *Procs) startOf(pid int) time.Time {
	for _, list := range [][]Proc{p.Workers, p.Old} {
		for _, w := range list {
			if w.PID == pid {
				return w.Start
			}
		}
	}
	return time.Time{}
}

func (s *masterSession) modeLetters() string {
	letters := ""
	for _, m := range []struct {
		on     bool
		letter string
	}{{s.experimental, "x"}, {s.expert, "e"}, {s.mcliDebug, "d"}} {
		if m.on {
			letters += m.letter
		}
	}
	return letters
}

// local runs one of the master's own commands.
func (s *masterSession) local(ctx context.Context, words Args, payload []byte) error {
	r := &Request{Args: words, Payload: payload, session: s.session}
	if len(words) > 0 {
		s.table.run(ctx, r)
	}
	if s.quit {
		_ = s.out.Flush() // the connection ends in any case
		return errEnd
	}
	s.write("\n" + s.promptText())
	return nil
}

// preamble puts the session's level, modes and severity before a command for a worker, which serves the master at level admin.
func (s *masterSession) preamble() string {
	var b strings.Builder
	if s.expert {
		b.WriteString("expert-mode on -;")
	}
	if s.experimental {
		b.WriteString("experimental-mode on -;")
	}
	switch s.severity {
	case SeverityNumber:
		b.WriteString("set severity-output number -;")
	case SeverityString:
		b.WriteString("set severity-output string -;")
	}
	return b.String() + s.lowering()
}

// lowering comes last: modes need level admin, and lowering the level turns them off.
func (s *masterSession) lowering() string {
	switch s.level {
	case Operator:
		return "operator -;"
	case User:
		return "user -;"
	}
	return ""
}

// dial connects to a worker, or says that it cannot.
func (s *masterSession) dial(ctx context.Context, pid int) (net.Conn, error) {
	worker, err := s.m.o.Process.Dial(ctx, pid)
	if err != nil {
		s.write("Can't connect to the target CLI!\n")
		_ = s.out.Flush() // the connection ends in any case
		return nil, errEnd
	}
	return worker, nil
}

// forward runs one command in a worker and copies its answer.
func (s *masterSession) forward(ctx context.Context, pid int, text string, payload []byte, line runtimeapi.Line) error {
	worker, err := s.dial(ctx, pid)
	if err != nil {
		return err
	}
	defer worker.Close()
	stop := context.AfterFunc(ctx, func() { _ = worker.Close() })
	defer stop()
	request := s.preamble() + text + "\n"
	if line.Payload {
		request += string(payload)
		if len(payload) > 0 {
			request += "\n"
		}
		request += line.Pattern + "\n"
	}
	if err := worker.SetDeadline(time.Now().Add(s.m.o.Timeout)); err != nil {
		return err
	}
	sent := make(chan error, 1) // the worker may answer before it has read a payload that is too big
	go func() { _, err := io.WriteString(worker, request); closeWrite(worker); sent <- err }()
	_, err = io.Copy(s.out, worker)
	_ = worker.Close() // frees the writer when the worker did not read to the end
	<-sent
	if err != nil {
		return err
	}
	s.write(s.promptText())
	return nil
}

func closeWrite(c net.Conn) {
	if half, ok := c.(interface{ CloseWrite() error }); ok {
		_ = half.CloseWrite() // a worker that is gone shows in what is read
	}
}

// join connects the client to a worker in both directions until one of them ends: the rest of the line and all that follows
// go to the worker, so that commands which stop on input (show events -w) can be stopped.
func (s *masterSession) join(ctx context.Context, text string, lineEnded bool) error {
	name, rest, _ := strings.Cut(strings.TrimSuffix(text, "\r"), " ")
	pid, ok := s.procs().worker("@" + name)
	switch {
	case !ok:
		s.refuseLine("Can't find the target PID matching the prefix '@@" + name + "'\n")
		s.write(s.promptText())
		return nil
	case pid == 0:
		return s.command(ctx, rest)
	}
	if !lineEnded {
		more, err := s.conn.ReadLine()
		if err != nil {
			return s.refuse(err)
		}
		rest += ";" + more
	}
	worker, err := s.dial(ctx, pid)
	if err != nil {
		return err
	}
	defer worker.Close()
	stop := context.AfterFunc(ctx, func() { _ = worker.Close() })
	defer stop()
	if strings.TrimLeft(rest, " \t") == "" {
		rest = s.enter()
	}
	if _, err := io.WriteString(worker, s.preamble()+rest+"\n"); err != nil {
		return err
	}
	if err := s.conn.StartCopy(); err != nil {
		return err
	}
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		s.conn.CopyTo(worker)
		closeWrite(worker)
	}()
	_, err = io.Copy(flushing{s.session}, worker)
	s.conn.StopCopy()
	<-ended
	if err != nil {
		return err
	}
	s.write(s.promptText())
	return nil
}

// enter opens a session in a worker in the mode that this one has.
func (s *masterSession) enter() string {
	text := "prompt i"
	if s.prompt {
		text = "prompt p"
	}
	if s.timed {
		text += " timed"
	}
	return text
}

// flushing sends what it is given at once.
type flushing struct{ s *session }

func (f flushing) Write(p []byte) (int, error) {
	n, err := f.s.out.Write(p)
	if err == nil {
		err = f.s.out.Flush()
	}
	return n, err
}
