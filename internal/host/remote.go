package host

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"net/netip"
	"os"
	"strings"
	"sync"
	"syscall"
	"time"
)

// callTimeout bounds one request to the master: a disk or a network file system may take its time, but not for ever.
const callTimeout = 2 * time.Minute

// Operations, as they are named on the wire and in errors.
const (
	opRead    = "read"
	opStat    = "stat"
	opLstat   = "lstat"
	opReadDir = "readdir"
	opReplace = "replace"
	opRemove  = "remove"
	opWatch   = "watch"

	opReplaceMany = "replace many"
	opMkdir       = "mkdir"
	opOpen        = "open"
	opListen      = "listen"
	opLookup      = "lookup"
	opAsk         = "ask passphrase"
)

// request is one question. Paths are bytes, because a path need not be UTF-8 and JSON strings must.
type request struct {
	ID    uint64
	Op    string
	Path  []byte      `json:",omitempty"`
	Limit int64       `json:",omitempty"`
	Flag  int         `json:",omitempty"`
	Perm  fs.FileMode `json:",omitempty"`
	Spec  *wireSpec   `json:",omitempty"`
	Parts []part      `json:",omitempty"`
}

// part is one file of a payload that holds several.
type part struct {
	Path []byte
	Size int
	Perm fs.FileMode
}

// wireSpec is ListenSpec with its path as bytes.
type wireSpec struct {
	ListenSpec
	Path []byte
}

// reply answers the request with the same ID.
type reply struct {
	ID    uint64
	Info  *Info        `json:",omitempty"`
	Addrs []netip.Addr `json:",omitempty"`

	Watches []int32    `json:",omitempty"`
	Err     *wireError `json:",omitempty"`
}

// Remote asks the master over a Link. Run must be running for any method to return anything but an error.
type Remote struct {
	link *Link

	mu      sync.Mutex
	next    uint64
	waiting map[uint64]chan answer
	gone    error // set once: nothing will be answered any more
}

type answer struct {
	reply   reply
	payload []byte
	files   []*os.File
	err     error
}

var _ Host = (*Remote)(nil)

// NewRemote takes over conn, whose other end is served by Serve.
func NewRemote(conn *net.UnixConn) *Remote {
	return &Remote{link: NewLink(conn), waiting: map[uint64]chan answer{}}
}

// Run receives answers until ctx is done or the other side is gone; every call under way or to come then fails.
func (r *Remote) Run(ctx context.Context) error {
	stop := context.AfterFunc(ctx, func() { r.link.Close() })
	defer stop()
	for {
		var a answer
		a.payload, a.files, a.err = r.link.Receive(&a.reply)
		if a.err != nil {
			r.fail(a.err)
			return a.err
		}
		r.mu.Lock()
		ch := r.waiting[a.reply.ID]
		delete(r.waiting, a.reply.ID)
		r.mu.Unlock()
		if ch == nil { // its caller gave up
			closeAll(a.files)
			continue
		}
		ch <- a
	}
}

func (r *Remote) fail(err error) {
	r.link.Close()
	r.mu.Lock()
	defer r.mu.Unlock()
	r.gone = fmt.Errorf("asking the master: %w", err)
	for id, ch := range r.waiting {
		ch <- answer{err: r.gone}
		delete(r.waiting, id)
	}
}

// call sends a request and waits for its answer, at most callTimeout and until done is closed (nil: never).
func (r *Remote) call(done <-chan struct{}, req request, payload []byte) (answer, error) {
	ch := make(chan answer, 1)
	r.mu.Lock()
	if r.gone != nil {
		r.mu.Unlock()
		return answer{}, r.gone
	}
	r.next++
	req.ID = r.next
	r.waiting[req.ID] = ch
	r.mu.Unlock()
	if err := r.link.Send(req, payload); err != nil {
		r.forget(req.ID)
		return answer{}, fmt.Errorf("asking the master: %w", err)
	}
	timer := time.NewTimer(callTimeout)
	defer timer.Stop()
	select {
	case a := <-ch:
		return a, a.failure()
	case <-done:
		r.abandon(req.ID, ch)
		return answer{}, context.Canceled
	case <-timer.C:
		r.abandon(req.ID, ch)
		return answer{}, &fs.PathError{Op: req.Op, Path: string(req.Path), Err: syscall.ETIMEDOUT}
	}
}

func (a answer) failure() error {
	if a.err == nil && a.reply.Err != nil {
		a.err = a.reply.Err.restore()
	}
	if a.err != nil {
		closeAll(a.files)
	}
	return a.err
}

func (r *Remote) forget(id uint64) {
	r.mu.Lock()
	defer r.mu.Unlock()
	delete(r.waiting, id)
}

// abandon gives a call up and closes what came in the very last moment.
func (r *Remote) abandon(id uint64, ch chan answer) {
	r.forget(id)
	select {
	case a := <-ch:
		closeAll(a.files)
	default:
	}
}

func (r *Remote) one(req request, payload []byte) (answer, error) { return r.call(nil, req, payload) }

func (r *Remote) ReadFile(name string, limit int64) ([]byte, error) {
	a, err := r.one(request{Op: opRead, Path: []byte(name), Limit: limit}, nil)
	return a.payload, err
}

func (r *Remote) Stat(name string) (Info, error)  { return r.info(opStat, name) }
func (r *Remote) Lstat(name string) (Info, error) { return r.info(opLstat, name) }

func (r *Remote) info(op, name string) (Info, error) {
	a, err := r.one(request{Op: op, Path: []byte(name)}, nil)
	if err != nil || a.reply.Info == nil {
		return Info{}, err
	}
	info := *a.reply.Info
	info.Name = name
	return info, nil
}

func (r *Remote) ReadDir(name string) ([]string, error) {
	a, err := r.one(request{Op: opReadDir, Path: []byte(name)}, nil)
	if err != nil || len(a.payload) == 0 {
		return nil, err
	}
	return splitNames(a.payload), nil
}

func joinNames(names []string) []byte { return []byte(strings.Join(names, "\x00")) }

func splitNames(payload []byte) []string {
	return strings.Split(strings.TrimSuffix(string(payload), "\x00"), "\x00")
}

func (r *Remote) ReplaceFile(name string, data []byte, perm fs.FileMode) error {
	_, err := r.one(request{Op: opReplace, Path: []byte(name), Perm: perm}, data)
	return err
}

// Bounds of one message with several files.
const (
	partsMax  = 1024
	partBytes = 32 << 20
)

// ReplaceFiles sends the files in as many messages as they need.
func (r *Remote) ReplaceFiles(files []File) error {
	for len(files) > 0 {
		req := request{Op: opReplaceMany}
		var payload []byte
		for len(files) > 0 && len(req.Parts) < partsMax && (len(payload) == 0 || len(payload)+len(files[0].Data) <= partBytes) {
			f := files[0]
			req.Parts = append(req.Parts, part{[]byte(f.Name), len(f.Data), f.Perm})
			payload = append(payload, f.Data...)
			files = files[1:]
		}
		if _, err := r.one(req, payload); err != nil {
			return err
		}
	}
	return nil
}

func (r *Remote) Watch(dirs []string) (*os.File, []int32, error) {
	a, err := r.one(request{Op: opWatch}, joinNames(dirs))
	if err != nil {
		return nil, nil, err
	}
	if len(a.files) != 1 || len(a.reply.Watches) != len(dirs) {
		closeAll(a.files)
		return nil, nil, &fs.PathError{Op: opWatch, Path: "", Err: syscall.EBADMSG}
	}
	return a.files[0], a.reply.Watches, nil
}

func (r *Remote) Remove(name string) error {
	_, err := r.one(request{Op: opRemove, Path: []byte(name)}, nil)
	return err
}

func (r *Remote) MkdirAll(name string) error {
	_, err := r.one(request{Op: opMkdir, Path: []byte(name)}, nil)
	return err
}

func (r *Remote) OpenFile(name string, flag int, perm fs.FileMode) (*os.File, error) {
	return r.file(request{Op: opOpen, Path: []byte(name), Flag: flag, Perm: perm}, name)
}

func (r *Remote) Listen(spec ListenSpec) (*os.File, error) {
	return r.file(request{Op: opListen, Spec: &wireSpec{ListenSpec: spec, Path: []byte(spec.Path)}}, spec.String())
}

func (r *Remote) file(req request, name string) (*os.File, error) {
	a, err := r.one(req, nil)
	if err != nil {
		return nil, err
	}
	if len(a.files) != 1 {
		closeAll(a.files)
		return nil, &fs.PathError{Op: req.Op, Path: name, Err: syscall.EBADMSG}
	}
	return a.files[0], nil
}

func (r *Remote) LookupIP(ctx context.Context, name string) ([]netip.Addr, error) {
	a, err := r.call(ctx.Done(), request{Op: opLookup, Path: []byte(name)}, nil)
	if ctx.Err() != nil {
		return nil, ctx.Err()
	}
	return a.reply.Addrs, err
}

// wireError carries an error so that errors.Is holds on the other side as it did on this one.
type wireError struct {
	Op, Text string        `json:",omitempty"`
	Path     []byte        `json:",omitempty"`
	Errno    syscall.Errno `json:",omitempty"`
	Kind     string        `json:",omitempty"` // "large", "killed", "denied", "nohost", "dns", or ""
}

func wire(err error) *wireError {
	if err == nil {
		return nil
	}
	w := &wireError{Text: err.Error()}
	var path *fs.PathError
	if errors.As(err, &path) {
		w.Op, w.Path, w.Text = path.Op, []byte(path.Path), path.Err.Error()
	}
	var dns *net.DNSError
	switch {
	case errors.Is(err, ErrTooLarge):
		w.Kind = "large"
	case errors.Is(err, ErrKilled):
		w.Kind = "killed"
	case errors.Is(err, ErrDenied):
		w.Kind = "denied"
	case errors.As(err, &dns):
		w.Path, w.Text, w.Kind = []byte(dns.Name), dns.Err, "dns"
		if dns.IsNotFound {
			w.Kind = "nohost"
		}
	default:
		errors.As(err, &w.Errno)
	}
	return w
}

// saidError is another process's error text with the cause it had there.
type saidError struct {
	text  string
	cause error
}

func (e saidError) Error() string { return e.text }
func (e saidError) Unwrap() error { return e.cause }

func (w *wireError) restore() error {
	var cause error
	switch w.Kind {
	case "large":
		cause = ErrTooLarge
	case "killed":
		cause = ErrKilled
	case "denied":
		cause = ErrDenied
	case "dns", "nohost":
		return &net.DNSError{Err: w.Text, Name: string(w.Path), IsNotFound: w.Kind == "nohost"}
	default:
		if w.Errno != 0 {
			cause = w.Errno
		}
	}
	if w.Op != "" {
		if cause == nil {
			cause = errors.New(w.Text)
		}
		return &fs.PathError{Op: w.Op, Path: string(w.Path), Err: cause}
	}
	return saidError{w.Text, cause}
}
