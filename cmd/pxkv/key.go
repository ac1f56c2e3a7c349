package main

import "github.com/spf13/cobra"

// keyCall is one call of a command about one key.
type keyCall struct {
	*client
	cmd    *cobra.Command
	key    string   // which is valid
	rest   []string // the arguments behind it
	asJSON bool
}

// newKeyCommand makes cmd a command about the key that is its first argument: with the flags of every
// command that asks a node, and run when they and the key are in order. cmd.Args demands the key.
func newKeyCommand(cmd *cobra.Command, run func(k *keyCall) error) *cobra.Command {
	var flags clientFlags
	var output outputFlag
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		if err := output.check(cmd); err != nil {
			return err
		}
		if err := checkKey(cmd, args[0]); err != nil {
			return err
		}
		c, err := flags.client(cmd)
		if err != nil {
			return err
		}
		return run(&keyCall{client: c, cmd: cmd, key: args[0], rest: args[1:], asJSON: output.json()})
	}
	flags.add(cmd)
	output.add(cmd)
	return cmd
}
