package socket

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"strconv"
	"strings"
)

// serverCommands change single servers.
func (w *Worker) serverCommands() []Command {
	on := func(do func(*Request, Server)) func(context.Context, *Request) {
		return func(_ context.Context, r *Request) { w.withServer(r, 2, do) }
	}
	return []Command{
		{Words: []string{"set", "server"}, Level: Admin, Usage: "set server <bk>/<srv> [opts]",
			Help: "change a server's state, weight, address or ssl", Run: on(setServer)},
		{Words: []string{"get", "weight"}, Level: User, Usage: "get weight <bk>/<srv>", Help: "report a server's current weight",
			Run: on(func(r *Request, srv Server) {
				now, initial := srv.Weight()
				r.Print(fmt.Sprintf("%d (initial %d)\n", now, initial))
			})},
		{Words: []string{"set", "weight"}, Level: Admin, Usage: "set weight <bk>/<srv>  (DEPRECATED)",
			Help: "change a server's weight (use 'set server' instead)",
			Run:  on(func(r *Request, srv Server) { r.done(setWeight(srv, r.Args.At(3))) })},
		{Words: []string{"enable", "server"}, Level: Admin, Usage: "enable server  (DEPRECATED)",
			Help: "enable a disabled server (use 'set server' instead)",
			Run:  on(func(r *Request, srv Server) { r.done(srv.SetState("ready")) })},
		{Words: []string{"disable", "server"}, Level: Admin, Usage: "disable server (DEPRECATED)",
			Help: "disable a server for maintenance (use 'set server' instead)",
			Run:  on(func(r *Request, srv Server) { r.done(srv.SetState("maint")) })},
		{Words: []string{"enable", "health"}, Level: Admin, Usage: "enable health", Help: "enable health checks",
			Run: on(func(r *Request, srv Server) { r.done(srv.SetChecks(true)) })},
		{Words: []string{"disable", "health"}, Level: Admin, Usage: "disable health", Help: "disable health checks",
			Run: on(func(r *Request, srv Server) { r.done(srv.SetChecks(false)) })},
		{Words: []string{"enable", "agent"}, Level: Admin, Usage: "enable agent", Help: "enable agent checks",
			Run: on(func(r *Request, srv Server) { r.done(srv.SetAgentChecks(true)) })},
		{Words: []string{"disable", "agent"}, Level: Admin, Usage: "disable agent", Help: "disable agent checks",
			Run: on(func(r *Request, srv Server) { r.done(srv.SetAgentChecks(false)) })},
		{Words: []string{"set", "maxconn", "server"}, Level: Admin, Usage: "set maxconn server <bk>/<srv>",
			Help: "change a server's maxconn setting",
			Run:  func(_ context.Context, r *Request) { w.withServer(r, 3, setServerMaxConn) }},
		{Words: []string{"shutdown", "sessions", "server"}, Level: Admin, Usage: "shutdown sessions server <bk>/<srv>",
			Help: "kill sessions on a server",
			Run: func(_ context.Context, r *Request) {
				w.withServer(r, 3, func(_ *Request, srv Server) { srv.KillSessions() })
			}},
	}
}

// withServer finds the server that word i names as backend/server and runs do, or answers why it cannot.
func (w *Worker) withServer(r *Request, i int, do func(*Request, Server)) {
	backend, name, _ := strings.Cut(r.Args.At(i), "/")
	if name == "" {
		r.Err("Require 'backend/server'.")
		return
	}
	srv, err := w.o.Process.Server(backend, name)
	if err != nil {
		r.Err(err.Error())
		return
	}
	do(r, srv)
}

// done answers the outcome of a change: an error's text, or nothing.
func (r *Request) done(err error) {
	if err != nil {
		r.Err(err.Error())
	}
}

// number reads word i, or answers missing.
func (r *Request) number(i int, missing string) (int, bool) {
	text := r.Args.At(i)
	if text == "" {
		r.Err(missing)
		return 0, false
	}
	return leadingInt(text), true
}

func setServer(r *Request, srv Server) {
	value := r.Args.At(4)
	switch r.Args.At(3) {
	case "weight":
		r.done(setWeight(srv, value))
	case "state":
		if value != "ready" && value != "drain" && value != "maint" {
			r.Err("'set server <srv> state' expects 'ready', 'drain' and 'maint'.")
			return
		}
		r.done(srv.SetState(value))
	case "health":
		if value != "up" && value != "stopping" && value != "down" {
			r.Err("'set server <srv> health' expects 'up', 'stopping', or 'down'.")
			return
		}
		r.done(srv.SetHealth(value))
	case "addr":
		setServerAddr(r, srv)
	case "agent":
		r.done(srv.SetAgent(value))
	case "agent-addr":
		setOtherAddr(r, srv.SetAgentAddr, srv.SetAgentPort)
	case "agent-port":
		setOtherPort(r, srv.SetAgentPort)
	case "agent-send":
		r.done(srv.SetAgentSend(value))
	case "check-addr":
		setOtherAddr(r, srv.SetCheckAddr, srv.SetCheckPort)
	case "check-port":
		setOtherPort(r, srv.SetCheckPort)
	case "fqdn":
		if value == "" {
			r.Err("set server <b>/<s> fqdn requires a FQDN.")
			return
		}
		r.Err("set server <b>/<s> fqdn failed because no resolution is configured.")
	case "ssl":
		if err := srv.SetTLS(value); err != nil {
			r.Err(err.Error())
			return
		}
		r.Notice("server ssl setting updated.")
	default:
		r.Err("usage: set server <backend>/<server> addr | agent | agent-addr | agent-port | agent-send |" +
			" check-addr | check-port | fqdn | health | ssl | state | weight")
	}
}

func setServerAddr(r *Request, srv Server) {
	addr, port := r.Args.At(4), ""
	if addr == "" {
		r.Err("set server <b>/<s> addr requires an address and optionally a port.")
		return
	}
	if r.Args.At(5) == "port" {
		if port = r.Args.At(6); port == "" {
			r.Err("problem converting port '' to an int")
			return
		}
	}
	answer, err := srv.SetAddr(addr, port)
	switch {
	case err != nil:
		r.Err(err.Error())
	case answer != "":
		r.session.message(levelWarning, answer)
	}
}

// setOtherAddr changes where something else than requests goes: ADDR [port N].
func setOtherAddr(r *Request, setAddr func(netip.Addr) error, setPort func(int) error) {
	text := r.Args.At(4)
	if text == "" {
		r.Err("set server <b>/<s> " + r.Args.At(3) + " requires an address and optionally a port.")
		return
	}
	ip, err := netip.ParseAddr(text)
	if err != nil {
		r.Err("invalid addr '" + text + "'")
		return
	}
	if r.Args.At(5) == "port" {
		n, err := otherPort(r.Args.At(6))
		if err == nil {
			err = setPort(n)
		}
		if err != nil {
			r.Err(err.Error())
			return
		}
	}
	r.done(setAddr(ip))
}

func setOtherPort(r *Request, set func(int) error) {
	text := r.Args.At(4)
	if text == "" {
		r.Err("set server <b>/<s> " + r.Args.At(3) + " requires a port.")
		return
	}
	n, err := otherPort(text)
	if err == nil {
		err = set(n)
	}
	r.done(err)
}

func otherPort(text string) (int, error) {
	n, err := strconv.Atoi(text)
	switch {
	case err != nil && !errors.Is(err, strconv.ErrRange):
		return 0, errors.New("provided port is not an integer")
	case err != nil || n < 0 || n > 65535:
		return 0, errors.New("provided port is invalid")
	}
	return n, nil
}

// setWeight reads N or N%, the latter relative to the initial weight. The error's text is the answer.
func setWeight(srv Server, text string) error {
	n, err := parseWeight(srv, text)
	if err != nil {
		return err
	}
	return srv.SetWeight(n)
}

func parseWeight(srv Server, text string) (int, error) {
	if text == "" {
		return 0, errors.New("Require <weight> or <weight%>.")
	}
	digits := text[:signedDigits(text)]
	n, err := strconv.Atoi(digits)
	switch rest := text[len(digits):]; {
	case digits == "" || err != nil && !errors.Is(err, strconv.ErrRange):
		return 0, errors.New("Empty weight string empty or preceded by garbage")
	case rest == "%" && n < 0:
		return 0, errors.New("Relative weight must be positive.")
	case rest == "%":
		_, initial := srv.Weight()
		return min(initial*min(n, 25600)/100, 256), nil
	case n < 0 || n > 256:
		return 0, errors.New("Absolute weight can only be between 0 and 256 inclusive.")
	case rest != "":
		return 0, errors.New("Trailing garbage in weight string")
	}
	return n, nil
}

// signedDigits is the length of the number that text begins with.
func signedDigits(text string) int {
	i := 0
	if text[0] == '-' || text[0] == '+' {
		i = 1
	}
	start := i
	for i < len(text) && text[i] >= '0' && text[i] <= '9' {
		i++
	}
	if i == start {
		return 0
	}
	return i
}

func setServerMaxConn(r *Request, srv Server) {
	text := r.Args.At(4)
	if text == "" {
		r.Err("Require <maxconn>.")
		return
	}
	n, err := strconv.Atoi(text)
	switch {
	case err != nil && signedDigits(text) == 0:
		r.Err("maxconn string empty or preceded by garbage")
	case err != nil:
		r.Err("Trailing garbage in maxconn string")
	default:
		r.done(srv.SetMaxConn(max(0, n)))
	}
}

// frontendCommands change single frontends.
func (w *Worker) frontendCommands() []Command {
	on := func(i int, do func(*Request, Frontend)) func(context.Context, *Request) {
		return func(_ context.Context, r *Request) { w.withFrontend(r, i, do) }
	}
	return []Command{
		{Words: []string{"enable", "frontend"}, Level: Admin, Usage: "enable frontend <frontend>",
			Help: "re-enable specific frontend", Run: on(2, func(r *Request, f Frontend) { r.done(f.Enable()) })},
		{Words: []string{"disable", "frontend"}, Level: Admin, Usage: "disable frontend <frontend>",
			Help: "temporarily disable specific frontend", Run: on(2, func(r *Request, f Frontend) { r.done(f.Disable()) })},
		{Words: []string{"shutdown", "frontend"}, Level: Admin, Usage: "shutdown frontend <frontend>",
			Help: "stop a specific frontend", Run: on(2, func(r *Request, f Frontend) { r.done(f.Shutdown()) })},
		{Words: []string{"set", "maxconn", "frontend"}, Level: Admin, Usage: "set maxconn frontend <frontend> <value>",
			Help: "change a frontend's maxconn setting",
			Run: on(3, func(r *Request, f Frontend) {
				if n, ok := r.number(4, "Integer value expected."); ok {
					if n < 0 {
						r.Err("Value out of range.")
						return
					}
					r.done(f.SetMaxConn(n))
				}
			})},
	}
}

func (w *Worker) withFrontend(r *Request, i int, do func(*Request, Frontend)) {
	if r.Args.At(i) == "" {
		r.Err("A frontend name is expected.")
		return
	}
	f, err := w.o.Process.Frontend(r.Args.At(i))
	if err != nil {
		r.Err(err.Error())
		return
	}
	do(r, f)
}
