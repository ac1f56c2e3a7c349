package main

import (
	"fmt"
	"net/http"
	"strconv"

	"github.com/spf13/cobra"
)

func newDelCommand() *cobra.Command {
	var flags clientFlags
	var ifMatch uint64
	cmd := &cobra.Command{
		Use:     "del KEY",
		Aliases: []string{"delete"},
		Short:   "Delete a key",
		Long: `Delete a key. Exit code 3 when there is no such key, 1 when --if-match does not hold,
4 when the deletion was sent, but whether it was applied is not known.`,
		Args: takes("KEY"),
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := checkKey(cmd, args[0]); err != nil {
				return err
			}
			c, err := flags.client(cmd)
			if err != nil {
				return err
			}
			header := make(http.Header)
			if cmd.Flags().Changed("if-match") {
				header.Set("If-Match", strconv.Quote(strconv.FormatUint(ifMatch, 10)))
			}
			resp, err := c.do(cmd.Context(), &request{method: http.MethodDelete, path: keyPath(args[0]), header: header})
			if err != nil {
				return err
			}
			defer resp.Body.Close()
			_, err = fmt.Fprintln(cmd.OutOrStdout(), "deleted")
			return err
		},
	}
	flags.add(cmd)
	cmd.Flags().Uint64Var(&ifMatch, "if-match", 0, "only if the key is at this version")
	return cmd
}
