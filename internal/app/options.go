package app

import (
	"errors"
	"strconv"
	"strings"
	"syscall"
)

// Options is HAProxy's command line (surface 0.1; management guide section 3).
type Options struct {
	Flags
	Files         []string // -f and what follows --, as written: files and directories
	Daemon        bool     // -D
	Foreground    bool     // -db
	MasterWorker  bool     // -W, -Ws
	Systemd       bool     // -Ws
	PidFile       string   // -p
	Chdir         string   // -C
	OldPids       []int    // -sf, -st
	OldSignal     syscall.Signal
	OldSocket     string   // -x
	MasterSockets []string // -S
	Condition     *string  // -cc
	Show          string   // "v", "vv", "vq", "vqs", "vqb": print and exit 0
	Keywords      *string  // -dK with its classes: list the keywords once the configuration is loaded
	Warnings      []string
}

// errUsage asks for the usage text; a reason, when there is one, is printed before it.
var errUsage = errors.New("usage")

type usageError struct{ reason string }

func (e usageError) Error() string        { return e.reason }
func (e usageError) Is(target error) bool { return target == errUsage }

// ParseArgs reads the arguments that follow the program's name. As in HAProxy, a letter decides and what follows it in the
// same word is mostly ignored, so that "-cV" is "-c"; options that only tune HAProxy's memory or pollers are accepted and mean
// nothing. An error is errUsage, or a text to print as an ALERT.
func ParseArgs(args []string) (Options, error) {
	var o Options
	a := arguments{rest: args}
	for !a.done() {
		word := a.next()
		if !strings.HasPrefix(word, "-") || word == "-" {
			return o, errUsage
		}
		if word == "--" {
			o.Files = append(o.Files, a.rest...)
			return o, nil
		}
		if err := o.option(word[1:], &a); err != nil {
			return o, err
		}
		if o.Show != "" { // HAProxy prints and leaves at once: what follows is not read
			return o, nil
		}
	}
	return o, nil
}

type arguments struct{ rest []string }

func (a *arguments) done() bool { return len(a.rest) == 0 }

func (a *arguments) next() string {
	word := a.rest[0]
	a.rest = a.rest[1:]
	return word
}

func (o *Options) option(word string, a *arguments) error {
	switch word[0] {
	case 'v':
		o.Show = showOf(word)
	case 'd':
		return o.debugOption(word[1:], a)
	case 'V':
		o.Verbose = true
	case '4': // tells HAProxy's own resolvers, which do not exist here
	case 'c':
		if strings.HasPrefix(word, "cc") {
			if a.done() {
				return errUsage
			}
			condition := a.next()
			o.Condition = &condition
			return nil
		}
		o.Check = true
	case 'D':
		o.Daemon = true
	case 'W':
		o.MasterWorker = true
		if strings.HasPrefix(word, "Ws") {
			o.Systemd, o.Foreground = true, true
		}
	case 'q':
		o.Quiet = true
	case 'x':
		if a.done() {
			return usageError{"Unix socket path expected with the -x flag\n"}
		}
		if o.OldSocket != "" {
			o.Warnings = append(o.Warnings, "-x option already set, overwriting the value")
		}
		o.OldSocket = a.next()
	case 'S':
		if a.done() {
			return usageError{"Socket and optional bind parameters expected with the -S flag"}
		}
		o.MasterSockets = append(o.MasterSockets, a.next())
	case 's':
		return o.oldPids(word, a)
	default:
		return o.valued(word[0], a)
	}
	return nil
}

func showOf(word string) string {
	switch {
	case word == "vq", word == "vqs", word == "vqb":
		return word
	case strings.HasPrefix(word, "vv"):
		return "vv"
	}
	return "v"
}

// debugOption reads what follows -d. Letters without a meaning here choose pollers, splicing, memory poisoning and other
// things that this program does not have.
func (o *Options) debugOption(word string, a *arguments) error {
	if word == "" {
		o.Debug = true
		return nil
	}
	switch word[0] {
	case 'b':
		o.Foreground = true
	case 'D':
		o.Diag = true
	case 'W':
		o.ZeroWarning = true
	case 'r':
		o.IgnoreUnresolved = true
	case 'V':
		o.ServerVerifyNone = true
	case 'R':
		o.NoReusePort = true
	case 'K':
		classes := word[1:]
		o.Keywords = &classes
	case 't':
		if word == "t" && !a.done() && !strings.HasPrefix(a.rest[0], "-") {
			a.next()
		}
	case 'C':
		return errors.New("-dC is not supported: the configuration is not printed back")
	case 'S', 'e', 'p', 'k', 'v', 'G', 'c', 'F', 'I', 'Z', 'M', 'L', 'A', 'T':
	default:
		o.Debug = true
	}
	return nil
}

func (o *Options) oldPids(word string, a *arguments) error {
	switch {
	case strings.HasPrefix(word, "sf"):
		o.OldSignal = syscall.SIGUSR1
	case strings.HasPrefix(word, "st"):
		o.OldSignal = syscall.SIGTERM
	default:
		return o.valued('s', a)
	}
	for !a.done() && !strings.HasPrefix(a.rest[0], "-") {
		text := strings.TrimSpace(a.next())
		pid, err := strconv.Atoi(text)
		if err != nil {
			return errors.New("-" + word[:2] + " option: some bytes unconsumed in PID list {" + text + "}")
		}
		if pid <= 0 {
			return errUsage
		}
		o.OldPids = append(o.OldPids, pid)
	}
	return nil
}

// valued reads the options that take the next word whatever it looks like.
func (o *Options) valued(letter byte, a *arguments) error {
	if a.done() {
		return errUsage
	}
	value := a.next()
	switch letter {
	case 'C':
		o.Chdir = value
	case 'n':
		o.MaxConn = leadingInt(value)
	case 'm': // megabytes of HAProxy's pools
	case 'N':
		o.ProxyMaxConn = leadingInt(value)
	case 'L':
		o.LocalPeer = value
	case 'f':
		o.Files = append(o.Files, value)
	case 'p':
		o.PidFile = value
	default:
		return errUsage
	}
	return nil
}

// leadingInt reads a number as atol(3) does: what is not a number counts as not given.
func leadingInt(s string) int {
	end := 0
	for end < len(s) && end < 9 && s[end] >= '0' && s[end] <= '9' {
		end++
	}
	n, _ := strconv.Atoi(s[:end])
	return n
}
