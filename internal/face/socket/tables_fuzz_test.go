package socket_test

import (
	"regexp"
	"strconv"
	"strings"
	"testing"
)

var usedEntries = regexp.MustCompile(`(?m)^# table: \w+, type: \w+, size:(\d+), used:(\d+)$`)

// FuzzTableLines sends what follows "show table", "set table" and "clear table": each gets one answer, ended by an empty line, and
// afterwards no table holds more than its size, and each entry can be named by its pointer.
func FuzzTableLines(f *testing.F) {
	for _, s := range []string{"", "users", "users key a\\ b", "users key z data.gpc[1] 7 data.gpc_rate[0] 9", "per_ip key 192.0.2.1 data.conn_cnt 3",
		"per_ip data.conn_cnt gt 1 data.conn_cur eq 0", "numbers key -1 data.gpt0 99999999999", "raw key abcd", "numbers ptr 0x1", "users ptr", "x key 1", "per_ip key ::1"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, rest string) {
		if strings.ContainsAny(rest, "\n\r;\x00") || strings.Contains(rest, "<<") || len(rest) > 4000 {
			return // more than one command
		}
		_, ask := tablesServed(t)
		for _, verb := range []string{"set", "show", "clear", "show"} {
			if got := ask("admin", verb+" table "+rest); !strings.HasSuffix(got, "\n") {
				t.Errorf("%s table %q: the answer %q is not ended", verb, rest, got)
			}
			for _, m := range usedEntries.FindAllStringSubmatch(ask("admin", "show table"), -1) {
				size, _ := strconv.Atoi(m[1])
				if used, _ := strconv.Atoi(m[2]); used > size {
					t.Errorf("%s table %q: %s", verb, rest, m[0])
				}
			}
		}
		for _, name := range []string{"users", "per_ip", "numbers"} { // HAProxy names no binary keys
			for line := range strings.Lines(ask("admin", "show table "+name)) {
				ptr, _, entry := strings.Cut(line, ": key=")
				if got := ask("admin", "show table "+name+" ptr "+ptr); entry && strings.Count(got, ": key=") != 1 {
					t.Errorf("%q: %s ptr %s is answered %q", rest, name, ptr, got)
				}
			}
		}
	})
}
