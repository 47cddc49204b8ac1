package app

import (
	"context"
	"net"

	"gatehouse/internal/config"
	"gatehouse/internal/host"
)

// Engine is the serving half of a process as the process half sees it. The process half owns the command line, signals, the
// master, privileges and what is printed; the engine owns everything the configuration describes. Start-up and reload are the
// same two calls: Load, then Apply. Load, Apply and the command-line methods are never called concurrently with each other;
// SoftStop, CutOld, Pause, Resume, DumpState and ServeCLI may be called by any goroutine after the first Apply.
type Engine interface {
	// Load plans the next generation: it parses the sources, reads every file they name and reports every fault, which is all
	// that -c covers. It opens nothing and changes nothing. The plan waits for Apply; another Load replaces it. The
	// configuration is never nil.
	Load(ctx context.Context, sources []config.Source) (*config.Config, config.Diags)
	// Apply makes the loaded plan current. It fails whole: when the diags hold errors, the generation before keeps serving as
	// if nothing had been asked. The first Apply opens the listening sockets but accepts nothing until Run, because the
	// process gives up its rights in between.
	Apply(ctx context.Context) config.Diags
	// Run serves until ctx is done, which stops at once, or until a soft stop is complete. It returns when every goroutine it
	// started has returned.
	Run(ctx context.Context) error
	// SoftStop closes the listeners and lets connections finish; Run returns after the last one. hard-stop-after is kept by the
	// process half, which cancels Run's ctx.
	SoftStop()
	// CutOld ends the connections that still belong to earlier generations (hard-reload).
	CutOld()
	// Pause stops accepting and unbinds nothing the next process needs; Resume undoes it (SIGTTOU, SIGTTIN).
	Pause()
	Resume()
	// DumpState logs the state of every server and proxy (SIGHUP to a process that is not a master).
	DumpState()
	// ServeCLI serves the Runtime API on nc at level admin until the peer closes or ctx is done, and closes nc. The master
	// socket's @1 ends here.
	ServeCLI(ctx context.Context, nc net.Conn)
}

// WorkerOptions is what the process half gives the engine. It does not change during the life of the process.
type WorkerOptions struct {
	Host  host.Host
	Flags Flags
	// Env is the environment that configurations may read (surface 0.4), including HAPROXY_CFGFILES, HAPROXY_MWORKER and
	// HAPROXY_LOCALPEER; HAPROXY_CLI depends on the configuration and is the engine's.
	Env map[string]string
	// Parse is how every source of this process is parsed: version, features and TLS library as -vv tells them.
	Parse config.ParseOptions
	// StateDir names the state directory of a configuration; the master allows writes below the same one.
	StateDir func(*config.Config) string
	// Notify prints one diagnostic line ("NOTICE", "WARNING", "ALERT") on stderr in HAProxy's shape, at any time.
	Notify func(level, text string)
	// StartupLogs returns the diagnostics of the last attempt to load a configuration (show startup-logs).
	StartupLogs func() string
	// Reload asks for the next generation, as SIGUSR2 does, and tells the outcome when it is known.
	Reload func(ctx context.Context) (ok bool, logs string)
	// Master is true when a master keeps the rights of this process (-W, -Ws, master-worker).
	Master bool
}

// NewEngine builds an engine that has no generation yet.
type NewEngine func(WorkerOptions) (Engine, error)

// Flags is the part of the command line that the engine must know.
type Flags struct {
	Check            bool   // -c
	Debug            bool   // -d
	Quiet            bool   // -q
	Verbose          bool   // -V
	Diag             bool   // -dD
	ZeroWarning      bool   // -dW
	MaxConn          int    // -n, 0: not given
	ProxyMaxConn     int    // -N, 0: not given
	LocalPeer        string // -L, "": the host name
	IgnoreUnresolved bool   // -dr
	ServerVerifyNone bool   // -dV
	NoReusePort      bool   // -dR
}
