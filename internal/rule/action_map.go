package rule

import (
	"fmt"

	"gatehouse/internal/pattern"
	"gatehouse/internal/stream"
)

// mapActions change sets of patterns. The set is the one of that name that some ACL or map reads; when none does, nothing happens.
func mapActions() []action {
	return []action{
		{"set-map(*)", atAll, "give a key of a map a value", bindSetMap},
		{"del-map(*)", atAll, "delete a key of a map", bindPatternKey(func(r *pattern.Ref, key string) { r.Delete(key) })},
		{"add-acl(*)", atRequest | atResponse, "add a pattern to the file of an ACL", bindPatternKey(func(r *pattern.Ref, key string) {
			_ = r.Ensure(key) // a pattern that the ACL cannot read is dropped, as in HAProxy
		})},
		{"del-acl(*)", atAll, "delete a pattern of the file of an ACL", bindPatternKey(func(r *pattern.Ref, key string) { r.Delete(key) })},
	}
}

// target is the set that an action changes: what stands in parentheses behind its name.
func (p *ruleParser) target() (*pattern.Target, error) {
	name, err := p.closeParam()
	if err != nil {
		return nil, err
	}
	return p.c.patterns().Target(name), nil
}

func (p *ruleParser) keyFormat(word string) (*Format, error) {
	return p.c.parseFormat(word, formatUse{mode: true, in: p.in})
}

func bindPatternKey(change func(*pattern.Ref, string)) func(*ruleParser) (actionFunc, error) {
	return func(p *ruleParser) (actionFunc, error) {
		w, err := p.take(1, "expects exactly 1 arguments")
		if err != nil || w[0] == "" {
			return nil, fmt.Errorf("expects exactly 1 arguments")
		}
		key, err := p.keyFormat(w[0])
		if err != nil {
			return nil, err
		}
		target, err := p.target()
		if err != nil {
			return nil, err
		}
		return func(s *stream.Stream, env Env) Verdict {
			if ref := target.Ref(); ref != nil {
				change(ref, string(key.bytes(s, env)))
			}
			return goOn
		}, nil
	}
}

func bindSetMap(p *ruleParser) (actionFunc, error) {
	w, err := p.take(2, "expects exactly 2 arguments")
	if err != nil || w[0] == "" || w[1] == "" {
		return nil, fmt.Errorf("expects exactly 2 arguments")
	}
	key, err := p.keyFormat(w[0])
	if err != nil {
		return nil, err
	}
	value, err := p.keyFormat(w[1])
	if err != nil {
		return nil, err
	}
	target, err := p.target()
	if err != nil {
		return nil, err
	}
	return func(s *stream.Stream, env Env) Verdict {
		if ref := target.Ref(); ref != nil {
			// A value that a use of the map cannot read is dropped, as in HAProxy.
			_ = ref.Put(string(key.bytes(s, env)), string(value.bytes(s, env)))
		}
		return goOn
	}, nil
}
