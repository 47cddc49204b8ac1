package app

import (
	"fmt"
	"io"
	"os"
	"strings"
	"sync"

	"gatehouse/internal/config"
)

// startupLogMax bounds what show startup-logs keeps, in bytes.
const startupLogMax = 256 << 10

// Printer writes diagnostic lines in HAProxy's shape (surface 0.3) and remembers those of the last attempt to load a
// configuration. Any goroutine may use it.
type Printer struct {
	Quiet bool // -q: nothing is written, the attempt is remembered all the same

	mu      sync.Mutex
	w       io.Writer
	headed  bool // the two lines with version and path were written, or must not come any more
	attempt strings.Builder
}

// NewPrinter writes to w.
func NewPrinter(w io.Writer) *Printer { return &Printer{w: w} }

// Print writes one message of a level "ALERT", "WARNING", "NOTICE" or "DIAG".
func (p *Printer) Print(level, text string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	// HAProxy says who it is before the first message that asks for attention.
	if !p.headed && level != config.LevelNotice {
		p.headed = true
		p.lineLocked(config.LevelNotice, "haproxy version is "+HAProxyVersion)
		p.lineLocked(config.LevelNotice, "path to executable is "+executable())
	}
	p.lineLocked(level, text)
}

func (p *Printer) lineLocked(level, text string) {
	p.rawLocked(fmt.Sprintf("%-11s(%d) : %s\n", "["+level+"]", os.Getpid(), strings.TrimSuffix(text, "\n")))
}

func (p *Printer) rawLocked(text string) {
	if p.attempt.Len()+len(text) <= startupLogMax {
		p.attempt.WriteString(text)
	}
	if !p.Quiet {
		_, _ = io.WriteString(p.w, text) // where could one complain that stderr is gone
	}
}

// Alert, Warning and Notice print a formatted message.
func (p *Printer) Alert(format string, args ...any) {
	p.Print(config.LevelAlert, fmt.Sprintf(format, args...))
}
func (p *Printer) Warning(format string, args ...any) {
	p.Print(config.LevelWarning, fmt.Sprintf(format, args...))
}
func (p *Printer) Notice(format string, args ...any) {
	p.Print(config.LevelNotice, fmt.Sprintf(format, args...))
}

// Diags prints what was found in a configuration, and after the last error of each file that this file has errors.
func (p *Printer) Diags(diags config.Diags) {
	last := map[string]int{}
	for i, d := range diags {
		if inFile(d) {
			last[d.Pos.File] = i
		}
	}
	for i, d := range diags {
		p.Print(d.Level, d.String())
		if n, ok := last[d.Pos.File]; ok && n == i && inFile(d) {
			p.Alert("config : Error(s) found in configuration file : %s", d.Pos.File)
		}
	}
	if len(last) > 0 {
		p.Alert("config : Fatal errors found in configuration.")
	}
}

func inFile(d config.Diag) bool {
	return d.Level == config.LevelAlert && d.Pos.File != "" && strings.HasPrefix(d.Text, "config : ")
}

// Append adds lines that another process of ours has already written, to what is remembered of the attempt.
func (p *Printer) Append(text string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.attempt.Len()+len(text) <= startupLogMax {
		p.attempt.WriteString(text)
	}
}

// NewAttempt forgets the attempt before.
func (p *Printer) NewAttempt() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.attempt.Reset()
}

// Attempt returns everything printed since NewAttempt.
func (p *Printer) Attempt() string {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.attempt.String()
}

// Started ends the phase in which the version lines may come: what a serving process says needs no introduction.
func (p *Printer) Started() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.headed = true
}

func executable() string {
	if path, err := os.Executable(); err == nil {
		return path
	}
	return os.Args[0]
}
