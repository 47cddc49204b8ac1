package socket

import (
	"context"
	"fmt"
	"strconv"

	"gatehouse/internal/cert"
	"gatehouse/internal/certstore"
)

// Versions is the part of *certstore.Store for what was served before. Its errors are answered as they are.
type Versions interface {
	History(name string) ([]certstore.Version, error)
	Recall(name string, n int) (*cert.Bundle, error)
	Rollback(name string, n int, by string, dot func()) (v certstore.Version, warnings []string, err error)
}

func (w *Worker) historyCommands() []Command {
	return []Command{
		{Words: []string{"show", "ssl", "cert-history"}, Level: Operator, Usage: "show ssl cert-history <certfile> [<version>]",
			Help: "display the versions of a certificate that were served, or one of them", Run: named("'show ssl cert-history' expects a filename", w.showHistory)},
		{Words: []string{"rollback", "ssl", "cert"}, Level: Admin, Usage: "rollback ssl cert <certfile> [<version>]",
			Help: "serve an earlier version of a certificate again, the one before unless told", Run: w.rollback},
	}
}

func (w *Worker) showHistory(r *Request, name string) {
	if text := r.Args.At(4); text != "" {
		w.showVersion(r, name, text)
		return
	}
	list, err := w.o.Certificates.History(name)
	if err != nil {
		r.Err(err.Error())
		return
	}
	r.Print("# version when serial not-after sha256 by\n")
	for _, v := range list {
		star := ""
		if v.Current {
			star = "*"
		}
		if _, err := fmt.Fprintf(r, "%s%d %s %s %s %s %s\n", star, v.N, when(v.When), v.Serial, when(v.NotAfter), v.Fingerprint, v.By); err != nil {
			return
		}
	}
}

// showVersion prints one version with the lines of show ssl cert, without its key.
func (w *Worker) showVersion(r *Request, name, version string) {
	n, err := strconv.Atoi(version)
	if err != nil || n < 1 {
		r.Err(fmt.Sprintf("'%s' is no version, see 'show ssl cert-history %s'", version, name))
		return
	}
	b, err := w.o.Certificates.Recall(name, n)
	if err != nil {
		r.Err(err.Error())
		return
	}
	r.Print(fmt.Sprintf("Filename: %s\nVersion: %d\n%s", name, n, cert.Describe(b)))
}

func (w *Worker) rollback(_ context.Context, r *Request) {
	name, n := r.Args.At(3), 0
	if name == "" {
		r.Err("'rollback ssl cert' expects a filename")
		return
	}
	if text := r.Args.At(4); text != "" {
		var err error
		if n, err = strconv.Atoi(text); err != nil || n < 1 {
			r.Err(fmt.Sprintf("'%s' is no version, see 'show ssl cert-history %s'", text, name))
			return
		}
	}
	dots := 0
	v, warnings, err := w.o.Certificates.Rollback(name, n, r.By(), func() { dots++ })
	p := progress{r: r, title: fmt.Sprintf("Rolling back %s to version %d", name, v.N)}
	for range dots {
		p.dot()
	}
	p.end(warnings, err)
}
