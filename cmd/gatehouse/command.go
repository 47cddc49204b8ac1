package main

import (
	"encoding/json"
	"fmt"
	"io"
	"strings"

	"github.com/spf13/cobra"

	"gatehouse/internal/runtimeapi"
)

// defaultSocket is where Debian's configuration puts the stats socket.
const defaultSocket = "/run/haproxy/admin.sock"

// session is what the flags of every command say: whom to ask, and how to print.
type session struct {
	socket string
	master bool
	json   bool
}

// newCommand is every command that is not an option of HAProxy's.
func newCommand() *cobra.Command {
	var s session
	root := &cobra.Command{
		Use:           "gatehouse",
		Short:         "A TLS edge that keeps its own certificates",
		Long:          "With options, gatehouse runs as haproxy does (see gatehouse -h). The commands below ask a running process, or work on certificates and\nconfigurations on disk. `gatehouse completion bash` writes a completion script.",
		SilenceUsage:  true,
		SilenceErrors: false,
	}
	flags := root.PersistentFlags()
	flags.StringVarP(&s.socket, "socket", "s", defaultSocket, "stats socket to ask: a path, HOST:PORT, abns@NAME, ...")
	flags.BoolVarP(&s.master, "master", "m", false, "the socket is a master's (-S)")
	flags.BoolVar(&s.json, "json", false, "print JSON")
	root.AddCommand(
		group("acme", "Certificates that an ACME authority issues",
			s.command("status", "Show state and dates of every certificate", 0, acmeStatus),
			s.command("renew NAME", "Ask for a new certificate now", 1, acmeRenew)),
		s.certGroup(),
		s.doctor(),
		group("store", "The store of certificates on disk", s.storeCheck()),
	)
	return root
}

func group(name, short string, commands ...*cobra.Command) *cobra.Command {
	g := &cobra.Command{Use: name, Short: short, Args: cobra.NoArgs, RunE: func(c *cobra.Command, _ []string) error { return c.Help() }}
	g.AddCommand(commands...)
	return g
}

// answer is what a command learned: the text for people and the same as values for JSON.
type answer struct {
	text  string
	value any
}

// command is one question to the running process.
func (s *session) command(use, short string, args int, ask func(do asker, args []string) (answer, error)) *cobra.Command {
	return &cobra.Command{
		Use: use, Short: short, Args: cobra.ExactArgs(args),
		RunE: func(c *cobra.Command, args []string) error {
			client, err := runtimeapi.Dial(s.address())
			if err != nil {
				return err
			}
			if s.master {
				client.Prefix = "@1"
			}
			a, err := ask(func(words ...string) (string, error) { return client.Do(c.Context(), words...) }, args)
			if err != nil {
				return err
			}
			return s.print(c.OutOrStdout(), a)
		},
	}
}

// address lets a relative path be written as in a shell.
func (s *session) address() string {
	if strings.Contains(s.socket, "/") && !strings.Contains(s.socket, "@") {
		return "unix@" + s.socket
	}
	return s.socket
}

// asker runs one Runtime API command.
type asker func(words ...string) (string, error)

func (s *session) print(w io.Writer, a answer) error {
	if s.json {
		enc := json.NewEncoder(w)
		enc.SetIndent("", "  ")
		return enc.Encode(a.value)
	}
	if a.text == "" {
		return nil
	}
	_, err := fmt.Fprintln(w, strings.TrimRight(a.text, "\n"))
	return err
}
