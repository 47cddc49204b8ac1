package config

import (
	"strings"
	"testing"
)

// requoted is the same configuration with every word of a line that can be split in quotes.
func requoted(text string) string {
	var b strings.Builder
	env := testOptions().Env
	for line := range strings.Lines(text) {
		words, err := SplitWords(line, func(name string) (string, bool) { v, ok := env[name]; return v, ok })
		if err != nil || strings.ContainsAny(line, "\r\x00") || strings.HasPrefix(strings.TrimSpace(line), ".") {
			b.WriteString(line)
			continue
		}
		for i, w := range words {
			if i > 0 {
				b.WriteByte(' ')
			}
			b.WriteString(quoteWord(w))
		}
		b.WriteByte('\n')
	}
	return b.String()
}

// FuzzRequoted reads a configuration twice, the second time with every word in quotes: the same faults are told, in the same words.
func FuzzRequoted(f *testing.F) {
	for _, e := range edges {
		f.Add(e.text)
	}
	_, cases := readRecordings(&testing.T{})
	for _, c := range cases {
		f.Add(c.text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		if !strings.HasSuffix(text, "\n") {
			text += "\n" // its absence is told with a position
		}
		again := requoted(text)
		_, want := Parse([]Source{{"F", []byte(text)}}, testOptions())
		_, got := Parse([]Source{{"F", []byte(again)}}, testOptions())
		if printDiags(got) != printDiags(want) {
			t.Fatalf("%s\nquoted as\n%s\nis told\n%s\ninstead of\n%s", text, again, printDiags(got), printDiags(want))
		}
	})
}
