package runtimeapi

import (
	"crypto/rand"
	"fmt"
	"strings"
)

// Command prints words as one command that a server reads back as the same words: blanks, semicolons, backslashes and a "<<"
// that would announce a payload are escaped. A word that cannot be sent is an error: an empty one, or one with a control
// byte (a newline would start another command; escapes do not reach everything between us and the server).
func Command(words ...string) (string, error) {
	if len(words) == 0 || len(words) > MaxWords {
		return "", fmt.Errorf("a command has 1 to %d words, not %d", MaxWords, len(words))
	}
	var b strings.Builder
	for i, w := range words {
		if err := checkWord(w); err != nil {
			return "", err
		}
		if i > 0 {
			b.WriteByte(' ')
		}
		quote(&b, w)
	}
	return b.String(), nil
}

func checkWord(w string) error {
	if w == "" {
		return fmt.Errorf("an empty word cannot be sent in a command")
	}
	for i := 0; i < len(w); i++ {
		if c := w[i]; (c < ' ' && c != '\t') || c == 0x7f {
			return fmt.Errorf("%q cannot be sent in a command: byte %d is the control character %#02x", w, i, c)
		}
	}
	return nil
}

// quote escapes one word. A "<" where a server could take it for the mark of a payload is one at the beginning or behind a
// blank: servers look for the last blank without asking whether it was escaped.
func quote(b *strings.Builder, w string) {
	for i := 0; i < len(w); i++ {
		switch c := w[i]; {
		case c == ' ', c == '\t', c == ';', c == '\\',
			c == '<' && (i == 0 || w[i-1] == ' ' || w[i-1] == '\t'):
			b.WriteByte('\\')
		}
		b.WriteByte(w[i])
	}
}

// CheckName says why a name of a certificate, list or server is not safe to use in commands and in the files that they
// appear in: it is empty, starts with what the protocol gives a meaning ("<<", "@", "*"), or holds a blank, a semicolon, a
// backslash, a comment sign, a colon or a control byte. nil means that every reader of it, here or in HAProxy, sees one word.
func CheckName(name string) error {
	if err := checkWord(name); err != nil {
		return err
	}
	for _, prefix := range []string{payloadMark, "*", `\`} {
		if strings.HasPrefix(name, prefix) {
			return fmt.Errorf("the name %q starts with %q, which commands give another meaning", name, prefix)
		}
	}
	if i := strings.IndexAny(name, " \t;\\#\"'"); i >= 0 {
		return fmt.Errorf("the name %q contains %q, which separates or quotes words", name, name[i])
	}
	return nil
}

// Payload prints command, already one line, with data behind it: "command <<PATTERN", the data, the pattern alone on a line.
// The pattern is random and does not occur as a line of data, so that blank lines inside survive and no data can end it early.
func Payload(command string, data []byte) []byte {
	pattern := newPattern(data)
	out := make([]byte, 0, len(command)+len(data)+2*len(pattern)+8)
	out = append(out, command...)
	out = append(out, ' ')
	out = append(out, payloadMark...)
	out = append(out, pattern...)
	out = append(out, '\n')
	out = append(out, data...)
	out = append(out, '\n')
	out = append(out, pattern...)
	return append(out, '\n')
}

func newPattern(data []byte) string {
	for {
		pattern := "%" + rand.Text() + "%"
		if !strings.Contains(string(data), pattern) {
			return pattern
		}
	}
}
