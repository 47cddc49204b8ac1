// Scale measures what one node with very many certificates costs: the start, memory, commits, dumps, and handshakes while certificates change.
// Figures are of Gatehouse alone; where a disk or a processor decides, the same run measures that too and the ratio is told.
//
//	go run ./bench/scale                           100,000 certificates, everything
//	go run ./bench/scale -n 1000000 -only start    a million, the start alone
//
// Certificates are ECDSA P-256 with two names and a shared intermediate, or with -key rsa RSA-2048. They are kept in -dir and used again.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
)

// figure is one measurement; it prints its own lines.
type figure struct {
	name, what string
	measure    func(context.Context, *world) error
}

var figures = []figure{
	{"start", "time until every name is served, without and with an index", measureStart},
	{"memory", "memory per certificate, unused and used", measureMemory},
	{"commit", "set and commit per second: in memory, durable one by one, durable in one transaction", measureCommits},
	{"show", "dumps of everything over the socket", measureShow},
	{"swap", "handshakes while certificates change", measureSwap},
	{"soak", "memory after 100,000 commits on 10,000 names", measureSoak},
}

func main() {
	n := flag.Int("n", 100_000, "certificates")
	key := flag.String("key", "ecdsa", "ecdsa or rsa")
	dir := flag.String("dir", "", "where certificates are kept between runs (default: a folder that goes away)")
	only := flag.String("only", "", "comma list of figures: "+names())
	program := flag.String("gatehouse", "bin/gatehouse", "the program to measure; `make build` makes it")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := run(ctx, *program, *dir, *key, *only, *n); err != nil {
		fmt.Fprintln(os.Stderr, "scale:", err)
		os.Exit(1)
	}
}

func names() string {
	var list []string
	for _, f := range figures {
		list = append(list, f.name)
	}
	return strings.Join(list, ",")
}

func run(ctx context.Context, program, dir, key, only string, n int) error {
	path, err := exec.LookPath(program)
	if err != nil {
		return fmt.Errorf("%w: run `make build` first", err)
	}
	if path, err = filepath.Abs(path); err != nil {
		return err
	}
	if dir == "" {
		if dir, err = os.MkdirTemp("", "gatehouse-scale-"); err != nil {
			return err
		}
		defer os.RemoveAll(dir)
	}
	w, err := newWorld(path, dir, key, n)
	if err != nil {
		return err
	}
	var errs []error
	for _, f := range figures {
		if only != "" && !slices.Contains(strings.Split(only, ","), f.name) {
			continue
		}
		fmt.Printf("\n%s: %s\n", f.name, f.what)
		if err := f.measure(ctx, w); err != nil {
			errs = append(errs, fmt.Errorf("%s: %w", f.name, err))
		}
	}
	return errors.Join(errs...)
}
