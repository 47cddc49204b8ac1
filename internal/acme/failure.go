package acme

import (
	"errors"
	"fmt"
	"strings"
	"time"
	"unicode"

	"github.com/mholt/acmez/v3/acme"
)

// failure is why a step, and with it perhaps the order, did not succeed. Its text is one line for people and holds nothing of a
// CA that was not cleaned.
type failure struct {
	text        string
	transient   bool          // the same step may succeed a little later
	unsent      bool          // the request certainly did not reach the CA
	status      int           // HTTP status of the answer, 0 without one
	kind        string        // problem type of the answer
	after       time.Duration // Retry-After, clamped; 0 without one
	rateLimited bool
	keep        bool // the order is worth coming back to
	over        bool // it is not, whatever the reason: the CA has closed it
}

// Error is the text.
func (f *failure) Error() string { return f.text }

// refused is a failure that repeating the step does not mend.
func refused(format string, args ...any) *failure {
	return &failure{text: fmt.Sprintf(format, args...)}
}

// said is an error in the words HAProxy has for it, capitals and full stops included.
func said(format string, args ...any) error {
	return &failure{text: fmt.Sprintf(format, args...), keep: true}
}

// asFailure gives any error the shape of a failure; err must not be nil. What is not a failure yet comes from this machine and not
// from the CA: the order it interrupted is as good as before.
func asFailure(err error) *failure {
	var f *failure
	if errors.As(err, &f) {
		return f
	}
	return &failure{text: clean(err.Error(), maxText), keep: true}
}

// problemFailure words a problem document (RFC 7807, RFC 8555 section 6.7) as HAProxy does: "DETAIL" (TYPE).
func problemFailure(what string, p *acme.Problem) *failure {
	if p == nil {
		return refused("%s", what)
	}
	return &failure{
		text:        fmt.Sprintf("%s: %q (%s)", what, problemDetail(p), clean(p.Type, 120)),
		kind:        p.Type,
		rateLimited: p.Type == acme.ProblemTypeRateLimited,
	}
}

// problemDetail is the detail with the first few subproblems, which say which name a CA objects to.
func problemDetail(p *acme.Problem) string {
	var b strings.Builder
	b.WriteString(p.Detail)
	for i, sub := range p.Subproblems {
		if i == 3 {
			fmt.Fprintf(&b, "; and %d more", len(p.Subproblems)-i)
			break
		}
		fmt.Fprintf(&b, "; %s: %s", sub.Identifier.Value, sub.Detail)
	}
	return clean(b.String(), maxText)
}

// maxText is how many bytes of a CA's text are worth a log line.
const maxText = 400

// clean makes a text of a stranger fit for one log line: control and other unprintable characters become spaces, runs of spaces
// one, and what is longer than max bytes is cut.
func clean(s string, limit int) string {
	cut := len(s) > 4*limit
	if cut {
		s = s[:4*limit]
	}
	s = strings.Map(func(r rune) rune {
		if r == unicode.ReplacementChar || !unicode.IsPrint(r) {
			return ' '
		}
		return r
	}, s)
	s = strings.Join(strings.Fields(s), " ")
	if len(s) > limit {
		s, cut = strings.ToValidUTF8(s[:limit], ""), true
	}
	if cut {
		s += "..."
	}
	return s
}
