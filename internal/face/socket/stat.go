package socket

import (
	"context"
	"errors"
	"fmt"
	"strconv"

	"gatehouse/internal/stats"
)

// statFilter is what show stat was asked for.
type statFilter struct {
	format      string // "", "typed" or "json"
	desc        bool
	hideMaint   bool
	hideDown    bool
	bound       bool // iid, types and sid count
	proxy       string
	iid         int
	types       int // mask of stats.Kind.Mask
	sid         int
	hideLegends bool
}

// parseStatFilter reads what follows show stat. As in HAProxy, three or more words begin with a proxy, a type and a number;
// unknown words behind are ignored. The error's text is the answer.
func parseStatFilter(args Args) (statFilter, error) {
	var f statFilter
	if args.At(0) == "domain" {
		switch args.At(1) {
		case "proxy":
		case "resolvers":
			return f, errors.New("Statistics of resolvers are not supported.")
		default:
			return f, errors.New("Invalid statistics domain.")
		}
		args = args[2:]
	}
	if len(args) >= 3 {
		f.bound = true
		f.proxy, f.iid, f.types, f.sid = args[0], leadingInt(args[0]), leadingInt(args[1]), leadingInt(args[2])
		args = args[3:]
	}
	for _, a := range args {
		switch a {
		case "typed", "json":
			f.format = a
		case "desc":
			f.desc = true
		case "no-maint":
			f.hideMaint = true
		case "up":
			f.hideDown = true
		}
	}
	return f, nil
}

// leadingInt is the number that text begins with, 0 if none, as C's atoi.
func leadingInt(text string) int {
	end := 0
	for end < len(text) && (text[end] >= '0' && text[end] <= '9' || end == 0 && (text[0] == '-' || text[0] == '+')) {
		end++
	}
	n, _ := strconv.Atoi(text[:end])
	return n
}

// wants says whether a row passes.
func (f *statFilter) wants(row *stats.Row) bool {
	if f.bound {
		if f.iid != -1 && row.Get(stats.ColIID).Int() != int64(f.iid) || f.types&row.Kind.Mask() == 0 {
			return false
		}
		hasNumber := row.Kind == stats.Server || row.Kind == stats.Listener
		if hasNumber && f.sid != -1 && row.Get(stats.ColSID).Int() != int64(f.sid) {
			return false
		}
	}
	return !((f.hideMaint || f.hideDown) && row.Maint()) && !(f.hideDown && row.Down())
}

// resolve turns a proxy's name into its number; a name wins over a number. The error's text is the answer.
func (f *statFilter) resolve(p Process) error {
	if !f.bound {
		return nil
	}
	for row := range p.Rows() {
		if row.Text(stats.ColProxy) == f.proxy {
			f.iid = int(row.Get(stats.ColIID).Int())
			return nil
		}
	}
	if f.iid == 0 {
		return errors.New("No such proxy.")
	}
	return nil
}

func (w *Worker) showStat(_ context.Context, r *Request) {
	f, err := parseStatFilter(r.Args[2:])
	if err == nil {
		err = f.resolve(w.o.Process)
	}
	if err != nil {
		r.Err(err.Error())
		return
	}
	f.hideLegends = r.session.bind.Level < Operator
	out := statWriter{f: f, r: r}
	if f.format == "" {
		_, _ = r.Write(stats.AppendHeader(nil))
	}
	for row := range w.o.Process.Rows() {
		if !out.row(row) {
			return // nobody reads it
		}
	}
	out.end()
}

// statWriter prints the rows that pass, one at a time.
type statWriter struct {
	f         statFilter
	r         *Request
	buf       []byte
	rows      int
	up, total int // servers of the proxy at hand
}

func (w *statWriter) row(row *stats.Row) bool {
	w.count(row)
	if row.Kind == stats.Backend { // the last row of its proxy
		defer func() { w.up, w.total = 0, 0 }()
	}
	if !w.f.wants(row) {
		return true
	}
	if w.f.hideLegends || row.Kind == stats.Backend && (w.f.hideMaint || w.f.hideDown) {
		row = w.edited(*row)
	}
	w.buf = w.buf[:0]
	switch w.f.format {
	case "typed":
		w.buf = row.AppendTyped(w.buf, w.f.desc)
	case "json":
		w.buf = row.AppendJSON(append(w.buf, w.jsonLead()))
	default:
		w.buf = row.AppendCSV(w.buf)
	}
	w.rows++
	_, err := w.r.Write(w.buf)
	return err == nil
}

func (w *statWriter) jsonLead() byte {
	if w.rows == 0 {
		return '['
	}
	return ','
}

// edited is a copy of a row without what the socket may not show, and with the count of servers that hiding them makes
// HAProxy add to a backend's status.
func (w *statWriter) edited(row stats.Row) *stats.Row {
	if w.f.hideLegends {
		row.HideLegends()
	}
	if row.Kind == stats.Backend && (w.f.hideMaint || w.f.hideDown) {
		row.SetText(stats.ColStatus, fmt.Sprintf("%s (%d/%d)", row.Text(stats.ColStatus), w.up, w.total))
	}
	return &row
}

func (w *statWriter) count(row *stats.Row) {
	switch row.Kind {
	case stats.Server:
		w.total++
		if row.Up() {
			w.up++
		}
	case stats.Frontend:
		w.up, w.total = 0, 0
	}
}

func (w *statWriter) end() {
	if w.f.format != "json" {
		return
	}
	if w.rows == 0 {
		w.r.Print("[")
	}
	w.r.Print("]\n")
}
