package differential

import (
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"
)

func itoa(n int) string { return strconv.Itoa(n) }

func repeat(s string, n int) string { return strings.Repeat(s, n) }

func isHead(head string) bool { return strings.HasPrefix(head, "HEAD ") }

var wantLine = regexp.MustCompile(`X-Want: [a-z]+`)

var wantField = regexp.MustCompile(`(?i)\r\nx-want: ([a-z]+)\r\n`)

func want(head string) string {
	if m := wantField.FindStringSubmatch(head); m != nil {
		return m[1]
	}
	return ""
}

// compare tells how what we did differs from what haproxy did, "" when it does not beyond what is allowed for its version.
func compare(version, config string, theirs, ours outcome) string {
	var b strings.Builder
	check := func(i int, what string, a, o []message) {
		if x, y := write(leveled(version, config, a)), write(leveled(version, config, o)); x != y {
			fmt.Fprintf(&b, "%s %d\n%s", what, i, lineDiff(x, y))
		}
	}
	for i := range theirs.answers {
		check(i, "answer", theirs.answers[i], ours.answers[i])
		check(i, "forwarded", theirs.forwarded[i], ours.forwarded[i])
	}
	if x, y := logLines(version, config, theirs.logs), logLines(version, config, ours.logs); x != y {
		fmt.Fprintf(&b, "log lines\n%s", lineDiff(x, y))
	}
	return b.String()
}

// lineDiff shows the lines from the first to the last that differ: - is haproxy's, + ours.
func lineDiff(a, o string) string {
	x, y := strings.SplitAfter(a, "\n"), strings.SplitAfter(o, "\n")
	for len(x) > 0 && len(y) > 0 && x[0] == y[0] {
		x, y = x[1:], y[1:]
	}
	for len(x) > 0 && len(y) > 0 && x[len(x)-1] == y[len(y)-1] {
		x, y = x[:len(x)-1], y[:len(y)-1]
	}
	var b strings.Builder
	for _, l := range x {
		fmt.Fprintf(&b, "  - %.300q\n", l)
	}
	for _, l := range y {
		fmt.Fprintf(&b, "  + %.300q\n", l)
	}
	return b.String()
}

// logLines are the lines in order of their content: one may be written after the next connection's request began.
func logLines(version, config string, lines []string) string {
	plain := make([]string, 0, len(lines))
	for _, l := range lines {
		l = logLine(l)
		for _, d := range differences {
			if d.line != nil && d.applies(version, config) {
				l = d.line(l)
			}
		}
		plain = append(plain, l)
	}
	slices.Sort(plain)
	return strings.Join(plain, "")
}

// logLine is a line without what is different each time: dates, ports, process, durations.
func logLine(l string) string {
	if at := strings.Index(l, "]: "); at >= 0 {
		l = priority.FindString(l) + l[at+3:]
	}
	l = logDate.ReplaceAllString(l, "[DATE]")
	l = timers.ReplaceAllStringFunc(l, func(t string) string { return duration.ReplaceAllString(t, "N") })
	l = clfTimers.ReplaceAllStringFunc(l, func(t string) string { return duration.ReplaceAllString(t, "N") })
	return normal(l)
}

var (
	priority  = regexp.MustCompile(`^<\d+>`)
	logDate   = regexp.MustCompile(`\[\d{2}/[A-Z][a-z]{2}/\d{4}:[0-9:]{8}(\.\d{3}| [+-]\d{4})\]`)
	timers    = regexp.MustCompile(` \+?-?\d+(/\+?-?\d+){2,4} `)
	clfTimers = regexp.MustCompile(`" \d+ \d{3} "?fe\d.*`)
	duration  = regexp.MustCompile(`\b\d+\b`)
	localPort = regexp.MustCompile(`(127\.0\.0\.1|192\.0\.2\.77|198\.51\.100\.1):\d+`)
)

// normal removes what differs from run to run.
func normal(text string) string { return localPort.ReplaceAllString(text, "$1:PORT") }

// leveled removes what may differ from haproxy of that version.
func leveled(version, config string, list []message) []message {
	var kept []message
	for _, m := range list {
		if again(kept, m) {
			continue
		}
		m.start = normal(m.start)
		m.fields, m.framing = slices.Clone(m.fields), slices.Clone(m.framing)
		for i := range m.fields {
			m.fields[i] = normal(m.fields[i])
		}
		m.body = normal(m.body)
		for _, d := range differences {
			if d.message != nil && d.applies(version, config) {
				d.message(&m)
			}
		}
		kept = append(kept, m)
	}
	return kept
}

// again tells whether a message that may be repeated has been seen.
func again(seen []message, m message) bool {
	for _, d := range differences {
		if d.again != "" && strings.HasPrefix(m.start, d.again) {
			return slices.ContainsFunc(seen, func(s message) bool { return s.start == m.start })
		}
	}
	return false
}

func (d difference) applies(version, config string) bool {
	return (d.until == "" || !atLeast(version, d.until)) && (d.where == nil || d.where.MatchString(config))
}

func atLeast(version, since string) bool {
	var a, b, c, d int
	_, _ = fmt.Sscanf(version, "%d.%d", &a, &b)
	_, _ = fmt.Sscanf(since, "%d.%d", &c, &d)
	return a > c || a == c && b >= d
}
