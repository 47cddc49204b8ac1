package socket

import (
	"context"
	"time"

	"gatehouse/internal/stats"
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
	r.Print("# certificate\tsection\tstate\texpiration date (UTC)\texpires in\tscheduled date (UTC)\tscheduled in\n")
	now := time.Now()
	for _, row := range w.o.ACME.Status() {
		r.Print(row.Certificate + "\t" + row.Section + "\t" + row.State + "\t" + dateAndDelay(row.NotAfter, now) + "\t" +
			dateAndDelay(row.Scheduled, now) + "\n")
	}
}

// dateAndDelay prints a time and how far away it is: 0d 0h00m00s when it is past, "-" twice when there is none.
func dateAndDelay(t, now time.Time) string {
	if t.IsZero() {
		return "-\t-"
	}
	return t.UTC().Format("2006-01-02T15:04:05Z") + "\t" + stats.Uptime(t.Sub(now))
}
