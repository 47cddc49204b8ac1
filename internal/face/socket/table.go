package socket

import (
	"context"
	"fmt"
	"slices"
	"strings"
)

// Level is what a connection may do, and what a command demands.
type Level uint8

// The levels, lowest first. The zero Level is none: a command that has it is refused by NewTable.
const (
	User Level = iota + 1
	Operator
	Admin
)

func (l Level) String() string {
	switch l {
	case User:
		return "user"
	case Operator:
		return "operator"
	case Admin:
		return "admin"
	}
	return "unknown"
}

// ParseLevel reads the word of a bind line; "" is operator, the default.
func ParseLevel(word string) (Level, bool) {
	switch word {
	case "user":
		return User, true
	case "", "operator":
		return Operator, true
	case "admin":
		return Admin, true
	}
	return 0, false
}

// Mode says where and when a command exists.
type Mode uint8

// The modes of a command. None means: in a worker, always.
const (
	InMaster     Mode = 1 << iota // in a master too
	MasterOnly                    // in a master only
	Expert                        // after expert-mode on
	Experimental                  // after experimental-mode on
	Hidden                        // not listed by help
)

// Command is one entry of the table.
type Command struct {
	Words []string // at most 5; an entry matches the command lines that begin with them
	Level Level    // least level, checked before Run
	Modes Mode
	Usage string // the left part of its help line: the words and what they take
	Help  string // the right part

	// LevelOf, when set, raises Level by what follows the words.
	LevelOf func(args Args) Level
	// Quiet is the index of the word that, when it is "-", leaves out the empty line after the answer; 0 is none.
	Quiet int
	// Run answers through r. It returns when the answer is written; ctx ends when the server stops.
	Run func(ctx context.Context, r *Request)
}

func (c *Command) usageLine() string { return fmt.Sprintf("%-40s: %s", c.Usage, c.Help) }

// Args are the words of a command line.
type Args []string

// At returns word i, "" behind the end.
func (a Args) At(i int) string {
	if i < len(a) {
		return a[i]
	}
	return ""
}

// Table is every command of one kind of socket. It is immutable and shared by all sessions.
type Table struct {
	commands []Command
	master   bool
}

// NewTable checks the entries: each has words, a level, help and something to run, and no two have the same words. An entry
// without a level would be open to everyone, so there is no table with one.
func NewTable(master bool, lists ...[]Command) (*Table, error) {
	t := &Table{commands: slices.Concat(lists...), master: master}
	seen := map[string]bool{}
	for i := range t.commands {
		c := &t.commands[i]
		name := strings.Join(c.Words, " ")
		switch {
		case len(c.Words) == 0 || len(c.Words) > maxWords || slices.Contains(c.Words, ""):
			return nil, fmt.Errorf("command %q: it has %d words, 1 to %d are possible", name, len(c.Words), maxWords)
		case c.Level < User || c.Level > Admin:
			return nil, fmt.Errorf("command %q has no level", name)
		case c.Run == nil:
			return nil, fmt.Errorf("command %q does nothing", name)
		case c.Modes&Hidden == 0 && (c.Usage == "" || c.Help == ""):
			return nil, fmt.Errorf("command %q has no help", name)
		case seen[name]:
			return nil, fmt.Errorf("command %q is there twice", name)
		}
		seen[name] = true
	}
	return t, nil
}

// maxWords bounds the words of an entry, and how many words the search for near matches looks at.
const maxWords = 5

// Commands returns the entries, for documents and tests.
func (t *Table) Commands() []Command { return t.commands }

// visible says whether a session may know of c.
func (t *Table) visible(c *Command, s *session) bool {
	switch {
	case c.Modes&Expert != 0 && !s.expert, c.Modes&Experimental != 0 && !s.experimental:
		return false
	}
	return t.exists(c, s)
}

// exists says whether c is a command here at all, in whatever mode.
func (t *Table) exists(c *Command, s *session) bool {
	if t.master {
		return c.Modes&(InMaster|MasterOnly) != 0 || s.mcliDebug
	}
	return c.Modes&MasterOnly == 0
}

// find returns the entry with the most words that args begins with, nil when there is none.
func (t *Table) find(args Args, s *session) *Command {
	var best *Command
	for i := range t.commands {
		c := &t.commands[i]
		if len(c.Words) <= len(args) && slices.Equal(c.Words, args[:len(c.Words)]) && t.exists(c, s) &&
			(best == nil || len(c.Words) > len(best.Words)) {
			best = c
		}
	}
	return best
}

// run runs one command line: find the entry, check modes and level, call it. This is the only place that calls Run.
func (t *Table) run(ctx context.Context, r *Request) {
	c := t.find(r.Args, r.session)
	if c == nil {
		r.Msg(t.usage(r.Args, r.session))
		return
	}
	if c.Quiet > 0 && r.Args.At(c.Quiet) == "-" {
		r.session.noLF = true
	}
	switch {
	case c.Modes&Expert != 0 && !r.session.expert:
		r.Err("This command is restricted to expert mode only.")
	case c.Modes&Experimental != 0 && !r.session.experimental:
		r.Err("This command is restricted to experimental mode only.")
	case !r.session.may(c, r.Args):
		r.Err(r.session.refusal(c, r.Args))
	default:
		c.Run(ctx, r)
	}
}

func (c *Command) level(args Args) Level {
	if c.LevelOf != nil {
		return max(c.Level, c.LevelOf(args))
	}
	return c.Level
}
