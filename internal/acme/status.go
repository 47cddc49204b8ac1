package acme

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"gatehouse/internal/certstore"
)

// StatusHeader is the first line of `acme status`, without its newline (surface of HAProxy 3.4).
const StatusHeader = "# certificate\tsection\tstate\texpiration date (UTC)\texpires in\tscheduled date (UTC)\tscheduled in"

// Row is one line of `acme status`, with what HAProxy's table has no column for.
type Row struct {
	Certificate string
	Section     string
	State       string    // "Running", "Scheduled" or "Stopped"
	Expires     time.Time // zero when there is no certificate
	Scheduled   time.Time // zero when nothing is scheduled

	Temporary bool      // a stand-in is served until the first certificate is issued
	Failures  int       // in a row
	Reason    string    // of the last failure; empty after a success
	Failed    time.Time // when that was
	Stage     string    // of the order the last attempt left open: "ordered", "finalize", "download" or "store"; empty without one
}

// Line is the row as `acme status` prints it, without its newline.
func (r Row) Line(now time.Time) string {
	return strings.Join([]string{
		r.Certificate, r.Section, r.State,
		date(r.Expires), in(r.Expires, now), date(r.Scheduled), in(r.Scheduled, now),
	}, "\t")
}

func date(t time.Time) string {
	if t.IsZero() {
		return "-"
	}
	return t.UTC().Format("2006-01-02T15:04:05Z")
}

func in(t, now time.Time) string {
	if t.IsZero() {
		return "-"
	}
	s := max(int64(t.Sub(now)/time.Second), 0)
	return fmt.Sprintf("%dd %dh%02dm%02ds", s/86400, s/3600%24, s/60%60, s%60)
}

// Status is one row for each managed certificate, sorted by name. What is due and waits for its turn shows a scheduled date that is
// past.
func (m *Manager) Status() []Row {
	managed := m.o.Store.Managed()
	now := time.Now()
	m.mu.Lock()
	defer m.mu.Unlock()
	rows := make([]Row, 0, len(managed))
	for _, c := range managed {
		row := Row{Certificate: c.Name, Section: c.Attrs.ACME, State: "Scheduled"}
		if c.Bundle != nil {
			row.Expires, row.Temporary = c.Bundle.NotAfter, c.Bundle.Temporary()
		}
		r := m.names[c.Name]
		if r == nil {
			r = &record{}
		}
		row.Failures, row.Reason, row.Failed = r.retry.Failures, r.retry.Text, r.retry.Last
		if r.order != nil {
			row.Stage = r.order.Stage
		}
		switch s := m.sections[c.Attrs.ACME]; {
		case r.cancel != nil || r.forced:
			row.State, row.Scheduled = "Running", now
		case !m.scheduler || s == nil:
			row.State = "Stopped"
		default:
			row.Scheduled = later(r.dueAt(wishes(s, c.Attrs), c.Bundle, true, now), time.Unix(1, 0))
		}
		rows = append(rows, row)
	}
	slices.SortFunc(rows, func(a, b Row) int { return strings.Compare(a.Certificate, b.Certificate) })
	return rows
}

// Renew starts an order for a certificate at once, regardless of its dates and of earlier failures: what `acme renew CRT` does. The errors are
// HAProxy's texts, several lines where it prints several. While as many orders are open as may be, the certificate is next in line.
func (m *Manager) Renew(name string) error {
	managed := m.o.Store.Managed()
	i := slices.IndexFunc(managed, func(c certstore.Managed) bool { return c.Name == name })
	if i < 0 {
		if m.o.Store.Bundle(name) == nil {
			return said("Can't find the certificate '%s'.", name)
		}
		return said("No ACME configuration defined for file '%s'.", name)
	}
	c := managed[i]
	m.mu.Lock()
	defer m.mu.Unlock()
	r := m.recordLocked(name)
	switch {
	case m.sections[c.Attrs.ACME] == nil:
		return said("No ACME configuration defined for file '%s'.", name)
	case r.cancel != nil || r.forced:
		return said("Task already exists for '%s' certificate.\nCan't start the ACME client.", name)
	case len(identifiers(c.Attrs.Domains, c.Attrs.IPs)) == 0:
		return said("No 'domains' or 'ips' were configured for certificate. \nCan't start the ACME client.")
	}
	r.forced = true
	m.Wake()
	return nil
}
