package host

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os/exec"
	"time"
)

// Asker is a Host that runs the program which knows the passphrases of encrypted keys (ssl-passphrase-cmd).
type Asker interface {
	// AskPassphrase runs command with the file's name as its first argument, before its own, and returns what it prints: at most maxPassphrase bytes,
	// within askTimeout. A worker's command is the one that the master read in the configuration, whatever it says itself.
	AskPassphrase(ctx context.Context, command []string, file string) ([]byte, error)
}

const (
	askTimeout    = time.Minute // somebody may have to type it
	maxPassphrase = 1024
)

var (
	_ Asker = Direct{}
	_ Asker = (*Guard)(nil)
	_ Asker = (*Remote)(nil)
)

// AskPassphrase runs the program without an environment of ours to lean on but the one we were started with, and with nothing to read.
func (Direct) AskPassphrase(ctx context.Context, command []string, file string) ([]byte, error) {
	if len(command) == 0 {
		return nil, errors.New("no ssl-passphrase-cmd")
	}
	ctx, cancel := context.WithTimeout(ctx, askTimeout)
	defer cancel()
	cmd := exec.CommandContext(ctx, command[0], append([]string{file}, command[1:]...)...)
	cmd.WaitDelay = time.Second // a child that keeps the pipe open must not keep us
	var out bytes.Buffer
	cmd.Stdout = &capped{&out, maxPassphrase}
	if err := cmd.Run(); err != nil {
		return nil, fmt.Errorf("%s: %w", command[0], err)
	}
	return out.Bytes(), nil
}

// capped refuses to take more than room bytes.
type capped struct {
	w    io.Writer
	room int
}

func (c *capped) Write(p []byte) (int, error) {
	if len(p) > c.room {
		return 0, ErrTooLarge
	}
	c.room -= len(p)
	return c.w.Write(p)
}

// AskPassphrase runs the policy's command, no other.
func (g *Guard) AskPassphrase(ctx context.Context, _ []string, file string) ([]byte, error) {
	p := g.policy.Load()
	a, ok := g.Host.(Asker)
	if p == nil || len(p.Passphrase) == 0 || !ok {
		return nil, denied(opAsk, file)
	}
	return a.AskPassphrase(ctx, p.Passphrase, file)
}

// AskPassphrase asks the master.
func (r *Remote) AskPassphrase(ctx context.Context, _ []string, file string) ([]byte, error) {
	a, err := r.call(ctx.Done(), request{Op: opAsk, Path: []byte(file)}, nil)
	return a.payload, err
}

// ask performs a worker's question.
func ask(ctx context.Context, h Host, file string) ([]byte, error) {
	a, ok := h.(Asker)
	if !ok {
		return nil, denied(opAsk, file)
	}
	return a.AskPassphrase(ctx, nil, file)
}
