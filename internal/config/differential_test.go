package config

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// haproxy is an installed HAProxy, whatever its version; what is compared here has not changed since 2.6.
func haproxy(t *testing.T) string {
	t.Helper()
	path, err := exec.LookPath("haproxy")
	if err != nil {
		path = "/usr/sbin/haproxy"
		if _, err := os.Stat(path); err != nil {
			if os.Getenv("GATEHOUSE_TEST_REQUIRE") == "all" {
				t.Fatal("haproxy is not installed (package haproxy)")
			}
			t.Skip("haproxy is not installed (package haproxy)")
		}
	}
	return path
}

// Each line stands after "description" in a global section of a configuration that is otherwise complete.
var lexicalLines = []string{
	`a`, `a b c`, `"a b"`, `'a b'`, `a"b c"'d e'`, `a\ b`, `a\#b`, `a#b`, `x # comment`, `x "# none"`, `\x41`, `\x4`, `\xzz`, `"a`, `'a`, `a"b'c"`, `a'b"c'`,
	`\"`, `\'`, `"\""`, `'\'`, `'\''`, `"$HOME"`, `"${HOME}"`, `"${HOME"`, `"${NOPE-x}"`, `"${NOPE-x"`, `"$1"`, `"$"`, `"${}"`, `"\$1"`, `$1`, `'$1'`, `"${HOME[*]}"`,
	`"${HOME[0]}"`, `a \`, `a \\`, `a\n\r\t`, `a "${TWO[*]}"`, strings.TrimSpace(strings.Repeat("w ", 63)), strings.TrimSpace(strings.Repeat("w ", 64)), strings.TrimSpace(strings.Repeat("w ", 65)), "a\tb\vc", "a\rb",
	"\xff\xfe", "a\x00b", "\\\x00", `"a\`, `'a\`, "#", `x"#"'#'`,
}

func TestLexingAgreesWithHAProxy(t *testing.T) {
	bin := haproxy(t)
	dir := t.TempDir()
	file := filepath.Join(dir, "F")
	env := map[string]string{"HOME": "/root", "TWO": "a b"}
	for _, line := range lexicalLines {
		text := "global\n description x" + line + "\nlisten l\n bind 127.0.0.1:1\n timeout client 1s\n timeout server 1s\n timeout connect 1s\n"
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		cmd := exec.Command(bin, "-c", "-f", file)
		cmd.Env = []string{"HOME=/root", "TWO=a b"}
		out, err := cmd.CombinedOutput()
		o := testOptions()
		o.Env = env
		_, diags := Parse([]Source{{"F", []byte(text)}}, o)
		if (err != nil) != diags.HasErrors() {
			t.Errorf("%q\nhaproxy: %v %s\nhere: %s", line, err, out, printDiags(diags))
		}
	}
}

func TestConditionsAgreeWithHAProxy(t *testing.T) {
	bin := haproxy(t)
	for _, text := range []string{"", "0", "1", "00", "0x", "0x1", "08", "-1", "+0", "!", "!!1", "! 1", "1 1", "1&&1", "1 & 1", "1||", "||1", "()", "(0)", "((1))", "(1", "1)",
		"streq(a,a)", "streq (a,a)", "streq( a,a)", "streq(a,a )", `streq("a,b",a)`, `streq(a\,b,a)`, "streq()", "streq(,)", "defined()", "defined(HOME)", "defined(HOME)x",
		"defined", "defined(", "nope(1)", "streq('a','a')", "version_atleast(1.0)", "version_atleast(99)", "version_atleast(x)", "version_before()",
		"1 || nope", "0 && nope(", "!defined(NOPE) && 1", "(1 || 0) && (0 || 1)", "0||0||1", "1&&1&&0"} {
		cmd := exec.Command(bin, "-cc", text)
		cmd.Env = []string{"HOME=/root"}
		want := 0
		if err := cmd.Run(); err != nil {
			want = cmd.ProcessState.ExitCode()
		}
		got := 0
		switch ok, err := EvalCondition(text, testOptions()); {
		case err != nil:
			got = 2
		case !ok:
			got = 1
		}
		if got != want {
			t.Errorf("-cc %q: exit status %d, haproxy's %d", text, got, want)
		}
	}
}
