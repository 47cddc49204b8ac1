package app

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"path/filepath"
	"slices"
	"strings"
	"syscall"

	"gatehouse/internal/config"
	"gatehouse/internal/host"
)

// process is one run of the program until it knows what it is: a check, a process alone, a daemon's launcher, a master or a
// worker.
type process struct {
	o         Options
	role      role
	inherited []int // descriptors that came from our parent
	print     *Printer
	stdout    io.Writer
	newEngine NewEngine
	sources   []config.Source
}

// Main runs the program as HAProxy's options say and returns its exit code. args are os.Args. It does not return when the
// process is to die of the signal that stopped it.
func Main(ctx context.Context, args []string, newEngine NewEngine) int {
	p := &process{print: NewPrinter(os.Stderr), stdout: os.Stdout, newEngine: newEngine}
	var err error
	if p.role, err = takeRole(); err != nil {
		p.print.Alert("%v", err)
		return 1
	}
	p.inherited = inheritedFDs()
	program := filepath.Base(args[0])
	if p.role.kind != "" {
		// Started as /proc/self/exe, this process would be called "exe" by ps and pgrep. Only for show: it works without.
		_ = os.WriteFile("/proc/self/comm", []byte(program), 0)
	}
	signal.Ignore(syscall.SIGPIPE)
	p.o, err = ParseArgs(args[1:])
	if p.o.Show != "" {
		printVersion(p.stdout, p.o.Show)
		return 0
	}
	if err == nil && p.o.Condition == nil && len(p.o.Files) == 0 {
		err = errUsage
	}
	if err != nil {
		return p.misused(program, err)
	}
	p.print.Quiet = p.o.Quiet
	for _, text := range p.o.Warnings {
		p.print.Warning("%s", text)
	}
	if p.o.Condition != nil {
		return p.condition()
	}
	return p.run(ctx, program)
}

func (p *process) misused(program string, err error) int {
	var usage usageError
	if errors.As(err, &usage) {
		p.print.Alert("%s", usage.reason)
	}
	if !errors.Is(err, errUsage) {
		p.print.Alert("%v", err)
		return 1
	}
	printVersion(p.stdout, "v")
	printUsage(os.Stderr, program)
	return 1
}

// condition evaluates -cc: 0 true, 1 false, 2 error.
func (p *process) condition() int {
	ok, err := config.EvalCondition(*p.o.Condition, parseOptions(p.o, environment(p.o, nil, false)))
	switch {
	case err != nil:
		p.print.Alert("%v", err)
		return 2
	case ok:
		return 0
	}
	return 1
}

func (p *process) run(ctx context.Context, program string) int {
	// A worker starts where its master already is.
	if p.o.Chdir != "" && p.role.kind == "" {
		if err := os.Chdir(p.o.Chdir); err != nil {
			p.print.Alert("Could not change to directory %s : %s", p.o.Chdir, host.Strerror(err))
			return 1
		}
	}
	if p.role.kind == "worker" {
		limits()
		return p.worker(ctx)
	}
	var err error
	p.sources, err = readSources(host.Direct{}, p.o.Files)
	if err != nil {
		p.print.Alert("%v", err)
		return 1
	}
	if len(p.sources) == 0 {
		return p.misused(program, errUsage)
	}
	limits()
	if p.o.Check || p.o.Keywords != nil {
		return p.check(ctx)
	}
	// This reading only tells which process to be; the one that serves reads again and says what is wrong.
	cfg, _ := config.Parse(p.sources, parseOptions(p.o, environment(p.o, p.sources, p.o.MasterWorker)))
	if p.o.PidFile == "" {
		p.o.PidFile = cfg.Global.PidFile
	}
	p.o.MasterWorker = p.o.MasterWorker || cfg.Global.MasterWorker
	p.o.Daemon = (p.o.Daemon || cfg.Global.Daemon) && !p.o.Foreground && !p.o.Debug
	if p.o.Daemon && p.role.kind != "daemon" {
		return p.detach()
	}
	if p.o.MasterWorker {
		return p.master(ctx, cfg)
	}
	return p.alone(ctx)
}

// check is -c: everything that a start would find wrong, and nothing else.
func (p *process) check(ctx context.Context) int {
	engine, err := p.engine(host.Direct{}, nil, false)
	if err != nil {
		p.print.Alert("%v", err)
		return 1
	}
	_, diags, ok := p.load(ctx, engine, host.Direct{}, p.sources)
	if !ok {
		return 1
	}
	if p.o.Keywords != nil {
		printKeywords(p.stdout, *p.o.Keywords)
	}
	if p.o.Verbose && !p.o.Quiet && p.o.Check {
		if diags.HasWarnings() {
			fmt.Fprintln(p.stdout, "Warnings were found.")
		}
		fmt.Fprintln(p.stdout, "Configuration file is valid")
	}
	return 0
}

// engine builds an engine for this process.
func (p *process) engine(h host.Host, reload func(context.Context) (bool, string), master bool) (Engine, error) {
	env := environment(p.o, p.sources, master)
	return p.newEngine(WorkerOptions{
		Host:        h,
		Flags:       p.o.Flags,
		Env:         env,
		Parse:       parseOptions(p.o, env),
		StateDir:    func(cfg *config.Config) string { return StateDir(cfg, env) },
		Notify:      p.print.Print,
		StartupLogs: p.print.Attempt,
		Reload:      reload,
		Master:      master,
	})
}

// load lets the engine plan a generation, prints what it found and tells whether it may be applied.
func (p *process) load(ctx context.Context, engine Engine, h host.Host, sources []config.Source) (*config.Config, config.Diags, bool) {
	cfg, diags := engine.Load(ctx, sources)
	if _, err := identityOf(h, &cfg.Global); err != nil && !diags.HasErrors() {
		diags.Add(config.LevelAlert, err.Error())
		diags.Add(config.LevelAlert, "config : Fatal errors found in configuration.")
	}
	p.print.Diags(diags)
	if diags.HasErrors() {
		return cfg, diags, false
	}
	if diags.HasWarnings() && (p.o.ZeroWarning || cfg.Global.ZeroWarning) {
		p.print.Alert("Some warnings were found and 'zero-warning' is set. Aborting.")
		return cfg, diags, false
	}
	return cfg, diags, true
}

// printKeywords is -dK: the configuration keywords this program knows, by section.
func printKeywords(w io.Writer, classes string) {
	words := strings.Split(classes, ",")
	if classes == "" || slices.Contains(words, "help") {
		fmt.Fprint(w, "# List of supported keyword classes:\nall: list all keywords\ncfg: configuration keywords\n")
	}
	if !slices.Contains(words, "cfg") && !slices.Contains(words, "all") {
		return
	}
	fmt.Fprintln(w, "# List of registered configuration keywords:")
	for _, k := range config.Keywords() {
		fmt.Fprintf(w, "%v\n", k)
	}
}
