package socket

import "context"

// jwtCommands say which certificates may verify JSON Web Tokens (surface 2.12). The texts are HAProxy's, its slips included.
func (w *Worker) jwtCommands() []Command {
	set := func(verb string, on bool) func(context.Context, *Request) {
		return named("'"+verb+" ssl cert' expects a filename", func(r *Request, name string) {
			if err := w.o.Certificates.SetJWT(name, on); err != nil {
				r.Err(err.Error())
			}
		})
	}
	return []Command{
		{Words: []string{"show", "ssl", "jwt"}, Level: Operator, Usage: "show ssl jwt",
			Help: "show list of certificates used for JWT validation", Run: func(_ context.Context, r *Request) {
				r.Print("# filename\n")
				for _, name := range w.o.Certificates.JWTNames() {
					r.Print(name + "\n")
				}
			}},
		{Words: []string{"add", "ssl", "jwt"}, Level: Admin, Usage: "add ssl jwt <certfile>",
			Help: "add certificate to list of certificates used for JWT validation", Run: set("add", true)},
		{Words: []string{"del", "ssl", "jwt"}, Level: Admin, Usage: "del ssl jwt <certfile>",
			Help: "remove certificate from list of certificates used for JWT validation", Run: set("del", false)},
	}
}
