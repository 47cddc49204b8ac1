package config

import (
	"errors"
	"fmt"
	"strings"
)

// Limits of the language and of this reader.
const (
	MaxWords     = 64       // words on one line (manual section 2.2)
	maxLineBytes = 1 << 20  // one line after expansion of variables
	maxFileBytes = 64 << 20 // one file
	maxLines     = 1 << 20  // lines of one file
	maxEnvBytes  = 16 << 20 // what setenv and presetenv may store altogether
	maxFatal     = 1000     // errors of one file; HAProxy stops at 50
	maxNesting   = 100      // nested .if
)

// lexFault is what is wrong with a line, with the byte at which it shows.
type lexFault struct {
	text string // without position
	at   int    // offset in the line
	word string // too many words: the last one kept
	out  int    // too many words: where that word starts among the words
}

var errTooLong = errors.New("line too long")

// lexer splits one line into words (manual section 2.2 and 2.3).
type lexer struct {
	in  string
	pos int
	// env answers variables; names that start with a dot are HAProxy's pseudo-variables.
	env   func(string) (string, bool)
	plain bool // '#' means nothing special

	word     []byte // the word being built
	inWord   bool
	wordAt   int // where in the line that word started
	unknown  int // first unset variable of the word, -1 none
	squote   bool
	dquote   bool
	quoteAt  int
	bareQuot bool // the open quotes alone make a word, even an empty one

	words   []string
	total   int // bytes of all words, one separator each
	emptyAt int // where the first empty word shows, -1 none
	fault   *lexFault
	tooLong bool
}

// SplitWords splits one line as the configuration is split: quotes, escapes, comments and, inside double quotes,
// environment variables asked of env (nil: none is set). The error names what is wrong and where, counted from 1.
func SplitWords(line string, env func(string) (string, bool)) ([]string, error) {
	x := newLexer(line, env)
	x.run()
	if x.tooLong {
		return nil, errTooLong
	}
	if f := x.fault; f != nil {
		if f.word != "" {
			return nil, fmt.Errorf("too many words, truncating after word %d, position %d: <%s>", MaxWords, f.out+1, f.word)
		}
		return nil, fmt.Errorf("%s at position %d", f.text, f.at+1)
	}
	return x.words, nil
}

func newLexer(line string, env func(string) (string, bool)) *lexer {
	if env == nil {
		env = func(string) (string, bool) { return "", false }
	}
	return &lexer{in: line, env: env, unknown: -1, emptyAt: -1}
}

func (x *lexer) run() {
	for x.fault == nil && !x.tooLong && x.step() {
	}
	if x.fault != nil || x.tooLong {
		return
	}
	x.endWord()
	if x.squote || x.dquote {
		x.fail("unmatched quote", x.quoteAt)
	}
}

// step consumes one element of the line; false at its end.
func (x *lexer) step() bool {
	if x.pos >= len(x.in) {
		return false
	}
	switch c := x.in[x.pos]; {
	case c == 0 || c == '\n' || c == '\r':
		return false
	case c == '#' && !x.squote && !x.dquote && !x.plain:
		return false
	case c == '"' && !x.squote:
		x.quote(&x.dquote)
	case c == '\'' && !x.dquote:
		x.quote(&x.squote)
	case c == '\\' && !x.squote:
		x.escape()
	case isSpace(c) && !x.squote && !x.dquote:
		x.endWord()
		for x.pos < len(x.in) && isSpace(x.in[x.pos]) {
			x.pos++
		}
	case c == '$' && x.dquote:
		x.variable()
	default:
		x.begin(x.pos)
		x.emit(c)
		x.pos++
	}
	return true
}

// quote opens or closes a quoted part. A pair of quotes makes a word even when nothing is inside.
func (x *lexer) quote(open *bool) {
	if *open {
		if x.bareQuot {
			x.begin(x.pos)
		}
		*open = false
	} else {
		*open, x.quoteAt, x.bareQuot = true, x.pos, true
	}
	x.pos++
}

func (x *lexer) escape() {
	at := x.pos
	next := byte(0)
	if at+1 < len(x.in) {
		next = x.in[at+1]
	}
	out, skip := byte('\\'), 1
	switch next {
	case ' ', '\\', '\'', '"':
		out, skip = next, 2
	case '#':
		if !x.plain {
			out, skip = next, 2
		}
	case 't':
		out, skip = '\t', 2
	case 'n':
		out, skip = '\n', 2
	case 'r':
		out, skip = '\r', 2
	case '$':
		if x.dquote {
			out, skip = next, 2
		}
	case 'x':
		if at+3 >= len(x.in) || !isHex(x.in[at+2]) || !isHex(x.in[at+3]) {
			x.fail("truncated or invalid hexadecimal sequence", at)
			return
		}
		out, skip = unhex(x.in[at+2])<<4|unhex(x.in[at+3]), 4
	}
	x.begin(at)
	x.emit(out)
	x.pos += skip
}

// variable expands $NAME, ${NAME}, ${NAME-default} and ${NAME[*]}.
func (x *lexer) variable() {
	start := x.pos
	p := start + 1
	brace := -1
	if p < len(x.in) && x.in[p] == '{' {
		brace = p
		p++
	}
	nameAt := p
	if p >= len(x.in) || !isAlpha(x.in[p]) && x.in[p] != '_' && x.in[p] != '.' {
		x.fail("forbidden first char in environment variable name", p)
		return
	}
	p++
	for p < len(x.in) && (isAlnum(x.in[p]) || x.in[p] == '_') {
		p++
	}
	name := x.in[nameAt:p]
	value, set := x.env(name)
	if name[0] == '.' && !set {
		x.fail("forbidden first char in environment variable name", nameAt)
		return
	}
	split := false
	if brace >= 0 && p < len(x.in) && x.in[p] == '[' {
		if !strings.HasPrefix(x.in[p:], "[*]") {
			x.fail("truncated or invalid word expansion sequence", p)
			return
		}
		split = true
		p += 3
	}
	if brace >= 0 {
		end := p
		if p < len(x.in) && x.in[p] == '-' {
			if i := strings.IndexByte(x.in[p:], '}'); i >= 0 {
				end = p + i
			}
			if !set {
				value, set = x.in[p+1:max(end, p+1)], true
			}
		}
		if end >= len(x.in) || x.in[end] != '}' {
			x.fail("unmatched brace in environment variable name", brace)
			return
		}
		p = end + 1
	}
	x.pos = p
	x.expand(start, nameAt, value, set, split)
}

// expand puts the value of a variable into the current word, or into several words for ${NAME[*]}.
func (x *lexer) expand(start, nameAt int, value string, set, split bool) {
	if split {
		// An empty list makes no word at all, the quotes around it included.
		x.bareQuot = false
	}
	if !set {
		if !split {
			x.begin(start)
			if x.unknown < 0 {
				x.unknown = nameAt
			}
		}
		return
	}
	x.unknown = -1
	for i := 0; i < len(value) && x.fault == nil && !x.tooLong; i++ {
		if split && isSpace(value[i]) {
			x.endWord()
			continue
		}
		x.begin(start)
		x.emit(value[i])
	}
}

// begin starts a word at offset at of the line unless one is being built.
func (x *lexer) begin(at int) {
	if x.inWord {
		return
	}
	x.inWord, x.wordAt = true, at
	if len(x.words) >= MaxWords && x.fault == nil {
		last := x.words[MaxWords-1]
		x.fault = &lexFault{text: "too many words", at: at, word: last, out: x.total - len(last) - 1}
	}
}

func (x *lexer) emit(c byte) {
	if x.total+len(x.word) >= maxLineBytes {
		x.tooLong = true
		return
	}
	x.word = append(x.word, c)
}

func (x *lexer) endWord() {
	if !x.inWord {
		return
	}
	if len(x.word) == 0 && x.emptyAt < 0 {
		x.emptyAt = x.wordAt
		if x.unknown >= 0 {
			x.emptyAt = x.unknown
		}
	}
	x.words = append(x.words, string(x.word))
	x.total += len(x.word) + 1
	x.word, x.inWord = x.word[:0], false
}

func (x *lexer) fail(text string, at int) {
	if x.fault == nil {
		x.fault = &lexFault{text: text, at: min(at, len(x.in))}
	}
}

// pointer renders a line with a mark under offset at: both lines as HAProxy prints them below an error. A mark beyond
// width moves the window so that it stands in the middle, and what cannot be printed becomes '?'.
func pointer(prefix, line string, at, width int) string {
	head, tail, shift := "", "", 0
	room := width
	if at >= width {
		head, tail, room = "...", "...", width-6
		shift = at - width/2
	}
	rest := line[min(shift+len(head), len(line)):]
	b := []byte(rest[:min(room, len(rest))])
	for i, c := range b {
		if isSpace(c) {
			b[i] = ' '
		} else if c < 0x20 || c >= 0x7f {
			b[i] = '?'
		}
	}
	return fmt.Sprintf("  %s%s%s%s\n  %*s", prefix, head, b, tail, at-shift+1+len(prefix), "^")
}

func isSpace(c byte) bool { return c == ' ' || c >= '\t' && c <= '\r' }
func isDigit(c byte) bool { return c >= '0' && c <= '9' }
func isAlpha(c byte) bool { return c|0x20 >= 'a' && c|0x20 <= 'z' }
func isAlnum(c byte) bool { return isAlpha(c) || isDigit(c) }
func isHex(c byte) bool   { return isDigit(c) || c|0x20 >= 'a' && c|0x20 <= 'f' }

func unhex(c byte) byte {
	if isDigit(c) {
		return c - '0'
	}
	return c | 0x20 - 'a' + 10
}
