package socket

import (
	"context"
	"encoding/base64"
	"encoding/hex"
	"slices"
	"strings"

	"gatehouse/internal/cert"
	"gatehouse/internal/certstore"
	"gatehouse/internal/ocsp"
)

// Staples is the part of *certstore.Store that commands on OCSP responses call.
type Staples interface {
	Bundle(name string) *cert.Bundle
	Stapled() []certstore.Stapled
	StapledOne(name string) (certstore.Stapled, bool)
	ByOCSPKey(id []byte) (certstore.Stapled, bool)
	InstallOCSP(der []byte, by string) error
}

// OCSP is the part of *ocsp.Updater that commands call.
type OCSP interface {
	Ask(name string) error // errors are answered as they are
	Rows() []ocsp.Row
}

// ocspCommands are those on OCSP responses (surface 2.11).
func (w *Worker) ocspCommands() []Command {
	return []Command{
		{Words: []string{"set", "ssl", "ocsp-response"}, Level: Admin, Usage: "set ssl ocsp-response <resp|payload>",
			Help: "update a certificate's OCSP Response from a base64-encode DER", Run: w.setOCSP},
		{Words: []string{"show", "ssl", "ocsp-response"}, Level: Admin, Usage: "show ssl ocsp-response [[text|base64] id]",
			Help: "display the IDs of the OCSP responses used in memory, or the details of a single OCSP response (in text or base64 format)", Run: w.showOCSP},
		{Words: []string{"show", "ssl", "ocsp-updates"}, Level: Admin, Usage: "show ssl ocsp-updates",
			Help: "display information about the next 'nb' ocsp responses that will be updated automatically",
			Run: func(_ context.Context, r *Request) {
				r.Print(ocsp.RowsHeader + "\n")
				for _, row := range w.o.OCSP.Rows() {
					r.Print(row.Line() + "\n")
				}
			}},
		{Words: []string{"update", "ssl", "ocsp-response"}, Level: Admin, Usage: "update ssl ocsp-response <certfile>",
			Help: "send ocsp request and update stored ocsp response",
			Run: named("'update ssl ocsp-response' expects a filename", func(r *Request, name string) {
				r.done(w.o.OCSP.Ask(name))
			})},
	}
}

func (w *Worker) setOCSP(_ context.Context, r *Request) {
	text := string(r.Payload)
	if r.Payload == nil {
		text = r.Args.At(3)
	}
	if text == "" {
		r.Err("'set ssl ocsp-response' expects response in base64 encoding.")
		return
	}
	der, err := base64.StdEncoding.DecodeString(strings.NewReplacer("\r", "", "\n", "").Replace(text))
	if err != nil {
		r.Err("'set ssl ocsp-response' received invalid base64 encoded response.")
		return
	}
	r.outcome(w.o.Staples.InstallOCSP(der, r.By()), "OCSP Response updated!")
}

func (w *Worker) showOCSP(_ context.Context, r *Request) {
	arg, format := r.Args.At(3), ""
	if arg == "text" || arg == "base64" {
		if arg, format = r.Args.At(4), arg; arg == "" {
			r.Err("'show ssl ocsp-response [text|base64]' expects a valid certid.")
			return
		}
	}
	if arg == "" {
		w.listOCSP(r)
		return
	}
	st, found := w.findOCSP(r, arg)
	switch {
	case !found:
	case format == "base64":
		r.Print(base64.StdEncoding.EncodeToString(st.Bundle.OCSP())) // the line end is that of the answer
	default:
		r.Print(cert.DescribeOCSP(st.Bundle.OCSP()))
	}
}

// findOCSP looks for a response by the hex of its CertID, or else by the name of a certificate, and answers when there is none.
func (w *Worker) findOCSP(r *Request, arg string) (certstore.Stapled, bool) {
	id, err := hex.DecodeString(arg)
	if err != nil {
		b := w.o.Staples.Bundle(arg)
		if b == nil || !b.Stapling() || b.OCSPKey() == nil {
			r.Err("'show ssl ocsp-response' expects a valid certid or certificate path.")
			return certstore.Stapled{}, false
		}
		return w.o.Staples.StapledOne(arg)
	}
	st, ok := w.o.Staples.ByOCSPKey(id)
	if !ok {
		r.Err("Certificate ID or path does not match any certificate.")
	}
	return st, ok
}

// listOCSP prints the CertID of every response, each once.
func (w *Worker) listOCSP(r *Request) {
	type row struct{ id, path string }
	var rows []row
	seen := map[string]bool{}
	for _, st := range w.o.Staples.Stapled() {
		id := string(st.Bundle.OCSPKey())
		if id == "" || seen[id] || !st.Bundle.Stapling() {
			continue
		}
		seen[id] = true
		rows = append(rows, row{id, st.Name})
	}
	slices.SortFunc(rows, func(a, b row) int { return strings.Compare(a.id, b.id) })
	r.Print("# Certificate IDs\n")
	for _, row := range rows {
		r.Print("Certificate ID key : " + hex.EncodeToString([]byte(row.id)) + "\nCertificate path : " + row.path + "\n" + cert.DescribeOCSPKey([]byte(row.id)))
	}
}
