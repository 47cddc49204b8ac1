package socket

import (
	"context"
	"time"

	"gatehouse/internal/acme"
)

// acmeCommands are those on certificates that ACME issues (surface 3.8).
func (w *Worker) acmeCommands() []Command {
	return []Command{
		{Words: []string{"acme", "renew"}, Level: Admin, Usage: "acme renew <certfile>",
			Help: "renew a certificate using the ACME protocol",
			Run: func(_ context.Context, r *Request) {
				if r.Args.At(2) == "" {
					r.Err(": not enough parameters")
					return
				}
				r.done(w.o.ACME.Renew(r.Args[2]))
			}},
		{Words: []string{"acme", "status"}, Level: Admin, Usage: "acme status",
			Help: "show status of certificates configured with ACME", Run: w.acmeStatus},
	}
}

func (w *Worker) acmeStatus(_ context.Context, r *Request) {
	r.Print(acme.StatusHeader + "\n")
	now := time.Now()
	for _, row := range w.o.ACME.Status() {
		r.Print(row.Line(now) + "\n")
	}
}
