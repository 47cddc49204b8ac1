// Command gatehouse is a TLS edge that keeps its own certificates. With options it is HAProxy's command line; with a word it is a
// command of its own that talks to a running process over its stats socket, or works on certificates and configurations on disk.
package main

import (
	"context"
	"errors"
	"os"
	"os/signal"
	"strings"
	"syscall"

	"gatehouse/internal/app"
)

func main() {
	if len(os.Args) < 2 || strings.HasPrefix(os.Args[1], "-") {
		os.Exit(app.Main(context.Background(), os.Args, app.NewHouse))
	}
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGINT, syscall.SIGTERM)
	err := newCommand().ExecuteContext(ctx)
	stop()
	var with exitCode
	switch {
	case errors.As(err, &with):
		os.Exit(with.code)
	case err != nil:
		os.Exit(1) // cobra said why
	}
}
