package socket

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"gatehouse/internal/certstore"
)

// certCommands are the transactions on certificates (surface 2.7).
func (w *Worker) certCommands() []Command {
	store := w.o.Certificates
	return []Command{
		{Words: []string{"new", "ssl", "cert"}, Level: Admin, Usage: "new ssl cert <certfile> [txn <name>]",
			Help: "create a new certificate file to be used in a crt-list or a directory",
			Run: named("'new ssl cert' expects a filename", func(r *Request, name string) {
				t, ok := inTransaction(r)
				switch {
				case !ok:
				case t != "":
					r.outcome(store.NewIn(t, name), fmt.Sprintf("New empty certificate store '%s'!", name))
				default:
					r.outcome(store.NewCert(name), fmt.Sprintf("New empty certificate store '%s'!", name))
				}
			})},
		{Words: []string{"set", "ssl", "cert"}, Level: Admin, Usage: "set ssl cert <certfile> [txn <name>] <payload>",
			Help: "replace a certificate file", Run: w.setCert},
		{Words: []string{"commit", "ssl", "cert"}, Level: Admin, Usage: "commit ssl cert <certfile>",
			Help: "commit a certificate file", Run: named("'commit ssl cert' expects a filename", w.commitCert)},
		{Words: []string{"abort", "ssl", "cert"}, Level: Admin, Usage: "abort ssl cert <certfile>",
			Help: "abort a transaction for a certificate file",
			Run: named("'abort ssl cert' expects a filename", func(r *Request, name string) {
				r.outcome(store.Abort(name), fmt.Sprintf("Transaction aborted for certificate '%s'!", name))
			})},
		{Words: []string{"del", "ssl", "cert"}, Level: Admin, Usage: "del ssl cert <certfile>",
			Help: "delete an unused certificate file",
			Run: named("'del ssl cert' expects a certificate name", func(r *Request, name string) {
				r.outcome(store.Delete(name), fmt.Sprintf("Certificate '%s' deleted!", name))
			})},
		{Words: []string{"show", "ssl", "cert"}, Level: Operator, Usage: "show ssl cert [<certfile>]",
			Help: "display the SSL certificates used in memory, or the details of a file", Run: w.showCert},
		{Words: []string{"dump", "ssl", "cert"}, Level: Admin, Usage: "dump ssl cert <certfile>",
			Help: "dump the SSL certificates in PEM format",
			Run: named("'dump ssl cert' expects a filename", func(r *Request, name string) {
				pem, err := store.Dump(name)
				if err != nil {
					r.Err(err.Error())
					return
				}
				_, _ = r.Write(pem)
			})},
	}
}

// named runs do with the name behind the three words of a command, or answers usage.
func named(usage string, do func(r *Request, name string)) func(context.Context, *Request) {
	return func(_ context.Context, r *Request) {
		if r.Args.At(3) == "" {
			r.Err(usage)
			return
		}
		do(r, r.Args[3])
	}
}

// outcome answers an error, or what was done.
func (r *Request) outcome(err error, done string) {
	if err != nil {
		r.Err(err.Error())
		return
	}
	r.Notice(done)
}

func (w *Worker) setCert(_ context.Context, r *Request) {
	name := r.Args.At(3)
	if name == "" || len(r.Payload) == 0 {
		r.Err("'set ssl cert' expects a filename and a certificate as a payload")
		return
	}
	if t, ok := inTransaction(r); t != "" || !ok {
		if ok {
			target, err := w.o.Certificates.SetIn(t, name, r.Payload)
			r.outcome(err, fmt.Sprintf("Transaction '%s' updated for certificate %s!", t, target))
		}
		return
	}
	created, target, err := w.o.Certificates.Set(name, r.Payload, r.By())
	verb := "updated"
	if created {
		verb = "created"
	}
	r.outcome(err, fmt.Sprintf("Transaction %s for certificate %s!", verb, target))
}

// progress prints a title, one dot for each rebuilt use, and what came of it. The title waits for the first dot or the end,
// because a refusal before anything was built has none.
type progress struct {
	r     *Request
	title string
	begun bool
}

// begin is called again and again; the first call prints.
func (p *progress) begin() {
	if !p.begun {
		p.begun = true
		p.r.Print(p.title)
	}
}

func (p *progress) dot() {
	p.begin()
	p.r.Print(".")
}

// end prints how it went. A failure after the work had begun stands below the title; any other is a message.
func (p *progress) end(warnings []string, err error) {
	var refusal *certstore.Error
	if err != nil && !p.begun && !(errors.As(err, &refusal) && refusal.Failed) {
		p.r.Err(err.Error())
		return
	}
	p.begin()
	p.r.Print("\n")
	for _, w := range warnings {
		p.r.Print(lines(w))
	}
	if err != nil {
		p.r.Print(lines(err.Error()))
		return
	}
	p.r.Print("Success!\n")
}

func (w *Worker) commitCert(r *Request, name string) {
	p := progress{r: r, title: "Committing " + name}
	p.end(w.o.Certificates.Commit(name, r.By(), p.dot))
}

func (w *Worker) showCert(_ context.Context, r *Request) {
	if name := r.Args.At(3); name != "" {
		r.dump(w.o.Certificates.Show(name))
		return
	}
	pending, all := w.o.Certificates.Names()
	if len(pending) > 0 {
		r.Print("# transaction\n")
	}
	for _, name := range pending {
		r.Print("*" + name + "\n")
	}
	r.Print("# filename\n")
	for _, name := range all {
		r.Print(name + "\n")
	}
}

// dump answers data or why there is none.
func (r *Request) dump(text string, err error) {
	if err != nil {
		r.Err(err.Error())
		return
	}
	r.Print(lines(text))
}

// listCommands are those on crt-lists (surface 2.8).
func (w *Worker) listCommands() []Command {
	return []Command{
		{Words: []string{"show", "ssl", "crt-list"}, Level: Admin, Usage: "show ssl crt-list [-n] [<list>]",
			Help: "show the list of crt-lists or the content of a crt-list file <list>", Run: w.showList},
		{Words: []string{"add", "ssl", "crt-list"}, Level: Admin, Usage: "add ssl crt-list <list> <cert> [opts]*",
			Help: "add to crt-list file <list> a line <cert> or a payload", Run: w.addLine},
		{Words: []string{"del", "ssl", "crt-list"}, Level: Admin, Usage: "del ssl crt-list <list> <cert[:line]>",
			Help: "delete a line <cert> from crt-list file <list>", Run: w.delLine},
	}
}

func (w *Worker) showList(_ context.Context, r *Request) {
	name, numbers := r.Args.At(3), false
	if name == "-n" {
		name, numbers = r.Args.At(4), true
		if name == "" {
			r.Err("'show ssl crt-list -n' expects a filename or a directory")
			return
		}
	}
	if name != "" {
		if err := w.o.Certificates.ShowList(r, trimSlashes(name), numbers); err != nil {
			r.Err(err.Error())
		}
		return
	}
	for _, list := range w.o.Certificates.Lists() {
		r.Print(list + "\n")
	}
}

// trimSlashes gives a directory the name it is known by.
func trimSlashes(name string) string {
	if short := strings.TrimRight(name, "/"); short != "" {
		return short
	}
	return name
}

// addLine takes a certificate as a word, or one whole line of a crt-list as payload.
func (w *Worker) addLine(_ context.Context, r *Request) {
	list, text := trimSlashes(r.Args.At(3)), r.Args.At(4)
	if r.Payload != nil {
		text = string(r.Payload)
	}
	if r.Args.At(3) == "" || text == "" {
		r.Err("'add ssl crtlist' expects a filename and a certificate name")
		return
	}
	dots := 0
	printed, err := w.o.Certificates.AddLine(list, text, r.By(), w.settings.Load().CrtBase, func() { dots++ })
	p := progress{r: r, title: fmt.Sprintf("Inserting certificate '%s' in crt-list '%s'", printed, list)}
	for range dots {
		p.dot()
	}
	p.end(nil, err)
}

func (w *Worker) delLine(_ context.Context, r *Request) {
	if r.Args.At(3) == "" || r.Args.At(4) == "" {
		r.Err("'del ssl crtlist' expects a filename and a certificate name")
		return
	}
	list, entry := trimSlashes(r.Args.At(3)), r.Args.At(4)
	name := entry
	if i := strings.LastIndexByte(entry, ':'); i >= 0 && i < len(entry)-1 && strings.Trim(entry[i+1:], "0123456789") == "" {
		name = entry[:i]
	}
	r.outcome(w.o.Certificates.DelLine(list, entry), fmt.Sprintf("Entry '%s' deleted in crtlist '%s'!", name, list))
}
