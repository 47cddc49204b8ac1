package socket

import (
	"cmp"
	"slices"
	"strings"
)

// maxMatches is how many near matches an unknown command is answered with.
const maxMatches = 5

// helpTail are the lines that every list of commands ends with.
const helpTail = "  help [<command>]                        : list matching or all commands\n" +
	"  prompt [help | n | i | p | timed ]*     : toggle interactive mode with prompt\n" +
	"  quit                                    : disconnect\n"

// usage answers help and unknown commands: the commands that begin with the known words of args, or the nearest ones.
func (t *Table) usage(args Args, s *session) string {
	var b strings.Builder
	help := args.At(0) == "help"
	if help {
		args = args[1:]
	}
	known := t.knownWords(args, s)
	switch {
	case help:
		b.WriteString("The following commands are valid at this level:\n")
	case known == 0 && args.At(0) == "":
		b.WriteString("Unknown command: '" + shown(args.At(0)) + "'. Please enter one of the following commands only:\n")
	default:
		b.WriteString("Unknown command: '" + shown(args.At(0)) + "', but maybe one of the following ones is a better match:\n")
	}
	var lines []string
	for _, c := range t.candidates(args, known, s) {
		lines = append(lines, c.usageLine())
	}
	slices.Sort(lines)
	for _, l := range lines {
		b.WriteString("  " + l + "\n")
	}
	b.WriteString(helpTail)
	return b.String()
}

// knownWords is the length of the longest beginning of args that some command begins with too.
func (t *Table) knownWords(args Args, s *session) int {
	longest := 0
	for i := range t.commands {
		if c := &t.commands[i]; t.visible(c, s) {
			longest = max(longest, common(c.Words, args))
		}
	}
	return longest
}

func common(words []string, args Args) int {
	n := 0
	for n < len(words) && n < len(args) && words[n] == args[n] {
		n++
	}
	return n
}

// candidates are the commands that begin with the first known words: the nearest to the rest of args if some are near, else all.
func (t *Table) candidates(args Args, known int, s *session) []*Command {
	var all []*Command
	for i := range t.commands {
		c := &t.commands[i]
		if t.visible(c, s) && c.Modes&Hidden == 0 && common(c.Words, args) >= known {
			all = append(all, c)
		}
	}
	if known >= len(args) {
		return all
	}
	if near := nearest(all, args, known); len(near) > 0 {
		return near
	}
	return all
}

// nearest ranks commands by how much the letters' transitions of their words differ from those of args, behind the known ones.
// The thresholds are HAProxy's.
func nearest(all []*Command, args Args, known int) []*Command {
	type match struct {
		c    *Command
		dist int
	}
	var found []match
	rest := args[known:min(len(args), maxWords)]
	want, wantLen := fingerprint(rest)
	for _, c := range all {
		have, haveLen := fingerprint(c.Words[known:])
		if d := distance(want, have); 2*d < 5*(wantLen+haveLen)-1 {
			found = append(found, match{c, d})
		}
	}
	slices.SortStableFunc(found, func(a, b match) int { return cmp.Compare(a.dist, b.dist) })
	var out []*Command
	for i, m := range found {
		if i == maxMatches || m.dist > 5*found[0].dist/2 {
			break
		}
		out = append(out, m.c)
	}
	return out
}

// print counts the transitions between letters of words: row 0 marks which occur, 27 is any digit, 28 anything else and both ends.
type print [32 * 32]uint8

func fingerprint(words []string) (*print, int) {
	var p print
	length := 0
	for _, w := range words {
		length += len(w)
		from := 28
		for i := 0; i < len(w); i++ {
			to := letter(w[i])
			p[to] = 1
			p[32*from+to]++
			from = to
		}
		p[32*from+28]++
	}
	return &p, length
}

func letter(c byte) int {
	switch {
	case c >= 'a' && c <= 'z':
		return int(c-'a') + 1
	case c >= 'A' && c <= 'Z':
		return int(c-'A') + 1
	case c >= '0' && c <= '9':
		return 27
	}
	return 28
}

func distance(a, b *print) int {
	sum := 0
	for i := range a {
		sum += max(int(a[i])-int(b[i]), int(b[i])-int(a[i]))
	}
	return sum
}

// maxShown is how much of an unknown word is told back. No command is longer; a line of a private key that was sent without its command is.
const maxShown = 24

func shown(word string) string {
	if len(word) > maxShown {
		return word[:maxShown/2] + "..."
	}
	return word
}
