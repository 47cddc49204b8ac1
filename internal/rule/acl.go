package rule

import (
	"fmt"
	"strconv"
	"strings"

	"gatehouse/internal/config"
	"gatehouse/internal/pattern"
	"gatehouse/internal/stream"
)

// ACLs are the named conditions of one proxy.
type ACLs struct {
	byName map[string]*acl
	find   func(name string) *acl // a name of these or a predefined one; nil when there is none
}

// lookup finds an ACL while a sample expression is compiled, nil when there is none of that name.
func (set *ACLs) lookup(name string) *acl {
	if set == nil {
		return nil
	}
	return set.find(name)
}

// acl is true when one of its tests is.
type acl struct {
	name  string // "" for an anonymous one
	tests []aclTest
	need  []need // of each test
}

type aclTest struct {
	expr  *Expr
	kind  stream.Kind
	match matcher
}

func (a *acl) eval(s *stream.Stream, env Env) bool {
	for i := range a.tests {
		t := &a.tests[i]
		if t.expr.any(s, env, t.kind, t.match) {
			return true
		}
	}
	return false
}

// usable reports whether one of the tests can be answered in a place.
func (a *acl) usable(in scope) bool {
	for _, n := range a.need {
		if in.has(n) {
			return true
		}
	}
	return len(a.need) == 0
}

// reads reports whether one of the tests looks at any of n.
func (a *acl) reads(n need) bool {
	for _, has := range a.need {
		if has&n != 0 {
			return true
		}
	}
	return false
}

// derived are the old criterion names that say fetch and method at once.
var derived = func() map[string][2]string {
	m := map[string][2]string{
		"hdr": {"req.hdr", "str"}, "method": {"method", "meth"}, "req_ver": {"req.ver", "str"}, "resp_ver": {"res.ver", "str"},
		"req_ssl_sni": {"req.ssl_sni", "str"}, "req.ssl_ver": {"req.ssl_ver", "ver"}, "req_ssl_ver": {"req.ssl_ver", "ver"},
		"payload": {"req.payload", "bin"}, "payload_lv": {"req.payload_lv", "bin"},
		"req_rdp_cookie": {"req.rdp_cookie", "str"}, "req_rdp_cookie_cnt": {"req.rdp_cookie_cnt", "int"},
		"http_auth_group": {"http_auth_group", "str"},
		"ssl_fc_sni_end":  {"ssl_fc_sni", "end"}, "ssl_fc_sni_reg": {"ssl_fc_sni", "reg"},
	}
	for name, fetch := range map[string]string{
		"base": "base", "cook": "req.cook", "hdr": "req.hdr", "path": "path", "scook": "res.cook", "shdr": "res.hdr", "url": "url", "urlp": "urlp",
	} {
		for _, suffix := range []string{"beg", "dir", "dom", "end", "len", "reg", "sub"} {
			m[name+"_"+suffix] = [2]string{fetch, suffix}
		}
	}
	return m
}()

// predefined are the ACLs every proxy has unless it defines its own of that name (manual 7.4).
var predefined = map[string][]string{
	"TRUE": {"always_true"}, "FALSE": {"always_false"}, "LOCALHOST": {"src", "127.0.0.1/8", "::1"},
	"HTTP": {"req.proto_http"}, "HTTP_1.0": {"req.ver", "1.0"}, "HTTP_1.1": {"req.ver", "1.1"}, "HTTP_2.0": {"req.ver", "2.0"}, "HTTP_3.0": {"req.ver", "3.0"},
	"METH_CONNECT": {"method", "CONNECT"}, "METH_DELETE": {"method", "DELETE"}, "METH_GET": {"method", "GET", "HEAD"}, "METH_HEAD": {"method", "HEAD"},
	"METH_OPTIONS": {"method", "OPTIONS"}, "METH_POST": {"method", "POST"}, "METH_PUT": {"method", "PUT"}, "METH_TRACE": {"method", "TRACE"},
	"HTTP_URL_ABS": {"url_reg", "^[^/:]*://"}, "HTTP_URL_SLASH": {"url_beg", "/"}, "HTTP_URL_STAR": {"url", "*"},
	"HTTP_CONTENT": {"req.hdr_val(content-length)", "gt", "0"}, "RDP_COOKIE": {"req.rdp_cookie_cnt", "gt", "0"},
	"REQ_CONTENT": {"req.len", "gt", "0"}, "WAIT_END": {"wait_end"},
}

// ACLs compiles the acl lines of one proxy. Lines with the same name are alternatives.
func (c *Compiler) ACLs(list []config.ACL) *ACLs {
	set := &ACLs{byName: map[string]*acl{}}
	set.find = func(name string) *acl {
		a, err := c.findACL(name, config.Pos{}, set)
		if err != nil {
			return nil
		}
		return a
	}
	c.named = set
	for _, line := range list {
		c.at = line.Pos
		if err := checkACLName(line.Name); err != "" {
			c.Diags.Alert(line.Pos, "%s", err)
			continue
		}
		t, err := c.aclTest(line.Words, line.Pos)
		if err != nil {
			c.Diags.Alert(line.Pos, "error detected while parsing ACL '%s' : %s.", line.Name, err)
			continue
		}
		a := set.byName[line.Name]
		if a == nil {
			a = &acl{name: line.Name}
			set.byName[line.Name] = a
		}
		a.tests = append(a.tests, t)
		a.need = append(a.need, t.expr.need)
	}
	return set
}

func checkACLName(name string) string {
	for i := 0; i < len(name); i++ {
		if !isNameByte(name[i]) || name[i] == '+' {
			return fmt.Sprintf("character '%c' is not permitted in acl name '%s'.", name[i], name)
		}
	}
	if strings.EqualFold(name, "or") {
		return fmt.Sprintf("acl name '%s' will never match. 'or' is used to express a logical disjunction within a condition.", name)
	}
	return ""
}

// aclTest compiles "criterion [flags] [operator] patterns".
func (c *Compiler) aclTest(words []string, pos config.Pos) (aclTest, error) {
	if len(words) == 0 || words[0] == "" {
		return aclTest{}, fmt.Errorf("missing fetch method in ACL expression ''")
	}
	x, implied, err := c.criterion(words[0])
	if err != nil {
		return aclTest{}, err
	}
	name := implied
	if name == "" || len(x.steps) > 0 {
		name = defaultMethods[x.out]
	}
	if name != "" && x.out != stream.KindBool && len(words) == 1 {
		c.Diags.Add(config.LevelWarning, fmt.Sprintf("config : parsing acl keyword '%s' :\n"+
			"  no pattern to match against were provided, so this ACL will never match.\n"+
			"  If this is what you intended, please add '--' to get rid of this warning.\n"+
			"  If you intended to match only for existence, please use '-m found'.\n"+
			"  If you wanted to force an int to match as a bool, please use '-m bool'.", words[0]))
	}
	fl, err := c.aclFlags(words[1:], x, name)
	if err != nil {
		return aclTest{}, err
	}
	if implied != "" && implied != "str" && implied != "meth" && fl.method != implied {
		word, _ := identifier(words[0])
		c.Diags.Warning(pos, "original matching method '%s' was overwritten and will not be applied as expected.", word)
	}
	name, _ = identifier(words[0])
	if !knownACL(name) || len(x.steps) > 0 {
		name = x.name
	}
	return c.buildTest(x, name, fl)
}

// criterion compiles the first word: an expression, or an old name that implies a method. The method is "" when none is
// implied.
func (c *Compiler) criterion(word string) (x *Expr, method string, err error) {
	name, rest := identifier(word)
	d, old := derived[name]
	full := word
	if old {
		full = d[0] + rest
	}
	x, rest, err = c.parseExpr(full)
	if err == nil && rest != "" {
		err = fmt.Errorf("missing comma after fetch keyword")
	}
	switch {
	case err != nil && (old || knownACL(name)):
		msg := strings.TrimPrefix(err.Error(), "fetch method '"+d[0]+"' : ")
		return nil, "", fmt.Errorf("ACL keyword '%s' : %s", name, strings.TrimPrefix(msg, "fetch method '"+name+"' : "))
	case err != nil:
		return nil, "", fmt.Errorf("%w in ACL expression '%s'", err, word)
	case old:
		method = d[1]
	}
	return x, method, nil
}

// aclWords is what flags and patterns of one ACL say.
type aclWords struct {
	method   string
	fold     bool
	noDNS    bool
	id       int // -u, -1 for none
	views    []*pattern.View
	patterns []string
}

func (fl *aclWords) use() pattern.Use {
	return pattern.Use{Method: methodNamed(fl.method).is, Fold: fl.fold, NoDNS: fl.noDNS}
}

// aclFlags reads what stands behind the criterion, word by word.
func (c *Compiler) aclFlags(words []string, x *Expr, method string) (fl aclWords, err error) {
	fl.method, fl.id = method, -1
	forced, kind, columns := false, pattern.ACL, false
	for len(words) > 0 && strings.HasPrefix(words[0], "-") {
		flag := words[0]
		words = words[1:]
		arg := ""
		if len(words) > 0 {
			arg = words[0]
		}
		switch flag {
		case "-i":
			fl.fold = true
			continue
		case "-n": // we never resolve names in patterns
			fl.noDNS = true
			continue
		case "-M":
			kind, columns = pattern.ACL|pattern.Map, true
			continue
		case "--":
			fl.patterns = words
			return fl, nil
		case "-m":
			err = checkMethod(arg, x, len(fl.views) > 0, forced)
			fl.method, forced = arg, true
		case "-f":
			err = c.aclFile(arg, x, &fl, kind, columns)
		case "-u":
			if fl.id, err = strconv.Atoi(arg); err != nil || fl.id < 0 {
				err = fmt.Errorf("the argument of -u must be an integer")
			}
		default:
			err = fmt.Errorf("'%s' is not a valid ACL option. Please use '--' before any pattern beginning with a '-'", flag)
		}
		if err != nil {
			return fl, err
		}
		words = words[min(1, len(words)):]
	}
	fl.patterns = words
	return fl, nil
}

func checkMethod(name string, x *Expr, loaded, forced bool) error {
	switch {
	case loaded:
		return fmt.Errorf("'-m' must only be specified before patterns and files in parsing ACL expression")
	case forced:
		return fmt.Errorf("only one explicit matching method can be defined with '-m' parameter. if migrating from an old version, just keep the last one")
	case methods[name] == nil:
		return fmt.Errorf("unknown matching method '%s' when parsing ACL expression", name)
	case name != "found" && !castable(x.out, methods[name].kind):
		return fmt.Errorf("matching method '%s' cannot be used with fetch keyword '%s'", name, x.name)
	}
	return nil
}

// aclFile adds the patterns of a file or virt@ name.
func (c *Compiler) aclFile(name string, x *Expr, fl *aclWords, kind pattern.Kind, columns bool) error {
	if fl.method == "" {
		return errNoMethod(x)
	}
	ref, err := c.fileSet(name, kind, columns)
	if err != nil {
		return err
	}
	view, err := ref.View(fl.use())
	if err != nil {
		return err
	}
	fl.views = append(fl.views, view)
	return nil
}

func errNoMethod(x *Expr) error {
	return fmt.Errorf("matching method must be specified first (using '-m') when using a sample fetch of this type ('%s')", x.name)
}

func (c *Compiler) readFile(name string) ([]byte, error) {
	if c.ReadFile == nil {
		return nil, fmt.Errorf("no files here")
	}
	return c.ReadFile(name)
}

// buildTest puts the patterns of an ACL into a set of their own, which commands can change, and joins it with those of its files.
func (c *Compiler) buildTest(x *Expr, criterion string, fl aclWords) (aclTest, error) {
	m := methodNamed(fl.method)
	if m == nil {
		return aclTest{}, errNoMethod(x)
	}
	patterns := fl.patterns
	var err error
	if m.is == pattern.Int || m.is == pattern.Len || m.is == pattern.Ver {
		if patterns, err = ranges(patterns, m.is == pattern.Ver); err != nil {
			return aclTest{}, err
		}
	}
	ref, again, err := c.inline(criterion, fl.id)
	if err != nil {
		return aclTest{}, err
	}
	view, err := ref.View(fl.use())
	if err != nil {
		return aclTest{}, err
	}
	if !again {
		items := make([]pattern.Item, len(patterns))
		for i, p := range patterns {
			items[i].Key = p
		}
		if err := ref.Add(items...); err != nil {
			return aclTest{}, err
		}
	}
	return aclTest{x, m.kind, newMatcher(m, append(fl.views, view))}, nil
}
