package config

import (
	"slices"
	"strings"
)

// Userlist is one userlist section (manual section 12.2).
type Userlist struct {
	Pos    Pos
	Name   string
	Groups []*UserGroup
	Users  []*User
}

// UserGroup is one group line.
type UserGroup struct {
	Pos   Pos
	Name  string
	Users []string // users A,B on the group's own line
}

// User is one user line. Password never appears in a message.
type User struct {
	Pos      Pos
	Name     string
	Password string   // as written; "" lets nobody in
	Insecure bool     // Password is the password itself, not a hash of crypt(3)
	Groups   []string // those its own line names and, once the section was read, those whose lines name it
}

func (p *parser) beginUserlist(s *statement) {
	p.users = nil
	name := s.arg(1)
	if name == "" {
		p.alertTight("'%s' expects <name> as arguments.", s.arg(0))
		return
	}
	if p.tooMany(s, 1, 0) {
		return
	}
	if c, bad := invalidChar(name); bad {
		p.alertTight("character '%c' is not permitted in '%s' name '%s'.", c, s.arg(0), name)
		return
	}
	if slices.ContainsFunc(p.cfg.Userlists, func(u *Userlist) bool { return u.Name == name }) {
		p.warnTight("ignoring duplicated userlist '%s'.", name)
		return
	}
	p.users = &Userlist{Pos: s.pos, Name: name}
	p.cfg.Userlists = append(p.cfg.Userlists, p.users)
}

func (p *parser) userlistGroup(s *statement) {
	name := s.arg(1)
	if name == "" {
		p.alertTight("'%s' expects <name> as arguments.", s.arg(0))
		return
	}
	if c, bad := invalidChar(name); bad {
		p.alertTight("character '%c' is not permitted in '%s' name '%s'.", c, s.arg(0), name)
		return
	}
	if p.users == nil {
		return
	}
	if slices.ContainsFunc(p.users.Groups, func(g *UserGroup) bool { return g.Name == name }) {
		p.warnTight("ignoring duplicated group '%s' in userlist '%s'.", name, p.users.Name)
		return
	}
	g := &UserGroup{Pos: s.pos, Name: name}
	for i := 2; i < len(s.words); i += 2 {
		switch {
		case s.arg(i) != "users":
			p.alertTight("'%s' only supports 'users' option.", s.arg(0))
			return
		case g.Users != nil:
			p.alertTight("'users' option already defined in '%s' name '%s'.", s.arg(0), name)
			return
		}
		g.Users = nameList(s.arg(i + 1))
	}
	p.users.Groups = append(p.users.Groups, g)
}

func (p *parser) userlistUser(s *statement) {
	name := s.arg(1)
	if name == "" {
		p.alertTight("'%s' expects <name> as arguments.", s.arg(0))
		return
	}
	if p.users == nil {
		return
	}
	if slices.ContainsFunc(p.users.Users, func(u *User) bool { return u.Name == name }) {
		p.warnTight("ignoring duplicated user '%s' in userlist '%s'.", name, p.users.Name)
		return
	}
	u := &User{Pos: s.pos, Name: name}
	p.users.Users = append(p.users.Users, u)
	for i := 2; i < len(s.words); i += 2 {
		switch s.arg(i) {
		case "password":
			u.Password, u.Insecure = s.arg(i+1), false
		case "insecure-password":
			u.Password, u.Insecure = s.arg(i+1), true
		case "groups":
			u.Groups = nameList(s.arg(i + 1))
		default:
			p.alertTight("'%s' only supports 'password', 'insecure-password' and 'groups' options.", s.arg(0))
			return
		}
	}
}

// nameList splits A,B and drops empty names, as strtok does.
func nameList(text string) []string {
	return strings.FieldsFunc(text, func(r rune) bool { return r == ',' })
}

// finishUserlist joins the two directions in which users and groups are told of each other.
func (p *parser) finishUserlist(l *Userlist) {
	for _, u := range l.Users {
		for _, g := range u.Groups {
			if !slices.ContainsFunc(l.Groups, func(x *UserGroup) bool { return x.Name == g }) {
				p.late(LevelAlert, u.Pos, "userlist '%s': no such group '%s' specified in user '%s'", l.Name, g, u.Name)
			}
		}
	}
	for _, g := range l.Groups {
		for _, name := range g.Users {
			i := slices.IndexFunc(l.Users, func(u *User) bool { return u.Name == name })
			if i < 0 {
				p.late(LevelAlert, g.Pos, "userlist '%s': no such user '%s' specified in group '%s'", l.Name, name, g.Name)
				continue
			}
			l.Users[i].Groups = append(l.Users[i].Groups, g.Name)
		}
	}
}
