package cert

import (
	"fmt"
	"reflect"
	"slices"
	"strings"
	"testing"
)

func TestACrtListLineIsReadAndPrinted(t *testing.T) {
	for _, test := range []struct{ line, want string }{
		{"a.pem", "a.pem"},
		{"  a.pem \t b.c  !d.e\r", "a.pem b.c !d.e"},
		{"a.pem []", "a.pem"},
		{"a.pem[verify none]x", "a.pem [verify none] x"},
		{"a.pem [ssl-max-ver TLSv1.3 alpn h2,http/1.1 crl-file c ciphers AES128-SHA allow-0rtt no-ca-names ca-file f ssl-min-ver TLSv1.0 verify required]",
			"a.pem [alpn h2,http/1.1 verify required no-ca-names allow-0rtt ca-file f crl-file c ciphers AES128-SHA ssl-min-ver TLSv1.0 ssl-max-ver TLSv1.3]"},
		{"a.pem [no-alpn ocsp-update on]", "a.pem [no-alpn ocsp-update on]"},
		{"a.pem [acme le domains a.b,c.d]", "a.pem []"},
		{"a.pem # no comment", "a.pem # no comment"},
	} {
		line, err := ParseLine("l", 3, test.line)
		if err != nil {
			t.Errorf("%q: %v", test.line, err)
			continue
		}
		if got := line.Format(false); got != test.want {
			t.Errorf("%q prints as %q, want %q", test.line, got, test.want)
		}
		if got := line.Format(true); !strings.HasPrefix(got, "a.pem:3") {
			t.Errorf("%q numbered prints as %q", test.line, got)
		}
	}
}

func TestBadCrtListLinesAreToldAndTheOthersRead(t *testing.T) {
	data := strings.Join([]string{
		"# comment", "", "good.pem", "x [", "[verify none] x", "x ]", "x [a] [b]", "x [foo bar]", "x y [verify none]", "x [verify none",
		"x [ssl-min-ver]", "x [verify maybe]", "x [ciphers NONE-SUCH]", "x [ca-file]", "nul\x00.pem", "\r", " # three words", "last.pem"}, "\n")
	lines, err := ParseList("l", []byte(data))
	var good []string
	for _, l := range lines {
		good = append(good, fmt.Sprintf("%s:%d", l.Cert, l.N))
	}
	if want := []string{"good.pem:3", "x:9", "#:17"}; !slices.Equal(good, want) {
		t.Errorf("good lines are %q, want %q", good, want)
	}
	want := []string{
		"parsing [l:4]: missing ']'",
		"parsing [l:5]: file must start with a cert",
		"parsing [l:6]: missing '['",
		"parsing [l:7]: too many '['",
		"parsing [l:8]: unknown ssl keyword foo",
		"parsing [l:10]: missing ']'",
		"parsing [l:11]: ssl args out of '[]' for ssl-min-ver",
		"parsing [l:12]: 'verify' : unknown verify method 'maybe', only 'none', 'optional', and 'required' are supported",
		"parsing [l:13]: unable to set SSL cipher list to 'NONE-SUCH': none of these ciphers is available",
		"parsing [l:14]: ssl args out of '[]' for ca-file",
		"parsing [l:15]: Stray NUL character at position 4.",
		"parsing [l:18]: Missing LF on last line, file might have been truncated at position 9.",
	}
	if err == nil || err.Error() != strings.Join(want, "\n") {
		t.Errorf("errors:\n%v\nwant:\n%s", err, strings.Join(want, "\n"))
	}
	if _, err := ParseLine("l", 1, "x "+strings.Repeat("y", maxLineSize)); err == nil || !strings.Contains(err.Error(), "line too long, limit is 65535 characters") {
		t.Errorf("a line of 64 KiB: %v", err)
	}
	if _, err := ParseLine("l", 1, strings.Repeat("y ", maxLineArgs+1)); err == nil || !strings.Contains(err.Error(), "too many args") {
		t.Errorf("a line of 2049 words: %v", err)
	}
}

func TestNamesBeforeTheBracketsAreWarnedOfAndDoNotCount(t *testing.T) {
	line, err := ParseLine("l", 1, "x.pem a.b [verify none] c.d")
	if err != nil || line.Warning() != "malformated line, filters can't be between filename and options!" || line.Format(false) != "x.pem [verify none] c.d" {
		t.Errorf("%q, warning %q, %v", line.Format(false), line.Warning(), err)
	}
}

func TestKeywordsThatCannotBeFollowedAreNamed(t *testing.T) {
	for words, want := range map[string]string{
		"allow-0rtt sigalgs ECDSA+SHA256 client-sigalgs RSA+SHA256":                                              "[sigalgs client-sigalgs allow-0rtt]",
		"ciphersuites TLS_AES_128_GCM_SHA256":                                                                    "[ciphersuites]",
		"ciphersuites TLS_AES_128_GCM_SHA256:TLS_AES_256_GCM_SHA384:TLS_CHACHA20_POLY1305_SHA256 ciphers kECDHE": "[]",
	} {
		line, err := ParseLine("l", 1, "x.pem ["+words+"]")
		if got := fmt.Sprint(line.Options.Unfollowed()); err != nil || got != want {
			t.Errorf("%s: %s, %v, want %s", words, got, err, want)
		}
	}
	if words := (*Options)(nil).Unfollowed(); words != nil {
		t.Errorf("no options: %q", words)
	}
}

func TestNegativeFiltersAloneAreWarnedOf(t *testing.T) {
	for filters, want := range map[string]bool{"!a.b": true, "*.b !a.b": false, "c !a.b": true, "* !a.b": true, "!*": false, "a.b": false, "!*.b": true} {
		line, err := ParseLine("l", 1, "x.pem "+filters)
		if err != nil {
			t.Fatal(err)
		}
		if got := line.Warning(); (got != "") != want {
			t.Errorf("filters %q: warning %q, want one: %v", filters, got, want)
		}
	}
}

func FuzzParseList(f *testing.F) {
	f.Add([]byte("a.pem [alpn h2 verify none] *.x !y.x\n# c\n b.pem\n"))
	f.Add([]byte("a [acme le domains a,b ocsp-update on] x\n"))
	f.Add([]byte("a ] [\n\x00\n"))
	f.Fuzz(func(t *testing.T, data []byte) {
		lines, _ := ParseList("l", data)
		for _, l := range lines {
			l.Warning()
			l.Load = nil // printed only in part
			l.misplaced = false
			if l.Options != nil && reflect.DeepEqual(*l.Options, Options{}) {
				l.Options = nil // keywords without an effect that prints
			}
			back, err := ParseLine("l", l.N, l.Format(false))
			if err != nil {
				t.Fatalf("%q does not read back: %v", l.Format(false), err)
			}
			if back.Options != nil && l.Options == nil {
				back.Options = nil
			}
			if !reflect.DeepEqual(l, back) {
				t.Fatalf("%q reads back as %+v, want %+v", l.Format(false), back, l)
			}
		}
	})
}
