package stats

import (
	"slices"
	"strconv"
	"strings"
	"time"
)

// Metrics encodes rows and the process as Prometheus reads them (text format 0.0.4), with the names and labels of HAProxy's exporter.
// Each family is gathered on its own, so that one pass over the rows is enough; a value that does not exist is NaN, as HAProxy
// has it. The zero Metrics is not usable, NewMetrics makes one.
type Metrics struct {
	q        *MetricsQuery
	describe func(proxy string) string
	families [4][]family
	process  []byte
	tables   [2][]byte // the samples of tableMetrics
	labels   []byte    // of the object at hand, without the closing brace
	size     int
	tally    tally
}

// family is what one metric of one kind of object shows: its samples and, in front of each, its name.
type family struct {
	wanted  bool
	name    string
	samples []byte
}

// tally counts the servers of the backend whose rows are passing.
type tally struct {
	servers int
	states  [5]int
	checks  [16]int
}

// maxMetrics bounds one answer in bytes; it has room for some ten thousand servers.
const maxMetrics = 64 << 20

var kindPrefix = [4]string{"haproxy_frontend_", "haproxy_backend_", "haproxy_server_", "haproxy_listener_"}

// NewMetrics prepares an answer to q. With desc-labels describe tells the description of a section; it may be nil.
func NewMetrics(q *MetricsQuery, describe func(proxy string) string) *Metrics {
	m := &Metrics{q: q, describe: describe}
	for k := range m.families {
		m.families[k] = make([]family, len(metrics))
		for i := range metrics {
			name := kindPrefix[k] + metrics[i].name
			of := strings.IndexByte(metrics[i].kinds, Kind(k).letter()) >= 0
			wanted := of && q.kinds[k] && q.shows(name) && (metrics[i].how != moduleMetric || q.extra)
			m.families[k][i] = family{wanted: wanted, name: name}
		}
	}
	return m
}

// Row takes one row of the table. The servers of a backend come before its own row.
func (m *Metrics) Row(r *Row) {
	switch r.Kind {
	case Server:
		m.tally.add(r)
	case Backend:
		defer func() { m.tally = tally{} }()
	}
	if !m.q.kinds[r.Kind] || m.TooBig() || m.q.noMaint && r.Maint() {
		return
	}
	proxy := r.Text(ColProxy)
	m.labels = appendLabel(append(m.labels[:0], '{'), "proxy", proxy)
	if r.Kind == Server || r.Kind == Listener {
		m.labels = appendLabel(append(m.labels, ','), strings.ToLower(r.Kind.String()), r.Text(ColServer))
	}
	if m.q.descLabels && m.describe != nil {
		if text := m.describe(proxy); text != "" {
			m.labels = appendLabel(append(m.labels, ','), "desc", text)
		}
	}
	for i := range metrics {
		f := &m.families[r.Kind][i]
		if !f.wanted {
			continue
		}
		before := len(f.samples)
		m.samples(f, &metrics[i], r)
		m.size += len(f.samples) - before
	}
}

// samples writes what a row shows in one family.
func (m *Metrics) samples(f *family, of *metric, r *Row) {
	v := r.Get(of.col)
	http := r.Text(ColMode) == "http"
	switch of.how {
	case plainMetric:
		m.put(f, "", "", v)
	case httpMetric:
		if http {
			m.put(f, "", "", v)
		}
	case moduleMetric:
		m.put(f, "mod", "ssl", v)
	case secondsOf:
		if v.Set() {
			f.samples = append(append(append(append(f.samples, f.name...), m.labels...), "} "...), secondsText(v.Int())...)
			f.samples = append(f.samples, '\n')
		}
	case classMetric:
		for _, c := range responseClasses {
			if http {
				m.put(f, "code", c.code, r.Get(c.col))
			}
		}
	case stateMetric:
		names, at := stateOf(r)
		m.each(f, names, func(i int) bool { return i == at })
	case checkMetric:
		m.check(f, of, r)
	case serversBy:
		for i, name := range serverStates {
			if m.tally.servers > 0 {
				m.number(f, "state", name, int64(m.tally.states[i]))
			}
		}
	case checksBy:
		for i, name := range checkStates {
			if m.tally.servers > 0 {
				m.number(f, "state", name, int64(m.tally.checks[i]))
			}
		}
	}
}

// check writes the result or the code of a server's last check; checks rest while it is in maintenance.
func (m *Metrics) check(f *family, of *metric, r *Row) {
	status, ok := checkOf(r)
	switch {
	case !ok:
	case of.col == ColCheckStatus:
		m.each(f, checkStates, func(i int) bool { return checkStates[i] == status })
	default:
		m.number(f, "", "", r.Get(ColCheckCode).Int())
	}
}

func checkOf(r *Row) (status string, ok bool) {
	return strings.TrimPrefix(r.Text(ColCheckStatus), "* "), r.Get(ColCheckStatus).Set() && !r.Maint()
}

// each writes one sample per state.
func (m *Metrics) each(f *family, names []string, holds func(int) bool) {
	for i, name := range names {
		n := int64(0)
		if holds(i) {
			n = 1
		}
		m.number(f, "state", name, n)
	}
}

// put writes one sample of a cell, with one more label unless that has no name.
func (m *Metrics) put(f *family, label, value string, v Value) {
	f.samples = append(m.begin(f, label, value), "NaN\n"...)
	if v.Set() {
		f.samples = append(strconv.AppendInt(f.samples[:len(f.samples)-len("NaN\n")], v.Int(), 10), '\n')
	}
}

func (m *Metrics) number(f *family, label, value string, n int64) {
	m.put(f, label, value, Value{set: true, n: n})
}

func (m *Metrics) begin(f *family, label, value string) []byte {
	out := append(append(f.samples, f.name...), m.labels...)
	if label != "" {
		out = appendLabel(append(out, ','), label, value)
	}
	return append(out, "} "...)
}

// secondsText shows milliseconds as seconds.
func secondsText(ms int64) string { return strconv.FormatFloat(float64(ms)/1000, 'f', 6, 64) }

// stateOf finds the state of a row among those its kind has.
func stateOf(r *Row) (names []string, at int) {
	s := r.Text(ColStatus)
	switch r.Kind {
	case Server:
		return serverStates, serverState(s)
	case Listener:
		return listenerStates, slices.Index(listenerStates, s)
	}
	if strings.HasPrefix(s, "DOWN") || s == "STOP" {
		return upOrDown, 0
	}
	return upOrDown, 1
}

func serverState(s string) int {
	for i, name := range serverStates {
		if strings.HasPrefix(s, name) {
			return i
		}
	}
	if s == "no check" {
		return 1
	}
	return 0
}

func (t *tally) add(r *Row) {
	t.servers++
	t.states[serverState(r.Text(ColStatus))]++
	if status, ok := checkOf(r); ok {
		if i := slices.Index(checkStates, status); i >= 0 {
			t.checks[i]++
		}
	}
}

// Info takes the process, as seen at now.
func (m *Metrics) Info(info *Info, now time.Time) {
	if !m.q.global {
		return
	}
	for _, f := range info.Fields(now, false) {
		name := "haproxy_process_" + infoMetrics[f.Name]
		if infoMetrics[f.Name] == "" || !m.q.shows(name) {
			continue
		}
		m.process = appendFamily(m.process, name, f.Desc, f.Tags[1] == 'C' || infoCounters[f.Name])
		labels, value := []byte{'{'}, "1"
		switch f.Name {
		case "node":
			labels = appendLabel(labels, "node", f.Value)
		case "Build info":
			labels = appendLabel(labels, "version", info.Version)
		case "description":
		default:
			value = f.Value
		}
		if info.Description != "" && (m.q.descLabels || f.Name == "description") {
			if len(labels) > 1 {
				labels = append(labels, ',')
			}
			labels = appendLabel(labels, "desc", info.Description)
		}
		m.process = append(m.process, name...)
		if len(labels) > 1 {
			m.process = append(append(m.process, labels...), '}')
		}
		m.process = append(append(append(m.process, ' '), value...), '\n')
	}
}

// tableMetrics are the families of stick tables.
var tableMetrics = [2]struct{ name, help string }{
	{"haproxy_sticktable_size", "Stick table size."},
	{"haproxy_sticktable_used", "Number of entries used in this stick table."},
}

// Table takes a stick table: its name, the word for its keys, how many entries it has room for and how many it holds.
func (m *Metrics) Table(name, kind string, size, used int) {
	if !m.q.tables || m.TooBig() {
		return
	}
	for i, n := range [2]int{size, used} {
		if !m.q.shows(tableMetrics[i].name) {
			continue
		}
		before := len(m.tables[i])
		out := append(append(m.tables[i], tableMetrics[i].name...), '{')
		out = appendLabel(append(appendLabel(out, "name", name), ','), "type", kind)
		m.tables[i] = append(strconv.AppendInt(append(out, "} "...), int64(n), 10), '\n')
		m.size += len(m.tables[i]) - before
	}
}

// TooBig reports that there was more than one answer may hold, and that it is not whole therefore.
func (m *Metrics) TooBig() bool { return m.size > maxMetrics }

// Append appends everything taken so far, each family below its HELP and TYPE lines.
func (m *Metrics) Append(dst []byte) []byte {
	dst = append(slices.Grow(dst, m.size+len(m.process)), m.process...)
	for _, k := range []Kind{Frontend, Listener, Backend, Server} {
		for i := range m.families[k] {
			f := &m.families[k][i]
			if len(f.samples) == 0 {
				continue
			}
			of := &metrics[i]
			dst = appendFamily(dst, f.name, of.help(k), of.col.tagsOn(k)[1] == 'C')
			dst = append(dst, f.samples...)
		}
	}
	for i, samples := range m.tables {
		if len(samples) > 0 {
			dst = append(appendFamily(dst, tableMetrics[i].name, tableMetrics[i].help, false), samples...)
		}
	}
	return dst
}

func appendFamily(dst []byte, name, help string, counter bool) []byte {
	dst = append(append(append(append(dst, "# HELP "...), name...), ' '), help...)
	dst = append(append(dst, "\n# TYPE "...), name...)
	if counter {
		return append(dst, " counter\n"...)
	}
	return append(dst, " gauge\n"...)
}

// appendLabel writes name="value" with what the format escapes.
func appendLabel(dst []byte, name, value string) []byte {
	dst = append(append(dst, name...), `="`...)
	for _, c := range []byte(strings.ToValidUTF8(value, "\uFFFD")) {
		switch c {
		case '\\', '"':
			dst = append(dst, '\\', c)
		case '\n':
			dst = append(dst, `\n`...)
		default:
			dst = append(dst, c)
		}
	}
	return append(dst, '"')
}
