package socket

import (
	"context"
	"fmt"
	"time"

	"gatehouse/internal/cert"
	"gatehouse/internal/config"
	"gatehouse/internal/engine"
)

// Names is the part of *engine.Engine that tells which names lead to which certificate.
type Names interface {
	BindNames() []engine.BindNames
	IsFrontend(name string) bool
}

// sniCommands show what handshakes are answered with (surface 2.10, 2.12).
func (w *Worker) sniCommands() []Command {
	return []Command{
		{Words: []string{"show", "ssl", "sni"}, Level: User, Usage: "show ssl sni [-f <frontend>] [-A] [-t <offset>]",
			Help: "display the list of SNI and their corresponding filename", Run: w.showSNI},
		{Words: []string{"show", "ssl", "providers"}, Level: User, Usage: "show ssl providers", Help: "show loaded SSL providers",
			Run: func(_ context.Context, r *Request) { r.Print("Loaded providers : \n\t- go\n") }},
	}
}

// sniFilter is what the options of show ssl sni leave.
type sniFilter struct {
	frontend string    // "" all
	over     bool      // only certificates that are over
	at       time.Time // when
}

func (w *Worker) showSNI(ctx context.Context, r *Request) {
	f, text := w.sniFilter(r.Args[3:])
	if text != "" {
		r.Err(text)
		return
	}
	if _, err := fmt.Fprint(r, "# Frontend/Bind\tSNI\tNegative Filter\tType\tFilename\tNotAfter\tNotBefore\n"); err != nil {
		return
	}
	for _, b := range w.o.Names.BindNames() {
		if f.frontend != "" && f.frontend != b.Frontend {
			continue
		}
		where := fmt.Sprintf("%s/%s:%d", b.Frontend, b.File, b.Line)
		for row := range b.Index.Rows() {
			if err := f.write(r, where, row); err != nil || ctx.Err() != nil {
				return
			}
		}
	}
}

// sniFilter reads the options; text says what is wrong with them.
func (w *Worker) sniFilter(args Args) (f sniFilter, text string) {
	f.at = time.Now()
	for i := 0; i < len(args); i++ {
		switch args[i] {
		case "-f":
			if i++; args.At(i) == "" {
				return f, "'-f' requires a frontend name!"
			}
			if f.frontend = args[i]; !w.o.Names.IsFrontend(f.frontend) {
				return f, "Couldn't find the specified frontend!"
			}
		case "-A":
			f.over = true
		case "-t":
			if i++; args.At(i) == "" {
				return f, "'-t' requires an offset argument!"
			}
			d, text := sniOffset(args[i])
			if text != "" {
				return f, text
			}
			f.at = f.at.Add(d)
		default:
			return f, "Invalid parameters, 'show ssl sni' only supports '-f', '-A' or '-t' options!"
		}
	}
	return f, ""
}

func sniOffset(arg string) (time.Duration, string) {
	d, err := config.ParseTime(arg, time.Second)
	switch {
	case err == config.ErrTimeOver:
		return 0, fmt.Sprintf("offset overflow '%s' (maximum value is 2147483647s or ~24855 days)", arg)
	case err == config.ErrTimeUnder:
		return 0, fmt.Sprintf("timer underflow '%s' (minimum non-null value is 1s)", arg)
	case err != nil:
		bad := ""
		if e, ok := err.(*config.CharError); ok && e.At < len(e.Text) {
			bad = e.Text[e.At : e.At+1]
		}
		return 0, fmt.Sprintf("'-t %s' : unexpected character '%s'", arg, bad)
	case d <= 0:
		return 0, "'-t' expects a positive value"
	}
	return d, ""
}

// write prints a row when the filter leaves it.
func (f *sniFilter) write(r *Request, where string, row cert.SNIRow) error {
	inst := row.Entry.Instance()
	if inst == nil || f.over && !f.at.After(inst.Bundle.NotAfter) {
		return nil
	}
	b := inst.Bundle
	kind := "dsa"
	if b.KeyType == cert.KeyRSA || b.KeyType == cert.KeyECDSA {
		kind = b.KeyType.String()
	}
	not := ""
	for _, name := range row.Exclude {
		not += "!" + name + " "
	}
	if not == "" {
		not = "-"
	}
	_, err := fmt.Fprintf(r, "%s\t%s\t%s\t%s\t%s\t%s\t%s\n", where, row.SNI, not, kind, row.Entry.Name, cert.Date(b.NotAfter), cert.Date(b.NotBefore))
	return err
}
