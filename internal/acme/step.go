package acme

import (
	"slices"
	"strings"

	"github.com/mholt/acmez/v3/acme"
)

// action is what to do next with an order or an authorization.
//
//	order:          pending -> authorize, ready -> finalize, processing -> poll, valid -> download, anything else -> abandon
//	authorization:  pending -> answer or poll, valid -> skip, anything else -> abandon
type action string

const (
	authorize action = "authorize"
	answer    action = "answer"
	poll      action = "poll"
	finalize  action = "finalize"
	download  action = "download"
	skip      action = "skip"
	abandon   action = "abandon"
)

// maxFinalize is how often an order that stays "ready" is finalized before it is given up. A repetition is only needed when the
// answer to the first one was lost.
const maxFinalize = 3

// orderState is what the next step of an order depends on.
type orderState struct {
	order      acme.Order
	asked      []acme.Identifier
	authorized bool // every authorization was seen valid
	finalized  int  // how often finalize was sent in this run
}

// nextOrder decides how an order goes on (RFC 8555 section 7.1.6). With abandon comes the reason.
func nextOrder(s orderState) (action, *failure) {
	o := s.order
	if !sameIdentifiers(o.Identifiers, s.asked) {
		return abandon, refused("the CA's order is for other names than those asked for")
	}
	switch o.Status {
	case acme.StatusPending:
		switch {
		case s.finalized > 0:
			return abandon, refused("the order fell back to pending after it was finalized")
		case s.authorized:
			return poll, nil
		case len(o.Authorizations) == 0:
			return abandon, refused("no authorizations found in newOrder response")
		case len(o.Authorizations) > 2*len(s.asked):
			return abandon, refused("the order has %d authorizations for %d names", len(o.Authorizations), len(s.asked))
		}
		return authorize, nil
	case acme.StatusReady:
		switch {
		case o.Finalize == "":
			return abandon, refused("couldn't find the finalize URL")
		case s.finalized >= maxFinalize:
			return abandon, refused("the order is still ready after it was finalized %d times", s.finalized)
		}
		return finalize, nil
	case acme.StatusProcessing:
		return poll, nil
	case acme.StatusValid:
		if o.Certificate == "" {
			return abandon, refused("couldn't get the certificate URL")
		}
		return download, nil
	case acme.StatusInvalid:
		return abandon, problemFailure("order status: invalid", o.Error)
	}
	return abandon, refused("order status: %s", clean(o.Status, 40))
}

// nextAuthorization decides how one authorization goes on; with answer comes the http-01 challenge to answer.
func nextAuthorization(az acme.Authorization, asked []acme.Identifier) (action, acme.Challenge, *failure) {
	none := acme.Challenge{}
	if !slices.ContainsFunc(asked, func(id acme.Identifier) bool { return sameIdentifier(id, az.Identifier) }) {
		return abandon, none, refused("an authorization is for a name that was not asked for")
	}
	switch az.Status {
	case acme.StatusValid:
		return skip, none, nil
	case acme.StatusPending, acme.StatusProcessing:
	case acme.StatusInvalid:
		return abandon, none, challengeFailure(az)
	default:
		return abandon, none, refused("authorization of %s is %s", clean(az.Identifier.Value, 253), clean(az.Status, 40))
	}
	i := slices.IndexFunc(az.Challenges, func(c acme.Challenge) bool { return c.Type == acme.ChallengeTypeHTTP01 })
	if i < 0 {
		return abandon, none, refused("the CA offers no http-01 challenge for %s", clean(az.Identifier.Value, 253))
	}
	ch := az.Challenges[i]
	switch ch.Status {
	case acme.StatusPending:
	case acme.StatusProcessing, acme.StatusValid: // valid: the authorization follows
		return poll, ch, nil
	case acme.StatusInvalid:
		return abandon, none, challengeFailure(az)
	default:
		return abandon, none, refused("challenge status: %s", clean(ch.Status, 40))
	}
	if !validToken(ch.Token) {
		return abandon, none, refused("couldn't get a token of the http-01 challenge of %s", clean(az.Identifier.Value, 253))
	}
	return answer, ch, nil
}

// challengeFailure is why an authorization failed: the first challenge that says so.
func challengeFailure(az acme.Authorization) *failure {
	for _, ch := range az.Challenges {
		if ch.Error != nil {
			return problemFailure("challenge error of "+clean(az.Identifier.Value, 253), ch.Error)
		}
	}
	return refused("challenge error of %s: unknown", clean(az.Identifier.Value, 253))
}

func sameIdentifier(a, b acme.Identifier) bool {
	return a.Type == b.Type && strings.EqualFold(a.Value, b.Value)
}

// sameIdentifiers compares two sets of names; order and repetitions do not count.
func sameIdentifiers(a, b []acme.Identifier) bool {
	within := func(a, b []acme.Identifier) bool {
		for _, id := range a {
			if !slices.ContainsFunc(b, func(other acme.Identifier) bool { return sameIdentifier(id, other) }) {
				return false
			}
		}
		return true
	}
	return within(a, b) && within(b, a)
}

// maxToken bounds a challenge token; RFC 8555 asks for 128 bits of entropy, which is 22 characters.
const maxToken = 512

// validToken says whether a token is of the base64url alphabet (RFC 8555 section 8.3), so that it can be nothing else in a path.
func validToken(token string) bool {
	if token == "" || len(token) > maxToken {
		return false
	}
	for i := range len(token) {
		c := token[i]
		switch {
		case c >= 'a' && c <= 'z', c >= 'A' && c <= 'Z', c >= '0' && c <= '9', c == '-', c == '_':
		default:
			return false
		}
	}
	return true
}
