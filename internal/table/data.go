package table

import (
	"strconv"
	"strings"
	"time"
)

// DataType is one kind of data that entries can store. The order is HAProxy's, in which entries are shown.
type DataType uint8

// The types of data (manual, "stick-table", store).
const (
	ServerID DataType = iota
	GPT0
	GPC0
	GPC0Rate
	ConnCnt
	ConnRate
	ConnCur
	SessCnt
	SessRate
	HTTPReqCnt
	HTTPReqRate
	HTTPErrCnt
	HTTPErrRate
	BytesInCnt
	BytesInRate
	BytesOutCnt
	BytesOutRate
	GPC1
	GPC1Rate
	ServerKey
	HTTPFailCnt
	HTTPFailRate
	GPT
	GPC
	GPCRate
	GlitchCnt
	GlitchRate

	numTypes
)

// form is how a type is kept and shown.
type form uint8

const (
	formInt  form = iota // 32 bits, signed
	formUint             // 32 bits
	formLong             // 64 bits
	formRate             // events over a period
	formText
)

type typeInfo struct {
	name  string
	form  form
	array bool // takes a number of elements
}

var types = [numTypes]typeInfo{
	ServerID: {name: "server_id", form: formInt}, GPT0: {name: "gpt0", form: formUint}, GPC0: {name: "gpc0", form: formUint},
	GPC0Rate: {name: "gpc0_rate", form: formRate}, ConnCnt: {name: "conn_cnt", form: formUint}, ConnRate: {name: "conn_rate", form: formRate},
	ConnCur: {name: "conn_cur", form: formUint}, SessCnt: {name: "sess_cnt", form: formUint}, SessRate: {name: "sess_rate", form: formRate},
	HTTPReqCnt: {name: "http_req_cnt", form: formUint}, HTTPReqRate: {name: "http_req_rate", form: formRate},
	HTTPErrCnt: {name: "http_err_cnt", form: formUint}, HTTPErrRate: {name: "http_err_rate", form: formRate},
	BytesInCnt: {name: "bytes_in_cnt", form: formLong}, BytesInRate: {name: "bytes_in_rate", form: formRate},
	BytesOutCnt: {name: "bytes_out_cnt", form: formLong}, BytesOutRate: {name: "bytes_out_rate", form: formRate},
	GPC1: {name: "gpc1", form: formUint}, GPC1Rate: {name: "gpc1_rate", form: formRate}, ServerKey: {name: "server_key", form: formText},
	HTTPFailCnt: {name: "http_fail_cnt", form: formUint}, HTTPFailRate: {name: "http_fail_rate", form: formRate},
	GPT: {name: "gpt", form: formUint, array: true}, GPC: {name: "gpc", form: formUint, array: true},
	GPCRate: {name: "gpc_rate", form: formRate, array: true}, GlitchCnt: {name: "glitch_cnt", form: formUint},
	GlitchRate: {name: "glitch_rate", form: formRate},
}

func (d DataType) String() string { return types[d].name }

// ParseType finds a type by the name it has in the configuration.
func ParseType(name string) (DataType, bool) {
	if name == "server_name" { // an old name
		return ServerKey, true
	}
	for i := range types {
		if types[i].name == name {
			return DataType(i), true
		}
	}
	return 0, false
}

// ParseIndexed is ParseType for commands: "gpc[3]" is an element of an array; without an index it is the first.
func ParseIndexed(text string) (d DataType, index int, ok bool) {
	name, rest, indexed := strings.Cut(text, "[")
	d, ok = ParseType(name)
	if !indexed || !ok {
		return d, 0, ok
	}
	digits, closed := strings.CutSuffix(rest, "]")
	n, err := strconv.ParseUint(digits, 10, 16)
	return d, int(n), types[d].array && closed && err == nil
}

// MaxArray bounds the elements of gpc(n), gpt(n) and gpc_rate(n,T).
const MaxArray = 100

// Store asks for one type of data.
type Store struct {
	Type   DataType
	N      int           // elements of an array
	Period time.Duration // of a rate
}

// cells is where the data of one type lies in an entry.
type cells struct {
	off    int16 // index of the first word; -1: not stored
	n      uint16
	period uint32 // milliseconds
}

// instead are the arrays that stand in for the single counters, which a table has either as such or as elements.
var instead = [numTypes]struct {
	array DataType
	index int
}{GPT0: {GPT, 0}, GPC0: {GPC, 0}, GPC1: {GPC, 1}, GPC0Rate: {GPCRate, 0}, GPC1Rate: {GPCRate, 1}}

// find returns the first word of an element; -1 when it is not stored.
func (t *Table) find(d DataType, index int) int {
	c := &t.cells[d]
	if c.off < 0 {
		alt := &instead[d]
		if alt.array == ServerID { // the zero value: there is none
			return -1
		}
		if c, index = &t.cells[alt.array], alt.index; c.off < 0 {
			return -1
		}
		d = alt.array
	}
	if index < 0 || index >= int(c.n) {
		return -1
	}
	return int(c.off) + index*width(d)
}

// period is that of a rate which is stored, as itself or in its array.
func (t *Table) period(d DataType) uint32 {
	if t.cells[d].off < 0 {
		d = instead[d].array
	}
	return t.cells[d].period
}

// width is how many words an element takes.
func width(d DataType) int {
	if types[d].form == formRate {
		return 2
	}
	return 1
}

// Stores reports whether entries have this type of data, by its own name.
func (t *Table) Stores(d DataType) bool { return t.cells[d].off >= 0 }
