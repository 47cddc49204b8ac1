package socket

import (
	"context"
	"io"
	"net"
	"os"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"gatehouse/internal/engine"
	"gatehouse/internal/table"
)

// demanded are the levels that HAProxy 3.4.0 was seen to demand (surface 1.3), and those that our own commands were given on purpose. What stands
// nowhere demands admin. The table of commands is not asked: this is what it is held against.
var demanded = map[Level]string{
	User: "help,prompt,quit,echo,user,show version,show info,show stat,show schema json,show servers state,show servers conn,show backend,show table," +
		"show resolvers,show cli sockets,show cli level,show ssl sni,show ssl providers,get weight,set timeout,set severity-output,show events",
	Operator: "operator,show env,show errors,show sess,show startup-logs,show ssl cert,show ssl ca-file,show ssl crl-file,show ssl jwt," +
		"get var,set var,clear counters,clear table,set table,show ssl transaction,show ssl cert-history," +
		"show proc,reload,hard-reload",
}

func demands(name string) Level {
	for _, level := range []Level{User, Operator} {
		if slices.Contains(strings.Split(demanded[level], ","), name) {
			return level
		}
	}
	return Admin
}

// seen are the commands that ran.
type seen struct {
	mu  sync.Mutex
	ran []string
}

func (x *seen) take() []string {
	x.mu.Lock()
	defer x.mu.Unlock()
	ran := x.ran
	x.ran = nil
	return ran
}

// watch replaces what the commands of a table do by a note, but for what a master sends ahead of them.
func (x *seen) watch(t *testing.T, real *Table) *Table {
	t.Helper()
	list := slices.Clone(real.Commands())
	for i := range list {
		name, run := strings.Join(list[i].Words, " "), list[i].Run
		list[i].Run = func(ctx context.Context, r *Request) {
			if r.Args[len(r.Args)-1] == "-" {
				run(ctx, r)
				return
			}
			x.mu.Lock()
			defer x.mu.Unlock()
			x.ran = append(x.ran, name)
		}
	}
	watched, err := NewTable(real.master, list)
	if err != nil {
		t.Fatal(err)
	}
	return watched
}

type matrixProcess struct{ noProcess }

func (matrixProcess) Start() time.Time { return time.Now() }

type matrixMaster struct {
	noMaster
	t      *testing.T
	worker *Worker
}

func (matrixMaster) Start() time.Time { return time.Now() }
func (matrixMaster) Procs() Procs {
	return Procs{Master: Proc{PID: 1, Start: time.Now()}, Workers: []Proc{{PID: 2, Start: time.Now()}}}
}

func (m matrixMaster) Dial(ctx context.Context, _ int) (net.Conn, error) {
	near, far := connected(m.t)
	go m.worker.ServeConn(context.WithoutCancel(ctx), far, SocketOptions{Level: Admin})
	return near, nil
}

// TestAuthorisationMatrix (F22) says every command at every level on every road that leads to it: no answer is given to a level that HAProxy
// would refuse, and none is refused that HAProxy would give.
func TestAuthorisationMatrix(t *testing.T) {
	var x seen
	worker, err := NewWorker(Options{
		Process: matrixProcess{}, Certificates: noCertificates{}, ACME: noACME{}, Patterns: noPatterns, Var: func(string) (string, string, bool) { return "", "", false },
		Tables: func() []*table.Table { return nil }, Sinks: func() []engine.Sink { return nil }, Tickets: func() []*engine.TicketFile { return nil },
	})
	if err != nil {
		t.Fatal(err)
	}
	worker.table = x.watch(t, worker.table)
	master, err := NewMaster(MasterOptions{Process: matrixMaster{t: t, worker: worker}})
	if err != nil {
		t.Fatal(err)
	}
	master.table = x.watch(t, master.table)
	lowering := map[Level]string{Admin: "", Operator: "operator -;", User: "user -;"}
	roads := []struct {
		name   string
		table  *Table
		say    func(level Level, command string) string // over a connection of the level that at says
		at     func(level Level) Level
		serve  func(context.Context, net.Conn, SocketOptions)
		master bool
	}{
		{"a socket of that level", worker.table, func(_ Level, c string) string { return c + "\n" }, sameLevel, worker.ServeConn, false},
		{"a session lowered to it", worker.table, func(l Level, c string) string { return lowering[l] + c + "\n" }, adminLevel, worker.ServeConn, false},
		{"the master's own", master.table, func(_ Level, c string) string { return c + "\n" }, sameLevel, master.ServeConn, true},
		{"the master's, lowered", master.table, func(l Level, c string) string { return strings.ReplaceAll(lowering[l], " -", "") + c + "\n" }, adminLevel, master.ServeConn, true},
		{"@1 of the master", worker.table, func(_ Level, c string) string { return "@1 " + c + "\n" }, sameLevel, master.ServeConn, true},
		{"@1 of the lowered master", worker.table, func(l Level, c string) string { return strings.ReplaceAll(lowering[l], " -", "") + "@1 " + c + "\n" }, adminLevel, master.ServeConn, true},
		{"@!2 of the master", worker.table, func(_ Level, c string) string { return "@!2 " + c + "\n" }, sameLevel, master.ServeConn, true},
		{"behind @1", worker.table, func(_ Level, c string) string { return "@1\n" + c + "\n" }, sameLevel, master.ServeConn, true},
		{"@@1 of the lowered master", worker.table, func(l Level, c string) string { return strings.ReplaceAll(lowering[l], " -", "") + "@@1 " + c + "\n" }, adminLevel, master.ServeConn, true},
		{"@@1 of the master", worker.table, func(_ Level, c string) string { return "@@1 " + c + "\n" }, sameLevel, master.ServeConn, true},
	}
	cells, wrongAllow, wrongDeny := 0, 0, 0
	for _, road := range roads {
		throughMaster := road.master
		for i := range road.table.Commands() {
			c := &road.table.Commands()[i]
			if road.table.master && c.Modes&(InMaster|MasterOnly) == 0 || !road.table.master && c.Modes&MasterOnly != 0 || c.Modes&(Expert|Experimental) != 0 {
				continue
			}
			name := strings.Join(c.Words, " ")
			if strings.HasPrefix(name, "@") {
				continue // says where the rest goes; there is nothing to run
			}
			if throughMaster && (masterKeeps[c.Words[0]] || name == "set severity-output") {
				continue // its end of the connection answers these itself; they give no rights
			}
			for _, variant := range []string{"", " all", " buf0"} {
				for level := User; level <= Admin; level++ {
					ran := exchangeOn(t, road.say(level, name+variant), SocketOptions{Level: road.at(level)}, road.serve, &x)
					want := demands(name)
					switch {
					case name == "show events" && variant != "":
						want = Operator
					case name == "clear counters" && variant == " all":
						want = Admin
					}
					allowed := slices.Contains(ran, name)
					switch {
					case allowed && level < want:
						wrongAllow++
						t.Errorf("%s: %q runs at level %s, HAProxy wants %s", road.name, name+variant, level, want)
					case !allowed && level >= want:
						wrongDeny++
						t.Errorf("%s: %q does not run at level %s (%v ran), HAProxy wants %s", road.name, name+variant, level, ran, want)
					}
					cells++
				}
			}
		}
	}
	t.Logf("%d cells, wrong allow %d, wrong deny %d", cells, wrongAllow, wrongDeny)
	if cells < 3000 {
		t.Errorf("the matrix has %d cells only", cells)
	}
}

func sameLevel(l Level) Level { return l }
func adminLevel(Level) Level  { return Admin }

// masterKeeps are the commands that the master's end of a connection runs itself.
var masterKeeps = map[string]bool{"quit": true, "prompt": true, "operator": true, "user": true, "expert-mode": true, "experimental-mode": true, "mcli-debug-mode": true}

// exchangeOn sends text over one connection and returns what ran.
func exchangeOn(t *testing.T, text string, so SocketOptions, serve func(context.Context, net.Conn, SocketOptions), x *seen) []string {
	t.Helper()
	near, far := connected(t)
	defer near.Close()
	done := make(chan struct{})
	go func() { defer close(done); serve(t.Context(), far, so) }()
	_ = near.SetDeadline(time.Now().Add(10 * time.Second))
	if _, err := io.WriteString(near, text); err != nil {
		t.Fatal(err)
	}
	_ = near.(*net.UnixConn).CloseWrite()
	if _, err := io.Copy(io.Discard, near); err != nil {
		t.Fatalf("%q: %v", text, err)
	}
	<-done
	return x.take()
}

// connected are the two ends of a connection that can be closed half.
func connected(t *testing.T) (near, far net.Conn) {
	t.Helper()
	fds, err := syscall.Socketpair(syscall.AF_UNIX, syscall.SOCK_STREAM|syscall.SOCK_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	var ends [2]net.Conn
	for i, fd := range fds {
		f := os.NewFile(uintptr(fd), "connection")
		if ends[i], err = net.FileConn(f); err != nil {
			t.Fatal(err)
		}
		_ = f.Close()
	}
	return ends[0], ends[1]
}
