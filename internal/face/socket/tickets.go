package socket

import (
	"context"
	"encoding/base64"
	"fmt"
	"strconv"
	"strings"

	"gatehouse/internal/engine"
)

// ticketCommands show and change the keys of tls-ticket-keys files (surface 2.12).
func (w *Worker) ticketCommands() []Command {
	return []Command{
		{Words: []string{"show", "tls-keys"}, Level: Admin, Usage: "show tls-keys [id|*]",
			Help: "show tls keys references or dump tls ticket keys when id specified", Run: w.showTickets},
		{Words: []string{"set", "ssl", "tls-key"}, Level: Admin, Usage: "set ssl tls-key [id|file] <key>",
			Help: "set the next TLS key for the <id> or <file> listener to <key>", Run: w.setTicket},
	}
}

func (w *Worker) showTickets(_ context.Context, r *Request) {
	files, arg := w.o.Tickets(), r.Args.At(2)
	if arg == "" {
		r.Print("# id (file)\n")
		for _, f := range files {
			r.Print(fmt.Sprintf("%d (%s)\n", f.ID(), f.Name()))
		}
		return
	}
	if !strings.HasPrefix(arg, "*") {
		f := ticketFile(files, arg)
		if f == nil {
			r.Err("'show tls-keys' unable to locate referenced filename")
			return
		}
		files = []*engine.TicketFile{f}
	}
	r.Print("# id secret\n")
	for _, f := range files {
		r.Print(fmt.Sprintf("# %d (%s)\n", f.ID(), f.Name()))
		for i, key := range f.Keys() {
			r.Print(fmt.Sprintf("%d.%d %s\n", f.ID(), i, base64.StdEncoding.EncodeToString(key)))
		}
	}
}

// ticketFile finds a file by #ID or by its name.
func ticketFile(files []*engine.TicketFile, arg string) *engine.TicketFile {
	number, isID := strings.CutPrefix(arg, "#")
	id, err := strconv.Atoi(number)
	for _, f := range files {
		if isID && err == nil && f.ID() == id || !isID && f.Name() == arg {
			return f
		}
	}
	return nil
}

func (w *Worker) setTicket(_ context.Context, r *Request) {
	if r.Args.At(3) == "" || r.Args.At(4) == "" {
		r.Err("'set ssl tls-key' expects a filename and the new TLS key in base64 encoding.")
		return
	}
	f := ticketFile(w.o.Tickets(), r.Args[3])
	if f == nil {
		r.Err("'set ssl tls-key' unable to locate referenced filename")
		return
	}
	key, err := base64.StdEncoding.DecodeString(r.Args[4])
	if err != nil {
		r.Err("'set ssl tls-key' received invalid base64 encoded TLS key.")
		return
	}
	if err := f.Rotate(key); err != nil {
		r.Err("'set ssl tls-key' received a key of wrong size.")
		return
	}
	r.Msg("TLS ticket key updated!")
}
