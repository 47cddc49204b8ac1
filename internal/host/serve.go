package host

import (
	"context"
	"errors"
	"io/fs"
	"net"
	"os"
	"sync"
	"syscall"
)

// serveMax bounds the requests that are worked on at the same time.
const serveMax = 64

// MaxFile is the largest file that travels between master and worker, in bytes.
const MaxFile = 64 << 20

// Serve answers the requests of a Remote by asking h, which should be a Guard, until the worker is gone or ctx is done. It
// takes over conn and returns when every request is answered.
func Serve(ctx context.Context, conn *net.UnixConn, h Host) error {
	link := NewLink(conn)
	defer link.Close()
	stop := context.AfterFunc(ctx, func() { link.Close() })
	defer stop()
	var working sync.WaitGroup
	defer working.Wait()
	places := make(chan struct{}, serveMax)
	for {
		var req request
		payload, files, err := link.Receive(&req)
		closeAll(files) // no request has any
		if err != nil {
			if errors.Is(err, errPeerGone) || ctx.Err() != nil {
				return nil
			}
			return err
		}
		places <- struct{}{}
		working.Go(func() {
			defer func() { <-places }()
			serveOne(ctx, link, h, req, payload)
		})
	}
}

func serveOne(ctx context.Context, link *Link, h Host, req request, payload []byte) {
	rep, out, file, err := perform(ctx, h, req, payload)
	rep.ID, rep.Err = req.ID, wire(err)
	var files []*os.File
	if file != nil {
		defer file.Close()
		files = append(files, file)
	}
	if len(out) > maxPayload {
		rep.Err, out = wire(&fs.PathError{Op: req.Op, Path: string(req.Path), Err: ErrTooLarge}), nil
	}
	// A failing send means that the worker is gone, which Receive learns too.
	_ = link.Send(rep, out, files...)
}

func perform(ctx context.Context, h Host, req request, payload []byte) (rep reply, out []byte, file *os.File, err error) {
	name := string(req.Path)
	switch req.Op {
	case opRead:
		out, err = h.ReadFile(name, min(req.Limit, MaxFile))
	case opStat, opLstat:
		var info Info
		if req.Op == opStat {
			info, err = h.Stat(name)
		} else {
			info, err = h.Lstat(name)
		}
		info.Name = ""
		rep.Info = &info
	case opReadDir:
		var names []string
		names, err = h.ReadDir(name)
		out = joinNames(names)
	case opReplace:
		err = h.ReplaceFile(name, payload, req.Perm.Perm())
	case opReplaceMany:
		err = replaceParts(h, req.Parts, payload)
	case opWatch:
		file, rep.Watches, err = h.Watch(splitNames(payload))
	case opRemove:
		err = h.Remove(name)
	case opMkdir:
		err = h.MkdirAll(name)
	case opOpen:
		file, err = h.OpenFile(name, req.Flag, req.Perm.Perm())
	case opListen:
		if req.Spec == nil {
			return rep, nil, nil, syscall.EBADMSG
		}
		spec := req.Spec.ListenSpec
		spec.Path = string(req.Spec.Path)
		file, err = h.Listen(spec)
	case opLookup:
		rep.Addrs, err = h.LookupIP(ctx, name)
	case opAsk:
		out, err = ask(ctx, h, name)
	default:
		err = syscall.ENOSYS
	}
	return rep, out, file, err
}

// replaceParts cuts a payload into the files of one ReplaceFiles.
func replaceParts(h Host, parts []part, payload []byte) error {
	files := make([]File, 0, len(parts))
	for _, p := range parts {
		if p.Size < 0 || p.Size > len(payload) {
			return syscall.EBADMSG
		}
		files = append(files, File{string(p.Path), payload[:p.Size], p.Perm.Perm()})
		payload = payload[p.Size:]
	}
	return h.ReplaceFiles(files)
}
