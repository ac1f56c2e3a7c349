package main

import (
	"context"
	"fmt"
	"io"
	"os"
	"os/signal"
	"syscall"

	"github.com/spf13/cobra"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	// The first signal asks every command to end in good order. The second finds the
	// default behaviour again, for the user who does not want to wait for that.
	context.AfterFunc(ctx, stop)
	os.Exit(run(ctx, os.Args[1:], os.Stdin, os.Stdout, os.Stderr))
}

// run executes one command line and returns the exit code of the process. When ctx ends,
// the command ends in good order.
func run(ctx context.Context, args []string, stdin io.Reader, stdout, stderr io.Writer) int {
	root := newRootCommand()
	root.SetArgs(append([]string{}, args...)) // not nil, for which it would take those of the process
	root.SetIn(stdin)
	root.SetOut(stdout)
	root.SetErr(stderr)
	checkHelp(root) // completion writes to what is the output now
	err := root.ExecuteContext(ctx)
	if err != nil && err.Error() != "" {
		fmt.Fprintf(stderr, "pxkv: %v\n", err)
	}
	return exitCode(err)
}

func newRootCommand() *cobra.Command {
	root := &cobra.Command{
		Use:   "pxkv",
		Short: "A sharded, replicated key-value store in one binary",
		Long: `pxkv is a sharded, replicated key-value store in one binary.

"pxkv serve" runs a node; the other commands speak to one over HTTP:
to --server, to the environment variable PXKV_SERVER, or to ` + defaultServer + `.
Several servers, separated by commas, are asked in turn until one can answer.

Exit codes: 0 fine, 1 failed, 2 wrong usage, 3 key not found,
4 outcome unknown (the write may or may not have been applied).`,
		SilenceErrors:              true, // run prints them, once
		SilenceUsage:               true,
		SuggestionsMinimumDistance: 2,
		Args:                       cobra.ArbitraryArgs, // so that RunE can answer an unknown command as wrong usage
		RunE: func(cmd *cobra.Command, args []string) error {
			if len(args) == 0 {
				return cmd.Help()
			}
			return unknownCommand(cmd, args[0])
		},
	}
	root.SetFlagErrorFunc(flagError)
	root.Version = thisBuild().String()
	root.SetVersionTemplate("{{.Version}}\n")
	root.AddCommand(
		newServeCommand(),
		newGetCommand(), newPutCommand(), newDelCommand(), newIncrCommand(), newTTLCommand(), newExpireCommand(),
		newListCommand(), newExportCommand(), newImportCommand(),
		newMembersCommand(), newPartitionsCommand(), newStatusCommand(),
		newPlanCommand(), newLeaveCommand(), newRemoveCommand(), newReplicasCommand(),
		newBenchCommand(), newRebuildCommand(), newKeysCommand(), newVersionCommand(),
	)
	return root
}

// checkHelp makes "help" and "completion" of what does not exist wrong usage; cobra prints some help and calls it fine.
func checkHelp(root *cobra.Command) {
	root.InitDefaultHelpCmd()
	root.InitDefaultCompletionCmd()
	for _, cmd := range root.Commands() {
		switch cmd.Name() {
		case "help":
			cmd.Run, cmd.RunE = nil, func(_ *cobra.Command, args []string) error {
				about, rest, err := root.Find(args)
				if err != nil || about == root && len(rest) > 0 {
					return unknownCommand(root, args[0])
				}
				about.InitDefaultHelpFlag()
				return about.Help()
			}
		case "completion":
			cmd.Args, cmd.RunE = cobra.ArbitraryArgs, func(cmd *cobra.Command, args []string) error {
				if len(args) > 0 {
					return usageError(cmd, "there is no completion for %q", args[0])
				}
				return cmd.Help()
			}
			for _, shell := range cmd.Commands() {
				shell.Args = takes()
			}
		}
	}
}

func unknownCommand(cmd *cobra.Command, name string) error {
	if near := cmd.SuggestionsFor(name); len(near) > 0 {
		return usageError(cmd, "there is no command %q; did you mean %q?", name, near[0])
	}
	return usageError(cmd, "there is no command %q", name)
}
