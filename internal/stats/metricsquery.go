package stats

import (
	"net/url"
	"strings"
)

// MetricsQuery is what a scrape asks for.
type MetricsQuery struct {
	global, tables             bool
	kinds                      [4]bool // by Kind
	noMaint, descLabels, extra bool
	names                      map[string]bool // metrics: false leaves the family out
	onlyNamed                  bool            // families that are not named are left out
}

// scopes are the values of scope and the kinds they stand for.
var scopes = map[string]Kind{"frontend": Frontend, "backend": Backend, "server": Server, "listener": Listener}

// ParseMetricsQuery reads the query string of a scrape, without the question mark: scope, metrics, no-maint, desc-labels and
// extra-counters as HAProxy's exporter has them. Others mean nothing. False: it is malformed, or a scope is unknown.
func ParseMetricsQuery(query string) (*MetricsQuery, bool) {
	q := &MetricsQuery{}
	q.all(true)
	scoped := false
	for part := range strings.SplitSeq(query, "&") {
		key, value, has := strings.Cut(part, "=")
		key, err := url.QueryUnescape(key)
		if err != nil || strings.Contains(value, "=") {
			return nil, false
		}
		value, err = url.QueryUnescape(value)
		if err != nil || !has && (key == "scope" || key == "metrics") {
			return nil, false
		}
		switch key {
		case "scope":
			if !scoped {
				q.all(false)
			}
			scoped = true
			if !q.scope(value) {
				return nil, false
			}
		case "metrics":
			q.filter(value)
		case "no-maint":
			q.noMaint = true
		case "desc-labels":
			q.descLabels = true
		case "extra-counters":
			q.extra = true
		}
	}
	return q, true
}

func (q *MetricsQuery) all(on bool) {
	q.global, q.tables = on, on
	for k := range q.kinds {
		q.kinds[k] = on
	}
}

// scope adds one scope; an empty one takes those before it back.
func (q *MetricsQuery) scope(name string) bool {
	kind, ok := scopes[name]
	switch {
	case ok:
		q.kinds[kind] = true
	case name == "global":
		q.global = true
	case name == "sticktable":
		q.tables = true
	case name == "", name == "*":
		q.all(name == "*")
	default:
		return false
	}
	return true
}

// filter reads a list of names, those to leave out behind a minus.
func (q *MetricsQuery) filter(list string) {
	if q.names == nil {
		q.names = map[string]bool{}
	}
	for name := range strings.SplitSeq(list, ",") {
		name, out := strings.CutPrefix(name, "-")
		if name == "" {
			continue
		}
		q.names[name] = !out
		q.onlyNamed = q.onlyNamed || !out
	}
}

// shows reports whether a family is wanted.
func (q *MetricsQuery) shows(name string) bool {
	if in, named := q.names[name]; named {
		return in
	}
	return !q.onlyNamed
}
