package socket

import (
	"context"
	"fmt"

	"gatehouse/internal/certstore"
)

// trustCommands are the transactions on CA and CRL files (surface 2.9). The texts are HAProxy's, its slips included.
func (w *Worker) trustCommands() []Command {
	return append(w.trustCommandsOf(certstore.CAs, "ca-file", "CA"), w.trustCommandsOf(certstore.CRLs, "crl-file", "CRL")...)
}

func (w *Worker) trustCommandsOf(kind certstore.TrustKind, word, short string) []Command {
	store := w.o.Certificates
	arg := "<" + word[:len(word)-5] + "file>"
	set := func(add bool) func(context.Context, *Request) {
		return func(_ context.Context, r *Request) {
			if r.Args.At(3) == "" || len(r.Payload) == 0 {
				r.Err(fmt.Sprintf("'set ssl %s' expects a filename and %ss as a payload", word, short))
				return
			}
			created, err := store.SetTrust(kind, r.Args[3], r.Payload, add)
			verb := "updated"
			if created {
				verb = "created"
			}
			r.outcome(err, fmt.Sprintf("transaction %s for %s %s!", verb, short, r.Args[3]))
		}
	}
	one, member := "a single certificate of index <index> of a CA file <cafile>", "a certificate"
	if kind == certstore.CRLs {
		one, member = "a single CRL of index <index> of CRL file <crlfile>", "a list"
	}
	list := []Command{
		{Words: []string{"new", "ssl", word}, Level: Admin, Usage: "new ssl " + word + " " + arg,
			Help: "create a new " + short + " file to be used in a crt-list",
			Run: named("'new ssl "+word+"' expects a filename", func(r *Request, name string) {
				r.outcome(store.NewTrust(kind, name), fmt.Sprintf("New %s file created '%s'!", short, name))
			})},
		{Words: []string{"set", "ssl", word}, Level: Admin, Usage: "set ssl " + word + " " + arg + " <payload>",
			Help: "replace a " + short + " file", Run: set(false)},
		{Words: []string{"commit", "ssl", word}, Level: Admin, Usage: "commit ssl " + word + " " + arg, Help: "commit a " + short + " file",
			Run: named("'commit ssl ca-file' expects a filename", func(r *Request, name string) {
				p := progress{r: r, title: "Committing " + name}
				p.end(store.CommitTrust(kind, name, r.By(), p.dot))
			})},
		{Words: []string{"abort", "ssl", word}, Level: Admin, Usage: "abort ssl " + word + " " + arg, Help: "abort a transaction for a " + short + " file",
			Run: named("'abort ssl "+word+"' expects a filename", func(r *Request, name string) {
				r.outcome(store.AbortTrust(kind, name), fmt.Sprintf("Transaction aborted for certificate '%s'!", name))
			})},
		{Words: []string{"del", "ssl", word}, Level: Admin, Usage: "del ssl " + word + " " + arg, Help: "delete an unused " + short + " file",
			Run: named("'del ssl "+word+"' expects a "+short+" file name", func(r *Request, name string) {
				r.outcome(store.DeleteTrust(kind, name), fmt.Sprintf("%s file '%s' deleted!", short, name))
			})},
		{Words: []string{"show", "ssl", word}, Level: Operator, Usage: "show ssl " + word + " [" + arg + "[:<index>]]",
			Help: "display the SSL " + short + " files used in memory, or the details of a " + arg + ", or " + one,
			Run: func(_ context.Context, r *Request) {
				if r.Args.At(3) == "" {
					store.ListTrust(r, kind)
				} else if err := store.ShowTrust(r, kind, r.Args[3]); err != nil {
					r.Err(err.Error())
				}
			}},
	}
	if kind == certstore.CAs {
		list = append(list, Command{Words: []string{"add", "ssl", word}, Level: Admin, Usage: "add ssl " + word + " " + arg + " <payload>",
			Help: "add " + member + " into the CA file", Run: set(true)})
	}
	return list
}
