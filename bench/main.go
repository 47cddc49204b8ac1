// Bench measures Gatehouse beside Debian's haproxy on the same configuration file, in one run, and writes the ratios to a
// page. Figures are CPU time of the edge process (user and system, from /proc/PID/stat) per unit of work, resident memory
// per idle connection and per certificate, start-up CPU, and certificate commits per second over the Runtime API. Rounds
// of both programs alternate and the medians are compared, because the machine is noisy and the ratios are not.
//
//	go run ./bench                      everything, ratios on stdout
//	go run ./bench -only request,commit some figures
//	go run ./bench -out docs/benchmarks.md
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
	"runtime"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// figure is one line of the table.
type figure struct {
	name string // for -only
	what string
	aim  string
	// better says which way is good: -1 when a smaller ratio is better, 1 when a larger is.
	better  int
	limit   float64
	measure func(context.Context, *bench, program) (float64, error)
	unit    string
	rounds  int
}

var figures = []figure{
	{name: "request", what: "CPU per keep-alive request, TLS 1.3, 1 KiB answer", aim: "<= 0.80", better: -1, limit: 0.80, measure: cpuPerRequest, unit: "µs", rounds: 5},
	{name: "rules", what: "CPU per keep-alive request in clear: ten rules, five ACLs (one of 10,000 paths), a custom log line", aim: "<= 1.00", better: -1, limit: 1, measure: cpuPerRuledRequest, unit: "µs", rounds: 5},
	{name: "ecdsa", what: "CPU per full handshake, X25519, ECDSA P-256", aim: "<= 0.75", better: -1, limit: 0.75, measure: handshake("ecdsa"), unit: "µs", rounds: 5},
	{name: "rsa", what: "CPU per full handshake, X25519, RSA-2048", aim: "known slower", better: -1, limit: 2.5, measure: handshake("rsa"), unit: "µs", rounds: 3},
	{name: "idle", what: "memory per idle TLS connection", aim: "ours <= 16 KiB", better: -1, measure: memoryPerConnection, unit: "KiB", rounds: 1},
	{name: "cert", what: "memory per certificate, 10,000 loaded", aim: "<= 0.10", better: -1, limit: 0.10, measure: memoryPerCertificate, unit: "KiB", rounds: 1},
	{name: "start", what: "CPU to start with 10,000 certificates", aim: "", better: -1, measure: startCPU, unit: "ms", rounds: 1},
	{name: "commit", what: "set+commit per second in memory, 10,000 loaded", aim: ">= 8", better: 1, limit: 8, measure: commitsPerSecond(false), unit: "/s", rounds: 3},
	{name: "durable", what: "set+commit per second, ours durable on disk, 10,000 loaded", aim: "", better: 1, measure: commitsPerSecond(true), unit: "/s", rounds: 3},
}

// result is what one figure came to: medians of both programs.
type result struct {
	figure
	ours, theirs float64
}

func main() {
	only := flag.String("only", "", "comma list of figures: request,rules,ecdsa,rsa,idle,cert,start,commit,durable")
	out := flag.String("out", "", "write the page there as well as to stdout")
	gatehouse := flag.String("gatehouse", "bin/gatehouse", "our binary")
	haproxy := flag.String("haproxy", "haproxy", "the haproxy to compare with")
	idle := flag.Duration("idle", 3*time.Minute, "how long idle connections rest before memory is read")
	flag.Parse()
	if err := pinToLastCore(); err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(1)
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	if err := run(ctx, *gatehouse, *haproxy, *only, *out, *idle); err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(1)
	}
}

// pinToLastCore starts this program again on the last core, so that clients and servers are never where the edge is: without it they
// wandered to core 0 and pushed the edge aside, ours and theirs unequally.
func pinToLastCore() error {
	const mark = "GATEHOUSE_BENCH_PINNED"
	if os.Getenv(mark) != "" || runtime.NumCPU() < 2 {
		return nil
	}
	self, err := os.Executable()
	if err != nil {
		return err
	}
	taskset, err := exec.LookPath("taskset")
	if err != nil {
		return err
	}
	args := append([]string{"taskset", "-c", strconv.Itoa(runtime.NumCPU() - 1), self}, os.Args[1:]...)
	return syscall.Exec(taskset, args, append(os.Environ(), mark+"=1"))
}

func run(ctx context.Context, gatehouse, haproxy, only, out string, idle time.Duration) error {
	ours, err := exec.LookPath(gatehouse)
	if err != nil {
		return fmt.Errorf("%w: run `make build` first", err)
	}
	if ours, err = filepath.Abs(ours); err != nil {
		return err
	}
	theirs, err := exec.LookPath(haproxy)
	if err != nil {
		return fmt.Errorf("%w: on Debian, apt-get install haproxy", err)
	}
	b, err := newBench(idle)
	if err != nil {
		return err
	}
	defer b.close()
	var results []result
	for _, f := range figures {
		if only != "" && !slices.Contains(strings.Split(only, ","), f.name) {
			continue
		}
		r, err := b.compare(ctx, f, program{name: "gatehouse", path: ours, ours: true}, program{name: "haproxy", path: theirs})
		if err != nil {
			return fmt.Errorf("%s: %w", f.name, err)
		}
		fmt.Printf("%-62s %10.1f %10.1f %-4s ratio %.2f  aim %s\n", f.what, r.ours, r.theirs, f.unit, r.ours/r.theirs, f.aim)
		results = append(results, r)
	}
	if out == "" {
		return nil
	}
	return os.WriteFile(out, []byte(page(results, theirs, idle)), 0o644)
}

// compare runs both programs in turn and keeps the median of each.
func (b *bench) compare(ctx context.Context, f figure, ours, theirs program) (result, error) {
	var a, z []float64
	for range f.rounds {
		for _, p := range []program{ours, theirs} {
			v, err := f.measure(ctx, b, p)
			if err != nil {
				return result{}, errors.Join(fmt.Errorf("%s", p.name), err)
			}
			if p.ours {
				a = append(a, v)
			} else {
				z = append(z, v)
			}
		}
	}
	return result{figure: f, ours: median(a), theirs: median(z)}, nil
}

func median(v []float64) float64 {
	slices.Sort(v)
	return v[len(v)/2]
}

func page(results []result, haproxy string, idle time.Duration) string {
	version, _ := exec.Command(haproxy, "-v").Output()
	first, _, _ := strings.Cut(string(version), "\n")
	var b strings.Builder
	fmt.Fprintf(&b, "# Benchmarks\n\nWritten by `make bench`, which says how each figure is measured (`bench/`). Ours beside %s: the same configuration\nfile, one run, one core for the edge and one for clients and servers, rounds in turn, medians. Memory was read after %s of rest. Only the ratio carries from one machine to another.\n\n", strings.TrimSpace(first), idle)
	b.WriteString("| figure | ours / haproxy | aim | reached |\n|---|--:|---|---|\n")
	for _, r := range results {
		ratio := r.ours / r.theirs
		reached := ""
		switch {
		case r.limit == 0:
		case (r.better < 0) == (ratio <= r.limit):
			reached = "yes"
		default:
			reached = "no"
		}
		if r.name == "idle" {
			reached = "no"
			if r.ours <= 16 {
				reached = "yes"
			}
			fmt.Fprintf(&b, "| %s | %.2f (ours %.1f KiB) | %s | %s |\n", r.what, ratio, r.ours, r.aim, reached)
			continue
		}
		fmt.Fprintf(&b, "| %s | %.2f | %s | %s |\n", r.what, ratio, r.aim, reached)
	}
	notes, err := os.ReadFile("bench/notes.md")
	if err == nil {
		b.WriteString("\n" + string(notes))
	}
	return b.String()
}
