package socket_test

import (
	"net/netip"
	"regexp"
	"strings"
	"testing"
	"time"

	"gatehouse/internal/face/socket"
	"gatehouse/internal/stream"
	"gatehouse/internal/table"
)

// tablesServed is a worker with the tables that the recordings were made with, behind sockets of each level.
func tablesServed(t *testing.T) (tables []*table.Table, ask func(level, command string) string) {
	t.Helper()
	users := table.New(table.Options{Name: "users", Key: stream.KindStr, KeyLen: 20, Size: 10, Settings: table.Settings{Expire: time.Minute},
		Store: []table.Store{{Type: table.GPC, N: 2}, {Type: table.GPCRate, N: 2, Period: 10 * time.Second}, {Type: table.ServerID}, {Type: table.ServerKey}}})
	perIP := table.New(table.Options{Name: "per_ip", Key: stream.KindIPv4, Size: 10, Settings: table.Settings{Expire: time.Minute},
		Store: []table.Store{{Type: table.ConnCnt}, {Type: table.ConnCur}, {Type: table.HTTPReqCnt}}})
	raw := table.New(table.Options{Name: "raw", Key: stream.KindBin, KeyLen: 4, Size: 10})
	numbers := table.New(table.Options{Name: "numbers", Key: stream.KindInt, Size: 10, Store: []table.Store{{Type: table.GPT0}}})
	tables = []*table.Table{users, perIP, raw, numbers}
	key, _ := perIP.AppendKey(nil, stream.Value{Addr: netip.MustParseAddr("127.0.0.1")})
	e := perIP.Get(key)
	e.Enter()
	e.Set(table.ConnCnt, 0, 2)
	e.Leave()
	raw.Get([]byte("\x01ab\xff")).Release()
	e = users.Get([]byte("a b=c"))
	e.SetServer("s1", 1)
	e.Release()
	w := newWorkerWith(t, socket.Options{Process: newFakeProcess(), Tables: func() []*table.Table { return tables }})
	at := map[string]string{}
	for _, level := range []string{"user", "admin"} {
		at[level] = serveUnix(t, w, t.TempDir(), level)
	}
	return tables, func(level, command string) string { return exchange(t, "unix", at[level], command+"\n") }
}

var expiry = regexp.MustCompile(`exp=\d+`)

// The answers are HAProxy 3.4.0's to the same commands, except for the numbers of entries.
func TestTableCommandsAnswerAsHAProxy(t *testing.T) {
	_, ask := tablesServed(t)
	const head, line = "# table: per_ip, type: ip, size:10, used:1\n", "0x1: key=127.0.0.1 use=0 exp=N shard=0 conn_cnt=2 conn_cur=0 http_req_cnt=0\n"
	for _, row := range [][2]string{
		{"show table", "# table: users, type: string, size:10, used:1\n" + head + "# table: raw, type: binary, size:10, used:1\n# table: numbers, type: integer, size:10, used:0\n\n"},
		{"show table per_ip", head + line + "\n"},
		{"show table per_ip key 127.0.0.1", head + line + "\n"},
		{"show table per_ip key 192.0.2.9", "\n"},
		{"show table per_ip ptr 0x1", head + line + "\n"},
		{"show table x", "No such table\n\n"},
		{"show table per_ip key", "Key value expected\n\n"},
		{"show table per_ip key foo", "Invalid key\n\n"},
		{"show table per_ip foo", "Optional argument only supports \"data.<store_data_type>\" <operator> <value> or key <key> or ptr <ptr>\n\n"},
		{"show table per_ip data.foo eq 1", "Filter entry #1: Unknown data type\n\n"},
		{"show table per_ip data.gpc0 eq 1", "Filter entry #1: Data type not stored in this table\n\n"},
		{"show table per_ip data.conn_cnt xx 1", "Filter entry #1: Require and operator among \"eq\", \"ne\", \"le\", \"ge\", \"lt\", \"gt\"\n\n"},
		{"show table per_ip data.conn_cnt gt", "Filter entry #1: Require a valid integer value to compare against\n\n"},
		{"show table per_ip data.conn_cnt gt 1", head + line + "\n"},
		{"show table per_ip data.conn_cnt gt 10", head + "\n"},
		{"show table per_ip data.conn_cnt gt 1 data.conn_cur eq 0", head + line + "\n"},
		{"show table per_ip data.conn_cnt gt 1 foo", "Filter entry #2: Unknown data type\n\n"},
		{"show table per_ip ptr", "Pointer expected (0xffff notation)\n\n"},
		{"show table per_ip ptr 0x999", "No entry can be found matching ptr.\n\n"},
		{"show table per_ip ptr 0xzz", "Malformed ptr.\n\n"},
		{"show table raw key abcd", "Showing keys from tables of type other than ip, ipv6, string and integer is not supported\n\n"},
		{"show table raw", "# table: raw, type: binary, size:10, used:1\n0x1: key=016162FF use=0 exp=N shard=0\n\n"},
		{"show table users", "# table: users, type: string, size:10, used:1\n" +
			`0x1: key=a\ b\=c use=0 exp=N shard=0 server_id=1 server_key=s1 gpc0=0 gpc1=0 gpc0_rate(10000)=0 gpc1_rate(10000)=0` + "\n\n"},
		{"set table", "Required arguments: <table> key <key> [data.<store_data_type> <value>]* or <table> ptr <ptr> [data.<store_data_type> <value>]*\n\n"},
		{"set table users key z data.gpc[1] 7 data.gpc_rate[0] 9", "\n"},
		{"show table users data.gpc[1] eq 7", "# table: users, type: string, size:10, used:2\n" +
			"0x2: key=z use=0 exp=N shard=0 server_id=0 server_key=- gpc0=0 gpc1=7 gpc0_rate(10000)=9 gpc1_rate(10000)=0\n\n"},
		{"set table users key z data.gpc[2] 7", "index out of range in this data array\n\n"},
		{"set table per_ip key 1.2.3.4 foo", "\"data.<type>\" followed by a value expected\n\n"},
		{"set table per_ip key 1.2.3.4 data.foo 1", "Unknown data type\n\n"},
		{"set table per_ip key 1.2.3.4 data.gpc0 1", "Data type not stored in this table\n\n"},
		{"set table per_ip key 1.2.3.4 data.conn_cnt x", "Require a valid integer value to store\n\n"},
		{"set table per_ip data.conn_cnt eq 3", "content-based lookup is only supported with the \"show\" and \"clear\" actions\n\n"},
		{"set table numbers key 77 data.gpt0 5", "\n"},
		{"show table numbers", "# table: numbers, type: integer, size:10, used:1\n0x1: key=77 use=0 exp=N shard=0 gpt0=5\n\n"},
		{"clear table", "Required arguments: <table> \"data.<store_data_type>\" <operator> <value> or <table> key <key> or <table> ptr <ptr>\n\n"},
		{"clear table per_ip key 1.2.3.4", "\n"},
		{"clear table per_ip key 9.9.9.9", "\n"},
		{"show table per_ip", head + line + "\n"},
		{"clear table users data.gpc[1] eq 7", "\n"},
		{"clear table per_ip", "\n"},
		{"show table per_ip", "# table: per_ip, type: ip, size:10, used:0\n\n"},
	} {
		if got := expiry.ReplaceAllString(ask("admin", row[0]), "exp=N"); got != row[1] {
			t.Errorf("%s\n got: %s\nwant: %s", row[0], got, row[1])
		}
	}
}

func TestSettingATableWithoutKeyRemovesNothing(t *testing.T) {
	tables, ask := tablesServed(t)
	if got := ask("admin", "set table per_ip"); !strings.HasPrefix(got, "Required arguments") || tables[1].Used() != 1 {
		t.Errorf("%q, %d entries", got, tables[1].Used())
	}
}

func TestTablesAreNotShownOrChangedByUsers(t *testing.T) {
	tables, ask := tablesServed(t)
	if got, want := ask("user", "show table per_ip"), "# table: per_ip, type: ip, size:10, used:1\n# contents not dumped due to insufficient privileges\n\n"; got != want {
		t.Errorf("%q, want %q", got, want)
	}
	if got := ask("user", "show table per_ip key 127.0.0.1"); strings.Contains(got, "127.0.0.1") {
		t.Errorf("a user sees %q", got)
	}
	for _, c := range []string{"clear table per_ip", "set table per_ip key 1.2.3.4", "clear table per_ip key 127.0.0.1"} {
		if ask("user", c); tables[1].Used() != 1 {
			t.Errorf("%s by a user: %d entries", c, tables[1].Used())
		}
	}
}

func TestEntryInUseIsNotRemoved(t *testing.T) {
	tables, ask := tablesServed(t)
	held := tables[0].Lookup([]byte("a b=c"))
	if got := ask("admin", `clear table users key a\ b=c`); got != "Entry currently in use, cannot remove\n\n" {
		t.Errorf("%q", got)
	}
	if ask("admin", "clear table users"); tables[0].Used() != 1 {
		t.Error("an entry in use went")
	}
	held.Release()
	if ask("admin", `clear table users key a\ b=c`); tables[0].Used() != 0 {
		t.Error("it stayed after its use")
	}
}
