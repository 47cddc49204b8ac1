package socket

import (
	"context"
	"fmt"
	"strconv"
	"strings"
	"time"

	"gatehouse/internal/cert"
	"gatehouse/internal/engine"
)

// echCommands show and change the keys of Encrypted ClientHello (surface 2.12).
func (w *Worker) echCommands() []Command {
	return []Command{
		{Words: []string{"show", "ssl", "ech"}, Level: Admin, Modes: Experimental, Usage: "show ssl ech [<name>]",
			Help: "display a named ECH configuration or all", Run: w.showECH},
		{Words: []string{"add", "ssl", "ech"}, Level: Admin, Modes: Experimental, Usage: "add ssl ech <name> <payload>",
			Help: "add a new PEM-formatted ECH config and key", Run: w.putECH("add", "added a new ECH config to")},
		{Words: []string{"set", "ssl", "ech"}, Level: Admin, Modes: Experimental, Usage: "set ssl ech <name> <payload>",
			Help: "replace all ECH configs with that provided", Run: w.putECH("set", "set new ECH configs for")},
		{Words: []string{"del", "ssl", "ech"}, Level: Admin, Modes: Experimental, Usage: "del ssl ech <name> [<age-in-secs>]",
			Help: "delete ECH configs", Run: w.dropECH},
	}
}

// echBind finds a bind line by FRONTEND/@FILE:LINE or FRONTEND/NAME, nil after an error was answered.
func (w *Worker) echBind(r *Request, verb string) *engine.ECHBind {
	for _, b := range w.o.ECH() {
		if name := r.Args[3]; name == b.Name || name == b.Alias {
			return &b
		}
	}
	r.Err("'" + verb + " ssl ech' unable to locate referenced name")
	return nil
}

func (w *Worker) showECH(_ context.Context, r *Request) {
	if r.Args.At(3) != "" {
		if b := w.echBind(r, "show"); b != nil {
			r.Print("***\nECH for " + r.Args[3] + " ")
			printECH(r, b)
		}
		return
	}
	frontend := ""
	for _, b := range w.o.ECH() {
		if b.Frontend != frontend {
			frontend = b.Frontend
			r.Print("***\nfrontend: " + frontend + "\n")
		}
		r.Print("\nbind: " + b.Name + "\n")
		printECH(r, &b)
	}
}

func printECH(r *Request, b *engine.ECHBind) {
	entries := b.Keys.Entries()
	if len(entries) == 0 {
		r.Print("no ECH config\n")
	}
	for i, e := range entries {
		age := int64(time.Since(e.Loaded) / time.Second)
		r.Print(fmt.Sprintf("\nECH entry: %d public_name: %s age: %d (has private key)\n\t%s\n", i, e.PublicName, age, e.String()))
	}
}

func (w *Worker) putECH(verb, done string) func(context.Context, *Request) {
	return func(_ context.Context, r *Request) {
		if r.Args.At(3) == "" || len(r.Payload) == 0 {
			r.Err("syntax: " + verb + " ssl ech <name> <PEM file content>")
			return
		}
		b := w.echBind(r, verb)
		if b == nil {
			return
		}
		keys, err := cert.ParseECH(r.Payload)
		if err != nil || !b.Keys.Add(keys, verb == "set") {
			r.Err("'" + verb + " ssl ech' error adding provided PEM ECH value")
			return
		}
		r.Msg(done + " " + r.Args[3])
	}
}

func (w *Worker) dropECH(_ context.Context, r *Request) {
	if r.Args.At(3) == "" {
		r.Err("syntax: del ssl ech <name>")
		return
	}
	b := w.echBind(r, "del")
	if b == nil {
		return
	}
	age, err := strconv.ParseUint("0"+strings.TrimPrefix(r.Args.At(4), "+"), 10, 31)
	if err != nil {
		r.Err("'del ssl ech' error removing old ECH values")
		return
	}
	b.Keys.Drop(time.Duration(age) * time.Second)
	if age == 0 {
		r.Msg("deleted all ECH configs from " + r.Args[3])
		return
	}
	r.Msg(fmt.Sprintf("deleted ECH configs older than %d seconds from %s", age, r.Args[3]))
}
