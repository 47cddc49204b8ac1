package runtimeapi

import (
	"errors"
	"fmt"
	"reflect"
	"strings"
	"testing"
)

func TestLinesSplitIntoCommandsAndPayload(t *testing.T) {
	p64 := strings.Repeat("p", 64)
	for _, tt := range []struct {
		text string
		want Line
	}{
		{"", Line{Commands: []string{""}}},
		{"a b", Line{Commands: []string{"a b"}}},
		{"a;b; c;", Line{Commands: []string{"a", "b", " c", ""}}},
		{`a\;b;c\\;d`, Line{Commands: []string{`a\;b`, `c\\`, "d"}}},
		{"a\r", Line{Commands: []string{"a"}, CRLF: true}},
		{"a <<", Line{Commands: []string{"a "}, Payload: true}},
		{"a <<\r", Line{Commands: []string{"a "}, Payload: true, CRLF: true}},
		{"a;b <<%E%", Line{Commands: []string{"a", "b "}, Payload: true, Pattern: "%E%"}},
		{"a\t<<X", Line{Commands: []string{"a\t"}, Payload: true, Pattern: "X"}},
		{"<<X", Line{Commands: []string{""}, Payload: true, Pattern: "X"}},
		{"a<<", Line{Commands: []string{"a<<"}}},
		{"a << ", Line{Commands: []string{"a << "}}},
		{"a <<X;b", Line{Commands: []string{"a <<X", "b"}}},
		{`a \<<X`, Line{Commands: []string{`a \<<X`}}},
		{"a <<" + p64, Line{Commands: []string{"a "}, Payload: true, Pattern: p64}},
		{"a <<p" + p64, Line{Commands: []string{"a <<p" + p64}}},
	} {
		if got := ParseLine(tt.text); !reflect.DeepEqual(got, tt.want) {
			t.Errorf("ParseLine(%q)\ngot  %+v\nwant %+v", tt.text, got, tt.want)
		}
	}
}

func TestWordsSplitAtBlanksAndLoseEscapes(t *testing.T) {
	for _, tt := range []struct {
		text string
		want []string
	}{
		{"", nil},
		{" \t ", nil},
		{" a\tb  c ", []string{"a", "b", "c"}},
		{`a\ b \;c d\\e f\`, []string{"a b", ";c", `d\e`, "f"}},
		{`\*x '"`, []string{"*x", `'"`}},
		{`a\`, []string{"a"}},
		{`\\\\`, []string{`\\`}},
		{strings.Repeat("x ", 64), strings.Fields(strings.Repeat("x ", 64))},
	} {
		if got, err := Words(tt.text); err != nil || !reflect.DeepEqual(got, tt.want) {
			t.Errorf("Words(%q) = %q, %v, want %q", tt.text, got, err, tt.want)
		}
	}
	if _, err := Words(strings.Repeat("x ", 65)); !errors.Is(err, ErrTooManyWords) {
		t.Errorf("65 words: %v, want ErrTooManyWords", err)
	}
}

func TestFirstLineOfHTTPIsRecognised(t *testing.T) {
	for text, want := range map[string]bool{
		"GET / HTTP/1.1":                    true,
		"POST /;prompt;reload HTTP/1.1\r":   true,
		"OPTIONS * HTTP/1.0":                true,
		"PRI * HTTP/2.0":                    true,
		"show version":                      false,
		"echo HTTP/1.1":                     false,
		"show ssl cert HTTP/1.1":            false,
		"":                                  false,
		"HTTP/1.1":                          false,
		"@1 show version":                   false,
		"set ssl cert /etc/HTTP/1.1.pem <<": false,
	} {
		if got := LooksHTTP(text); got != want {
			t.Errorf("LooksHTTP(%q) = %v, want %v", text, got, want)
		}
	}
}

func TestCommandRefusesWhatCannotBeSent(t *testing.T) {
	for _, words := range [][]string{
		{}, {""}, {"a", ""}, {"a\nb"}, {"a\r"}, {"a\x00"}, {"a", "\x7f"}, strings.Fields(strings.Repeat("x ", 65)),
	} {
		if line, err := Command(words...); err == nil {
			t.Errorf("Command(%q) = %q, want an error", words, line)
		}
	}
}

func TestNamesThatMeanSomethingElseAreRefused(t *testing.T) {
	for _, name := range []string{"", "a;b", "a b", "a\tb", "a\nb", `a\b`, "<<", "*a", "#a", `"a"`, "'a'", "a\x00"} {
		if CheckName(name) == nil {
			t.Errorf("CheckName(%q) = nil, want a refusal", name)
		}
	}
	for _, name := range []string{"/etc/haproxy/a.pem", "@store/al", "a.pem.rsa", "é.pem", "a<<b", "C:x"} {
		if err := CheckName(name); err != nil {
			t.Errorf("CheckName(%q): %v", name, err)
		}
	}
}

func FuzzCommandLine(f *testing.F) {
	for _, s := range []string{"show version;show info", `echo a\ b \;c \\ \<<x`, "set ssl cert x <<%E%\r", ";;", `\`, "a\\\x00;<<", "<<"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, text string) {
		if strings.Contains(text, "\n") {
			return
		}
		line := ParseLine(text)
		if len(line.Pattern) > MaxPattern || (!line.Payload && line.Pattern != "") {
			t.Fatalf("ParseLine(%q) = %+v", text, line)
		}
		for _, command := range line.Commands {
			words, err := Words(command)
			if err != nil || len(words) == 0 {
				continue
			}
			checkRoundTrip(t, words)
		}
	})
}

// checkRoundTrip prints words and reads them back, alone, in a chain and before a payload.
func checkRoundTrip(t *testing.T, words []string) {
	t.Helper()
	printed, err := Command(words...)
	if err != nil {
		return // a control character
	}
	for _, tt := range []struct {
		text    string
		payload bool
	}{{printed, false}, {"x;" + printed, false}, {printed + " <<E", true}} {
		line := ParseLine(tt.text)
		got, err := Words(line.Commands[len(line.Commands)-1])
		if err != nil || !reflect.DeepEqual(got, words) || line.Payload != tt.payload {
			t.Fatalf("%q printed as %q in %q reads back as %q (payload %v), %v", words, printed, tt.text, got, line.Payload, err)
		}
	}
}

func ExampleParseLine() {
	line := ParseLine(`show version;set ssl cert /etc/a\ b.pem <<%END%`)
	words, _ := Words(line.Commands[1])
	fmt.Printf("%q %v %s\n", words, line.Payload, line.Pattern)
	// Output: ["set" "ssl" "cert" "/etc/a b.pem"] true %END%
}
