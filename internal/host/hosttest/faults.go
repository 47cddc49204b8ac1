// Package hosttest holds hosts for tests: one that fails or dies at a chosen step of what it writes, and one in memory that
// knows what would survive a loss of power. Tests of the rooms above host use them; the program does not.
package hosttest

import (
	"fmt"
	"sync"

	"gatehouse/internal/host"
)

// Faults decides what happens at each step that changes the disk. Hand its Step to host.Direct{Fault: f.Step} or to Memory. The
// zero value lets everything pass and counts.
//
//	for n := 1; ; n++ {
//		f := &hosttest.Faults{}
//		f.KillAt(n)
//		work(host.Direct{Fault: f.Step})
//		if !f.Fired() {
//			break // n is past the last step: every one was tried
//		}
//		check what is on disk
//	}
type Faults struct {
	mu    sync.Mutex
	at    int
	err   error
	steps []string
	fired bool
	dead  bool
}

// FailAt makes the nth step from now on (from 1) fail with err, which is a syscall.Errno in life; later ones pass again.
func (f *Faults) FailAt(n int, err error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.at, f.err, f.steps, f.fired, f.dead = n, err, nil, false, false
}

// KillAt plays a process that dies right before the nth step from now on: this one and all later ones do nothing and return
// host.ErrKilled, and what was begun is not cleaned up.
func (f *Faults) KillAt(n int) { f.FailAt(n, host.ErrKilled) }

// Fired tells whether the chosen step was reached.
func (f *Faults) Fired() bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.fired
}

// Steps lists the steps that were asked for since FailAt or KillAt, as "create /path".
func (f *Faults) Steps() []string {
	f.mu.Lock()
	defer f.mu.Unlock()
	return append([]string(nil), f.steps...)
}

// Step is what a host asks before each step.
func (f *Faults) Step(step host.Step, name string) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.dead {
		return host.ErrKilled
	}
	f.steps = append(f.steps, fmt.Sprintf("%s %s", step, name))
	if len(f.steps) != f.at {
		return nil
	}
	f.fired = true
	f.dead = f.err == host.ErrKilled
	return f.err
}
