package stats

import (
	"errors"
	"strings"
	"testing"
	"time"
)

const savedLine = "3 be1 1 s1 127.0.0.1 2 8 7 10 90 6 3 4 6 0 0 0 - 28001 - 0 29000 127.0.0.9 - 0\n"

func TestWhatShowServersStateWritesIsReadBack(t *testing.T) {
	now := time.Unix(1_800_000_000, 0)
	lines, err := ReadServerStates([]byte(ServersStateHeader + "\n  # remark\n" + savedLine))
	if err != nil || len(lines) != 1 {
		t.Fatalf("%d lines, %v", len(lines), err)
	}
	st, err := lines[0].State(now)
	if err != nil {
		t.Fatal(err)
	}
	st.BackendID, st.ServerID = 3, 1
	if got := string(st.Append(nil, now)); got != savedLine {
		t.Errorf("came back as\n%swant\n%s", got, savedLine)
	}
}

func TestBadStateFilesAreTold(t *testing.T) {
	for _, tc := range []struct {
		text string
		line int
		want error
	}{
		{"", 0, ErrStateEmpty},
		{"1", 0, ErrStateVersion},
		{"2\n" + savedLine, 0, ErrStateVersion},
		{"x\n" + savedLine, 0, ErrStateVersion},
		{"1\n" + savedLine + "3 be1 1 s1\n", 2, nil},
		{"1\n" + strings.TrimSuffix(savedLine, "\n"), 1, nil},
		{"1\n" + strings.Repeat("x ", 26) + "\n", 1, nil},
		{"1\n" + strings.Repeat("x", 2000) + "\n", 1, nil},
	} {
		_, err := ReadServerStates([]byte(tc.text))
		var corrupt *CorruptStateError
		if tc.line > 0 && (!errors.As(err, &corrupt) || corrupt.Line != tc.line) || tc.line == 0 && !errors.Is(err, tc.want) {
			t.Errorf("%.40q: %v, want %v at line %d", tc.text, err, tc.want, tc.line)
		}
	}
}

// TestFieldsOutOfRangeSpoilALine asks every checked field of the line for something that HAProxy refuses too.
func TestFieldsOutOfRangeSpoilALine(t *testing.T) {
	for i, name := range map[int]string{
		5: "srv_op_state", 6: "srv_admin_state", 7: "srv_uweight", 8: "srv_iweight", 9: "srv_last_time_change", 10: "srv_check_status",
		11: "srv_check_result", 12: "srv_check_health", 13: "srv_check_state", 14: "srv_agent_state", 15: "bk_f_forced_id", 16: "srv_f_forced_id",
		18: "srv_port", 21: "srv_check_port", 22: "srv_check_addr", 23: "srv_agent_addr", 24: "srv_agent_port",
	} {
		f := strings.Fields(savedLine)
		f[i] = "99999x"
		lines, err := ReadServerStates([]byte("1\n" + strings.Join(f, " ") + "\n"))
		if err != nil {
			t.Fatal(err)
		}
		if _, err := lines[0].State(time.Now()); err == nil || err.Error() != ", invalid "+name+" value '99999x'" {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func FuzzServerStates(f *testing.F) {
	f.Add([]byte(ServersStateHeader + savedLine))
	f.Add([]byte("1\n" + strings.Repeat("- ", 20) + "\n"))
	f.Fuzz(func(t *testing.T, data []byte) {
		lines, err := ReadServerStates(data)
		if err != nil && lines != nil {
			t.Error("lines of a file that is not one")
		}
		for _, l := range lines {
			if st, err := l.State(time.Unix(0, 0)); err == nil && (st.UWeight > 256 || st.OpState > 3 || st.Port > 65535) {
				t.Errorf("accepted %+v", st)
			}
		}
	})
}
