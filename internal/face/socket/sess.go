package socket

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"
)

const sessUsage = "Usage: show sess [<id> | all | help] [<options>*]\n" +
	"Dumps active streams (formerly called 'sessions'). Available selectors:\n" +
	"   <id>         dump only this stream identifier (0x...)\n" +
	"   all          dump all matching streams in large format\n" +
	"   help         show this message\n" +
	"   susp         report streams considered suspicious\n" +
	"Available options: \n" +
	"   show-uri     also display the transaction URI, if available\n" +
	"   older <age>  only display streams older than <age> seconds\n" +
	"   server <b/s> only show streams attached to this backend+server\n" +
	"   backend <b>  only show streams attached to this backend\n" +
	"   frontend <f> only show streams attached to this frontend\n" +
	"Without any argument, all streams are dumped in a shorter format.\n"

// sessFilter is what show sess was asked for.
type sessFilter struct {
	id       string // hexadecimal, without 0x; "" is any
	large    bool
	older    time.Duration
	frontend string
}

// errSessBackend refuses what a connection does not tell: it is known by its frontend, its requests go to backends one after the other.
var errSessBackend = errors.New("Selecting by backend or server is not supported: a connection has no backend between its requests.")

func parseSessFilter(w *Worker, args Args) (f sessFilter, err error) {
	switch id, isID := strings.CutPrefix(args.At(0), "0x"); {
	case isID:
		f.id, f.large, args = id, true, args[1:]
	case args.At(0) == "all":
		f.large, args = true, args[1:]
	}
	for i := 0; i < len(args); i++ {
		switch args[i] {
		case "show-uri", "susp": // nothing is kept of an URI; a connection that hangs is ended by its timeout
			f.older = max(f.older, map[string]time.Duration{"susp": maxDelay}[args[i]])
		case "older":
			i++
			if args.At(i) == "" {
				return f, errors.New("Expects a minimum age (in seconds by default).")
			}
			d, ok := parseDelay(args[i], time.Second)
			if !ok {
				return f, errors.New("Invalid age.")
			}
			f.older = d
		case "frontend":
			i++
			if _, err := w.o.Process.Frontend(args.At(i)); err != nil {
				return f, err
			}
			f.frontend = args[i]
		case "backend", "server":
			return f, errSessBackend
		default:
			return f, fmt.Errorf("Unsupported option '%s', try 'help' for more info.", args[i])
		}
	}
	return f, nil
}

func (f *sessFilter) wants(st *Stream) bool {
	return (f.id == "" || f.id == st.ID) && st.Age >= f.older && (f.frontend == "" || f.frontend == st.Frontend)
}

func (w *Worker) showSess(_ context.Context, r *Request) {
	if r.Args.At(2) == "help" {
		r.Msg(sessUsage)
		return
	}
	f, err := parseSessFilter(w, r.Args[2:])
	if err != nil {
		r.Err(err.Error())
		return
	}
	found := f.id == ""
	for st := range w.o.Process.Sessions() {
		if !f.wants(&st) {
			continue
		}
		found = true
		if f.large {
			r.Print(st.large(time.Now()))
		} else {
			r.Print(fmt.Sprintf("0x%s: proto=%s src=%s fe=%s be=%s srv=%s ts=00 epoch=0 age=%s calls=1\n", st.ID, st.Proto, st.Src,
				st.Frontend, orNone(st.Backend), orNone(st.Server), age(st.Age)))
		}
	}
	if !found {
		r.Msg("Session not found.")
	}
}

// large is a stream in several lines, as far as we know what HAProxy tells.
func (st *Stream) large(now time.Time) string {
	return fmt.Sprintf("0x%s: [%s] id=%s proto=%s source=%s\n  frontend=%s\n  backend=%s\n  server=%s\n  age=%s\n", st.ID,
		now.Add(-st.Age).Format("02/Jan/2006:15:04:05.000000"), st.ID, st.Proto, st.Src, st.Frontend, orNone(st.Backend), orNone(st.Server), age(st.Age))
}
