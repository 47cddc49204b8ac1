package socket

import (
	"context"
	"fmt"

	"gatehouse/internal/certstore"
)

// Transactions is the part of *certstore.Store for transactions over many names. Its errors are answered as they are.
type Transactions interface {
	Begin(t, by string) error
	NewIn(t, name string) error
	SetIn(t, name string, payload []byte) (target string, err error)
	CommitGroup(t, by string, dot func()) (warnings []string, err error)
	AbortGroup(t string) error
	Groups() []certstore.GroupInfo
}

// transactionCommands have no like in HAProxy, which has one transaction, over one certificate, per process.
func (w *Worker) transactionCommands() []Command {
	store := w.o.Certificates
	entry := func(verb, help, usage string, run func(r *Request, t string)) Command {
		return Command{Words: []string{verb, "ssl", "transaction"}, Level: Admin, Usage: verb + " ssl transaction <name>", Help: help, Run: named(usage, run)}
	}
	return []Command{
		entry("begin", "begin a transaction over many certificates", "'begin ssl transaction' expects a name", func(r *Request, t string) {
			r.outcome(store.Begin(t, r.By()), fmt.Sprintf("Transaction '%s' begun!", t))
		}),
		entry("commit", "commit all certificates of a transaction, or none", "'commit ssl transaction' expects a name", func(r *Request, t string) {
			p := progress{r: r, title: fmt.Sprintf("Committing transaction '%s'", t)}
			p.end(store.CommitGroup(t, r.By(), p.dot))
		}),
		entry("abort", "abort a transaction over many certificates", "'abort ssl transaction' expects a name", func(r *Request, t string) {
			r.outcome(store.AbortGroup(t), fmt.Sprintf("Transaction '%s' aborted!", t))
		}),
		{Words: []string{"show", "ssl", "transaction"}, Level: Operator, Usage: "show ssl transaction [<name>]",
			Help: "display the open transactions over many certificates, or the content of one", Run: w.showTransaction},
	}
}

// inTransaction returns T of a command line that ends in `txn T` behind its name; ok is false, and told, when T is missing.
func inTransaction(r *Request) (t string, ok bool) {
	if r.Args.At(4) != "txn" {
		return "", true
	}
	if r.Args.At(5) == "" {
		r.Err("'txn' expects the name of a transaction")
		return "", false
	}
	return r.Args[5], true
}

func (w *Worker) showTransaction(_ context.Context, r *Request) {
	name := r.Args.At(3)
	if name == "" {
		r.Print("# transaction certificates bytes expires by\n")
	}
	for _, g := range w.o.Certificates.Groups() {
		switch name {
		case "":
			r.Print(fmt.Sprintf("%s %d %d %s %s\n", g.Name, len(g.Members), g.Bytes, when(g.Expires), g.By))
		case g.Name:
			r.Print(fmt.Sprintf("Transaction: %s\nBegun by: %s\nExpires: %s\nBytes: %d\n# certificate state\n", g.Name, g.By, when(g.Expires), g.Bytes))
			for _, m := range g.Members {
				r.Print(m.Name + " " + m.State + "\n")
			}
			return
		}
	}
	if name != "" {
		r.Err(fmt.Sprintf("No such transaction '%s'!", name))
	}
}
