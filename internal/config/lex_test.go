package config

import (
	"slices"
	"strings"
	"testing"
)

func testEnv(name string) (string, bool) {
	v, ok := map[string]string{"ONE": "1", "TWO": "a  b", "EMPTY": "", "QUOTE": `x "y" #z`}[name]
	return v, ok
}

func TestLinesSplitIntoWords(t *testing.T) {
	for _, c := range []struct {
		line string
		want []string
	}{
		{"", nil},
		{"  # only a comment", nil},
		{"a b\tc", []string{"a", "b", "c"}},
		{"a#b c", []string{"a"}},
		{`a\#b c`, []string{"a#b", "c"}},
		{`a\ b`, []string{"a b"}},
		{`"a b"'c d'e`, []string{"a bc de"}},
		{`"it's" 'say "x"'`, []string{"it's", `say "x"`}},
		{`'\n$ONE' "\n\x41\t"`, []string{`\n$ONE`, "\nA\t"}},
		{`\r\n\1`, []string{"\r\n\\1"}},
		{`$ONE "$ONE" "${ONE}x" "\$ONE"`, []string{"$ONE", "1", "1x", "$ONE"}},
		{`"${NONE-d e}" "${EMPTY-d}x" "${NONE-}x"`, []string{"d e", "x", "x"}},
		{`"${TWO[*]}" "$TWO"`, []string{"a", "b", "a  b"}},
		{`x "${EMPTY[*]}" "${NONE[*]}" y`, []string{"x", "y"}},
		{`"$QUOTE"`, []string{`x "y" #z`}},
		{`'' ""`, []string{"", ""}},
		{`trailing\`, []string{`trailing\`}},
		{"a\rb", []string{"a"}},
		{"\xff\xfe\xe9", []string{"\xff\xfe\xe9"}},
		{"a\\\nb", []string{`a\`}}, // there is no line continuation
	} {
		got, err := SplitWords(c.line, testEnv)
		if err != nil || !slices.Equal(got, c.want) {
			t.Errorf("SplitWords(%q) = %q, %v; want %q", c.line, got, err, c.want)
		}
	}
}

func TestBrokenLinesSayWhere(t *testing.T) {
	for line, want := range map[string]string{
		`a "b`:                   "unmatched quote at position 3",
		`a 'b`:                   "unmatched quote at position 3",
		`a \xg1`:                 "truncated or invalid hexadecimal sequence at position 3",
		`\x1`:                    "truncated or invalid hexadecimal sequence at position 1",
		`"${ONE"`:                "unmatched brace in environment variable name at position 3",
		`"${ONE-a"`:              "unmatched brace in environment variable name at position 3",
		`"$"`:                    "forbidden first char in environment variable name at position 3",
		`"${1}"`:                 "forbidden first char in environment variable name at position 4",
		`"${.X}"`:                "forbidden first char in environment variable name at position 4",
		`"${ONE[x]"`:             "truncated or invalid word expansion sequence at position 7",
		strings.Repeat("w ", 65): "too many words, truncating after word 64, position 127: <w>",
	} {
		if _, err := SplitWords(line, testEnv); err == nil || err.Error() != want {
			t.Errorf("SplitWords(%q) error = %v, want %q", line, err, want)
		}
	}
}

func TestVariablesCannotGrowALineWithoutBound(t *testing.T) {
	big := strings.Repeat("x", 1<<16)
	env := func(string) (string, bool) { return big, true }
	if _, err := SplitWords(strings.Repeat(`"$A"`, 100), env); err == nil {
		t.Error("a line of 6.5 MB after expansion was accepted")
	}
	text := "global\n setenv A \"" + strings.Repeat("x", 1000) + "\"\n" + strings.Repeat(" setenv A \"$A$A\"\n", 64)
	if _, diags := parseText(text); !diags.HasErrors() {
		t.Error("a variable doubled 64 times was accepted")
	}
}

// quoteWord writes a word so that SplitWords reads it back.
func quoteWord(w string) string {
	var b strings.Builder
	b.WriteByte('"')
	for i := 0; i < len(w); i++ {
		switch c := w[i]; {
		case c == '"' || c == '\\' || c == '$':
			b.WriteByte('\\')
			b.WriteByte(c)
		case c < 0x20:
			const hex = "0123456789abcdef"
			b.WriteString(`\x`)
			b.WriteByte(hex[c>>4])
			b.WriteByte(hex[c&15])
		default:
			b.WriteByte(c)
		}
	}
	b.WriteByte('"')
	return b.String()
}

func FuzzSplitWords(f *testing.F) {
	for _, s := range []string{"", "a b", `"a $ONE" 'b' c\ d # x`, `"${TWO[*]}"`, `"${NONE-x}" \x41`, "\\", `"`, "a\x00b", "\xff'"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, line string) {
		words, err := SplitWords(line, testEnv)
		if err != nil {
			return
		}
		if len(words) > MaxWords {
			t.Fatalf("%d words", len(words))
		}
		var quoted []string
		for _, w := range words {
			quoted = append(quoted, quoteWord(w))
		}
		back, err := SplitWords(strings.Join(quoted, " "), testEnv)
		if err != nil || !slices.Equal(back, words) {
			t.Fatalf("%q split into %q, which quoted reads back as %q, %v", line, words, back, err)
		}
	})
}
