package socket

import (
	"context"
	"errors"
	"slices"
	"strings"
	"time"

	"gatehouse/internal/config"
	"gatehouse/internal/stats"
)

// dynamicCommands make and delete servers, and wait for them.
func (w *Worker) dynamicCommands() []Command {
	return []Command{
		{Words: []string{"add", "server"}, Level: Admin, Usage: "add server <bk>/<srv>", Help: "create a new server", Run: w.addServer},
		{Words: []string{"del", "server"}, Level: Admin, Usage: "del server <bk>/<srv>", Help: "remove a dynamically added server", Run: w.delServer},
		{Words: []string{"show", "servers", "conn"}, Level: User, Usage: "show servers conn [<backend>]",
			Help: "dump server connections status (all or for a single backend)", Run: w.showServersConn},
		{Words: []string{"wait"}, Level: Admin, Usage: "wait {-h|<delay_ms>} cond [args...]",
			Help: "wait the specified delay or condition (-h to see list)", Run: w.wait},
		{Words: []string{"show", "resolvers"}, Level: User, Usage: "show resolvers [id]",
			Help: "dumps counters from all resolvers section and associated name servers",
			Run: func(_ context.Context, r *Request) { // there are no such sections
				if r.Args.At(2) != "" {
					r.Err("Can't find that resolvers section")
				}
			}},
		{Words: []string{"shutdown", "session"}, Level: Admin, Usage: "shutdown session [id]", Help: "kill a specific session", Run: w.shutdownSession},
	}
}

func (w *Worker) addServer(ctx context.Context, r *Request) {
	if r.Args.At(2) == "help" {
		r.Msg("List of keywords supported for dynamic server:\n" + strings.Join(config.DynamicServerKeywords(), "\n"))
		return
	}
	backend, name, _ := strings.Cut(r.Args.At(2), "/")
	if name == "" {
		r.Err("Require 'backend/server'.")
		return
	}
	if err := w.o.Process.AddServer(ctx, backend, name, r.Args[3:]); err != nil {
		r.Err(err.Error())
		return
	}
	r.Msg("New server registered.")
}

func (w *Worker) delServer(_ context.Context, r *Request) {
	backend, name, _ := strings.Cut(r.Args.At(2), "/")
	if name == "" {
		r.Err("Require 'backend/server'.")
		return
	}
	if err := w.o.Process.DelServer(backend, name); err != nil {
		r.Err(err.Error())
		return
	}
	r.Msg("Server deleted.")
}

func (w *Worker) showServersConn(_ context.Context, r *Request) {
	name := r.Args.At(3)
	if name != "" && !slices.Contains(w.o.Process.Backends(), name) {
		r.Err("Can't find backend.")
		return
	}
	r.Print(stats.ServersConnHeader)
	var line []byte
	for c := range w.o.Process.ServerConns() {
		if name != "" && c.Backend != name {
			continue
		}
		line = c.Append(line[:0])
		if _, err := r.Write(line); err != nil {
			return
		}
	}
}

func (w *Worker) shutdownSession(_ context.Context, r *Request) {
	id, ok := strings.CutPrefix(r.Args.At(2), "0x")
	switch {
	case !ok || id == "":
		r.Err("Session pointer expected (use 'show sess').")
	case !w.o.Process.CloseSession(id):
		r.Err("No such session (use 'show sess').")
	}
}

const waitUsage = "Usage: wait {-h|<duration>} [condition [args...]]\n" +
	"  - '-h' displays this help\n" +
	"  - <duration> is the maximum wait time, optionally suffixed by the unit among\n" +
	"    'us', 'ms', 's', 'm', 'h', and 'd'. ; the default unit is milliseconds.\n" +
	"  - <condition> indicates what to wait for, no longer than the specified\n" +
	"    duration. Supported conditions are:\n" +
	"    - <none> : by default, just sleep for the specified duration.\n" +
	"    - srv-removable <px>/<sv> : wait for this server to become removable.\n"

// condition is what wait waits for: nil when it has come, errLater while it may, any other error when it never will.
type condition func() error

// later is a condition that may come; its text says what is missing.
type later struct{ error }

func (w *Worker) wait(ctx context.Context, r *Request) {
	text := r.Args.At(1)
	if text == "" {
		r.Err("Expects a duration in milliseconds.")
		return
	}
	if text == "-h" {
		r.Msg(waitUsage)
		return
	}
	d, ok := parseDelay(text, time.Millisecond)
	if !ok || d <= 0 {
		r.Err("Invalid duration.")
		return
	}
	cond, err := w.condition(r)
	if err != nil {
		r.Err(err.Error())
		return
	}
	waitFor(ctx, r, max(d, time.Millisecond), cond)
}

// condition reads what to wait for; nil is nothing.
func (w *Worker) condition(r *Request) (condition, error) {
	switch arg := r.Args.At(3); r.Args.At(2) {
	case "":
		return nil, nil
	case "srv-removable":
		backend, name, _ := strings.Cut(arg, "/")
		switch {
		case arg == "":
			return nil, errors.New("Missing server name (<backend>/<server>).")
		case name == "":
			return nil, errors.New("Require 'backend/server'.")
		}
		return func() error {
			wait, err := w.o.Process.Removable(backend, name)
			if wait {
				return later{err}
			}
			return err
		}, nil
	case "be-removable":
		if arg == "" {
			return nil, errors.New("Missing backend name.")
		}
		return func() error { // no backend can be deleted at run time
			if !slices.Contains(w.o.Process.Backends(), arg) {
				return ErrNoBackend
			}
			return errors.New("This proxy cannot be removed at runtime due to other configuration elements pointing to it.")
		}, nil
	}
	return nil, errors.New(waitUsage)
}

// waitFor waits for cond, at most d. Whatever the client says meanwhile ends it.
func waitFor(ctx context.Context, r *Request, d time.Duration, cond condition) {
	reason := "(null)"
	check := func() (over bool) {
		if cond == nil {
			return false
		}
		err := cond()
		var wait later
		switch {
		case err == nil:
			r.Msg("Done.")
		case errors.As(err, &wait):
			reason = err.Error()
			return false
		default:
			r.Err("Failed. " + err.Error())
		}
		return true
	}
	if check() {
		return
	}
	end := time.NewTimer(d)
	defer end.Stop()
	tick := time.NewTicker(max(time.Millisecond, min(d/10, maxWaitTick)))
	defer tick.Stop()
	input, stop, err := r.session.conn.Listen()
	if err != nil {
		return
	}
	defer stop()
	for {
		select {
		case <-ctx.Done():
			r.Err("Interrupted. " + reason)
			return
		case <-input:
			r.Err("Interrupted. " + reason)
			return
		case <-end.C:
			if cond == nil {
				r.Msg("Done.")
			} else if !check() {
				r.Err("Wait delay expired. " + reason)
			}
			return
		case <-tick.C:
			if check() {
				return
			}
		}
	}
}

// maxWaitTick bounds how late a condition is noticed.
const maxWaitTick = 50 * time.Millisecond
