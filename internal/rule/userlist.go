package rule

import (
	"bytes"
	"crypto/rand"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/base64"
	"fmt"
	"sync/atomic"

	"gatehouse/internal/config"
	"gatehouse/internal/stream"
)

// Userlist are the accounts of one userlist section. It is immutable, except that each account remembers the last password that was
// found right, as a salted digest: verifying a $6$ hash takes about a millisecond, which a client that says its password with every
// request must not cost each time.
type Userlist struct {
	name  string
	users map[string]*account
}

type account struct {
	password string
	plain    bool
	groups   [][]byte
	good     atomic.Pointer[[sha256.Size]byte]
}

// digestSalt makes the digests of this process unlike those of any other.
var digestSalt = func() (salt [16]byte) {
	_, _ = rand.Read(salt[:]) // never fails
	return salt
}()

// NewUserlist makes accounts of a section. Hashes of a kind that is not known are refused, naming the user but not the hash.
func NewUserlist(l *config.Userlist, diags *config.Diags) *Userlist {
	u := &Userlist{name: l.Name, users: map[string]*account{}}
	for _, x := range l.Users {
		if x.Password != "" && !x.Insecure && !cryptKnown(x.Password) {
			*diags = append(*diags, config.Diag{Level: config.LevelAlert, Pos: x.Pos, Text: fmt.Sprintf(
				"config : parsing [%s:%d]: the encrypted password used for user '%s' is not supported by crypt(3).", x.Pos.File, x.Pos.Line, x.Name)})
			continue
		}
		a := &account{password: x.Password, plain: x.Insecure}
		for _, g := range x.Groups {
			a.groups = append(a.groups, []byte(g))
		}
		u.users[x.Name] = a
	}
	return u
}

// Accounts makes a list of users and plain passwords, as `stats auth` gives them; the first of a name counts.
func Accounts(name string, pairs []config.StatsAccount) *Userlist {
	u := &Userlist{name: name, users: map[string]*account{}}
	for _, p := range pairs {
		if u.users[p.User] == nil {
			u.users[p.User] = &account{password: p.Password, plain: true}
		}
	}
	return u
}

// check finds the account of a user whose password is right; nil otherwise.
func (u *Userlist) check(user, password []byte) *account {
	a := u.users[string(user)]
	if a == nil || !a.plain && a.password == "" || !a.matches(password) {
		return nil
	}
	return a
}

// maxPassword bounds what is hashed for a stranger.
const maxPassword = 512

func (a *account) matches(password []byte) bool {
	if len(password) > maxPassword {
		return false
	}
	if a.plain {
		return subtle.ConstantTimeCompare([]byte(a.password), password) == 1
	}
	var room [len(digestSalt) + maxPassword]byte
	digest := sha256.Sum256(append(append(room[:0], digestSalt[:]...), password...))
	if good := a.good.Load(); good != nil && subtle.ConstantTimeCompare(good[:], digest[:]) == 1 {
		return true
	}
	if !cryptMatches(password, a.password) {
		return false
	}
	kept := digest
	a.good.Store(&kept)
	return true
}

// credentials splits the Authorization field at its first blanks: the scheme, and what it says.
func credentials(v []byte) (scheme, said []byte, ok bool) {
	i := bytes.IndexByte(v, ' ')
	if i <= 0 {
		return nil, nil, false
	}
	return v[:i], bytes.TrimLeft(v[i:], " "), true
}

// authorization is where a client says who it is: to the server that it takes us for, or to its proxy.
func authorization(s *stream.Stream) header {
	if s.Req.ViaProxy {
		return header{name: "proxy-authorization", full: true}
	}
	return header{name: "authorization", full: true}
}

// basic reads user and password of a request (RFC 7617).
func basic(s *stream.Stream) (user, password []byte, ok bool) {
	v, _, ok := authorization(s).next(s, cursor{})
	if !ok {
		return nil, nil, false
	}
	scheme, said, ok := credentials(v)
	if !ok || !foldEqual(scheme, "basic") || len(said) > 4*maxPassword {
		return nil, nil, false
	}
	decoded := s.Build(func(dst []byte) []byte {
		out, err := base64.StdEncoding.AppendDecode(dst, said)
		if err != nil {
			return dst
		}
		return out
	})
	return bytes.Cut(decoded, []byte{':'})
}

// authFetches read what a client says of itself (manual 7.3.6).
func authFetches() []fetch {
	str := func(of func(user, password []byte) []byte) func(args) (source, error) {
		return plain(func(s *stream.Stream, _ Env) (Value, bool) {
			user, password, ok := basic(s)
			return text(of(user, password)), ok
		})
	}
	return []fetch{
		{"http_auth", takes(1, argUserlist), stream.KindBool, needReqHeaders, "user and password are those of an account of the userlist", bindHTTPAuth},
		{"http_auth_group", takes(1, argUserlist), stream.KindStr, needReqHeaders, "the user whose password is right; in ACLs, the user's groups", bindHTTPAuthGroup},
		{"http_auth_user", noArgs, stream.KindStr, needReqHeaders, "user of basic authentication", str(func(u, _ []byte) []byte { return u })},
		{"http_auth_pass", noArgs, stream.KindStr, needReqHeaders, "password of basic authentication", str(func(_, p []byte) []byte { return p })},
		{"http_auth_type", noArgs, stream.KindStr, needReqHeaders, "Basic or Bearer", plain(authType)},
		{"http_auth_bearer", takes(0, argStr), stream.KindStr, needReqHeaders, "the bearer's token, of Authorization or another field", bindBearer},
	}
}

// userlist resolves the argument of http_auth and http_auth_group.
func (a args) userlist(fetch string) (*Userlist, error) {
	name := a.str(0)
	if name == "" {
		return nil, fmt.Errorf("missing userlist name in arg 1 of fetch keyword '%s'", fetch)
	}
	if a.c.Userlists != nil {
		if l := a.c.Userlists(name); l != nil {
			return l, nil
		}
	}
	return nil, fmt.Errorf("unable to find userlist '%s' referenced in arg 1 of fetch keyword '%s'", name, fetch)
}

func bindHTTPAuth(a args) (source, error) {
	l, err := a.userlist("http_auth")
	return source{one: func(s *stream.Stream, _ Env) (Value, bool) {
		user, password, ok := basic(s)
		return boolean(ok && l.check(user, password) != nil), ok
	}}, err
}

// bindHTTPAuthGroup gives conditions the groups one after the other, and everyone else the user.
func bindHTTPAuthGroup(a args) (source, error) {
	l, err := a.userlist("http_auth_group")
	find := func(s *stream.Stream) (*account, []byte) {
		user, password, ok := basic(s)
		if !ok {
			return nil, nil
		}
		return l.check(user, password), user
	}
	return source{
		one: func(s *stream.Stream, _ Env) (Value, bool) {
			x, user := find(s)
			return text(user), x != nil
		},
		each: func(s *stream.Stream, _ Env, at cursor) (Value, cursor, bool) {
			x, _ := find(s)
			if x == nil || at.field >= len(x.groups) {
				return Value{}, at, false
			}
			return text(x.groups[at.field]), cursor{field: at.field + 1}, true
		},
	}, err
}

var (
	basicType  = []byte("Basic")
	bearerType = []byte("Bearer")
)

func authType(s *stream.Stream, _ Env) (Value, bool) {
	if _, _, ok := basic(s); ok {
		return text(basicType), true
	}
	if _, ok := bearer(s, authorization(s)); ok {
		return text(bearerType), true
	}
	return Value{}, false
}

func bearer(s *stream.Stream, h header) ([]byte, bool) {
	v, _, ok := h.next(s, cursor{})
	if !ok {
		return nil, false
	}
	scheme, said, ok := credentials(v)
	return said, ok && foldEqual(scheme, "bearer")
}

func bindBearer(a args) (source, error) {
	name := string(bytes.ToLower([]byte(a.str(0))))
	return source{one: func(s *stream.Stream, _ Env) (Value, bool) {
		h := authorization(s)
		if name != "" {
			h.name = name
		}
		token, ok := bearer(s, h)
		return text(token), ok
	}}, nil
}

// bindAuth asks for user and password with the error page of 401.
func bindAuth(p *ruleParser) (actionFunc, error) {
	realm := p.c.Realm
	if realm == "" {
		realm = p.c.Proxy
	}
	if len(p.words) > 0 && p.words[0] == "realm" {
		p.next()
		w, err := p.take(1, "missing realm value.\n")
		if err != nil {
			return nil, err
		}
		realm = w[0]
	}
	challenge := []byte(`Basic realm="` + realm + `"`)
	if !headerSafe(challenge) {
		return nil, fmt.Errorf("a header value must not contain CR, LF or NUL")
	}
	return func(s *stream.Stream, _ Env) Verdict {
		if s.Req.ViaProxy {
			return answer(s, VerdictReturn, Reply{Status: 407, ErrorFile: 407, Challenge: challenge})
		}
		return answer(s, VerdictReturn, Reply{Status: 401, ErrorFile: 401, Challenge: challenge})
	}, nil
}
