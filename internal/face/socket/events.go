package socket

import (
	"context"
	"fmt"
	"strings"

	"gatehouse/internal/engine"
	"gatehouse/internal/log"
)

// eventBatch is about how many bytes of events are written at once.
const eventBatch = 32 << 10

func (w *Worker) eventCommands() []Command {
	return []Command{{
		Words: []string{"show", "events"}, Level: User, Usage: "show events [<sink>] [-w] [-n] [-0]", Help: "show event sink state",
		LevelOf: func(args Args) Level {
			if args.At(2) != "" {
				return Operator
			}
			return User
		},
		Run: w.showEvents,
	}}
}

func (w *Worker) showEvents(ctx context.Context, r *Request) {
	name := r.Args.At(2)
	if name == "" {
		r.session.message(levelWarning, sinkList(w.o.Sinks()))
		return
	}
	var sink *engine.Sink
	for _, s := range w.o.Sinks() {
		if s.Name == name {
			sink = &s
			break
		}
	}
	switch {
	case sink == nil:
		r.Err("No such event sink")
		return
	case sink.Ring == nil:
		r.Notice("Nothing to report for this sink")
		return
	}
	follow, fromNew, end := false, false, []byte{'\n'}
	for _, a := range r.Args[3:] {
		switch a {
		case "-w":
			follow = true
		case "-n":
			fromNew = true
		case "-nw", "-wn":
			follow, fromNew = true, true
		case "-0":
			end = []byte{0}
		default:
			r.Err("unknown option")
			return
		}
	}
	e := events{reader: sink.Ring.Reader(fromNew), end: end, r: r}
	defer e.reader.Close()
	if e.write(sink.Ring.Newest()) && follow {
		e.follow(ctx)
	}
}

func sinkList(sinks []engine.Sink) string {
	var b strings.Builder
	b.WriteString("Supported events sinks are listed below. Add -0(zero), -w(wait), -n(new). Any key to stop.\n")
	for _, s := range sinks {
		kind := "fd"
		if s.Ring != nil {
			kind = "buffer"
		}
		fmt.Fprintf(&b, "    %-10s : type=%s, %d dropped, %s\n", s.Name, kind, s.Dropped, s.Description)
	}
	return b.String()
}

// events writes what a ring holds to one client.
type events struct {
	reader *log.RingReader
	end    []byte
	r      *Request
	buf    []byte
	ends   []int
	lost   uint64 // told so far
}

// write writes the events up to number until, or all there are when it is 0; false when the client is gone or too slow.
func (e *events) write(until uint64) bool {
	for {
		e.buf, e.ends = e.reader.Next(e.buf[:0], e.ends[:0], eventBatch, until, nil, e.end)
		if n := e.reader.Lost() - e.lost; n > 0 {
			e.lost += n
			e.r.Print(droppedText(n) + string(e.end))
		}
		if len(e.ends) == 0 {
			return e.r.Flush() == nil
		}
		if _, err := e.r.Write(e.buf); err != nil {
			return false
		}
	}
}

func droppedText(n uint64) string {
	if n == 1 {
		return "1 event dropped"
	}
	return fmt.Sprintf("%d events dropped", n)
}

// follow writes events as they come until the client says anything, which is not read as a command, or leaves.
func (e *events) follow(ctx context.Context) {
	input, stop, err := e.r.session.conn.Listen()
	if err != nil {
		return
	}
	defer stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-input:
			return
		case <-e.reader.Wake():
			if !e.write(0) {
				return
			}
		}
	}
}
