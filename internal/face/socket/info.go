package socket

import (
	"context"
	"fmt"
	"net"
	"slices"
	"strings"
	"time"

	"gatehouse/internal/stats"
	"gatehouse/internal/stream"
)

// commands is the table of a worker.
func (w *Worker) commands() []Command {
	all := [][]Command{sessionCommands(), w.processCommands(), w.statCommands(), w.serverCommands(), w.dynamicCommands(), w.frontendCommands(), w.mapCommands()}
	if w.o.Certificates != nil {
		all = append(all, w.certCommands(), w.transactionCommands(), w.historyCommands(), w.listCommands(), w.trustCommands(), w.jwtCommands())
	}
	if w.o.Staples != nil && w.o.OCSP != nil {
		all = append(all, w.ocspCommands())
	}
	if w.o.ACME != nil {
		all = append(all, w.acmeCommands())
	}
	if w.o.Var != nil {
		all = append(all, w.varCommands())
	}
	if w.o.Tables != nil {
		all = append(all, w.tableCommands())
	}
	if w.o.Names != nil {
		all = append(all, w.sniCommands())
	}
	if w.o.Tickets != nil {
		all = append(all, w.ticketCommands())
	}
	if w.o.ECH != nil {
		all = append(all, w.echCommands())
	}
	if w.o.Sinks != nil {
		all = append(all, w.eventCommands())
	}
	return slices.Concat(all...)
}

// processCommands are about the process as a whole.
func (w *Worker) processCommands() []Command {
	p := w.o.Process
	return []Command{
		{Words: []string{"show", "version"}, Level: User, Usage: "show version", Help: "show version of the current process",
			Run: func(_ context.Context, r *Request) { r.Msg(p.Version()) }},
		{Words: []string{"show", "info"}, Level: User, Usage: "show info [desc|json|typed|float]*",
			Help: "report information about the running process", Run: w.showInfo},
		{Words: []string{"show", "env"}, Level: Operator, Usage: "show env [var]",
			Help: "dump environment variables known to the process", Run: showEnv(p.Env)},
		{Words: []string{"show", "startup-logs"}, Level: Operator, Usage: "show startup-logs",
			Help: "report logs emitted during HAProxy startup",
			Run:  func(_ context.Context, r *Request) { r.Print(lines(p.StartupLogs())) }},
		{Words: []string{"show", "cli", "sockets"}, Level: User, Usage: "show cli sockets", Help: "dump list of cli sockets",
			Run: showSockets(w.o.Sockets)},
		{Words: []string{"show", "errors"}, Level: Operator, Usage: "show errors [<px>] [request|response]",
			Help: "report last request and/or response errors for each proxy", Run: w.showErrors},
		{Words: []string{"show", "sess"}, Level: Operator, Usage: "show sess [help|<id>|all] [opts...]",
			Help: "report the list of current streams or dump this exact stream", Run: w.showSess},
		{Words: []string{"_getsocks"}, Level: Admin, Modes: Hidden, Run: w.getSocks},
		{Words: []string{"set", "maxconn", "global"}, Level: Admin, Usage: "set maxconn global <value>",
			Help: "change the per-process maxconn setting", Run: w.setMaxconnGlobal},
		{Words: []string{"set", "rate-limit"}, Level: Admin, Usage: "set rate-limit <setting> <value>",
			Help: "change a rate limiting value", Run: w.setRateLimit},
	}
}

// lines ends text in one LF, unless it is empty.
func lines(text string) string {
	if text == "" || strings.HasSuffix(text, "\n") {
		return text
	}
	return text + "\n"
}

func (w *Worker) showInfo(_ context.Context, r *Request) {
	format, desc, float := "", false, false
	for _, a := range r.Args[2:] {
		switch a {
		case "typed", "json":
			format = a
		case "desc":
			desc = true
		case "float":
			float = true
		}
	}
	var out []byte
	for i, f := range w.o.Process.Info().Fields(time.Now(), float) {
		switch {
		case format == "typed":
			out = f.AppendTyped(out, desc)
		case format == "":
			out = f.AppendText(out, desc)
		case i > 0:
			out = f.AppendJSON(append(out, ','))
		default:
			out = f.AppendJSON(out)
		}
	}
	if format == "json" {
		out = append(append([]byte{'['}, out...), ']', '\n')
	}
	_, _ = r.Write(out)
}

func showEnv(env func() []string) func(context.Context, *Request) {
	return func(_ context.Context, r *Request) {
		name := r.Args.At(2)
		found := false
		for _, v := range env() {
			if name != "" && !strings.HasPrefix(v, name+"=") {
				continue
			}
			found = true
			r.Print(v + "\n")
			if name != "" {
				break
			}
		}
		if name != "" && !found {
			r.Err("Variable not found")
		}
	}
}

func showSockets(list func() []SocketOptions) func(context.Context, *Request) {
	return func(_ context.Context, r *Request) {
		r.Print("# socket lvl processes\n")
		if list == nil {
			return
		}
		for _, so := range list() {
			r.Print(fmt.Sprintf("%s %s all\n", so.Addr, so.Level))
		}
	}
}

func (w *Worker) showErrors(_ context.Context, r *Request) {
	proxy, side := r.Args.At(2), r.Args.At(3)
	if proxy == "request" || proxy == "response" {
		proxy, side = "", proxy
	}
	if proxy != "" && leadingInt(proxy) == 0 {
		known := false
		for row := range w.o.Process.Rows() {
			if known = row.Text(stats.ColProxy) == proxy; known {
				break
			}
		}
		if !known {
			r.Err("No such proxy.")
			return
		}
	}
	if side != "request" && side != "response" {
		side = ""
	}
	total, dumps := w.o.Process.CapturedErrors()
	r.Print(fmt.Sprintf("Total events captured on [%s] : %d\n", time.Now().Format(stream.LogDate), total))
	for _, d := range dumps {
		if (proxy == "" || proxy == "-1" || proxy == d.Proxy) && (side == "" || (side == "response") == d.Response) {
			r.Print("\n" + lines(d.Text))
		}
	}
}

func orNone(s string) string {
	if s == "" {
		return "<none>"
	}
	return s
}

// age prints a duration with its two largest units: 3s, 1m5s, 2h3m, 4d5h.
func age(d time.Duration) string {
	s := int64(max(0, d) / time.Second)
	switch {
	case s >= 86400:
		return fmt.Sprintf("%dd%dh", s/86400, s/3600%24)
	case s >= 3600:
		return fmt.Sprintf("%dh%dm", s/3600, s/60%60)
	case s >= 60:
		return fmt.Sprintf("%dm%ds", s/60, s%60)
	}
	return fmt.Sprintf("%ds", s)
}

// getSocks hands the listening sockets over, on a unix socket whose line says expose-fd listeners. The protocol after the
// command is binary, so that refusals are silent as HAProxy's.
func (w *Worker) getSocks(_ context.Context, r *Request) {
	r.session.quit = true
	c, ok := r.session.conn.Net().(*net.UnixConn)
	if !ok || !r.session.bind.ExposeFD || w.o.GetSocks == nil {
		return
	}
	_ = w.o.GetSocks(c) // the peer sees the short count
}

func (w *Worker) setMaxconnGlobal(_ context.Context, r *Request) {
	n, ok := r.number(3, "Expects an integer value.")
	if !ok {
		return
	}
	r.done(w.o.Process.SetMaxconn(max(0, n)))
}

// rateLimits is the answer to words that are no limit.
const rateLimits = "'set rate-limit' only supports :\n" +
	"   - 'connections global' to set the per-process maximum connection rate\n" +
	"   - 'sessions global' to set the per-process maximum session rate\n" +
	"   - 'ssl-sessions global' to set the per-process maximum SSL session rate\n" +
	"   - 'http-compression global' to set the per-process maximum compression speed in kB/s"

func (w *Worker) setRateLimit(_ context.Context, r *Request) {
	what := r.Args.At(2)
	if !slices.Contains([]string{"connections", "sessions", "ssl-sessions", "http-compression"}, what) || r.Args.At(3) != "global" {
		r.Err(rateLimits)
		return
	}
	if n, ok := r.number(4, "Expects an integer value."); ok {
		r.done(w.o.Process.SetRateLimit(what, n))
	}
}

// statCommands are about the one table.
func (w *Worker) statCommands() []Command {
	return []Command{
		{Words: []string{"show", "stat"}, Level: User, Usage: "show stat [desc|json|no-maint|typed|up]*",
			Help: "report counters for each proxy and server", Run: w.showStat},
		{Words: []string{"clear", "counters"}, Level: Operator, Usage: "clear counters [all]",
			Help: "clear max statistics counters (or all counters)",
			LevelOf: func(a Args) Level {
				if a.At(2) == "all" {
					return Admin
				}
				return Operator
			},
			Run: func(_ context.Context, r *Request) { w.o.Process.ClearCounters(r.Args.At(2) == "all") }},
		{Words: []string{"show", "backend"}, Level: User, Usage: "show backend", Help: "list backends in the current running config",
			Run: func(_ context.Context, r *Request) {
				r.Print("# name\n")
				for _, name := range w.o.Process.Backends() {
					r.Print(name + "\n")
				}
			}},
		{Words: []string{"show", "servers", "state"}, Level: User, Usage: "show servers state [<backend>]",
			Help: "dump volatile server information (all or for a single backend)", Run: w.showServersState},
	}
}

func (w *Worker) showServersState(_ context.Context, r *Request) {
	name := r.Args.At(3)
	if name != "" && !slices.Contains(w.o.Process.Backends(), name) {
		r.Err("Can't find backend.")
		return
	}
	r.Print(stats.ServersStateHeader)
	now := time.Now()
	var line []byte
	for st := range w.o.Process.ServerStates() {
		if name != "" && st.Backend != name {
			continue
		}
		line = st.Append(line[:0], now)
		if _, err := r.Write(line); err != nil {
			return
		}
	}
}
