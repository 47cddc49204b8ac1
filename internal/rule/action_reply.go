package rule

import (
	"net/http"

	"gatehouse/internal/stream"
)

func replyActions() []action {
	return []action{
		{"return", atRequest | atResponse, "answer in the server's stead", bindReply(VerdictReturn, 200, 200)},
		{"deny", atRequest | atResponse, "refuse with an error page or an answer of one's own", bindReply(VerdictDeny, 403, 502)},
		{"tarpit", atRequest, "refuse after timeout tarpit", bindReply(VerdictTarpit, 500)},
		{"auth", atRequest, "ask for user and password", bindAuth},
		{"redirect", atRequest | atResponse, "send the client elsewhere", bindRedirect},
	}
}

// reasons are the phrases HAProxy sends where they are not those of the IANA registry.
var reasons = map[int]string{
	210: "Content Different", 300: "Multiple Choices", 310: "Too many Redirects", 408: "Request Time-out", 414: "Request-URI Too Long",
	416: "Requested range unsatisfiable", 417: "Expectation failed", 422: "Unprocessable Content", 424: "Method failure", 449: "Retry With",
	450: "Blocked by Windows Parental Controls", 456: "Unrecoverable Error", 499: "client has closed connection",
	502: "Bad Gateway or Proxy Error", 504: "Gateway Time-out", 505: "HTTP Version not supported", 506: "Variant also negotiate",
	507: "Insufficient storage", 508: "Loop detected", 509: "Bandwidth Limit Exceeded", 510: "Not extended",
	511: "Network authentication required", 520: "Web server is returning an unknown error",
}

// ReasonOf returns the reason phrase that HAProxy sends with a status.
func ReasonOf(status int) string {
	if t := reasons[status]; t != "" {
		return t
	}
	if t := http.StatusText(status); t != "" && status != 208 {
		return t
	}
	return [...]string{"Informational", "Success", "Redirection", "Client Error", "Server Error"}[max(min(status/100, 5), 1)-1]
}

// answer puts a reply into the stream.
func answer(s *stream.Stream, kind VerdictKind, r Reply) Verdict {
	r.Fields = s.Reply.Fields[:0]
	s.Reply = r
	return Verdict{Kind: kind, Reply: &s.Reply, Status: r.Status}
}

// bindReply makes return, deny and tarpit; usual is their status when the rule names none, on a request and on a response.
func bindReply(kind VerdictKind, usual ...int) func(*ruleParser) (actionFunc, error) {
	return func(p *ruleParser) (actionFunc, error) {
		r := &replySpec{status: usual[0], old: kind != VerdictReturn}
		if p.at == atResponse {
			r.status = usual[1]
		}
		if r.old && plainDeny(p.words) {
			r.source = "default-errorfiles"
		}
		if err := r.parse(p); err != nil {
			return nil, err
		}
		return func(s *stream.Stream, env Env) Verdict {
			if p.at == atResponse { // the server's is dropped before ours is made, so that samples find nothing of it but its version
				major, minor := s.Res.Major, s.Res.Minor
				s.Res.Reset()
				s.Res.Major, s.Res.Minor = major, minor
			}
			reply := r.reply(s, env)
			return Verdict{Kind: kind, Reply: reply, Status: r.status}
		}, nil
	}
}

// plainDeny reports whether a deny rule says no more than its status the old way: the error page is sent then, and only then,
// without being asked for.
func plainDeny(words []string) bool {
	if len(words) > 1 && words[0] == "deny_status" {
		words = words[2:]
	}
	return len(words) == 0 || isCondWord(words[0])
}
